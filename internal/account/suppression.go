package account

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// NewSuppression is an address that an operator does not want to mail any more.
type NewSuppression struct {
	Address string
	Detail  string    // for people, at most 200 characters
	Expires time.Time // zero: for ever
}

// AddSuppression adds a suppression with reason manual, or renews the one there is.
// Errors are Problems with the fields address, detail and expires.
func (s *Service) AddSuppression(ctx context.Context, by waypost.Actor, operatorID string, n NewSuppression) (waypost.Suppression, error) {
	if operatorID == waypost.PlatformOperatorID {
		return waypost.Suppression{}, waypost.NewError(waypost.Conflict, "platform_mail", "what the platform itself writes is not suppressed: it may be how somebody gets in again")
	}
	var p Problems
	now := time.Now()
	address := checkAddress(&p, n.Address)
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
		OperatorID: operatorID, Address: address, Reason: waypost.SuppressedManual, Detail: detail,
		Created: now.UTC().Truncate(time.Millisecond), Expires: n.Expires,
	}
	if err := s.o.Store.AddSuppression(ctx, by, operatorID, added); err != nil {
		return waypost.Suppression{}, err
	}
	s.o.Directory.forget(operatorID)
	return added, nil
}

// Suppressions lists suppressions, limit at a time; next is the cursor of the rest,
// "" at the end.
func (s *Service) Suppressions(ctx context.Context, operatorID string, f store.SuppressionFilter, cursor string, limit int) (
	list []waypost.Suppression, next string, err error,
) {
	return s.o.Store.Suppressions(ctx, operatorID, f, cursor, limit)
}

// RemoveSuppression removes the suppression of an address for a reason, or for "" all
// of that address. The error is NotFound if there is none.
func (s *Service) RemoveSuppression(ctx context.Context, by waypost.Actor, operatorID, address string, reason waypost.SuppressionReason) error {
	var p Problems
	address = checkAddress(&p, address)
	if err := p.err(); err != nil {
		return err
	}
	defer s.o.Directory.forget(operatorID)
	if reason != "" {
		return s.o.Store.RemoveSuppression(ctx, by, operatorID, address, reason)
	}
	found, err := s.o.Store.SuppressionsFor(ctx, operatorID, []string{address})
	if err != nil {
		return fmt.Errorf("read suppressions: %w", err)
	}
	if len(found[address]) == 0 {
		return waypost.NewError(waypost.NotFound, "not_found", "the address is not suppressed")
	}
	for _, one := range found[address] {
		if err := s.o.Store.RemoveSuppression(ctx, by, operatorID, address, one.Reason); err != nil && waypost.KindOf(err) != waypost.NotFound {
			return err
		}
	}
	return nil
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
