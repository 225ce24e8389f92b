package panel

import (
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/limit"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/unsubscribe"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) unsubscribeRoutes() []page {
	return []page{
		{"GET " + unsubscribe.Path + "{token}", anybody, p.unsubscribePage},
		{"POST " + unsubscribe.Path + "{token}", anybody, p.unsubscribe},
		{"POST " + unsubscribe.Path + "{token}/back", anybody, p.resubscribe},
	}
}

// The body of a mail program's request (RFC 8058 section 3.2), and the field that says so in
// our own form.
const (
	oneClickField = "List-Unsubscribe"
	oneClick      = "One-Click"
	onPageField   = "unsubscribe"
	maxOneClick   = 8 << 10 // bytes
)

// optOut is what a link stands for, and whose it is.
type optOut struct {
	unsubscribe.Link
	operator string // its name; "" for one that is gone
}

// optOut reads the link of a page. Nobody signs in for it and no cookie counts: the token is
// what does, and all that can be done with it is said in it. Without ok the answer is given.
func (q *request) optOut() (o optOut, ok bool, err error) {
	p, h := q.panel, q.w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Robots-Tag", "noindex, nofollow, noarchive")
	q.hush()
	q.session, q.account = nil, nil // the page is the same for everybody
	q.Locale = p.texts.Locale(p.texts.Match(chosenLanguage(q), q.Header.Get("Accept-Language")), "")

	o.Link, ok = p.Unsubscribe.Read(q.PathValue("token"))
	network := limit.Network(q.peer)
	switch {
	case !ok && !p.guesses.Allow(network), ok && !p.optOuts.Allow(network), ok && q.Method == http.MethodPost && !p.words.Allow(o.OperatorID+" "+o.Address):
		q.w.Header().Set("Retry-After", "60")
		return o, false, q.showOptOut(http.StatusTooManyRequests, "too_many", view.OptOut{})
	case !ok:
		return o, false, q.showOptOut(http.StatusNotFound, "bad", view.OptOut{})
	}
	account, err := p.Directory.Get(q.Context(), o.OperatorID)
	if err != nil && waypost.KindOf(err) != waypost.NotFound {
		return o, false, err
	}
	if err != nil { // what was asked for is so for ever
		status := http.StatusGone
		if q.Method == http.MethodPost {
			status = http.StatusOK
		}
		return o, false, q.showOptOut(status, "gone", view.OptOut{})
	}
	o.operator = account.Name
	return o, true, nil
}

// unsubscribePage asks. It changes nothing: whatever looks at mail follows its links.
func (p *panel) unsubscribePage(q *request) error {
	o, ok, err := q.optOut()
	if !ok {
		return err
	}
	return q.showOptOut(http.StatusOK, "ask", q.optOutView(o, "ask"))
}

// unsubscribe takes a mail program's word, or that of a person on the page.
func (p *panel) unsubscribe(q *request) error {
	o, ok, err := q.optOut()
	if !ok {
		return err
	}
	q.Body = http.MaxBytesReader(q.w, q.Body, maxOneClick)
	if err := q.ParseMultipartForm(maxOneClick); err != nil && q.PostForm == nil { //nolint:gosec // bounded above
		return waypost.NewError(waypost.Invalid, "malformed", "")
	}
	via := waypost.ViaPage
	switch {
	case q.PostForm.Get(oneClickField) == oneClick:
		via = waypost.ViaOneClick
	case !q.PostForm.Has(onPageField): // whatever that was, nobody asked for this
		return q.showOptOut(http.StatusBadRequest, "ask", q.optOutView(o, "ask"))
	}
	if !o.Test {
		if err := p.Accounts.Unsubscribe(q.Context(), waypost.Suppression{
			OperatorID: o.OperatorID, Address: o.Address, Kind: o.Kind, MessageID: o.MessageID, Via: via,
		}); err != nil {
			return err
		}
	}
	if via == waypost.ViaOneClick { // a program reads no page
		q.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(q.w, "Unsubscribed.\n") // a client that is gone reads nothing
		return nil
	}
	return q.showOptOut(http.StatusOK, "done", q.optOutView(o, "done"))
}

// resubscribe takes the word back.
func (p *panel) resubscribe(q *request) error {
	o, ok, err := q.optOut()
	if !ok {
		return err
	}
	if !o.Test {
		if err := p.Accounts.Resubscribe(q.Context(), o.OperatorID, o.Address, o.Kind); err != nil {
			return err
		}
	}
	return q.showOptOut(http.StatusOK, "back", q.optOutView(o, "back"))
}

func (q *request) optOutView(o optOut, text string) view.OptOut {
	path := unsubscribe.Path + q.PathValue("token")
	v := view.OptOut{Operator: o.operator, Text: q.T("unsubscribe."+text, "What", q.Label("unsubscribe_kind", string(o.Kind)), "Operator", o.operator, "Address", masked(o.Address))}
	switch text {
	case "ask":
		v.Action = path
	case "done":
		v.Back = path + "/back"
	}
	if o.Test && text != "ask" {
		v.Test = q.T("unsubscribe.test")
	}
	return v
}

// showOptOut answers with the page of a state. What has no text of its own gets the state's.
func (q *request) showOptOut(status int, state string, v view.OptOut) error {
	title := "unsubscribe." + state + "_title"
	if state == "ask" {
		title = "unsubscribe.title"
	}
	if v.Text == "" {
		v.Text = q.T("unsubscribe." + state)
	}
	return q.render(status, view.OptOutDocument(q.frame(q.T(title)), v))
}

// masked shows as much of an address as its owner needs to know it: who has nothing but the
// link, from the log of some proxy, learns no more.
func masked(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 {
		return "…"
	}
	_, size := utf8.DecodeRuneInString(address)
	return address[:size] + "…" + address[at:]
}
