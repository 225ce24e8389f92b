package panel_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/waypost"
)

var reKey = regexp.MustCompile(`data-copy="(wp_(?:live|test)_[a-z2-7]{32})"`)

func TestAKeyIsShownOnceWithExamplesThatUseIt(t *testing.T) {
	w := newWorld(t, func(o *panel.Options) {
		o.PublicURL, o.Submission = "https://mail.example", panel.Submission{Host: "mx.example", StartTLS: 587, TLS: 465}
	})
	acme := w.operator(t, "Acme")
	v := w.actingFor(t, acme) // who alone may add networks
	v.open("/keys").wants("No keys yet", "Create a key")
	form := v.open("/keys/new")
	form.wants("Send mail", "Read the content of messages", "Its mail never leaves")
	if strings.Contains(form.body, `value="operators"`) {
		t.Error("the permission over all operators is offered")
	}
	got := v.post("/keys/new", "name", "Tracker", "mode", "live", "scopes", "send", "scopes", "read", "default_kind", "event", "from_policy", "refuse", "networks", "192.0.2.9/24 2001:db8::7,\r\n198.51.100.4")
	got.wants("it is shown only once", "curl https://mail.example/v1/messages", "mx.example", "587", "465", "smtp://mx.example:587")
	m := reKey.FindStringSubmatch(got.body)
	if got.status != http.StatusOK || m == nil || got.header.Get("Cache-Control") != "no-store" || strings.Count(got.body, m[1]) < 5 {
		t.Fatalf("%d %s", got.status, got.text())
	}
	p, err := w.options.Auth.Authenticate(t.Context(), m[1])
	if err != nil || p.OperatorID != acme || p.Test || p.DefaultKind != waypost.KindEvent || p.FromPolicy != waypost.FromRefuse ||
		!slices.Equal(p.Scopes, []waypost.Scope{waypost.ScopeSend, waypost.ScopeRead}) {
		t.Errorf("%+v, %v", p, err)
	}
	got = v.open("/keys")
	got.wants("Tracker", "Live", "Send mail", "192.0.2.0/24", "2001:db8::7/128", "198.51.100.4/32", "Never", m[1][:12]+"…", "Usually: Event notification", "Refuses senders that are not yours")
	got.lacks(m[1])
	if err := w.options.Auth.FlushUsed(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.open("/keys").lacks("Never")
	w.quiet(t, m[1])

	viewer := w.visitor(t, acme, waypost.RoleViewer)
	got = viewer.open("/keys")
	got.wants("Tracker", "Valid")
	got.lacks("/keys/new", "/revoke")
	id := p.CredentialID
	for _, path := range []string{"/keys/new", "/keys/" + id + "/revoke"} {
		if got := viewer.post(path, "name", "x", "scopes", "send"); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	other := w.visitor(t, w.operator(t, "Other"), waypost.RoleAdmin)
	if got := other.post("/keys/" + id + "/revoke"); got.status != http.StatusNotFound {
		t.Errorf("%d", got.status)
	}
	if got := v.post("/keys/" + id + "/revoke"); got.location() != "/keys" {
		t.Errorf("%d", got.status)
	}
	v.open("/keys").wants("The key is revoked.", "Revoked")
	if _, err := w.options.Auth.Authenticate(t.Context(), m[1]); waypost.KindOf(err) != waypost.Unauthenticated {
		t.Errorf("%v", err)
	}
	if got := w.audited(t, acme); !slices.Contains(got, "credential.create") || !slices.Contains(got, "credential.revoke") {
		t.Errorf("%v", got)
	}
}

func TestAKeyTypedWrongIsKept(t *testing.T) {
	w := newWorld(t)
	acme, other := w.operator(t, "Acme"), w.operator(t, "Other")
	_, _, err := w.options.Auth.Create(t.Context(), waypost.CommandLine(), auth.CreateRequest{OperatorID: other, Networks: mustNetworks("203.0.113.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	v := w.actingFor(t, acme)
	for _, tt := range []struct{ name, scope, kind, networks, want string }{
		{"", "send", "", "", "Give the key a name"},
		{strings.Repeat("x", 10_000), "send", "", "", "At most 200 characters"},
		{hostile, "operators", "", "", "One of these permissions does not exist."},
		{hostile, "everything", "", "", "One of these permissions does not exist."},
		{hostile, "send", "security", "", "The key may not send mail of this kind."},
		{hostile, "send", "test", "", "The key may not send mail of this kind."},
		{hostile, "send", "", "192.0.2.0/33", "192.0.2.0/33 is not a network."},
		{hostile, "send", "", hostile, "is not a network."},
		{hostile, "send", "", "0.0.0.0/0", "so wide that strangers could send"},
		{hostile, "send", "", "203.0.113.7", "Another operator uses one of these networks already."},
		{hostile, "send", "", strings.Repeat("10.0.0.1 ", 101), "At most 100 networks."},
	} {
		got := v.post("/keys/new", "name", tt.name, "scopes", tt.scope, "default_kind", tt.kind, "networks", tt.networks, "from_policy", "replace", "mode", "test")
		got.wants(tt.want)
		got.lacks("<script>alert")
		if got.status != http.StatusUnprocessableEntity && got.status != http.StatusConflict || got.value("name") != tt.name || got.value("networks") != strings.TrimSpace(tt.networks) {
			t.Errorf("%s: %d %.40q %q", tt.want, got.status, got.value("name"), got.value("networks"))
		}
	}
	got := v.post("/keys/new", "name", "Tracker", "from_policy", "replace")
	got.wants("Choose at least one.")
	v.open("/keys").wants("No keys yet")
}

func TestManyKeysHavePages(t *testing.T) {
	w := newWorld(t)
	acme := w.operator(t, "Acme")
	for i := range 55 {
		_, _, err := w.options.Auth.Create(t.Context(), waypost.CommandLine(), auth.CreateRequest{OperatorID: acme, Name: "K" + string(rune('A'+i/10)) + string(rune('0'+i%10)), Test: true})
		if err != nil {
			t.Fatal(err)
		}
	}
	v := w.visitor(t, acme, waypost.RoleViewer)
	first := v.open("/keys")
	first.wants("KF4", "KA5", "Test")
	first.lacks("KA4")
	second := v.open(nextOf(t, first))
	second.wants("KA4", "KA0", "First page")
	second.lacks("KA5", `rel="next"`)
}

func TestWhatConcernsOthersIsGrantedByThePlatformOnly(t *testing.T) {
	w := newWorld(t)
	acme := w.operator(t, "Acme")
	admin, staff := w.visitor(t, acme, waypost.RoleAdmin), w.actingFor(t, acme)
	form := admin.open("/keys/new")
	form.wants("Ask the platform's support for a key with this permission.")
	form.lacks("Networks")
	staff.open("/keys/new").wants("Networks")
	for name, fields := range map[string][]string{
		"security": {"scopes", "send", "scopes", "send:security"},
		"alarm":    {"scopes", "send:alarm"},
		"networks": {"scopes", "send", "networks", "192.0.2.0/24"},
	} {
		fields = append(fields, "name", name, "mode", "live", "from_policy", "replace")
		got := admin.post("/keys/new", fields...)
		got.wants("platform's support")
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s of an operator: %d", name, got.status)
		}
		if got := staff.post("/keys/new", fields...); got.status != http.StatusOK {
			t.Errorf("%s of the platform: %d %s", name, got.status, got.text())
		}
	}
}
