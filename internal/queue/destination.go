package queue

import (
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// firstWindow is how many sessions a destination gets before anything is known.
const firstWindow = 5

// cohort is how many failures in a row, without a success between them, close a
// site: as many as were likely under way at once when it broke.
const cohort = 5

// A relay is failing, and its operator is told, when nothing got through downRun
// sessions in a row and the first of them is downAfter ago. A server that restarts has
// many sessions broken in a moment, and takes mail again before that.
const (
	downRun   = 3
	downAfter = 2 * time.Minute
)

// courtesy is how often a free slot is offered to the least urgent lane first: at a
// busy destination, too, no lane waits for ever.
const courtesy = 5

// destination is where sessions go: a site, an operator's relay, the upstream, the
// sandbox. Its window of concurrent sessions opens with success and closes with
// failure; too many failures in a row close it for a while.
type destination struct {
	name     string
	site     string // a domain whose mail goes there directly; "" if it is a server
	left     bool   // a domain is no longer one of it: jobs have to look where they belong
	operator string // whose relay it is
	server   waypost.Relay
	relay    bool // one session is kept for the alarm lane, and failing is the account's business
	window   float64
	most     int  // upper bound of the window
	probing  bool // the relay is failing: one session at a time, if any

	active  int             // sessions
	claimed int             // slots promised to claims under way
	woken   int             // slots kept for keys that it woke
	jobs    int             // in memory, not started
	waiting [laneCount]ring // for a free slot, operators in turn
	granted int             // slots so far, for courtesy
	pace    float64         // transactions a minute as of paced, see count
	paced   time.Time
	slow    slowed // what it asked for

	failures int       // in a row
	closures int       // in a row
	run      int       // failures in a row through which nothing got, closed meanwhile or not
	since    time.Time // when the first of them was seen
	closed   time.Time // nothing is started before, but one alarm at a time
	refused  bool      // closed because the relay turned us away, not because it failed
	why      string
	timer    *time.Timer // will look again when time opens it
	fires    time.Time   // when the timer goes off
}

func newDestination(name string, most int) *destination {
	return &destination{name: name, window: float64(min(firstWindow, most)), most: most}
}

func (d *destination) limit(now time.Time) int {
	if d.probing {
		return 1
	}
	limit := min(int(d.window), d.most)
	if d.slow.connections.inForce(now) {
		limit = min(limit, d.slow.most)
	}
	return limit
}

// free is how many more sessions a lane may start now.
func (d *destination) free(lane int, now time.Time) int {
	busy, turns := d.active+d.claimed, d.turns(lane, now)-d.claimed
	if d.leftAlone(now) {
		// A closed site is left alone, except that an alarm may look whether it is
		// still so: its own schedule is the shorter one. A failing relay is probed by
		// nobody out of turn: refused logins count against the operator.
		if d.shut(lane, now) {
			return 0
		}
		return min(1-busy, turns)
	}
	limit := d.limit(now)
	switch {
	case d.probing:
	case lane == 0 && d.relay:
		limit = min(limit+1, d.most)
	case lane == 0:
		limit++ // one above the window, so that an alarm never waits behind others' mail
	case d.relay && limit == d.most && limit > 1:
		limit-- // the session kept for alarms
	}
	return min(limit-busy, turns)
}

// leftAlone reports whether a destination is closed, for its failures or as it asked.
func (d *destination) leftAlone(now time.Time) bool {
	return now.Before(d.closed) || d.slow.suspended.inForce(now)
}

// shut reports whether a destination that is left alone is closed to a lane.
func (d *destination) shut(lane int, now time.Time) bool {
	return (now.Before(d.closed) && (lane > 0 || d.relay)) || (lane > 0 && d.slow.suspended.inForce(now))
}

// opens is when a lane may go on, whatever sessions end; not after now if it is time.
func (d *destination) opens(lane int, now time.Time) time.Time {
	at := d.nextAt(lane, now)
	if d.shut(lane, now) {
		for _, until := range []time.Time{d.closed, d.slow.suspended.until} {
			if until.After(at) {
				at = until
			}
		}
	}
	return at
}

// back is when mail that waits in memory comes back from the database, and what it is
// told meanwhile. Where a site is slowed it is due at once and waits there, so that
// nothing keeps it when somebody ends the slow-down.
func (d *destination) back(now time.Time) (at time.Time, why string) {
	switch {
	case now.Before(d.closed):
		return d.closed, d.why
	case d.slow.suspended.inForce(now):
		return now, d.slow.suspended.words
	default:
		return now, d.slow.rate.words
	}
}

// open is what is free for a key whose turn it is: slots that are kept for keys that
// waited here are theirs, except that an alarm waits for nobody.
func (d *destination) open(k *keyState, now time.Time) int {
	free := d.free(k.key.Lane, now)
	if k.key.Lane == 0 {
		return free
	}
	free -= d.woken
	if k.from == d {
		free++
	}
	return free
}

// room is how many more jobs may wait in memory: twice the slots.
func (d *destination) room(now time.Time) int { return 2*max(d.limit(now), 1) - d.jobs }

// verdict tells a destination how a session went.
type verdict int

const (
	neutral verdict = iota
	good            // a transaction was finished, whatever its result
	bad             // connect, greeting, login, a 421, a lost connection: about the path
)

// judge takes in how a session went, and reports whether that closed the destination.
func (d *destination) judge(v verdict, why string, now time.Time) bool {
	switch v {
	case good:
		d.count(now)
		d.reopen()
		if d.window < float64(d.most) {
			// By two for every round of sessions, so a site that copes soon gets more.
			d.window = min(d.window+2/d.window, float64(d.most))
		}
	case bad:
		d.why = why
		d.window = max(1, d.window-1)
		if now.Before(d.closed) {
			return false // of the same cohort, or an alarm that looked: known already
		}
		d.failures++
		if d.run++; d.run == 1 {
			d.since = now
		}
		if d.failures >= cohort || d.closures > 0 {
			d.closures++
			d.failures = 0
			d.closed, d.refused = now.Add(siteBackoff(d.closures)), false
			return true
		}
	case neutral:
	}
	return false
}

// refuse closes a relay that turned us away until it may be probed, and reports
// whether that was news.
func (d *destination) refuse(until time.Time, why string) bool {
	if !until.After(d.closed) {
		return false
	}
	d.closed, d.refused, d.why = until, true, why
	return true
}

func (d *destination) reopen() {
	d.failures, d.closures, d.run, d.closed, d.refused, d.why, d.probing = 0, 0, 0, time.Time{}, false, "", false
}

// isFor reports whether a relay that was tried is the one that the destination is.
// Other destinations have no settings that change.
func (d *destination) isFor(tried *waypost.Relay) bool {
	return !d.relay || tried == nil || d.server == *tried
}

// down reports whether one more failed session makes the run long enough.
func (d *destination) down(now time.Time) bool {
	return d.run+1 >= downRun && now.Sub(d.since) >= downAfter
}

// down reports whether a relay that has just failed again has been out of reach for
// long enough to be called failing.
func (q *Queue) down(d *destination, tried *waypost.Relay, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return d.isFor(tried) && d.down(now)
}

// wake takes out the keys that may go now that slots are free, the most urgent first,
// and at times the least urgent.
func (d *destination) wake(now time.Time) []*keyState {
	var ready []*keyState
	for {
		lane := d.next(now, len(ready))
		if lane < 0 {
			return ready
		}
		d.granted++
		ready = append(ready, d.waiting[lane].pop(0, 0))
	}
}

// next is the lane whose first key gets the next slot when some are given away
// already; -1 if none may.
func (d *destination) next(now time.Time, given int) int {
	found := -1
	for lane := range d.waiting {
		if d.waiting[lane].empty() || d.free(lane, now)-d.woken-given <= 0 {
			continue
		}
		// An alarm's own slot is not for the others, so nothing is taken from it.
		if found < 0 || (found > 0 && d.granted%courtesy == courtesy-1) {
			found = lane
		}
	}
	return found
}

func (d *destination) idle() bool {
	for lane := range d.waiting {
		if !d.waiting[lane].empty() {
			return false
		}
	}
	return d.active == 0 && d.claimed == 0 && d.woken == 0 && d.jobs == 0
}

// fresh reports whether a new destination of the same name would be no different.
func (d *destination) fresh(now time.Time) bool {
	return d.closed.IsZero() && d.failures == 0 && d.closures == 0 && !d.probing && d.window <= firstWindow && !d.slow.remembers(now)
}

// verdictOf reads an attempt as news about its destination. One that asks for less mail
// has not failed.
func verdictOf(a *waypost.Attempt) verdict {
	if asksForLess(a) {
		return neutral
	}
	switch a.Outcome {
	case waypost.OutcomeDelivered:
		return good
	case waypost.OutcomePermanent:
		if a.Phase == waypost.PhaseRoute || a.Phase == waypost.PhaseDNS {
			return neutral // nobody was talked to
		}
		return good
	case waypost.OutcomeRouteDown, waypost.OutcomeUncertain:
		return bad
	case waypost.OutcomeTemporary:
		answered := a.Reply.Code != 0 && a.Reply.Code != 421
		switch a.Phase {
		case waypost.PhaseRcpt, waypost.PhaseDot:
			if answered {
				return good // the site works, this recipient does not
			}
		case waypost.PhaseMail, waypost.PhaseData:
			if answered {
				return neutral
			}
		case waypost.PhaseRoute:
			return neutral
		default:
		}
		return bad
	default:
		return neutral
	}
}

// asksForLess reports whether the other side wants less mail from us, and nothing worse.
// At the login it is the account that is in danger: that is a failure.
func asksForLess(a *waypost.Attempt) bool { return a.Slow.OfSite() && a.Phase != waypost.PhaseAuth }
