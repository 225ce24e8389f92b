package queue_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// remove deletes an operator as the panel and the chore after it do.
func (w *world) remove(operator string) {
	w.t.Helper()
	if err := w.db.System.RemoveOperator(w.t.Context(), waypost.CommandLine(), operator, time.Now()); err != nil {
		w.t.Fatal(err)
	}
	w.accounts.mu.Lock()
	w.accounts.err = waypost.NewError(waypost.NotFound, "not_found", "no such operator")
	w.accounts.mu.Unlock()
	w.erase()
}

// erase removes what may be removed now.
func (w *world) erase() {
	w.t.Helper()
	for more := true; more; {
		var err error
		if more, err = w.db.System.RemoveSome(w.t.Context(), time.Now()); err != nil {
			w.t.Fatal(err)
		}
	}
	w.q.Changed(w.t.Context())
	w.settled()
}

func TestMailOfADeletedOperatorIsGivenUpAndForgotten(t *testing.T) {
	var log strings.Builder
	inWorld(t, func(t *testing.T, w *world) {
		if _, err := w.db.System.CreateOperator(t.Context(), waypost.CommandLine(), waypost.Operator{ID: "gone", Name: "Gone", Product: waypost.ProductServermate}); err != nil {
			t.Fatal(err)
		}
		release := w.blocked()
		w.run()
		for range 3 { // under way when the operator is deleted
			w.accept(storetest.Mail{OperatorID: "gone"})
		}
		w.rows(5, "gone", "other.test") // claimed, and waiting in rows
		w.settled()
		w.remove("gone")
		w.row(storetest.Mail{OperatorID: "gone", To: []string{"late@late.test"}}) // committed a moment too late
		release()
		w.pass(time.Minute)
		w.erase()
		w.pass(3 * time.Minute)
		if n := w.deliver.total(); n != 0 {
			t.Errorf("%d sent for nobody", n)
		}
		if n := w.db.Int(t, "SELECT COUNT(*) FROM delivery"); n != 0 {
			t.Errorf("%d deliveries are left:\n%s", n, w.left())
		}
		if n := w.q.Keys(); n != 0 {
			t.Errorf("%d keys are remembered for ever", n)
		}
		c, err := w.db.Store.Conservation(t.Context(), "gone")
		if err != nil || c.Cancelled != 9 || c.Queued != 0 || !c.Balanced {
			t.Errorf("%+v, %v", c, err)
		}
	}, func(o *queue.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	if strings.Contains(log.String(), "cannot read operator") {
		t.Errorf("a deleted operator is no error: %s", log.String())
	}
}

func TestASnapshotShowsWhatIsGoingOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		release := w.blocked()
		w.run()
		for range 4 {
			w.accept(storetest.Mail{To: []string{"a@busy.test"}})
		}
		w.accept(storetest.Mail{Kind: waypost.KindSecurity, To: []string{"a@quiet.test"}})
		w.settled()
		s := w.q.Snapshot(10)
		if s.Node != "node-a" || s.Incarnation != w.q.Incarnation() || s.Cut || s.Sessions != 5 || s.MostSessions != 200 || s.Deliveries != 5 {
			t.Errorf("%+v", s)
		}
		if s.Lanes[0].Lane != waypost.LaneAlarm || s.Lanes[0].Sessions != 1 || s.Lanes[1].Sessions != 4 {
			t.Errorf("%+v", s.Lanes)
		}
		if len(s.Destinations) != 2 || s.Destinations[0].Site != "busy.test" || s.Destinations[0].Sessions != 4 || s.Destinations[0].Window != 5 {
			t.Errorf("%+v", s.Destinations)
		}
		if s = w.q.Snapshot(1); len(s.Destinations) != 1 || s.More != 1 {
			t.Errorf("%d destinations and %d more", len(s.Destinations), s.More)
		}
		release()
		w.settled()
		s = w.q.Snapshot(10)
		if len(s.Destinations) == 0 || s.Destinations[0].PerMinute < 3.5 || s.Destinations[0].Sessions != 0 {
			t.Errorf("%+v", s.Destinations)
		}
		w.pass(5 * time.Minute)
		if s = w.q.Snapshot(10); len(s.Destinations) != 0 {
			t.Errorf("nothing is going on, and yet %+v", s.Destinations)
		}
	})
}

func TestASnapshotTellsWhatIsLeftAloneAndWhy(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(always(waypost.OutcomeTemporary, waypost.PhaseConnect, 0, "connection refused"))
		w.run()
		for range 6 {
			w.accept(storetest.Mail{To: []string{"a@down.test"}})
		}
		w.settled()
		s := w.q.Snapshot(10)
		if len(s.Destinations) != 1 || !s.Destinations[0].Closed.After(time.Now()) || s.Destinations[0].Why != "connection refused" {
			t.Errorf("%+v", s.Destinations)
		}
	})
}
