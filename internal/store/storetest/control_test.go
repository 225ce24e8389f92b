package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// situation puts a new delivery where a control action may find it.
func situation(t *testing.T, db *storetest.DB, name string) waypost.Delivery {
	t.Helper()
	ask := func(id string, action store.ControlAction) {
		if _, err := db.Store.Control(t.Context(), waypost.CommandLine(), "op", id, action, storetest.Now()); err != nil {
			t.Fatal(err)
		}
	}
	var d waypost.Delivery
	switch name {
	case "waiting":
		d = accept(t, db, storetest.Mail{In: time.Hour}).Deliveries[0]
	case "past its time":
		d = accept(t, db, storetest.Mail{At: storetest.Now().Add(-time.Hour), For: time.Minute}).Deliveries[0]
	case "held":
		d = accept(t, db, storetest.Mail{In: time.Hour}).Deliveries[0]
		ask(d.ID, store.Hold)
	case "leased":
		d = acceptLeased(t, db, storetest.Mail{})[0]
	case "leased, hold asked":
		d = acceptLeased(t, db, storetest.Mail{})[0]
		ask(d.ID, store.Hold)
	case "leased, cancel asked":
		d = acceptLeased(t, db, storetest.Mail{})[0]
		ask(d.ID, store.Cancel)
	case "delivered", "bounced", "expired", "cancelled", "uncertain":
		d = acceptLeased(t, db, storetest.Mail{})[0]
		finish(t, db, result(d, waypost.State(name)))
	case "uncertain, erased":
		d = acceptLeased(t, db, storetest.Mail{Kind: waypost.KindSecurity})[0]
		finish(t, db, result(d, waypost.Uncertain))
	case "uncertain, past its time":
		d = acceptLeased(t, db, storetest.Mail{})[0]
		finish(t, db, result(d, waypost.Uncertain))
		db.Exec(t, "UPDATE delivery SET expires = 1 WHERE id = $1", d.ID)
	default:
		t.Fatal(name)
	}
	return delivery(t, db, d.ID)
}

func TestControl(t *testing.T) {
	// What each action does to a delivery: an event, "pending", or the refusal.
	table := map[string]map[store.ControlAction]string{
		"waiting":                  {store.Retry: "retried", store.Cancel: "cancelled", store.Hold: "held", store.Release: "is not held"},
		"past its time":            {store.Retry: "time has passed", store.Cancel: "cancelled", store.Hold: "held", store.Release: "is not held"},
		"held":                     {store.Retry: "retried", store.Cancel: "cancelled", store.Hold: "is held already", store.Release: "released"},
		"leased":                   {store.Retry: "is being tried now", store.Cancel: "pending", store.Hold: "pending", store.Release: "is not held"},
		"leased, hold asked":       {store.Retry: "is being tried now", store.Cancel: "pending", store.Hold: "pending", store.Release: "is not held"},
		"leased, cancel asked":     {store.Retry: "is being tried now", store.Cancel: "pending", store.Hold: "about to be cancelled", store.Release: "is not held"},
		"delivered":                {store.Retry: "is delivered", store.Cancel: "is delivered", store.Hold: "is delivered", store.Release: "is delivered"},
		"bounced":                  {store.Retry: "is bounced", store.Cancel: "is bounced", store.Hold: "is bounced", store.Release: "is bounced"},
		"expired":                  {store.Retry: "is expired", store.Cancel: "is expired", store.Hold: "is expired", store.Release: "is expired"},
		"cancelled":                {store.Retry: "is cancelled", store.Cancel: "is cancelled", store.Hold: "is cancelled", store.Release: "is cancelled"},
		"uncertain":                {store.Retry: "retried", store.Cancel: "cancelled", store.Hold: "is uncertain", store.Release: "is uncertain"},
		"uncertain, erased":        {store.Retry: "has been erased", store.Cancel: "cancelled", store.Hold: "is uncertain", store.Release: "is uncertain"},
		"uncertain, past its time": {store.Retry: "time has passed", store.Cancel: "cancelled", store.Hold: "is uncertain", store.Release: "is uncertain"},
	}
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		for name, actions := range table {
			for action, want := range actions {
				t.Run(name+"/"+string(action), func(t *testing.T) { checkControl(t, db, name, action, want) })
			}
		}
		auditClean(t, db)
	})
}

func checkControl(t *testing.T, db *storetest.DB, name string, action store.ControlAction, want string) {
	d := situation(t, db, name)
	changed := change(t, db)
	events := types(t, db, d.MessageID)
	now := storetest.Now()
	got, err := db.Store.Control(t.Context(), waypost.Actor{ID: "credential:c"}, "op", d.ID, action, now)
	after := delivery(t, db, d.ID)
	if err != nil {
		wantKind(t, err, waypost.Conflict)
		if !strings.Contains(err.Error(), want) {
			t.Errorf("refused with %q, want %q", err, want)
		}
		if diff := cmp.Diff(d, after); diff != "" {
			t.Errorf("refused, and changed: %s", diff)
		}
		if change(t, db) != changed {
			t.Error("refused, and noticed")
		}
		return
	}
	if change(t, db) == changed {
		t.Error("nobody notices")
	}
	if diff := cmp.Diff(after, got.Delivery); diff != "" {
		t.Error(diff)
	}
	events = types(t, db, d.MessageID)[len(events):]
	if want == "pending" {
		if !got.Pending || after.Control != string(action) || after.State != waypost.Queued || events[0] != waypost.EventRequested {
			t.Errorf("%+v, events %v", got, events)
		}
		return
	}
	if got.Pending || len(events) == 0 || string(events[0]) != want {
		t.Errorf("%+v, events %v, want %s", got, events, want)
	}
	wanted := d
	wanted.Updated = now
	switch action {
	case store.Retry:
		wanted.State, wanted.NextAt = waypost.Queued, now
	case store.Cancel:
		wanted.State, wanted.Held = waypost.Cancelled, false
	case store.Hold:
		wanted.Held = true
	case store.Release:
		wanted.Held, wanted.NextAt = false, now
	}
	if diff := cmp.Diff(wanted, after); diff != "" {
		t.Error(diff)
	}
}

func TestAMessageIsControlledWhereItsDeliveriesAllowIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := accept(t, db, storetest.Mail{In: time.Hour, To: []string{"a@b.test", "c@d.test", "e@f.test"}}).Deliveries
		other := accept(t, db, storetest.Mail{In: time.Hour}).Deliveries[0]
		ask := func(operatorID, id string, action store.ControlAction) (store.ControlCount, error) {
			return db.Store.ControlMessage(t.Context(), waypost.CommandLine(), operatorID, id, action, storetest.Now())
		}
		if _, err := db.Store.Control(t.Context(), waypost.CommandLine(), "op", d[0].ID, store.Cancel, storetest.Now()); err != nil {
			t.Fatal(err)
		}
		if got, err := ask("op", d[0].MessageID, store.Hold); err != nil || got != (store.ControlCount{Done: 2, Refused: 1}) {
			t.Errorf("%+v, %v", got, err)
		}
		for _, one := range d[1:] {
			if !delivery(t, db, one.ID).Held {
				t.Error("not held")
			}
		}
		if delivery(t, db, other.ID).Held {
			t.Error("another message is held")
		}
		if _, err := ask("op", d[0].MessageID, store.Hold); waypost.KindOf(err) != waypost.Conflict {
			t.Errorf("nothing fits: %v", err)
		}
		if _, err := ask("another", d[0].MessageID, store.Cancel); waypost.KindOf(err) != waypost.NotFound {
			t.Errorf("of another operator: %v", err)
		}
		if _, err := ask("op", d[0].MessageID, "explode"); waypost.KindOf(err) != waypost.Invalid {
			t.Errorf("an unknown action: %v", err)
		}
		if got, err := ask("op", d[0].MessageID, store.Cancel); err != nil || got != (store.ControlCount{Done: 2, Refused: 1}) {
			t.Errorf("%+v, %v", got, err)
		}
		auditClean(t, db)
	})
}

func TestControlRefusesAnUnknownAction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := situation(t, db, "waiting")
		_, err := db.Store.Control(t.Context(), waypost.CommandLine(), "op", d.ID, "explode", storetest.Now())
		wantKind(t, err, waypost.Invalid)
		_, err = db.Store.Control(t.Context(), waypost.CommandLine(), "op", waypost.NewID(), store.Hold, storetest.Now())
		wantKind(t, err, waypost.NotFound)
	})
}

// endsAfter is a context that ends when it was asked so often whether it has.
type endsAfter struct {
	context.Context
	asked, most int
}

func (c *endsAfter) Err() error {
	if c.asked++; c.asked > c.most {
		return context.DeadlineExceeded
	}
	return nil
}

func TestControlWhereCountsWhatIsDoneWhenItsTimeIsUp(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		var to []string
		for i := range 450 { // more than two batches
			to = append(to, fmt.Sprintf("u%d@example.test", i))
		}
		accept(t, db, storetest.Mail{To: to})
		hold := func(ctx context.Context) (int, int, error) {
			done, _, skipped, err := db.System.ControlWhere(ctx, waypost.CommandLine(), system.Where{All: true}, store.Hold, storetest.Now())
			return done, skipped, err
		}
		if done, _, err := hold(&endsAfter{Context: t.Context(), most: 2}); done != 400 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d, %v", done, err)
		}
		if done, skipped, err := hold(t.Context()); done != 50 || skipped != 400 || err != nil {
			t.Errorf("the rest: %d, %d, %v", done, skipped, err)
		}
		auditClean(t, db)
	})
}

func TestControlWhereIsRecordedUnderEveryOperatorItTouches(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		var to []string
		for i := range 450 { // more than two batches
			to = append(to, fmt.Sprintf("u%d@example.test", i))
		}
		accept(t, db, storetest.Mail{OperatorID: "many", To: to})
		accept(t, db, storetest.Mail{OperatorID: "few", To: []string{"a@example.test"}})
		accept(t, db, storetest.Mail{OperatorID: "elsewhere", To: []string{"a@other.test"}})
		by := waypost.Actor{ID: "user:x", Name: "support", Peer: "192.0.2.7"}
		for _, action := range []store.ControlAction{store.Hold, store.Hold} { // the second time there is nothing to do
			if _, _, _, err := db.System.ControlWhere(t.Context(), by, system.Where{Domain: "example.test"}, action, storetest.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, _, err := db.System.ControlWhere(t.Context(), by, system.Where{OperatorID: "few"}, store.Release, storetest.Now()); err != nil {
			t.Fatal(err)
		}
		for operator, want := range map[string][]string{
			waypost.PlatformOperatorID: {"queue.hold example.test", "queue.hold example.test"}, "many": {"queue.hold example.test"},
			"few": {"queue.release all", "queue.hold example.test"}, "elsewhere": nil,
		} {
			list, err := db.Store.AuditLog(t.Context(), operator, "", 100)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range list {
				got = append(got, e.Action+" "+e.Target)
				if e.Actor != by || e.At.IsZero() {
					t.Errorf("%s: %+v", operator, e)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", operator, got, want)
			}
		}
	})
}

func TestControlWhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		var to []string
		for i := range 450 { // more than two batches
			to = append(to, fmt.Sprintf("u%d@example.test", i))
		}
		accept(t, db, storetest.Mail{To: to})
		accept(t, db, storetest.Mail{To: []string{"a@other.test"}})
		leased := acceptLeased(t, db, storetest.Mail{To: []string{"b@third.test"}})[0]
		accept(t, db, storetest.Mail{OperatorID: "another", To: []string{"a@other.test"}})
		past := situation(t, db, "past its time")
		type counts struct{ Done, Pending, Skipped int }
		for _, step := range []struct {
			where  system.Where
			action store.ControlAction
			want   counts
		}{
			{system.Where{OperatorID: "op", Domain: "other.test"}, store.Hold, counts{1, 0, 0}},
			{system.Where{Domain: "other.test"}, store.Hold, counts{1, 0, 1}},
			{system.Where{OperatorID: "op"}, store.Hold, counts{451, 1, 1}},
			{system.Where{OperatorID: "op"}, store.Release, counts{452, 0, 0}},
			{system.Where{All: true}, store.Retry, counts{452, 0, 2}}, // one leased, one past its time
			{system.Where{DeliveryID: leased.ID}, store.Cancel, counts{0, 1, 0}},
			{system.Where{DeliveryID: past.ID}, store.Cancel, counts{1, 0, 0}},
			{system.Where{All: true}, store.Cancel, counts{452, 1, 0}},
			{system.Where{All: true}, store.Cancel, counts{0, 1, 0}},
		} {
			var got counts
			var err error
			got.Done, got.Pending, got.Skipped, err = db.System.ControlWhere(t.Context(), waypost.CommandLine(), step.where, step.action, storetest.Now())
			if err != nil || got != step.want {
				t.Errorf("%s %+v: %+v, %v, want %+v", step.action, step.where, got, err, step.want)
			}
		}
		for where, kind := range map[system.Where]waypost.ErrorKind{
			{}:                     waypost.Invalid,
			{DeliveryID: "nobody"}: waypost.NotFound,
			{DeliveryID: past.ID}:  waypost.Conflict,
		} {
			_, _, _, err := db.System.ControlWhere(t.Context(), waypost.CommandLine(), where, store.Cancel, storetest.Now())
			wantKind(t, err, kind)
		}
		auditClean(t, db)
	})
}
