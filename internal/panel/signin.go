package panel

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/obs"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
)

// stateCookie keeps the sealed state between password and code.
const stateCookie = "waypost_sign_in"

func (p *panel) signInForm(q *request) error {
	if q.session != nil {
		return q.redirect("/", "")
	}
	return q.showSignIn(http.StatusOK, "")
}

func (q *request) showSignIn(status int, problem string) error {
	f := view.SignIn{Next: local(q.value("next")), Problem: problem, Login: view.Field{
		Name: "login", Label: q.T("sign_in.login"), Value: q.value("login"), Auto: "username", Required: true, Max: 100,
	}, Password: view.Field{
		Name: "password", Label: q.T("sign_in.password"), Type: "password", Auto: "current-password", Required: true, Max: 1000,
	}}
	return q.showStatus(status, q.T("sign_in.title"), view.SignInForm(q.frame(""), f))
}

func (p *panel) signIn(q *request) error {
	// A password is not trimmed: what is typed counts.
	got, err := p.Users.SignIn(q.Context(), q.value("login"), q.FormValue("password"), q.peer, q.UserAgent())
	if err != nil {
		return q.refuseSignIn(err)
	}
	next := local(q.value("next"))
	if got.Token.Reveal() == "" {
		q.setCookie(stateCookie, got.State.Reveal(), time.Until(got.Expires))
		return q.redirect("/sign-in/code?next="+escape(next), "")
	}
	return q.enterWith(got, next)
}

// enterWith starts the session that sign-in made, and goes to a page. The session before it
// ends: no browser has it any more, so nobody could sign out of it.
func (q *request) enterWith(got auth.SignedIn, next string) error {
	if q.session != nil {
		if err := q.panel.Users.SignOut(q.Context(), *q.session); err != nil {
			q.panel.Log.ErrorContext(q.Context(), "cannot end the session before", slog.String("user", q.session.User.ID), obs.Error(err))
		}
	}
	q.setCookie(sessionCookie, got.Token.Reveal(), time.Until(got.Expires))
	return q.redirect(next, "")
}

// refuseSignIn shows the form again with what was wrong; what is our fault is an error.
func (q *request) refuseSignIn(err error) error {
	switch e := waypost.AsError(err); e.Kind {
	case waypost.Unauthenticated:
		return q.showSignIn(http.StatusUnauthorized, q.T("sign_in."+e.Code))
	case waypost.RateLimited:
		return q.showSignIn(http.StatusTooManyRequests, q.T("sign_in.throttled"))
	case waypost.Unavailable:
		return q.showSignIn(http.StatusServiceUnavailable, q.T("sign_in.busy"))
	default:
		return err
	}
}

func (p *panel) codeForm(q *request) error {
	if q.cookie(stateCookie) == "" {
		return q.redirect("/sign-in", "")
	}
	return q.showCode(http.StatusOK, "")
}

func (q *request) showCode(status int, problem string) error {
	f := view.SignIn{Next: local(q.value("next")), Problem: problem, Code: view.Field{
		Name: "code", Label: q.T("sign_in.code"), Hint: q.T("sign_in.code_hint"), Auto: "one-time-code", Required: true, Max: 40, Mono: true,
	}}
	return q.showStatus(status, q.T("sign_in.title"), view.CodeForm(q.frame(""), f))
}

func (p *panel) signInCode(q *request) error {
	got, err := p.Users.SecondStep(q.Context(), q.cookie(stateCookie), q.value("code"), q.peer, q.UserAgent())
	switch e := waypost.AsError(err); {
	case err == nil:
		q.setCookie(stateCookie, "", 0)
		return q.enterWith(got, local(q.value("next")))
	case e.Code == "sign_in_expired":
		q.setCookie(stateCookie, "", 0)
		return q.refuseSignIn(err)
	case e.Kind == waypost.Unauthenticated:
		return q.showCode(http.StatusUnauthorized, q.T("sign_in.code_wrong"))
	case e.Kind == waypost.RateLimited:
		return q.showCode(http.StatusTooManyRequests, q.T("sign_in.throttled"))
	default:
		return err
	}
}

func (p *panel) signOut(q *request) error {
	if q.session != nil {
		if err := p.Users.SignOut(q.Context(), *q.session); err != nil {
			return err
		}
	}
	q.setCookie(sessionCookie, "", 0)
	return q.redirect("/sign-in", "signed_out")
}
