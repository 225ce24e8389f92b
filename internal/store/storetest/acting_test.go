package storetest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// actFor makes a session that acts for an operator.
func actFor(t *testing.T, db *storetest.DB, u waypost.User, operatorID string) waypost.UserSession {
	t.Helper()
	s := signIn(t, db, u, "acts "+waypost.NewID())
	if err := db.System.ActFor(t.Context(), self(u), u.ID, s.ID, operatorID, storetest.Now()); err != nil {
		t.Fatal(err)
	}
	return s
}

// An operator's log that says that staff came in says that it left, too, however that was.
func TestAnOperatorSeesTheEndOfActingHoweverASessionEnds(t *testing.T) {
	now := storetest.Now()
	boss := waypost.Actor{ID: "user:boss", Name: "boss", Peer: "192.0.2.1"}
	for what, tt := range map[string]struct {
		end func(t *testing.T, db *storetest.DB, u waypost.User, op string) error
		by  string // "" for the user
	}{
		"demoted": {func(t *testing.T, db *storetest.DB, u waypost.User, _ string) error {
			_, err := db.System.SaveUser(t.Context(), boss, "", u.ID, now, func(u *waypost.User) error { u.Role = waypost.RoleAuditor; return nil })
			return err
		}, boss.ID},
		"disabled": {func(t *testing.T, db *storetest.DB, u waypost.User, _ string) error {
			_, err := db.System.SaveUser(t.Context(), boss, "", u.ID, now, func(u *waypost.User) error { u.Disabled = true; return nil })
			return err
		}, boss.ID},
		"removed": {func(t *testing.T, db *storetest.DB, u waypost.User, _ string) error {
			return db.System.RemoveUser(t.Context(), boss, "", u.ID, now)
		}, boss.ID},
		"all sessions ended": {func(t *testing.T, db *storetest.DB, u waypost.User, _ string) error {
			_, err := db.System.EndSessions(t.Context(), boss, "", u.ID, "", now)
			return err
		}, boss.ID},
		"another password": {func(t *testing.T, db *storetest.DB, u waypost.User, _ string) error {
			return db.System.SetPassword(t.Context(), self(u), u.ID, "old", "new", "", now)
		}, ""},
		"a reset": {func(t *testing.T, db *storetest.DB, u waypost.User, _ string) error {
			token := waypost.UserToken{Hash: hashOf("link"), UserID: u.ID, Purpose: waypost.TokenReset, Expires: now.Add(time.Hour)}
			if _, err := db.System.IssueToken(t.Context(), boss, "", token, now); err != nil {
				return err
			}
			return db.System.RedeemToken(t.Context(), self(u), token, "old", "new", now)
		}, ""},
		"codes switched on": {func(t *testing.T, db *storetest.DB, u waypost.User, _ string) error {
			totpOn(t, db, u, "")
			return nil
		}, ""},
		"codes switched off": {func(t *testing.T, db *storetest.DB, u waypost.User, _ string) error {
			db.Exec(t, "UPDATE app_user SET totp = $1", []byte("sealed"))
			_, err := db.System.DropTOTP(t.Context(), boss, "", u.ID, "", now)
			return err
		}, boss.ID},
		"the operator deleted": {func(t *testing.T, db *storetest.DB, _ waypost.User, op string) error {
			return db.System.RemoveOperator(t.Context(), boss, op, now)
		}, boss.ID},
		"unused": {func(t *testing.T, db *storetest.DB, _ waypost.User, _ string) error {
			retain(t, db, now.Add(waypost.SessionIdle+time.Minute))
			return nil
		}, waypost.Policy().ID},
		"too old": {func(t *testing.T, db *storetest.DB, _ waypost.User, _ string) error {
			later := now.Add(31 * 24 * time.Hour)
			db.Exec(t, "UPDATE user_session SET seen = $1", waypost.Millis(later)) // used until then
			retain(t, db, later)
			return nil
		}, waypost.Policy().ID},
		"too many": {func(t *testing.T, db *storetest.DB, u waypost.User, _ string) error {
			db.Exec(t, "UPDATE user_session SET id = '0' WHERE acting_for <> ''") // the smallest
			for i := range 100 {
				signIn(t, db, u, fmt.Sprint("token ", i))
			}
			return nil
		}, waypost.Policy().ID},
	} {
		t.Run(what, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *storetest.DB) {
				op := anOperator(t, db)
				newUser(t, db, "", "owner", waypost.RoleOwner)
				u := newUser(t, db, "", "sue", waypost.RoleSupport)
				actFor(t, db, u, op)
				signIn(t, db, u, "acts for nobody")
				if err := tt.end(t, db, u, op); err != nil {
					t.Fatal(err)
				}
				if n := db.Int(t, "SELECT COUNT(*) FROM user_session WHERE acting_for <> '' AND ended = 0"); n != 0 {
					t.Errorf("%d sessions still act", n)
				}
				entries, err := db.Store.AuditLog(t.Context(), op, "", 100)
				if err != nil {
					t.Fatal(err)
				}
				by := tt.by
				if by == "" {
					by = self(u).ID
				}
				found := 0
				for _, e := range entries {
					if e.Action != "operator.sign_out_as" {
						continue
					}
					found++
					if e.Target != "sue" || e.Actor.ID != by || string(e.Detail) != string(waypost.RoleSupport) {
						t.Errorf("%+v", e)
					}
				}
				if found != 1 {
					t.Errorf("%d entries say that it ended: %+v", found, entries)
				}
			})
		})
	}
}

func TestASessionThatGoesOnActsOn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		op := anOperator(t, db)
		u := newUser(t, db, "", "sue", waypost.RoleSupport)
		kept := actFor(t, db, u, op)
		actFor(t, db, u, op)
		if err := db.System.SetPassword(ctx, self(u), u.ID, "old", "new", kept.ID, now); err != nil {
			t.Fatal(err)
		}
		retain(t, db, now.Add(waypost.SessionIdle-time.Hour))
		want := []string{"user operator.sign_in_as sue", "user operator.sign_in_as sue", "user operator.sign_out_as sue"}
		if diff := cmp.Diff(want, actions(t, db, op)); diff != "" {
			t.Error(diff)
		}
		list, err := db.System.UserSessions(ctx, u.ID, now, now.Add(-time.Hour))
		if len(list) != 1 || list[0].ID != kept.ID || list[0].ActingFor != op || err != nil {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
