package panel_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

func TestAddressesAreSuppressedAndMailedAgain(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	v.open("/suppressions").wants("No suppressed addresses")
	if got := v.post("/suppressions", "address", " Driver@Example.net ", "detail", `"><script>alert(1)</script>`, "expires", "month"); got.location() != "/suppressions" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	got := v.open("/suppressions")
	got.wants("The address is suppressed.", "driver@example.net", "Added by hand", "<script>alert(1)</script>", "Mail driver@example.net again?")
	got.lacks("<script>alert")
	list, _, err := w.db.Store.Suppressions(t.Context(), op, storeAll(), "", 10)
	if days := time.Until(list[0].Expires).Hours() / 24; err != nil || days < 29 || days > 31 {
		t.Errorf("%v, %v", list, err)
	}
	if got = v.post("/suppressions/remove", "address", "driver@example.net", "reason", "manual"); got.location() != "/suppressions" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	v.open("/suppressions").wants("The address is mailed again.", "No suppressed addresses")
	log, err := w.db.Store.AuditLog(t.Context(), op, "", 2)
	if err != nil || log[0].Action != "suppression.remove" || log[1].Action != "suppression.add" || log[1].Actor.Name != v.user.Login {
		t.Errorf("%+v, %v", log, err)
	}
	for _, form := range [][]string{{"address", "driver@example.net", "reason", "manual"}, {"address", "x", "reason", "manual"}, {"address", "a@b.example", "reason", "x"}} {
		if got := v.post("/suppressions/remove", form...); got.status != http.StatusNotFound {
			t.Errorf("%v: %d", form, got.status)
		}
	}
}

func TestAWrongSuppressionIsKeptOnTheScreen(t *testing.T) {
	w := newWorld(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	got := v.post("/suppressions", "address", "nobody at all", "detail", strings.Repeat("x", 201), "expires", "year")
	got.wants("This is not an e-mail address.", "At most 200 characters")
	if got.status != http.StatusUnprocessableEntity || got.value("address") != "nobody at all" || len(got.value("detail")) != 201 ||
		!strings.Contains(got.body, `value="year" selected`) || !strings.Contains(got.body, "<details open") {
		t.Errorf("%d: %s", got.status, got.body)
	}
}

func TestSuppressionsAreFoundAndReadInPages(t *testing.T) {
	w := newWorld(t)
	op, other := w.operator(t, "Acme"), w.operator(t, "Other")
	add := func(operator, address string, reason waypost.SuppressionReason, expires time.Time) {
		t.Helper()
		if err := w.db.Store.AddSuppression(t.Context(), waypost.CommandLine(), operator, waypost.Suppression{Address: address, Reason: reason, Expires: expires}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 60 {
		add(op, fmt.Sprintf("user%02d@one.example", i), waypost.SuppressedHard, time.Time{})
	}
	add(op, "zoe@two.example", waypost.SuppressedComplaint, time.Now().Add(time.Hour))
	add(op, "zz@two.example", waypost.SuppressedSoft, time.Now().Add(-time.Hour)) // over
	add(other, "secret@other.example", waypost.SuppressedManual, time.Time{})
	v := w.visitor(t, op, waypost.RoleViewer)
	first := v.open("/suppressions")
	first.wants("user00@one.example", "user49@one.example", "Does not exist", "for ever", "Next")
	first.lacks("user50@", "secret@other.example", "/suppressions/remove", `method="post" action="/suppressions"`)
	second := v.open(first.link(`rel="next" href="`))
	second.wants("user59@one.example", "zoe@two.example", "Complained about spam", "First page")
	second.lacks("zz@two.example")
	for query, want := range map[string]string{
		"find=zoe@two.example": "zoe@two.example", "find=@two.example": "zoe@two.example", "find=zo*": "zoe@two.example", "reason=complaint": "zoe@two.example",
		"find=user59*": "user59@one.example", "find=secret@other.example": "Nothing found", "reason=manual": "Nothing found", "find=%00%ff&cursor=%00": "user00",
	} {
		v.open("/suppressions?" + query).wants(want)
	}
	for _, path := range []string{"/suppressions", "/suppressions/remove"} {
		if got := v.post(path, "address", "user00@one.example", "reason", "hard_bounce"); got.status != http.StatusForbidden {
			t.Errorf("a viewer's %s: %d", path, got.status)
		}
	}
	if got := w.visitor(t, op, waypost.RoleAdmin).post("/suppressions/remove", "address", "secret@other.example", "reason", "manual"); got.status != http.StatusNotFound {
		t.Errorf("another operator's: %d", got.status)
	}
}

func TestAnExemptAddressIsAddedAndTakenOff(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	got := v.post("/suppressions/exempt", "exempt", hostileText)
	got.wants("This is not an e-mail address.")
	got.lacks("<script>alert")
	if got.status != http.StatusUnprocessableEntity || got.value("exempt") != strings.TrimSpace(hostileText) {
		t.Errorf("%d %q", got.status, got.value("exempt"))
	}
	if got := v.post("/suppressions/exempt", "exempt", "Control.Room@acme.example"); got.location() != "/suppressions" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	v.open("/suppressions").wants("never suppressed by itself any more", "control.room@acme.example", "Suppress control.room@acme.example again")
	viewer := w.visitor(t, op, waypost.RoleViewer).open("/suppressions")
	viewer.wants("control.room@acme.example")
	viewer.lacks("Suppress control.room@acme.example again")
	v.post("/suppressions/exempt/remove", "address", "control.room@acme.example")
	v.open("/suppressions").lacks("control.room@acme.example")
	if got := v.post("/suppressions/exempt/remove", "address", "control.room@acme.example"); got.status != http.StatusNotFound {
		t.Errorf("%d", got.status)
	}
	log, err := w.db.Store.AuditLog(t.Context(), op, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"suppression.exempt", "suppression.unexempt"} {
		if !slices.ContainsFunc(log, func(e waypost.AuditEntry) bool {
			return e.Action == action && e.Target == "control.room@acme.example" && e.Actor.Name == v.user.Login
		}) {
			t.Errorf("no %s: %+v", action, log)
		}
	}
}
