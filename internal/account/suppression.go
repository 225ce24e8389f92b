package account

import (
	"context"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// NewSuppression is an address that an operator does not want to mail any more.
type NewSuppression struct {
	Address string
	Kind    waypost.Kind // "" for mail of every kind
	Detail  string       // for people, at most 200 characters
	Expires time.Time    // zero: for ever
}

// AddSuppression adds a suppression with reason manual, or renews the one there is.
// Errors are Problems with the fields address, kind, detail and expires.
func (s *Service) AddSuppression(ctx context.Context, by waypost.Actor, operatorID string, n NewSuppression) (waypost.Suppression, error) {
	if operatorID == waypost.PlatformOperatorID {
		return waypost.Suppression{}, errPlatformMail()
	}
	var p Problems
	now := time.Now()
	address := checkAddress(&p, n.Address)
	if _, ok := waypost.ParseKind(string(n.Kind)); !ok && n.Kind != "" {
		p.add("kind", "there is no such kind of mail")
	}
	detail := strings.TrimSpace(n.Detail)
	if why := badName(detail); why != "" {
		p.add("detail", why)
	}
	if !n.Expires.IsZero() && !n.Expires.After(now) {
		p.add("expires", "this is in the past")
	}
	if err := p.err(); err != nil {
		return waypost.Suppression{}, err
	}
	added := waypost.Suppression{
		OperatorID: operatorID, Address: address, Reason: waypost.SuppressedManual, Kind: n.Kind, Detail: detail,
		Hits: 1, Via: waypost.ViaOf(by), Created: now.UTC().Truncate(time.Millisecond), Expires: n.Expires,
	}
	if err := s.o.Store.AddSuppression(ctx, by, operatorID, added); err != nil {
		return waypost.Suppression{}, err
	}
	s.o.Directory.forget(operatorID)
	return added, nil
}

func errPlatformMail() error {
	return waypost.NewError(waypost.Conflict, "platform_mail", "what the platform itself writes is not suppressed: it may be how somebody gets in again")
}

// Suppressions lists suppressions, limit at a time; next is the cursor of the rest,
// "" at the end.
func (s *Service) Suppressions(ctx context.Context, operatorID string, f store.SuppressionFilter, cursor string, limit int) (
	list []waypost.Suppression, next string, err error,
) {
	return s.o.Store.Suppressions(ctx, operatorID, f, cursor, limit)
}

// RemoveSuppression removes the suppressions of an address for a reason, "" for any, and of
// a kind, "" for any and waypost.AllKinds for those of every kind. The error is NotFound if
// there is none.
func (s *Service) RemoveSuppression(ctx context.Context, by waypost.Actor, operatorID, address string, reason waypost.SuppressionReason, kind waypost.Kind) error {
	var p Problems
	address = checkAddress(&p, address)
	if err := p.err(); err != nil {
		return err
	}
	defer s.o.Directory.forget(operatorID)
	return s.o.Store.RemoveSuppression(ctx, by, operatorID, address, reason, kind)
}

// Unsubscribe records that the recipient of a mail wants no more of its kind: operator,
// address, kind and mail of n, and the way it was said. Said twice it is said once. It holds
// for exempt addresses, too: it is the person's own word.
func (s *Service) Unsubscribe(ctx context.Context, n waypost.Suppression) error {
	n.Created = time.Now().UTC().Truncate(time.Millisecond)
	defer s.o.Directory.forget(n.OperatorID)
	return s.o.Store.Unsubscribe(ctx, n)
}

// Resubscribe takes back what Unsubscribe recorded of an address and a kind.
func (s *Service) Resubscribe(ctx context.Context, operatorID, address string, kind waypost.Kind) error {
	return s.o.Store.Resubscribe(ctx, waypost.Recipient(), operatorID, address, kind)
}

func checkAddress(p *Problems, address string) string {
	address = strings.TrimSpace(address)
	if _, _, err := waypost.SplitAddress(address); err != nil {
		p.add("address", err.Error())
	}
	return store.NormalizeAddress(address)
}

// Exempt lists the addresses that nothing but a person suppresses.
func (s *Service) Exempt(ctx context.Context, operatorID, cursor string, limit int) (list []string, next string, err error) {
	return s.o.Store.Exempt(ctx, operatorID, cursor, limit)
}

// AddExempt exempts an address from being suppressed by bounces and complaints, and ends
// what suppresses it for those now. Errors are Problems with the field address, and Conflict
// if there are too many.
func (s *Service) AddExempt(ctx context.Context, by waypost.Actor, operatorID, address string) error {
	var p Problems
	address = checkAddress(&p, address)
	if err := p.err(); err != nil {
		return err
	}
	return s.o.Store.AddExempt(ctx, by, operatorID, address, time.Now())
}

// RemoveExempt lets an address be suppressed again. The error is NotFound if it is not exempt.
func (s *Service) RemoveExempt(ctx context.Context, by waypost.Actor, operatorID, address string) error {
	var p Problems
	address = checkAddress(&p, address)
	if err := p.err(); err != nil {
		return err
	}
	return s.o.Store.RemoveExempt(ctx, by, operatorID, address)
}
