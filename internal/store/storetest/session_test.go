package storetest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

func TestSessionsEndByThemselves(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		op := anOperator(t, db)
		u := newUser(t, db, op, "ann", waypost.RoleAdmin)
		s := signIn(t, db, u, "token")
		got, user, err := db.System.SessionByHash(ctx, hashOf("token"), now, now.Add(-time.Hour))
		if diff := cmp.Diff(s, got); diff != "" || err != nil || user.ID != u.ID || user.LastLogin.IsZero() {
			t.Error(diff, user, err)
		}
		number := change(t, db)
		later := now.Add(time.Hour)
		if err := db.System.TouchSession(ctx, s.ID, "192.0.2.8", later); err != nil {
			t.Fatal(err)
		}
		if change(t, db) != number {
			t.Error("being seen is a change")
		}
		for what, at := range map[string][2]time.Time{
			"unused": {later, later}, "too old": {s.Expires, now},
		} {
			_, _, err := db.System.SessionByHash(ctx, hashOf("token"), at[0], at[1])
			if waypost.KindOf(err) != waypost.NotFound {
				t.Errorf("%s: %v", what, err)
			}
			list, err := db.System.UserSessions(ctx, u.ID, at[0], at[1])
			if len(list) != 0 || err != nil {
				t.Errorf("%s: %v, %v", what, list, err)
			}
		}
		list, err := db.System.UserSessions(ctx, u.ID, later, now)
		if len(list) != 1 || !list[0].Seen.Equal(later) || list[0].Peer != "192.0.2.8" || err != nil {
			t.Error(list, err)
		}
		db.Exec(t, "DELETE FROM operator WHERE id = $1", op)
		if signedIn(t, db, "token") {
			t.Error("signed in although the operator is gone")
		}
		_, _, err = db.System.UserByLogin(ctx, "ann")
		wantKind(t, err, waypost.NotFound)
	})
}

func TestSessionsAreBoundedPerUser(t *testing.T) {
	db := storetest.OpenSQLite(t)
	u := newUser(t, db, "", "ann", waypost.RoleOwner)
	for i := range 103 {
		signIn(t, db, u, fmt.Sprint("token ", i))
		if i == 0 { // its id is the smallest
			db.Exec(t, "UPDATE user_session SET id = '0'")
		}
	}
	if n := db.Int(t, "SELECT COUNT(*) FROM user_session"); n != 100 || signedIn(t, db, "token 0") || !signedIn(t, db, "token 102") {
		t.Error(n, "sessions")
	}
}

func TestEndedSessionsTellWhereFrom(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		u := newUser(t, db, "", "ann", waypost.RoleSupport)
		s, other := signIn(t, db, u, "one"), signIn(t, db, u, "two")
		if err := db.System.EndSession(ctx, self(u), "", u.ID, s.ID, "user.sign_out", now); err != nil {
			t.Fatal(err)
		}
		wantKind(t, db.System.EndSession(ctx, self(u), "", u.ID, s.ID, "user.sign_out", now), waypost.NotFound)
		if n, err := db.System.EndSessions(ctx, self(u), "", u.ID, other.ID, now); n != 0 || err != nil || !signedIn(t, db, "two") {
			t.Error(n, err)
		}
		if n, err := db.System.EndSessions(ctx, self(u), "", u.ID, "", now); n != 1 || err != nil || signedIn(t, db, "two") {
			t.Error(n, err)
		}
		peers, err := db.System.SessionPeers(ctx, u.ID)
		if diff := cmp.Diff([]string{"192.0.2.7"}, peers); diff != "" || err != nil {
			t.Error(diff, err)
		}
	})
}

func TestSetPasswordEndsOtherSessions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		u := newUser(t, db, "", "ann", waypost.RoleOwner)
		keep := signIn(t, db, u, "one")
		signIn(t, db, u, "two")
		wantKind(t, db.System.SetPassword(ctx, self(u), u.ID, "wrong", "new", "", now), waypost.Conflict)
		if err := db.System.SetPassword(ctx, self(u), u.ID, "old", "new", keep.ID, now); err != nil {
			t.Fatal(err)
		}
		if !signedIn(t, db, "one") || signedIn(t, db, "two") {
			t.Error("the wrong session has ended")
		}
		// The password was compared before it was changed.
		wantKind(t, db.System.StartSession(ctx, self(u), aSession(u), hashOf("x"), "old", waypost.SecondFactor{}), waypost.Conflict)
		number := change(t, db)
		for _, old := range []string{"new", "wrong"} {
			if err := db.System.RehashPassword(ctx, u.ID, old, "same, hashed anew"); err != nil {
				t.Fatal(err)
			}
		}
		_, secrets, err := db.System.UserSecrets(ctx, u.ID)
		if secrets.Password != "same, hashed anew" || err != nil || change(t, db) != number || !signedIn(t, db, "one") {
			t.Error(err)
		}
	})
}

func TestActingForAnOperatorIsVisibleToIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		one, two := anOperator(t, db), anOperator(t, db)
		u := newUser(t, db, "", "sue", waypost.RoleSupport)
		s := signIn(t, db, u, "token")
		act := func(operatorID string) error { return db.System.ActFor(ctx, self(u), u.ID, s.ID, operatorID, now) }
		for _, op := range []string{one, two} {
			if err := act(op); err != nil {
				t.Fatal(err)
			}
		}
		wantKind(t, act(waypost.NewID()), waypost.NotFound)
		if got, _, err := db.System.SessionByHash(ctx, hashOf("token"), now, now.Add(-time.Hour)); got.ActingFor != two || err != nil {
			t.Error(got, err)
		}
		if err := db.System.EndSession(ctx, self(u), "", u.ID, s.ID, "user.sign_out", now); err != nil {
			t.Error(err)
		}
		wantKind(t, act(one), waypost.NotFound)
		want := []string{"user operator.sign_in_as sue", "user operator.sign_out_as sue"}
		for _, op := range []string{one, two} {
			if diff := cmp.Diff(want, actions(t, db, op), cmpopts.SortSlices(strings.Compare)); diff != "" {
				t.Error(diff)
			}
		}
		auditor := newUser(t, db, "", "audrey", waypost.RoleAuditor)
		watching := signIn(t, db, auditor, "auditor's")
		wantKind(t, db.System.ActFor(ctx, self(auditor), auditor.ID, watching.ID, one, now), waypost.Forbidden)
		// Nobody finds itself on the platform's side in the middle of something.
		gone := signIn(t, db, u, "gone")
		if err := db.System.ActFor(ctx, self(u), u.ID, gone.ID, one, now); err != nil {
			t.Fatal(err)
		}
		db.Exec(t, "DELETE FROM operator WHERE id = $1", one)
		if signedIn(t, db, "gone") {
			t.Error("acts for an operator that is gone")
		}
	})
}

func TestRetentionPurgesSessionsAndTokens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		now := storetest.Now()
		u := newUser(t, db, "", "ann", waypost.RoleOwner)
		signIn(t, db, u, "old")
		db.Exec(t, "UPDATE user_session SET expires = $1", waypost.Millis(now))
		signIn(t, db, u, "young")
		for token, expires := range map[string]time.Time{"past": now, "future": now.Add(time.Hour), "never": {}} {
			db.Exec(t, "INSERT INTO user_token (hash, user_id, purpose, expires) VALUES ($1, $2, 'recovery', $3)", hashOf(token), u.ID, waypost.Millis(expires))
		}
		retain(t, db, now)
		if a, b := db.Int(t, "SELECT COUNT(*) FROM user_session"), db.Int(t, "SELECT COUNT(*) FROM user_token"); a != 1 || b != 2 {
			t.Errorf("%d sessions and %d tokens are left", a, b)
		}
	})
}
