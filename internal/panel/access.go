package panel

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/obs"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/web"
)

// access is who may see a page or do what it does.
type access int

// The levels. Those of a tenant are about one operator: the user's own, or the one that
// staff acts for.
const (
	anybody       access = iota // not signed in
	signedIn                    // about the person itself
	tenantRead                  // admin, viewer, acting staff
	tenantWrite                 // admin, acting staff
	platformRead                // owner, support, auditor
	platformWrite               // owner, support
	ownerOnly
)

// allows reports whether a session has the role for it; whether there is an operator is
// asked apart.
func (a access) allows(s *auth.Session) bool {
	role := s.User.Role
	switch a {
	case anybody, signedIn:
		return true
	case tenantRead:
		return role == waypost.RoleAdmin || role == waypost.RoleViewer || role.Acts()
	case tenantWrite:
		return role == waypost.RoleAdmin || role.Acts()
	case platformRead:
		return role.Platform()
	case platformWrite:
		return role.Acts()
	case ownerOnly:
		return role == waypost.RoleOwner
	}
	return false
}

func (a access) tenant() bool { return a == tenantRead || a == tenantWrite }

// page is one route.
type page struct {
	pattern string // "GET /messages/{id}"
	access  access
	run     func(*request) error
}

// page makes the handler of a route.
func (p *panel) page(pg page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := p.enter(w, r, pg)
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { //nolint:errorlint // a value of panic, as the server compares it
					panic(v)
				}
				p.Log.ErrorContext(r.Context(), "a page panicked", slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
				p.fail(q, errors.New("panic"))
			}
		}()
		r.Body = http.MaxBytesReader(w, r.Body, formLimit(pg.pattern))
		if err := p.admit(q); err != nil {
			p.fail(q, err)
			return
		}
		if q.session == nil && pg.access != anybody {
			p.toSignIn(q)
			return
		}
		if q.account == nil && pg.access.tenant() {
			http.Redirect(w, r, "/platform/operators", http.StatusSeeOther)
			return
		}
		if pg.access == tenantWrite && q.reads() {
			p.fail(q, waypost.NewError(waypost.Forbidden, "suspended_reads", "a suspended operator changes nothing"))
			return
		}
		err := p.writes.allow(q)
		if err == nil {
			err = pg.run(q)
		}
		if err != nil {
			p.fail(q, err)
		}
	})
}

// formLimit bounds the body of a form, in bytes.
func formLimit(pattern string) int64 {
	if pattern == importPattern {
		return maxImportForm
	}
	return maxForm
}

// admit finds the session and asks whether it may.
func (p *panel) admit(q *request) error {
	token := q.cookie(sessionCookie)
	if token == "" {
		return nil
	}
	find := p.Users.Session
	if q.unattended() {
		find = p.Users.SessionUnattended
	}
	s, err := find(q.Context(), token, q.peer)
	if waypost.KindOf(err) == waypost.Unauthenticated {
		return nil
	}
	if err != nil {
		return err
	}
	q.greet(&s)
	if q.page.access == anybody {
		q.account, _ = p.accountOf(q.Context(), &s) // for the navigation; without it the page is shown all the same
		return nil
	}
	if !q.page.access.allows(&s) {
		return waypost.NewError(waypost.Forbidden, "role", "the role does not allow this")
	}
	q.account, err = p.accountOf(q.Context(), &s)
	return err
}

// toSignIn leads to the sign-in page and back afterwards.
func (p *panel) toSignIn(q *request) {
	if q.isFragment() { // a part of a page that outlived its session
		q.w.Header().Set("HX-Redirect", "/sign-in")
		q.w.WriteHeader(http.StatusUnauthorized)
		return
	}
	path := "/sign-in"
	if q.Method == http.MethodGet && q.URL.Path != "/" {
		path += "?next=" + escape(q.URL.RequestURI())
	}
	http.Redirect(q.w, q.Request, path, http.StatusSeeOther) //nolint:gosec // a path of ours; where to go next is a parameter, see local
}

// local returns a path of this server to go to, "/" for anything else.
func local(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

// fail answers with a page about an error. What is not meant for the person goes to the
// log under an id, and the page tells the id only.
func (p *panel) fail(q *request, err error) {
	e := waypost.AsError(err)
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok && large != nil {
		e = waypost.NewError(waypost.TooLarge, "too_large", "")
	}
	status, retryAfter := web.Status(e.Kind)
	if retryAfter > 0 {
		q.w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	id, text := "", e.Message
	switch {
	case e.Kind == waypost.Internal && q.Context().Err() != nil:
		status, text = http.StatusServiceUnavailable, ""
	case e.Kind == waypost.Internal:
		id, text = rand.Text()[:10], q.T("error.text_500")
		p.Log.ErrorContext(q.Context(), "page failed", slog.String("error_id", id), slog.String("page", q.page.pattern), obs.Error(err))
	case q.Has("problem." + e.Code):
		text = q.T("problem." + e.Code)
	case q.Has("error.text_" + status3(status)):
		text = q.T("error.text_" + status3(status))
	}
	title := q.T("error.title_400")
	if q.Has("error.title_" + status3(status)) {
		title = q.T("error.title_" + status3(status))
	}
	frame := q.frame(title)
	content := view.Layout(frame, view.Error(frame, status, text, id))
	if q.isFragment() {
		content = view.ErrorPart(frame, text, id)
	}
	if shown := q.render(status, content); shown != nil {
		http.Error(q.w, title, status)
	}
}

func (p *panel) notFound(*request) error {
	return waypost.NewError(waypost.NotFound, "not_found", "")
}

func (p *panel) crossOrigin(*request) error {
	return waypost.NewError(waypost.Forbidden, "cross_origin", "this form was sent from another site")
}
