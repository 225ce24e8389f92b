package panel_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/waypost"
)

const fresh = "a quite different sentence"

func TestAForgottenPasswordIsSetWithAMailedLink(t *testing.T) {
	w, m := withPostman(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	s := w.stranger(t)
	s.open("/forgot").wants("Reset your password")
	got := s.post("/forgot", "who", "  "+strings.ToUpper(v.user.Email)+" ")
	if got.status != http.StatusSeeOther || got.location() != "/forgot/sent" {
		t.Fatalf("%d %s", got.status, got.location())
	}
	s.open("/forgot/sent").wants("Look into your mailbox")
	l := m.take(t)[v.user.Email]
	if l.path == "" || !strings.Contains(l.text, "https://mail.example/reset/") || !strings.Contains(l.text, v.user.Login) || !strings.Contains(l.subject, "Fleetmail") {
		t.Fatalf("%+v", l)
	}
	got = s.open(l.path)
	got.wants("Choose another password", v.user.Login, "At least 10 characters")
	if got.header.Get("Referrer-Policy") != "no-referrer" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", got.header)
	}
	for _, tt := range []struct{ password, again, want string }{
		{fresh, "another", "The two passwords differ."},
		{"short", "short", "at least 10 characters"},
		{v.user.Login, v.user.Login, "must differ from login"},
		{"1234567890", "1234567890", "tried first"},
	} {
		got := s.post(l.path, "password", tt.password, "again", tt.again)
		got.wants(tt.want)
		if got.status != http.StatusUnprocessableEntity || got.value("password") != "" {
			t.Errorf("%d %q", got.status, got.value("password"))
		}
	}
	// A browser that keeps the address to itself does not say where the form comes from, and
	// without TLS says nothing else either.
	got = s.do(http.MethodPost, l.path, strings.NewReader("password="+strings.ReplaceAll(fresh, " ", "+")+"&again="+strings.ReplaceAll(fresh, " ", "+")), "Origin", "null")
	if got.status != http.StatusSeeOther || got.location() != "/sign-in" {
		t.Fatalf("%d %s\n%s", got.status, got.location(), got.text())
	}
	s.open("/sign-in").wants("Your password is saved.")
	if v.get("/account").status != http.StatusSeeOther {
		t.Error("a session outlived the password")
	}
	if got := s.post("/sign-in", "login", v.user.Login, "password", password); got.status != http.StatusUnauthorized {
		t.Errorf("the old password: %d", got.status)
	}
	if got := s.post("/sign-in", "login", v.user.Login, "password", fresh); got.status != http.StatusSeeOther {
		t.Errorf("the new password: %d", got.status)
	}
	if l := m.take(t)[v.user.Email]; !strings.Contains(l.subject, "was changed") || l.path != "" {
		t.Errorf("the user is not told: %+v", l)
	}
	// Once.
	for _, got := range []answer{s.get(l.path), s.post(l.path, "password", fresh, "again", fresh)} {
		got.wants("This link no longer works", "older than an hour")
		if got.status != http.StatusNotFound {
			t.Errorf("%d", got.status)
		}
	}
	w.quiet(t, strings.TrimPrefix(l.path, "/reset/"), fresh)
}

func TestAskingForALinkTellsNothing(t *testing.T) {
	w, m := withPostman(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	var first answer
	for i, who := range []string{v.user.Email, "nobody@people.example", "nobody", hostile, strings.Repeat("x", 10_000)} {
		got := w.stranger(t).post("/forgot", "who", who)
		if i == 0 {
			first = got
			if len(m.take(t)) != 1 {
				t.Error("no mail")
			}
			continue
		}
		if got.status != first.status || got.location() != first.location() || got.body != first.body {
			t.Errorf("%.40q: %d %s", who, got.status, got.location())
		}
		if sent := m.take(t); len(sent) != 0 {
			t.Errorf("%.40q: %v", who, sent)
		}
	}
	s := w.stranger(t)
	got := s.post("/forgot", "who", " ")
	got.wants("Type your login")
	if got.status != http.StatusUnprocessableEntity {
		t.Errorf("%d", got.status)
	}
	for range 12 {
		got = s.post("/forgot", "who", "nobody@people.example")
	}
	got.wants("Too many tries.")
	if got.status != http.StatusTooManyRequests || got.value("who") != "nobody@people.example" {
		t.Errorf("%d %s", got.status, got.value("who"))
	}
}

func TestALinkLeadsWhereTheConfigurationSaysWhoeverAsks(t *testing.T) {
	w, m := withPostman(t, func(o *panel.Options) { o.PublicURL, o.LocalURL = "", "http://127.0.0.1:8080" })
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	s := w.stranger(t)
	s.client.Transport = otherHost{}
	got := s.do(http.MethodPost, "/forgot", strings.NewReader("who="+v.user.Login), "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https")
	if got.status != http.StatusSeeOther {
		t.Fatalf("%d", got.status)
	}
	if l := m.take(t)[v.user.Email]; !strings.Contains(l.text, "http://127.0.0.1:8080/reset/") || strings.Contains(l.text+l.html, "evil") {
		t.Errorf("%s", l.text)
	}
}

// otherHost asks for another host than it connects to.
type otherHost struct{}

func (otherHost) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Host = "evil.example"
	return http.DefaultTransport.RoundTrip(r) //nolint:forbidigo // to a server of the test
}

func TestMailsSpeakTheLanguageOfWhoGetsThem(t *testing.T) {
	w, m := withPostman(t)
	for code, want := range map[string]string{"en": "Choose another password", "es": "Elija otra contraseña", "pt": "Escolha outra senha", "ru": "Новый пароль"} {
		n := auth.NewUser{Login: "u-" + code, Email: code + "@people.example", Name: "Ивáн " + code, Role: waypost.RoleSupport, Language: code, TimeZone: "America/Bogota"}
		if _, err := w.users.Create(t.Context(), waypost.CommandLine(), n, password); err != nil {
			t.Fatal(err)
		}
		w.stranger(t).post("/forgot", "who", n.Login)
		l := m.take(t)[n.Email]
		if !strings.Contains(l.subject, want) || !strings.Contains(l.html, `lang="`+code+`"`) || !strings.Contains(l.text, "Fleetmail") {
			t.Errorf("%s: %+v", code, l)
		}
		if strings.Contains(l.text, "letter.") || strings.Contains(l.text, "<no value>") {
			t.Errorf("%s: %s", code, l.text)
		}
	}
}

func TestWithoutMailNobodyIsPromisedALink(t *testing.T) {
	w := newWorld(t, inSandbox)
	w.stranger(t).open("/forgot/sent").wants("No mail leaves this installation yet")
}

func TestLinksThatAreNoneSaySo(t *testing.T) {
	w := newWorld(t)
	s := w.stranger(t)
	for _, path := range []string{"/reset/x", "/invite/" + strings.Repeat("A", 43), "/reset/" + strings.Repeat("%00", 10), "/first/x", "/invite/" + strings.Repeat("y", 5000)} {
		for _, got := range []answer{s.get(path), s.post(path, "password", fresh, "again", fresh)} {
			got.wants("This link no longer works")
			if got.status != http.StatusNotFound || got.header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%s: %d %s", path, got.status, got.header.Get("Referrer-Policy"))
			}
		}
	}
}
