package panel_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/testmail"
	"github.com/waypost/waypost/internal/waypost"
)

// withTester gives the panel test mails.
func withTester(t testing.TB, addresses testmail.Addresses) *world {
	t.Helper()
	return newWorld(t, func(o *panel.Options) {
		o.Tester = testmail.New(testmail.Options{Store: o.Store, Accepter: o.Accepter, Addresses: addresses, Platform: o.Platform})
	})
}

// server is a form with an own SMTP server.
func server(change ...string) []string {
	form := []string{
		"gateway", "smtp", "preset", "other", "host", "mail.acme.example", "security", "starttls", "port", "587", "auth", "true",
		"username", "acme", "password", "s3cret of acme", "from_email", "fleet@acme.example", "from_name", "Acme, Fleet",
		"reply_to", "", "signature_text", "-- \nAcme", "signature_html", "<b>Acme</b>",
	}
	for i := 0; i+1 < len(change); i += 2 {
		for j := 0; j+1 < len(form); j += 2 {
			if form[j] == change[i] {
				form[j+1] = change[i+1]
			}
		}
	}
	return form
}

func TestAnOwnServerIsSavedInOneStep(t *testing.T) {
	w := withTester(t, nil)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	v.open("/settings/email").wants("Built-in gateway (recommended)", "Mail leaves through: Built-in gateway, as Acme <no-reply@platform.example>.")
	if got := v.post("/settings/email", server()...); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.text())
	}
	got := v.open("/settings/email")
	got.wants("Saved.", "Your SMTP server", "A password is saved.")
	got.lacks("s3cret")
	for name, want := range map[string]string{
		"host": "mail.acme.example", "port": "587", "username": "acme", "password": "", "from_email": "fleet@acme.example", "from_name": "Acme, Fleet",
		"signature_text": "-- \nAcme",
	} {
		if got.value(name) != want {
			t.Errorf("%s is %q", name, got.value(name))
		}
	}
	log, err := w.db.Store.AuditLog(t.Context(), op, "", 1)
	if err != nil || log[0].Action != "settings.save" || log[0].Actor.Name != v.user.Login || strings.Contains(string(log[0].Detail), "s3cret") {
		t.Errorf("%+v, %v", log, err)
	}
}

func TestASavedPasswordIsTypedAgainOnlyWhenItHasToBe(t *testing.T) {
	w := withTester(t, nil)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	v.post("/settings/email", server()...)
	for _, tt := range []struct {
		name string
		form []string
		ok   bool
	}{
		{"nothing changed", server("password", ""), true},
		{"only the sender", server("password", "", "from_email", "other@acme.example"), true},
		{"security raised", server("password", "", "security", "tls"), true},
		{"another server", server("password", "", "host", "other.example"), false},
		{"another port", server("password", "", "port", "2525"), false},
		{"another login", server("password", "", "username", "other"), false},
		{"any certificate", append(server("password", ""), "trust_all", "true"), false},
		{"no security", server("password", "", "security", "none"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v.post("/settings/email", server()...)
			got := v.post("/settings/email", tt.form...)
			if ok := got.status == http.StatusSeeOther; ok != tt.ok {
				t.Errorf("%d %s", got.status, got.text())
			}
			if !tt.ok {
				got.wants("Nothing was saved.", "Type the password.")
			}
		})
	}
}

func TestAWrongFormComesBackAsItWasTyped(t *testing.T) {
	w := withTester(t, nil)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	form := server("host", "http://mail.acme.example/", "port", "99", "from_email", "not an address", "from_name", `"><script>alert(1)</script>`)
	got := v.post("/settings/email", form...)
	if got.status != http.StatusUnprocessableEntity {
		t.Fatalf("%d", got.status)
	}
	got.wants("Nothing was saved.", "Give the name or the IP address of the server", "This port is not allowed.", "This is not an e-mail address that can be used here.")
	got.lacks("<script>alert", "s3cret")
	for name, want := range map[string]string{"host": "http://mail.acme.example/", "port": "99", "from_email": "not an address", "from_name": `"><script>alert(1)</script>`} {
		if got.value(name) != want {
			t.Errorf("%s is %q", name, got.value(name))
		}
	}
}

func TestAGatewayThatTheProductDoesNotIncludeIsGrey(t *testing.T) {
	w := withTester(t, nil)
	op := w.operator(t, "Acme")
	if err := w.db.Store.SaveOperator(t.Context(), waypost.CommandLine(), op, func(o *waypost.Operator) error { o.Product = waypost.ProductCloud; return nil }); err != nil {
		t.Fatal(err)
	}
	v := w.visitor(t, op, waypost.RoleAdmin)
	v.open("/settings/email").wants("Your product does not include this gateway.")
	got := v.post("/settings/email", "gateway", "builtin")
	if got.status != http.StatusUnprocessableEntity {
		t.Fatalf("%d", got.status)
	}
	got.wants("Your product does not include this gateway.")
}

func TestATestMailOverSettingsThatAreNotSavedShowsEachStage(t *testing.T) {
	w := withTester(t, nil)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	w.peer.set(reports(waypost.OutcomePermanent, waypost.Reply{Code: 535, Enhanced: "5.7.8", Text: "Authentication failed"}, "auth"))
	got := v.post("/settings/email/test", append(server(), "to", "me@acme.example")...)
	if got.status != http.StatusSeeOther || !strings.HasPrefix(got.location(), "/settings/email/test/") {
		t.Fatalf("%d %s", got.status, got.text())
	}
	run, err := w.options.Tester.Find(t.Context(), op, got.location()[strings.LastIndexByte(got.location(), '/')+1:])
	if err != nil {
		t.Fatal(err)
	}
	run.Wait(t.Context(), time.Minute)
	page := v.open(got.location())
	page.wants("Test mail to me@acme.example", "mx.example.net [192.0.2.7]:25")
	page.lacks("s3cret")
	v.open("/settings/email").wants("Built-in gateway, as") // nothing was saved
}

func TestATestMailIsRefusedWhereOneLooks(t *testing.T) {
	w := withTester(t, nil)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	got := v.post("/settings/email/test", append(server("port", "99"), "to", "me@acme.example")...)
	if got.status != http.StatusUnprocessableEntity {
		t.Errorf("%d", got.status)
	}
	got.wants("This port is not allowed.")
	got = v.post("/settings/email/test", append(server(), "to", "nobody")...)
	if got.status != http.StatusUnprocessableEntity || got.value("host") != "mail.acme.example" {
		t.Errorf("%d", got.status)
	}
	got.wants("Give the e-mail address where the test mail goes.")
}

func TestATestMailOfASuspendedOperatorSaysThatItIsSuspended(t *testing.T) {
	w := withTester(t, nil)
	op := w.operator(t, "Acme")
	v := w.actingFor(t, op) // its own people may not even try
	if _, err := w.accounts.Suspend(t.Context(), waypost.CommandLine(), op); err != nil {
		t.Fatal(err)
	}
	form := append(server(), "to", "me@acme.example")
	page := v.post("/settings/email/test", form...)
	part := v.postPart("/settings/email/test", form...)
	for name, got := range map[string]answer{"page": page, "part": part} {
		got.wants("Your account is suspended, so nothing can be sent.")
		got.lacks("No gateway is chosen")
		if name == "part" {
			got.lacks("<html")
		}
	}
}

func TestAViewerSeesSettingsAndChangesNone(t *testing.T) {
	w := withTester(t, nil)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleViewer)
	got := v.open("/settings/email")
	got.lacks("Save</button>", "Send test mail")
	for _, path := range []string{"/settings/email", "/settings/email/test"} {
		if got := v.post(path, append(server(), "to", "a@b.example")...); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	other := w.visitor(t, w.operator(t, "Bravo"), waypost.RoleAdmin)
	sent := w.visitor(t, op, waypost.RoleAdmin).post("/settings/email/test", "gateway", "builtin", "to", "me@acme.example")
	if got := other.get(sent.location()); got.status != http.StatusNotFound {
		t.Errorf("another operator's test mail: %d", got.status)
	}
}

func TestTheSignatureIsPreviewedInAFrameThatRunsNothing(t *testing.T) {
	w := withTester(t, nil)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	got := v.post("/settings/email/preview?part=html", server("signature_html", `<b>Acme</b><script>alert(1)</script>`)...)
	policy := got.header.Get("Content-Security-Policy")
	if got.status != http.StatusOK || !strings.Contains(got.body, "<b>Acme</b>") || !strings.Contains(policy, "default-src 'none'") ||
		!strings.Contains(policy, "sandbox") || strings.Contains(policy, "script-src") {
		t.Errorf("%d %s %s", got.status, policy, got.body)
	}
	// Letters outside ASCII are encoded in the mail, and shown all the same.
	for _, part := range []string{"text", "html"} {
		got = v.post("/settings/email/preview?part="+part, server("signature_text", "Служба поддержки", "signature_html", "<b>Служба поддержки</b>")...)
		if !strings.Contains(got.body, "Служба поддержки") {
			t.Errorf("%s: %s", part, got.body)
		}
	}
	got = v.post("/settings/email/preview?part=text", server()...)
	if !strings.Contains(got.body, "left the zone Depot") || !strings.Contains(got.body, "Acme") || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
		t.Errorf("%s", got.body)
	}
}

func TestAViewerPreviewsTheSavedSignature(t *testing.T) {
	w := withTester(t, nil)
	op := w.operator(t, "Acme")
	if got := w.visitor(t, op, waypost.RoleAdmin).post("/settings/email", server()...); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.text())
	}
	// Disabled fields are not sent.
	for part, want := range map[string]string{"text": "-- \nAcme", "html": "<b>Acme</b>"} {
		if got := w.visitor(t, op, waypost.RoleViewer).post("/settings/email/preview?part=" + part); !strings.Contains(strings.ReplaceAll(got.body, "\r\n", "\n"), want) {
			t.Errorf("%s: %s", part, got.body)
		}
	}
}
