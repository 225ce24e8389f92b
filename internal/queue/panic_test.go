package queue_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// touchy panics where one operator is read.
type touchy struct {
	*accounts
	odd   string
	reads int // of the odd one
}

func (a *touchy) Get(ctx context.Context, id string) (*waypost.Account, error) {
	a.mu.Lock()
	odd := id == a.odd
	if odd {
		a.reads++
	}
	a.mu.Unlock()
	if odd {
		panic("boom")
	}
	return a.accounts.Get(ctx, id)
}

func TestPanicAboutOneOperatorHoldsUpNobodyElse(t *testing.T) {
	var odd *touchy
	inWorld(t, func(t *testing.T, w *world) {
		odd.odd = "odd"
		w.row(storetest.Mail{OperatorID: "odd"})
		w.row(storetest.Mail{OperatorID: "odd", Kind: waypost.KindSecurity, To: []string{"u@other.test"}})
		w.row(storetest.Mail{OperatorID: "fine"})
		w.run()
		w.pass(time.Second)
		if n := w.count(waypost.Delivered); n != 1 {
			t.Errorf("%d delivered", n)
		}
		w.q.Changed(t.Context())
		w.pass(5 * time.Minute)
		odd.mu.Lock()
		odd.odd = ""
		if odd.reads > 20 {
			t.Errorf("tried %d times in five minutes", odd.reads)
		}
		odd.mu.Unlock()
		w.within(2*time.Minute, "its mail goes once it can be read", func() bool { return w.count(waypost.Delivered) == 3 })
	}, func(o *queue.Options) {
		odd = &touchy{accounts: o.Accounts.(*accounts)}
		o.Accounts = odd
	})
}

// raw panics after a claim has been committed.
type raw struct {
	*faults
	armed bool
}

func (r *raw) Claim(ctx context.Context, c system.Claim) ([]waypost.Delivery, error) {
	rows, err := r.faults.Claim(ctx, c)
	if len(rows) > 0 && r.armed {
		r.armed = false
		panic("boom")
	}
	return rows, err
}

func TestPanicAfterAClaimStrandsNoMail(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.row(storetest.Mail{})
		w.run()
		w.pass(time.Second)
		if d := w.only(a); d.Lease == "" {
			t.Fatalf("%+v", d)
		}
		w.within(5*queue.StrayEvery, "it is given back and goes", func() bool { return w.only(a).State == waypost.Delivered })
		if d := w.only(a); d.Attempts != 1 {
			t.Errorf("%+v", d)
		}
	}, func(o *queue.Options) { o.Store = &raw{faults: o.Store.(*faults), armed: true} })
}

func TestPanicOfWhoWaitsForATestMailIsContained(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			if j.Message.Kind == waypost.KindTest {
				return nil
			}
			return delivered(j)
		})
		w.run()
		account := waypost.Account{Operator: waypost.Operator{ID: "op"}}
		onRelay("unsaved.test")(&account)
		a, _ := w.acceptOnce(storetest.Mail{Kind: waypost.KindTest, To: []string{"a@example.test", "b@example.test"}}, &waypost.Once{
			Account: &account, Done: func(waypost.Attempt, waypost.State) { panic("boom") },
		})
		b, _ := w.accept(storetest.Mail{})
		w.settled()
		if d := w.only(a); d.State != waypost.Expired || d.Lease != "" {
			t.Errorf("%+v", d)
		}
		if d := w.only(b); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
		w.pass(2*queue.StrayEvery + time.Second) // the panic was before the second recipient's end
		if d := w.delivery(a.Deliveries[1].ID); d.State != waypost.Expired || d.Lease != "" {
			t.Errorf("%+v", d)
		}
	})
}

func TestPanicOfWhoIsToldAboutARelayIsContained(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", onRelay("smtp.op.test"))
		w.deliver.do(relayRefuses)
		w.run()
		w.accept(storetest.Mail{})
		w.pass(time.Second)
		if h := w.accounts.health("op"); !h.Failing() {
			t.Errorf("%+v", h)
		}
	}, func(o *queue.Options) {
		o.OnRelayFailing = func(*waypost.Account, string) { panic("boom") }
	})
}

// counts panics at every count.
type counts struct{}

func (counts) Attempt(waypost.RouteKind, waypost.Outcome, string) { panic("boom") }

func (counts) Finished(waypost.State, waypost.RouteKind, waypost.Lane, time.Duration) { panic("boom") }
func (counts) Sessions(int)                                                           {}

func TestPanicWhileCountingLosesNoResult(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		a, _ := w.accept(storetest.Mail{})
		w.row(storetest.Mail{To: []string{"u@other.test"}})
		w.within(3*time.Second, "both are delivered", func() bool { return w.count(waypost.Delivered) == 2 })
		if d := w.only(a); d.Attempts != 1 || d.Lease != "" {
			t.Errorf("%+v", d)
		}
	}, func(o *queue.Options) { o.Observe = counts{} })
}

// brittle panics wherever the loops ask the database.
type brittle struct {
	*faults
	broken bool
}

func (b *brittle) check() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		panic("boom")
	}
}

func (b *brittle) Due(ctx context.Context, after system.Key, limit int) ([]system.DueKey, error) {
	b.check()
	return b.faults.Due(ctx, after, limit)
}

func (b *brittle) Expire(ctx context.Context, now time.Time) (int, error) {
	b.check()
	return b.faults.Expire(ctx, now)
}

func (b *brittle) Nodes(ctx context.Context) ([]system.Node, error) {
	b.check()
	return b.faults.Nodes(ctx)
}

func (b *brittle) Leased(ctx context.Context, incarnation string) ([]waypost.Delivery, error) {
	b.check()
	return b.faults.Leased(ctx, incarnation)
}

func TestLoopsGoOnAfterAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, db: storetest.OpenSQLite(t), accounts: newAccounts(), deliver: newDeliverer()}
		var b *brittle
		w.q, w.store = w.queue(w.deliver, func(o *queue.Options) {
			b = &brittle{faults: o.Store.(*faults)}
			o.Store = b
		})
		if err := w.q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer w.done()
		b.broken = true
		w.run()
		w.row(storetest.Mail{})
		gone := w.row(storetest.Mail{OperatorID: "unbound", For: 20 * time.Second})
		w.accounts.change("unbound", func(a *waypost.Account) { a.Gateway = "" })
		stray := w.row(storetest.Mail{Lease: w.q.Incarnation(), To: []string{"u@other.test"}})
		// What comes by itself goes meanwhile.
		a, _ := w.accept(storetest.Mail{To: []string{"u@third.test"}})
		w.pass(time.Minute)
		if d := w.only(a); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
		b.mu.Lock()
		b.broken = false
		b.mu.Unlock()
		w.pass(3 * time.Second)
		if n := w.count(waypost.Delivered); n != 2 || w.only(gone).State != waypost.Expired {
			t.Errorf("%d delivered, %+v", n, w.only(gone))
		}
		w.pass(2*queue.StrayEvery + 2*time.Second)
		if d := w.only(stray); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
	})
}
