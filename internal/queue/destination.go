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

// destination is where sessions go: a site, an operator's relay, the upstream, the
// sandbox. Its window of concurrent sessions opens with success and closes with
// failure; too many failures in a row close it for a while.
type destination struct {
	name    string
	window  float64
	most    int  // upper bound of the window
	relay   bool // one session is kept for the alarm lane, and failing is the account's business
	active  int
	claimed int // slots promised to a claim under way
	waiting [laneCount][]*keyState
	jobs    int // in memory, not started

	failures int       // in a row
	closures int       // in a row
	closed   time.Time // nothing is started before, but one alarm at a time
	why      string
	timed    bool // a timer will look again when it is no longer closed
}

func (d *destination) limit() int { return min(int(d.window), d.most) }

// free is how many more sessions a lane may start now.
func (d *destination) free(lane int, now time.Time) int {
	busy := d.active + d.claimed
	if now.Before(d.closed) {
		// A closed site is left alone, except that an alarm may look whether it is
		// still so: its own schedule is the shorter one. A relay is probed by nobody
		// out of turn: refused logins count against the operator.
		if lane == 0 && !d.relay && busy == 0 {
			return 1
		}
		return 0
	}
	limit := d.limit()
	if lane == 0 {
		// One above the window, so that an alarm never waits behind others' mail.
		if d.relay {
			return min(limit+1, d.most) - busy
		}
		return limit + 1 - busy
	}
	if d.relay && limit == d.most && limit > 1 {
		limit-- // the session kept for alarms
	}
	return limit - busy
}

// room is how many more jobs may wait in memory: twice the slots.
func (d *destination) room() int { return 2*max(d.limit(), 1) - d.jobs }

// verdict tells a destination how a session went.
type verdict int

const (
	neutral verdict = iota
	good            // a transaction was finished, whatever its result
	bad             // connect, greeting, login, a 421, a lost connection: about the path
)

func (d *destination) judge(v verdict, why string, now time.Time) {
	switch v {
	case good:
		d.failures, d.closures, d.closed, d.why = 0, 0, time.Time{}, ""
		if d.window < float64(d.most) {
			d.window += 1 / d.window * 2 // doubles within a few rounds, like Postfix's positive feedback
		}
	case bad:
		d.failures++
		d.why = why
		d.window = max(1, d.window-1)
		if d.failures >= cohort || (d.failures > 0 && d.closures > 0) {
			d.closures++
			d.failures = 0
			d.closed = now.Add(siteBackoff(d.closures))
		}
	case neutral:
	}
}

// wake returns the keys that may go now that slots are free, the most urgent first.
func (d *destination) wake(now time.Time) []*keyState {
	var ready []*keyState
	for lane := range d.waiting {
		free := d.free(lane, now) - len(ready)
		for free > 0 && len(d.waiting[lane]) > 0 {
			ready = append(ready, d.waiting[lane][0])
			d.waiting[lane][0] = nil
			d.waiting[lane] = d.waiting[lane][1:]
			free--
		}
		if len(d.waiting[lane]) == 0 {
			d.waiting[lane] = nil
		}
	}
	return ready
}

func (d *destination) idle() bool {
	for lane := range d.waiting {
		if len(d.waiting[lane]) > 0 {
			return false
		}
	}
	return d.active == 0 && d.claimed == 0 && d.jobs == 0
}

// verdictOf reads an attempt as news about its destination.
func verdictOf(a *waypost.Attempt) verdict {
	switch a.Outcome {
	case waypost.OutcomeDelivered, waypost.OutcomePermanent:
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
