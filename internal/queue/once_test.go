package queue_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// ended is what who waits for a test mail is told.
type ended struct {
	attempt waypost.Attempt
	state   waypost.State
}

// test accepts a test mail of an operator over settings that are not saved.
func (w *world) test(operator string) (a *store.Accepting, done chan ended, ok bool) {
	w.t.Helper()
	account := waypost.Account{Operator: waypost.Operator{ID: operator}}
	onRelay("unsaved.test")(&account)
	done = make(chan ended, 5)
	once := &waypost.Once{
		Account: &account, Step: func(waypost.Step) {}, Done: func(a waypost.Attempt, s waypost.State) { done <- ended{a, s} },
	}
	a, handover, ok := w.reserve(storetest.Mail{OperatorID: operator, Kind: waypost.KindTest}, once)
	if !ok {
		handover.Cancel()
		return nil, nil, false
	}
	if err := w.db.Store.Accept(context.Background(), a); err != nil {
		w.t.Fatal(err)
	}
	handover.Start()
	return a, done, true
}

// forEver keeps test mails open, before the final dot or after it.
func forEver(afterDot bool) func(context.Context, *waypost.Job, int) *waypost.Attempt {
	return func(ctx context.Context, j *waypost.Job, _ int) *waypost.Attempt {
		switch {
		case j.Message.Kind != waypost.KindTest:
			return delivered(j)
		case afterDot:
			hang(j.AfterDot, nil)
			return attempt(j, waypost.OutcomeUncertain, waypost.PhaseDot, 0, "no answer")
		default:
			j.Step(waypost.Step{Phase: waypost.PhaseHello})
			j.Step(waypost.Step{Phase: waypost.PhaseAuth})
			hang(ctx, nil)
			return nil
		}
	}
}

func TestTestMailThatNeverEndsIsGivenUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(forEver(false))
		w.run()
		a, done, _ := w.test("op")
		w.pass(queue.TestTalk - time.Second)
		if d := w.only(a); d.State != waypost.Queued || len(done) != 0 {
			t.Fatalf("too early: %+v", d)
		}
		w.pass(2 * time.Second)
		if d := w.only(a); d.State != waypost.Expired || !strings.HasPrefix(d.Reason, "the test was given up after 5 minutes") {
			t.Errorf("%+v", d)
		}
		if len(done) != 1 {
			t.Fatalf("told %d times", len(done))
		}
		if e := <-done; e.state != waypost.Expired || e.attempt.Cause != "timeout" || e.attempt.Phase != waypost.PhaseAuth || e.attempt.Took < queue.TestTalk {
			t.Errorf("told %+v", e)
		}
		if w.accounts.failed != 0 {
			t.Error("a test changed the relay's health")
		}
	})
}

func TestTestMailWithoutAnAnswerToItsDotIsUncertain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(forEver(true))
		w.run()
		a, done, _ := w.test("op")
		w.pass(queue.TestTalk + queue.TestReply - time.Second)
		if d := w.only(a); d.State != waypost.Queued {
			t.Fatalf("too early: %+v", d)
		}
		w.pass(2 * time.Second)
		if d := w.only(a); d.State != waypost.Uncertain || len(done) != 1 {
			t.Errorf("%+v, told %d times", d, len(done))
		}
	})
}

func TestTestMailsUnderWayAreBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(forEver(false))
		w.run()
		for i := range 3 {
			if _, _, ok := w.test("op"); !ok {
				t.Fatalf("test %d was refused", i+1)
			}
		}
		if _, _, ok := w.test("op"); ok {
			t.Error("a fourth of one operator")
		}
		_, handover, ok := w.reserve(storetest.Mail{Kind: waypost.KindTest}, &waypost.Once{Account: &waypost.Account{}})
		if ok || waypost.KindOf(handover.Refused) != waypost.RateLimited {
			t.Errorf("refused with %v", handover.Refused)
		}
		taken := 3
		for i := range 40 {
			if _, _, ok := w.test(fmt.Sprint("op", i)); ok {
				taken++
			}
		}
		if taken != 20 {
			t.Errorf("%d at once", taken)
		}
		w.pass(queue.TestTalk + time.Second)
		for range 2 { // a place that is not used is given back
			_, handover, ok := w.reserve(storetest.Mail{Kind: waypost.KindTest}, &waypost.Once{Account: &waypost.Account{}})
			if !ok {
				t.Fatal("refused although all are over")
			}
			handover.Cancel()
		}
		for range 3 {
			if _, _, ok := w.test("op"); !ok {
				t.Error("refused although all are over")
			}
		}
	})
}

func TestTestMailsTakeNobodysSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(forEver(false))
		w.run()
		for i := range 20 {
			w.test(fmt.Sprint("op", i))
		}
		w.settled()
		if n := w.deliver.underWay(); n != 20 {
			t.Errorf("%d tests at once", n)
		}
		for _, op := range []string{"op1", "other"} {
			for _, kind := range []waypost.Kind{waypost.KindSecurity, waypost.KindEvent, waypost.KindReport} {
				a, _ := w.accept(storetest.Mail{OperatorID: op, Kind: kind})
				w.settled()
				if d := w.only(a); d.State != waypost.Delivered {
					t.Errorf("%s of %s: %+v", kind, op, d)
				}
			}
		}
	}, func(o *queue.Options) { o.Sessions = 10 })
}
