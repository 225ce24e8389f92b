package queue

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// job is one message with some recipients that are leased to this node.
type job struct {
	key        *keyState
	dest       *destination      // of a started job: read it with q.mu held, or know that the route is not direct
	route      waypost.RouteKind // that dest is for
	lane       int
	account    *waypost.Account
	messageID  string
	message    *waypost.Message // nil: still to be read
	content    *content         // what the message takes from the budget; nil if it is to be read
	deliveries []waypost.Delivery
	pinned     waypost.RouteKind // its deliveries may have arrived over this route
	probe      bool              // it finds out whether a relay works again
	once       *waypost.Once

	cancel context.CancelFunc // of a started job
}

// take counts a job in. q.mu is held.
func (q *Queue) take(j *job) {
	j.dest.jobs++
	q.held += len(j.deliveries)
	if j.once != nil {
		q.testing++
		q.tests.add(j.key.key.OperatorID)
	}
	for i := range j.deliveries {
		q.ours[j.deliveries[i].ID] = false
	}
}

// leave counts a job out. q.mu is held.
func (q *Queue) leave(j *job) {
	q.held -= len(j.deliveries)
	if j.once != nil {
		q.testing--
		q.tests.remove(j.key.key.OperatorID)
	}
}

// begin starts a job in a slot of its destination. q.mu is held.
func (q *Queue) begin(j *job) {
	j.dest.jobs--
	j.dest.active++
	if j.dest.slow.rate.times > 0 {
		j.dest.spend(time.Now())
	}
	q.busy++
	var ctx context.Context
	if j.once == nil {
		q.laneBusy[j.lane]++
		q.sessionsOf(j.lane).add(j.key.key.OperatorID)
		ctx, j.cancel = context.WithCancel(q.running)
	} else {
		ctx, j.cancel = context.WithTimeout(q.running, testTalk)
	}
	q.waiting[j] = struct{}{}
	for i := range j.deliveries {
		q.ours[j.deliveries[i].ID] = true
	}
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
	r := newResult(q, j)
	if !q.contain("delivering", slog.String("message", j.messageID), func() { q.try(ctx, j, r) }) {
		r.failed = &waypost.Attempt{
			Phase: waypost.PhaseRoute, Outcome: waypost.OutcomeTemporary, Cause: "unknown", Route: r.decision.Route,
			Reply: waypost.Reply{Text: "an internal error ended the attempt"},
		}
	}
	q.contain("settling", slog.String("message", j.messageID), r.rest)
	j.content.done()
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, j)
	for _, id := range r.left() { // not settled after all: the search for strays finds it
		delete(q.ours, id)
	}
	j.dest.active--
	q.busy--
	q.leave(j)
	if q.o.Observe != nil {
		q.o.Observe.Sessions(q.busy)
	}
	if j.once != nil { // a test mail says nothing about the destination of others
		q.dispatch()
		return
	}
	q.laneBusy[j.lane]--
	q.sessionsOf(j.lane).remove(j.key.key.OperatorID)
	now := time.Now()
	var closed bool
	switch {
	case !j.dest.isFor(r.tried): // it says nothing about the settings saved meanwhile
	case r.relayBack.IsZero():
		closed = j.dest.judge(r.verdict, j.dest.telling(r.why), now)
	default:
		closed = j.dest.refuse(r.relayBack, r.why)
	}
	if r.worked { // however the session ended
		j.dest.run = 0
		q.through(r, now)
	}
	if closed {
		q.closing(j.dest, now)
	}
	q.serve(j.dest)
	q.list(j.key)
	q.dispatch()
	q.forget(j.key)
}

// try loads, routes and delivers a job; what it does not report is given back.
func (q *Queue) try(ctx context.Context, j *job, r *result) {
	now := time.Now()
	if !q.reroute(ctx, r, now) {
		return
	}
	r.expire(now)
	if !r.anyOpen() || r.pin() {
		return
	}
	message, err := q.load(ctx, j)
	if err != nil {
		if ctx.Err() == nil {
			q.log.Error("cannot read message", "message", j.messageID, "error", err)
			r.giveBackFor("its content cannot be read", now.Add(backoff(waypost.LaneOfRank(j.lane), 1)))
		}
		return
	}
	r.message, r.tried = message, r.decision.Relay
	if len(message.Header) == 0 || !message.Erased.IsZero() {
		r.all(waypost.Attempt{
			Route: r.decision.Route, Phase: waypost.PhaseRoute, Outcome: waypost.OutcomePermanent, Cause: "content",
			Reply: waypost.Reply{Text: "the content has been erased"}, Started: now,
		})
		return
	}
	w := &waypost.Job{
		Account: r.account, Route: r.decision.Route, Relay: r.tried, Site: j.key.key.Site, Lane: waypost.LaneOfRank(j.lane),
		Message: message, Deliveries: j.deliveries, Pinned: j.pinned != "",
		MayTalk: func(d *waypost.Delivery) error { return q.mayTalk(ctx, r, d) },
		MayDot:  func() error { return q.mayDot(ctx) }, AfterDot: q.running,
		Report: r.report,
	}
	if j.once != nil {
		defer r.watch(w)()
	} else if j.route == waypost.RouteDirect {
		w.Resolved = func(mx string) error { return q.resolved(r, mx) }
	}
	q.o.Deliverer.Deliver(ctx, w)
	r.timedOut(ctx)
}

// reroute reads the operator anew and picks the job's route. Without one, or with one
// that leads elsewhere than the job's destination, the job is given back.
func (q *Queue) reroute(ctx context.Context, r *result, now time.Time) bool {
	j := r.j
	r.changes = q.changes.Load()
	if j.once != nil {
		r.account = j.once.Account
		r.decision = route.Pick(q.o.Platform, r.account, route.Mail{Kind: waypost.KindSecurity}, now)
		if r.account.Gateway == waypost.GatewaySMTP && r.account.Relay != nil { // a failing relay is what one tests
			r.decision = route.Decision{Route: waypost.RouteRelay, Relay: r.account.Relay}
		}
		if r.decision.Route == "" {
			r.giveBackFor(r.decision.Why, time.Time{})
			return false
		}
		return true
	}
	account, err := q.o.Accounts.Get(ctx, j.key.key.OperatorID)
	if waypost.KindOf(err) == waypost.NotFound {
		r.giveBackFor("the operator was deleted", now.Add(recheck))
		return false
	}
	if err != nil {
		if ctx.Err() == nil {
			q.log.Error("cannot read operator", "operator", j.key.key.OperatorID, "error", err)
		}
		return false
	}
	d := &j.deliveries[0]
	decision := route.Pick(q.o.Platform, account, route.Mail{Kind: d.Kind, Test: isTest(d)}, now)
	switch {
	case decision.Route == "":
		r.giveBackFor(decision.Why, decision.Until)
		return false
	case decision.Probe && !j.probe:
		r.giveBackFor(decision.Why, time.Time{})
		return false
	case decision.Route != j.route:
		return false // the gateway was switched meanwhile: claimed again it gets the right slot
	case j.pinned == waypost.RouteUpstream && decision.Route == waypost.RouteDirect &&
		q.o.Platform.Upstream != nil && q.o.Platform.UpstreamMode == route.UpstreamFallback:
		// The upstream stood in for direct delivery then, and is asked again.
		decision = route.Decision{Route: waypost.RouteUpstream, Relay: q.o.Platform.Upstream, Why: "may have arrived over it"}
	}
	r.account, r.decision = account, decision
	return true
}

func isTest(d *waypost.Delivery) bool { return strings.HasPrefix(d.Site, waypost.TestSite) }

// load reads a message that is not in memory, waiting for room in the budget.
func (q *Queue) load(ctx context.Context, j *job) (*waypost.Message, error) {
	if j.message != nil {
		return j.message, nil
	}
	share := q.budget[j.lane]
	m, c, err := share.read(ctx, q.store, j.key.key.OperatorID, j.messageID, func() { q.makeRoom(share) })
	j.content = c
	return m, err
}

// mayTalk is asked right before MAIL.
func (q *Queue) mayTalk(ctx context.Context, r *result, d *waypost.Delivery) error {
	if !r.isOpen(d) {
		return errSettled
	}
	now := time.Now()
	if !d.Expires.After(now) && r.j.once == nil {
		return errExpired
	}
	if err := q.lease.mayTalk(); err != nil {
		return err
	}
	if r.refused != nil {
		return r.refused
	}
	if r.changes != q.changes.Load() && r.j.once == nil {
		if r.refused = q.stillSo(ctx, r, now); r.refused != nil {
			return r.refused
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopping {
		return errStopping
	}
	if asked := q.control[d.ID]; asked != "" {
		return fmt.Errorf("%s was asked for", asked)
	}
	if r.j.once != nil {
		return nil
	}
	return r.goesOn(d, now)
}

// mayDot is asked right before the final dot. After it the job's context no longer
// counts, so this is the last moment to heed it.
func (q *Queue) mayDot(ctx context.Context) error {
	if ctx.Err() != nil {
		return errStopping
	}
	return q.lease.mayDot()
}

// stillSo checks that a job's route is what it was when something has changed since
// it was picked: a suspension counts up to MAIL.
func (q *Queue) stillSo(ctx context.Context, r *result, now time.Time) error {
	before := r.decision
	if !q.reroute(ctx, r, now) {
		return fmt.Errorf("no longer to be sent: %s", r.why)
	}
	if before.Route != r.decision.Route || !sameRelay(before.Relay, r.decision.Relay) {
		return fmt.Errorf("the gateway was changed")
	}
	return nil
}

func sameRelay(a, b *waypost.Relay) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
