package panel_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/waypost"
)

func TestSigningInLeadsToWhereOneWantedToGo(t *testing.T) {
	w := newWorld(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	if got := v.post("/sign-out"); got.location() != "/sign-in" {
		t.Fatalf("%d %s", got.status, got.location())
	}
	got := v.get("/messages?state=queued")
	if got.status != http.StatusSeeOther || got.location() != "/sign-in?next=%2Fmessages%3Fstate%3Dqueued" {
		t.Fatalf("%d %s", got.status, got.location())
	}
	v.get(got.location()).wants("You are signed out.", "Sign in")
	got = v.post("/sign-in", "login", v.user.Login, "password", "wrong", "next", "/messages?state=queued")
	got.wants("Login, password or code is wrong.")
	if got.status != http.StatusUnauthorized || got.value("login") != v.user.Login || got.value("next") != "/messages?state=queued" || got.value("password") != "" {
		t.Errorf("%d: what was typed is lost: %s", got.status, got.body)
	}
	for next, want := range map[string]string{
		"/messages?state=queued": "/messages?state=queued", "//evil.example/": "/", "https://evil.example/": "/", "/\\evil.example": "/",
	} {
		if got = v.post("/sign-in", "login", v.user.Login, "password", password, "next", next); got.location() != want {
			t.Errorf("%s leads to %q", next, got.location())
		}
	}
}

func TestASessionCookieIsKeptFromScriptsAndOtherSites(t *testing.T) {
	w := newWorld(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	got := v.post("/sign-in", "login", v.user.Login, "password", password)
	cookie := strings.Join(got.header.Values("Set-Cookie"), "\n")
	if !strings.Contains(cookie, "waypost_session=") || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
		t.Errorf("%s", cookie)
	}
	got = v.do(http.MethodPost, "/sign-out", strings.NewReader(""), "Sec-Fetch-Site", "cross-site")
	if got.status != http.StatusForbidden {
		t.Errorf("a form of another site: %d", got.status)
	}
	if got := v.get("/sign-in"); got.location() != "/" {
		t.Errorf("signed out by another site: %d", got.status)
	}
}

// A neighbor under the same domain, or who sits in the middle of a page without TLS, must not
// plant a session of its own.
func TestASessionIsTakenFromThisVeryHostOnly(t *testing.T) {
	w := newWorld(t, func(o *panel.Options) { o.PublicURL = "https://mail.example" })
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	got := v.post("/sign-in", "login", v.user.Login, "password", password)
	cookie := strings.Join(got.header.Values("Set-Cookie"), "\n")
	token, _, _ := strings.Cut(strings.TrimPrefix(cookie, "__Host-waypost_session="), ";")
	if len(token) != 43 || !strings.Contains(cookie, "; Secure") || !strings.Contains(cookie, "Path=/;") || strings.Contains(cookie, "Domain") {
		t.Fatalf("%s", cookie)
	}
	planted := w.stranger(t)
	if got := planted.do(http.MethodGet, "/account", nil, "Cookie", "waypost_session="+token); got.status != http.StatusSeeOther {
		t.Errorf("another host's cookie: %d", got.status)
	}
	if got := planted.do(http.MethodGet, "/account", nil, "Cookie", "__Host-waypost_session="+token); got.status != http.StatusOK {
		t.Errorf("%d", got.status)
	}
	v.switchTOTPOn(t)
	got = w.stranger(t).post("/sign-in", "login", v.user.Login, "password", password)
	if cookie := got.header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "__Host-waypost_sign_in=") {
		t.Errorf("between the steps: %s", cookie)
	}
	got = v.post("/sign-out")
	if cookie := strings.Join(got.header.Values("Set-Cookie"), "\n"); !strings.Contains(cookie, "__Host-waypost_session=;") {
		t.Errorf("%s", cookie)
	}
}

func TestSigningInAgainEndsTheSessionBefore(t *testing.T) {
	w := newWorld(t)
	acme := w.operator(t, "Acme")
	v, other := w.actingFor(t, acme), w.visitor(t, acme, waypost.RoleAdmin)
	got := v.post("/sign-in", "login", other.user.Login, "password", "wrong")
	if got.status != http.StatusUnauthorized || v.get("/overview").status != http.StatusOK {
		t.Fatalf("a wrong password signs out: %d", got.status)
	}
	if got := v.post("/sign-in", "login", other.user.Login, "password", password); got.location() != "/" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	if n := w.db.Int(t, "SELECT COUNT(*) FROM user_session WHERE user_id = $1 AND ended = 0", v.user.ID); n != 0 {
		t.Errorf("%d sessions that no browser has go on", n)
	}
	if !slices.Contains(w.audited(t, acme), "operator.sign_out_as") {
		t.Errorf("%v", w.audited(t, acme))
	}
	v.open("/account").wants(other.user.Login)
}

func TestBrowsersAreToldToComeByTLS(t *testing.T) {
	for address, want := range map[string]string{"https://mail.example": "max-age=2592000", "http://mail.example": "", "": ""} {
		w := newWorld(t, func(o *panel.Options) { o.PublicURL = address })
		for _, path := range []string{"/sign-in", "/brand.css", "/nowhere"} {
			if got := w.stranger(t).get(path).header.Get("Strict-Transport-Security"); got != want {
				t.Errorf("%s at %q: %q", path, address, got)
			}
		}
	}
}

func TestPagesSpeakTheLanguageOfWhoReads(t *testing.T) {
	w := newWorld(t)
	v := w.stranger(t)
	v.do(http.MethodGet, "/sign-in", nil, "Accept-Language", "de, es;q=0.8").wants("Iniciar sesión")
	v.get("/sign-in?lang=ru").wants("Забыли пароль?")
	v.get("/sign-in").wants("Забыли пароль?")
	v.get("/sign-in?lang=xx").wants("Забыли пароль?")
}
