package panel_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/waypost"
)

func TestThePlatformSeesEverybody(t *testing.T) {
	w := newWorld(t)
	acme, other := w.operator(t, "Acme"), w.operator(t, hostile)
	ann, bob := w.person(t, acme, "ann", waypost.RoleAdmin), w.person(t, other, "bob", waypost.RoleViewer)
	owner, support, auditor := w.visitor(t, "", waypost.RoleOwner), w.visitor(t, "", waypost.RoleSupport), w.visitor(t, "", waypost.RoleAuditor)
	for _, v := range []*visitor{owner, support, auditor} {
		got := v.open("/platform/users")
		got.wants("Mx ann", "Mx bob", "Acme", "Owner", "Support", "Auditor", "You")
		got.lacks("<script>alert")
		got = v.open("/platform/users?operator=acme")
		got.wants("Only users of Acme.", "Mx ann")
		got.lacks("Mx bob")
		v.open("/platform/users?operator="+other).wants("Mx bob", "Only users of")
		v.open("/platform/users?operator=nobody").wants("There is no such operator.")
		v.open("/platform/users?operator=" + waypost.NewID()).wants("There is no such operator.")
	}
	// Who may not change somebody is not led there.
	for _, tt := range []struct {
		v    *visitor
		user waypost.User
		may  bool
	}{
		{owner, ann, true},
		{owner, support.user, true},
		{owner, owner.user, true},
		{support, bob, true},
		{support, owner.user, false},
		{support, support.user, false},
		{support, auditor.user, false},
		{auditor, ann, false},
		{auditor, auditor.user, false},
	} {
		path := "/platform/users/" + tt.user.ID
		if got := strings.Contains(tt.v.open("/platform/users").body, path+`"`); got != tt.may {
			t.Errorf("%s is led to %s: %v", tt.v.user.Login, tt.user.Login, got)
		}
		want := http.StatusOK
		if !tt.may {
			want = http.StatusForbidden
		}
		if got := tt.v.get(path); got.status != want {
			t.Errorf("%s sees %s: %d", tt.v.user.Login, tt.user.Login, got.status)
		}
		if tt.may {
			continue
		}
		for _, act := range []string{"", "/invite", "/reset", "/disable", "/enable", "/totp", "/sessions", "/remove"} {
			if got := tt.v.post(path+act, "role", "owner"); got.status != http.StatusForbidden {
				t.Errorf("%s: %s of %s: %d", tt.v.user.Login, act, tt.user.Login, got.status)
			}
		}
	}
	// By login.
	if got := support.get("/platform/users?login=ANN"); got.location() != "/platform/users/"+ann.ID {
		t.Errorf("%d %s", got.status, got.location())
	}
	auditor.open("/platform/users?login=ann").wants("Mx ann")
	got := auditor.open("/platform/users?login=nobody")
	got.wants("Nobody here yet")
	got.lacks("/platform/users/new")
	for _, v := range []*visitor{w.visitor(t, acme, waypost.RoleAdmin), w.visitor(t, acme, waypost.RoleViewer)} {
		if got := v.get("/platform/users"); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", v.user.Role, got.status)
		}
	}
}

func TestUsersOfOperatorsAreMadeByThePlatform(t *testing.T) {
	w, m := withPostman(t)
	acme := w.operator(t, "Acme")
	v := w.visitor(t, "", waypost.RoleSupport)
	v.open("/platform/users/new?operator="+acme).wants("Invitation by mail", "Password now")
	got := v.post("/platform/users/new", "operator", "Acme", "email", "ann@people.example", "role", "admin", "how", "invite", "password", "", "again", "")
	if got.location() != "/platform/users?operator="+acme {
		t.Fatalf("%d %s", got.status, got.text())
	}
	if l := m.take(t)["ann@people.example"]; !strings.Contains(l.text, "Acme") || l.path == "" {
		t.Errorf("%+v", l)
	}
	for _, tt := range []struct{ operator, login, password, again, want string }{
		{"", "bob", fresh, fresh, "There is no such operator."},
		{"Nobody", "bob", fresh, fresh, "There is no such operator."},
		{waypost.PlatformOperatorID, "bob", fresh, fresh, "There is no such operator."},
		{acme, "", fresh, fresh, "Only letters without accents"},
		{acme, "bob", "short", "short", "at least 10 characters"},
		{acme, "bob", fresh, "x", "The two passwords differ."},
	} {
		got := v.post("/platform/users/new", "operator", tt.operator, "login", tt.login, "role", "viewer", "how", "password", "password", tt.password, "again", tt.again)
		got.wants(tt.want)
		if got.status != http.StatusUnprocessableEntity || got.value("login") != tt.login || got.value("password") != "" {
			t.Errorf("%s: %d", tt.want, got.status)
		}
	}
	if got := v.post("/platform/users/new", "operator", acme, "login", "bob", "role", "viewer", "how", "password", "password", fresh, "again", fresh); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.text())
	}
	if got := w.stranger(t).post("/sign-in", "login", "bob", "password", fresh); got.location() != "/" {
		t.Errorf("%d", got.status)
	}
	// Staff is the owner's business.
	for _, path := range []string{"/platform/users/new?staff=1", "/platform/users/new"} {
		if got := v.post(path, "staff", "1", "email", "eve@people.example", "role", "owner", "how", "invite"); got.status != http.StatusForbidden {
			t.Errorf("%d", got.status)
		}
	}
	if got := v.get("/platform/users/new?staff=1"); got.status != http.StatusForbidden {
		t.Errorf("%d", got.status)
	}
	// A role of the other side is none.
	v.post("/platform/users/new", "operator", acme, "login", "eve", "role", "owner", "how", "password", "password", fresh, "again", fresh).wants("Choose a role.")
}

func TestTheOwnerLooksAfterStaff(t *testing.T) {
	w, m := withPostman(t)
	v := w.visitor(t, "", waypost.RoleOwner)
	v.open("/platform/users/new?staff=1").wants("Everything, other staff included.")
	got := v.post("/platform/users/new?staff=1", "email", "sue@people.example", "role", "support", "how", "invite")
	if got.location() != "/platform/users" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	l := m.take(t)["sue@people.example"]
	if !strings.Contains(l.text, "the team that runs Fleetmail") {
		t.Errorf("%+v", l)
	}
	sue, err := w.users.ByLogin(t.Context(), "sue@people.example")
	if err != nil {
		t.Fatal(err)
	}
	path := "/platform/users/" + sue.ID
	v.open(path).wants("Invited", "Invite again")
	v.post(path + "/invite")
	again := m.take(t)["sue@people.example"]
	if again.path == "" || again.path == l.path {
		t.Errorf("%+v", again)
	}
	s := w.stranger(t)
	if got := s.get(l.path); got.status != http.StatusNotFound {
		t.Errorf("the first invitation: %d", got.status)
	}
	if got := s.post(again.path, "password", fresh, "again", fresh); got.location() != "/sign-in" {
		t.Fatalf("%d", got.status)
	}
	v.post(path, "name", "Sue", "email", "sue@people.example", "role", "owner")
	if u := w.read(t, sue.ID); u.Role != waypost.RoleOwner {
		t.Errorf("%+v", u)
	}
	// The other owner may do the same to her; one always stays.
	s.post("/sign-in", "login", "sue@people.example", "password", fresh)
	if got := s.post("/platform/users/"+v.user.ID, "name", "x", "email", v.user.Email, "role", "auditor"); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.text())
	}
	if got := v.post(path + "/remove"); got.status != http.StatusSeeOther || got.location() != "/sign-in" {
		t.Errorf("the session outlived the role: %d", got.status)
	}
	if actions := w.audited(t, waypost.PlatformOperatorID); !slices.Contains(actions, "user.invite") || !slices.Contains(actions, "user.change") {
		t.Errorf("%v", actions)
	}
}

func TestTheLastOwnerStays(t *testing.T) {
	w := newWorld(t)
	v := w.visitor(t, "", waypost.RoleOwner)
	boss := w.person(t, "", "boss", waypost.RoleOwner)
	// Who has no password cannot sign in again, and does not count.
	w.db.Exec(t, "UPDATE app_user SET password = '' WHERE id = $1", v.user.ID)
	path := "/platform/users/" + boss.ID
	for act, form := range map[string][]string{"/disable": nil, "/remove": nil, "": {"name", "Boss", "email", boss.Email, "role", "auditor"}} {
		got := v.post(path+act, form...)
		got.wants("This is the only owner who can sign in.", "Mx boss")
		if got.status != http.StatusConflict {
			t.Errorf("%s: %d", act, got.status)
		}
	}
	if got := w.read(t, boss.ID); got != boss {
		t.Errorf("%+v", got)
	}
}

func TestStaffThatWorksForAnOperatorIsStillStaffOnThePlatformsPages(t *testing.T) {
	w := newWorld(t)
	acme, other := w.operator(t, "Acme"), w.operator(t, "Other")
	bob := w.person(t, other, "bob", waypost.RoleViewer)
	v := w.visitor(t, "", waypost.RoleSupport)
	v.actFor(t, acme)
	v.open("/platform/users/" + bob.ID).wants("Mx bob")
	v.open("/team").wants("Invite a person")
	if got := v.get("/team/" + bob.ID); got.status != http.StatusNotFound {
		t.Errorf("%d", got.status)
	}
	v.open("/account").wants("Works for Acme")
}
