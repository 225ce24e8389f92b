package queue_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// slowAt has the sites of a name that begins so ask for less mail.
func slowAt(prefix string, how waypost.SlowHow, length time.Duration) func(context.Context, *waypost.Job, int) *waypost.Attempt {
	return func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
		if strings.HasPrefix(j.Site, prefix) {
			return asking(j, how, length)
		}
		return delivered(j)
	}
}

// toSite is a mail to one domain.
func toSite(site string) storetest.Mail { return storetest.Mail{To: []string{"u@" + site}} }

// only one mail at a time may be asked for by a site.
func one(o *queue.Options) { o.SiteSessions = 1 }

func (w *world) waits(operator string, d waypost.Delivery) waypost.Wait {
	w.t.Helper()
	a, err := w.accounts.Get(w.t.Context(), operator)
	if err != nil {
		w.t.Fatal(err)
	}
	d.OperatorID, d.Lane = operator, waypost.LaneTransactional
	return w.q.Waits(a, &d)
}

func TestSuspendedSiteIsLeftAloneAndNoOther(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		gate := make(chan struct{})
		w.deliver.do(func(ctx context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			if j.Site == "slow.test" {
				hang(ctx, gate)
				return asking(j, waypost.SlowSuspend, 30*time.Minute)
			}
			return delivered(j)
		})
		w.run()
		first, _ := w.accept(toSite("slow.test"))
		second, ok := w.accept(toSite("slow.test"))
		if !ok {
			t.Fatal("the second does not wait in memory")
		}
		w.settled()
		close(gate)
		w.settled()
		w.deliver.do(nil)
		// What was told goes by its own schedule; what waited is back in its row, untried.
		if d := w.only(first); d.Step != 1 || d.Attempts != 1 || d.Cause != "rate" {
			t.Errorf("%+v", d)
		}
		if d := w.only(second); d.Lease != "" || d.Attempts != 0 || d.State != waypost.Queued {
			t.Errorf("%+v", d)
		}
		jobs := w.deliver.started()
		rows := w.row(toSite("slow.test"))
		third, ok := w.accept(toSite("slow.test"))
		if ok {
			t.Error("handed over to a suspended site")
		}
		w.pass(29 * time.Minute)
		if n := w.deliver.started(); n != jobs {
			t.Errorf("%d tries at a suspended site", n-jobs)
		}
		if _, held := w.q.Depth(); held != 0 {
			t.Errorf("%d deliveries in memory", held)
		}
		other, _ := w.accept(toSite("other.test"))
		w.settled()
		if d := w.only(other); d.State != waypost.Delivered {
			t.Errorf("another site: %+v", d)
		}
		d := w.only(second)
		d.Site = "slow.test"
		why := w.waits("op", d)
		if why.Reason != waypost.WaitSlowed || why.Who != "slow.test" || why.Shared != 0 || why.Words != "421 4.7.0 try again later" || !why.Until.After(time.Now()) {
			t.Errorf("%+v", why)
		}
		if !strings.Contains(why.Text, "the MX of slow.test asked to be left alone until ") || !strings.HasSuffix(why.Text, ": 421 4.7.0 try again later") {
			t.Error(why.Text)
		}
		w.within(3*time.Minute, "all goes when the time is over", func() bool { return w.count(waypost.Delivered) == 5 })
		for _, a := range []string{second.Deliveries[0].ID, third.Deliveries[0].ID, rows.Deliveries[0].ID} {
			if d := w.delivery(a); d.Attempts != 1 {
				t.Errorf("%d attempts are counted", d.Attempts)
			}
		}
	}, one)
}

func TestAlarmsLookAtASuspendedSiteOneAtATime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(slowAt("slow", waypost.SlowSuspend, time.Hour))
		w.run()
		w.accept(toSite("slow.test"))
		w.settled()
		release := w.blocked()
		w.deliver.do(nil)
		alarm := toSite("slow.test")
		alarm.Kind = waypost.KindSecurity
		for range 3 {
			w.accept(alarm)
		}
		w.accept(toSite("slow.test"))
		w.pass(5 * time.Second)
		if n := w.deliver.underWay(); n != 1 {
			t.Errorf("%d sessions", n)
		}
		release()
		w.pass(10 * time.Second)
		if n := w.count(waypost.Delivered); n != 3 {
			t.Errorf("%d of 3 alarms delivered, and nothing else", n)
		}
		if _, suspended := w.q.Slowed(); suspended != 1 {
			t.Error("an alarm that got through ended the suspension")
		}
	})
}

func TestSlowedRateIsKeptAndSharedByTheOperators(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(slowAt("slow", waypost.SlowRate, 4*time.Hour))
		w.run()
		w.accept(toSite("slow.test")) // of an operator of its own
		w.settled()
		w.deliver.do(nil)
		// One has a hundred times as much as the other, and many domains do not help it.
		for range 4 {
			w.rows(100, "much", "slow.test")
		}
		w.rows(10, "little", "slow.test")
		w.pass(20*time.Minute + 2*time.Second)
		w.deliver.mu.Lock()
		sent := map[string]int{}
		for _, op := range w.deliver.order {
			sent[op]++
		}
		w.deliver.mu.Unlock()
		if n := sent["much"] + sent["little"] + sent["op"]; n < 19 || n > 21 {
			t.Errorf("%d mails in 20 minutes at one a minute: %v", n, sent)
		}
		if sent["little"] < 8 {
			t.Errorf("the operators do not take turns: %v", sent)
		}
		why := w.waits("much", waypost.Delivery{State: waypost.Queued, Site: "slow.test"})
		if why.Reason != waypost.WaitSlowed || !strings.Contains(why.Text, "gets about 1 a minute until ") {
			t.Errorf("%+v", why)
		}
		alarm := toSite("slow.test")
		alarm.Kind = waypost.KindSecurity
		a, _ := w.accept(alarm)
		w.settled()
		if d := w.only(a); d.State != waypost.Delivered {
			t.Errorf("an alarm waits for its turn among others' mail: %+v", d)
		}
	})
}

func TestMailToManyRecipientsKeepsTheRateToo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var told bool
		w.deliver.do(func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			if !told {
				told = true
				return asking(j, waypost.SlowRate, time.Hour)
			}
			return delivered(j)
		})
		w.run()
		var m storetest.Mail
		for n := range 20 {
			m.To = append(m.To, fmt.Sprintf("u%d@slow.test", n))
		}
		a, ok := w.accept(m)
		if !ok {
			t.Fatal("not handed over")
		}
		w.settled()
		if n := w.count(waypost.Delivered); n != 0 {
			t.Errorf("%d went on after the first was told", n)
		}
		if d := w.delivery(a.Deliveries[5].ID); d.Attempts != 0 || d.Lease != "" || d.Reason != "421 4.7.0 try again later" {
			t.Errorf("%+v", d)
		}
		w.pass(10*time.Minute + 2*time.Second)
		if n := w.count(waypost.Delivered); n < 9 || n > 11 {
			t.Errorf("%d in 10 minutes at one a minute", n)
		}
		w.within(2*time.Hour, "all of it goes in the end", func() bool { return w.count(waypost.Delivered) == 20 })
	})
}

func TestTooManyConnectionsBecomeFewer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		gate := make(chan struct{})
		w.deliver.do(func(ctx context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			hang(ctx, gate)
			if w.deliver.underWay() > 3 {
				return asking(j, waypost.SlowConnections, 30*time.Minute)
			}
			return delivered(j)
		})
		w.run()
		for range 200 {
			w.row(toSite("slow.test"))
		}
		w.pass(2 * time.Second)
		close(gate)
		w.deliver.mu.Lock()
		w.deliver.mostAt["slow.test"] = 0
		w.deliver.mu.Unlock()
		w.deliver.do(func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			<-time.After(time.Second)
			return delivered(j)
		})
		w.pass(20 * time.Second)
		w.deliver.mu.Lock()
		most := w.deliver.mostAt["slow.test"]
		w.deliver.mu.Unlock()
		if most < 1 || most > 4 { // which it is depends on how many were left when the last was refused
			t.Errorf("%d sessions where 5 were too many", most)
		}
		w.within(30*time.Minute, "all goes", func() bool { return w.count(waypost.Delivered) == 200 })
	})
}

func TestRelayThatAsksForLessMailIsSlowedAndNotFailing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", onRelay("smtp.op.test"))
		w.deliver.do(func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			if j.Route == waypost.RouteRelay {
				a := asking(j, waypost.SlowSuspend, 30*time.Minute)
				a.Phase, a.Outcome = waypost.PhaseGreet, waypost.OutcomeRouteDown // "554 too many connections"
				return a
			}
			return delivered(j)
		})
		w.run()
		for range 4 {
			for range 5 {
				w.accept(toSite("a.test"))
			}
			w.pass(31 * time.Minute)
		}
		if w.accounts.failed != 0 || w.accounts.health("op").Failing() {
			t.Error("the account is blamed")
		}
		d := waypost.Delivery{State: waypost.Queued, Site: "a.test"}
		if why := w.waits("op", d); why.Reason != waypost.WaitSlowed || why.Who != "smtp.op.test" {
			t.Errorf("%+v", why)
		}
		a, _ := w.accept(storetest.Mail{OperatorID: "other", To: []string{"u@a.test"}})
		w.settled()
		if d := w.only(a); d.State != waypost.Delivered {
			t.Errorf("another route to the same domain: %+v", d)
		}
		// Other settings are another server, which has asked for nothing.
		w.deliver.do(nil)
		w.account("op", onRelay("smtp2.op.test"))
		w.within(5*time.Minute, "all goes through the other server", func() bool { return w.count(waypost.Queued) == 0 })
	})
}

func TestRecipientThatWantsARestGetsOneAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(func(_ context.Context, j *waypost.Job, i int) *waypost.Attempt {
			if strings.HasPrefix(j.Deliveries[i].Recipient, "busy@") {
				return asking(j, waypost.SlowRecipient, 15*time.Minute)
			}
			return delivered(j)
		})
		w.run()
		busy := storetest.Mail{To: []string{"busy@a.test"}}
		a, _ := w.accept(busy)
		busy.Kind = waypost.KindSecurity
		alarm, _ := w.accept(busy)
		other, _ := w.accept(toSite("a.test"))
		w.settled()
		if d := w.only(a); time.Until(d.NextAt) < 14*time.Minute || time.Until(d.NextAt) > 16*time.Minute {
			t.Errorf("next try in %v", time.Until(d.NextAt))
		}
		if d := w.only(alarm); time.Until(d.NextAt) > time.Minute {
			t.Errorf("an alarm's next try in %v", time.Until(d.NextAt))
		}
		if d := w.only(other); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
		if slowed, _ := w.q.Slowed(); slowed != 0 {
			t.Error("the site is slowed")
		}
	})
}

// What a site says is about the mail of one operator, and told to all who wait for it.
func TestWordsOfASlowedSiteNameNobodysRecipients(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			a := asking(j, waypost.SlowSuspend, time.Hour)
			a.Reply.Text = "<secret@slow.test>: too much mail,\ncome back later"
			return a
		})
		w.run()
		w.accept(storetest.Mail{OperatorID: "one", To: []string{"secret@slow.test"}})
		w.settled()
		why := w.waits("two", waypost.Delivery{State: waypost.Queued, Site: "slow.test"})
		if why.Words != "421 ... too much mail, come back later" || strings.Contains(why.Text, "secret") {
			t.Errorf("%+v", why)
		}
	})
}

func TestWhatTheFallbackAsksForIsNotTheSites(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			a := asking(j, waypost.SlowSuspend, 30*time.Minute)
			a.Route = waypost.RouteUpstream
			return a
		})
		w.run()
		a, _ := w.accept(toSite("a.test"))
		w.settled()
		if slowed, _ := w.q.Slowed(); slowed != 0 {
			t.Error("the site is slowed")
		}
		if d := w.only(a); time.Until(d.NextAt) < 29*time.Minute {
			t.Errorf("next try in %v", time.Until(d.NextAt))
		}
	})
}

func TestSomebodyInAHurryEndsASlowDown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(slowAt("slow", waypost.SlowSuspend, time.Hour))
		w.run()
		for range 6 {
			w.accept(toSite("slow.test"))
		}
		w.settled()
		w.deliver.do(nil)
		w.rows(3, "other", "slow.test")
		w.pass(5 * time.Minute)
		s := w.q.Snapshot(10)
		if len(s.Destinations) != 1 || s.Destinations[0].Slow == nil {
			t.Fatalf("%+v", s.Destinations)
		}
		slow := s.Destinations[0].Slow
		if slow.How != waypost.SlowSuspend || slow.Times != 1 || slow.Words != "421 4.7.0 try again later" || slow.Until.Sub(slow.Since) != time.Hour {
			t.Errorf("%+v", slow)
		}
		if slowed, suspended := w.q.Slowed(); slowed != 1 || suspended != 1 {
			t.Errorf("%d slowed, %d suspended", slowed, suspended)
		}
		if !w.q.Hurry(slow.Name) || w.q.Hurry(slow.Name) || w.q.Hurry("site unknown.test") {
			t.Error("ended not exactly once")
		}
		w.within(30*time.Second, "what waited goes at once", func() bool { return w.count(waypost.Queued) == 0 })
	})
}
