package queue

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// claimTimeout bounds a claim.
const claimTimeout = 30 * time.Second

// claimed says what is known of a key after a claim.
type claimed struct {
	jobs   []*job
	due    bool         // more rows may be due
	parked bool         // there is no route
	again  time.Time    // when to look again; zero: when something changes
	wait   *destination // no slot is free: wait there
	dest   *destination // where the claim was for
	slots  int          // promised there until now
	probe  bool         // the one job finds out whether a relay works
}

// recheck is when a parked key is looked at again without anybody changing anything.
const recheck = time.Minute

// claim leases rows of a key and turns them into jobs.
func (q *Queue) claim(k *keyState) {
	defer q.jobs.Done()
	ctx, cancel := context.WithTimeout(q.running, claimTimeout)
	defer cancel()
	var c claimed
	if !q.contain("claiming", slog.String("operator", k.key.OperatorID), func() { q.claimJobs(ctx, k, &c) }) {
		// Parked, or the scan would bring it back at once. What is leased already is a stray.
		c.due, c.parked, c.jobs, c.again = true, true, nil, parkUntil(route.Decision{}, time.Now())
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.claims--
	if q.claiming[k.key.OperatorID]--; q.claiming[k.key.OperatorID] == 0 {
		delete(q.claiming, k.key.OperatorID)
	}
	if c.dest != nil {
		c.dest.claimed -= c.slots
	}
	k.claiming, k.due, k.parked = false, c.due, c.parked
	from := q.turnOver(k)
	for _, j := range c.jobs {
		q.take(j)
	}
	if c.probe && len(c.jobs) > 0 && !q.blocked() {
		q.begin(c.jobs[0]) // out of turn, so that nobody else probes meanwhile
		c.jobs = c.jobs[1:]
	}
	k.jobs = append(k.jobs, c.jobs...)
	if len(c.jobs) > 0 && !q.stopping {
		q.keep(k, c.dest) // what was promised to the claim, for its turn: who waits would get it first
	}
	if c.wait != nil {
		q.await(k, c.wait, from == c.wait, now)
		q.serve(c.wait) // a slot may have become free since we looked
	}
	if !c.again.IsZero() {
		q.remember(k, c.again)
	}
	if missed := k.missed; !missed.IsZero() {
		k.missed = time.Time{}
		q.note(system.DueKey{Key: k.key, NextAt: missed}, now, k.key.Lane == 0)
	}
	q.list(k)
	if c.dest != nil {
		q.serve(c.dest)
	}
	if from != nil {
		q.serve(from)
	}
	q.dispatch()
	q.forget(k)
}

// claimJobs leases what a key may start now, and some more that waits in memory. What
// is known on the way is in c at any time.
func (q *Queue) claimJobs(ctx context.Context, k *keyState, c *claimed) {
	now := time.Now()
	soon := now.Add(scanEvery)
	a, err := q.o.Accounts.Get(ctx, k.key.OperatorID)
	if waypost.KindOf(err) == waypost.NotFound { // deleted: its mail is being removed
		if next, err := q.store.NextDue(ctx, k.key); err != nil || !next.IsZero() {
			c.due, c.parked, c.again = true, true, parkUntil(route.Decision{}, now)
		}
		return
	}
	if err != nil {
		if ctx.Err() == nil {
			q.log.Error("cannot read operator", "operator", k.key.OperatorID, "error", err)
		}
		c.again = soon
		return
	}
	decision := routeOf(q.o.Platform, a, k.key, now)
	if decision.Route == "" {
		c.due, c.parked, c.again = true, true, parkUntil(decision, now)
		return
	}
	limit := q.promise(k, decision, now, c)
	if c.wait != nil {
		return
	}
	rows, err := q.store.Claim(ctx, system.Claim{
		Key: k.key, Incarnation: q.lease.incarnation, Limit: limit, Now: now,
		RetryAt: now.Add(backoff(waypost.LaneOfRank(k.key.Lane), 1)), SecurityOnly: a.Suspended,
		Companions: decision.Route == waypost.RouteRelay,
	})
	switch {
	case err != nil:
		if ctx.Err() == nil {
			q.log.Error("cannot claim", "operator", k.key.OperatorID, "site", k.key.Site, "error", err)
		}
		c.again = soon
	case len(rows) > 0:
		c.due, c.jobs = true, group(k, a, c.dest, rows, decision)
	case a.Suspended: // what is due is not security mail
		c.due, c.parked, c.again = true, true, parkUntil(decision, now)
	default:
		c.again, err = q.store.NextDue(ctx, k.key)
		if err != nil || (!c.again.IsZero() && !c.again.After(now)) { // expired ones, which Expire takes
			c.again = soon
		}
	}
}

// promise keeps slots of the destination for a claim and says how many rows it may
// take; without a free slot the key has to wait there.
func (q *Queue) promise(k *keyState, decision route.Decision, now time.Time, c *claimed) (limit int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := q.destination(k.key.OperatorID, k.key.Site, decision, now)
	d.probing = decision.Probe
	slots := d.open(k, now)
	if slots <= 0 || (decision.Probe && d.active+d.claimed > 0) {
		c.due, c.wait = true, d
		return 0
	}
	// With much in memory only what starts at once is fetched.
	limit = min(max(slots, d.room(now)), max(1, maxHandover-q.held))
	if decision.Probe || d.interval(now) > 0 { // one mail finds out for all, or each has to wait for its turn
		limit = 1
	}
	slots = min(slots, limit)
	d.claimed += slots
	c.dest, c.slots, c.probe = d, slots, decision.Probe
	return limit
}

// routeOf picks the route of a key's mail. A suspended operator's security mail still
// goes, so its keys are asked about as if all of it were that.
func routeOf(p route.Platform, a *waypost.Account, k system.Key, now time.Time) route.Decision {
	mail := route.Mail{Test: strings.HasPrefix(k.Site, waypost.TestSite)}
	if a.Suspended {
		mail.Kind = waypost.KindSecurity
	}
	return route.Pick(p, a, mail, now)
}

// parkUntil is when a key without a route is looked at again; spread, since keys of
// one operator are parked together.
func parkUntil(decision route.Decision, now time.Time) time.Time {
	if !decision.Until.IsZero() {
		return decision.Until
	}
	return now.Add(recheck + rand.N(recheck/4)) //nolint:gosec // spreads load, hides nothing
}

// maxPerJob bounds how many recipients of one message go through one session of the
// built-in gateway, where each is a transaction of its own.
const maxPerJob = 50

// group makes jobs of claimed rows: one per message, and on the built-in gateway at
// most maxPerJob recipients each. Those that are bound to a route go by themselves.
func group(k *keyState, a *waypost.Account, d *destination, rows []waypost.Delivery, decision route.Decision) []*job {
	type sort struct {
		message string
		pinned  waypost.RouteKind
	}
	var jobs []*job
	latest := map[sort]*job{}
	for _, r := range rows {
		s := sort{r.MessageID, pinnedTo(&r)}
		j := latest[s]
		if j == nil || (!d.relay && len(j.deliveries) >= maxPerJob) {
			j = &job{
				key: k, dest: d, route: decision.Route, lane: k.key.Lane, account: a, messageID: r.MessageID, pinned: s.pinned, probe: decision.Probe,
			}
			latest[s] = j
			jobs = append(jobs, j)
		}
		j.deliveries = append(j.deliveries, r)
	}
	return jobs
}

// pinnedTo is the route that a delivery may have arrived over already, "" for none.
func pinnedTo(d *waypost.Delivery) waypost.RouteKind {
	if d.Cause != causeUncertain {
		return ""
	}
	return d.Route
}
