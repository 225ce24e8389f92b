package queue_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

func TestRelayThatFailsElsewhereIsProbedByOneMail(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", onRelay("smtp.op.test"))
		release := w.blocked()
		w.run()
		for range 15 { // five under way and the rest in memory
			if _, ok := w.accept(storetest.Mail{}); !ok {
				t.Fatal("not handed over")
			}
		}
		w.settled()
		// Another node found it failing, and it may be probed by now.
		w.accounts.change("op", func(a *waypost.Account) {
			a.RelayHealth = waypost.RelayHealth{FailingSince: time.Now().Add(-time.Hour), NextProbe: time.Now().Add(-time.Second)}
		})
		w.q.Changed(t.Context())
		w.deliver.do(func(ctx context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			hang(ctx, nil)
			return nil
		})
		release()
		w.pass(30 * time.Second)
		if n := w.deliver.underWay(); n != 1 {
			t.Errorf("%d probes at once", n)
		}
	})
}

func relayRefuses(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
	return attempt(j, waypost.OutcomeRouteDown, waypost.PhaseAuth, 535, "login refused")
}

func TestFailingRelayIsProbedByOneMailAndItsMailWaits(t *testing.T) {
	var told []string
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", onRelay("smtp.op.test"))
		w.deliver.do(relayRefuses)
		w.run()
		for i := range 30 {
			w.accept(storetest.Mail{To: []string{"a@" + strings.Repeat("x", i+1) + ".test"}})
		}
		w.settled()
		first := w.deliver.started()
		if first > 10 {
			t.Errorf("%d logins before the relay was left alone", first)
		}
		w.pass(25 * time.Second)
		if n := w.deliver.started(); n != first {
			t.Errorf("%d tries while it is left alone", n-first)
		}
		w.pass(10 * time.Second)
		if n := w.deliver.started(); n != first+1 {
			t.Errorf("%d probes at once", n-first)
		}
		w.pass(60 * time.Second) // each failed probe brings 30 s of rest in this test
		if n := w.deliver.started(); n < first+2 || n > first+4 {
			t.Errorf("%d probes", n-first)
		}
		if n := w.db.Int(t, "SELECT COUNT(*) FROM delivery WHERE step > 0"); n != 0 {
			t.Errorf("%d deliveries were moved on in their schedule", n)
		}
		w.deliver.do(nil)
		w.within(35*time.Second, "all goes out after a probe got through", func() bool { return w.count(waypost.Delivered) == 30 })
		if w.accounts.recovered == 0 {
			t.Error("nobody said that it works again")
		}
		w.deliver.mu.Lock()
		defer w.deliver.mu.Unlock()
		if len(w.deliver.twice) != 0 {
			t.Errorf("twice: %v", w.deliver.twice)
		}
	}, func(o *queue.Options) {
		o.OnRelayFailing = func(a *waypost.Account, reason string) { told = append(told, a.ID+": "+reason) }
	})
	if len(told) != 1 || told[0] != "op: 535 login refused" {
		t.Errorf("told %q", told)
	}
}

// unreachable is what an attempt brings when nothing answers.
func unreachable(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
	return attempt(j, waypost.OutcomeTemporary, waypost.PhaseConnect, 0, "connection refused")
}

func TestRelayOutOfReachForMinutesIsFailingAndItsMailWaits(t *testing.T) {
	for name, mails := range map[string]int{"one mail": 1, "many mails": 30} {
		t.Run(name, func(t *testing.T) {
			var told []string
			inWorld(t, func(t *testing.T, w *world) {
				w.accounts.change("op", onRelay("smtp.op.test"))
				w.deliver.do(unreachable)
				w.run()
				for range mails {
					w.accept(storetest.Mail{})
				}
				w.pass(queue.DownAfter - 5*time.Second)
				if h := w.accounts.health("op"); h.Failing() {
					t.Fatalf("failing already: %+v", h)
				}
				w.within(4*time.Minute, "it is failing", func() bool { return w.accounts.health("op").Failing() })
				if h := w.accounts.health("op"); h.Reason != "connection refused" {
					t.Errorf("%+v", h)
				}
				tries := w.deliver.started()
				w.pass(2 * time.Minute)
				if n := w.deliver.started() - tries; n > 5 || (n == 0 && mails > 1) { // one each 30 s in this test
					t.Errorf("%d probes in two minutes", n)
				}
				if n := w.count(waypost.Queued); n != int64(mails) {
					t.Errorf("%d of %d mails wait", n, mails)
				}
				w.deliver.do(nil)
				w.within(6*time.Minute, "all goes out by its schedule", func() bool { return w.count(waypost.Delivered) == int64(mails) })
				if h := w.accounts.health("op"); h.Failing() || w.accounts.recovered == 0 {
					t.Errorf("after the first success: %+v", h)
				}
			}, func(o *queue.Options) {
				o.OnRelayFailing = func(a *waypost.Account, reason string) { told = append(told, a.ID+": "+reason) }
			})
			if len(told) != 1 || told[0] != "op: connection refused" {
				t.Errorf("told %q", told)
			}
		})
	}
}

func TestRelayWithAHiccupIsNotFailing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", onRelay("smtp.op.test"))
		w.run()
		for range 3 {
			w.deliver.do(unreachable)
			for range 10 { // five at once break, and the rest waits
				w.accept(storetest.Mail{})
			}
			w.pass(80 * time.Second)
			w.deliver.do(nil)
			w.within(6*time.Minute, "all goes out", func() bool { return w.count(waypost.Queued) == 0 })
		}
		if w.accounts.failed != 0 {
			t.Errorf("called failing %d times", w.accounts.failed)
		}
	})
}

func TestOneMailInTroubleDoesNotMakeAWorkingRelayFail(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", onRelay("smtp.op.test"))
		w.run()
		w.deliver.do(func(ctx context.Context, j *waypost.Job, i int) *waypost.Attempt {
			if j.Deliveries[i].Recipient == "trouble@example.test" {
				return unreachable(ctx, j, i)
			}
			return delivered(j)
		})
		w.accept(storetest.Mail{To: []string{"trouble@example.test"}})
		for range 40 {
			w.pass(20 * time.Second)
			w.accept(storetest.Mail{})
		}
		if w.accounts.failed != 0 {
			t.Errorf("called failing %d times", w.accounts.failed)
		}
	})
}

func TestRelayThatTakesSomeOfAMailIsNotFailing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", onRelay("smtp.op.test"))
		w.run()
		w.deliver.do(func(ctx context.Context, j *waypost.Job, i int) *waypost.Attempt {
			if len(j.Deliveries) > 1 && i == 0 { // the session breaks off after it
				return delivered(j)
			}
			return unreachable(ctx, j, i)
		})
		for range 2 {
			w.accept(storetest.Mail{Kind: waypost.KindReport}) // tried at once, after a minute and after six
		}
		w.pass(queue.DownAfter + 5*time.Second)
		a, _ := w.accept(storetest.Mail{To: []string{"a@example.test", "b@example.test", "c@example.test"}})
		w.pass(90 * time.Second) // in which another of its recipients is tried alone
		if w.only(a).State != waypost.Delivered || w.delivery(a.Deliveries[1].ID).Attempts+w.delivery(a.Deliveries[2].ID).Attempts < 3 {
			t.Error("not what was to be tested")
		}
		if w.accounts.failed != 0 {
			t.Errorf("called failing %d times", w.accounts.failed)
		}
	})
}

func TestLateFailureOfOldRelaySettingsSaysNothingAboutNewOnes(t *testing.T) {
	for name, tt := range map[string]struct {
		script func(context.Context, *waypost.Job, int) *waypost.Attempt
		within time.Duration
	}{
		"refused":     {relayRefuses, 3 * time.Second}, // it was not the mail's turn yet
		"unreachable": {unreachable, 4 * time.Minute},  // by its schedule
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.accounts.change("op", onRelay("old.op.test"))
				w.run()
				w.deliver.do(unreachable) // the beginning of a run
				for range 2 {
					w.accept(storetest.Mail{})
				}
				w.settled()
				answer := make(chan struct{})
				w.deliver.do(func(ctx context.Context, j *waypost.Job, i int) *waypost.Attempt {
					if j.Relay.Host != "old.op.test" {
						return delivered(j)
					}
					hang(ctx, answer)
					for n := range j.Deliveries { // asked for all before anything is reported, as for one transaction
						_ = j.MayTalk(&j.Deliveries[n])
					}
					return tt.script(ctx, j, i)
				})
				late, _ := w.accept(storetest.Mail{To: []string{"a@example.test", "b@example.test"}})
				for range 5 {
					w.accept(storetest.Mail{})
				}
				w.pass(queue.DownAfter + time.Second)
				if n := w.deliver.underWay(); n < 3 {
					t.Fatalf("only %d sessions with the old settings", n)
				}
				w.account("op", onRelay("new.op.test"))
				w.accept(storetest.Mail{})
				w.settled()
				close(answer)
				w.settled()
				if h := w.accounts.health("op"); h.Failing() || w.accounts.failed != 0 {
					t.Errorf("the new settings are failing: %+v", h)
				}
				after, _ := w.accept(storetest.Mail{})
				w.settled()
				if d := w.only(after); d.State != waypost.Delivered {
					t.Errorf("mail accepted after it: %+v", d)
				}
				w.within(tt.within, "all goes out over the new settings", func() bool { return w.count(waypost.Queued) == 0 })
				if d := w.delivery(late.Deliveries[1].ID); d.State != waypost.Delivered {
					t.Errorf("%+v", d)
				}
			})
		})
	}
}

func TestLateSuccessOfOldRelaySettingsDoesNotReopenNewOnes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", onRelay("old.op.test"))
		w.run()
		answer := make(chan struct{})
		w.deliver.do(func(ctx context.Context, j *waypost.Job, i int) *waypost.Attempt {
			if j.Relay.Host != "old.op.test" {
				return relayRefuses(ctx, j, i)
			}
			hang(ctx, answer)
			return delivered(j)
		})
		late, _ := w.accept(storetest.Mail{})
		w.settled()
		w.account("op", onRelay("new.op.test"))
		w.accept(storetest.Mail{})
		w.settled()
		logins := w.deliver.started()
		close(answer)
		w.accept(storetest.Mail{})
		w.pass(20 * time.Second)
		if d := w.only(late); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
		if h := w.accounts.health("op"); !h.Failing() || w.deliver.started() != logins {
			t.Errorf("%+v, %d more logins", h, w.deliver.started()-logins)
		}
	})
}

func TestAlarmDoesNotProbeAFailingRelay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", onRelay("smtp.op.test"))
		w.deliver.do(relayRefuses)
		w.run()
		w.accept(storetest.Mail{})
		w.settled()
		a, ok := w.accept(storetest.Mail{Kind: waypost.KindSecurity})
		w.pass(20 * time.Second)
		if n := w.deliver.started(); ok || n != 1 {
			t.Errorf("handed over: %t, %d logins", ok, n)
		}
		account, _ := w.accounts.Get(t.Context(), "op")
		d := a.Deliveries[0]
		if why := w.q.Why(account, &d); !strings.Contains(why, "smtp.op.test is failing: 535 login refused; next try at") {
			t.Errorf("why: %s", why)
		}
	})
}

func TestNewRelaySettingsTakeEffectAtOnce(t *testing.T) {
	for name, script := range map[string]func(context.Context, *waypost.Job, int) *waypost.Attempt{
		"refused": relayRefuses, "unreachable": unreachable,
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.accounts.probe = time.Hour
				w.accounts.change("op", onRelay("wrong.op.test"))
				w.deliver.do(script)
				w.run()
				for range 10 {
					w.accept(storetest.Mail{})
				}
				w.settled()
				late, _ := w.accept(storetest.Mail{})
				w.settled()
				if n := w.count(waypost.Delivered); n != 0 {
					t.Fatalf("%d delivered", n)
				}
				// Changes elsewhere do not open it.
				tries := w.deliver.started()
				for range 10 {
					w.account("other", func(*waypost.Account) {})
				}
				w.settled()
				if n := w.deliver.started(); n != tries {
					t.Errorf("%d tries after somebody else's change", n-tries)
				}
				w.deliver.do(nil)
				w.account("op", onRelay("right.op.test"))
				w.settled()
				if d := w.only(late); d.State != waypost.Delivered {
					t.Errorf("%+v", d)
				}
			})
		})
	}
}
