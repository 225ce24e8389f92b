package account

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// maxRejection bounds why a sender is rejected, in bytes.
const maxRejection = 1000

// SendersWaiting lists the requested senders of all operators, oldest first, after the
// one whose id is cursor.
func (s *Service) SendersWaiting(ctx context.Context, cursor string, limit int) ([]waypost.Sender, error) {
	return s.o.System.SendersWaiting(ctx, cursor, limit)
}

// Candidate is a sender to decide about.
type Candidate struct {
	Sender waypost.Sender

	// Account is the operator as it would be with the sender assigned and in use: on the
	// built-in gateway, whatever it has bound now. For a test mail.
	Account *waypost.Account
	From    waypost.Address // what the test mail leaves with; postmaster for any address at a domain
	Ready   bool            // mail would leave with it: its domain is authorized
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
	c := Candidate{Sender: sender, Account: &a, From: waypost.Address{Name: sender.Name, Email: sender.Address}}
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
