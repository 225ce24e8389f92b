package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// result takes what the Deliverer reports of a job.
type result struct {
	q        *Queue
	j        *job
	began    time.Time
	open     []bool // not settled yet
	account  *waypost.Account
	decision route.Decision
	tried    *waypost.Relay // what the Deliverer was given; a later decision may name another
	message  *waypost.Message
	changes  int64            // when decision was made
	refused  error            // why no more of it may be sent
	failed   *waypost.Attempt // what ended the attempt for all that is not settled: a panic, or time
	phase    waypost.Phase    // the last stage of a test mail that was told
	current  string           // the delivery whose transaction was begun last

	verdict   verdict
	worked    bool      // something got through
	why       string    // in the remote's words, or why what is left is given back
	later     time.Time // for what is given back untried
	relayBack time.Time // the relay is failing and may be tried again then
}

func newResult(q *Queue, j *job) *result {
	r := &result{q: q, j: j, began: time.Now(), open: make([]bool, len(j.deliveries))}
	for i := range r.open {
		r.open[i] = true
	}
	return r
}

// isOpen reports whether a delivery of the job is still to be settled.
func (r *result) isOpen(d *waypost.Delivery) bool {
	for i := range r.j.deliveries {
		if r.j.deliveries[i].ID == d.ID {
			return r.open[i]
		}
	}
	return false
}

func (r *result) anyOpen() bool {
	for _, open := range r.open {
		if open {
			return true
		}
	}
	return false
}

// left lists the deliveries that were not settled.
func (r *result) left() (ids []string) {
	for i, open := range r.open {
		if open {
			ids = append(ids, r.j.deliveries[i].ID)
		}
	}
	return ids
}

// giveBackFor says why what is not settled goes back, and until when.
func (r *result) giveBackFor(why string, later time.Time) { r.why, r.later = why, later }

// expire ends deliveries whose time ran out while they waited in memory.
func (r *result) expire(now time.Time) {
	for i, d := range r.j.deliveries {
		if !r.open[i] || d.Expires.After(now) || r.j.once != nil {
			continue
		}
		f := untried(r.j, d, now, "", now)
		f.State, f.Event, f.Actor = waypost.Expired, waypost.EventExpired, "policy"
		r.finish(i, f, "")
	}
}

// pin holds deliveries whose last try may have arrived over another route than the
// one they would take now: a second copy must be a person's decision (promise 3).
// Once released they may take any route. It reports whether the job is done with.
func (r *result) pin() bool {
	j := r.j
	if j.pinned == "" || j.pinned == r.decision.Route || j.once != nil {
		return false
	}
	now := time.Now()
	for i, d := range j.deliveries {
		if !r.open[i] {
			continue
		}
		f := untried(j, d, now, fmt.Sprintf("the last try over %s may have arrived; release it to send it over %s",
			d.Route, r.decision.Route), now)
		f.Held, f.Event, f.Actor, f.Cause = true, waypost.EventHeld, "policy", ""
		r.finish(i, f, "")
	}
	return true
}

func (r *result) all(a waypost.Attempt) {
	for i := range r.open {
		r.report(i, a)
	}
}

// report settles one delivery.
func (r *result) report(i int, a waypost.Attempt) {
	if !r.open[i] {
		return
	}
	q, d, now := r.q, r.j.deliveries[i], time.Now()
	once := r.j.once != nil
	a.DeliveryID, a.Number = d.ID, d.Attempts
	if a.Started.IsZero() {
		a.Started = now
	}
	if v := verdictOf(&a); v != neutral {
		r.verdict, r.why = v, a.Reply.String()
		r.worked = r.worked || v == good
	}
	if a.Route != r.decision.Route && a.Slow.OfSite() {
		a.Slow.How = waypost.SlowRecipient // what stands in as a fallback: this mail may wait, the site has said nothing
	} else if asksForLess(&a) {
		q.slowDown(r, &a, now)
	}
	var routeBack time.Time
	if a.Route == waypost.RouteRelay && !once && r.tried != nil {
		// What the remote said is worth more than what is made of it here.
		q.contain("recording a relay's state", slog.String("operator", r.account.ID), func() { routeBack = r.relayNews(&a, now) })
		if routeBack.After(r.relayBack) {
			r.relayBack = routeBack
		}
	}
	f := settle(d, a, r.account.Uncertain, routeBack, once, now)
	if a.Route == waypost.RouteSandbox && f.State == waypost.Delivered {
		f.Sandbox = &system.SandboxMail{
			MailFrom: r.message.MailFrom, Subject: r.message.Subject, Header: r.message.Header, Body: r.message.Body,
		}
	}
	r.finish(i, f, a.Route)
	if q.o.Observe != nil {
		q.o.Observe.Attempt(a.Route, a.Outcome, a.Cause)
	}
	r.j.tellOnce(a, f.State)
}

// finish ends delivery i: from here on it is the store's.
func (r *result) finish(i int, f *system.Finish, route waypost.RouteKind) {
	r.open[i] = false
	r.q.finish(f, route, r.j.lane)
}

// relayNews keeps what an attempt shows about the operator's relay, and returns when
// the relay may be tried again if it is failing: it turned us away, or it has been out
// of reach for a while.
func (r *result) relayNews(a *waypost.Attempt, now time.Time) (back time.Time) {
	q := r.q
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.running), healthTimeout)
	defer cancel()
	v := verdictOf(a)
	switch {
	case asksForLess(a) && !r.decision.Probe: // it works, and we are too much for it
	case asksForLess(a), a.Outcome == waypost.OutcomeRouteDown, v == bad && (r.decision.Probe || r.isDown(a.Phase, now)):
		reason := a.Reply.String()
		next, first, err := q.o.Accounts.RelayFailed(ctx, r.account.ID, *r.tried, reason, now)
		if err != nil {
			q.log.Error("cannot record a failing relay", "operator", r.account.ID, "error", err)
			return now.Add(time.Minute)
		}
		if next.IsZero() {
			return now.Add(giveBackFor) // other settings were saved meanwhile: they are tried at once
		}
		if first {
			q.log.Warn("relay is failing", "operator", r.account.ID, "host", a.Host, "reason", reason)
			if q.o.OnRelayFailing != nil {
				account := r.account
				q.jobs.Go(func() {
					q.contain("telling about a failing relay", slog.String("operator", account.ID), func() { q.o.OnRelayFailing(account, reason) })
				})
			}
		}
		return next
	case r.account.RelayHealth.Failing() && v == good:
		if err := q.o.Accounts.RelayRecovered(ctx, r.account.ID, *r.tried); err != nil {
			q.log.Error("cannot record a working relay", "operator", r.account.ID, "error", err)
		}
	}
	return time.Time{}
}

// isDown reports whether a relay that has just failed again is to be called failing.
func (r *result) isDown(phase waypost.Phase, now time.Time) bool {
	d := r.j.dest
	return !r.worked && r.q.down(d, r.tried, now) && !r.q.maybeOurs(d, phase, now)
}

// healthTimeout bounds the record of what was found out about a relay.
const healthTimeout = 10 * time.Second

// rest gives back what was not settled. Never for at once, or what is refused for
// reasons that stay would go around in circles.
func (r *result) rest() {
	now := time.Now()
	later := now.Add(giveBackFor)
	if r.later.After(later) {
		later = r.later
	}
	r.q.mu.Lock()
	if r.q.stopping {
		later = now // others may take it at once
	}
	r.q.mu.Unlock()
	for i, open := range r.open {
		if !open {
			continue
		}
		d := r.j.deliveries[i]
		if r.failed != nil {
			a := *r.failed
			a.DeliveryID, a.Number, a.Started, a.Took = d.ID, d.Attempts, r.began, now.Sub(r.began)
			f := settle(d, a, "", time.Time{}, r.j.once != nil, now)
			r.finish(i, f, a.Route)
			r.j.tellOnce(a, f.State)
			continue
		}
		f := untried(r.j, d, later, r.why, now)
		r.finish(i, f, "")
		r.j.tellOnce(waypost.Attempt{Outcome: waypost.OutcomeUntried, Reply: waypost.Reply{Text: f.Reason}}, f.State)
	}
}

// giveBackFor is how long what could not be tried rests at least.
const giveBackFor = time.Second

// untried is the result of a delivery that was not tried: due again at a time, for a
// reason that is kept if there is no new one.
func untried(j *job, d waypost.Delivery, at time.Time, why string, now time.Time) *system.Finish {
	f := settle(d, waypost.Attempt{Outcome: waypost.OutcomeUntried}, "", time.Time{}, j.once != nil, now)
	if f.State == waypost.Queued && at.After(now) {
		f.NextAt = at
	}
	if f.Reason = why; why == "" {
		f.Reason = d.Reason
	}
	return f
}

// tellOnce tells who waits for a test mail what became of it.
func (j *job) tellOnce(a waypost.Attempt, s waypost.State) {
	if j.once != nil && j.once.Done != nil {
		j.once.Done(a, s)
	}
}
