package panel_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/waypost"
)

// door lets the first one in, as the program does.
type door struct{ w **world }

const firstToken = "the-first-token"

// Valid implements panel.First.
func (d door) Valid(ctx context.Context, token string) (bool, error) {
	if token != firstToken {
		return false, nil
	}
	return (*d.w).users.NoPlatformUsers(ctx)
}

// CreateOwner implements panel.First.
func (d door) CreateOwner(ctx context.Context, token string, n auth.NewUser, password, peer string) (waypost.User, error) {
	if ok, err := d.Valid(ctx, token); err != nil || !ok {
		return waypost.User{}, waypost.NewError(waypost.NotFound, "link_expired", "used")
	}
	return (*d.w).users.CreateFirst(ctx, n, password, peer)
}

// newInstallation is a world without staff.
func newInstallation(t *testing.T, change ...func(*panel.Options)) (*world, *postman) {
	t.Helper()
	var w *world
	var m *postman
	w, m = withPostman(t, append(change, func(o *panel.Options) { o.First = door{&w} })...)
	return w, m
}

func TestTheFirstOneBecomesTheOwner(t *testing.T) {
	w, _ := newInstallation(t, inSandbox)
	s := w.stranger(t)
	got := s.open("/first/" + firstToken)
	got.wants("You are the first one here", "Fleetmail")
	if got.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%v", got.header)
	}
	for _, tt := range []struct{ login, email, password, again, want string }{
		{"", "o@people.example", fresh, fresh, "Only letters without accents"},
		{"olga", "nobody", fresh, fresh, "This is not an e-mail address."},
		{"olga", "", "short", "short", "at least 10 characters"},
		{"olga", "", fresh, "x", "The two passwords differ."},
	} {
		got := s.post("/first/"+firstToken, "login", tt.login, "email", tt.email, "name", hostile, "password", tt.password, "again", tt.again)
		got.wants(tt.want)
		got.lacks("<script>alert")
		if got.status != http.StatusUnprocessableEntity || got.value("login") != tt.login || got.value("name") != hostile || got.value("password") != "" {
			t.Errorf("%s: %d", tt.want, got.status)
		}
	}
	got = s.do(http.MethodPost, "/first/"+firstToken, strings.NewReader("login=olga&password=a+quite+different+sentence&again=a+quite+different+sentence"), "Origin", "null", "Accept-Language", "es")
	if got.location() != "/platform/start" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	u, err := w.users.ByLogin(t.Context(), "olga")
	if err != nil || u.Role != waypost.RoleOwner || u.OperatorID != "" || u.Language != "es" {
		t.Errorf("%+v, %v", u, err)
	}
	s.open("/platform/start").wants("Primeros pasos")
	for _, got := range []answer{w.stranger(t).get("/first/" + firstToken), w.stranger(t).post("/first/"+firstToken, "login", "eve", "password", fresh, "again", fresh)} {
		got.wants("This link worked once")
		if got.status != http.StatusNotFound {
			t.Errorf("%d", got.status)
		}
	}
	w.quiet(t, firstToken, fresh)
}

func TestTheFirstStepsLeadToTheFirstMail(t *testing.T) {
	w, _ := newInstallation(t, inSandbox)
	v := w.visitor(t, "", waypost.RoleOwner)
	got := v.open("/platform/start")
	got.wants("First steps", "Your login", "Done", "WAYPOST_PLATFORM_DOMAIN=mail.example.net", "WAYPOST_PUBLIC_URL", "Create the first operator before this.", "Skip for now")
	if !strings.Contains(got.body, `id="step-domain"><details class="card-body" open`) {
		t.Error("the first step to do is not open")
	}
	v.open("/platform/start?step=operator").wants("Name of the operator")

	got = v.post("/platform/start/operator", "name", "", "product", "none", "contact", "nobody")
	if got.status != http.StatusUnprocessableEntity || got.value("contact") != "nobody" || strings.Count(got.body, "invalid-feedback") != 3 {
		t.Fatalf("%d %s", got.status, got.text())
	}
	if got := v.post("/platform/start/admin", "login", "ann"); got.location() != "/platform/start" {
		t.Errorf("an administrator of nobody: %d", got.status)
	}
	if got := v.post("/platform/start/operator", "name", hostile, "product", "servermate", "contact", "it@acme.example"); got.location() != "/platform/start" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	got = v.open("/platform/start?step=admin")
	got.wants("The first operator is "+hostile, "A link to hand over")
	got.lacks("<script>alert")
	got = v.post("/platform/start/admin", "login", "ann", "role", "admin", "how", "password", "password", "short", "again", "short")
	got.wants("at least 10 characters")
	if got.status != http.StatusUnprocessableEntity || got.value("login") != "ann" {
		t.Errorf("%d", got.status)
	}
	if got := v.post("/platform/start/admin", "login", "ann", "role", "admin", "how", "password", "password", fresh, "again", fresh); got.location() != "/platform/start" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	ann, err := w.users.ByLogin(t.Context(), "ann")
	if err != nil || ann.Role != waypost.RoleAdmin {
		t.Fatal(ann, err)
	}
	v.open("/platform/start").wants("has somebody who can sign in", "Work for")
	w.send(t, ann.OperatorID, "x@y.example", "Hello")
	v.open("/platform/start?step=mail").wants("The first operator has sent mail.")
}

func TestFirstStepsThatAreDoneAreFinished(t *testing.T) {
	w, _ := newInstallation(t)
	v := w.visitor(t, "", waypost.RoleOwner)
	acme := w.operator(t, "Acme")
	w.person(t, acme, "ann", waypost.RoleAdmin)
	v.open("/platform/start").wants("The platform's domain is platform.example.")
	w.send(t, acme, "x@y.example", "Hello")
	v.open("/platform/start").wants("All done")
}

func TestFirstStepsAreTheOwnersAndCanBeHidden(t *testing.T) {
	w, _ := newInstallation(t, inSandbox)
	v := w.visitor(t, "", waypost.RoleOwner)
	v.open("/platform").wants("First steps", "Go on")
	if got := v.post("/platform/start/hide"); got.location() != "/platform" {
		t.Errorf("%d", got.status)
	}
	v.open("/platform").lacks("/platform/start/hide")
	v.open("/platform/start").wants("Remind me on the overview")
	v.post("/platform/start/show")
	v.open("/platform").wants("Go on")
	for _, role := range []waypost.Role{waypost.RoleSupport, waypost.RoleAuditor} {
		other := w.visitor(t, "", role)
		other.open("/platform").lacks("/platform/start")
		if got := other.get("/platform/start"); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", role, got.status)
		}
		if got := other.post("/platform/start/operator", "name", "x", "product", "cloud"); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", role, got.status)
		}
	}
}
