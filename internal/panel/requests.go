package panel

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/testmail"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) requestsRoutes() []page {
	return []page{
		{"GET /platform/requests", platformRead, p.requestsPage},
		{"GET /platform/requests/{id}", platformRead, p.requestPage},
		{"POST /platform/requests/{id}/approve", platformWrite, p.approveSender},
		{"POST /platform/requests/{id}/reject", platformWrite, p.rejectSender},
		{"GET /platform/domain-keys/{id}", platformWrite, p.keyPage},
		{"POST /platform/domain-keys/{id}", platformWrite, p.setKey},
	}
}

const (
	requestsOnPage = 50
	approvalWait   = time.Minute // for the test mail to come back
)

func (p *panel) requestsPage(q *request) error {
	v := view.Requests{Write: q.mayWrite(), Automatic: !p.Approve, Upstream: p.UpstreamSigns}
	after, afterKey := q.URL.Query().Get("after"), q.URL.Query().Get("after_key")
	senders, err := p.Accounts.SenderRequests(q.Context(), after, requestsOnPage+1)
	if err != nil {
		return err
	}
	for _, s := range senders[:min(len(senders), requestsOnPage)] {
		v.Senders = append(v.Senders, q.requestRow(s))
	}
	if after != "" {
		v.First = q.with("after", "")
	}
	if len(senders) > requestsOnPage {
		v.Next = q.with("after", senders[requestsOnPage-1].ID)
	}
	if !p.UpstreamSigns {
		return q.show(q.T("requests.title"), view.RequestsPage(q.frame(""), v))
	}
	keys, err := p.Accounts.KeyRequests(q.Context(), afterKey, requestsOnPage+1)
	if err != nil {
		return err
	}
	for _, k := range keys[:min(len(keys), requestsOnPage)] {
		v.Keys = append(v.Keys, view.KeyRow{ID: k.ID, Domain: k.Name, OperatorID: k.OperatorID, Operator: k.Operator, Since: q.since(k.Created)})
	}
	if afterKey != "" {
		v.FirstKey = q.with("after_key", "")
	}
	if len(keys) > requestsOnPage {
		v.NextKey = q.with("after_key", keys[requestsOnPage-1].ID)
	}
	return q.show(q.T("requests.title"), view.RequestsPage(q.frame(""), v))
}

func (q *request) requestRow(s account.SenderRequest) view.RequestRow {
	return view.RequestRow{
		ID: s.ID, Address: s.Address, Name: s.Name, OperatorID: s.OperatorID, Operator: s.Operator,
		State: s.Domain, Label: q.Label("domain_state", s.Domain), Since: q.since(s.Created),
	}
}

// since is a moment and how long ago it was.
func (q *request) since(t time.Time) string {
	return q.Moment(t) + " (" + q.Took(q.panel.Now().Sub(t)) + ")"
}

func (p *panel) requestPage(q *request) error {
	c, err := p.Accounts.Candidate(q.Context(), q.PathValue("id"))
	if err != nil {
		return err
	}
	return q.showRequest(http.StatusOK, c, view.Request{})
}

// showRequest shows the page of a sender that waits; v has what went wrong.
func (q *request) showRequest(status int, c account.Candidate, v view.Request) error {
	v.Row = q.requestRow(account.SenderRequest{Sender: c.Sender, Operator: c.Account.Name, Domain: c.Domain})
	v.Write, v.Ready, v.Receives, v.From = q.mayWrite(), c.Ready, q.panel.Tester.Receives(), account.Mailbox(c.From)
	v.Reason.Name, v.Reason.Label, v.Reason.Hint = "reason", q.T("requests.reason"), q.T("requests.reason_hint")
	v.Reason.Required, v.Reason.Max = true, 1000
	return q.showStatus(status, c.Sender.Address, view.RequestPage(q.frame(""), v))
}

// approveSender assigns a sender after a test mail that left with its address came back
// and was believed. Where no mail comes in, somebody has to say that it was checked by
// other means.
func (p *panel) approveSender(q *request) error {
	c, err := p.Accounts.Candidate(q.Context(), q.PathValue("id"))
	if err != nil {
		return err
	}
	switch {
	case !c.Ready:
		return q.showRequest(http.StatusConflict, c, view.Request{Problem: q.T("requests.not_ready")})
	case p.Tester.Receives():
		got, err := p.tryCandidate(q, c)
		if text, ok := q.problemText(err); err != nil && ok {
			return q.showRequest(http.StatusConflict, c, view.Request{Problem: text})
		}
		if err != nil {
			return err
		}
		if why := got.Objection(c.From.Email); why != testmail.NoObjection {
			return q.showRequest(http.StatusConflict, c, q.objection(got, why, c.From.Email))
		}
	case q.value("force") != "true":
		return q.showRequest(http.StatusConflict, c, view.Request{Problem: q.T("requests.force_about")})
	}
	assigned, err := p.Accounts.AssignSender(q.Context(), q.by(), c.Sender)
	if err != nil {
		return err
	}
	if p.Notices != nil {
		p.Notices.SendersAssigned(q.Context(), assigned.OperatorID, []waypost.Sender{assigned})
	}
	return q.redirect("/platform/requests", "sender_approved")
}

// tryCandidate sends a test mail as it would leave with the sender assigned, and waits
// until it has come back.
func (p *panel) tryCandidate(q *request, c account.Candidate) (testmail.Snapshot, error) {
	run, err := p.Tester.Send(q.Context(), testmail.Request{
		Principal: waypost.Principal{
			UserID: q.session.User.ID, OperatorID: c.Account.ID, Platform: true, Scopes: []waypost.Scope{waypost.ScopeSend}, FromPolicy: waypost.FromReplace,
		},
		Peer: q.peer, Account: c.Account, Verify: true, From: c.From, Unlimited: true,
		Subject: q.T("requests.mail_subject", "Address", c.From.Email), Text: q.T("requests.mail_text", "Address", c.From.Email) + "\n",
	})
	if err != nil {
		return testmail.Snapshot{}, err
	}
	run.Wait(q.Context(), approvalWait)
	return run.Snapshot(), nil
}

// objection says why a sender did not pass its test.
func (q *request) objection(got testmail.Snapshot, why testmail.Objection, from string) view.Request {
	v := view.Request{Problem: q.T("objection."+string(why), "Address", from)}
	if got.Attempt != nil && why == testmail.NotDelivered {
		v.Words = append(v.Words, cmp.Or(got.Attempt.Reply.String(), got.Reason))
	}
	if r := got.Reception; r != nil {
		v.Words = append(slices.Clone(r.Problems), r.Results)
	}
	v.Words = slices.DeleteFunc(v.Words, func(text string) bool { return text == "" })
	return v
}

func (p *panel) rejectSender(q *request) error {
	reason := q.value("reason")
	rejected, err := p.Accounts.RejectSender(q.Context(), q.by(), q.PathValue("id"), reason)
	if problems, other := q.fieldProblems(err, "requests"); err != nil && other == nil {
		c, err := p.Accounts.Candidate(q.Context(), q.PathValue("id"))
		if err != nil {
			return err
		}
		return q.showRequest(http.StatusUnprocessableEntity, c, view.Request{Reason: view.Field{Value: reason, Error: problems["reason"]}})
	}
	if err != nil {
		return err
	}
	if p.Notices != nil {
		p.Notices.SenderRejected(q.Context(), rejected)
	}
	return q.redirect("/platform/requests", "sender_rejected")
}

func (p *panel) keyPage(q *request) error { return q.showKey(http.StatusOK, "", "") }

// showKey shows the form of a domain's key; key is what is typed, problem what is wrong
// with it.
func (q *request) showKey(status int, key, problem string) error {
	d, err := q.panel.System.AnyDomain(q.Context(), q.PathValue("id"))
	if err != nil {
		return err
	}
	operator, err := q.panel.Store.Operator(q.Context(), d.OperatorID)
	if err != nil {
		return err
	}
	v := view.KeyForm{
		Row: view.KeyRow{ID: d.ID, Domain: d.Name, OperatorID: d.OperatorID, Operator: operator.Name, Since: q.since(d.Created)},
		Key: view.Field{Name: "key", Label: q.T("requests.key"), Value: key, Error: problem, Auto: "off", Required: true, Mono: true, Max: 200},
	}
	return q.showStatus(status, d.Name, view.KeyPage(q.frame(""), v))
}

func (p *panel) setKey(q *request) error {
	d, err := p.Accounts.SetDomainProof(q.Context(), q.by(), q.PathValue("id"), q.value("key"))
	if problems, other := q.fieldProblems(err, "requests"); err != nil && other == nil {
		return q.showKey(http.StatusUnprocessableEntity, q.value("key"), problems["key"])
	}
	if err != nil {
		return err
	}
	p.firstCheck(q, d)
	return q.redirect("/platform/requests", "saved")
}
