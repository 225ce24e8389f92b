package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	lookSoon       = time.Minute      // a domain that somebody looks at is checked that soon
	firstCheckTime = 15 * time.Second // how long the answer to a claim waits for the first check
)

func (s *server) registerDomains() {
	register(s, operation{
		ID: "list-domains", Method: http.MethodGet, Path: "/v1/domains", Tag: "Domains and senders", Status: http.StatusOK,
		Summary: "List domains", Description: "By name.",
	}, s.listDomains)
	register(s, operation{
		ID: "claim-domain", Method: http.MethodPost, Path: "/v1/domains", Tag: "Domains and senders", Status: http.StatusCreated,
		Summary: "Claim a domain",
		Description: "The answer has the records to publish; the first check runs at once. A claim that is not proven blocks nobody else. " +
			"A subdomain is a domain of its own.",
	}, s.claimDomain)
	register(s, operation{
		ID: "get-domain", Method: http.MethodGet, Path: "/v1/domains/{id}", Tag: "Domains and senders", Status: http.StatusOK,
		Summary:     "Show a domain",
		Description: "Every record with what is expected, what is found, and what to do. While somebody looks, it is checked every minute.",
	}, s.getDomain)
	register(s, operation{
		ID: "check-domain", Method: http.MethodPost, Path: "/v1/domains/{id}/check", Tag: "Domains and senders", Status: http.StatusOK,
		Summary: "Check a domain now", Description: "Asks the domain's own name servers and answers with what they say.",
	}, s.checkDomain)
	register(s, operation{
		ID: "link-domain", Method: http.MethodPost, Path: "/v1/domains/{id}/link", Tag: "Domains and senders", Status: http.StatusCreated,
		Summary: "Make a link for whoever runs the DNS",
		Description: "To a page with the records of this domain, ready to copy, and their state, live. It needs no login and shows nothing else. " +
			"It ends by itself, and when the domain is given up.",
	}, s.linkDomain)
	register(s, operation{
		ID: "remove-domain", Method: http.MethodDelete, Path: "/v1/domains/{id}", Tag: "Domains and senders", Status: http.StatusNoContent,
		Summary: "Give a domain up", Description: "Its senders stay, and are not used on the built-in gateway any more.",
	}, s.removeDomain)
	register(s, operation{
		ID: "list-domain-events", Method: http.MethodGet, Path: "/v1/domains/{id}/events", Tag: "Domains and senders", Status: http.StatusOK,
		Summary: "Show what happened to a domain", Description: "Newest first.",
	}, s.listDomainEvents)
}

// domain is a DNS domain of an operator.
type domain struct {
	ID           string        `json:"id"`
	Domain       string        `json:"domain"`
	State        string        `json:"state" enum:"claimed,proven,authorized" doc:"authorized: its assigned senders are used on the built-in gateway."`
	ReturnPath   bool          `json:"return_path" doc:"Bounces come back to a name of the domain, so that SPF aligns too."`
	ProvenAt     string        `json:"proven_at,omitempty" format:"date-time"`
	AuthorizedAt string        `json:"authorized_at,omitempty" format:"date-time"`
	CheckedAt    string        `json:"checked_at,omitempty" format:"date-time"`
	NextCheckAt  string        `json:"next_check_at" format:"date-time"`
	CreatedAt    string        `json:"created_at" format:"date-time"`
	Records      []verify.Item `json:"records" nullable:"false" doc:"Empty before the first check."`
	Zone         string        `json:"zone" doc:"What is still to be published, as lines of a zone file."`
}

func showDomain(d store.CheckedDomain) domain {
	out := domain{
		ID: d.ID, Domain: d.Name, State: d.State(), ReturnPath: d.ReturnPath, ProvenAt: stamp(d.Proven), AuthorizedAt: stamp(d.Authorized),
		CheckedAt: stamp(d.Checked), NextCheckAt: stamp(d.Next), CreatedAt: stamp(d.Created), Records: []verify.Item{},
	}
	var r verify.Report
	if json.Unmarshal([]byte(d.Report), &r) == nil && r.Items != nil {
		out.Records, out.Zone = r.Items, verify.Zone(r)
	}
	return out
}

func (s *server) listDomains(ctx context.Context, c *caller, _ *struct{}) (*answer[Page[domain]], error) {
	found, err := s.Store.Domains(ctx, c.operator())
	if err != nil {
		return nil, err
	}
	return &answer[Page[domain]]{Page[domain]{Items: items(found, showDomain)}}, nil
}

// newDomain is a domain to claim.
type newDomain struct {
	Domain string `json:"domain" maxLength:"300" example:"example.com"`
}

func (s *server) claimDomain(ctx context.Context, c *caller, in *answer[newDomain]) (*answer[domain], error) {
	if err := s.Asks.Allow(c.operator()); err != nil {
		return nil, err
	}
	claimed, err := s.Accounts.ClaimDomain(ctx, c.actor(), c.operator(), in.Body.Domain)
	if err != nil {
		return nil, err
	}
	return &answer[domain]{showDomain(s.firstCheck(ctx, claimed))}, nil
}

// firstCheck checks a domain, which tells what records to publish. It is the watcher's work
// all the same, so what it cannot find out now it finds out later.
func (s *server) firstCheck(ctx context.Context, d store.CheckedDomain) store.CheckedDomain {
	ctx, cancel := context.WithTimeout(ctx, firstCheckTime)
	defer cancel()
	if checked, err := s.Domains.CheckNow(ctx, d.OperatorID, d.ID); err == nil {
		return checked
	}
	return d
}

func (s *server) getDomain(ctx context.Context, c *caller, in *ByID) (*answer[domain], error) {
	now := time.Now()
	if err := s.Store.LookAtDomain(ctx, c.operator(), in.ID, now, now.Add(lookSoon)); err != nil {
		return nil, err
	}
	found, err := s.Store.Domain(ctx, c.operator(), in.ID)
	return &answer[domain]{showDomain(found)}, err
}

func (s *server) checkDomain(ctx context.Context, c *caller, in *ByID) (*answer[domain], error) {
	if err := s.Asks.Allow(c.operator()); err != nil {
		return nil, err
	}
	checked, err := s.Domains.CheckNow(ctx, c.operator(), in.ID)
	return &answer[domain]{showDomain(checked)}, err
}

func (s *server) removeDomain(ctx context.Context, c *caller, in *ByID) (*struct{}, error) {
	return nil, s.Accounts.RemoveDomain(ctx, c.actor(), c.operator(), in.ID)
}

// domainEvent is a fact about a domain.
type domainEvent struct {
	Type   waypost.DomainEventType `json:"type" enum:"claimed,proven,taken,authorized,lapsed,drifted,mended,removed,sender_added,sender_assigned,sender_rejected,sender_removed"`
	Actor  string                  `json:"actor"`
	Detail string                  `json:"detail,omitempty"`
	At     string                  `json:"at" format:"date-time"`
}

type listDomainEventsInput struct {
	ByID
	Paging
}

func (s *server) listDomainEvents(ctx context.Context, c *caller, in *listDomainEventsInput) (*answer[Page[domainEvent]], error) {
	d, err := s.Store.Domain(ctx, c.operator(), in.ID)
	if err != nil {
		return nil, err
	}
	found, err := s.Store.DomainEvents(ctx, c.operator(), d.Name, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	page := Page[domainEvent]{Items: items(found, func(e waypost.DomainEvent) domainEvent {
		return domainEvent{Type: e.Type, Actor: e.Actor, Detail: e.Detail, At: stamp(e.At)}
	})}
	if len(found) == in.Limit {
		page.Next = found[len(found)-1].ID
	}
	return &answer[Page[domainEvent]]{page}, nil
}
