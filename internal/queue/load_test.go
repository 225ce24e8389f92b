package queue_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// hangAt keeps every session to a site open until ctx ends.
func hangAt(site string) func(context.Context, *waypost.Job, int) *waypost.Attempt {
	return func(ctx context.Context, j *waypost.Job, _ int) *waypost.Attempt {
		if j.Site == site {
			hang(ctx, nil)
			return nil
		}
		return delivered(j)
	}
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAlarmIsNotHeldUpByAHundredThousandMailsToAHangingSite(t *testing.T) {
	if testing.Short() {
		t.Skip("inserts 100,000 rows")
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.rows(100_000, "flood", "hanging.test")
		w.deliver.do(hangAt("hanging.test"))
		before := heap()
		w.run()
		w.pass(30 * time.Second)
		if n := w.deliver.underWay(); n != 5 {
			t.Errorf("%d sessions to a site that answers nothing", n)
		}
		if sessions, held := w.q.Depth(); held > 20 || sessions != 5 {
			t.Errorf("%d sessions, %d deliveries in memory", sessions, held)
		}
		if n := w.q.Keys(); n > 2 {
			t.Errorf("%d keys", n)
		}
		if after := heap(); after > before+(8<<20) {
			t.Errorf("%d KiB more in memory", (after-before)>>10)
		}
		began := time.Now()
		alarm, ok := w.accept(storetest.Mail{OperatorID: "other", Kind: waypost.KindSecurity})
		w.settled()
		if d := w.only(alarm); !ok || d.State != waypost.Delivered {
			t.Errorf("handed over %t: %+v", ok, d)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		// By the scan, too, and to the very site for as long as it has a session.
		row := w.row(storetest.Mail{OperatorID: "other", Kind: waypost.KindSecurity, To: []string{"x@third.test"}})
		w.pass(1500 * time.Millisecond)
		if d := w.only(row); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
		w.accept(storetest.Mail{OperatorID: "other", Kind: waypost.KindSecurity, To: []string{"x@hanging.test"}})
		w.settled()
		if n := w.deliver.underWay(); n != 6 {
			t.Errorf("%d sessions: the alarm waits behind others' mail", n)
		}
	})
}

func TestManyHangingSitesDoNotHoldUpOtherLanes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range 300 {
			m := storetest.Mail{OperatorID: "flood", Kind: waypost.KindReport}
			for n := range 12 {
				m.To = append(m.To, fmt.Sprintf("u%d@hang%d.test", n, i))
			}
			w.row(m)
		}
		w.deliver.do(func(ctx context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			if strings.HasPrefix(j.Site, "hang") {
				hang(ctx, nil)
				return nil
			}
			return delivered(j)
		})
		w.run()
		w.pass(20 * time.Second)
		if n := w.deliver.underWay(); n < 30 || n > 60 {
			t.Errorf("%d sessions are taken of 100", n)
		}
		if _, held := w.q.Depth(); held > queue.MaxHandover+100 {
			t.Errorf("%d deliveries in memory", held)
		}
		for _, kind := range []waypost.Kind{waypost.KindSecurity, waypost.KindEvent} {
			a, _ := w.accept(storetest.Mail{OperatorID: "other", Kind: kind})
			w.settled()
			if d := w.only(a); d.State != waypost.Delivered {
				t.Errorf("%s: %+v", kind, d)
			}
		}
	}, func(o *queue.Options) { o.Sessions = 100 })
}

func TestOperatorsShareASiteInTurn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const each = 60
		for _, op := range []string{"a", "b"} {
			for range each {
				w.row(storetest.Mail{OperatorID: op})
			}
		}
		w.deliver.do(func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			<-time.After(time.Second)
			return delivered(j)
		})
		w.run()
		w.within(5*time.Minute, "all is delivered", func() bool { return w.count(waypost.Delivered) == 2*each })
		w.deliver.mu.Lock()
		defer w.deliver.mu.Unlock()
		first := map[string]int{}
		for _, op := range w.deliver.order[:each] {
			first[op]++
		}
		if first["a"] < each/3 || first["b"] < each/3 {
			t.Errorf("of the first %d: %v", each, first)
		}
	})
}

func TestOperatorWithManySitesDoesNotTakeTheOthersTurns(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range 400 {
			w.row(storetest.Mail{OperatorID: "many", To: []string{fmt.Sprintf("u@s%d.test", i)}})
		}
		for i := range 20 {
			w.row(storetest.Mail{OperatorID: "one", To: []string{fmt.Sprintf("u@o%d.test", i)}})
		}
		w.deliver.do(func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			<-time.After(time.Second)
			return delivered(j)
		})
		w.run()
		w.within(5*time.Minute, "all is delivered", func() bool { return w.count(waypost.Delivered) == 420 })
		w.deliver.mu.Lock()
		defer w.deliver.mu.Unlock()
		if last := len(w.deliver.order) - 1; last > 0 {
			at := 0
			for i, op := range w.deliver.order {
				if op == "one" {
					at = i
				}
			}
			if at > 120 {
				t.Errorf("the last of 20 mails went as number %d", at)
			}
		}
	}, func(o *queue.Options) { o.Sessions = 20 })
}

func TestClaimsAreBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range 50 {
			for range 3 {
				w.row(storetest.Mail{To: []string{fmt.Sprintf("u@s%d.test", i)}})
			}
		}
		w.run()
		w.within(time.Minute, "all is delivered", func() bool { return w.count(waypost.Delivered) == 150 })
		if w.store.most > queue.MaxClaims || w.store.most < 1 {
			t.Errorf("%d claims at once", w.store.most)
		}
		if w.store.rows > 50 {
			t.Errorf("%d rows in one claim", w.store.rows)
		}
	})
}

func TestMemoryBudgetBoundsTheContentInMemory(t *testing.T) {
	const budget = 64 << 10
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.before = func(context.Context, *waypost.Job) { <-time.After(100 * time.Millisecond) }
		body := strings.Repeat("x", 10<<10)
		for i := range 100 {
			kind := []waypost.Kind{waypost.KindEvent, waypost.KindReport, waypost.KindSecurity}[i%3]
			m := storetest.Mail{Kind: kind, Body: body, To: []string{fmt.Sprintf("u@s%d.test", i%20)}}
			if i == 50 {
				m.Body = strings.Repeat(body, 20) // larger than the whole budget
			}
			if i%2 == 0 {
				w.row(m)
			} else {
				w.accept(m)
			}
		}
		w.run()
		w.within(time.Minute, "all is delivered", func() bool { return w.count(waypost.Delivered) == 100 })
		// The one large mail takes its share's place, and is larger by itself.
		if w.deliver.mostOf > budget+21*10<<10 {
			t.Errorf("%d bytes at once", w.deliver.mostOf)
		}
		if s := w.q.Idle(); s != "" {
			t.Error(s)
		}
	}, func(o *queue.Options) { o.Budget = budget })
}

func TestMailThatWaitsInMemoryMakesRoomForMailThatHasASession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(hangAt("slow.test"))
		w.run()
		// Both hold what one operator may have of the reports' share; one has the site's
		// only session.
		big := storetest.Mail{Kind: waypost.KindReport, Body: strings.Repeat("x", 9<<10), To: []string{"u@slow.test"}}
		w.accept(big)
		waiting, ok := w.accept(big)
		if !ok {
			t.Fatal("not handed over")
		}
		w.settled()
		big.To = []string{"u@other.test"}
		row := w.row(big)
		w.pass(1500 * time.Millisecond)
		if d := w.only(row); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
		w.deliver.do(nil)
		w.stop() // the session ends, and the one that waited is given back whole
		if d := w.only(waiting); d.State != waypost.Queued || d.Lease != "" {
			t.Errorf("%+v", d)
		}
	}, func(o *queue.Options) { o.Budget, o.SiteSessions = 64<<10, 1 })
}

func TestBigReportsToSlowSitesLeaveRoomForOthers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(hangAt("slow.test"))
		w.run()
		big := storetest.Mail{Kind: waypost.KindReport, Body: strings.Repeat("x", 40<<10), To: []string{"u@slow.test"}, OperatorID: "reports"}
		for range 20 {
			w.accept(big)
			w.row(big)
		}
		w.pass(5 * time.Second)
		for _, kind := range []waypost.Kind{waypost.KindSecurity, waypost.KindEvent} {
			w.row(storetest.Mail{Kind: kind})
			w.accept(storetest.Mail{Kind: kind})
		}
		w.pass(1500 * time.Millisecond)
		if n := w.count(waypost.Delivered); n != 4 {
			t.Errorf("%d of 4 delivered", n)
		}
	}, func(o *queue.Options) { o.Budget = 64 << 10 })
}

func TestParkedMailCostsNextToNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", func(a *waypost.Account) { a.Gateway = "" })
		m := storetest.Mail{}
		for i := range 2500 {
			m.To = append(m.To, fmt.Sprintf("u@s%d.test", i))
		}
		w.row(m)
		w.run()
		w.pass(2 * time.Minute)
		if n := w.q.Keys(); n > queue.MaxKeys {
			t.Errorf("%d keys", n)
		}
		if n := w.store.called("Claim"); n != 0 {
			t.Errorf("%d claims", n)
		}
		w.account("op", func(a *waypost.Account) { a.Gateway = waypost.GatewayBuiltin })
		w.within(30*time.Second, "all goes out once there is a gateway", func() bool { return w.count(waypost.Delivered) == 2500 })
	})
}

// TestRandomMailAlwaysDrains throws mail, faults, controls and changes at the queue in
// every order, and expects that nothing is lost, doubled, stuck or left over.
func TestRandomMailAlwaysDrains(t *testing.T) {
	seeds := 4
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { inWorld(t, func(t *testing.T, w *world) { w.storm(uint64(seed)) }, small) })
	}
}

// small makes everything scarce.
func small(o *queue.Options) {
	o.Sessions, o.SiteSessions, o.RelaySessions, o.Budget = 12, 4, 3, 64<<10
}

func (w *world) storm(seed uint64) {
	t := w.t
	random := rand.New(rand.NewPCG(seed, 1))
	operators := []string{"a", "b", "c", "d"}
	w.accounts.change("b", onRelay("smtp.b.test"))
	w.accounts.change("c", onRelay("smtp.c.test"))
	var chance lockedRand
	chance.r = rand.New(rand.NewPCG(seed, 2))
	var calm atomic.Bool
	w.deliver.do(func(ctx context.Context, j *waypost.Job, _ int) *waypost.Attempt {
		n, wait := chance.n(100), chance.n(2000)
		select {
		case <-time.After(time.Duration(wait) * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
		switch {
		case calm.Load() || n < 50:
			return delivered(j)
		case n < 60:
			return attempt(j, waypost.OutcomeTemporary, waypost.PhaseRcpt, 451, "later")
		case n < 70:
			return attempt(j, waypost.OutcomeTemporary, waypost.PhaseConnect, 0, "no connection")
		case n < 75:
			return attempt(j, waypost.OutcomePermanent, waypost.PhaseRcpt, 550, "no such user")
		case n < 85:
			return attempt(j, waypost.OutcomeRouteDown, waypost.PhaseAuth, 535, "login refused")
		case n < 90:
			return attempt(j, waypost.OutcomeUncertain, waypost.PhaseDot, 0, "no reply")
		case n < 94:
			return nil
		case n < 98:
			how := waypost.SlowHows()[chance.n(4)]
			return asking(j, how, time.Duration(1+chance.n(600))*time.Second)
		default:
			panic("boom")
		}
	})
	// Which hosts the domains have is found out, and changes.
	hosts := func() {
		mx := map[string]string{}
		for i := range 6 {
			mx[fmt.Sprintf("s%d.test", i)] = []string{"x.host.test", "y.host.test", "z.host.test", ""}[chance.n(4)]
		}
		w.deliver.withMX(mx)
	}
	hosts()
	w.run()
	var mails []*store.Accepting
	for step := range 400 {
		op := operators[random.IntN(len(operators))]
		switch n := random.IntN(20); {
		case n < 8:
			m := storetest.Mail{OperatorID: op, Body: strings.Repeat("x", random.IntN(20<<10))}
			m.Kind = []waypost.Kind{waypost.KindEvent, waypost.KindSecurity, waypost.KindReport}[random.IntN(3)]
			for range 1 + random.IntN(4) {
				m.To = append(m.To, fmt.Sprintf("u%d@s%d.test", step, random.IntN(6)))
			}
			if random.IntN(5) == 0 {
				m.In = time.Duration(random.IntN(120)) * time.Second
			}
			if random.IntN(10) == 0 {
				m.For = time.Duration(1+random.IntN(300)) * time.Second
			}
			var a *store.Accepting
			if random.IntN(3) == 0 {
				a = w.row(m)
			} else {
				a, _ = w.accept(m)
			}
			mails = append(mails, a)
		case n < 11 && len(mails) > 0:
			d := mails[random.IntN(len(mails))].Deliveries[0]
			action := []store.ControlAction{store.Cancel, store.Hold, store.Release, store.Retry}[random.IntN(4)]
			_, _ = w.db.Store.Control(context.Background(), waypost.CommandLine(), d.OperatorID, d.ID, action, time.Now()) // refused where it does not fit
			w.q.Changed(context.Background())
		case n < 13:
			w.account(op, func(a *waypost.Account) { a.Suspended = !a.Suspended })
		case n < 14:
			w.account(op, func(a *waypost.Account) {
				switch {
				case a.Relay == nil:
					onRelay("smtp." + a.ID + ".test")(a)
				case a.Gateway == waypost.GatewaySMTP:
					a.Gateway = waypost.GatewayBuiltin
				default:
					a.Gateway = waypost.GatewaySMTP
				}
			})
		case n < 15:
			name := []string{"Finish", "Claim", "Mail", "Beat", "Controls"}[random.IntN(5)]
			w.store.set(name, errFault)
		case n < 17:
			w.store.mu.Lock()
			clear(w.store.fail)
			w.store.mu.Unlock()
		case n < 18:
			w.store.mu.Lock()
			w.store.lost = random.IntN(2)
			w.store.mu.Unlock()
			hosts()
			if s := w.q.Snapshot(1); len(s.Destinations) > 0 && s.Destinations[0].Slow != nil {
				w.q.Hurry(s.Destinations[0].Slow.Name)
			}
		default:
			w.pass(time.Duration(random.IntN(5000)) * time.Millisecond)
		}
		if s := w.q.Check(); s != "" {
			t.Fatalf("step %d: %s", step, s)
		}
	}
	// All calms down, and everything has to go.
	w.store.mu.Lock()
	clear(w.store.fail)
	w.store.lost = 0
	w.store.mu.Unlock()
	calm.Store(true)
	for _, op := range operators {
		w.accounts.change(op, func(a *waypost.Account) { a.Suspended = false })
	}
	w.q.Changed(context.Background())
	w.pass(2 * time.Minute)
	if _, _, _, err := w.db.System.ControlWhere(context.Background(), waypost.CommandLine(), everything(), store.Release, time.Now()); err != nil {
		t.Fatal(err)
	}
	w.q.Changed(context.Background())
	w.within(8*time.Hour, "everything is final", func() bool {
		if w.count(waypost.Queued) == 0 {
			return true
		}
		// What was pinned to a route that is gone waits for a person, who is here.
		if _, _, _, err := w.db.System.ControlWhere(context.Background(), waypost.CommandLine(), everything(), store.Release, time.Now()); err != nil {
			t.Fatal(err)
		}
		w.q.Changed(context.Background())
		w.pass(5 * time.Minute)
		return false
	})
	w.pass(5 * time.Minute)
	if n := w.q.Keys(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
	if s := w.q.Idle(); s != "" {
		t.Error(s)
	}
	w.deliver.mu.Lock()
	defer w.deliver.mu.Unlock()
	if len(w.deliver.twice) != 0 {
		t.Errorf("delivered twice: %v", w.deliver.twice)
	}
	for site, n := range w.deliver.mostAt {
		if n > 5 {
			t.Errorf("%d sessions to %s", n, site)
		}
	}
	if w.deliver.most > 12+1 {
		t.Errorf("%d sessions at once", w.deliver.most)
	}
	t.Log(slices.Sorted(maps.Keys(w.deliver.mostAt)), w.deliver.jobs, "jobs", len(w.deliver.sent), "sent")
}
