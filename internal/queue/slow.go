package queue

import (
	"errors"
	"math"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// How a destination slows down.
const (
	// slowAgain is how soon after a slow-down another request counts as a repeat, which
	// lasts twice as long, up to slowMost.
	slowAgain = time.Hour
	slowMost  = 4 * time.Hour

	// A destination that asks for a lower rate gets a tenth of the transactions that it
	// had, within these bounds a minute. When the time is over the rate doubles each
	// slowStep, until it is what it was.
	slowShare    = 10
	slowestPace  = 1
	slowFastest  = 10
	slowStep     = 2 * time.Minute
	unlimited    = math.MaxInt32
	farFromLimit = 1e6 // a rate that limits nothing
)

// request is one sort of slow-down that a destination asked for.
type request struct {
	since time.Time // when it was asked for first, earlier requests that it repeats included
	asked time.Time // when last
	until time.Time
	lasts time.Duration
	times int // in a row
	words string
}

func (r *request) inForce(now time.Time) bool { return now.Before(r.until) }

// recent reports whether another request would be a repeat.
func (r *request) recent(now time.Time) bool {
	return r.times > 0 && now.Before(r.until.Add(slowAgain))
}

// ask takes in a request made to a session that began at a time, and reports whether it
// is news: those that were under way when it was made first only hear the same.
func (r *request) ask(length time.Duration, words string, began, now time.Time) (news bool) {
	switch {
	case r.inForce(now) && !began.After(r.asked):
		return false
	case r.inForce(now): // still so
	case r.recent(now):
		r.times++
		r.lasts = max(length, min(2*r.lasts, slowMost))
	default:
		r.since, r.times, r.lasts = now, 1, length
	}
	r.asked, r.words = now, words
	if until := now.Add(r.lasts); until.After(r.until) {
		r.until = until
	}
	return true
}

// slowed is what a destination asked for, by sort. The zero value is nothing.
type slowed struct {
	connections request
	most        int // sessions while fewer connections are asked for

	rate   request
	pace   float64   // transactions a minute while a lower rate is asked for
	before float64   // what they were
	next   time.Time // none begins before, if the rate is limited

	suspended request
}

// told takes in what a reply to a session that began at a time asks for, and reports
// whether what waits in memory has to wait longer than it should.
func (d *destination) told(s waypost.Slow, words string, began, now time.Time) bool {
	switch s.How {
	case waypost.SlowConnections:
		again := d.slow.connections.inForce(now)
		if d.slow.connections.ask(s.For, words, began, now) {
			d.window = 1
		}
		if most := max(1, d.active-1); !again || most < d.slow.most {
			d.slow.most = most // fewer than were too many
		}
	case waypost.SlowRate:
		again, recent := d.slow.rate.inForce(now), d.slow.rate.recent(now)
		if !d.slow.rate.ask(s.For, words, began, now) {
			return false
		}
		had := d.perMinute(now)
		if again {
			d.slow.pace = max(slowestPace, d.slow.pace/2)
		} else {
			d.slow.pace = min(max(had/slowShare, slowestPace), slowFastest)
			if !recent {
				d.slow.before = 0
			}
		}
		d.slow.before = max(d.slow.before, had)
		d.slow.next = now.Add(d.interval(now))
		return true
	case waypost.SlowSuspend:
		if d.slow.suspended.ask(s.For, words, began, now) {
			d.window = 1
			return true
		}
	case waypost.SlowRecipient: // not about the destination
	}
	return false
}

// hurry ends all slow-downs: somebody wants it tried.
func (d *destination) hurry() { d.slow = slowed{} }

// rateAt is how many transactions a minute may begin; farFromLimit if nothing is asked.
func (d *destination) rateAt(now time.Time) float64 {
	r := &d.slow.rate
	if r.times == 0 {
		return farFromLimit
	}
	if r.inForce(now) {
		return d.slow.pace
	}
	steps := float64(now.Sub(r.until)/slowStep + 1)
	if pace := d.slow.pace * math.Exp2(min(steps, 30)); pace < d.slow.before {
		return pace
	}
	return farFromLimit
}

// interval is the time between two transactions, 0 if the rate is not limited.
func (d *destination) interval(now time.Time) time.Duration {
	rate := d.rateAt(now)
	if rate >= farFromLimit {
		return 0
	}
	return time.Duration(float64(time.Minute) / rate)
}

// nextAt is when a lane's next transaction may begin where the rate is limited, else the
// zero time. An alarm may go before its time, one transaction ahead, and those after it
// wait for longer: it waits for nobody else's mail.
func (d *destination) nextAt(lane int, now time.Time) time.Time {
	every := d.interval(now)
	switch {
	case every == 0:
		return time.Time{}
	case lane == 0:
		return d.slow.next.Add(-every)
	}
	return d.slow.next
}

// turns is how many transactions of a lane may begin now as far as the rate goes, those
// that claims under way have been promised included.
func (d *destination) turns(lane int, now time.Time) int {
	at := d.nextAt(lane, now)
	switch {
	case at.IsZero():
		return unlimited
	case now.Before(at):
		return 0
	}
	return 1
}

// spend counts a transaction that begins.
func (d *destination) spend(now time.Time) {
	every := d.interval(now)
	if every == 0 {
		return
	}
	if d.slow.next.Before(now) {
		d.slow.next = now
	}
	d.slow.next = d.slow.next.Add(every)
}

// slowest is the request in force that keeps most mail back, nil if there is none, and
// its sort.
func (s *slowed) slowest(now time.Time) (waypost.SlowHow, *request) {
	switch {
	case s.suspended.inForce(now):
		return waypost.SlowSuspend, &s.suspended
	case s.rate.inForce(now):
		return waypost.SlowRate, &s.rate
	case s.connections.inForce(now):
		return waypost.SlowConnections, &s.connections
	}
	return "", nil
}

// remembers reports whether it matters still that a destination was slowed.
func (s *slowed) remembers(now time.Time) bool {
	return s.connections.recent(now) || s.rate.recent(now) || s.suspended.recent(now)
}

// Refusals of mail that is about to go to a destination that is slowed or full.
var (
	errSlowed  = errors.New("the other side has asked for less mail for now")
	errCrowded = errors.New("all sessions there are in use")
)

// admit says why a session of a lane may not be moved to a destination now; nil if it may.
func (d *destination) admit(lane int, now time.Time) error {
	switch {
	case d.opens(lane, now).After(now):
		return errSlowed
	case d.free(lane, now) <= 0, lane > 0 && d.free(lane, now) <= d.woken:
		return errCrowded
	}
	return nil
}

// goesOn says whether a session to a slowed destination may carry another mail, which is
// counted then: what was asked for meanwhile counts at once, and each mail for itself.
// The first mail of a session was counted with it. A relay gets all recipients in one.
func (r *result) goesOn(d *waypost.Delivery, now time.Time) error {
	dest, lane := r.j.dest, r.j.lane
	switch {
	case r.current == d.ID:
		return nil
	case r.current == "" || r.decision.Route == waypost.RouteRelay:
		r.current = d.ID
		return nil
	case dest.opens(lane, now).After(now):
		_, why := dest.back(now)
		r.giveBackFor(why, time.Time{})
		return errSlowed
	}
	r.current = d.ID
	dest.spend(now)
	return nil
}

// Hurry ends the slow-down of a destination, by the name that a Snapshot gives, and
// reports whether there was one. What waits for it is tried now; asked again, it slows
// down anew.
func (q *Queue) Hurry(name string) bool {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	d := q.dests[name]
	if d == nil {
		return false
	}
	if _, r := d.slow.slowest(now); r == nil {
		return false
	}
	d.hurry()
	q.serve(d)
	q.dispatch()
	return true
}

// Slowed counts the destinations that are slowed now, those that are suspended included.
func (q *Queue) Slowed() (slowed, suspended int) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.dests {
		switch how, _ := d.slow.slowest(now); how {
		case "":
		case waypost.SlowSuspend:
			slowed, suspended = slowed+1, suspended+1
		default:
			slowed++
		}
	}
	return slowed, suspended
}

// slowDown takes in that a reply asks for less mail to the job's destination.
func (q *Queue) slowDown(r *result, a *waypost.Attempt, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := r.j.dest
	if r.j.once != nil || !d.isFor(r.tried) {
		return
	}
	if d.told(a.Slow, d.telling(a.Reply.String()), r.began, now) {
		q.closing(d, now)
	}
}

// telling is a reply as it may be told to all who wait for a destination: it was said
// about the mail of one operator, so mail addresses are left out where others see it.
func (d *destination) telling(text string) string {
	if d.relay || !strings.Contains(text, "@") {
		return text
	}
	words := strings.Fields(text)
	for i, w := range words {
		if strings.Contains(w, "@") {
			words[i] = "..."
		}
	}
	return strings.Join(words, " ")
}
