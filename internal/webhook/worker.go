package webhook

import (
	"context"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	// storeTime bounds each look at the database and each write.
	storeTime = 35 * time.Second
	// brokenFor is how long an endpoint rests when the database or the key fails us.
	brokenFor = time.Second
	// mostWaiting is how many calls of an endpoint may wait before no new ones are made, and
	// mostProbes the same while it fails.
	mostWaiting = 1000
	mostProbes  = 8
)

// worker works on one endpoint, while there is anything to do for it.
type worker struct {
	h     *Webhooks
	key   store.WebhookKey
	poked chan struct{} // capacity 1: there may be something new
	done  chan ended    // capacity perEndpoint

	flying  map[string]bool // calls under way
	results []ended         // that are still to be recorded
	rest    time.Time       // nothing begins before: the last call could not, for reasons of ours
	until   time.Time       // the endpoint rests, as was read last
}

// ended is a call with the outcome of an attempt. An attempt that was not begun has none.
type ended struct {
	call    waypost.WebhookCall
	url     string
	outcome outcome
	begun   bool
}

func newWorker(h *Webhooks, k store.WebhookKey) *worker {
	return &worker{h: h, key: k, poked: make(chan struct{}, 1), done: make(chan ended, perEndpoint), flying: map[string]bool{}}
}

func (w *worker) poke() {
	select {
	case w.poked <- struct{}{}:
	default:
	}
}

// work runs until there is nothing to do, another process has the lease, or the end.
func (w *worker) work() {
	for {
		next, ok := time.Time{}, false
		if !w.h.contain("webhook "+w.key.ID, func() { next, ok = w.round() }) {
			next, ok = time.Now().Add(brokenFor), w.h.run.Err() == nil // nothing is known: read again
		}
		switch {
		case !ok && len(w.flying) == 0:
			if w.h.leave(w) {
				return
			}
		default:
			w.wait(next)
		}
	}
}

// wait waits for a result, for something new, or until a time; zero is never.
func (w *worker) wait(until time.Time) {
	var timer <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		timer = t.C
	}
	over := w.h.run.Done()
	if len(w.flying) > 0 && w.h.run.Err() != nil {
		over = nil // what is under way ends first
	}
	select {
	case e := <-w.done:
		w.take(e)
	case <-w.poked:
	case <-timer:
	case <-over:
	}
	for { // what else has ended by now is recorded with it
		select {
		case e := <-w.done:
			w.take(e)
		default:
			return
		}
	}
}

func (w *worker) take(e ended) {
	delete(w.flying, e.call.ID)
	if !e.begun {
		w.rest = time.Now().Add(brokenFor)
		return
	}
	w.results = append(w.results, e)
	w.h.noteQuick(w.key, e.outcome.quick)
}

// round reads, decides, writes and starts calls. It returns when it should go on even if
// nothing happens, zero for never; ok is false when there is nothing left to do.
func (w *worker) round() (next time.Time, ok bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.h.run), storeTime)
	defer cancel()
	broken := func(what string, err error) (time.Time, bool) {
		w.h.o.Log.Error("webhook rests", "webhook", w.key.ID, "why", what, "error", err)
		return time.Now().Add(brokenFor), w.h.run.Err() == nil
	}
	limit, now := w.limit(), time.Now()
	resting := now.Before(w.until)
	if resting { // whatever is to be told meanwhile: it is not read each time that there is more
		limit = 0
	}
	work, err := w.h.o.Store.WebhookWork(ctx, w.key, perEndpoint+len(w.flying)+len(w.results)+1, limit, w.finished(now))
	switch {
	case waypost.KindOf(err) == waypost.NotFound && err != nil:
		return w.giveUp()
	case err != nil:
		return broken("cannot read a webhook", err)
	case work.Lease != "" && work.Lease != w.h.o.Incarnation:
		return w.giveUp()
	}
	w.until = work.NextAt
	if w.moved(work.URL) || resting && !work.NextAt.After(now) {
		return now, true // that was read for something else
	}
	step, p, err := w.plan(work, limit, now)
	if err != nil {
		return broken("cannot write a call of a webhook", err)
	}
	secrets, err := w.h.secrets(&work.StoredWebhook, now)
	if err != nil && len(p.start) > 0 { // our fault, not the endpoint's
		p.start, step.Calls = nil, nil
		p.next = now.Add(time.Minute)
		w.h.o.Log.Error("cannot sign calls of a webhook", "webhook", w.key.ID, "error", err)
	}
	if len(step.Results)+len(step.Calls)+len(step.Gone) > 0 || step.Disable != "" || len(p.start) > 0 || step.Free && work.Lease != "" {
		if err := w.h.o.Store.StepWebhook(ctx, step); err != nil {
			return broken("cannot record calls of a webhook", err)
		}
		if step.Lost {
			return now, true // it was changed meanwhile: read again
		}
		w.recorded(step)
		if step.Disabled {
			return time.Time{}, false
		}
	}
	w.start(work, p, secrets)
	if resting && step.Health != nil && !step.Health.NextAt.After(now) {
		p.next = now // it took a call: it rests no longer
	}
	return p.next, !step.Free
}

// moved finds results that tell of another URL than the webhook has by now, and reports
// whether there were any that it did not know of.
func (w *worker) moved(url string) (is bool) {
	for i := range w.results {
		if e := &w.results[i]; e.url != url && !e.outcome.moved {
			e.outcome.moved, is = true, true
		}
	}
	return is
}

// limit is how many calls may begin now.
func (w *worker) limit() int {
	if w.h.run.Err() != nil || w.h.o.Alive() != nil || time.Now().Before(w.rest) {
		return 0
	}
	most := 1
	if w.h.isQuick(w.key) {
		most = perEndpoint
	}
	return max(0, most-len(w.flying))
}

// giveUp forgets the webhook: it is gone, or another process has it.
func (w *worker) giveUp() (time.Time, bool) {
	w.results = nil
	return time.Time{}, false
}

// finished lists the calls that are about to be recorded as finished.
func (w *worker) finished(now time.Time) []string {
	var ids []string
	for i := range w.results {
		e := &w.results[i]
		if w.h.settle(&e.call, e.outcome, now).State != waypost.WebhookWaiting {
			ids = append(ids, e.call.ID)
		}
	}
	return ids
}

// recorded forgets results that are durable.
func (w *worker) recorded(s *store.WebhookStep) {
	for i, e := range w.results {
		if o := w.h.o.Observe; o != nil {
			o.WebhookCalled(s.Results[i].State, e.outcome.Took)
		}
	}
	if len(w.results) > 0 && (s.Disable != "" || s.Health != nil && s.Health.Failures == failingAfter) {
		w.h.o.Log.Warn("an endpoint fails", "webhook", w.key.ID, "operator", w.key.OperatorID, "why", s.Health.FailingWhy, "disabled", string(s.Disable))
	}
	w.results = nil
}

// planned is what a round does after its step.
type planned struct {
	start []waypost.WebhookCall // with a body if they are new
	next  time.Time             // when to look again
}

// plan decides what to record and what to begin. It does nothing.
func (w *worker) plan(work *store.WebhookWork, limit int, now time.Time) (*store.WebhookStep, planned, error) {
	s := &store.WebhookStep{WebhookKey: w.key, Incarnation: w.h.o.Incarnation, Epoch: work.Epoch, At: now}
	outcomes := make([]outcome, len(w.results))
	waiting := work.Count
	for i := range w.results {
		r := w.h.settle(&w.results[i].call, w.results[i].outcome, now)
		s.Results = append(s.Results, r)
		outcomes[i] = w.results[i].outcome
		if r.State != waypost.WebhookWaiting {
			waiting--
		}
	}
	is, disable := w.h.health(work, outcomes, now)
	if len(outcomes) > 0 {
		s.Health, s.Disable = &is, disable
	}
	var p planned
	if !work.Enabled || disable != "" {
		s.Free = true
		return s, p, nil
	}
	probing := is.Failures >= failingAfter
	if probing {
		limit = min(limit, max(0, 1-len(w.flying)))
	}
	if is.NextAt.After(now) {
		limit, p.next = 0, is.NextAt
	}
	due := w.repeat(work, s, is, now, &p)
	most := mostWaiting
	if probing {
		most = mostProbes
	}
	fresh := limit - min(len(due), limit)
	if probing && limit > 0 && waiting < most && len(work.Events) > 0 {
		due, fresh = nil, 1 // an event that the endpoint has not refused yet
	}
	p.start = due[:min(len(due), limit)]
	if fresh = min(fresh, most-waiting); fresh > 0 && len(work.Events) > 0 {
		var err error
		if s.Calls, s.Gone, err = compose(&work.Webhook, work.Events, fresh, now); err != nil {
			return nil, p, err
		}
		for _, c := range s.Calls {
			p.start = append(p.start, c.WebhookCall)
		}
		if len(s.Calls) < fresh && len(work.Events) >= fresh*work.MaxEvents {
			p.next = now // what was read left no room for what comes after it
		}
	}
	if is.Recovered {
		p.next = now // what waits is due
	}
	if limit > 0 && waiting == 0 && len(work.Events) == 0 && len(w.flying) == 0 || w.h.run.Err() != nil && len(w.flying) == 0 {
		s.Free, p.next = true, time.Time{}
	}
	if len(w.flying) == 0 && p.next.IsZero() && (w.h.o.Alive() != nil || now.Before(w.rest)) {
		p.next = now.Add(brokenFor)
	}
	return s, p, nil
}

// repeat lists the calls whose time has come, and notes when that of the next one does.
func (w *worker) repeat(work *store.WebhookWork, s *store.WebhookStep, is store.WebhookHealth, now time.Time, p *planned) (due []waypost.WebhookCall) {
	next := func(at time.Time) {
		if at.After(now) && (p.next.IsZero() || at.Before(p.next)) && !is.NextAt.After(now) {
			p.next = at
		}
	}
	again := map[string]bool{}
	for _, r := range s.Results {
		again[r.CallID] = true
		if r.State == waypost.WebhookWaiting {
			next(r.NextAt)
		}
	}
	for _, c := range work.Waiting {
		if w.flying[c.ID] || again[c.ID] {
			continue
		}
		if c.NextAt.After(now) && is.Failures < failingAfter {
			next(c.NextAt)
			continue
		}
		due = append(due, c)
	}
	return due
}

// start begins calls.
func (w *worker) start(work *store.WebhookWork, p planned, secrets [][]byte) {
	for _, c := range p.start {
		w.flying[c.ID] = true
		w.h.work.Go(func() {
			e := ended{call: c, url: work.URL}
			defer func() { w.done <- e }()
			if !w.h.contain("call of webhook "+w.key.ID, func() { w.call(work.URL, secrets, &e) }) {
				e.begun, e.outcome.Number, e.outcome.Error = true, c.Attempts+1, "internal error" // not at once again
			}
		})
	}
}

// call makes one attempt, once there is a slot for it.
func (w *worker) call(url string, secrets [][]byte, e *ended) {
	ctx := w.h.run // nothing begins after its end
	if !w.h.isQuick(w.key) {
		if w.h.slow.Acquire(ctx, 1) != nil {
			return
		}
		defer w.h.slow.Release(1)
	}
	if w.h.slots.Acquire(ctx, 1) != nil {
		return
	}
	defer w.h.slots.Release(1)
	if e.call.Body == nil {
		body, err := w.h.o.Store.WebhookBody(ctx, e.call.ID)
		if err != nil {
			if ctx.Err() == nil {
				w.h.o.Log.Error("cannot read a call of a webhook", "webhook", w.key.ID, "error", err)
			}
			return
		}
		e.call.Body = body
	}
	if w.h.o.Alive() != nil || ctx.Err() != nil {
		return
	}
	o := w.h.post(w.h.talk, url, secrets, e.call.ID, e.call.Body, w.h.o.Timeout)
	if w.h.talk.Err() != nil && o.Status == 0 {
		return // we cut it off: it says nothing about the endpoint
	}
	o.Number = e.call.Attempts + 1
	e.outcome, e.begun = o, true
	e.call.Body = nil
}
