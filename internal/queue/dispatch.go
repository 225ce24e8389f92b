package queue

import (
	"slices"
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
	switch d := j.dest; {
	case d.shut(k.key.Lane, now):
		q.flush(k, d)
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
	waiting := &d.waiting[k.key.Lane]
	if first {
		*waiting = slices.Insert(*waiting, 0, k)
	} else {
		*waiting = append(*waiting, k)
	}
	if now.Before(d.closed) {
		q.afterClosed(d)
	}
}

// afterClosed wakes a destination when its closure is over. q.mu is held.
func (q *Queue) afterClosed(d *destination) {
	if d.timer != nil || q.stopping {
		return
	}
	d.timer = time.AfterFunc(time.Until(d.closed)+time.Millisecond, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		d.timer = nil
		if time.Now().Before(d.closed) && !d.idle() { // closed anew meanwhile
			q.afterClosed(d)
		}
		q.serve(d)
		q.dispatch()
	})
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
	if d.idle() && d.fresh() && q.dests[d.name] == d {
		delete(q.dests, d.name)
	}
}

// release lists all keys that wait at a destination: what they waited for has changed.
// q.mu is held.
func (q *Queue) release(d *destination) {
	waiting := d.waiting
	d.waiting = [laneCount][]*keyState{}
	for _, keys := range waiting {
		for _, k := range keys {
			k.listed = nowhere
			q.list(k)
			q.forget(k)
		}
	}
}

// closing follows the closure of a destination: what waits in memory for it goes back
// to the database, since its turn may be long in coming. q.mu is held.
func (q *Queue) closing(d *destination, now time.Time) {
	for lane := range d.waiting {
		if !d.shut(lane, now) {
			continue
		}
		kept := d.waiting[lane][:0]
		for _, k := range d.waiting[lane] {
			q.flush(k, d)
			if k.due {
				kept = append(kept, k)
				continue
			}
			k.listed = nowhere
			q.list(k)
			q.forget(k)
		}
		clear(d.waiting[lane][len(kept):])
		d.waiting[lane] = kept
	}
	q.afterClosed(d)
}

// flush gives back the jobs of a key that wait for a closed destination. q.mu is held.
func (q *Queue) flush(k *keyState, d *destination) {
	kept := k.jobs[:0]
	for _, j := range k.jobs {
		if j.dest == d {
			q.giveBack(j, j.deliveries, d.closed, d.why)
		} else {
			kept = append(kept, j)
		}
	}
	clear(k.jobs[len(kept):])
	k.jobs = kept
}

// maxDestinations bounds how many idle destinations keep their window.
const maxDestinations = 10000

// destinationName names where a decision leads for mail to a site.
func destinationName(operatorID, site string, r route.Decision) string {
	switch r.Route {
	case waypost.RouteRelay:
		return "relay " + operatorID
	case waypost.RouteUpstream:
		return "upstream"
	case waypost.RouteSandbox:
		return "sandbox"
	default:
		return "site " + site
	}
}

// destination returns the destination of a decision. q.mu is held.
func (q *Queue) destination(operatorID, site string, r route.Decision) *destination {
	name := destinationName(operatorID, site, r)
	d := q.dests[name]
	if d == nil {
		if len(q.dests) >= maxDestinations {
			q.sweep()
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
		q.dests[name] = d
	}
	if r.Route == waypost.RouteRelay && r.Relay != nil && (!d.relay || d.server != *r.Relay) {
		// Another server than before, or other settings: what is known is of the old one.
		d.relay, d.operator, d.server = true, operatorID, *r.Relay
		d.reopen()
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
