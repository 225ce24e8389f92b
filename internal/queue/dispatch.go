package queue

import (
	"context"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// maxClaims bounds claims under way at once.
const maxClaims = 4

// claimTimeout bounds a claim.
const claimTimeout = 30 * time.Second

// dispatch starts whatever may start now. q.mu is held.
func (q *Queue) dispatch() {
	now := time.Now()
	for !q.stopping && len(q.unsaved) == 0 {
		lane := pick(&q.rings, &q.laneBusy, &q.reserved, q.o.Sessions)
		if lane < 0 {
			return
		}
		k := q.rings[lane].pop()
		k.listed = false
		switch {
		case len(k.jobs) > 0:
			d := k.jobs[0].dest
			if d.free(lane, now) <= 0 {
				q.await(k, d, now)
				continue
			}
			j := k.jobs[0]
			k.jobs[0] = nil
			k.jobs = k.jobs[1:]
			q.begin(j, now)
			q.list(k)
		case k.ready() && q.claims < maxClaims:
			q.claims++
			q.jobs.Add(1)
			k.claiming = true
			go q.claim(k)
		case k.ready():
			// Too many claims are under way: the end of one dispatches again.
			q.list(k)
			return
		default:
			q.forget(k)
		}
	}
}

// await makes a key wait for a slot of its destination. q.mu is held.
func (q *Queue) await(k *keyState, d *destination, now time.Time) {
	k.listed = true
	d.waiting[k.key.Lane] = append(d.waiting[k.key.Lane], k)
	if now.Before(d.closed) {
		q.afterClosed(d)
	}
}

// afterClosed wakes a destination when its closure is over. q.mu is held.
func (q *Queue) afterClosed(d *destination) {
	if d.timed {
		return
	}
	d.timed = true
	time.AfterFunc(time.Until(d.closed)+time.Millisecond, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		d.timed = false
		q.serve(d)
		q.dispatch()
		if time.Now().Before(d.closed) && !d.idle() {
			q.afterClosed(d)
		}
	})
}

// serve lists the keys that a destination's free slots allow. q.mu is held.
func (q *Queue) serve(d *destination) {
	for _, k := range d.wake(time.Now()) {
		k.listed = false
		q.list(k)
	}
	if d.idle() && d.closed.IsZero() && d.failures == 0 && d.window <= firstWindow {
		delete(q.dests, d.name)
	}
}

// maxDestinations bounds how many idle destinations keep their window.
const maxDestinations = 10000

// destination returns the destination of a decision. q.mu is held.
func (q *Queue) destination(a *waypost.Account, k system.Key, r route.Decision) *destination {
	name, most, relay := "", q.o.SiteSessions, false
	switch r.Route {
	case waypost.RouteRelay:
		name, most, relay = "relay "+a.ID, q.o.RelaySessions, true
	case waypost.RouteUpstream:
		name, most = "upstream", q.o.Sessions
	case waypost.RouteSandbox:
		name, most = "sandbox", q.o.Sessions
	default:
		name = "site " + k.Site
	}
	d := q.dests[name]
	if d == nil {
		if len(q.dests) >= maxDestinations {
			q.sweep()
		}
		d = &destination{name: name, window: firstWindow, most: most, relay: relay}
		q.dests[name] = d
	}
	return d
}

// sweep drops destinations that nothing is going to and that are not closed. q.mu is held.
func (q *Queue) sweep() {
	now := time.Now()
	for name, d := range q.dests {
		if d.idle() && !now.Before(d.closed) {
			delete(q.dests, name)
		}
	}
}

// claim leases rows of a key and turns them into jobs.
func (q *Queue) claim(k *keyState) {
	defer q.jobs.Done()
	ctx, cancel := context.WithTimeout(q.running, claimTimeout)
	defer cancel()
	jobs, outcome := q.claimJobs(ctx, k)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims--
	k.claiming = false
	k.due = outcome.due
	k.jobs = append(k.jobs, jobs...)
	for _, j := range jobs {
		j.dest.jobs++
		q.held += len(j.deliveries)
	}
	switch {
	case outcome.wait != nil:
		q.await(k, outcome.wait, time.Now())
	case outcome.parked:
		k.parked = true
		if !outcome.again.IsZero() && !k.timed {
			q.remember(k, outcome.again)
		}
	case !outcome.again.IsZero() && !k.timed:
		q.remember(k, outcome.again)
	}
	q.list(k)
	if outcome.dest != nil {
		q.serve(outcome.dest)
	}
	q.dispatch()
	q.forget(k)
}

// claimed says what is known of a key after a claim.
type claimed struct {
	due    bool         // more rows are due
	parked bool         // there is no route
	again  time.Time    // when to look again; zero: when something changes
	wait   *destination // no slot is free: wait there
	dest   *destination // whose promised slots are free again
}

// recheck is when a parked key is looked at again without anybody changing anything.
const recheck = time.Minute

func (q *Queue) claimJobs(ctx context.Context, k *keyState) ([]*job, claimed) {
	now := time.Now()
	failed := claimed{again: now.Add(scanEvery)}
	a, err := q.o.Accounts.Get(ctx, k.key.OperatorID)
	if err != nil {
		q.log.Error("cannot read operator", "operator", k.key.OperatorID, "error", err)
		return nil, failed
	}
	// A suspended operator's security mail still goes: ask as if it were that.
	mail := route.Mail{Test: strings.HasPrefix(k.key.Site, waypost.TestSite)}
	if a.Suspended {
		mail.Kind = waypost.KindSecurity
	}
	decision := route.Pick(q.o.Platform, a, mail, now)
	if decision.Route == "" {
		again := decision.Until
		if again.IsZero() {
			again = now.Add(recheck)
		}
		return nil, claimed{due: true, parked: true, again: again}
	}
	q.mu.Lock()
	d := q.destination(a, k.key, decision)
	free := d.free(k.key.Lane, now)
	if free <= 0 {
		q.mu.Unlock()
		return nil, claimed{due: true, wait: d}
	}
	limit := max(free, d.room())
	if decision.Probe { // one mail finds out for all
		if d.active+d.claimed > 0 {
			q.mu.Unlock()
			return nil, claimed{due: true, wait: d}
		}
		free, limit = 1, 1
	}
	free = min(free, limit)
	d.claimed += free
	q.mu.Unlock()
	rows, err := q.store.Claim(ctx, system.Claim{
		Key: k.key, Incarnation: q.lease.incarnation, Limit: limit, Now: now,
		RetryAt: now.Add(backoff(waypost.LaneOfRank(k.key.Lane), 1)), SecurityOnly: a.Suspended,
		Companions: decision.Route == waypost.RouteRelay,
	})
	q.mu.Lock()
	d.claimed -= free
	q.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			q.log.Error("cannot claim", "operator", k.key.OperatorID, "site", k.key.Site, "error", err)
		}
		failed.dest = d
		return nil, failed
	}
	if len(rows) == 0 {
		if a.Suspended { // what is due is not security mail
			return nil, claimed{due: true, parked: true, again: now.Add(recheck), dest: d}
		}
		next, err := q.store.NextDue(ctx, k.key)
		if err != nil {
			failed.dest = d
			return nil, failed
		}
		if !next.IsZero() && !next.After(now) { // expired ones, which Expire takes
			next = now.Add(scanEvery)
		}
		return nil, claimed{again: next, dest: d}
	}
	return q.group(k, a, d, rows), claimed{due: true, dest: d}
}

// maxPerJob bounds how many recipients of one message go through one session of the
// built-in gateway, where each is a transaction of its own.
const maxPerJob = 50

// group makes jobs of claimed rows: one per message, and on the built-in gateway at
// most maxPerJob recipients each.
func (q *Queue) group(k *keyState, a *waypost.Account, d *destination, rows []waypost.Delivery) []*job {
	var jobs []*job
	byMessage := map[string]*job{}
	for _, r := range rows {
		j := byMessage[r.MessageID]
		if j == nil || (!d.relay && len(j.deliveries) >= maxPerJob) {
			j = &job{key: k, dest: d, lane: k.key.Lane, account: a, messageID: r.MessageID}
			byMessage[r.MessageID] = j
			jobs = append(jobs, j)
		}
		j.deliveries = append(j.deliveries, r)
	}
	return jobs
}
