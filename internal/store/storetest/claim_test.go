package storetest_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

func TestClaimLeasesAndCountsTheAttempt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		a := accept(t, db, storetest.Mail{})
		now := storetest.Now()
		c := system.Claim{Key: keyOf(a.Deliveries[0]), Incarnation: "me", Now: now, RetryAt: now.Add(time.Minute), Limit: 10}
		claimed := claim(t, db, c)
		if len(claimed) != 1 {
			t.Fatal(claimed)
		}
		d := claimed[0]
		if d.Lease != "me" || d.Epoch != 1 || d.Attempts != 1 || !d.NextAt.Equal(c.RetryAt) || !d.Updated.Equal(now) {
			t.Errorf("%+v", d)
		}
		if again := claim(t, db, c); len(again) != 0 {
			t.Errorf("claimed twice: %v", again)
		}
		mail, err := db.System.Mail(t.Context(), d.MessageID)
		if err != nil || string(mail.Header) != "Subject: Geofence entered\r\n\r\n" || string(mail.Body) != "Hello\r\n" {
			t.Errorf("%+v, %v", mail, err)
		}
		held, err := db.System.Leased(t.Context(), "me")
		if err != nil || len(held) != 1 || held[0].ID != d.ID || held[0].Epoch != 1 {
			t.Errorf("%+v, %v", held, err)
		}
	})
}

func TestClaimSkipsWhatMayNotGo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		due := accept(t, db, storetest.Mail{})
		accept(t, db, storetest.Mail{In: time.Hour})
		accept(t, db, storetest.Mail{For: time.Millisecond, At: storetest.Now().Add(-time.Minute)})
		accept(t, db, storetest.Mail{Lease: "another"})
		accept(t, db, storetest.Mail{OperatorID: "other"})
		accept(t, db, storetest.Mail{Kind: waypost.KindReport})
		accept(t, db, storetest.Mail{To: []string{"someone@other.test"}})
		held := accept(t, db, storetest.Mail{}).Deliveries[0].ID
		if _, err := db.Store.Control(t.Context(), waypost.CommandLine(), "op", held, store.Hold, storetest.Now()); err != nil {
			t.Fatal(err)
		}
		done := accept(t, db, storetest.Mail{}).Deliveries[0].ID
		if _, err := db.Store.Control(t.Context(), waypost.CommandLine(), "op", done, store.Cancel, storetest.Now()); err != nil {
			t.Fatal(err)
		}
		claimed := claim(t, db, system.Claim{Key: keyOf(due.Deliveries[0])})
		if len(claimed) != 1 || claimed[0].ID != due.Deliveries[0].ID {
			t.Errorf("claimed %+v", claimed)
		}
	})
}

func TestClaimTakesTheOldestFirstUpToItsLimit(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		at := storetest.Now().Add(-time.Hour)
		want := map[string]bool{}
		var key system.Key
		for i := range 5 {
			a := accept(t, db, storetest.Mail{At: at, In: time.Duration(5-i) * time.Minute})
			key = keyOf(a.Deliveries[0])
			if i >= 2 {
				want[a.Deliveries[0].ID] = true
			}
		}
		claimed := claim(t, db, system.Claim{Key: key, Limit: 3})
		if len(claimed) != 3 {
			t.Fatalf("claimed %d", len(claimed))
		}
		for _, d := range claimed {
			if !want[d.ID] {
				t.Errorf("claimed one that has waited less: %v", d.NextAt)
			}
		}
	})
}

func TestClaimForASuspendedOperatorTakesSecurityMailOnly(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		event := storetest.Mail{}.Accepting()
		event.Deliveries[0].Lane = waypost.LaneAlarm
		if err := db.Store.Accept(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		security := accept(t, db, storetest.Mail{Kind: waypost.KindSecurity})
		claimed := claim(t, db, system.Claim{Key: keyOf(security.Deliveries[0]), SecurityOnly: true})
		if len(claimed) != 1 || claimed[0].Kind != waypost.KindSecurity {
			t.Errorf("claimed %+v", claimed)
		}
	})
}

func TestClaimBringsCompanions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		a := accept(t, db, storetest.Mail{To: []string{"a@one.test", "b@two.test", "c@three.test"}})
		accept(t, db, storetest.Mail{To: []string{"d@two.test"}})
		if _, err := db.Store.Control(t.Context(), waypost.CommandLine(), "op", a.Deliveries[2].ID, store.Hold, storetest.Now()); err != nil {
			t.Fatal(err)
		}
		claimed := claim(t, db, system.Claim{Key: keyOf(a.Deliveries[0]), Limit: 1, Companions: true})
		if len(claimed) != 2 || claimed[0].MessageID != a.Messages[0].ID || claimed[1].MessageID != a.Messages[0].ID {
			t.Errorf("claimed %+v", claimed)
		}
	})
}

func TestTwoClaimersNeverGetTheSameRow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		var to []string
		for i := range 300 {
			to = append(to, fmt.Sprintf("user%d@example.test", i))
		}
		key := keyOf(accept(t, db, storetest.Mail{To: to}).Deliveries[0])
		nodes := []*storetest.DB{db, db.Node(t, "node-b"), db.Node(t, "node-c")}
		var mu sync.Mutex
		got := map[string]string{}
		var wait sync.WaitGroup
		for i, node := range nodes {
			me := fmt.Sprint("incarnation ", i)
			wait.Go(func() {
				for {
					now := storetest.Now()
					claimed, err := node.System.Claim(t.Context(), system.Claim{
						Key: key, Incarnation: me, Limit: 7, Now: now, RetryAt: now.Add(time.Hour),
					})
					if err != nil || len(claimed) == 0 {
						if err != nil {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					for _, d := range claimed {
						if other := got[d.ID]; other != "" {
							t.Errorf("%s and %s both got %s", other, me, d.ID)
						}
						got[d.ID] = me
					}
					mu.Unlock()
				}
			})
		}
		wait.Wait()
		// A claim that finds the rest locked by others ends early; nothing may be lost.
		if free := db.Int(t, "SELECT COUNT(*) FROM delivery WHERE lease = ''"); len(got)+int(free) != 300 {
			t.Errorf("%d claimed and %d free, want 300", len(got), free)
		}
	})
}
