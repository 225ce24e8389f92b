package panel

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"slices"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/web"
)

// resendForm is the form for handing a mail over once more, as typed.
type resendForm struct {
	to, key string
	problem string
}

// showResend is the form. Its key makes two clicks one mail.
func (q *request) showResend(m *oneMessage, f resendForm) *view.Resend {
	if f.key == "" {
		f.key = rand.Text()
	}
	if f.to == "" && f.problem == "" && len(m.deliveries) == 1 {
		f.to = m.deliveries[0].Recipient
	}
	return &view.Resend{Path: m.path() + "/resend", Key: f.key, Open: f.problem != "", To: view.Field{
		Name: "to", Label: q.T("resend.to"), Hint: q.T("resend.hint"), Value: f.to, Error: f.problem, Type: "email", Auto: "off", Required: true, Max: 254,
	}}
}

// resendMessage hands the content of a message over once more, as a mail of its own. It
// goes through the accept pipeline as every mail does, but for the signature, which is in
// it already.
func (p *panel) resendMessage(q *request) error {
	m, list, err := q.findMessage()
	if err != nil {
		return err
	}
	if list != "" || m.Kind == waypost.KindTest {
		return waypost.NewError(waypost.NotFound, "not_found", "")
	}
	f := resendForm{to: q.typed("to", 254), key: q.typed("key", 40)}
	if _, _, err := waypost.SplitAddress(f.to); err != nil {
		f.problem = q.T("resend.bad_address")
		return q.showMessage(m, messageShown{status: http.StatusUnprocessableEntity, resend: f})
	}
	memory, err := q.remember(m.Size, web.TakenApart)
	if err != nil {
		return err
	}
	defer memory.Release()
	s, err := q.resubmission(m, f)
	if err != nil {
		return err
	}
	got, err := p.Accepter.Accept(q.Context(), s)
	memory.Release() // the page after an error takes its own
	if e := waypost.AsError(err); err != nil {
		if e.Kind == waypost.Internal {
			return err
		}
		f.problem = e.Message
		if q.Has("problem." + e.Code) {
			f.problem = q.T("problem." + e.Code)
		}
		status, _ := web.Status(e.Kind)
		return q.showMessage(m, messageShown{status: status, resend: f})
	}
	return q.redirect("/messages/"+got.ID, "resent")
}

// resubmission is the stored mail as a submission of the person.
func (q *request) resubmission(m *oneMessage, f resendForm) (waypost.Submission, error) {
	header, body, err := q.panel.Store.Content(q.Context(), q.operator(), m.ID)
	if err != nil {
		return waypost.Submission{}, err
	}
	to := f.to
	if slices.ContainsFunc(m.deliveries, func(d waypost.Delivery) bool {
		return store.NormalizeAddress(d.Recipient) == store.NormalizeAddress(f.to)
	}) {
		to = "" // one of the mail's own: it keeps its To and Cc
	}
	if header, err = message.Again(header, to); err != nil {
		return waypost.Submission{}, err
	}
	s := waypost.Submission{
		Principal: q.principal(), OperatorID: q.operator(), Source: "panel", Peer: q.peer, Protocol: "HTTP", MailFrom: m.MailFrom,
		Recipients: []string{f.to}, Message: slices.Concat(header, body), Clean: true, Kind: m.Kind, Lane: m.Lane, Tags: m.Tags, Metadata: m.Metadata,
		Again: &waypost.Again{Of: m.ID, By: q.by()},
	}
	if f.key != "" {
		s.IdempotencyKey = "resend " + m.ID + " " + f.key
	}
	if bytes.ContainsFunc(header, func(r rune) bool { return r >= 0x80 }) { // such a mail needs SMTPUTF8 (RFC 6532)
		s.Protocol = "UTF8HTTP"
	}
	s.Principal.Test = m.Test // mail of a test key stays in the sandbox
	if m.Lane == waypost.LaneAlarm {
		s.Principal.Scopes = append(s.Principal.Scopes, waypost.ScopeAlarm) // who handed it over first had it
	}
	return s, nil
}
