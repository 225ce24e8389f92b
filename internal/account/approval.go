package account

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// maxRejection bounds why a sender is rejected, in bytes.
const maxRejection = 1000

// SenderRequest is a sender that waits, with what the one who decides has to know.
type SenderRequest struct {
	waypost.Sender
	Operator string // its name, "" if it was deleted meanwhile
	Domain   string // how far the address's domain is with the operator: "unclaimed", "claimed", "proven", "authorized", or "platform" for the platform's own
}

// SenderRequests lists the requested senders of all operators, oldest first, after the one
// whose id is cursor.
func (s *Service) SenderRequests(ctx context.Context, cursor string, limit int) ([]SenderRequest, error) {
	found, err := s.o.System.SendersWaiting(ctx, cursor, limit)
	if err != nil {
		return nil, err
	}
	names := s.operatorNames()
	domains := map[string][]store.CheckedDomain{}
	list := make([]SenderRequest, len(found))
	for i, sender := range found {
		name, err := names(ctx, sender.OperatorID)
		if err != nil {
			return nil, err
		}
		if _, read := domains[sender.OperatorID]; !read {
			if domains[sender.OperatorID], err = s.o.Store.Domains(ctx, sender.OperatorID); err != nil {
				return nil, err
			}
		}
		list[i] = SenderRequest{sender, name, s.senderDomain(sender.Address, domains[sender.OperatorID])}
	}
	return list, nil
}

// senderDomain is how far the domain of an address is.
func (s *Service) senderDomain(address string, domains []store.CheckedDomain) string {
	name := waypost.DomainOf(address)
	for _, d := range domains {
		if d.Name == name {
			return d.State()
		}
	}
	if name == waypost.DomainOf(s.o.Platform.From.Email) {
		return "platform"
	}
	return "unclaimed"
}

// operatorNames returns a function that reads the names of operators, each once. One that
// was deleted meanwhile has none.
func (s *Service) operatorNames() func(context.Context, string) (string, error) {
	names := map[string]string{}
	return func(ctx context.Context, id string) (string, error) {
		if name, ok := names[id]; ok {
			return name, nil
		}
		o, err := s.o.Store.Operator(ctx, id)
		if err != nil && waypost.KindOf(err) != waypost.NotFound {
			return "", err
		}
		names[id] = o.Name
		return o.Name, nil
	}
}

// Candidate is a sender to decide about.
type Candidate struct {
	Sender waypost.Sender

	// Account is the operator as it would be with the sender assigned and in use: on the
	// built-in gateway, whatever it has bound now. For a test mail.
	Account *waypost.Account
	From    waypost.Address // what the test mail leaves with; postmaster for any address at a domain
	Ready   bool            // mail would leave with it: its domain is authorized
	Domain  string          // how far its domain is, as SenderRequest has it
}

// Candidate reads a requested sender of any operator. Errors are NotFound, and Conflict
// if it is not requested any more.
func (s *Service) Candidate(ctx context.Context, id string) (Candidate, error) {
	sender, err := s.o.System.AnySender(ctx, id)
	if err != nil {
		return Candidate{}, err
	}
	if sender.State != waypost.SenderRequested {
		return Candidate{}, decidedAlready(sender)
	}
	snap, err := s.o.Directory.read(ctx, sender.OperatorID)
	if err != nil {
		return Candidate{}, err
	}
	assigned := sender
	assigned.State = waypost.SenderAssigned
	a := *snap.account
	a.Gateway, a.Withdrawn = waypost.GatewayBuiltin, false
	a.Senders = slices.DeleteFunc(slices.Clone(a.Senders), func(other waypost.Sender) bool {
		return other.ID == sender.ID || strings.HasPrefix(sender.Address, "*@") && strings.HasSuffix(other.Address, sender.Address[1:])
	})
	a.Senders = append(a.Senders, assigned)
	domains, err := s.o.Store.Domains(ctx, sender.OperatorID)
	if err != nil {
		return Candidate{}, err
	}
	c := Candidate{Sender: sender, Account: &a, Domain: s.senderDomain(sender.Address, domains), From: waypost.Address{Name: sender.Name, Email: sender.Address}}
	if c.From.Name == "" {
		c.From.Name = a.Name
	}
	if domain, ok := strings.CutPrefix(sender.Address, "*@"); ok {
		c.From.Email = "postmaster@" + domain
	}
	chosen := route.From(s.o.Platform, &a, waypost.RouteDirect, c.From)
	c.Ready = chosen.Address.Email == c.From.Email && chosen.Why == ""
	return c, nil
}

func decidedAlready(sender waypost.Sender) error {
	return waypost.NewError(waypost.Conflict, "sender_decided", "the sender is "+string(sender.State)+" already")
}

// AssignSender assigns a requested sender. The error is Conflict if it was decided about
// or removed since it was read.
func (s *Service) AssignSender(ctx context.Context, by waypost.Actor, read waypost.Sender) (waypost.Sender, error) {
	return s.decide(ctx, read, waypost.SenderAssigned, "", by)
}

// RejectSender rejects a sender of any operator that is requested, or takes back one that
// is assigned. The operator may read the reason. Errors are Problems with the field
// reason, NotFound, and Conflict if it is rejected already.
func (s *Service) RejectSender(ctx context.Context, by waypost.Actor, id, reason string) (waypost.Sender, error) {
	reason = strings.TrimSpace(reason)
	if reason == "" {
		return waypost.Sender{}, Problems{waypost.FieldError("reason", "say why: the operator reads it")}
	}
	if len(reason) > maxRejection || !utf8.ValidString(reason) || strings.ContainsFunc(reason, waypost.Misleading) {
		return waypost.Sender{}, Problems{waypost.FieldError("reason", "at most 1000 bytes in one line, without control characters")}
	}
	read, err := s.o.System.AnySender(ctx, id)
	if err != nil {
		return waypost.Sender{}, err
	}
	if read.State == waypost.SenderRejected {
		return waypost.Sender{}, decidedAlready(read)
	}
	return s.decide(ctx, read, waypost.SenderRejected, reason, by)
}

func (s *Service) decide(ctx context.Context, read waypost.Sender, state waypost.SenderState, reason string, by waypost.Actor) (waypost.Sender, error) {
	decided := read
	decided.State, decided.Reason, decided.Decided = state, reason, time.Now().UTC().Truncate(time.Millisecond)
	defer s.o.Directory.forget(read.OperatorID)
	if err := s.o.System.DecideSender(ctx, by, decided, read.State); err != nil {
		return waypost.Sender{}, err
	}
	return decided, nil
}
