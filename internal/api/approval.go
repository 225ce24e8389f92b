package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/testmail"
	"github.com/waypost/waypost/internal/waypost"
)

func (s *server) registerApproval() {
	register(s, operation{
		ID: "list-waiting-senders", Method: http.MethodGet, Path: "/v1/platform/senders", Tag: "Platform", Status: http.StatusOK,
		Summary: "List senders that wait", Description: "The requested senders of all operators, oldest first.",
	}, s.listWaitingSenders)
	register(s, operation{
		ID: "approve-sender", Method: http.MethodPost, Path: "/v1/platform/senders/{id}/approve", Tag: "Platform", Status: http.StatusOK,
		Summary: "Approve a sender",
		Description: "Its domain must be authorized. A test mail leaves with exactly this From (postmaster for any address at a domain), over the " +
			"built-in gateway, and must come back to this server with dmarc=pass; only then the sender is assigned and the operator gets a mail. " +
			"The answer waits for that, up to a minute.",
	}, s.approveSender)
	register(s, operation{
		ID: "reject-sender", Method: http.MethodPost, Path: "/v1/platform/senders/{id}/reject", Tag: "Platform", Status: http.StatusOK,
		Summary: "Reject a sender",
		Description: "The operator gets a mail with the reason. An assigned sender can be rejected too. To ask again, the operator removes the sender " +
			"and adds it.",
	}, s.rejectSender)
	register(s, operation{
		ID: "list-waiting-domains", Method: http.MethodGet, Path: "/v1/platform/domains", Tag: "Platform", Status: http.StatusOK,
		Summary: "List domains that wait for a key", Description: "Of all operators, oldest first. Only where the upstream relay signs there are any.",
	}, s.listWaitingDomains)
	register(s, operation{
		ID: "set-domain-key", Method: http.MethodPut, Path: "/v1/platform/domains/{id}/key", Tag: "Platform", Status: http.StatusOK,
		Summary: "Enter the upstream's key of a domain",
		Description: "Where the upstream relay signs, it asks for a key of its own in each domain's ownership record. With another key than before " +
			"ownership has to be proven anew.",
	}, s.setDomainKey)
}

// waitingSender is a sender that the platform's support decides about.
type waitingSender struct {
	ID           string `json:"id"`
	Address      string `json:"address"`
	Name         string `json:"name"`
	OperatorID   string `json:"operator_id"`
	OperatorName string `json:"operator_name"`
	DomainState  string `json:"domain_state" enum:"unclaimed,claimed,proven,authorized,platform" doc:"Of its domain with this operator. platform: the address is at the platform's own domain."`
	CreatedAt    string `json:"created_at" format:"date-time"`
}

func (s *server) listWaitingSenders(ctx context.Context, _ *caller, in *struct{ Paging }) (*answer[Page[waitingSender]], error) {
	found, err := s.Accounts.SenderRequests(ctx, in.Cursor, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := Page[waitingSender]{Items: []waitingSender{}}
	for _, sender := range found {
		if len(page.Items) == in.Limit {
			page.Next = page.Items[in.Limit-1].ID
			break
		}
		page.Items = append(page.Items, waitingSender{
			ID: sender.ID, Address: sender.Address, Name: sender.Name, OperatorID: sender.OperatorID, OperatorName: sender.Operator,
			DomainState: sender.Domain, CreatedAt: stamp(sender.Created),
		})
	}
	return &answer[Page[waitingSender]]{page}, nil
}

type approveSenderInput struct {
	ByID
	Body *approval
}

// approval is how to approve a sender.
type approval struct {
	Force bool `json:"force,omitempty" doc:"Approve without a test mail where this server cannot receive one. Where it can, the test mail decides all the same."`
}

func (s *server) approveSender(ctx context.Context, c *caller, in *approveSenderInput) (*answer[sender], error) {
	candidate, err := s.Accounts.Candidate(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !candidate.Ready {
		return nil, waypost.NewError(waypost.Conflict, "domain_not_authorized", fmt.Sprintf(
			"mail cannot leave with %s yet: the domain %s is not authorized. The operator publishes its records (GET /v1/domains/{id} shows what is "+
				"missing, and a link made there can go to whoever runs the DNS); approve the sender after that",
			candidate.Sender.Address, waypost.DomainOf(candidate.Sender.Address)))
	}
	if s.Tests.Receives() {
		err = s.tryCandidate(ctx, c, candidate)
	} else if in.Body == nil || !in.Body.Force {
		err = waypost.NewError(waypost.Conflict, "verify_impossible",
			"this server does not receive mail (WAYPOST_BOUNCE_ADDR is off), so it cannot send the address a test mail and check it. "+
				`Check it by other means and approve with {"force": true}`)
	}
	if err != nil {
		return nil, err
	}
	assigned, err := s.Accounts.AssignSender(ctx, c.actor(), candidate.Sender)
	if err != nil {
		return nil, err
	}
	if s.Notices != nil {
		s.Notices.SendersAssigned(ctx, assigned.OperatorID, []waypost.Sender{assigned})
	}
	return &answer[sender]{showSender(assigned)}, nil
}

// tryCandidate sends a test mail as it would leave with the sender assigned, and returns
// what a receiver has against it.
func (s *server) tryCandidate(ctx context.Context, c *caller, candidate account.Candidate) error {
	if c.principal.Test {
		return waypost.NewError(waypost.Forbidden, "test_key", "mail of a test key goes to the sandbox; approve with a live key")
	}
	got, err := s.runTest(ctx, c, testmail.Request{
		Account: candidate.Account, Verify: true, From: candidate.From, Subject: "Test of " + candidate.From.Email,
		Text:      fmt.Sprintf("This mail tests the sender address %s before it is approved. Nobody has to read it.\n", candidate.From.Email),
		Unlimited: true,
	})
	if err != nil {
		return err
	}
	return failure(got, candidate.From.Email)
}

// failure is why a sender did not pass its test, nil if it did.
func failure(got testmail.Snapshot, from string) error {
	p := &problem{Status: http.StatusConflict, Code: "test_failed"}
	var words []string
	switch r := got.Reception; got.Objection(from) {
	case testmail.NoObjection:
		return nil
	case testmail.NotTried:
		p.Detail = "the test mail was not delivered in time; try again in a minute"
	case testmail.NotDelivered:
		p.Detail = "the test mail was not delivered"
		shown := showTest(got)
		for _, text := range []string{shown.Advice, shown.Reply} {
			if text != "" {
				words = append(words, text)
			}
		}
	case testmail.NotBack:
		p.Detail = "the test mail was delivered, but has not come back to this server; check the MX record of the return path"
	case testmail.LeftAsAnother:
		p.Detail, words = fmt.Sprintf("the test mail left as %s instead of %s", r.From, from), r.Problems
	case testmail.NotBelieved:
		p.Detail, words = fmt.Sprintf("receivers would not believe the test mail: dmarc=%s", r.DMARC.Result), append(slices.Clone(r.Problems), r.Results)
	}
	p.Detail += ". The sender stays requested."
	fields := make([]problemField, len(words))
	for i, text := range words {
		fields[i] = problemField{Message: text}
	}
	p.list(fields, len(fields))
	return p
}

type rejectSenderInput struct {
	ByID
	Body rejection
}

// rejection is why a sender is rejected.
type rejection struct {
	Reason string `json:"reason" minLength:"1" maxLength:"1000" doc:"For the operator, in one line."`
}

func (s *server) rejectSender(ctx context.Context, c *caller, in *rejectSenderInput) (*answer[sender], error) {
	rejected, err := s.Accounts.RejectSender(ctx, c.actor(), in.ID, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	if s.Notices != nil {
		s.Notices.SenderRejected(ctx, rejected)
	}
	return &answer[sender]{showSender(rejected)}, nil
}

// waitingDomain is a domain without an ownership key.
type waitingDomain struct {
	ID           string `json:"id"`
	Domain       string `json:"domain"`
	OperatorID   string `json:"operator_id"`
	OperatorName string `json:"operator_name"`
	CreatedAt    string `json:"created_at" format:"date-time"`
}

func (s *server) listWaitingDomains(ctx context.Context, _ *caller, in *struct{ Paging }) (*answer[Page[waitingDomain]], error) {
	found, err := s.Accounts.KeyRequests(ctx, in.Cursor, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := Page[waitingDomain]{Items: []waitingDomain{}}
	for _, d := range found {
		if len(page.Items) == in.Limit {
			page.Next = page.Items[in.Limit-1].ID
			break
		}
		page.Items = append(page.Items, waitingDomain{
			ID: d.ID, Domain: d.Name, OperatorID: d.OperatorID, OperatorName: d.Operator, CreatedAt: stamp(d.Created),
		})
	}
	return &answer[Page[waitingDomain]]{page}, nil
}

type setDomainKeyInput struct {
	ByID
	Body domainKey
}

// domainKey is the key of an ownership record.
type domainKey struct {
	Key string `json:"key" maxLength:"200" doc:"What follows the prefix in the record: KEY of mandrill_verify.KEY."`
}

func (s *server) setDomainKey(ctx context.Context, c *caller, in *setDomainKeyInput) (*answer[domain], error) {
	d, err := s.Accounts.SetDomainProof(ctx, c.actor(), in.ID, in.Body.Key)
	if err != nil {
		return nil, err
	}
	return &answer[domain]{showDomain(s.firstCheck(ctx, d))}, nil
}
