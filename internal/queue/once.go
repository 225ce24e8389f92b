package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// Bounds of test mails under way: they are started in nobody's turn, in sessions beside
// those of all other mail, so that neither waits for the other.
const (
	maxTests    = 20
	maxOwnTests = 3 // of one operator
)

// An honest test is over within two or three minutes: some addresses that do not
// answer, a greeting and a RCPT that are slow on purpose, a scan of the content. What
// takes longer is given up, and whoever waits for it is told.
const (
	testTalk  = 5 * time.Minute // up to the final dot
	testReply = 2 * time.Minute // more for the answer to it
)

// crowded reports whether an operator may start no further test mail now. q.mu is held.
func (q *Queue) crowded(operator string) bool {
	return q.tests[operator] >= maxOwnTests || q.testing >= maxTests
}

// tooManyTests is the refusal of a further test mail, nil if that is not why.
func (q *Queue) tooManyTests(operator string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.crowded(operator) {
		return nil
	}
	return waypost.NewError(waypost.RateLimited, "too_many_tests",
		fmt.Sprintf("at most %d test mails of an operator, and %d in all, may be under way; wait for one to end", maxOwnTests, maxTests))
}

// watch has a test mail's job tell who waits for it how far it is, and ends it in time
// after the final dot, too. The returned function ends what it began.
func (r *result) watch(w *waypost.Job) (stop context.CancelFunc) {
	w.AfterDot, stop = context.WithTimeout(r.q.running, testTalk+testReply)
	w.Step = func(s waypost.Step) {
		r.phase = s.Phase
		if r.j.once.Step != nil {
			r.j.once.Step(s)
		}
	}
	return stop
}

// timedOut settles what a test mail left open when its time was up.
func (r *result) timedOut(ctx context.Context) {
	if r.j.once == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return
	}
	r.failed = &waypost.Attempt{
		Phase: r.phase, Outcome: waypost.OutcomeTemporary, Cause: "timeout", Route: r.decision.Route,
		Reply: waypost.Reply{Text: fmt.Sprintf("the test was given up after %d minutes", testTalk/time.Minute)},
	}
}
