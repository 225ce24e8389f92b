package queue_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// level says how the built-in gateway treats an operator.
func level(l waypost.ReputationLevel, perMinute int) func(a *waypost.Account) {
	return func(a *waypost.Account) { a.Reputation.Level, a.Guard.PerMinute = l, perMinute }
}

func TestMailOfAPausedOperatorWaitsAndSecurityMailGoes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		release := w.blocked()
		for range 5 { // all sessions of the site
			w.accept(storetest.Mail{To: []string{"a@x.test"}})
		}
		inMemory, _ := w.accept(storetest.Mail{To: []string{"late@x.test"}})
		w.settled()
		w.account("op", level(waypost.LevelPaused, 0))
		release()
		w.settled()
		waiting := w.row(storetest.Mail{To: []string{"b@y.test"}})
		secret := w.row(storetest.Mail{To: []string{"b@y.test"}, Kind: waypost.KindSecurity})
		other := w.row(storetest.Mail{OperatorID: "other", To: []string{"b@y.test"}})
		test := storetest.Mail{To: []string{"b@y.test"}}.Accepting() // of a test key: it does not use the gateway
		test.Deliveries[0].Site = waypost.TestSite + "y.test"
		test.Messages[0].Test = true
		if err := w.db.Store.Accept(t.Context(), test); err != nil {
			t.Fatal(err)
		}
		w.pass(10 * time.Second)
		for name, c := range map[string]struct {
			id   string
			want waypost.State
		}{
			"in memory": {inMemory.Deliveries[0].ID, waypost.Queued}, "a row": {waiting.Deliveries[0].ID, waypost.Queued},
			"security": {secret.Deliveries[0].ID, waypost.Delivered}, "of another operator": {other.Deliveries[0].ID, waypost.Delivered},
			"of a test key": {test.Deliveries[0].ID, waypost.Delivered},
		} {
			if d := w.delivery(c.id); d.State != c.want || d.Lease != "" {
				t.Errorf("%s: %+v", name, d)
			}
		}
		a, _ := w.accounts.Get(t.Context(), "op")
		if why := w.q.Waits(a, &waiting.Deliveries[0]); why.Reason != waypost.WaitPaused || !strings.Contains(why.Text, "paused") {
			t.Errorf("%+v", why)
		}
		w.account("op", onRelay("mail.op.test")) // the own server is nobody else's business
		w.within(3*time.Second, "it leaves by the own server", func() bool { return w.only(waiting).State == waypost.Delivered })
		w.account("op", func(a *waypost.Account) { a.Gateway = waypost.GatewayBuiltin })
		again := w.row(storetest.Mail{To: []string{"b@y.test"}})
		w.pass(5 * time.Second)
		if w.only(again).State != waypost.Queued {
			t.Error("sent while paused")
		}
		w.account("op", level(waypost.LevelOK, 0))
		w.within(3*time.Second, "it goes when the pause is lifted", func() bool { return w.only(again).State == waypost.Delivered })
	})
}

// A slowed operator has its recipients a minute, whatever number of sites they are at, and
// nobody else notices.
func TestASlowedOperatorHasItsRecipientsAMinute(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.accounts.change("op", level(waypost.LevelSlowed, 10))
		w.run()
		began := time.Now()
		for i := range 40 {
			w.row(storetest.Mail{To: []string{fmt.Sprintf("a%d@x.test", i), fmt.Sprintf("b%d@site%d.test", i, i)}})
		}
		w.rows(300, "other", "x.test")
		if _, ok := w.accept(storetest.Mail{}); ok {
			t.Error("a mail went past the pace")
		}
		alarm, _ := w.accept(storetest.Mail{Kind: waypost.KindSecurity})
		urgent := storetest.Mail{To: []string{"c@x.test"}}.Accepting()
		urgent.Messages[0].Lane, urgent.Deliveries[0].Lane = waypost.LaneAlarm, waypost.LaneAlarm
		patient := storetest.Mail{To: []string{"d@x.test"}, Kind: waypost.KindSecurity}.Accepting()
		patient.Messages[0].Lane, patient.Deliveries[0].Lane = waypost.LaneTransactional, waypost.LaneTransactional
		if err := w.db.Store.Accept(t.Context(), urgent); err != nil {
			t.Fatal(err)
		}
		if err := w.db.Store.Accept(t.Context(), patient); err != nil {
			t.Fatal(err)
		}
		w.pass(3 * time.Second)
		if n := w.db.Int(t, "SELECT COUNT(*) FROM delivery WHERE operator_id = 'other' AND state = 'queued'"); n != 0 {
			t.Errorf("%d recipients of another operator wait", n)
		}
		for name, id := range map[string]string{"security": alarm.Deliveries[0].ID, "alarm": urgent.Deliveries[0].ID} {
			if d := w.delivery(id); d.State != waypost.Delivered {
				t.Errorf("%s was slowed down: %+v", name, d)
			}
		}
		sent := func() int64 {
			return w.db.Int(t, "SELECT COUNT(*) FROM delivery WHERE operator_id = 'op' AND kind = 'event' AND lane > 0 AND state = 'delivered'")
		}
		w.within(80*time.Second, "security mail of another node, in another lane", func() bool { return w.delivery(patient.Deliveries[0].ID).State == waypost.Delivered })
		w.pass(time.Until(began.Add(10 * time.Minute)))
		claims := w.store.called("Claim")
		if n := sent(); n < 75 || n > 81 { // 81 are all
			t.Errorf("%d recipients in ten minutes", n)
		}
		w.accounts.change("op", level(waypost.LevelSlowed, 2))
		late := w.row(storetest.Mail{To: []string{"e@x.test", "f@x.test", "g@x.test", "h@x.test"}})
		w.q.Changed(t.Context())
		before := sent()
		w.pass(time.Minute)
		if n := sent() - before; n > 3 {
			t.Errorf("%d recipients in the minute after", n)
		}
		var d waypost.Delivery
		for _, one := range late.Deliveries {
			if d = w.delivery(one.ID); d.State == waypost.Queued {
				break
			}
		}
		d.OperatorID, d.Site, d.Lane, d.Kind = "op", "x.test", waypost.LaneTransactional, waypost.KindEvent
		a, _ := w.accounts.Get(t.Context(), "op")
		if why := w.q.Waits(a, &d); why.Reason != waypost.WaitSlowedDown || why.Who != "2" || !strings.Contains(why.Text, "2 recipients a minute") {
			t.Errorf("%+v", why)
		}
		if claims > 1_000 {
			t.Errorf("%d claims for 400 recipients", claims)
		}
		for range 20 { // other changes do not cost it its turn
			w.q.Changed(t.Context())
			w.pass(3 * time.Second)
		}
		if w.count(waypost.Queued) > 2 {
			t.Errorf("%d wait", w.count(waypost.Queued))
		}
		w.account("op", level(waypost.LevelOK, 0))
		w.within(3*time.Second, "all of it goes when it is over", func() bool { return w.count(waypost.Queued) == 0 })
	})
}
