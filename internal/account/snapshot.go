package account

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// reasonLocked is why mail waits for a relay whose password cannot be opened.
const reasonLocked = "the saved password cannot be opened with this instance key"

// lockedFor is how long a snapshot with such a relay lives: its mail waits, and is
// looked at again this often.
const lockedFor = time.Minute

// snapshot is everything that is saved about an operator.
type snapshot struct {
	account *waypost.Account
	stored  *store.StoredRelay // nil for none
	locked  bool               // its password cannot be opened
}

// maxRereads bounds how often a reading that a change ran into is repeated.
const maxRereads = 3

// read reads an operator past the cache. The parts come from several queries, so they
// are read again if the change number moved meanwhile.
func (d *Directory) read(ctx context.Context, operatorID string) (*snapshot, error) {
	for again := 0; ; again++ {
		before, err := d.system.Change(ctx)
		if err != nil {
			return nil, err
		}
		snap, err := d.readOnce(ctx, operatorID)
		if err != nil {
			return nil, err
		}
		after, err := d.system.Change(ctx)
		if err != nil {
			return nil, err
		}
		if before == after || again == maxRereads {
			return snap, nil
		}
	}
}

func (d *Directory) readOnce(ctx context.Context, operatorID string) (*snapshot, error) {
	operator, err := d.store.Operator(ctx, operatorID)
	if err != nil {
		return nil, fmt.Errorf("read operator: %w", err)
	}
	stored, err := d.store.Relay(ctx, operatorID)
	if err != nil {
		return nil, fmt.Errorf("read relay: %w", err)
	}
	senders, err := d.store.Senders(ctx, operatorID)
	if err != nil {
		return nil, fmt.Errorf("read senders: %w", err)
	}
	suppressions, err := d.store.HasSuppressions(ctx, operatorID)
	if err != nil {
		return nil, fmt.Errorf("read suppressions: %w", err)
	}
	domains, err := d.store.ProvenDomains(ctx, operatorID)
	if err != nil {
		return nil, fmt.Errorf("read domains: %w", err)
	}
	reputation, err := d.store.Reputation(ctx, operatorID)
	if err != nil {
		return nil, err
	}
	settings, err := d.Platform(ctx)
	if err != nil {
		return nil, err
	}
	snap := &snapshot{
		account: &waypost.Account{
			Operator: operator, Senders: senders, Domains: domains, Suppressions: suppressions, Reputation: reputation, Guard: settings.Reputation,
		},
		stored: stored,
	}
	if known(operator.Gateway) && operatorID != waypost.PlatformOperatorID {
		allowed, err := d.store.Allowed(ctx, operator.Product)
		if err != nil {
			return nil, fmt.Errorf("read entitlement: %w", err)
		}
		snap.account.Withdrawn = !allowed[operator.Gateway]
	}
	if stored == nil {
		return snap, nil
	}
	relay, err := d.open(operatorID, stored)
	snap.account.Relay, snap.account.RelayHealth = &relay, stored.Health
	if err != nil {
		snap.locked = true
		snap.account.RelayHealth = lockedHealth(stored, operatorID, time.Now())
	}
	return snap, nil
}

// open returns a saved relay as it is dialed; without its password if that cannot be
// opened.
func (d *Directory) open(operatorID string, stored *store.StoredRelay) (waypost.Relay, error) {
	relay := stored.Relay
	relay.Guarded = true // the operator chose the host (promise 8)
	if len(stored.Sealed) == 0 {
		return relay, nil
	}
	password, err := d.ring.OpenText(passwordContext(operatorID), stored.Sealed)
	if err == nil {
		relay.Password = password.Reveal()
	}
	return relay, err
}

// lockedHealth makes mail wait for a relay that must not be dialed without its
// password. The probe it names never comes: by then the snapshot is read anew.
func lockedHealth(stored *store.StoredRelay, operatorID string, now time.Time) waypost.RelayHealth {
	return waypost.RelayHealth{
		OperatorID: operatorID, FailingSince: stored.Updated, Reason: reasonLocked, NextProbe: now.Add(lockedFor),
	}
}

// passwordContext binds a sealed password to its operator.
func passwordContext(operatorID string) string { return "relay.password/" + operatorID }

// seal returns a password as it is stored, nil for none.
func seal(ring *secret.Ring, operatorID, password string) []byte {
	if password == "" {
		return nil
	}
	return ring.SealText(passwordContext(operatorID), secret.NewText(password))
}
