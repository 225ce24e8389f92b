package storetest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// twoKeys is a database with the platform's two keys, of which wp1 signs.
func twoKeys(t *testing.T, db *storetest.DB) (one, two system.DKIMKey) {
	t.Helper()
	at := storetest.Now()
	one = system.DKIMKey{Selector: "wp1", Sealed: []byte("1"), Signs: true, Created: at, Started: at, Announced: at}
	two = system.DKIMKey{Selector: "wp2", Sealed: []byte("2"), Created: at, Announced: at}
	for _, k := range []system.DKIMKey{one, two} {
		if err := db.System.AddDKIMKey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	wantKeys(t, db, one, two)
	return one, two
}

func wantKeys(t *testing.T, db *storetest.DB, want ...system.DKIMKey) {
	t.Helper()
	got, err := db.System.DKIMKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheKeysRotate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		one, two := twoKeys(t, db)
		later := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }

		// Nothing switches that was not asked for, and who signs cannot be asked.
		wantKind(t, db.System.SwitchDKIMKey(ctx, two, later(1)), waypost.Conflict)
		wantKind(t, db.System.WantDKIMKey(ctx, waypost.CommandLine(), "wp1", later(1)), waypost.Conflict)
		wantKind(t, db.System.WantDKIMKey(ctx, waypost.CommandLine(), "wp9", later(1)), waypost.Conflict)
		wantKind(t, db.System.ReplaceDKIMKey(ctx, two, []byte("x"), later(1)), waypost.Conflict)
		wantKeys(t, db, one, two)

		for _, n := range []int{2, 3} { // asking again changes nothing
			if err := db.System.WantDKIMKey(ctx, waypost.CommandLine(), "wp2", later(n)); err != nil {
				t.Fatal(err)
			}
		}
		two.Wanted = later(2)
		two.Seen, two.Cached, two.TTL = later(3), later(4), 90*time.Second
		one.Proposed = later(1)
		for _, k := range []system.DKIMKey{one, two} {
			if err := db.System.NoteDKIMKey(ctx, k); err != nil {
				t.Fatal(err)
			}
		}
		wantKeys(t, db, one, two)

		before := change(t, db)
		if err := db.System.SwitchDKIMKey(ctx, two, later(5)); err != nil {
			t.Fatal(err)
		}
		if change(t, db) <= before {
			t.Error("nobody notices that another key signs")
		}
		stale := two
		one.Signs, one.Started, one.Proposed, one.Retired = false, time.Time{}, time.Time{}, later(5)
		two.Signs, two.Started, two.Wanted = true, later(5), time.Time{}
		wantKeys(t, db, one, two)
		wantKind(t, db.System.NoteDKIMKey(ctx, stale), waypost.Conflict)
		wantKind(t, db.System.SwitchDKIMKey(ctx, stale, later(6)), waypost.Conflict)
		wantKind(t, db.System.WantDKIMKey(ctx, waypost.CommandLine(), "wp1", later(6)), waypost.Conflict)
		wantKeys(t, db, one, two)

		if err := db.System.ReplaceDKIMKey(ctx, one, []byte("new"), later(7)); err != nil {
			t.Fatal(err)
		}
		wantKind(t, db.System.ReplaceDKIMKey(ctx, one, []byte("newer"), later(8)), waypost.Conflict)
		wantKind(t, db.System.NoteDKIMKey(ctx, one), waypost.Conflict) // it is about the one before
		wantKeys(t, db, system.DKIMKey{Selector: "wp1", Sealed: []byte("new"), Created: later(7)}, two)
		if err := db.System.WantDKIMKey(ctx, waypost.CommandLine(), "wp1", later(9)); err != nil {
			t.Error(err)
		}
	})
}

func TestAskingForARotationMakesTheChoreDue(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		twoKeys(t, db)
		take := func(at time.Time, until time.Time) bool {
			t.Helper()
			ours, err := db.System.TakeChore(ctx, system.RotationChore, "me", at, until)
			if err != nil {
				t.Fatal(err)
			}
			return ours
		}
		until := now.Add(time.Minute)
		if !take(now, until) {
			t.Fatal("a new chore is not due")
		}
		if err := db.System.MoveChore(ctx, system.RotationChore, until, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if take(now.Add(59*time.Minute), until) {
			t.Error("it was not moved")
		}
		// A wish that comes while somebody looks is not forgotten.
		again := now.Add(2 * time.Hour)
		if !take(now.Add(time.Hour), again) {
			t.Fatal("it is not due")
		}
		if err := db.System.WantDKIMKey(ctx, waypost.CommandLine(), "wp2", now.Add(61*time.Minute)); err != nil {
			t.Fatal(err)
		}
		if err := db.System.MoveChore(ctx, system.RotationChore, again, now.Add(3*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if !take(now.Add(61*time.Minute), again) {
			t.Error("the wish was forgotten")
		}
	})
}

func TestAnotherKeyMakesTheChecksOfAuthorizedDomainsDue(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		_, two := twoKeys(t, db)
		due := func(at time.Time) bool {
			t.Helper()
			due, err := db.System.DomainDue(ctx, at)
			if err != nil {
				t.Fatal(err)
			}
			return due
		}
		proveDomain(t, db, "a", "example.test") // due in an hour
		if err := db.System.WantDKIMKey(ctx, waypost.CommandLine(), "wp2", now); err != nil {
			t.Fatal(err)
		}
		if due(now.Add(time.Minute)) {
			t.Fatal("it is due before anything changed")
		}
		if err := db.System.SwitchDKIMKey(ctx, two, now); err != nil {
			t.Fatal(err)
		}
		if due(now) || !due(now.Add(time.Minute)) {
			t.Error("it is not due soon")
		}
	})
}
