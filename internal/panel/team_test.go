package panel_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/waypost"
)

// person makes a user with a password.
func (w *world) person(t *testing.T, operatorID, login string, role waypost.Role) waypost.User {
	t.Helper()
	u, err := w.users.Create(t.Context(), waypost.CommandLine(), auth.NewUser{
		OperatorID: operatorID, Login: login, Email: login + "@people.example", Name: "Mx " + login, Role: role,
	}, password)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (w *world) read(t *testing.T, id string) waypost.User {
	t.Helper()
	u, err := w.users.Any(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestATeamIsInvitedByMail(t *testing.T) {
	w, m := withPostman(t)
	acme := w.operator(t, "Acme")
	v := w.visitor(t, acme, waypost.RoleAdmin)
	v.open("/team").wants("Team", v.user.Login, "You", "Active", "Invite a person")
	v.open("/team/new").wants("Reads and changes everything of the operator.")
	got := v.post("/team/new", "email", "ann@people.example", "name", "Ann", "role", "viewer", "language", "es")
	if got.location() != "/team" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	v.open("/team").wants("The invitation is on its way.", "Ann", "Invited", "Viewer")
	l := m.take(t)["ann@people.example"]
	if !strings.Contains(l.text, "Acme") || !strings.Contains(l.subject, "Su invitación a Fleetmail") || !strings.HasPrefix(l.path, "/invite/") || !strings.Contains(l.to, "Ann") {
		t.Fatalf("%+v", l)
	}
	s := w.stranger(t)
	s.open(l.path).wants("Welcome", "ann@people.example")
	if got := s.post(l.path, "password", fresh, "again", fresh); got.location() != "/sign-in" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	if len(m.take(t)) != 0 {
		t.Error("told of the first password")
	}
	if got := s.post("/sign-in", "login", "ann@people.example", "password", fresh); got.location() != "/" {
		t.Fatalf("%d", got.status)
	}
	got = s.open("/team")
	got.lacks("/team/new", "/team/"+v.user.ID)
	if got := s.post("/team/new", "email", "eve@people.example", "role", "admin"); got.status != http.StatusForbidden {
		t.Errorf("a viewer invites: %d", got.status)
	}
	want := []string{"operator.create", "user.create", "user.sign_in", "user.create", "user.invite", "user.password", "user.sign_in"}
	if got := w.audited(t, acme); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	w.quiet(t, strings.TrimPrefix(l.path, "/invite/"))
}

func TestAnInvitationTypedWrongIsKept(t *testing.T) {
	w, m := withPostman(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	for _, tt := range []struct{ email, name, login, role, want string }{
		{"", "Ann", "ann", "admin", "This is not an e-mail address."},
		{"nobody", "Ann", "ann", "admin", "This is not an e-mail address."},
		{"ann@people.example", "Ann", "änn", "admin", "Only letters without accents"},
		{"ann@people.example", strings.Repeat("x", 10_000), "ann", "admin", "At most 200 characters"},
		{"ann@people.example", hostile, "ann", "owner", "Choose a role."},
		{"ann@people.example", hostile, v.user.Login, "admin", "This login is used already."},
		{"ann@people.example", hostile, "boss@people.example", "admin", "A login that is an e-mail address has to be the person's own"},
	} {
		got := v.post("/team/new", "email", tt.email, "name", tt.name, "login", tt.login, "role", tt.role)
		got.wants(tt.want)
		got.lacks("<script>alert")
		if got.status != http.StatusUnprocessableEntity && got.status != http.StatusConflict || got.value("email") != tt.email || got.value("name") != tt.name || got.value("login") != tt.login {
			t.Errorf("%s: %d %q %q", tt.want, got.status, got.value("email"), got.value("login"))
		}
	}
	if len(m.take(t)) != 0 {
		t.Error("mailed")
	}
	for i := range 25 {
		got := v.post("/team/new", "email", "p"+string(rune('a'+i))+"@people.example", "role", "viewer")
		if i == 24 {
			got.wants("Too many tries.")
			if got.status != http.StatusTooManyRequests {
				t.Errorf("%d", got.status)
			}
		}
	}
}

func TestWithoutMailAnInvitationIsHandedOver(t *testing.T) {
	w := newWorld(t, inSandbox, func(o *panel.Options) { o.LocalURL = "http://127.0.0.1:8080" })
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	got := v.post("/team/new", "email", "ann@people.example", "role", "viewer")
	got.wants("Give this link to the person yourself")
	m := reLink.FindStringSubmatch(strings.ReplaceAll(got.body, "<", "\n"))
	if m == nil || m[1] != "http://127.0.0.1:8080" {
		t.Fatal(got.body)
	}
	if got := w.stranger(t).post(m[2], "password", fresh, "again", fresh); got.location() != "/sign-in" {
		t.Errorf("%d", got.status)
	}
	// A link to reset a password is shown to nobody.
	u := w.person(t, v.user.OperatorID, "bob", waypost.RoleViewer)
	got = v.open("/team/" + u.ID)
	got.wants("waypost user reset --login bob")
	got.lacks("/team/" + u.ID + "/reset")
	got = v.post("/team/" + u.ID + "/reset")
	got.wants("No mail leaves this installation")
	got.lacks("/reset/")
}

func TestAnAdminLooksAfterOthers(t *testing.T) {
	w, m := withPostman(t)
	acme := w.operator(t, "Acme")
	v := w.visitor(t, acme, waypost.RoleAdmin)
	u := w.person(t, acme, "bob", waypost.RoleViewer)
	path := "/team/" + u.ID
	bob := w.stranger(t)
	enter := func() int {
		return bob.post("/sign-in", "login", "bob", "password", password).status
	}
	enter()
	v.open(path).wants("Mx bob", "Active", "last used")

	got := v.post(path, "name", "", "email", "nobody", "role", "admin")
	got.wants("This is not an e-mail address.")
	if got.status != http.StatusUnprocessableEntity || got.value("email") != "nobody" {
		t.Errorf("%d", got.status)
	}
	if got := v.post(path, "name", hostile, "email", "bob2@people.example", "role", "admin"); got.location() != path {
		t.Fatalf("%d %s", got.status, got.text())
	}
	v.open(path).lacks("<script>alert")
	if u := w.read(t, u.ID); u.Role != waypost.RoleAdmin || u.Name != hostile || u.Email != "bob2@people.example" {
		t.Errorf("%+v", u)
	}
	if l := m.take(t)["bob@people.example"]; !strings.Contains(l.text, "bob2@people.example") {
		t.Errorf("the old address is not told: %+v", l)
	}
	if bob.get("/account").status != http.StatusSeeOther {
		t.Error("the session outlived the role")
	}

	if got := v.post(path + "/reset"); got.location() != path {
		t.Fatalf("%d", got.status)
	}
	l := m.take(t)["bob2@people.example"]
	if got := bob.post(l.path, "password", fresh, "again", fresh); got.location() != "/sign-in" {
		t.Fatalf("%d %+v", got.status, l)
	}
	m.take(t)
	enter2 := func() int { return bob.post("/sign-in", "login", "bob", "password", fresh).status }
	if enter2() != http.StatusSeeOther {
		t.Fatal("the new password")
	}
	if got := v.post(path + "/sessions"); got.location() != path {
		t.Fatalf("%d", got.status)
	}
	if bob.get("/account").status != http.StatusSeeOther {
		t.Error("the session goes on")
	}
	v.post(path + "/disable")
	v.open(path).wants("The person can no longer sign in.", "Disabled", "Enable")
	if enter2() != http.StatusUnauthorized {
		t.Error("disabled, and in")
	}
	v.post(path + "/reset").wants("The person is disabled.")
	v.post(path + "/enable")
	if enter2() != http.StatusSeeOther {
		t.Error("enabled, and out")
	}
	if got := v.post(path + "/invite"); got.status != http.StatusConflict {
		t.Errorf("invited with a password: %d", got.status)
	}
	if got := v.post(path + "/remove"); got.location() != "/team" {
		t.Fatalf("%d", got.status)
	}
	v.open("/team").lacks(u.ID)
	if got := v.post(path + "/remove"); got.status != http.StatusNotFound {
		t.Errorf("%d", got.status)
	}
	actions := w.audited(t, acme)
	for _, want := range []string{"user.change", "user.reset", "user.password", "session.revoke", "user.disable", "user.enable", "user.remove"} {
		if !slices.Contains(actions, want) {
			t.Errorf("%s is not recorded: %v", want, actions)
		}
	}
}

func TestAnAdminHelpsWhoLostThePhone(t *testing.T) {
	w, m := withPostman(t)
	acme := w.operator(t, "Acme")
	v, bob := w.visitor(t, acme, waypost.RoleAdmin), w.visitor(t, acme, waypost.RoleViewer)
	bob.switchTOTPOn(t)
	v.open("/team/"+bob.user.ID).wants("Lost the phone", "On")
	if got := v.post("/team/" + bob.user.ID + "/totp"); got.status != http.StatusSeeOther {
		t.Fatalf("%d", got.status)
	}
	if got := w.stranger(t).post("/sign-in", "login", bob.user.Login, "password", password); got.location() != "/" {
		t.Errorf("%d %s", got.status, got.location())
	}
	if l := m.take(t)[bob.user.Email]; !strings.Contains(l.subject, "Two-step sign-in at Fleetmail was switched off") {
		t.Errorf("%+v", l)
	}
}

func TestNobodyLocksItselfOut(t *testing.T) {
	w := newWorld(t)
	acme := w.operator(t, "Acme")
	for base, v := range map[string]*visitor{"/team/": w.visitor(t, acme, waypost.RoleAdmin), "/platform/users/": w.visitor(t, "", waypost.RoleOwner)} {
		path := base + v.user.ID
		got := v.open(path)
		got.wants("This is you.")
		got.lacks(path+"/remove", path+"/disable", `name="role"`)
		for _, act := range []string{"", "/disable", "/remove", "/totp", "/sessions", "/reset", "/invite"} {
			got := v.post(path+act, "role", "viewer", "name", "x")
			got.wants("This is you.")
			if got.status != http.StatusConflict {
				t.Errorf("%s: %d", path+act, got.status)
			}
		}
		if u := w.read(t, v.user.ID); u != v.user && (u.Role != v.user.Role || u.Disabled || u.Name != v.user.Name) {
			t.Errorf("%+v", u)
		}
		v.open(path)
	}
}

func TestAnInvitationThatCannotBeSentIsSaid(t *testing.T) {
	w := newWorld(t, func(o *panel.Options) {
		o.Accepter = failing{waypost.NewError(waypost.StorageFull, "storage_full", "no disk space")}
	})
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	if got := v.post("/team/new", "email", "ann@people.example", "role", "viewer"); got.location() != "/team" {
		t.Fatalf("%d", got.status)
	}
	v.open("/team").wants("the invitation could not be sent", "ann@people.example")
}

func TestTeamsDoNotSeeEachOther(t *testing.T) {
	w := newWorld(t)
	acme, other := w.operator(t, "Acme"), w.operator(t, "Other")
	v := w.visitor(t, acme, waypost.RoleAdmin)
	staff := w.person(t, "", "staff", waypost.RoleSupport)
	for _, u := range []waypost.User{w.person(t, other, "bob", waypost.RoleViewer), staff} {
		for _, act := range []string{"", "/disable", "/enable", "/remove", "/totp", "/sessions", "/reset", "/invite"} {
			if got := v.post("/team/"+u.ID+act, "role", "viewer"); got.status != http.StatusNotFound {
				t.Errorf("%s%s: %d", u.Login, act, got.status)
			}
		}
		if got := v.get("/team/" + u.ID); got.status != http.StatusNotFound {
			t.Errorf("%d", got.status)
		}
		if got := w.read(t, u.ID); got != u {
			t.Errorf("%+v", got)
		}
	}
	v.open("/team").lacks("bob", "staff@")
	viewer := w.visitor(t, acme, waypost.RoleViewer)
	for _, act := range []string{"", "/disable", "/enable", "/remove", "/totp", "/sessions", "/reset", "/invite"} {
		if got := viewer.post("/team/"+v.user.ID+act, "role", "viewer"); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", act, got.status)
		}
	}
}

func TestALongTeamHasPages(t *testing.T) {
	w := newWorld(t)
	acme := w.operator(t, "Acme")
	v := w.visitor(t, acme, waypost.RoleAdmin)
	for i := range 60 {
		u := waypost.User{ID: waypost.NewID(), OperatorID: acme, Login: "p" + waypost.NewID(), Role: waypost.RoleViewer, Name: "N" + string(rune('A'+i/10)) + string(rune('0'+i%10))}
		if err := w.db.System.CreateUser(t.Context(), waypost.CommandLine(), u, "x", nil, 500); err != nil {
			t.Fatal(err)
		}
	}
	first := v.open("/team")
	first.wants("NA0", "NE8", "Next")
	first.lacks("NE9")
	second := v.open(nextOf(t, first))
	second.wants("NE9", "NF9", "First page")
	second.lacks("NE8", `rel="next"`)
}

// failing refuses all mail.
type failing struct{ err error }

// Accept implements panel.Accepter.
func (f failing) Accept(context.Context, waypost.Submission) (waypost.Receipt, error) {
	return waypost.Receipt{}, f.err
}
