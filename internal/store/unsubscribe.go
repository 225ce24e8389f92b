package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// renewAfter is how much longer a suppression must last by the same word, or the same file,
// to be written once more: mail programs say things again and again.
const renewAfter = 24 * time.Hour

// Unsubscribe records a recipient's own word that it wants no mail of a kind any more:
// operator, address, kind, mail, way and time of n. It holds for as long as the owner's
// policy says, and for exempt addresses, too. Said again, it lasts from then on; one that
// lasts longer already stays.
func (s *Store) Unsubscribe(ctx context.Context, n waypost.Suppression) error {
	if n.Created.IsZero() {
		n.Created = time.Now()
	}
	n.Address, n.Reason, n.Hits = NormalizeAddress(n.Address), waypost.SuppressedUnsubscribe, 1
	err := s.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		settings, err := ReadPlatformSettings(ctx, tx)
		if err != nil {
			return err
		}
		n.Expires = n.Created.Add(settings.Suppression.Unsubscribe)
		old, err := tenantsql.New(tx).Suppression(ctx, keyOf(n))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err == nil && covers(suppressionOf(old), n) {
			return nil
		}
		return putSuppression(ctx, tx, n)
	})
	if err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	return nil
}

// Resubscribe takes a recipient's word back: of this kind of mail only, and nothing else
// that suppresses the address. Where there is none, nothing happens.
func (s *Store) Resubscribe(ctx context.Context, by waypost.Actor, operatorID, addr string, kind waypost.Kind) error {
	n := waypost.Suppression{OperatorID: operatorID, Address: NormalizeAddress(addr), Reason: waypost.SuppressedUnsubscribe, Kind: kind}
	err := s.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		_, err := tenantsql.New(tx).Suppression(ctx, keyOf(n))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := dropSuppression(ctx, tx, n); err != nil {
			return err
		}
		return audit(ctx, tx, by, operatorID, "suppression.resubscribe", n.Address, waypost.Detail(kind))
	})
	if err != nil {
		return fmt.Errorf("resubscribe: %w", err)
	}
	return nil
}

// covers reports whether a suppression holds for as long as another one would, or nearly so.
func covers(old, n waypost.Suppression) bool {
	return old.Expires.IsZero() || !n.Expires.IsZero() && !old.Expires.Before(n.Expires.Add(-renewAfter))
}
