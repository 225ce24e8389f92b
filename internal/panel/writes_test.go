package panel_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// wornOut sends forms until one is refused, and returns how many were not.
func wornOut(t *testing.T, send func() answer) (sent int, refused answer) {
	t.Helper()
	for sent < 1000 {
		got := send()
		if got.status == http.StatusTooManyRequests {
			return sent, got
		}
		sent++
	}
	t.Fatalf("%d forms in a row and none was refused", sent)
	return 0, answer{}
}

func TestAPersonChangesOnlySoMuchAtOnce(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	v, colleague := w.visitor(t, op, waypost.RoleViewer), w.visitor(t, op, waypost.RoleViewer)
	form := func(language string) []string {
		return []string{"name", "Mx", "email", v.user.Email, "language", language}
	}
	began := time.Now()
	sent, refused := wornOut(t, func() answer { return v.post("/account", form("es")...) })
	if most := 61 + int(time.Since(began).Seconds()); sent < 60 || sent > most {
		t.Errorf("%d changes, want 60 to %d", sent, most)
	}
	refused.wants("Demasiadas peticiones", "por lo que esto no se hizo")
	if after := refused.header.Get("Retry-After"); after != "30" || !strings.Contains(refused.body, "<html") {
		t.Errorf("%q %s", after, refused.body)
	}
	changes := 0
	for _, action := range w.audited(t, op) {
		if action == "user.change" {
			changes++
		}
	}
	if changes > sent {
		t.Errorf("%d changes were recorded, %d were answered", changes, sent)
	}
	// It still reads, gets part of a page where that was asked for, and may leave.
	v.open("/account")
	_, part := wornOut(t, func() answer { return v.postPart("/account", form("es")...) })
	part.wants("Demasiadas peticiones", "por lo que esto no se hizo")
	part.lacks("<html", "wp-nav")
	if got := colleague.post("/account", "name", "Mx", "email", colleague.user.Email); got.status != http.StatusSeeOther {
		t.Errorf("a colleague gets %d", got.status)
	}
	if got := v.post("/sign-out"); got.status != http.StatusSeeOther || got.location() != "/sign-in" {
		t.Errorf("sign-out: %d", got.status)
	}
}

func TestThePeopleOfAnOperatorChangeOnlySoMuchTogether(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	began, sent := time.Now(), 0
	for {
		v := w.visitor(t, op, waypost.RoleAdmin)
		n := 0
		for n < 60 && v.post("/suppressions", "address", "").status != http.StatusTooManyRequests {
			n++
		}
		if sent += n; n < 60 {
			break
		}
		if sent > 1000 {
			t.Fatal("no end")
		}
	}
	if most := 301 + 5*int(time.Since(began).Seconds()+1); sent < 300 || sent > most {
		t.Errorf("%d forms, want 300 to %d", sent, most)
	}
	if got := w.actingFor(t, op).post("/suppressions", "address", ""); got.status == http.StatusTooManyRequests {
		t.Error("staff is kept out by the operator that it looks after")
	}
	if got := w.visitor(t, w.operator(t, "Other"), waypost.RoleAdmin).post("/suppressions", "address", ""); got.status == http.StatusTooManyRequests {
		t.Error("another operator pays for it")
	}
}

func TestAPreviewOfWhatIsTypedIsNoChange(t *testing.T) {
	w := withTester(t, nil)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	for range 80 {
		if got := v.post("/settings/email/preview?part=text", server()...); got.status != http.StatusOK {
			t.Fatal(got.status)
		}
	}
	if got := v.post("/settings/email", server()...); got.status != http.StatusSeeOther {
		t.Errorf("and it cannot be saved: %d", got.status)
	}
}
