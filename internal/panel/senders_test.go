package panel_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/waypost"
)

// sender adds one.
func (w *world) sender(t testing.TB, operatorID string, n account.NewSender) waypost.Sender {
	t.Helper()
	s, err := w.accounts.AddSender(t.Context(), waypost.CommandLine(), operatorID, n)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestASenderIsAddedNamedMadeTheDefaultAndRemoved(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	if got := v.post("/senders", "address", " Alarm@Shop.example ", "name", "Fleet Alarm", "default", "true"); got.location() != "/domains#senders" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	if got := v.post("/senders", "address", "*@shop.example", "name", ""); got.location() != "/domains#senders" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	other := w.sender(t, op, account.NewSender{Address: "other@shop.example"})
	page := v.open("/domains")
	page.wants("alarm@shop.example Fleet Alarm Requested Default Not used yet: the domain shop.example has not been added. Add the domain", "*@shop.example Requested")
	if !strings.Contains(page.body, `href="/domains?domain=shop.example"`) || v.open("/domains?domain=shop.example").value("domain") != "shop.example" {
		t.Error("nothing leads to adding its domain")
	}
	if got := v.post("/senders/"+other.ID, "name", "Other Name"); got.location() != "/senders/"+other.ID {
		t.Fatalf("%d %s", got.status, got.text())
	}
	v.open("/senders/"+other.ID).wants("Saved.", "other@shop.example", "Make it the default sender", "Remove other@shop.example?")
	if got := v.post("/senders/" + other.ID + "/default"); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.text())
	}
	v.open("/domains").wants("other@shop.example Other Name Requested Default")
	if got := v.post("/senders/" + other.ID + "/remove"); got.location() != "/domains#senders" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	v.open("/domains").lacks("other@shop.example")
	log, err := w.db.Store.AuditLog(t.Context(), op, "", 20)
	if err != nil {
		t.Fatal(err)
	}
	var done []string
	for _, e := range log {
		if e.Actor.Name == v.user.Login && strings.HasPrefix(e.Action, "sender.") {
			done = append(done, e.Action)
		}
	}
	if got := strings.Join(done, " "); got != "sender.remove sender.change sender.change sender.add sender.add" {
		t.Errorf("the audit log has %s", got)
	}
}

func TestASenderThatCannotBeIsRefusedAtItsField(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	w.sender(t, op, account.NewSender{Address: "there@shop.example"})
	for _, tt := range []struct{ address, name, makeDefault, want string }{
		{"", "", "", "Give one address such as"},
		{"nobody", "", "", "Give one address such as"},
		{"*@", "", "", "Give one address such as"},
		{nasty + "@shop.example", nasty, "", "Give one address such as"},
		{strings.Repeat("a", 10000) + "@shop.example", strings.Repeat("b", 10000), "", "At most 200 characters"},
		{"a@shop.example", "two\nlines", "", "At most 200 characters"},
		{"a@shop.example", "right to \u202Eleft", "", "At most 200 characters"},
		{"*@shop.example", "", "true", "A default sender is one address"},
		{"there@shop.example", "", "", "You have this address already."},
	} {
		got := v.post("/senders", "address", tt.address, "name", tt.name, "default", tt.makeDefault)
		got.wants(tt.want)
		got.lacks("<script>alert")
		if got.status != http.StatusUnprocessableEntity || got.value("address") != tt.address || got.value("name") != tt.name {
			t.Errorf("%.40q: %d, typed %.40q %.40q", tt.address, got.status, got.value("address"), got.value("name"))
		}
	}
	s := w.sender(t, op, account.NewSender{Address: "named@shop.example", Name: "Before"})
	got := v.post("/senders/"+s.ID, "name", "two\nlines")
	got.wants("At most 200 characters")
	if got.status != http.StatusUnprocessableEntity || got.value("name") != "two\nlines" {
		t.Errorf("%d, typed %q", got.status, got.value("name"))
	}
}

func TestEachSenderSaysWhetherItIsUsed(t *testing.T) {
	w := supported(t, false)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	d := w.claim(t, op, "shop.example")
	s := w.sender(t, op, account.NewSender{Address: "alarm@shop.example", Name: "<b>Fleet</b>"})
	page := v.open("/senders/" + s.ID)
	page.wants("Requested", "Not used yet: its domain is not authorized. See the domain")
	w.checked(t, d.ID, true, allRight()...) // which assigns it
	v.open("/senders/"+s.ID).wants("Assigned", "Used on the built-in gateway.")
	late := w.sender(t, op, account.NewSender{Address: "late@shop.example"})
	v.open("/senders/"+late.ID).wants("Requested", "Waits for the approval of the platform's support.")
	if _, err := w.accounts.RejectSender(t.Context(), waypost.CommandLine(), late.ID, "Not <i>yours</i>."); err != nil {
		t.Fatal(err)
	}
	page = v.open("/domains")
	page.wants("late@shop.example Rejected Rejected by the platform's support: Not <i>yours</i>.", "<b>Fleet</b>")
	page.lacks("<i>yours", "<b>Fleet")
	ours := w.sender(t, op, account.NewSender{Address: "acme@platform.example"})
	v.open("/senders/" + ours.ID).wants("Waits for the approval")
	if err := w.accounts.RemoveDomain(t.Context(), waypost.CommandLine(), op, d.ID); err != nil {
		t.Fatal(err)
	}
	w.claim(t, op, "shop.example")
	v.open("/senders/" + s.ID).wants("Not used now: its domain is not authorized any more. See the domain")
}

func TestALongListOfSendersGoesOnPages(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	for i := range 120 {
		w.sender(t, op, account.NewSender{Address: fmt.Sprintf("a%03d@shop.example", i)})
	}
	v := w.visitor(t, op, waypost.RoleViewer)
	seen, path := 0, "/domains"
	for range 5 {
		page := v.open(path)
		seen += strings.Count(page.body, `@shop.example</span>`)
		_, rest, ok := strings.Cut(page.body, `rel="next" href="`)
		if !ok {
			break
		}
		path, _, _ = strings.Cut(rest, `"`)
		path, _, _ = strings.Cut(strings.ReplaceAll(path, "&amp;", "&"), "#")
	}
	if seen != 120 {
		t.Errorf("%d of 120 are shown", seen)
	}
}
