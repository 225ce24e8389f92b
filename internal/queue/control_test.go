package queue_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// blocked lets jobs get as far as right before MAIL and keeps them there.
func (w *world) blocked() (release func()) {
	gate := make(chan struct{})
	w.deliver.before = func(ctx context.Context, _ *waypost.Job) { hang(ctx, gate) }
	return func() {
		w.deliver.before = nil
		close(gate)
	}
}

func TestControlOfALeasedDeliveryIsHonouredBeforeMail(t *testing.T) {
	for action, want := range map[store.ControlAction]waypost.Delivery{
		store.Cancel: {State: waypost.Cancelled}, store.Hold: {State: waypost.Queued, Held: true},
	} {
		t.Run(string(action), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				release := w.blocked()
				w.run()
				a, _ := w.accept(storetest.Mail{})
				w.settled()
				if r := w.control(a, action); !r.Pending {
					t.Fatal("settled at once while a node has it")
				}
				release()
				w.settled()
				if d := w.only(a); d.State != want.State || d.Held != want.Held || d.Lease != "" || d.Control != "" || d.Attempts != 0 {
					t.Errorf("%+v", d)
				}
				w.pass(5 * time.Minute)
				if n := w.deliver.total(); n != 0 {
					t.Error("sent all the same")
				}
				if n := w.store.called("Finish"); n != 1 {
					t.Errorf("finished %d times", n)
				}
				if action == store.Hold {
					w.control(a, store.Release)
					w.settled()
					if d := w.only(a); d.State != waypost.Delivered || d.Attempts != 1 {
						t.Errorf("released: %+v", d)
					}
				}
			})
		})
	}
}

func TestControlOfWhatWaitsInMemoryIsSettledAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		release := w.blocked()
		w.run()
		for range 5 {
			w.accept(storetest.Mail{})
		}
		w.settled()
		a, ok := w.accept(storetest.Mail{To: []string{"a@example.test", "b@example.test"}})
		if !ok {
			t.Fatal("not handed over")
		}
		w.settled()
		w.control(a, store.Cancel)
		w.settled()
		if d := w.only(a); d.State != waypost.Cancelled {
			t.Errorf("%+v", d)
		}
		release()
		w.settled()
		if d := w.delivery(a.Deliveries[1].ID); d.State != waypost.Delivered {
			t.Errorf("the other recipient: %+v", d)
		}
	})
}

func TestControlRequestsAreReadAgainAfterAFailure(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		release := w.blocked()
		w.run()
		a, _ := w.accept(storetest.Mail{})
		w.settled()
		w.store.set("Controls", errFault)
		w.control(a, store.Cancel)
		w.pass(3 * time.Second)
		w.store.set("Controls", nil)
		w.pass(1500 * time.Millisecond)
		release()
		w.settled()
		if d := w.only(a); d.State != waypost.Cancelled || w.deliver.total() != 0 {
			t.Errorf("%+v", d)
		}
	})
}

func TestSuspendedOperatorsMailWaitsAndSecurityMailGoes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", func(a *waypost.Account) { a.Suspended = true })
		w.run()
		event, ok := w.accept(storetest.Mail{})
		if ok {
			t.Fatal("handed over")
		}
		code, _ := w.accept(storetest.Mail{Kind: waypost.KindSecurity})
		row := w.row(storetest.Mail{Kind: waypost.KindSecurity, To: []string{"someone@else.test"}})
		w.pass(5 * time.Minute)
		if d := w.only(event); d.State != waypost.Queued || d.Attempts != 0 || d.Lease != "" {
			t.Errorf("%+v", d)
		}
		if w.only(code).State != waypost.Delivered || w.only(row).State != waypost.Delivered {
			t.Errorf("security mail: %+v, %+v", w.only(code), w.only(row))
		}
		w.account("op", func(a *waypost.Account) { a.Suspended = false })
		w.settled()
		if d := w.only(event); d.State != waypost.Delivered {
			t.Errorf("resumed: %+v", d)
		}
	})
}

func TestDeferredSecurityMailOfASuspendedOperatorKeepsItsSchedule(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", func(a *waypost.Account) { a.Suspended = true })
		w.run()
		// An alarm that is not security mail parks the key.
		parked := storetest.Mail{}.Accepting()
		parked.Messages[0].Lane, parked.Deliveries[0].Lane = waypost.LaneAlarm, waypost.LaneAlarm
		if err := w.db.Store.Accept(t.Context(), parked); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * time.Second)
		w.deliver.do(always(waypost.OutcomeTemporary, waypost.PhaseRcpt, 451, "greylisted"))
		code, ok := w.accept(storetest.Mail{Kind: waypost.KindSecurity})
		if !ok {
			t.Fatal("refused")
		}
		w.settled()
		w.deliver.do(nil)
		w.within(34*time.Second, "the second try goes after 30 s", func() bool { return w.only(code).State == waypost.Delivered })
		if d := w.only(parked); d.State != waypost.Queued {
			t.Errorf("%+v", d)
		}
	})
}

func TestSuspensionCountsUpToMail(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		release := w.blocked()
		w.run()
		a, _ := w.accept(storetest.Mail{})
		w.settled()
		w.account("op", func(a *waypost.Account) { a.Suspended = true })
		release()
		w.pass(time.Minute)
		if d := w.only(a); d.State != waypost.Queued || d.Attempts != 0 || d.Lease != "" || w.deliver.total() != 0 || !strings.Contains(d.Reason, "suspended") {
			t.Errorf("%+v", d)
		}
	})
}

func TestUnboundOperatorsMailWaitsUntilBound(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", func(a *waypost.Account) { a.Gateway = "" })
		w.run()
		a, _ := w.accept(storetest.Mail{})
		test := storetest.Mail{}.Accepting()
		test.Deliveries[0].Site = waypost.TestSite + "example.test"
		test.Messages[0].Test = true
		if err := w.db.Store.Accept(t.Context(), test); err != nil {
			t.Fatal(err)
		}
		w.pass(10 * time.Minute)
		if n := w.store.called("Claim"); n > 4 {
			t.Errorf("%d claims for parked mail", n)
		}
		if d := w.only(test); d.State != waypost.Delivered || d.Route != waypost.RouteSandbox {
			t.Errorf("a test key's mail: %+v", d)
		}
		account, _ := w.accounts.Get(t.Context(), "op")
		d := a.Deliveries[0]
		if why := w.q.Why(account, &d); why != "no gateway is bound" {
			t.Errorf("why: %s", why)
		}
		w.account("op", func(a *waypost.Account) { a.Gateway = waypost.GatewayBuiltin })
		w.settled()
		if d := w.only(a); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
	})
}

func TestGatewaySwitchedWhileMailWaitsInMemory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		release := w.blocked()
		w.run()
		for range 5 {
			w.accept(storetest.Mail{})
		}
		// Two sites: on the built-in gateway these are two jobs, on a relay one.
		a, ok := w.accept(storetest.Mail{To: []string{"a@example.test", "b@example.test", "c@other.test"}})
		if !ok {
			t.Fatal("not handed over")
		}
		w.settled()
		w.account("op", onRelay("smtp.op.test"))
		release()
		w.within(5*time.Second, "all goes out over the relay", func() bool { return w.count(waypost.Delivered) == 8 })
		for i := range a.Deliveries {
			if d := w.delivery(a.Deliveries[i].ID); d.Route != waypost.RouteRelay {
				t.Errorf("%+v", d)
			}
		}
	})
}

func TestGatewaySwitchedToDirectSplitsMailBySite(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", onRelay("smtp.op.test"))
		release := w.blocked()
		w.run()
		for range 6 {
			w.accept(storetest.Mail{To: []string{"a@one.test", "b@two.test", "c@three.test"}})
		}
		w.settled()
		w.account("op", func(a *waypost.Account) { a.Gateway = waypost.GatewayBuiltin })
		release()
		w.within(5*time.Second, "all goes out directly", func() bool { return w.count(waypost.Delivered) == 18 })
	})
}

func TestUncertainMailStaysOnItsRoute(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", onRelay("smtp.op.test"))
		w.deliver.do(always(waypost.OutcomeUncertain, waypost.PhaseDot, 0, "connection lost"))
		w.run()
		a, _ := w.accept(storetest.Mail{})
		w.settled()
		if d := w.only(a); d.State != waypost.Queued || d.Cause != "uncertain" || d.Route != waypost.RouteRelay {
			t.Fatalf("%+v", d)
		}
		// A refusal on the way does not make it forget.
		w.deliver.do(always(waypost.OutcomeTemporary, waypost.PhaseRcpt, 451, "later"))
		w.control(a, store.Retry)
		w.settled()
		w.deliver.do(nil)
		w.account("op", func(a *waypost.Account) { a.Gateway = waypost.GatewayBuiltin })
		w.control(a, store.Retry)
		w.settled()
		d := w.only(a)
		if !d.Held || w.deliver.total() != 0 || !strings.Contains(d.Reason, "over relay may have arrived; release it to send it over direct") {
			t.Fatalf("%+v", d)
		}
		w.pass(5 * time.Minute)
		w.control(a, store.Release)
		w.settled()
		if d := w.only(a); d.State != waypost.Delivered || d.Route != waypost.RouteDirect {
			t.Errorf("released: %+v", d)
		}
	})
}

func TestUncertainMailOverTheFallbackGoesThereAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			a := attempt(j, waypost.OutcomeUncertain, waypost.PhaseDot, 0, "connection lost")
			a.Route = waypost.RouteUpstream // direct delivery failed, the upstream stood in
			return a
		})
		w.run()
		a, _ := w.accept(storetest.Mail{To: []string{"a@example.test", "b@example.test"}})
		w.settled()
		var routes []waypost.RouteKind
		w.deliver.do(func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			routes = append(routes, j.Route)
			if !j.Pinned || j.Relay == nil || j.Relay.Host != "upstream.test" {
				t.Errorf("%+v", j)
			}
			return delivered(j)
		})
		w.control(a, store.Retry)
		w.settled()
		if len(routes) != 1 || routes[0] != waypost.RouteUpstream || w.only(a).State != waypost.Delivered {
			t.Errorf("%v, %+v", routes, w.only(a))
		}
	}, func(o *queue.Options) {
		o.Platform.Upstream, o.Platform.UpstreamMode = &waypost.Relay{Host: "upstream.test", Port: 25}, route.UpstreamFallback
	})
}

func TestUncertainPolicies(t *testing.T) {
	for policy, want := range map[waypost.UncertainPolicy]waypost.State{
		waypost.UncertainHold: waypost.Uncertain, waypost.UncertainAssume: waypost.Delivered, waypost.UncertainRetry: waypost.Queued,
	} {
		t.Run(string(policy), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.accounts.change("op", func(a *waypost.Account) { a.Uncertain = policy })
				w.deliver.do(always(waypost.OutcomeUncertain, waypost.PhaseDot, 0, "connection lost"))
				w.run()
				a, _ := w.accept(storetest.Mail{})
				w.settled()
				if d := w.only(a); d.State != want {
					t.Errorf("%+v", d)
				}
			})
		})
	}
}

func TestWhySaysWhatAMailWaitsFor(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		account, _ := w.accounts.Get(t.Context(), "op")
		now := time.Now()
		d := waypost.Delivery{OperatorID: "op", Site: "example.test", State: waypost.Queued, NextAt: now, Lane: waypost.LaneTransactional}
		for want, change := range map[string]func(d *waypost.Delivery){
			"":                   func(d *waypost.Delivery) { d.State = waypost.Delivered },
			"waits for its turn": func(*waypost.Delivery) {},
			"with another node, which tries it when it is its turn":      func(d *waypost.Delivery) { d.Lease = "x" },
			"cancel was asked for and takes effect before the next step": func(d *waypost.Delivery) { d.Lease, d.Control = "x", waypost.ControlCancel },
			"held: waits until somebody releases it":                     func(d *waypost.Delivery) { d.Held = true },
			"scheduled for 2000-01-01T01:00:00Z":                         func(d *waypost.Delivery) { d.NextAt = time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC) },
			"next try at 2000-01-01T01:00:00Z: 451 later": func(d *waypost.Delivery) {
				d.NextAt, d.Attempts, d.Reason = time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC), 1, "451 later"
			},
		} {
			d := d
			change(&d)
			if got := w.q.Why(account, &d); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		if w.q.Destinations() != 0 {
			t.Error("asking made a destination")
		}
		w.deliver.do(always(waypost.OutcomeTemporary, waypost.PhaseConnect, 0, "no route to host"))
		w.run()
		for range 5 {
			w.accept(storetest.Mail{})
		}
		w.settled()
		if got := w.q.Why(account, &d); !strings.HasPrefix(got, "example.test is left alone until 2000-01-01T00:00:") || !strings.HasSuffix(got, ": no route to host") {
			t.Errorf("%q", got)
		}
	})
}

func TestWhyTellsMailThatIsBeingTriedFromMailThatWaitsInMemory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		release := w.blocked()
		w.run()
		var mails []string
		for range 6 { // one more than a new site gets
			a, ok := w.accept(storetest.Mail{})
			if !ok {
				t.Fatal("not handed over")
			}
			mails = append(mails, a.Deliveries[0].ID)
		}
		w.settled()
		account, _ := w.accounts.Get(t.Context(), "op")
		for i, id := range mails {
			d := w.delivery(id)
			d.OperatorID, d.Site, d.Lane = "op", "example.test", waypost.LaneTransactional
			want := "being tried now"
			if i == 5 {
				want = "all sessions to example.test are in use"
			}
			if got := w.q.Why(account, &d); got != want {
				t.Errorf("mail %d: %q, want %q", i, got, want)
			}
		}
		release()
	})
}

func TestWhySaysThatAnOperatorHasUsedUpItsShare(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(hangAll("hang"))
		w.flood("flood", 100, waypost.KindEvent)
		w.run()
		w.pass(20 * time.Second)
		a, _ := w.accept(storetest.Mail{OperatorID: "flood", To: []string{"u@fine.test"}})
		w.settled()
		account, _ := w.accounts.Get(t.Context(), "flood")
		d := a.Deliveries[0]
		if got := w.q.Why(account, &d); got != "other mail of the operator has all the sessions that it may have now" {
			t.Errorf("%q", got)
		}
		if account, _ = w.accounts.Get(t.Context(), "other"); w.q.Why(account, &waypost.Delivery{
			OperatorID: "other", Site: "fine.test", State: waypost.Queued, Lane: waypost.LaneTransactional, NextAt: time.Now(),
		}) != "waits for its turn" {
			t.Error("and so has another")
		}
	}, hundred)
}
