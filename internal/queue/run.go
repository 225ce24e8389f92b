package queue

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// job is one message with some recipients that are leased to this node.
type job struct {
	key        *keyState
	dest       *destination
	lane       int
	account    *waypost.Account
	messageID  string
	message    *waypost.Message // nil: still to be read
	content    *content         // what the message takes from the budget; nil if it is to be read
	deliveries []waypost.Delivery
	once       *waypost.Once

	cancel context.CancelFunc // of a started job
}

// content is the share of the memory budget that a message holds, given back when
// its last job ends.
type content struct {
	size int64
	jobs atomic.Int32
}

func (q *Queue) drop(c *content) {
	if c != nil && c.jobs.Add(-1) == 0 {
		q.budget.Release(c.size)
	}
}

// begin starts a job in a slot of its destination. q.mu is held.
func (q *Queue) begin(j *job, _ time.Time) {
	j.dest.jobs--
	j.dest.active++
	q.laneBusy[j.lane]++
	q.busy++
	ctx, cancel := context.WithCancel(q.running)
	j.cancel = cancel
	q.waiting[j] = struct{}{}
	q.jobs.Add(1)
	if q.o.Observe != nil {
		q.o.Observe.Sessions(q.busy)
	}
	go q.run(ctx, j)
}

// run carries one job through and gives its slot back.
func (q *Queue) run(ctx context.Context, j *job) {
	defer q.jobs.Done()
	defer j.cancel()
	r := &result{q: q, j: j, open: make([]bool, len(j.deliveries))}
	for i := range r.open {
		r.open[i] = true
	}
	func() {
		defer func() {
			if p := recover(); p != nil {
				q.log.Error("panic while delivering", "message", j.messageID, "error", fmt.Sprint(p))
			}
		}()
		q.try(ctx, j, r)
	}()
	r.rest()
	q.drop(j.content)
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, j)
	j.dest.active--
	q.laneBusy[j.lane]--
	q.busy--
	q.held -= len(j.deliveries)
	now := time.Now()
	if j.once == nil { // a test mail says nothing about the destination of others
		j.dest.judge(r.verdict, r.why, now)
		if r.routeBack.After(j.dest.closed) {
			j.dest.closed = r.routeBack
		}
		if now.Before(j.dest.closed) {
			q.flush(j.dest)
			q.afterClosed(j.dest)
		}
	}
	if q.o.Observe != nil {
		q.o.Observe.Sessions(q.busy)
	}
	q.serve(j.dest)
	q.list(j.key)
	q.dispatch()
	q.forget(j.key)
}

// try loads, routes and delivers a job; what it does not report is given back.
func (q *Queue) try(ctx context.Context, j *job, r *result) {
	now := time.Now()
	account, decision := j.account, route.Decision{}
	if j.once != nil {
		account = j.once.Account
		decision = route.Pick(q.o.Platform, account, route.Mail{Kind: waypost.KindSecurity}, now)
		if account.Gateway == waypost.GatewaySMTP { // a failing relay is what one tests
			decision = route.Decision{Route: waypost.RouteRelay, Relay: account.Relay}
		}
	} else {
		fresh, err := q.o.Accounts.Get(ctx, j.key.key.OperatorID)
		if err != nil {
			q.log.Error("cannot read operator", "operator", j.key.key.OperatorID, "error", err)
			r.later = now.Add(scanEvery)
			return
		}
		account = fresh
		d := j.deliveries[0]
		decision = route.Pick(q.o.Platform, account, route.Mail{Kind: d.Kind, Test: isTest(&d)}, now)
	}
	if decision.Route == "" {
		r.why = decision.Why
		r.later = decision.Until
		return
	}
	r.expire(now)
	message, err := q.load(ctx, j)
	if err != nil {
		if ctx.Err() == nil {
			q.log.Error("cannot read message", "message", j.messageID, "error", err)
		}
		r.later = now.Add(scanEvery)
		return
	}
	if message.Header == nil || !message.Erased.IsZero() {
		r.all(waypost.Attempt{
			Route: decision.Route, Phase: waypost.PhaseRoute, Outcome: waypost.OutcomePermanent, Cause: "content",
			Reply: waypost.Reply{Text: "the content has been erased"}, Started: now,
		})
		return
	}
	if q.pin(j, r, decision, now) {
		return
	}
	r.account, r.decision, r.message = account, decision, message
	w := &waypost.Job{
		Account: account, Route: decision.Route, Relay: decision.Relay, Site: j.key.key.Site, Lane: waypost.LaneOfRank(j.lane),
		Message: message, Deliveries: j.deliveries, Pinned: j.deliveries[0].Cause == causeUncertain,
		MayTalk: func(d *waypost.Delivery) error { return q.mayTalk(r, d) },
		MayDot:  q.lease.mayDot,
		Report:  r.report,
	}
	if j.once != nil {
		w.Step = j.once.Step
	}
	q.o.Deliverer.Deliver(ctx, w)
}

func isTest(d *waypost.Delivery) bool {
	return len(d.Site) >= len(waypost.TestSite) && d.Site[:len(waypost.TestSite)] == waypost.TestSite
}

// pin holds deliveries whose last try may have arrived over another route than the
// one they would take now: a second copy must be a person's decision (promise 3). It
// reports whether the job is done with.
func (q *Queue) pin(j *job, r *result, decision route.Decision, now time.Time) bool {
	if j.once != nil {
		return false
	}
	held := 0
	for i := range j.deliveries {
		d := &j.deliveries[i]
		if d.Cause != causeUncertain || d.Route == decision.Route || d.Route == "" {
			continue
		}
		held++
		f := settle(*d, waypost.Attempt{Outcome: waypost.OutcomeUntried}, "", time.Time{}, false, now)
		f.Held, f.Event, f.Actor = true, waypost.EventHeld, "policy"
		f.Reason = fmt.Sprintf("the last try over %s may have arrived; release it to send it over %s", d.Route, decision.Route)
		r.open[i] = false
		q.finish(f, decision.Route, j.lane)
	}
	if held == len(j.deliveries) {
		return true
	}
	if held > 0 { // the others get a clean start
		r.later = now
		return true
	}
	return false
}

// load reads a message that is not in memory, waiting for room in the budget.
func (q *Queue) load(ctx context.Context, j *job) (*waypost.Message, error) {
	if j.message != nil {
		return j.message, nil
	}
	m, err := q.store.Mail(ctx, j.messageID)
	if err != nil {
		return nil, err
	}
	size := min(m.Size, q.o.Budget)
	if err := q.budget.Acquire(ctx, size); err != nil {
		return nil, err
	}
	j.content = &content{size: size}
	j.content.jobs.Store(1)
	return m, nil
}

// mayTalk is asked right before MAIL.
func (q *Queue) mayTalk(r *result, d *waypost.Delivery) error {
	if !r.isOpen(d) {
		return errSettled
	}
	if err := q.lease.mayTalk(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopping {
		return errStopping
	}
	if asked := q.control[d.ID]; asked != "" {
		return errors.New(asked + " was asked for")
	}
	delete(q.waiting, r.j)
	return nil
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

// result takes what the Deliverer reports of a job.
type result struct {
	q         *Queue
	j         *job
	open      []bool // not reported yet
	account   *waypost.Account
	decision  route.Decision
	message   *waypost.Message
	verdict   verdict
	why       string
	later     time.Time // for what is given back untried
	routeBack time.Time // the relay is failing until then
}

// expire ends deliveries whose time ran out while they waited in memory.
func (r *result) expire(now time.Time) {
	for i := range r.j.deliveries {
		d := r.j.deliveries[i]
		if !r.open[i] || d.Expires.After(now) || r.j.once != nil {
			continue
		}
		r.open[i] = false
		f := settle(d, waypost.Attempt{Outcome: waypost.OutcomeUntried}, "", time.Time{}, false, now)
		f.State, f.Event, f.Actor, f.Reason = waypost.Expired, waypost.EventExpired, "policy", d.Reason
		r.q.finish(f, "", r.j.lane)
	}
}

func (r *result) all(a waypost.Attempt) {
	for i := range r.open {
		if r.open[i] {
			r.report(i, a)
		}
	}
}

// report settles one delivery.
func (r *result) report(i int, a waypost.Attempt) {
	if !r.open[i] {
		return
	}
	r.open[i] = false
	q, d, now := r.q, r.j.deliveries[i], time.Now()
	a.DeliveryID, a.Number = d.ID, d.Attempts
	if a.Started.IsZero() {
		a.Started = now
	}
	policy := waypost.UncertainRetry
	if r.account != nil {
		policy = r.account.Uncertain
	}
	once := r.j.once != nil
	var routeBack time.Time
	if v := verdictOf(&a); v != neutral {
		r.verdict, r.why = v, a.Reply.String()
	}
	if a.Route == waypost.RouteRelay && !once {
		routeBack = r.relayNews(&a, now)
		r.routeBack = routeBack
	}
	f := settle(d, a, policy, routeBack, once, now)
	if a.Route == waypost.RouteSandbox && f.State == waypost.Delivered {
		f.Sandbox = &system.SandboxMail{
			MailFrom: r.message.MailFrom, Subject: r.message.Subject, Header: r.message.Header, Body: r.message.Body,
		}
	}
	if q.o.Observe != nil {
		q.o.Observe.Attempt(a.Route, a.Outcome, a.Cause)
	}
	q.finish(f, a.Route, r.j.lane)
	if once && r.j.once.Done != nil {
		r.j.once.Done(a, f.State)
	}
}

// relayNews keeps what an attempt shows about the operator's relay, and returns when
// the relay may be tried again if it is failing.
func (r *result) relayNews(a *waypost.Attempt, now time.Time) time.Time {
	q := r.q
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.running), 10*time.Second)
	defer cancel()
	switch {
	case a.Outcome == waypost.OutcomeRouteDown:
		reason := a.Reply.String()
		next, first, err := q.o.Accounts.RelayFailed(ctx, r.account.ID, reason, now)
		if err != nil {
			q.log.Error("cannot record a failing relay", "operator", r.account.ID, "error", err)
			return now.Add(time.Minute)
		}
		if first {
			q.log.Warn("relay is failing", "operator", r.account.ID, "host", a.Host, "reason", reason)
			if q.o.OnRelayFailing != nil {
				go q.o.OnRelayFailing(r.account, reason)
			}
		}
		return next
	case r.account.RelayHealth.Failing() && verdictOf(a) == good:
		if err := q.o.Accounts.RelayRecovered(ctx, r.account.ID); err != nil {
			q.log.Error("cannot record a working relay", "operator", r.account.ID, "error", err)
		}
	case r.decision.Probe && a.Outcome == waypost.OutcomeTemporary && verdictOf(a) == bad:
		// The probe got no further than before: wait longer for the next one.
		if _, _, err := q.o.Accounts.RelayFailed(ctx, r.account.ID, a.Reply.String(), now); err != nil {
			q.log.Error("cannot record a failing relay", "operator", r.account.ID, "error", err)
		}
	}
	return time.Time{}
}

// rest gives back what was not reported.
func (r *result) rest() {
	now := time.Now()
	for i, open := range r.open {
		if !open {
			continue
		}
		r.open[i] = false
		f := settle(r.j.deliveries[i], waypost.Attempt{Outcome: waypost.OutcomeUntried}, "", time.Time{}, r.j.once != nil, now)
		if r.later.After(now) {
			f.NextAt = r.later
		}
		f.Reason = r.why
		if f.Reason == "" {
			f.Reason = r.j.deliveries[i].Reason
		}
		r.q.finish(f, "", r.j.lane)
		if r.j.once != nil && r.j.once.Done != nil {
			r.j.once.Done(waypost.Attempt{Outcome: waypost.OutcomeUntried, Reply: waypost.Reply{Text: f.Reason}}, f.State)
		}
	}
}

// finish records a result. One that cannot be written stays here and is retried, and
// nothing new is dialed meanwhile.
func (q *Queue) finish(f *system.Finish, r waypost.RouteKind, lane int) {
	q.writes.Add(1)
	q.store.Finish(f, func(err error) {
		defer q.writes.Done()
		if err != nil {
			q.log.Error("cannot record a result, keeping it in memory", "delivery", f.Delivery.ID, "error", err)
			q.mu.Lock()
			q.unsaved[f] = struct{}{}
			q.mu.Unlock()
			return
		}
		q.recorded(f, r, lane)
	})
}

// recorded follows a durable result. It runs in the committer and is quick.
func (q *Queue) recorded(f *system.Finish, r waypost.RouteKind, lane int) {
	if f.Lost {
		q.log.Warn("lease was lost, the result was not recorded", "delivery", f.Delivery.ID, "state", string(f.State))
		return
	}
	if q.o.Observe != nil && f.Settled.Final() {
		q.o.Observe.Finished(f.Settled, r, waypost.LaneOfRank(lane), f.At.Sub(f.Delivery.Created))
	}
	if f.Settled != waypost.Queued || f.Held {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopping {
		return
	}
	key := system.Key{Lane: f.Delivery.Lane.Rank(), OperatorID: f.Delivery.OperatorID, Site: f.Delivery.Site}
	q.note(system.DueKey{Key: key, NextAt: f.NextAt}, time.Now())
	q.dispatch()
}

// retryUnsaved writes results again that could not be written.
func (q *Queue) retryUnsaved(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			q.saveUnsaved()
		}
	}
}

// saveUnsaved tries once to write what could not be written, and waits for it.
func (q *Queue) saveUnsaved() {
	q.mu.Lock()
	again := q.unsaved
	q.unsaved = map[*system.Finish]struct{}{}
	q.mu.Unlock()
	if len(again) == 0 {
		return
	}
	left := make(chan struct{}, len(again))
	for f := range again {
		q.store.Finish(f, func(err error) {
			if err != nil {
				q.mu.Lock()
				q.unsaved[f] = struct{}{}
				q.mu.Unlock()
			} else {
				q.recorded(f, f.Route, f.Delivery.Lane.Rank())
			}
			left <- struct{}{}
		})
	}
	for range again {
		<-left
	}
	q.mu.Lock()
	q.dispatch()
	q.mu.Unlock()
}

// flush gives the jobs that wait in memory for a closed destination back to the
// database: their turn may be long in coming. q.mu is held.
func (q *Queue) flush(d *destination) {
	if d.jobs == 0 {
		return
	}
	for _, k := range q.keys {
		keep := k.jobs[:0]
		for _, j := range k.jobs {
			if j.dest == d {
				q.giveBack(j, d.closed, d.why)
			} else {
				keep = append(keep, j)
			}
		}
		clear(k.jobs[len(keep):])
		k.jobs = keep
	}
}

// giveBack returns a job that was not started. q.mu is held.
func (q *Queue) giveBack(j *job, at time.Time, why string) {
	j.dest.jobs--
	q.held -= len(j.deliveries)
	q.drop(j.content)
	now := time.Now()
	for _, d := range j.deliveries {
		f := settle(d, waypost.Attempt{Outcome: waypost.OutcomeUntried}, "", time.Time{}, false, now)
		f.Reason = d.Reason
		if why != "" {
			f.Reason = why
		}
		if at.After(now) {
			f.NextAt = at
		}
		lane := j.lane
		// Not from here: done may run at once and takes q.mu.
		q.jobs.Add(1)
		go func() {
			defer q.jobs.Done()
			q.finish(f, "", lane)
		}()
	}
}

// giveBackAll empties the memory at the end.
func (q *Queue) giveBackAll() {
	var all []*system.Finish
	q.mu.Lock()
	now := time.Now()
	for _, k := range q.keys {
		for _, j := range k.jobs {
			j.dest.jobs--
			q.held -= len(j.deliveries)
			q.drop(j.content)
			for _, d := range j.deliveries {
				f := settle(d, waypost.Attempt{Outcome: waypost.OutcomeUntried}, "", time.Time{}, false, now)
				f.Reason = d.Reason
				all = append(all, f)
			}
		}
		k.jobs = nil
	}
	for _, f := range all {
		q.unsaved[f] = struct{}{}
	}
	q.mu.Unlock()
}
