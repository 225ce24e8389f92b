package queue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// threeRelays puts the operators a, b and c on SMTP servers of their own and sends a
// mail of each, and one by the built-in gateway.
func (w *world) threeRelays() {
	for _, op := range []string{"a", "b", "c"} {
		w.accounts.change(op, onRelay("smtp."+op+".test"))
		w.accept(storetest.Mail{OperatorID: op})
	}
	w.accept(storetest.Mail{OperatorID: "builtin"})
	w.settled()
}

func (w *world) failing() (n int) {
	for _, op := range []string{"a", "b", "c"} {
		if w.accounts.health(op).Failing() {
			n++
		}
	}
	return n
}

// sandboxed accepts mail of a test key, which goes nowhere.
func (w *world) sandboxed() {
	w.t.Helper()
	test := storetest.Mail{}.Accepting()
	test.Deliveries[0].Site = waypost.TestSite + "example.test"
	test.Messages[0].Test = true
	if err := w.db.Store.Accept(w.t.Context(), test); err != nil {
		w.t.Fatal(err)
	}
}

func TestNetworkOutageOfOurOwnIsNotBlamedOnTheRelays(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		w.threeRelays()
		w.deliver.do(func(ctx context.Context, j *waypost.Job, i int) *waypost.Attempt {
			if j.Route == waypost.RouteSandbox {
				return delivered(j)
			}
			return unreachable(ctx, j, i)
		})
		w.threeRelays()
		for range 15 {
			w.pass(time.Minute)
			w.sandboxed()
		}
		if n := w.failing(); n != 0 {
			t.Errorf("%d relays are called failing", n)
		}
		w.deliver.do(nil)
		w.within(35*time.Minute, "all goes out afterwards", func() bool { return w.count(waypost.Delivered) == 8+15 })
		if w.accounts.failed != 0 {
			t.Errorf("called failing %d times", w.accounts.failed)
		}
	})
}

func TestRelaysThatFailTogetherForLongAreFailing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(unreachable)
		w.run()
		w.threeRelays()
		w.within(2*time.Hour, "they are failing", func() bool { return w.failing() == 3 })
	})
}

func TestRelaysOutOfReachAreFailingWhileOthersCanBeReached(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(func(ctx context.Context, j *waypost.Job, i int) *waypost.Attempt {
			if j.Route == waypost.RouteRelay {
				return unreachable(ctx, j, i)
			}
			return delivered(j)
		})
		w.run()
		w.threeRelays()
		for i := range 5 {
			w.pass(time.Minute)
			w.accept(storetest.Mail{OperatorID: "builtin", To: []string{fmt.Sprintf("u@s%d.test", i)}})
		}
		w.within(5*time.Minute, "they are failing", func() bool { return w.failing() == 3 })
	})
}

// A site that has been dead for long says nothing about our network.
func TestDeadSiteDoesNotExcuseARelay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		dead := func(ctx context.Context, j *waypost.Job, i int) *waypost.Attempt {
			if j.Site == "dead.test" {
				return unreachable(ctx, j, i)
			}
			return delivered(j)
		}
		w.deliver.do(dead)
		w.run()
		w.accept(storetest.Mail{OperatorID: "builtin", To: []string{"u@dead.test"}})
		w.pass(time.Minute)
		w.accept(storetest.Mail{OperatorID: "builtin"})
		w.settled()
		w.accounts.change("a", onRelay("smtp.a.test"))
		w.deliver.do(unreachable)
		w.accept(storetest.Mail{OperatorID: "a"})
		w.within(queue.DownAfter+7*time.Minute, "it is failing", func() bool { return w.accounts.health("a").Failing() })
	})
}

func TestRelayThatFailedBeforeAllTheOthersIsFailing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("a", onRelay("smtp.a.test"))
		w.accounts.change("b", onRelay("smtp.b.test"))
		w.run()
		w.deliver.do(unreachable)
		w.accept(storetest.Mail{OperatorID: "a"})
		w.settled()
		w.deliver.do(nil)
		w.accept(storetest.Mail{OperatorID: "b"})
		w.settled()
		w.deliver.do(unreachable)
		w.accept(storetest.Mail{OperatorID: "b"})
		w.within(10*time.Minute, "it is failing", func() bool { return w.accounts.health("a").Failing() })
	})
}

// Who can be connected to is not cut off from us.
func TestRelaysThatBreakOffAreFailing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(always(waypost.OutcomeTemporary, waypost.PhaseHello, 0, "the server closed the connection"))
		w.run()
		w.threeRelays()
		w.within(10*time.Minute, "they are failing", func() bool { return w.failing() == 3 })
	})
}
