package queue

import (
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// cutOffFor is how long relays that nothing can be said about are not called failing:
// in the end their operators should hear that their mail waits, whoever is at fault.
const cutOffFor = 30 * time.Minute

// through takes in that something got through, so this machine's network works. q.mu is
// held.
func (q *Queue) through(r *result, now time.Time) {
	if r.decision.Route == waypost.RouteSandbox {
		return
	}
	q.worked = now
	if q.cutOff {
		q.cutOff = false
		q.log.Info("other servers can be reached again")
	}
}

// maybeOurs reports whether a relay that has been out of reach for a while may well be
// so because of our own network: since its first failure nothing got through anywhere,
// and another destination that used to work fails, too. Then it is not the operators who
// have to be told.
func (q *Queue) maybeOurs(d *destination, phase waypost.Phase, now time.Time) bool {
	if phase != waypost.PhaseConnect && phase != waypost.PhaseDNS {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if d.since.Before(q.worked) || now.Sub(d.since) >= cutOffFor {
		return false
	}
	for _, other := range q.dests {
		if other == d || other.run == 0 || other.since.Before(q.worked) {
			continue
		}
		if !q.cutOff {
			q.cutOff = true
			q.log.Error("no other server can be reached: is the network of this machine down?", "failing", d.name, "and", other.name)
		}
		return true
	}
	return false
}
