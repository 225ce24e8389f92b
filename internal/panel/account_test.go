package panel_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/waypost"
)

func TestPeopleChangeWhatIsAboutThemselves(t *testing.T) {
	w, m := withPostman(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleViewer)
	got := v.open("/account")
	got.wants("Your account", v.user.Login, "Viewer", "Acme", "Where you are signed in", "This one")
	if got.value("name") != v.user.Name || got.value("email") != v.user.Email {
		t.Errorf("%q %q", got.value("name"), got.value("email"))
	}
	got = v.post("/account", "name", "Zoë", "email", v.user.Email, "language", "es", "time_zone", "mexico city", "theme", "dark")
	if got.location() != "/account" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	got = v.open("/account")
	got.wants("Su cuenta", "Guardado.")
	if got.value("name") != "Zoë" || got.value("time_zone") != "America/Mexico_City" || !strings.Contains(got.body, `data-wp-theme="dark"`) {
		t.Errorf("%q %q", got.value("name"), got.value("time_zone"))
	}
	v.post("/account", "name", "Zoë", "email", v.user.Email, "theme", "auto")
	if got := v.open("/account"); !strings.Contains(got.body, `data-wp-theme="auto"`) {
		t.Error("colors stay")
	}
	if sent := m.take(t); len(sent) != 0 {
		t.Errorf("%v", sent)
	}
}

func TestWhatIsTypedWrongIsKeptWithTheReason(t *testing.T) {
	w := newWorld(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	for _, tt := range []struct{ field, value, want string }{
		{"name", strings.Repeat("x", 10_000), "At most 200 characters"},
		{"name", "a\u202eb", "At most 200 characters"},
		{"time_zone", "Nowhere/At_All", "There is no such time zone"},
	} {
		form := map[string]string{"name": "Ann", "email": v.user.Email, "time_zone": "UTC"}
		form[tt.field] = tt.value
		got := v.post("/account", "name", form["name"], "email", form["email"], "time_zone", form["time_zone"])
		got.wants(tt.want)
		if got.status != http.StatusUnprocessableEntity || got.value(tt.field) != tt.value {
			t.Errorf("%s: %d, %.50q", tt.field, got.status, got.value(tt.field))
		}
	}
	v.post("/account", "name", hostile, "email", v.user.Email)
	got := v.open("/account")
	got.lacks("<script>alert")
	if got.value("name") != hostile {
		t.Errorf("%q", got.value("name"))
	}
}

func TestAnotherAddressTakesThePasswordAndTheOldOneIsTold(t *testing.T) {
	w, m := withPostman(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	for _, confirm := range []string{"", "wrong"} {
		got := v.post("/account", "name", "Ann", "email", "thief@evil.example", "confirm", confirm)
		got.wants("To change the e-mail address, type your current password.")
		if got.status != http.StatusUnprocessableEntity || got.value("email") != "thief@evil.example" {
			t.Errorf("%d", got.status)
		}
	}
	got := v.post("/account", "name", "Ann", "email", "not an address", "confirm", password)
	got.wants("This is not an e-mail address.")
	if got := v.post("/account", "name", "Ann", "email", "New@People.Example", "confirm", password); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.text())
	}
	sent := m.take(t)
	if l := sent[v.user.Email]; len(sent) != 1 || !strings.Contains(l.text, "New@people.example") && !strings.Contains(l.text, "new@people.example") {
		t.Errorf("%+v", sent)
	}
}

func TestAPasswordChangeAsksForTheCurrentOneAndEndsOtherSessions(t *testing.T) {
	w, m := withPostman(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	elsewhere := w.stranger(t)
	elsewhere.post("/sign-in", "login", v.user.Login, "password", password)
	elsewhere.open("/account")
	for _, tt := range []struct{ current, password, again, want string }{
		{"wrong", fresh, fresh, "This is not your password."},
		{password, "short", "short", "at least 10 characters"},
		{password, fresh, fresh + "!", "The two passwords differ."},
	} {
		got := v.post("/account/password", "current_password", tt.current, "password", tt.password, "again", tt.again)
		got.wants(tt.want)
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("%d", got.status)
		}
		got.lacks(tt.password)
	}
	if got := v.post("/account/password", "current_password", password, "password", fresh, "again", fresh); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.text())
	}
	v.open("/account").wants("Your password was changed.")
	if elsewhere.get("/account").status != http.StatusSeeOther {
		t.Error("the other session goes on")
	}
	if l := m.take(t)[v.user.Email]; !strings.Contains(l.subject, "Your password for Fleetmail was changed") {
		t.Errorf("%+v", l)
	}
	for range 8 {
		v.post("/account/password", "current_password", "wrong", "password", fresh, "again", fresh)
	}
	got := v.post("/account/password", "current_password", "wrong", "password", fresh, "again", fresh)
	got.wants("Too many tries.")
	if got.status != http.StatusTooManyRequests {
		t.Errorf("%d", got.status)
	}
	w.quiet(t, fresh, password)
}

func TestALoginThatIsAnAddressChangesWithIt(t *testing.T) {
	w, m := withPostman(t)
	acme := w.operator(t, "Acme")
	u, err := w.users.Create(t.Context(), waypost.CommandLine(), auth.NewUser{
		OperatorID: acme, Login: "ann@people.example", Email: "ann@people.example", Role: waypost.RoleViewer,
	}, password)
	if err != nil {
		t.Fatal(err)
	}
	v := w.stranger(t)
	v.post("/sign-in", "login", u.Login, "password", password)
	v.open("/account").wants("It is the login, too")
	v.post("/account", "email", "", "confirm", password).wants("This address is the login, too")
	if got := v.post("/account", "email", "anna@people.example", "confirm", password); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.text())
	}
	if l := m.take(t)["ann@people.example"]; !strings.Contains(l.text, "sign in with the new one") || !strings.Contains(l.text, "anna@people.example") {
		t.Errorf("%+v", l)
	}
	if got := w.stranger(t).post("/sign-in", "login", "anna@people.example", "password", password); got.location() != "/" {
		t.Errorf("%d %s", got.status, got.text())
	}
	// Also when somebody else changes it, but for an address that another one signs in with.
	admin := w.visitor(t, acme, waypost.RoleAdmin)
	if _, err := w.users.Create(t.Context(), waypost.CommandLine(), auth.NewUser{
		OperatorID: acme, Login: "boss@people.example", Role: waypost.RoleViewer,
	}, password); err != nil {
		t.Fatal(err)
	}
	admin.post("/team/"+u.ID, "name", "", "email", "boss@people.example", "role", "viewer").wants("Another person signs in with this address already.")
	got := admin.post("/team/"+u.ID, "name", "", "email", "nobody@people.example", "role", "viewer")
	if got.location() != "/team/"+u.ID || w.read(t, u.ID).Login != "nobody@people.example" {
		t.Errorf("%d %s", got.status, got.text())
	}
	admin.open("/team/" + u.ID).wants("It is the login, too")
}

var reSecret = regexp.MustCompile(`data-copy="([A-Z2-7]{32})"`)

func code(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	c, err := totp.GenerateCode(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTwoStepSignIn(t *testing.T) {
	w, m := withPostman(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	if got := v.get("/account/totp"); got.location() != "/account" {
		t.Errorf("nothing to confirm: %d", got.status)
	}
	for _, typed := range []string{"", "a guess"} { // who finds the browser open
		got := v.post("/account/totp", "totp_password", typed)
		got.wants("This is not your password.")
		if got.status != http.StatusUnprocessableEntity || got.value("totp_password") != "" {
			t.Fatalf("%d", got.status)
		}
		if got := v.get("/account/totp"); got.location() != "/account" {
			t.Errorf("a secret without the password: %d", got.status)
		}
	}
	if got := v.post("/account/totp", "totp_password", password); got.location() != "/account/totp" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	page := v.open("/account/totp")
	page.wants("Scan the code", "Google Authenticator")
	if !strings.Contains(page.body, `src="data:image/svg+xml;base64,`) || !strings.Contains(page.body, `href="otpauth://totp/`) {
		t.Fatal(page.body)
	}
	secret := reSecret.FindStringSubmatch(page.body)
	if secret == nil {
		t.Fatal(page.body)
	}
	got := v.post("/account/totp/confirm", "code", "000000")
	got.wants("Not the code that the app shows now.")
	if again := reSecret.FindStringSubmatch(got.body); got.status != http.StatusUnprocessableEntity || again == nil || again[1] != secret[1] {
		t.Fatalf("%d: a mistyped code takes another secret", got.status)
	}
	now := time.Now()
	got = v.post("/account/totp/confirm", "code", code(t, secret[1], now))
	got.wants("they are shown only once", "Recovery codes")
	recovery := regexp.MustCompile(`<code>([a-z2-7]{4}(?:-[a-z2-7]{4}){3})</code>`).FindAllStringSubmatch(got.body, -1)
	file := regexp.MustCompile(`href="(data:text/plain[^"]*)"`).FindStringSubmatch(got.body)
	if len(recovery) != 10 || file == nil {
		t.Fatalf("%d codes, %s", len(recovery), got.body)
	}
	if text, err := url.PathUnescape(file[1]); err != nil || !strings.Contains(text, recovery[9][1]) {
		t.Errorf("%s, %v", text, err)
	}
	if got := v.post("/account/totp/confirm", "code", code(t, secret[1], now)); got.location() != "/account" {
		t.Errorf("sent twice: %d", got.status)
	}
	if l := m.take(t)[v.user.Email]; !strings.Contains(l.subject, "Two-step sign-in at Fleetmail was switched on") || !strings.Contains(l.text, v.user.Login) {
		t.Errorf("%+v", l)
	}
	got = v.open("/account")
	got.wants("You have 10 recovery codes left.")
	got.lacks(recovery[0][1], secret[1])

	// With the app, whose codes are good once; then with a recovery code.
	used := code(t, secret[1], now)
	for _, tt := range []struct {
		code string
		want int
	}{
		{used, http.StatusUnauthorized},
		{"123", http.StatusUnauthorized},
		{code(t, secret[1], now.Add(30*time.Second)), http.StatusSeeOther},
		{strings.ToUpper(recovery[0][1]), http.StatusSeeOther},
		{recovery[0][1], http.StatusUnauthorized},
	} {
		s := w.stranger(t)
		if got := s.post("/sign-in", "login", v.user.Login, "password", password, "next", "/keys"); got.location() != "/sign-in/code?next=%2Fkeys" {
			t.Fatalf("%d %s", got.status, got.location())
		}
		if got := s.get("/keys"); got.status != http.StatusSeeOther {
			t.Fatalf("signed in by half: %d", got.status)
		}
		s.open("/sign-in/code?next=%2Fkeys").wants("One more step")
		got := s.post("/sign-in/code", "code", tt.code, "next", "/keys")
		if got.status != tt.want || tt.want == http.StatusSeeOther && got.location() != "/keys" {
			t.Fatalf("%s: %d %s", tt.code, got.status, got.location())
		}
	}
	v.open("/account").wants("You have 9 recovery codes left.")

	got = v.post("/account/totp/off", "totp_password", "wrong")
	got.wants("This is not your password.")
	if got.status != http.StatusUnprocessableEntity {
		t.Errorf("%d", got.status)
	}
	if got := v.post("/account/totp/off", "totp_password", password); got.location() != "/account" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	v.open("/account").wants("Two-step sign-in is off.", "Set up")
	if l := m.take(t)[v.user.Email]; !strings.Contains(l.subject, "switched off") {
		t.Errorf("%+v", l)
	}
	if got := w.stranger(t).post("/sign-in", "login", v.user.Login, "password", password); got.location() != "/" {
		t.Errorf("%d %s", got.status, got.location())
	}
	w.quiet(t, secret[1], recovery[1][1])
}

func TestCodesAreNotGuessed(t *testing.T) {
	w := newWorld(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	v.post("/account/totp", "totp_password", password)
	secret := reSecret.FindStringSubmatch(v.open("/account/totp").body)[1]
	v.post("/account/totp/confirm", "code", code(t, secret, time.Now())).wants("Recovery codes")
	s := w.stranger(t)
	s.post("/sign-in", "login", v.user.Login, "password", password)
	var got answer
	for range 12 {
		got = s.post("/sign-in/code", "code", "000000")
	}
	got.wants("Too many tries.")
	if got.status != http.StatusTooManyRequests {
		t.Errorf("%d", got.status)
	}
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	w := newWorld(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	signIn := func(agent string) *visitor {
		s := w.stranger(t)
		got := s.do(http.MethodPost, "/sign-in", strings.NewReader(url.Values{"login": {v.user.Login}, "password": {password}}.Encode()), "User-Agent", agent)
		if got.status != http.StatusSeeOther {
			t.Fatalf("%d", got.status)
		}
		return s
	}
	phone := signIn("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1")
	evil := signIn(`<script>alert(1)</script>` + strings.Repeat("x", 1000))
	tablet := signIn("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36")
	got := v.open("/account")
	got.wants("Safari, iPhone", "Chrome, Android", "127.0.0.1")
	got.lacks("<script>alert")
	ends := regexp.MustCompile(`/account/sessions/([0-9a-f-]{36})/end`).FindAllStringSubmatch(got.body, -1)
	if len(ends) != 3 { // newest first, and not this one
		t.Fatalf("%v", ends)
	}
	if got := v.post("/account/sessions/" + ends[2][1] + "/end"); got.location() != "/account" {
		t.Fatalf("%d", got.status)
	}
	if phone.get("/account").status != http.StatusSeeOther || tablet.get("/account").status != http.StatusOK {
		t.Error("another session ended")
	}
	// Twice, and those of others.
	other := w.visitor(t, w.operator(t, "Other"), waypost.RoleAdmin)
	for _, got := range []answer{v.post("/account/sessions/" + ends[2][1] + "/end"), other.post("/account/sessions/" + ends[0][1] + "/end")} {
		if got.location() != "/account" {
			t.Errorf("%d", got.status)
		}
	}
	if tablet.get("/account").status != http.StatusOK {
		t.Error("a stranger ended it")
	}
	if got := v.post("/account/sessions/end"); got.location() != "/account" {
		t.Fatalf("%d", got.status)
	}
	if tablet.get("/account").status != http.StatusSeeOther || evil.get("/account").status != http.StatusSeeOther {
		t.Error("others go on")
	}
	v.open("/account").wants("Recent sign-ins", "Ended")
}

func TestTimeZonesAreThoseOfThisProgram(t *testing.T) {
	w := newWorld(t)
	v := w.visitor(t, "", waypost.RoleAuditor)
	list := regexp.MustCompile(`<option value="([A-Za-z_/+-]+)"></option>`).FindAllStringSubmatch(v.open("/account").body, -1)
	if len(list) < 400 {
		t.Fatalf("%d", len(list))
	}
	for _, z := range list {
		if _, err := time.LoadLocation(z[1]); err != nil {
			t.Errorf("%s: %v", z[1], err)
		}
	}
}
