package panel

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/panel/locale"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
)

// maxForm bounds the body of a form, in bytes: two signatures of 16 KiB with every
// character escaped fit.
const maxForm = 256 << 10

// request is one request to a page, after everything about it was checked.
type request struct {
	*http.Request
	*locale.Locale

	w       http.ResponseWriter
	panel   *panel
	page    page
	peer    string           // address of the client
	base    string           // where the client reaches this server
	session *auth.Session    // nil: nobody is signed in
	account *waypost.Account // of the operator the page is about; nil on pages of the platform
	theme   string
	flash   string
}

// operator is the id of the operator that the page is about.
func (q *request) operator() string { return q.account.ID }

// by is who asks, for the audit log.
func (q *request) by() waypost.Actor { return q.session.Actor() }

// isStaff reports whether somebody of the platform asks, for an operator or not.
func (q *request) isStaff() bool { return q.session.User.OperatorID == "" }

// reads reports whether a person may only look because its operator is suspended.
func (q *request) reads() bool { return q.account != nil && q.account.Suspended && !q.isStaff() }

// mayWrite reports whether the person may change what the page shows.
func (q *request) mayWrite() bool {
	if q.page.access == platformRead || q.page.access == platformWrite {
		return platformWrite.allows(q.session)
	}
	return tenantWrite.allows(q.session) && !q.reads()
}

// value is a field of the form or the query, without space around it.
func (q *request) value(name string) string { return strings.TrimSpace(q.FormValue(name)) }

// isFragment reports whether htmx asks for a part of a page.
func (q *request) isFragment() bool { return q.Header.Get("HX-Request") == "true" }

// unattended reports whether a browser may have asked by itself. That is whatever a script
// reads: pages that are open do so to stay up to date, and what people do opens a page or
// sends a form. It is also what everybody may see, of which some loads itself again without
// scripts. So a new live part cannot keep a session alive by accident.
func (q *request) unattended() bool {
	reads := q.Method == http.MethodGet || q.Method == http.MethodHead
	return reads && (q.isFragment() || q.page.access == anybody)
}

// show answers with a whole page.
func (q *request) show(title string, content templ.Component) error {
	return q.showStatus(http.StatusOK, title, content)
}

func (q *request) showStatus(status int, title string, content templ.Component) error {
	return q.render(status, view.Layout(q.frame(title), content))
}

// fragment answers with a part of a page.
func (q *request) fragment(content templ.Component) error { return q.render(http.StatusOK, content) }

// render sends a component, or nothing of it if it fails.
func (q *request) render(status int, c templ.Component) error {
	var out bytes.Buffer
	if err := c.Render(q.Context(), &out); err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", q.Code)
	q.w.WriteHeader(status)
	_, _ = q.w.Write(out.Bytes()) // a client that is gone reads nothing
	return nil
}

// redirect leads to a page, which says what was just done: flash is the key of a text
// below flash, "" for nothing.
func (q *request) redirect(path, flash string) error {
	if flash != "" {
		q.setCookie(flashCookie, flash, time.Minute)
	}
	if q.isFragment() { // a script would follow, and miss what the page says
		q.w.Header().Set("HX-Redirect", path)
		q.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Redirect(q.w, q.Request, path, http.StatusSeeOther) //nolint:gosec // callers give paths of ours, or what local made one
	return nil
}

// frame is what is around the page's content.
func (q *request) frame(title string) view.Page {
	p := view.Page{
		Locale: q.Locale, Title: title, Brand: q.panel.Brand, Asset: q.panel.assets.url, Theme: q.theme, Path: q.URL.Path,
	}
	if q.flash != "" && q.Method == http.MethodGet && !q.isFragment() {
		p.Flash = q.T("flash." + q.flash)
		q.setCookie(flashCookie, "", 0) // said once, and not on a redirect that nobody sees
	}
	if q.session == nil {
		return p
	}
	p.User = q.session.User.Name
	if p.User == "" {
		p.User = q.session.User.Login
	}
	p.Nav = q.panel.navigation(q)
	if q.account != nil && q.session.ActingFor != "" {
		p.Acting = q.account.Name
	}
	return p
}

// Cookies: what a browser keeps for us.
const (
	sessionCookie = "waypost_session"
	flashCookie   = "waypost_flash"
	themeCookie   = "waypost_theme"
	langCookie    = "waypost_lang"
)

// tls reports whether browsers reach this server by TLS.
func (q *request) tls() bool { return strings.HasPrefix(q.base, "https://") }

// cookieName is the name under which a browser keeps a cookie. With this prefix it takes it by
// TLS and from this very host only (RFC 6265bis section 4.1.3.2): no other host of the domain
// can plant a session.
func (q *request) cookieName(name string) string {
	if q.tls() {
		return "__Host-" + name
	}
	return name
}

// setCookie sets a cookie that scripts cannot read; a life of 0 ends it.
func (q *request) setCookie(name, value string, life time.Duration) {
	c := &http.Cookie{ //nolint:gosec // Secure wherever the client came by https
		Name: q.cookieName(name), Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: q.tls(), MaxAge: int(life.Seconds()),
	}
	if life == 0 {
		c.MaxAge = -1
	}
	http.SetCookie(q.w, c)
}

func (q *request) cookie(name string) string {
	c, err := q.Cookie(q.cookieName(name))
	if err != nil {
		return ""
	}
	return c.Value
}

// with returns the address of this page with some parameters of the query changed; ""
// leaves one out.
func (q *request) with(pairs ...string) string {
	values := url.Values{}
	maps.Copy(values, q.URL.Query())
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Del(pairs[i])
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	if len(values) == 0 {
		return q.URL.Path
	}
	return q.URL.Path + "?" + values.Encode()
}

// pages are the addresses of a list's beginning, if this page is not it, and of its next
// page, if there is one. Beside the cursor they leave out what is about this page only.
func (q *request) pages(cursor, next string, without ...string) (first, following string) {
	var pairs []string
	for _, name := range without {
		pairs = append(pairs, name, "")
	}
	if cursor != "" {
		first = q.with(append(pairs, "cursor", "")...)
	}
	if next != "" {
		following = q.with(append(pairs, "cursor", next)...)
	}
	return first, following
}

// enter finds out who asks and in which language and colors they want to be answered.
func (p *panel) enter(w http.ResponseWriter, r *http.Request, pg page) *request {
	q := &request{Request: r, w: w, panel: p, page: pg, peer: p.front.Peer(r), base: p.front.Base(r)}
	q.theme = q.cookie(themeCookie)
	if q.theme != "light" && q.theme != "dark" {
		q.theme = "auto"
	}
	chosen := r.URL.Query().Get("lang")
	if locale.Known(chosen) {
		q.setCookie(langCookie, chosen, 365*24*time.Hour)
	} else {
		chosen = q.cookie(langCookie)
	}
	q.Locale = p.texts.Locale(p.texts.Match(chosen, r.Header.Get("Accept-Language")), "")
	if flash := q.cookie(flashCookie); q.Has("flash." + flash) {
		q.flash = flash
	}
	return q
}

// greet takes the session and the language of its user.
func (q *request) greet(s *auth.Session) {
	q.session = s
	code := s.User.Language
	if !locale.Known(code) {
		code = q.Code
	}
	q.Locale = q.panel.texts.Locale(code, s.User.TimeZone)
}

// accountOf reads the operator that the session is about.
func (p *panel) accountOf(ctx context.Context, s *auth.Session) (*waypost.Account, error) {
	id := s.Operator()
	if id == "" {
		return nil, nil //nolint:nilnil // staff that acts for nobody
	}
	return p.Directory.Get(ctx, id)
}
