package queue_test

import (
	"context"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

func TestHandedOverMailGoesFromMemory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		a, ok := w.accept(storetest.Mail{To: []string{"a@one.test", "b@two.test"}})
		if !ok {
			t.Fatal("not handed over")
		}
		w.settled()
		for i := range a.Deliveries {
			d := w.delivery(a.Deliveries[i].ID)
			if d.State != waypost.Delivered || d.Attempts != 1 || d.Lease != "" || d.Route != waypost.RouteDirect {
				t.Errorf("%+v", d)
			}
		}
		if n := w.store.called("Claim") + w.store.called("Mail"); n != 0 {
			t.Errorf("the fast path read the database %d times", n)
		}
		w.pass(time.Second)
		if w.q.Keys() != 0 || w.q.Destinations() > 2 {
			t.Errorf("%d keys, %d destinations are left", w.q.Keys(), w.q.Destinations())
		}
	})
}

func TestRowsOfOthersAreFoundByTheScan(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		w.settled()
		a := w.row(storetest.Mail{})
		w.within(2*time.Second, "the scan finds the row", func() bool { return w.only(a).State == waypost.Delivered })
	})
}

func TestWakeFindsRowsAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		w.pass(1500 * time.Millisecond)
		a := w.row(storetest.Mail{})
		w.q.Wake()
		w.settled()
		if d := w.only(a); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
	})
}

func TestMailRefusedByReserveGoesAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		w.pass(1500 * time.Millisecond)
		var reserved []waypost.Handover
		for {
			_, handover, ok := w.reserve(storetest.Mail{}, nil)
			if !ok {
				break
			}
			reserved = append(reserved, handover)
		}
		a, ok := w.accept(storetest.Mail{})
		if ok {
			t.Fatal("handed over beyond the room of its site")
		}
		w.settled()
		if d := w.only(a); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
		for _, h := range reserved {
			h.Cancel()
		}
	})
}

func TestDeferredMailComesBackOnSchedule(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(always(waypost.OutcomeTemporary, waypost.PhaseRcpt, 451, "come back later"))
		w.run()
		a, _ := w.accept(storetest.Mail{Kind: waypost.KindSecurity})
		w.settled()
		d := w.only(a)
		if d.State != waypost.Queued || d.Step != 1 || d.Reason != "451 come back later" {
			t.Fatalf("%+v", d)
		}
		if wait := time.Until(d.NextAt); wait < 27*time.Second || wait > 33*time.Second {
			t.Errorf("an alarm waits %v", wait)
		}
		w.deliver.do(nil)
		w.pass(time.Until(d.NextAt) - time.Second)
		if n := w.deliver.started(); n != 1 {
			t.Fatalf("tried %d times before its time", n)
		}
		w.pass(1100 * time.Millisecond)
		if d := w.only(a); d.State != waypost.Delivered || d.Attempts != 2 {
			t.Errorf("%+v", d)
		}
	})
}

func TestRetryNowBringsDeferredMailBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(always(waypost.OutcomeTemporary, waypost.PhaseRcpt, 451, "come back later"))
		w.run()
		a, _ := w.accept(storetest.Mail{Kind: waypost.KindReport})
		w.settled()
		w.deliver.do(nil)
		w.control(a, store.Retry)
		w.settled()
		if d := w.only(a); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
	})
}

func TestMailIsNotSentBeforeItsTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		a, ok := w.accept(storetest.Mail{In: 10 * time.Minute})
		if ok {
			t.Fatal("handed over before its time")
		}
		w.pass(9 * time.Minute)
		if n := w.deliver.started(); n != 0 {
			t.Fatal("sent too early")
		}
		w.pass(time.Minute + time.Second)
		if d := w.only(a); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
	})
}

func TestMailExpiresWhileQueued(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(always(waypost.OutcomeTemporary, waypost.PhaseRcpt, 451, "come back later"))
		w.run()
		a, _ := w.accept(storetest.Mail{For: 30 * time.Minute})
		w.pass(31 * time.Minute)
		if d := w.only(a); d.State != waypost.Expired || d.Reason != "451 come back later" {
			t.Errorf("%+v", d)
		}
		if w.pass(time.Hour); w.q.Keys() != 0 {
			t.Error("a key is left")
		}
	})
}

func TestMailExpiresWhileItWaitsInMemory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		w.deliver.do(func(ctx context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			hang(ctx, release)
			return delivered(j)
		})
		w.run()
		for range 5 { // as many as a new site gets
			w.accept(storetest.Mail{})
		}
		w.settled()
		late, ok := w.accept(storetest.Mail{For: time.Minute})
		if !ok {
			t.Fatal("not handed over")
		}
		w.pass(2 * time.Minute)
		close(release)
		w.settled()
		if d := w.only(late); d.State != waypost.Expired || w.deliver.total() != 5 {
			t.Errorf("%+v, %d delivered", d, w.deliver.total())
		}
	})
}

func TestCancelledHandoverLeavesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		_, handover, ok := w.reserve(storetest.Mail{To: []string{"a@one.test", "b@two.test"}}, nil)
		if !ok {
			t.Fatal("refused")
		}
		if sessions, held := w.q.Depth(); sessions != 0 || held != 2 {
			t.Errorf("%d sessions, %d deliveries", sessions, held)
		}
		handover.Cancel()
		if s := w.q.Idle(); s != "" || w.q.Destinations() != 0 {
			t.Errorf("%s, %d destinations", s, w.q.Destinations())
		}
	})
}

func TestReserveIsBoundedBySlotsAndBudget(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		w.deliver.do(func(ctx context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			hang(ctx, release)
			return delivered(j)
		})
		w.run()
		taken := 0
		for range 30 {
			if _, ok := w.accept(storetest.Mail{}); ok {
				taken++
			}
			w.settled()
		}
		// Five under way and twice five waiting.
		if taken != 15 {
			t.Errorf("%d mails were handed over for one site", taken)
		}
		for i := range 30 {
			w.accept(storetest.Mail{To: []string{string(rune('a'+i)) + "@other.test"}, OperatorID: "other"})
		}
		w.settled()
		if _, held := w.q.Depth(); held > 40 {
			t.Errorf("%d deliveries in memory", held)
		}
		close(release)
		w.within(time.Minute, "all goes out", func() bool { return w.count(waypost.Delivered) == 60 })
	})
}

func TestSandboxKeepsACopyOfEachMail(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		for range 50 {
			w.accept(storetest.Mail{})
		}
		w.row(storetest.Mail{To: []string{"a@one.test", "b@two.test"}})
		w.within(time.Minute, "all is delivered", func() bool { return w.count(waypost.Delivered) == 52 })
		if n := w.db.Int(t, "SELECT COUNT(*) FROM sandbox"); n != 52 {
			t.Errorf("%d mails in the sandbox", n)
		}
	}, func(o *queue.Options) { o.Platform.Domain = "" })
}

func TestErasedMailIsNotTried(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.row(storetest.Mail{OperatorID: "relayed"})
		w.accounts.change("relayed", onRelay("smtp.relayed.test"))
		w.db.Exec(t, "UPDATE message SET header = '', erased = 1")
		w.run()
		w.settled()
		if d := w.only(a); d.State != waypost.Bounced || d.Reason != "the content has been erased" || w.deliver.started() != 0 {
			t.Errorf("%+v", d)
		}
	})
}

func TestTestMailIsTriedOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		outcome waypost.Outcome
		code    int
		want    waypost.State
	}{
		"delivered": {waypost.OutcomeDelivered, 250, waypost.Delivered},
		"refused":   {waypost.OutcomeRouteDown, 535, waypost.Bounced},
		"temporary": {waypost.OutcomeTemporary, 451, waypost.Expired},
		"uncertain": {waypost.OutcomeUncertain, 0, waypost.Uncertain},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.deliver.do(always(tc.outcome, waypost.PhaseDot, tc.code, "words"))
				w.run()
				account := waypost.Account{Operator: waypost.Operator{ID: "op"}}
				onRelay("unsaved.test")(&account)
				var done []waypost.State
				once := &waypost.Once{Account: &account, Done: func(_ waypost.Attempt, s waypost.State) { done = append(done, s) }}
				a, ok := w.acceptOnce(storetest.Mail{Kind: waypost.KindTest}, once)
				if !ok {
					t.Fatal("refused")
				}
				w.pass(5 * time.Minute)
				if d := w.only(a); d.State != tc.want || w.deliver.started() != 1 {
					t.Errorf("%+v, %d tries", d, w.deliver.started())
				}
				if len(done) != 1 || done[0] != tc.want {
					t.Errorf("told %v", done)
				}
				if w.accounts.failed != 0 {
					t.Error("a test changed the relay's health")
				}
			})
		})
	}
}

func TestTestMailIsNotTriedAfterTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		var done []waypost.State
		account := waypost.Account{Operator: waypost.Operator{ID: "op", Gateway: waypost.GatewayBuiltin}}
		once := &waypost.Once{Account: &account, Done: func(_ waypost.Attempt, s waypost.State) { done = append(done, s) }}
		a, handover, ok := w.reserve(storetest.Mail{Kind: waypost.KindTest}, once)
		if !ok {
			t.Fatal("refused")
		}
		if err := w.halt(); err != nil {
			t.Error(err)
		}
		if err := w.db.Store.Accept(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		handover.Start()
		w.settled()
		if d := w.only(a); d.State != waypost.Expired || w.deliver.started() != 0 || len(done) != 1 {
			t.Errorf("%+v, told %v", d, done)
		}
	})
}
