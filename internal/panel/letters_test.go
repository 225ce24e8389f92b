package panel_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/waypost"
)

// letters counts what was sent since it was last asked, by who gets it.
func (m *postman) letters(t *testing.T) map[string]int {
	t.Helper()
	m.wait.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	count := map[string]int{}
	for _, s := range m.sent {
		count[s.Recipients[0]]++
	}
	m.sent = nil
	return count
}

func TestNobodyIsToldOfWhatDidNotChange(t *testing.T) {
	w, m := withPostman(t)
	acme := w.operator(t, "Acme")
	v, bob := w.visitor(t, acme, waypost.RoleAdmin), w.person(t, acme, "bob", waypost.RoleViewer)
	for range 3 { // there are no codes to switch off
		if got := v.post("/team/" + bob.ID + "/totp"); got.location() != "/team/"+bob.ID {
			t.Fatalf("%d %s", got.status, got.text())
		}
	}
	v.post("/team/"+bob.ID, "name", "Bob", "email", strings.ToUpper(bob.Email), "role", "viewer")
	v.post("/account/totp/off", "totp_password", password)
	if sent := m.letters(t); len(sent) != 0 {
		t.Errorf("%v", sent)
	}
}

func TestAnAddressGetsFewLetters(t *testing.T) {
	w, m := withPostman(t)
	acme := w.operator(t, "Acme")
	v := w.visitor(t, acme, waypost.RoleAdmin)
	bob := w.person(t, acme, "bob", waypost.RoleViewer)
	for i := range 7 {
		got := v.post("/team/" + bob.ID + "/reset")
		if i < 5 && got.location() == "" || i >= 5 && got.status != http.StatusTooManyRequests {
			t.Fatalf("%d: %d %s", i, got.status, got.text())
		}
		if i >= 5 {
			got.wants("Too many letters went to this address. Wait an hour, then try again.")
		}
	}
	if sent := m.letters(t); sent[bob.Email] != 5 || len(sent) != 1 {
		t.Errorf("%v", sent)
	}
	if n := w.db.Int(t, "SELECT COUNT(*) FROM user_token WHERE purpose = 'reset'"); n != 5 {
		t.Errorf("%d links", n)
	}
	// Notices of what happened are counted apart: nobody keeps them back with links.
	for i := range 14 {
		there := []string{"there@people.example", bob.Email}[i%2]
		if got := v.post("/team/"+bob.ID, "name", "", "email", there, "role", "viewer"); got.location() != "/team/"+bob.ID {
			t.Fatalf("%d %s", got.status, got.text())
		}
	}
	if sent := m.letters(t); sent[bob.Email] != 5 || sent["there@people.example"] != 5 || len(sent) != 2 {
		t.Errorf("%v", sent)
	}
	if !strings.Contains(w.log.String(), "a mail about a user is left out") {
		t.Error("what is left out is not logged")
	}
}

func TestAnInvitationToAnAddressThatGotManyIsRefusedBeforeAnybodyIsMade(t *testing.T) {
	w, m := withPostman(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	invite := func(i int, email string) answer {
		return v.post("/team/new", "email", email, "login", fmt.Sprint("victim", i), "role", "viewer")
	}
	for i := range 5 {
		if got := invite(i, fmt.Sprintf("Victim+%d@people.example", i)); got.location() != "/team" { // one mailbox
			t.Fatalf("%d %s", got.status, got.text())
		}
	}
	got := invite(5, "victim+more@people.example")
	got.wants("Too many letters went to this address. Wait an hour, then try again.")
	if got.status != http.StatusTooManyRequests || got.value("email") != "victim+more@people.example" {
		t.Errorf("%d", got.status)
	}
	if n := w.db.Int(t, "SELECT COUNT(*) FROM app_user WHERE login = 'victim5'"); n != 0 {
		t.Error("the person was made")
	}
	sum := 0
	for _, n := range m.letters(t) {
		sum += n
	}
	if sum != 5 {
		t.Errorf("%d letters", sum)
	}
	if got := invite(6, "ann@people.example"); got.location() != "/team" {
		t.Errorf("another address: %d %s", got.status, got.text())
	}
	// An invitation that was sent stays good when another one cannot be.
	u, err := w.users.ByLogin(t.Context(), "victim0")
	if err != nil {
		t.Fatal(err)
	}
	v.post("/team/" + u.ID + "/invite").wants("Too many letters went to this address.")
	if n := w.db.Int(t, "SELECT COUNT(*) FROM user_token WHERE user_id = $1", u.ID); n != 1 {
		t.Errorf("%d links", n)
	}
}

func TestAnOperatorSendsFewLetters(t *testing.T) {
	w, m := withPostman(t)
	acme, other := w.operator(t, "Acme"), w.operator(t, "Other")
	admins := []*visitor{w.visitor(t, acme, waypost.RoleAdmin), w.visitor(t, acme, waypost.RoleAdmin)} // one alone may not change so much at once
	bob := w.person(t, acme, "bob", waypost.RoleViewer)
	for i := range 70 { // the address before is told
		if got := admins[i%2].post("/team/"+bob.ID, "name", "", "email", fmt.Sprintf("victim%d@people.example", i), "role", "viewer"); got.location() != "/team/"+bob.ID {
			t.Fatalf("%d %s", got.status, got.text())
		}
	}
	if sent := m.letters(t); len(sent) != 60 {
		t.Errorf("%d letters", len(sent))
	}
	eve := w.person(t, other, "eve", waypost.RoleViewer)
	w.visitor(t, other, waypost.RoleAdmin).post("/team/"+eve.ID, "name", "", "email", "new@people.example", "role", "viewer")
	if sent := m.letters(t); sent[eve.Email] != 1 {
		t.Errorf("another operator's: %v", sent)
	}
}

func TestALetterGreetsNobodyByALink(t *testing.T) {
	w, m := withPostman(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	i := 0
	for name, greeted := range map[string]bool{
		"Ann": true, "J. R. R. Tolkien": true, "Dr. José Núñez-Ortiz": true, "Ann, of Acme Inc.": true, "": false,
		"you won: https://evil.example/x": false, "see evil.example now": false, "WWW.evil": false, "ftp://x": false, "ann@evil.example": false,
		"go to evil。example": false, "ｗｗｗ．evil．example": false, "зайди на пример.рф": false, "192.0.2.77": false, "t.co": false,
	} {
		i++
		email := fmt.Sprintf("p%d@people.example", i)
		if got := v.post("/team/new", "email", email, "name", name, "role", "viewer"); got.location() != "/team" {
			t.Fatalf("%q: %d %s", name, got.status, got.text())
		}
		l := m.take(t)[email]
		want := "Hello,"
		if greeted {
			want = "Hello " + name + ","
		}
		if !strings.HasPrefix(strings.TrimSpace(l.text), want) || !greeted && name != "" && strings.Contains(l.text+l.html+l.to, name) {
			t.Errorf("%q: %q to %q", name, l.text[:min(80, len(l.text))], l.to)
		}
	}
}
