package queue

import (
	"strconv"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// pace hands out turns to the keys of an operator that the built-in gateway slows down: at
// each of them one recipient may be claimed. Keys that wait for theirs are parked, as those
// of a suspended operator are.
type pace struct {
	perMinute int
	next      time.Time // the first turn that nobody has
}

func (p *pace) every() time.Duration { return time.Minute / time.Duration(p.perMinute) }

// keyTurn is the turn of a key.
type keyTurn struct {
	at        time.Time // zero for none
	perMinute int       // of the pace it is of
}

// maxPaces bounds how many are remembered; past it all start afresh.
const maxPaces = 10_000

// pacedTo is how many recipients a minute a key may have; 0 for any number. Alarms are never
// slowed down.
func pacedTo(a *waypost.Account, lane int, r waypost.RouteKind) int {
	if lane == 0 || (r != waypost.RouteDirect && r != waypost.RouteUpstream) {
		return 0
	}
	return a.SlowedTo()
}

// turn is when a key may claim its next recipient; zero for at any time.
func (q *Queue) turn(k *keyState, a *waypost.Account, decision route.Decision, now time.Time) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := pacedTo(a, k.key.Lane, decision.Route)
	if n == 0 {
		k.turn = keyTurn{}
		return time.Time{}
	}
	if k.turn.perMinute == n {
		return k.turn.at
	}
	p := q.paces[a.ID]
	if p == nil || p.perMinute != n {
		if len(q.paces) >= maxPaces {
			clear(q.paces)
		}
		p = &pace{perMinute: n}
		q.paces[a.ID] = p
	}
	at := now
	if p.next.After(now) {
		at = p.next
	}
	p.next = at.Add(p.every())
	k.turn = keyTurn{at, n}
	return at
}

// endPace ends a key's turn. Without a recipient somebody else may have it.
func (q *Queue) endPace(k *keyState, used bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p := q.paces[k.key.OperatorID]; !used && p != nil && p.perMinute == k.turn.perMinute {
		p.next = p.next.Add(-p.every())
	}
	k.turn = keyTurn{}
}

// hasTurn reports whether a key waits for a turn at the pace that holds now. q.mu is held.
func (k *keyState) hasTurn(a *waypost.Account, now time.Time) bool {
	return k.turn.at.After(now) && k.turn.perMinute == a.SlowedTo()
}

// securityOnly reports whether of a key nothing but mail of kind security goes: its operator
// is suspended, or paused on the built-in gateway.
func securityOnly(a *waypost.Account, k system.Key) bool {
	return a.Suspended || (a.Paused() && !isTestSite(k.Site))
}

// waitsForPace is Waits for an operator that is slowed down.
func (q *Queue) waitsForPace(a *waypost.Account, d *waypost.Delivery, decision route.Decision, now time.Time) (waypost.Wait, bool) {
	n := pacedTo(a, d.Lane.Rank(), decision.Route)
	if n == 0 || d.Kind == waypost.KindSecurity || d.Lease != "" {
		return waypost.Wait{}, false
	}
	w := waypost.Wait{
		Reason: waypost.WaitSlowedDown, Who: strconv.Itoa(n),
		Text: "the operator is slowed down on the built-in gateway to " + strconv.Itoa(n) + " recipients a minute",
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if k := q.keys[keyOf(d)]; k != nil && k.hasTurn(a, now) {
		w.Until = k.turn.at
		w.Text += "; not before " + stamp(w.Until)
	}
	return w, true
}
