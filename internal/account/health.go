package account

import (
	"context"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// maxReason bounds a reason, in bytes: servers talk a lot.
const maxReason = 1000

// noticeEvery is how long a relay that fails again and again is not announced anew.
const noticeEvery = time.Hour

// probeAfter is how long a failing relay is left alone after so many failed probes.
func probeAfter(probes int) time.Duration {
	steps := [...]time.Duration{
		30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	}
	return steps[min(probes, len(steps)-1)]
}

// RelayFailed records that an operator's relay turned us away, with the reason, and
// returns when it may be tried next: after 30 s, then 1, 2, 5, 15 and 30 min, and every
// 30 min from there. Sessions that fail together count as one: until the next probe is
// due, what is known is returned and nothing changes. first is true when the operator
// has to be told: the relay was working, and the last such notice is over an hour old.
// Next is zero if the operator has no relay any more.
func (d *Directory) RelayFailed(ctx context.Context, operatorID, reason string, now time.Time) (next time.Time, first bool, err error) {
	if a, err := d.Get(ctx, operatorID); err == nil && now.Before(a.RelayHealth.NextProbe) {
		return a.RelayHealth.NextProbe, false, nil
	}
	lock := d.healthLock(operatorID)
	lock.Lock()
	defer lock.Unlock()
	// The snapshot may be behind: another session or node may have decided just now.
	stored, err := d.store.Relay(ctx, operatorID)
	if err != nil || stored == nil {
		return time.Time{}, false, err
	}
	h := stored.Health
	switch {
	case now.Before(h.NextProbe):
		return h.NextProbe, false, nil
	case h.Failing():
		h.Probes++
	default:
		h.FailingSince, h.Probes = now, 0
		if first = h.NoticeSent.IsZero() || now.Sub(h.NoticeSent) >= noticeEvery; first {
			h.NoticeSent = now
		}
	}
	h.OperatorID = operatorID
	h.Reason = brief(reason)
	h.NextProbe = now.Add(probeAfter(h.Probes))
	if err := d.saveHealth(ctx, h); err != nil {
		return time.Time{}, false, err
	}
	return h.NextProbe, first, nil
}

// RelayRecovered records that an operator's relay works. It writes nothing if that is
// known.
func (d *Directory) RelayRecovered(ctx context.Context, operatorID string) error {
	lock := d.healthLock(operatorID)
	lock.Lock()
	defer lock.Unlock()
	stored, err := d.store.Relay(ctx, operatorID)
	if err != nil {
		return err
	}
	if stored == nil || !stored.Health.Failing() {
		d.forget(operatorID) // the snapshot that said otherwise is behind
		return nil
	}
	// When the operator was told last is kept: a server that comes and goes is not
	// announced each time.
	return d.saveHealth(ctx, waypost.RelayHealth{OperatorID: operatorID, NoticeSent: stored.Health.NoticeSent})
}

func (d *Directory) saveHealth(ctx context.Context, h waypost.RelayHealth) error {
	// Forgotten even if the write failed: it may have happened.
	defer d.forget(h.OperatorID)
	if err := d.system.SetRelayHealth(ctx, h); err != nil {
		return fmt.Errorf("save relay health: %w", err)
	}
	return nil
}

func (d *Directory) healthLock(operatorID string) *sync.Mutex {
	return &d.health[maphash.String(d.seed, operatorID)%uint64(len(d.health))]
}

func brief(s string) string {
	if len(s) > maxReason {
		s = s[:maxReason]
	}
	return strings.ToValidUTF8(s, "")
}
