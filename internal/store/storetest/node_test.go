package storetest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

func join(t *testing.T, db *storetest.DB, incarnation string) {
	t.Helper()
	if err := db.System.Join(t.Context(), system.Node{Incarnation: incarnation, Name: "node-a", Started: storetest.Now()}); err != nil {
		t.Fatal(err)
	}
}

func TestANodeBeatsUntilItIsTakenForDead(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		join(t, db, "me")
		for range 2 {
			if err := db.System.Beat(t.Context(), "me"); err != nil {
				t.Fatal(err)
			}
		}
		nodes, err := db.System.Nodes(t.Context())
		if err != nil || len(nodes) != 1 || nodes[0].Beat != 2 || nodes[0].Name != "node-a" {
			t.Fatal(nodes, err)
		}
		if n, err := db.System.Recover(t.Context(), "me", storetest.Now()); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		if err := db.System.Beat(t.Context(), "me"); !errors.Is(err, system.ErrEvicted) {
			t.Errorf("beat after eviction: %v", err)
		}
	})
}

func TestRecoverTakesTheLeasesOfADeadNode(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		join(t, db, "me")
		join(t, db, "alive")
		plain := acceptLeased(t, db, storetest.Mail{})[0]
		test := acceptLeased(t, db, storetest.Mail{Kind: waypost.KindTest, To: []string{"t@test.test"}})[0]
		cancel := acceptLeased(t, db, storetest.Mail{Kind: waypost.KindSecurity})[0]
		hold := acceptLeased(t, db, storetest.Mail{})[0]
		others := accept(t, db, storetest.Mail{Lease: "alive"}).Deliveries[0]
		for id, action := range map[string]store.ControlAction{cancel.ID: store.Cancel, hold.ID: store.Hold} {
			if got, err := db.Store.Control(t.Context(), waypost.CommandLine(), "op", id, action, storetest.Now()); err != nil || !got.Pending {
				t.Fatal(got, err)
			}
		}
		now := storetest.Now()
		n, err := db.System.Recover(t.Context(), "me", now)
		if n != 4 || err != nil {
			t.Fatal(n, err)
		}
		for id, want := range map[string]waypost.Delivery{
			plain.ID:  {State: waypost.Queued},
			test.ID:   {State: waypost.Expired},
			cancel.ID: {State: waypost.Cancelled},
			hold.ID:   {State: waypost.Queued, Held: true},
		} {
			got := delivery(t, db, id)
			if got.State != want.State || got.Held != want.Held || got.Control != "" || got.Lease != "" || !got.NextAt.Equal(now) {
				t.Errorf("%+v, want %v, held %v", got, want.State, want.Held)
			}
		}
		if got := delivery(t, db, others.ID); got.Lease != "alive" {
			t.Error("took a living node's lease")
		}
		want := []waypost.EventType{waypost.EventAccepted, waypost.EventRecovered}
		if diff := cmp.Diff(want, types(t, db, plain.MessageID)); diff != "" {
			t.Error(diff)
		}
		want = []waypost.EventType{waypost.EventAccepted, waypost.EventRequested, waypost.EventCancelled, waypost.EventErased}
		if diff := cmp.Diff(want, types(t, db, cancel.MessageID)); diff != "" {
			t.Error(diff)
		}
		// Its own finish comes too late.
		if f := finish(t, db, result(plain, waypost.Delivered)); !f.Lost {
			t.Error("a dead node's finish was written")
		}
		if claimed := claim(t, db, system.Claim{Key: keyOf(plain), Incarnation: "alive"}); len(claimed) != 1 || claimed[0].Epoch != 2 || claimed[0].Attempts != 2 {
			t.Errorf("claimed %+v", claimed)
		}
		auditClean(t, db)
	})
}

func TestRecoverOfManyLeasesGoesBatchByBatch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		join(t, db, "me")
		to := make([]string, 1100)
		for i := range to {
			to[i] = "a@example.test"
		}
		accept(t, db, storetest.Mail{To: to, Lease: "me"})
		if n, err := db.System.Recover(t.Context(), "me", storetest.Now()); n != 1100 || err != nil {
			t.Fatal(n, err)
		}
		if nodes, err := db.System.Nodes(t.Context()); len(nodes) != 0 || err != nil {
			t.Error(nodes, err)
		}
	})
}

func TestLeasesOfUnknownNodesAreFound(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		join(t, db, "me")
		for _, incarnation := range []string{"me", "gone 1", "gone 2", "gone 2"} {
			accept(t, db, storetest.Mail{Lease: incarnation})
		}
		orphans, err := db.System.Orphans(t.Context())
		if diff := cmp.Diff([]string{"gone 1", "gone 2"}, orphans); diff != "" || err != nil {
			t.Fatal(diff, err)
		}
		for _, incarnation := range orphans {
			if _, err := db.System.Recover(t.Context(), incarnation, storetest.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if orphans, err := db.System.Orphans(t.Context()); len(orphans) != 0 || err != nil {
			t.Error(orphans, err)
		}
	})
}

func TestExpireEndsWhatIsPastItsTime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		past := storetest.Mail{At: storetest.Now().Add(-time.Hour), For: time.Minute}
		waiting := accept(t, db, past).Deliveries[0]
		held := accept(t, db, past).Deliveries[0]
		if _, err := db.Store.Control(t.Context(), waypost.CommandLine(), "op", held.ID, store.Hold, storetest.Now()); err != nil {
			t.Fatal(err)
		}
		past.Kind = waypost.KindSecurity
		secret := accept(t, db, past).Deliveries[0]
		past.Lease = "me"
		leased := accept(t, db, past).Deliveries[0]
		later := accept(t, db, storetest.Mail{}).Deliveries[0]
		if n, err := db.System.Expire(t.Context(), storetest.Now()); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		for id, want := range map[string]waypost.State{
			waiting.ID: waypost.Expired, held.ID: waypost.Expired, secret.ID: waypost.Expired,
			leased.ID: waypost.Queued, later.ID: waypost.Queued,
		} {
			if got := delivery(t, db, id); got.State != want {
				t.Errorf("%+v, want %v", got, want)
			}
		}
		want := []waypost.EventType{waypost.EventAccepted, waypost.EventExpired, waypost.EventErased}
		if diff := cmp.Diff(want, types(t, db, secret.MessageID)); diff != "" {
			t.Error(diff)
		}
		auditClean(t, db)
	})
}
