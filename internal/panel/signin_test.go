package panel_test

import (
	"net/http"
	"strings"
	"testing"

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

func TestPagesSpeakTheLanguageOfWhoReads(t *testing.T) {
	w := newWorld(t)
	v := w.stranger(t)
	v.do(http.MethodGet, "/sign-in", nil, "Accept-Language", "de, es;q=0.8").wants("Iniciar sesión")
	v.get("/sign-in?lang=ru").wants("Забыли пароль?")
	v.get("/sign-in").wants("Забыли пароль?")
	v.get("/sign-in?lang=xx").wants("Забыли пароль?")
}
