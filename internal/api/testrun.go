package api

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/inbound"
	"github.com/waypost/waypost/internal/waypost"
)

// Bounds of what is kept of test mails in memory.
const (
	testsKept   = 10 * time.Minute
	maxTestRuns = 1000
	maxSteps    = 500 // of one: a domain may have many MX hosts
)

// testRun is a test mail under way, or not long over.
type testRun struct {
	operatorID string
	done       chan struct{}
	arrived    <-chan inbound.Verdict // nil unless it comes back to us

	mu      sync.Mutex
	id      string
	began   time.Time
	steps   []waypost.Step
	state   waypost.State // "" until it is over
	attempt *waypost.Attempt
	verdict *inbound.Verdict
}

func newTestRun(operatorID string) *testRun {
	return &testRun{operatorID: operatorID, done: make(chan struct{})}
}

// step and end may be called before begin: the mail leaves at once.
func (r *testRun) step(s waypost.Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.steps) < maxSteps {
		r.steps = append(r.steps, s)
	}
}

func (r *testRun) end(a waypost.Attempt, state waypost.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == "" {
		r.attempt, r.state = &a, state
		close(r.done)
	}
}

// begin takes the id that the mail was accepted under.
func (r *testRun) begin(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.id, r.began = id, time.Now()
}

// await waits for the verdict on a mail that was delivered to us.
func (r *testRun) await(ctx context.Context, end <-chan time.Time) {
	r.mu.Lock()
	delivered := r.state == waypost.Delivered
	r.mu.Unlock()
	if r.arrived == nil || !delivered {
		return
	}
	select {
	case v := <-r.arrived:
		r.take(v)
	case <-end:
	case <-ctx.Done():
	}
}

func (r *testRun) take(v inbound.Verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verdict = &v
}

func (r *testRun) show() testResult {
	select {
	case v := <-r.arrived: // a nil channel never yields
		r.take(v)
	default:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out := testResult{ID: r.id, Status: waypost.Queued, Stages: items(r.steps, showStage), Received: showReceived(r.verdict)}
	if r.state == "" {
		return out
	}
	out.conclude(r.attempt, r.state)
	out.Done = true // it was tried, and is tried once
	if r.arrived != nil && r.verdict == nil && r.state == waypost.Delivered {
		out.Advice = "The mail was handed over and has not come back to us yet. Ask again in a minute. If it never comes, look for it where the " +
			"server that took it keeps its log, or send a test mail to a mailbox of yours, choose \"Show original\" there, and look for spf=pass, " +
			"dkim=pass and dmarc=pass in Authentication-Results."
	}
	return out
}

// testRuns are the test mails that this process sent last.
type testRuns struct {
	limits *limiters // ten a minute per operator

	mu   sync.Mutex
	runs []*testRun // oldest first
}

func newTestRuns() *testRuns { return &testRuns{limits: newLimiters(10.0/60, 10)} }

func (t *testRuns) allow(operatorID string) bool { return t.limits.allow(operatorID) }

func (t *testRuns) add(r *testRun, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	if len(t.runs) >= maxTestRuns {
		t.runs = slices.Delete(t.runs, 0, 1)
	}
	t.runs = append(t.runs, r)
}

func (t *testRuns) find(operatorID, id string, now time.Time) *testRun {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	for _, r := range t.runs {
		if r.id == id && r.operatorID == operatorID {
			return r
		}
	}
	return nil
}

func (t *testRuns) expire(now time.Time) {
	t.runs = slices.DeleteFunc(t.runs, func(r *testRun) bool { return now.Sub(r.began) > testsKept })
}
