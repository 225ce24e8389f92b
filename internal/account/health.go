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

// RelayFailed records that an operator's relay turned us away or cannot be reached, with
// the reason, and returns when it may be tried next: after 30 s, then 1, 2, 5, 15 and
// 30 min, and every 30 min from there. Sessions that fail together count as one: until
// the next probe is due, what is known is returned and nothing changes. first is true
// when the operator has to be told: the relay was working, and the last such notice is
// over an hour old. Next is zero, and nothing is recorded, if the relay that was tried
// is no longer the operator's: it says nothing about settings saved meanwhile.
func (d *Directory) RelayFailed(
	ctx context.Context, operatorID string, tried waypost.Relay, reason string, now time.Time,
) (next time.Time, first bool, err error) {
	if a, err := d.Get(ctx, operatorID); err == nil && a.Relay != nil && *a.Relay == tried && now.Before(a.RelayHealth.NextProbe) {
		return a.RelayHealth.NextProbe, false, nil
	}
	lock := d.healthLock(operatorID)
	lock.Lock()
	defer lock.Unlock()
	h, ok, err := d.healthOf(ctx, operatorID, tried)
	if err != nil || !ok {
		return time.Time{}, false, err
	}
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
	// Settings that were saved between our reading and our writing, perhaps over another
	// node, began healthy and are made so again. Those saved from here on begin so.
	switch _, ok, err := d.healthOf(ctx, operatorID, tried); {
	case err != nil:
		return time.Time{}, false, err
	case !ok:
		return time.Time{}, false, d.saveHealth(ctx, waypost.RelayHealth{OperatorID: operatorID})
	}
	return h.NextProbe, first, nil
}

// healthOf reads what is known of an operator's relay, past the cache: another session
// or node may have decided just now. ok is false if the relay that was tried is not the
// operator's any more.
func (d *Directory) healthOf(ctx context.Context, operatorID string, tried waypost.Relay) (h waypost.RelayHealth, ok bool, err error) {
	stored, err := d.store.Relay(ctx, operatorID)
	if err != nil {
		return h, false, err
	}
	if stored != nil {
		// A password that cannot be opened is not the one that was tried.
		if relay, _ := d.open(operatorID, stored); relay == tried {
			return stored.Health, true, nil
		}
	}
	d.forget(operatorID) // the snapshot that it was tried with is behind
	return h, false, nil
}

// RelayRecovered records that an operator's relay works. It writes nothing if that is
// known, or if the relay that was tried is no longer the operator's.
func (d *Directory) RelayRecovered(ctx context.Context, operatorID string, tried waypost.Relay) error {
	lock := d.healthLock(operatorID)
	lock.Lock()
	defer lock.Unlock()
	h, ok, err := d.healthOf(ctx, operatorID, tried)
	if err != nil || !ok {
		return err
	}
	if !h.Failing() {
		d.forget(operatorID) // the snapshot that said otherwise is behind
		return nil
	}
	// When the operator was told last is kept: a server that comes and goes is not
	// announced each time.
	return d.saveHealth(ctx, waypost.RelayHealth{OperatorID: operatorID, NoticeSent: h.NoticeSent})
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
