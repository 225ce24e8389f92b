package verify_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// answer is what somebody who asked for a check got.
type answer struct {
	store.CheckedDomain
	err error
}

// ask asks for a check without waiting for it.
func (w *world) ask(ctx context.Context, d store.CheckedDomain) <-chan answer {
	got := make(chan answer, 1)
	go func() {
		checked, err := w.CheckNow(ctx, d.OperatorID, d.ID)
		got <- answer{checked, err}
	}()
	return got
}

func waits(t *testing.T, got <-chan answer) {
	t.Helper()
	synctest.Wait()
	select {
	case a := <-got:
		t.Errorf("answered: %+v", a)
	default:
	}
}

func TestChecksOfADomainAtTheSameTimeAreOne(t *testing.T) {
	for _, first := range []string{"the watcher", "somebody"} {
		t.Run(first+" is first", func(t *testing.T) {
			slowly(t, func(t *testing.T, w *world, s *slow) {
				d := w.claim("one", "sender.test")
				var asked []<-chan answer
				if first == "the watcher" {
					w.start()
					s.want(t, "sender.test")
				}
				for range 3 {
					asked = append(asked, w.ask(t.Context(), d))
				}
				s.want(t, "sender.test")
				w.start()
				s.want(t, "sender.test")
				s.let("sender.test")
				w.Wait()
				saved := w.read(d.ID)
				for _, got := range asked {
					if a := <-got; a.err != nil || !a.Checked.Equal(saved.Checked) || !strings.Contains(a.Report, "ownership_missing") {
						t.Errorf("%+v", a)
					}
				}
				s.want(t, "sender.test")
			})
		})
	}
}

func TestWhoAsksDuringALongCheckGetsANewOneAfterIt(t *testing.T) {
	slowly(t, func(t *testing.T, w *world, s *slow) {
		d := w.claim("one", "sender.test")
		w.start()
		s.want(t, "sender.test")
		w.set(w.clock().Add(3 * time.Second)) // in which a record may have been published
		first, second := w.ask(t.Context(), d), w.ask(t.Context(), d)
		s.want(t, "sender.test")
		s.let("sender.test")
		s.want(t, "sender.test", "sender.test") // one for both
		waits(t, first)
		waits(t, second)
		s.let("sender.test")
		a, b := <-first, <-second
		if a.err != nil || b.err != nil || !a.Checked.Equal(b.Checked) || !a.Checked.After(w.clock()) {
			t.Errorf("%+v\n%+v", a, b) // after the clock: the second of two checks within a millisecond
		}
		w.Wait()
		s.want(t, "sender.test", "sender.test")
	})
}

// Who asks has just published something.
func TestAStoredReportIsNeverTheAnswer(t *testing.T) {
	w := newWorld(t, newField(t, "sender.test"), nil)
	d := w.claim("one", "sender.test")
	if got, err := w.CheckNow(t.Context(), "one", d.ID); err != nil || !got.Authorized.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	w.publish("sender.test", "key-of-one")
	if got, err := w.CheckNow(t.Context(), "one", d.ID); err != nil || got.Authorized.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAskingForTheCheckUnderWayIsALookAtTheDomain(t *testing.T) {
	slowly(t, func(t *testing.T, w *world, s *slow) {
		s.mayPass(true)
		d := w.claim("one", "sender.test")
		w.over(d.ID, 5*24*time.Hour) // the back-off has come far
		s.mayPass(false)
		w.set(w.read(d.ID).Next)
		w.start()
		synctest.Wait()
		got := w.ask(t.Context(), d)
		synctest.Wait()
		s.let("sender.test")
		if a := <-got; a.err != nil || a.Next.Sub(w.clock()) > time.Minute {
			t.Errorf("checked again after %v, %v", a.Next.Sub(w.clock()), a.err)
		}
		w.Wait()
	})
}

func TestWhoLeavesDoesNotStopTheCheckForOthers(t *testing.T) {
	slowly(t, func(t *testing.T, w *world, s *slow) {
		d := w.claim("one", "sender.test")
		ctx, leave := context.WithCancel(t.Context())
		first := w.ask(ctx, d)
		s.want(t, "sender.test")
		second := w.ask(t.Context(), d)
		synctest.Wait()
		leave()
		if a := <-first; !errors.Is(a.err, context.Canceled) {
			t.Errorf("%+v", a)
		}
		waits(t, second)
		s.let("sender.test")
		if a := <-second; a.err != nil || a.Checked.IsZero() {
			t.Errorf("%+v", a)
		}
		s.want(t, "sender.test")
	})
}

func TestACheckThatAllHaveLeftEndsWithThem(t *testing.T) {
	slowly(t, func(t *testing.T, w *world, s *slow) {
		d := w.claim("one", "sender.test")
		ctx, leave := context.WithCancel(t.Context())
		first, second := w.ask(ctx, d), w.ask(ctx, d)
		s.want(t, "sender.test")
		leave()
		for _, got := range []<-chan answer{first, second} {
			if a := <-got; !errors.Is(a.err, context.Canceled) {
				t.Errorf("%+v", a)
			}
		}
		if got := w.read(d.ID); !got.Checked.IsZero() {
			t.Errorf("it was saved: %+v", got)
		}
		again := w.ask(t.Context(), d)
		s.want(t, "sender.test", "sender.test")
		s.let("sender.test")
		if a := <-again; a.err != nil || a.Checked.IsZero() {
			t.Errorf("%+v", a)
		}
	})
}

func TestNobodyJoinsACheckThatWasGivenUp(t *testing.T) {
	slowly(t, func(t *testing.T, w *world, s *slow) {
		s.stubborn = true
		d := w.claim("one", "sender.test")
		ctx, leave := context.WithCancel(t.Context())
		first := w.ask(ctx, d)
		s.want(t, "sender.test")
		leave()
		waits(t, first) // until the check has ended
		second := w.ask(t.Context(), d)
		s.want(t, "sender.test")
		s.let("sender.test")
		if a := <-first; !errors.Is(a.err, context.Canceled) {
			t.Errorf("%+v", a)
		}
		s.want(t, "sender.test", "sender.test")
		s.let("sender.test")
		if a := <-second; a.err != nil || a.Checked.IsZero() {
			t.Errorf("%+v", a)
		}
	})
}

func TestNameServersAreNotWaitedForForever(t *testing.T) {
	slowly(t, func(t *testing.T, w *world, s *slow) {
		d := w.claim("one", "sender.test")
		began := time.Now()
		got, err := w.CheckNow(t.Context(), "one", d.ID)
		if took := time.Since(began); err != nil || !strings.Contains(got.Report, "dns_unknown") || took != 30*time.Second {
			t.Errorf("after %v: %+v, %v", took, got, err)
		}
		if saved := w.read(d.ID); saved.Checked.IsZero() {
			t.Error("it was not saved")
		}
	})
}
