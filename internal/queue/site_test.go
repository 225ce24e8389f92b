package queue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// sameMX is n domains d0.test, d1.test, ... of the same hosts, and other.test.
func sameMX(n int) map[string]string {
	mx := map[string]string{"other.test": "mx.other.test"}
	for i := range n {
		mx[fmt.Sprintf("d%d.test", i)] = "a.host.test b.host.test"
	}
	return mx
}

func TestDomainsOfTheSameHostsShareTheWindow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.withMX(sameMX(50))
		w.deliver.do(func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			<-time.After(time.Second)
			return delivered(j)
		})
		// All of them are new to the queue at once.
		for i := range 50 {
			m := storetest.Mail{}
			for n := range 4 {
				m.To = append(m.To, fmt.Sprintf("u%d@d%d.test", n, i))
			}
			w.row(m)
		}
		w.run()
		w.within(10*time.Minute, "all is delivered", func() bool { return w.count(waypost.Delivered) == 200 })
		w.deliver.mu.Lock()
		most, twice := w.deliver.mostAt["a.host.test b.host.test"], w.deliver.twice
		w.deliver.mu.Unlock()
		if most > 21 || most < 5 {
			t.Errorf("%d sessions to the same hosts", most)
		}
		if len(twice) > 0 {
			t.Errorf("delivered twice: %v", twice)
		}
		if n := w.db.Int(t, "SELECT COUNT(*) FROM delivery WHERE attempts <> 1"); n != 0 {
			t.Errorf("%d deliveries have attempts that were none", n)
		}
	})
}

func TestDomainsOfTheSameHostsAreSlowedTogether(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.withMX(sameMX(4))
		w.run()
		for i := range 3 {
			w.accept(toSite(fmt.Sprintf("d%d.test", i)))
		}
		w.accept(toSite("other.test"))
		w.settled()
		w.deliver.do(slowAt("d0", waypost.SlowSuspend, time.Hour))
		w.accept(toSite("d0.test"))
		w.settled()
		before, sent := w.deliver.started(), w.count(waypost.Delivered)
		known, ok := w.accept(toSite("d1.test"))
		if ok {
			t.Error("handed over to a suspended site")
		}
		w.accept(toSite("other.test"))
		w.settled()
		if n := w.deliver.started(); n != before+1 || w.count(waypost.Delivered) != sent+1 {
			t.Errorf("%d jobs and %d deliveries: of the other site alone", n-before, w.count(waypost.Delivered)-sent)
		}
		// One that nobody has seen yet is found to be of them before it is dialed.
		unknown, _ := w.accept(toSite("d3.test"))
		w.settled()
		for name, a := range map[string]string{"d1.test": known.Deliveries[0].ID, "d3.test": unknown.Deliveries[0].ID} {
			if d := w.delivery(a); d.Attempts != 0 || d.State != waypost.Queued || d.Step != 0 {
				t.Errorf("%s: %+v", name, d)
			}
			w.pass(2 * time.Second)
			why := w.waits("op", waypost.Delivery{State: waypost.Queued, Site: name})
			if why.Reason != waypost.WaitSlowed || why.Who != name || why.Shared != 3 {
				t.Errorf("%s: %+v", name, why)
			}
		}
		s := w.q.Snapshot(10)
		if d := s.Destinations[0]; d.Slow == nil || d.Domains != 4 || d.Site != "d0.test" {
			t.Errorf("%+v", d)
		}
		w.deliver.do(nil)
		w.within(65*time.Minute, "all goes when the time is over", func() bool { return w.count(waypost.Queued) == 0 })
	})
}

// With many domains of the same hosts an operator has many keys that wait there, and
// still its turn only.
func TestManyDomainsOfTheSameHostsDoNotCrowdOutAnotherOperator(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.withMX(sameMX(100))
		w.run()
		for i := range 100 {
			w.accept(storetest.Mail{OperatorID: "known", To: []string{fmt.Sprintf("u@d%d.test", i)}})
			w.settled()
		}
		w.deliver.do(slowAt("d", waypost.SlowRate, 4*time.Hour))
		w.accept(storetest.Mail{OperatorID: "known", To: []string{"u@d0.test"}})
		w.settled()
		w.deliver.do(nil)
		w.pass(5 * time.Minute)
		w.deliver.mu.Lock()
		w.deliver.order = nil
		w.deliver.mu.Unlock()
		for i := range 100 {
			w.row(storetest.Mail{OperatorID: "many", To: []string{fmt.Sprintf("u@d%d.test", i)}})
		}
		w.pass(2 * time.Second)
		w.rows(20, "few", "d7.test")
		w.pass(3 * time.Minute)
		w.deliver.mu.Lock()
		defer w.deliver.mu.Unlock()
		sent := map[string]int{}
		for _, op := range w.deliver.order {
			sent[op]++
		}
		if sent["few"] < sent["many"]/2 || sent["few"] == 0 || sent["many"] == 0 {
			t.Errorf("they do not take turns: %v", sent)
		}
	})
}

func TestDomainThatMovesToOtherHostsDoesNotWaitForTheOldOnes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.withMX(sameMX(2))
		w.run()
		w.accept(toSite("d0.test"))
		w.accept(toSite("d1.test"))
		w.settled()
		w.deliver.do(slowAt("d0", waypost.SlowSuspend, 4*time.Hour))
		w.accept(toSite("d0.test"))
		w.settled()
		w.rows(5, "op", "d1.test")
		w.pass(time.Minute)
		if n := w.count(waypost.Delivered); n != 2 {
			t.Fatalf("%d delivered", n)
		}
		moved := sameMX(2)
		moved["d1.test"] = "mx.new.test"
		w.deliver.withMX(moved)
		// An alarm finds out, and the others follow.
		alarm := toSite("d1.test")
		alarm.Kind = waypost.KindSecurity
		w.accept(alarm)
		w.within(30*time.Second, "the mail of the domain that moved goes", func() bool { return w.count(waypost.Delivered) == 8 })
		if slowed, _ := w.q.Slowed(); slowed != 1 {
			t.Errorf("%d slowed sites", slowed)
		}
		if d := w.q.Snapshot(10).Destinations[0]; d.Slow == nil || d.Domains != 1 {
			t.Errorf("%+v", d)
		}
	})
}

// Between the acceptance of a mail and its start it is in no queue; its domain may become
// known meanwhile.
func TestDomainThatBecomesKnownWhileMailIsBeingAcceptedIsCountedOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.withMX(sameMX(2))
		w.run()
		kept, handover, ok := w.reserve(toSite("d0.test"), nil)
		if !ok {
			t.Fatal("not handed over")
		}
		_, cancelled, ok := w.reserve(toSite("d0.test"), nil)
		if !ok {
			t.Fatal("not handed over")
		}
		w.accept(toSite("d0.test"))
		w.settled()
		cancelled.Cancel()
		if err := w.db.Store.Accept(t.Context(), kept); err != nil {
			t.Fatal(err)
		}
		handover.Start()
		w.settled()
		if n := w.count(waypost.Delivered); n != 2 {
			t.Errorf("%d delivered", n)
		}
		if s := w.q.Idle(); s != "" {
			t.Error(s)
		}
		if n := w.q.Destinations(); n > 1 {
			t.Errorf("%d destinations for one site", n)
		}
	})
}

// Mail that waits in memory where its domain was thought to be goes where it is.
func TestMailInMemoryFollowsItsDomain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.withMX(sameMX(2))
		w.run()
		w.deliver.do(slowAt("d0", waypost.SlowSuspend, time.Hour))
		w.accept(toSite("d0.test"))
		w.settled()
		before := w.deliver.started()
		var starts []func()
		for range 2 {
			a, handover, ok := w.reserve(toSite("d1.test"), nil)
			if !ok {
				t.Fatal("not handed over")
			}
			if err := w.db.Store.Accept(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			starts = append(starts, handover.Start)
		}
		for _, start := range starts {
			start()
		}
		w.pass(time.Minute)
		if n := w.deliver.started(); n > before+1 {
			t.Errorf("%d were begun to find out what the first did", n-before-1)
		}
		if _, held := w.q.Depth(); held != 0 {
			t.Errorf("%d deliveries in memory", held)
		}
	}, one)
}
