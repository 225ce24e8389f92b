package panel

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/testmail"
	"github.com/waypost/waypost/internal/waypost"
)

// principal is the person as the accept pipeline knows one.
func (q *request) principal() waypost.Principal {
	return waypost.Principal{
		UserID: q.session.User.ID, OperatorID: q.operator(), Platform: q.session.User.OperatorID == "",
		Scopes: []waypost.Scope{waypost.ScopeSend}, FromPolicy: waypost.FromReplace,
	}
}

// testEmail sends test mails over the settings on the screen, saved or not: one to an
// address, and one that comes back to us, if that is possible.
func (p *panel) testEmail(q *request) error {
	f := typedForm(q)
	tested, err := p.Accounts.Preview(q.Context(), q.operator(), f.update())
	if err != nil {
		problems, err := q.emailProblems(err)
		if err != nil {
			return err
		}
		return q.refuseTest(f, problems)
	}
	run, err := p.Tester.Send(q.Context(), testmail.Request{
		Principal: q.principal(), Account: tested, To: q.value("to"),
		Subject: q.T("testmail.subject", "Name", tested.Name), Text: q.testText(tested),
	})
	if err != nil {
		switch e := waypost.AsError(err); {
		case e.Field == "to":
			return q.refuseTest(f, map[string]string{"to": q.T("email.wrong_to")})
		case e.Kind == waypost.RateLimited:
			return q.refuseTest(f, map[string]string{"to": q.T("test.too_many")})
		case e.Code == "operator_suspended", e.Code == "gateway_paused": // no gateway is not what is wrong
			return q.refuseTest(f, map[string]string{"gateway": q.T("problem." + e.Code)})
		case e.Kind == waypost.NoGateway:
			return q.refuseTest(f, map[string]string{"gateway": q.T("email.warn_none")})
		default:
			return err
		}
	}
	path := "/settings/email/test/" + run.Snapshot().ID
	if p.Tester.Receives() {
		// What it proves is beside the point of the first, so its failing is no failure.
		check, err := p.Tester.Send(q.Context(), testmail.Request{Principal: q.principal(), Account: tested, Verify: true})
		if err == nil {
			path += "?check=" + check.Snapshot().ID
		}
	}
	if q.isFragment() {
		return p.renderTest(q, path, run.Snapshot(), p.check(q, path))
	}
	return q.redirect(path, "")
}

// testText is the text of a test mail in the reader's language.
func (q *request) testText(a *waypost.Account) string {
	over := q.Label("gateway", string(a.Gateway))
	if a.Gateway == waypost.GatewaySMTP && a.Relay != nil {
		over = a.Relay.Host
	}
	return q.T("testmail.text", "Name", a.Name, "Over", over, "When", q.Exactly(q.panel.Now())) + "\n"
}

// refuseTest says what is wrong where the test would be shown, or on the whole page.
func (q *request) refuseTest(f emailForm, problems map[string]string) error {
	if q.isFragment() {
		var list []string
		for _, name := range []string{"to", "gateway", "host", "port", "security", "username", "password", "from_email", "reply_to", "signature_text", "signature_html"} {
			if text, ok := problems[name]; ok {
				list = append(list, q.T("email."+name)+": "+text)
			}
		}
		return q.fragment(view.EmailTestRefused(q.frame(""), list))
	}
	saved, err := q.panel.Accounts.EmailSettings(q.Context(), q.operator())
	if err != nil {
		return err
	}
	return q.showEmail(http.StatusUnprocessableEntity, saved, f, problems)
}

// showTest shows how far a test mail is.
func (p *panel) showTest(q *request) error {
	run, err := p.Tester.Find(q.Context(), q.operator(), q.PathValue("id"))
	if err != nil {
		return err
	}
	return p.renderTest(q, q.URL.RequestURI(), run.Snapshot(), p.check(q, q.URL.RequestURI()))
}

// check finds the mail that comes back, if there is one.
func (p *panel) check(q *request, path string) *testmail.Snapshot {
	_, id, ok := strings.Cut(path, "?check=")
	if !ok {
		return nil
	}
	run, err := p.Tester.Find(q.Context(), q.operator(), id)
	if err != nil {
		return nil
	}
	s := run.Snapshot()
	return &s
}

func (p *panel) renderTest(q *request, path string, s testmail.Snapshot, check *testmail.Snapshot) error {
	v := view.EmailTest{Path: path, To: s.To, Done: s.Done, OK: s.State == waypost.Delivered, Receives: p.Tester.Receives()}
	v.Live = !s.Done || check != nil && (!check.Done || check.Awaited)
	if check != nil && check.Awaited && p.Now().Sub(started(check)) > giveUpAfter {
		v.Live = !s.Done
	}
	for _, step := range s.Steps {
		row := view.EmailStep{
			Phase: q.Label("phase", string(step.Phase)), OK: step.OK, Took: q.Took(time.Duration(step.Millis) * time.Millisecond), Detail: step.Detail, Reply: step.Reply,
		}
		var size int64
		if n, _ := fmt.Sscanf(step.Detail, "(%d bytes)", &size); n == 1 { // after DATA, the mail itself
			row.Phase, row.Detail = q.T("phase.content"), q.Size(size)
		}
		v.Steps = append(v.Steps, row)
	}
	switch {
	case v.OK:
		v.Summary = q.T("test.delivered")
		if s.Attempt != nil {
			v.Reply = s.Attempt.Reply.String()
		}
	case s.Done && s.Attempt != nil:
		advice := classify.Advise(classify.FailureOf(s.Attempt, s.Relay))
		v.Summary, v.Reply, v.Field = q.Advice(advice), s.Attempt.Reply.String(), adviceField(advice.Field)
		if v.Field != "" {
			v.FieldLabel = q.T("email." + v.Field)
		}
	case s.Done:
		v.Summary = cmp.Or(s.Reason, q.T("test.ended", "State", q.Label("state", string(s.State))))
	}
	v.Check = q.showCheck(s, check)
	if v.Done && !v.OK && v.Check != nil && v.Check.Missing {
		v.Check = nil // the first says why already
	}
	if q.isFragment() {
		return q.fragment(view.EmailTestPart(q.frame(""), v))
	}
	return q.show(q.T("test.title"), view.EmailTestPage(q.frame(""), v))
}

// giveUpAfter is how long a page asks for a mail that does not come back.
const giveUpAfter = 2 * time.Minute

func started(s *testmail.Snapshot) time.Time {
	if len(s.Steps) == 0 {
		return time.Time{}
	}
	return s.Steps[0].Started
}

// adviceField is the field of our form that advice is about.
func adviceField(field string) string {
	return map[string]string{
		"gateway.host": "host", "gateway.port": "port", "gateway.security": "security", "gateway.trust_all": "trust_all",
		"gateway.auth.username": "username", "gateway.auth.password": "password", "from": "from_email", "to": "to",
	}[field]
}

// showCheck is what a receiver makes of our mail, in sentences.
func (q *request) showCheck(s testmail.Snapshot, check *testmail.Snapshot) *view.EmailCheck {
	if check == nil {
		return nil
	}
	r := check.Reception
	switch {
	case r == nil && (!check.Done || check.Awaited):
		return &view.EmailCheck{Waiting: true}
	case r == nil:
		return &view.EmailCheck{Missing: true}
	}
	c := &view.EmailCheck{
		From: r.From, Peer: r.Peer, TLS: cmp.Or(r.TLS, q.T("check.no_tls")), Size: q.Size(int64(r.Size)), Took: q.Took(r.Latency), Results: r.Results,
		SPF: r.SPF.Result, DKIM: "none", DMARC: r.DMARC.Result,
	}
	for _, d := range r.DKIM {
		if c.DKIM == "none" || d.Result == "pass" && d.Aligned {
			c.DKIM = d.Result
		}
	}
	say := func(key string, pairs ...any) { c.Sentences = append(c.Sentences, q.T("check."+key, pairs...)) }
	if r.DMARC.Result == "pass" {
		say("dmarc_pass")
	} else {
		say("dmarc_fail", "Domain", waypost.DomainOf(r.From))
	}
	if r.SPF.Result != "pass" {
		say("spf_fail", "Domain", r.SPF.Domain)
	} else if !r.SPF.Aligned {
		say("spf_other", "Domain", r.SPF.Domain)
	}
	switch {
	case len(r.DKIM) == 0:
		say("dkim_none")
	case c.DKIM != "pass":
		say("dkim_fail")
	}
	if r.TLS == "" {
		say("plain")
	}
	return c
}

// previewSignature shows a mail with the signature on the screen, as text or as HTML. It
// answers into a frame.
func (p *panel) previewSignature(q *request) error {
	f := typedForm(q)
	sig := waypost.Signature{Text: strings.TrimRight(f.signatureText, "\n "), HTML: strings.TrimRight(f.signatureHTML, "\n ")}
	if !q.mayWrite() { // whose fields are disabled, and not sent
		saved, err := p.Accounts.EmailSettings(q.Context(), q.operator())
		if err != nil {
			return err
		}
		sig = waypost.Signature{Text: saved.Signature.Text, HTML: saved.Signature.HTML}
	}
	text, err := q.signed(message.Composition{Text: q.T("preview.text") + "\n"}, sig)
	if err != nil {
		return err
	}
	html, err := q.signed(message.Composition{HTML: "<html><body><p>" + q.T("preview.text") + "</p></body></html>"}, sig)
	if err != nil {
		return err
	}
	h := q.w.Header()
	// The mail is shown as it is but runs nothing and fetches nothing.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox")
	if q.value("part") == "html" {
		h.Set("Content-Type", "text/html; charset=utf-8")
		_, err = io.WriteString(q.w, html) //nolint:gosec // the policy above lets it run nothing
	} else {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		_, err = io.WriteString(q.w, text) //nolint:gosec // plain text
	}
	return err
}

// signed returns the body of a mail with one part after a signature was appended.
func (q *request) signed(c message.Composition, sig waypost.Signature) (string, error) {
	c.From, c.To, c.Subject = waypost.Address{Email: "preview@example.com"}, []waypost.Address{{Email: "you@example.com"}}, "Preview"
	header, body, err := message.Compose(c)
	if err != nil {
		return "", err
	}
	header, body, _, _ = message.AppendSignature(header, body, sig)
	r := message.Read(header, body)
	for _, part := range []*message.Part{r.HTML, r.Text} {
		if part != nil {
			return string(part.Bytes()), nil // in UTF-8, as it was composed
		}
	}
	return "", nil
}
