package queue

import (
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// maxClaims bounds claims under way at once.
const maxClaims = 4

// dispatch starts whatever may start now. q.mu is held.
func (q *Queue) dispatch() {
	if q.blocked() {
		return
	}
	now := time.Now()
	for {
		// While all claims are taken, what is in memory goes on; the end of a claim
		// dispatches again.
		claim := q.claims < maxClaims
		k := q.pick(claim)
		if k == nil {
			return
		}
		switch {
		case len(k.jobs) > 0:
			q.next(k, now)
		case k.ready():
			q.claims++
			q.claiming[k.key.OperatorID]++
			q.jobs.Add(1)
			k.claiming = true
			go q.claim(k)
		default:
			q.endTurn(k)
		}
	}
}

// blocked reports whether nothing may be started now: at the end, while results
// cannot be recorded, and while this node may have lost its leases. q.mu is held.
func (q *Queue) blocked() bool {
	return q.stopping || q.holdsBack() || q.lease.mayTalk() != nil
}

// next starts the first job of a key if its destination has a slot. q.mu is held.
func (q *Queue) next(k *keyState, now time.Time) {
	j := k.jobs[0]
	if j.dest.left {
		q.rehome(j, now)
	}
	switch d := j.dest; {
	case d.opens(k.key.Lane, now).After(now):
		q.flush(k, d, now)
		q.list(k)
	case d.open(k, now) <= 0:
		q.await(k, d, k.from == d, now)
	default:
		k.jobs[0] = nil
		k.jobs = k.jobs[1:]
		q.begin(j)
		q.list(k)
	}
	q.endTurn(k)
}

// endTurn ends what a key was woken for, and lets the next one have what it did not
// need. q.mu is held.
func (q *Queue) endTurn(k *keyState) {
	if d := q.turnOver(k); d != nil {
		q.serve(d)
	}
	q.forget(k)
}

// await makes a key wait for a slot of its destination: as the first if it was first
// in line before and somebody more urgent was quicker. q.mu is held.
func (q *Queue) await(k *keyState, d *destination, first bool, now time.Time) {
	if k.listed != nowhere {
		return
	}
	k.listed = atDest
	if waiting := &d.waiting[k.key.Lane]; first {
		waiting.pushFirst(k)
	} else {
		waiting.push(k, 0)
	}
	q.arm(d, now)
}

// arm wakes a destination when it is time for somebody who waits there, if it is time
// that they wait for and no session. q.mu is held.
func (q *Queue) arm(d *destination, now time.Time) {
	var at time.Time
	for lane := range d.waiting {
		if d.waiting[lane].empty() {
			continue
		}
		if opens := d.opens(lane, now); opens.After(now) && (at.IsZero() || opens.Before(at)) {
			at = opens
		}
	}
	if at.IsZero() || q.stopping || (d.timer != nil && !at.Before(d.fires)) {
		return
	}
	if d.timer != nil {
		d.timer.Stop()
	}
	var timer *time.Timer
	timer = time.AfterFunc(at.Sub(now)+time.Millisecond, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if d.timer == timer {
			d.timer = nil
		}
		q.serve(d)
		q.dispatch()
	})
	d.timer, d.fires = timer, at
}

// serve lists the keys that a destination's free slots allow. q.mu is held.
func (q *Queue) serve(d *destination) {
	now := time.Now()
	for again := true; again; {
		again = false
		for _, k := range d.wake(now) {
			k.listed = nowhere
			if !k.ready() { // given back, or claimed meanwhile
				q.forget(k)
				again = true
				continue
			}
			q.turnOver(k)
			if q.admitted(k) {
				q.keep(k, d)
			} else { // it waits for its operator's share now, and keeps nobody else out
				again = true
			}
			q.list(k)
		}
	}
	q.arm(d, now)
	if d.idle() && d.fresh(now) && q.dests[d.name] == d {
		delete(q.dests, d.name)
	}
}

// release lists all keys that wait at a destination: what they waited for has changed.
// q.mu is held.
func (q *Queue) release(d *destination) {
	for lane := range d.waiting {
		for _, k := range d.waiting[lane].take(func(*keyState) bool { return true }) {
			k.listed = nowhere
			q.list(k)
			q.forget(k)
		}
	}
}

// closing follows the closure of a destination, or its slowing down: what waits in memory
// for it goes back to the database, since its turn may be long in coming. q.mu is held.
func (q *Queue) closing(d *destination, now time.Time) {
	for lane := range d.waiting {
		if !d.opens(lane, now).After(now) {
			continue
		}
		done := d.waiting[lane].take(func(k *keyState) bool {
			q.flush(k, d, now)
			return !k.due
		})
		for _, k := range done {
			k.listed = nowhere
			q.list(k)
			q.forget(k)
		}
	}
	q.arm(d, now)
}

// flush gives back the jobs of a key that wait for a destination which is closed or
// slowed. q.mu is held.
func (q *Queue) flush(k *keyState, d *destination, now time.Time) {
	at, why := d.back(now)
	kept := k.jobs[:0]
	for _, j := range k.jobs {
		if j.dest == d {
			q.giveBack(j, j.deliveries, at, why)
		} else {
			kept = append(kept, j)
		}
	}
	clear(k.jobs[len(kept):])
	k.jobs = kept
}

// maxDestinations bounds how many idle destinations keep their window.
const maxDestinations = 10000

// destination returns the destination of a decision. q.mu is held.
func (q *Queue) destination(operatorID, site string, r route.Decision, now time.Time) *destination {
	name := q.destinationName(operatorID, site, r.Route, now)
	d := q.dests[name]
	if d == nil {
		if len(q.dests) >= maxDestinations {
			q.sweep(now)
		}
		most := q.o.SiteSessions
		switch r.Route {
		case waypost.RouteRelay:
			most = q.o.RelaySessions
		case waypost.RouteUpstream, waypost.RouteSandbox:
			most = q.o.Sessions
		default:
		}
		d = newDestination(name, most)
		if r.Route == waypost.RouteDirect {
			d.site = site
		}
		q.dests[name] = d
	}
	if r.Route == waypost.RouteRelay && r.Relay != nil && (!d.relay || d.server != *r.Relay) {
		// Another server than before, or other settings: what is known is of the old one.
		d.relay, d.operator, d.server = true, operatorID, *r.Relay
		d.reopen()
		d.hurry()
	}
	return d
}

// sweep drops destinations that nothing is going to and that are not closed or slowed.
// q.mu is held.
func (q *Queue) sweep(now time.Time) {
	for name, d := range q.dests {
		if d.idle() && !now.Before(d.closed) && !d.slow.remembers(now) {
			delete(q.dests, name)
		}
	}
}
