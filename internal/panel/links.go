package panel

import (
	"context"
	"net/http"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/unsubscribe"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) linkRoutes() []page {
	return []page{
		{"GET /forgot", anybody, p.forgotForm},
		{"POST /forgot", anybody, p.forgot},
		{"GET /forgot/sent", anybody, p.forgotSent},

		{"GET " + auth.PathReset + "{token}", anybody, p.linkForm(waypost.TokenReset)},
		{"POST " + auth.PathReset + "{token}", anybody, p.redeem(waypost.TokenReset)},
		{"GET " + auth.PathInvite + "{token}", anybody, p.linkForm(waypost.TokenInvite)},
		{"POST " + auth.PathInvite + "{token}", anybody, p.redeem(waypost.TokenInvite)},
	}
}

// secretForms are the forms whose address is a secret. No other site knows it, so none can
// send them; and because no address of these pages is told to anybody (Referrer-Policy),
// browsers do not say either where their forms come from, which is refused elsewhere.
func secretForms() []string {
	return []string{
		"POST " + auth.PathReset + "{token}", "POST " + auth.PathInvite + "{token}", "POST " + auth.PathFirst + "{token}",
		"POST " + unsubscribe.Path + "{token}", "POST " + unsubscribe.Path + "{token}/back",
	}
}

// hush keeps the address of a page from whatever it leads to.
func (q *request) hush() { q.w.Header().Set("Referrer-Policy", "no-referrer") }

func (p *panel) forgotForm(q *request) error { return q.showForgot(nil) }

func (q *request) showForgot(w *wrong) error {
	f := view.Forgot{Problem: w.text(""), Who: view.Field{
		Name: "who", Label: q.T("forgot.who"), Value: q.value("who"), Auto: "username", Required: true, Max: maxMail, Error: w.text("who"),
	}}
	return q.showStatus(w.code(), q.T("forgot.title"), view.ForgotForm(q.frame(""), f))
}

// forgot mails a link to whom a login or an address belongs. Everybody gets the same answer,
// and gets it before anything that happens for users only.
func (p *panel) forgot(q *request) error {
	if q.value("who") == "" {
		return q.showForgot(wrongField("who", q.T("forgot.empty")))
	}
	issued, err := p.Users.RequestReset(q.Context(), q.value("who"), q.peer)
	if err != nil {
		w, err := q.wrong(err)
		if err != nil {
			return err
		}
		return q.showForgot(w)
	}
	ctx, code := context.WithoutCancel(q.Context()), q.Code
	err = q.redirect("/forgot/sent", "")
	_ = http.NewResponseController(q.w).Flush() // a client that is gone reads nothing
	p.Go(func() {
		for _, i := range issued {
			l := p.resetLetter(i, code)
			l.asked = true
			p.tryPost(ctx, l)
		}
	})
	return err
}

func (p *panel) resetLetter(i auth.Issued, accept string) letter {
	return letter{to: i.User, text: "letter.reset_", path: auth.PathReset + i.Token.Reveal(), expires: i.Expires, accept: accept}
}

func (p *panel) inviteLetter(q *request, i auth.Issued) letter {
	l := letter{to: i.User, text: "letter.staff_", path: auth.PathInvite + i.Token.Reveal(), expires: i.Expires, accept: q.Code}
	if i.User.OperatorID != "" {
		l.text, l.fill = "letter.invite_", []any{"Operator", p.operatorName(q, i.User.OperatorID)}
	}
	return l
}

func (p *panel) forgotSent(q *request) error {
	return q.show(q.T("forgot.title"), view.ForgotSent(q.frame(""), p.Platform.Sandbox()))
}

// linkForm asks who follows a link for a password.
func (p *panel) linkForm(purpose waypost.TokenPurpose) func(*request) error {
	return func(q *request) error {
		q.hush()
		user, err := p.Users.TokenUser(q.Context(), purpose, q.PathValue("token"))
		if waypost.KindOf(err) == waypost.NotFound {
			return q.showBadLink(string(purpose))
		}
		if err != nil {
			return err
		}
		return q.showSetPassword(purpose, user, nil)
	}
}

func (q *request) showSetPassword(purpose waypost.TokenPurpose, user waypost.User, w *wrong) error {
	f := view.SetPassword{Action: q.URL.Path, Login: user.Login, Invited: purpose == waypost.TokenInvite, Problem: w.text("")}
	f.Password, f.Again = q.passwordFields(w)
	title := q.T("link.reset_title")
	if f.Invited {
		title = q.T("link.invite_title")
	}
	return q.showStatus(w.code(), title, view.SetPasswordForm(q.frame(title), f))
}

// showBadLink says that a link is worth nothing, and where to get another one.
func (q *request) showBadLink(what string) error {
	b := view.BadLink{Text: q.T("link.bad_" + what), Path: "/sign-in", Button: q.T("sign_in.title")}
	if what == string(waypost.TokenReset) {
		b.Path, b.Button = "/forgot", q.T("forgot.title")
	}
	return q.showStatus(http.StatusNotFound, q.T("link.bad"), view.BadLinkPage(q.frame(""), b))
}

// redeem sets the password of who follows a link.
func (p *panel) redeem(purpose waypost.TokenPurpose) func(*request) error {
	return func(q *request) error {
		q.hush()
		token := q.PathValue("token")
		user, err := p.Users.TokenUser(q.Context(), purpose, token)
		var w *wrong
		if err == nil {
			var password string
			if password, w = q.newPassword(); w == nil {
				_, err = p.Users.Redeem(q.Context(), purpose, token, password, q.peer)
			}
		}
		if waypost.KindOf(err) == waypost.NotFound {
			return q.showBadLink(string(purpose))
		}
		if err != nil {
			if w, err = q.wrong(err, "password"); err != nil {
				return err
			}
		}
		if w != nil {
			return q.showSetPassword(purpose, user, w)
		}
		if purpose == waypost.TokenReset {
			p.tell(q, letter{to: user, text: "letter.password_"})
		}
		return q.redirect("/sign-in", "password_set")
	}
}
