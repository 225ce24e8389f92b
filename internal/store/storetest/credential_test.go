package storetest_test

import (
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

func TestTheUseOfACredentialNeverGoesBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		var ids []string
		for i, operator := range []string{"op", "op", "", "other"} {
			c := store.Credential{ID: waypost.NewIDAt(now.Add(time.Duration(i) * time.Second)), OperatorID: operator, Hint: "wp_live_abcd", Created: now}
			if i == 1 {
				c.Name = "Tracker"
			}
			if err := db.System.CreateCredential(ctx, waypost.CommandLine(), c, []byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, c.ID)
		}
		used := func(id string) time.Time {
			t.Helper()
			all, err := db.System.AllCredentials(ctx, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range all {
				if c.ID == id {
					return c.Used
				}
			}
			t.Fatalf("no %s", id)
			return time.Time{}
		}
		change, err := db.System.Change(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !used(ids[0]).IsZero() {
			t.Error("used before it was")
		}
		for _, step := range []struct{ at, want time.Time }{{now, now}, {now.Add(-time.Hour), now}, {now.Add(time.Minute), now.Add(time.Minute)}} {
			if err := db.System.CredentialsUsed(ctx, map[string]time.Time{ids[0]: step.at, ids[2]: step.at, "gone": step.at}); err != nil {
				t.Fatal(err)
			}
			if !used(ids[0]).Equal(step.want) || !used(ids[2]).Equal(step.want) || !used(ids[1]).IsZero() {
				t.Errorf("%v %v", used(ids[0]), used(ids[2]))
			}
		}
		if after, err := db.System.Change(ctx); err != nil || after != change {
			t.Errorf("processes are told of what none needs to know: %d to %d, %v", change, after, err)
		}

		page, err := db.Store.CredentialPage(ctx, "op", "", 1)
		if err != nil || len(page) != 1 || page[0].ID != ids[1] {
			t.Errorf("%+v, %v", page, err)
		}
		if page, err = db.Store.CredentialPage(ctx, "op", page[0].ID, 5); err != nil || len(page) != 1 || page[0].ID != ids[0] || page[0].Used.IsZero() {
			t.Errorf("%+v, %v", page, err)
		}
		for i, want := range []struct{ operator, name string }{{"op", "wp_live_abcd"}, {"op", "Tracker"}, {"", "wp_live_abcd"}} {
			if operator, name, err := db.System.CredentialName(ctx, ids[i]); err != nil || operator != want.operator || name != want.name {
				t.Errorf("%q %q, %v", operator, name, err)
			}
		}
		_, _, err = db.System.CredentialName(ctx, "gone")
		wantKind(t, err, waypost.NotFound)
	})
}

func TestSignInsAreKeptBeyondTheirEnd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		u, other := newUser(t, db, "", "ann", waypost.RoleOwner), newUser(t, db, "", "bob", waypost.RoleOwner)
		first, second := signIn(t, db, u, "first"), signIn(t, db, u, "second")
		signIn(t, db, other, "third")
		if err := db.System.EndSession(t.Context(), self(u), "", u.ID, first.ID, "user.sign_out", storetest.Now()); err != nil {
			t.Fatal(err)
		}
		list, err := db.System.UserSignIns(t.Context(), u.ID, 10)
		if err != nil || len(list) != 2 {
			t.Fatalf("%+v, %v", list, err)
		}
		for _, s := range list {
			switch s.ID {
			case first.ID:
				if s.Ended.IsZero() {
					t.Error("an ended session lasts")
				}
			case second.ID:
				if !s.Ended.IsZero() {
					t.Error("a session that lasts has ended")
				}
			default:
				t.Errorf("%+v", s)
			}
		}
		if list, err = db.System.UserSignIns(t.Context(), u.ID, 1); err != nil || len(list) != 1 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
