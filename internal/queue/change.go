package queue

import (
	"context"
	"log/slog"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// Changed is called when settings, suspensions or controls may have changed: what was
// asked of leased deliveries is read and done, parked keys and closed relays get
// another look. What cannot be read now is read again soon.
func (q *Queue) Changed(ctx context.Context) {
	q.changes.Add(1)
	asked, err := q.store.Controls(ctx, q.lease.incarnation)
	if err != nil {
		q.heed.Store(true)
		if ctx.Err() == nil {
			q.log.Error("cannot read control requests", "error", err)
		}
	} else {
		q.heedControls(asked)
	}
	q.round("taking in a change", func() {
		q.unpark(ctx)
		q.reopenRelays(ctx)
	})
	if err == nil { // else the next round does it
		q.Wake()
	}
}

// heedControls takes in what was asked. What waits in memory is settled at once; what
// is under way asks before MAIL.
func (q *Queue) heedControls(asked map[string]string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.control = asked
	if len(asked) == 0 || q.stopping {
		return
	}
	now := time.Now()
	for _, k := range q.keys {
		kept := k.jobs[:0]
		for _, j := range k.jobs {
			if q.withdraw(j, asked, now) {
				kept = append(kept, j)
			}
		}
		clear(k.jobs[len(kept):])
		k.jobs = kept
	}
}

// withdraw gives back those deliveries of a job of which something was asked, and
// reports whether anything is left of it. q.mu is held.
func (q *Queue) withdraw(j *job, asked map[string]string, now time.Time) bool {
	var back, rest []waypost.Delivery
	for _, d := range j.deliveries {
		if asked[d.ID] != "" {
			back = append(back, d)
		} else {
			rest = append(rest, d)
		}
	}
	if len(back) > 0 {
		q.giveBack(j, back, now, "")
		j.deliveries = rest
	}
	return len(rest) > 0
}

// unpark gives the parked keys another look whose operator has a route again. Alarms
// are looked at in any case: security mail goes although its operator is suspended.
func (q *Queue) unpark(ctx context.Context) {
	accounts := map[string]*waypost.Account{}
	q.mu.Lock()
	for _, k := range q.keys {
		if k.parked {
			accounts[k.key.OperatorID] = nil
		}
	}
	q.mu.Unlock()
	for id := range accounts {
		q.contain("reading an operator", slog.String("operator", id), func() {
			if a, err := q.o.Accounts.Get(ctx, id); err == nil {
				accounts[id] = a
			}
		})
	}
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, k := range q.keys {
		if !k.parked {
			continue
		}
		a := accounts[k.key.OperatorID]
		if a == nil || k.key.Lane == 0 || (!a.Suspended && routeOf(q.o.Platform, a, k.key, now).Route != "") {
			q.dueNow(k, now)
		}
	}
	q.dispatch()
}

// reopenRelays lets mail go again that waits for a relay which is no longer the one
// that failed, or no longer known to fail.
func (q *Queue) reopenRelays(ctx context.Context) {
	now := time.Now()
	q.mu.Lock()
	var closed []*destination
	for _, d := range q.dests {
		if d.relay && (!d.closed.IsZero() || d.slow.remembers(now)) {
			closed = append(closed, d)
		}
	}
	q.mu.Unlock()
	for _, d := range closed {
		a, err := q.o.Accounts.Get(ctx, d.operator)
		if err != nil {
			continue // it opens by itself in the end
		}
		q.mu.Lock()
		switch {
		case a.Gateway != waypost.GatewaySMTP || a.Relay == nil:
			q.release(d)
		case *a.Relay != d.server, d.refused && !a.RelayHealth.Failing():
			d.reopen()
			if *a.Relay != d.server {
				d.hurry()
			}
			q.release(d)
		}
		q.dispatch()
		q.mu.Unlock()
	}
}
