package auth_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/waypost"
)

func TestASessionIsReadOnceInAWhile(t *testing.T) {
	p := newPeople(t)
	p.user(t, "", "ann", waypost.RoleOwner)
	token, _ := p.signIn(t, "ann", home)
	p.calls.take()
	use := func(want ...string) {
		t.Helper()
		for range 3 {
			if _, err := p.Session(t.Context(), token, home); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, p.calls.take()); diff != "" {
			t.Error(diff)
		}
	}
	use()
	p.pass(5 * time.Second)
	use("SessionByHash")
	p.Changed(t.Context())
	use("SessionByHash")
	p.pass(time.Minute)
	use("SessionByHash", "TouchSession")
	p.pass(59 * time.Second)
	use("SessionByHash")
	p.pass(time.Second)
	use("TouchSession")
}

func TestASessionEndsUnusedAndAtItsAge(t *testing.T) {
	p := newPeople(t)
	p.user(t, "", "ann", waypost.RoleOwner)
	token, s := p.signIn(t, "ann", home)
	for range 60 { // twice a day for a month
		p.pass(12*time.Hour - time.Minute)
		if _, err := p.Session(t.Context(), token, home); err != nil {
			t.Fatal(err)
		}
	}
	p.pass(time.Hour - time.Millisecond)
	if _, err := p.Session(t.Context(), token, home); err != nil {
		t.Error(err)
	}
	p.pass(time.Millisecond) // it is in memory
	wantSignedOut(t, p, token)
	token, _ = p.signIn(t, "ann", home)
	p.pass(12 * time.Hour)
	wantSignedOut(t, p, token)
	if list, err := p.Sessions(t.Context(), s.User.ID); len(list) != 0 || err != nil {
		t.Error(list, err)
	}
}

// A page that is left open asks for its parts, and is no person.
func TestASessionThatOnlyPagesUseEnds(t *testing.T) {
	p := newPeople(t)
	p.user(t, "", "ann", waypost.RoleOwner)
	token, _ := p.signIn(t, "ann", home)
	p.calls.take()
	for range 12*60 - 1 {
		p.pass(time.Minute)
		if s, err := p.SessionUnattended(t.Context(), token, away); err != nil || s.Peer != away {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	if seen := p.calls.take(); slices.Contains(seen, "TouchSession") {
		t.Error("it was written that the session is used")
	}
	if _, err := p.Session(t.Context(), token, home); err != nil { // somebody is there, at the last moment
		t.Fatal(err)
	}
	p.pass(12*time.Hour - time.Second)
	if _, err := p.SessionUnattended(t.Context(), token, home); err != nil {
		t.Fatal(err)
	}
	p.pass(time.Second)
	_, err := p.SessionUnattended(t.Context(), token, home)
	wantCode(t, err, waypost.Unauthenticated, "signed_out")
	wantSignedOut(t, p, token)
}

func TestSessionsAreListedAndRevoked(t *testing.T) {
	p := newPeople(t)
	op := p.operator(t)
	p.user(t, op, "ann", waypost.RoleAdmin)
	other, lost := p.signIn(t, "ann", away)
	token, s := p.signIn(t, "ann", home)
	node := onNode(t, p.db)
	if _, err := node.Session(t.Context(), other, away); err != nil {
		t.Fatal(err)
	}
	list, err := p.Sessions(t.Context(), s.User.ID)
	if len(list) != 2 || err != nil {
		t.Fatal(list, err)
	}
	number, err := p.db.System.Change(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, p.RevokeSession(t.Context(), s.Actor(), "", s.User.ID, lost.ID), waypost.NotFound, "not_found")
	wantCode(t, p.RevokeSession(t.Context(), s.Actor(), op, waypost.NewID(), lost.ID), waypost.NotFound, "not_found")
	if err := p.RevokeSession(t.Context(), s.Actor(), op, s.User.ID, lost.ID); err != nil {
		t.Fatal(err)
	}
	wantSignedOut(t, p, other)
	// Another process looks again when the change number has risen.
	if now, err := p.db.System.Change(t.Context()); now == number || err != nil {
		t.Error(now, err)
	}
	node.Changed(t.Context())
	wantSignedOut(t, node, other)
	if _, err := p.Session(t.Context(), token, home); err != nil {
		t.Error(err)
	}
	for range 2 { // twice is no error
		if err := p.SignOut(t.Context(), s); err != nil {
			t.Error(err)
		}
	}
	wantSignedOut(t, p, token)
	if a, b := len(p.recorded(t, op, "session.revoke")), len(p.recorded(t, op, "user.sign_out")); a != 1 || b != 1 {
		t.Errorf("%d and %d entries", a, b)
	}
}

func TestASessionEndsWithWhatItReliedOn(t *testing.T) {
	for what, change := range map[string]func(p *people, u waypost.User) error{
		"role": func(p *people, u waypost.User) error {
			_, err := p.Change(context.Background(), waypost.CommandLine(), u.OperatorID, u.ID, func(u *waypost.User) { u.Role = waypost.RoleViewer })
			return err
		},
		"disabled": func(p *people, u waypost.User) error {
			_, err := p.Change(context.Background(), waypost.CommandLine(), u.OperatorID, u.ID, func(u *waypost.User) { u.Disabled = true })
			return err
		},
		"removed": func(p *people, u waypost.User) error {
			return p.Remove(context.Background(), waypost.CommandLine(), u.OperatorID, u.ID)
		},
		"all revoked": func(p *people, u waypost.User) error {
			n, err := p.RevokeSessions(context.Background(), waypost.CommandLine(), u.OperatorID, u.ID, "")
			if n != 1 {
				return errors.New("none")
			}
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			p := newPeople(t)
			u := p.user(t, p.operator(t), "ann", waypost.RoleAdmin)
			token, _ := p.signIn(t, "ann", home)
			if err := change(p, u); err != nil {
				t.Fatal(err)
			}
			wantSignedOut(t, p, token)
		})
	}
}

func TestStaffActsForAnOperatorAndItSees(t *testing.T) {
	p := newPeople(t)
	op := p.operator(t)
	p.user(t, "", "sue", waypost.RoleSupport)
	p.user(t, "", "audrey", waypost.RoleAuditor)
	p.user(t, op, "ann", waypost.RoleAdmin)
	token, s := p.signIn(t, "sue", home)
	if err := p.ActFor(t.Context(), s, op); err != nil {
		t.Fatal(err)
	}
	acting, err := p.Session(t.Context(), token, home)
	if err != nil || acting.Operator() != op || acting.Role() != waypost.RoleAdmin || acting.User.Role != waypost.RoleSupport {
		t.Errorf("%+v, %v", acting, err)
	}
	wantCode(t, p.ActFor(t.Context(), s, ""), waypost.Invalid, "invalid")
	wantCode(t, p.ActFor(t.Context(), s, waypost.NewID()), waypost.NotFound, "not_found")
	for range 2 {
		if err := p.StopActing(t.Context(), acting); err != nil {
			t.Fatal(err)
		}
		if acting, err = p.Session(t.Context(), token, home); err != nil || acting.Operator() != "" || acting.Role() != waypost.RoleSupport {
			t.Errorf("%+v, %v", acting, err)
		}
	}
	for _, action := range []string{"operator.sign_in_as", "operator.sign_out_as"} {
		if e := p.recorded(t, op, action); len(e) != 1 || e[0].Actor != s.Actor() || e[0].Target != "sue" {
			t.Errorf("%s: %v", action, e)
		}
	}
	for _, login := range []string{"audrey", "ann"} {
		_, s := p.signIn(t, login, home)
		wantCode(t, p.ActFor(t.Context(), s, op), waypost.Forbidden, "role_does_not_act")
	}
}
