package account

import (
	"context"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// NewSender is a From address to add.
type NewSender struct {
	Address string // "local@domain", or "*@domain" for any address at exactly that domain
	Name    string // display name, at most 200 characters, may be empty
	Default bool
}

// AddSender adds a sender. It is assigned at once if its domain is authorized and the
// owner has not asked to approve senders; else it is requested. Errors are Problems with
// the fields address, name and default, and Conflict if there is such a sender.
func (s *Service) AddSender(ctx context.Context, by waypost.Actor, operatorID string, n NewSender) (waypost.Sender, error) {
	var p Problems
	address := checkSenderAddress(&p, n.Address)
	name := strings.TrimSpace(n.Name)
	if why := badName(name); why != "" {
		p.add("name", why)
	}
	if n.Default && strings.HasPrefix(address, "*@") {
		p.add("default", "a default sender is one address")
	}
	if err := p.err(); err != nil {
		return waypost.Sender{}, err
	}
	snap, err := s.o.Directory.read(ctx, operatorID)
	if err != nil {
		return waypost.Sender{}, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	sender := waypost.Sender{
		ID: waypost.NewID(), OperatorID: operatorID, Address: address, Name: name, Default: n.Default,
		State: s.initialState(snap.account, address), Created: now,
	}
	if sender.State == waypost.SenderAssigned {
		sender.Decided = now
	}
	defer s.o.Directory.forget(operatorID)
	if err := s.o.Store.AddSender(ctx, by, operatorID, sender, maxSenders); err != nil {
		return waypost.Sender{}, err
	}
	return sender, nil
}

// initialState is the state of a new sender.
func (s *Service) initialState(a *waypost.Account, address string) waypost.SenderState {
	if d, ok := a.DomainFor(address); ok && !d.Authorized.IsZero() && !s.o.ApproveSenders {
		return waypost.SenderAssigned
	}
	return waypost.SenderRequested
}

// checkSenderAddress returns an address as it is kept.
func checkSenderAddress(p *Problems, address string) string {
	const field = "address"
	address = strings.TrimSpace(address)
	local, domain, ok := strings.Cut(address, "@")
	if ok && local == "*" {
		ascii, err := dns.ToASCII(domain)
		if err != nil || !strings.Contains(ascii, ".") {
			p.add(field, "give one address, or *@example.com for any address at a domain")
			return ""
		}
		return "*@" + ascii
	}
	if _, _, err := waypost.SplitAddress(address); err != nil {
		p.add(field, err.Error())
		return ""
	}
	return store.NormalizeAddress(address)
}

// ChangeSender gives a sender another display name or makes it the default one; nil and
// false leave it. Errors are Problems with the fields name and default, and NotFound.
func (s *Service) ChangeSender(ctx context.Context, by waypost.Actor, operatorID, id string, name *string, makeDefault bool) (waypost.Sender, error) {
	old, err := s.o.Store.Sender(ctx, operatorID, id)
	if err != nil {
		return waypost.Sender{}, err
	}
	var p Problems
	if name != nil {
		trimmed := strings.TrimSpace(*name)
		if why := badName(trimmed); why != "" {
			p.add("name", why)
		}
		name = &trimmed
	}
	if makeDefault && strings.HasPrefix(old.Address, "*@") {
		p.add("default", "a default sender is one address")
	}
	if err := p.err(); err != nil {
		return waypost.Sender{}, err
	}
	defer s.o.Directory.forget(operatorID)
	if err := s.o.Store.ChangeSender(ctx, by, operatorID, id, name, makeDefault); err != nil {
		return waypost.Sender{}, err
	}
	return s.o.Store.Sender(ctx, operatorID, id)
}

// RemoveSender removes a sender. The error is NotFound.
func (s *Service) RemoveSender(ctx context.Context, by waypost.Actor, operatorID, id string) error {
	defer s.o.Directory.forget(operatorID)
	return s.o.Store.RemoveSender(ctx, by, operatorID, id)
}
