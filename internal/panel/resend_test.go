package panel_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/waypost"
)

// sign gives an operator a signature.
func (w *world) sign(t testing.TB, v *visitor, text string) {
	t.Helper()
	if got := v.post("/settings/email", "gateway", "builtin", "from_email", "", "signature_text", text); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.text())
	}
}

func TestAMessageIsSentAgainWithOneSignature(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	w.sign(t, v, "Acme Fleet Ltd")
	id := w.hand(t, op, "From: fleet@example.com\nTo: driver@example.net\nCc: boss@example.net\nMessage-ID: <one@example.com>\nSubject: hello\n\ntext\n",
		func(s *waypost.Submission) { s.Tags = []string{"unit-7"} })
	w.until(t, op, id, waypost.Delivered)
	page := v.open("/messages/" + id)
	if page.value("to") != "driver@example.net" {
		t.Errorf("to: %q", page.value("to"))
	}
	again := func(to string) *waypost.Message {
		t.Helper()
		got := v.post("/messages/"+id+"/resend", "to", to, "key", v.open("/messages/"+id).value("key"))
		if got.status != http.StatusSeeOther {
			t.Fatalf("%d %s", got.status, got.text())
		}
		copied := strings.TrimPrefix(got.location(), "/messages/")
		v.open(got.location()).wants("Sent again. This is the new message.", "hello", to, "Sent again in the panel", "By: Mx admin", "unit-7")
		w.until(t, op, copied, waypost.Delivered)
		found, err := w.db.Store.Message(t.Context(), op, copied)
		if err != nil {
			t.Fatal(err)
		}
		m := &found.Messages[0]
		m.Header, m.Body, err = w.db.Store.Content(t.Context(), op, copied)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	same, other := again("Driver@Example.net"), again("someone@else.example")
	for _, m := range []*waypost.Message{same, other} {
		header := string(m.Header)
		if strings.Count(string(m.Body), "Acme Fleet Ltd") != 1 || m.HeaderID == "<one@example.com>" || strings.Count(header, "Received:") != 1 || m.Kind != waypost.KindEvent {
			t.Errorf("%s%s", header, m.Body)
		}
	}
	if !strings.Contains(string(same.Header), "To: driver@example.net\r\nCc: boss@example.net\r\n") ||
		!strings.Contains(string(other.Header), "To: someone@else.example\r\n") || strings.Contains(string(other.Header), "Cc:") {
		t.Errorf("%s\n%s", same.Header, other.Header)
	}
	log, err := w.db.Store.AuditLog(t.Context(), op, "", 1)
	if err != nil || log[0].Action != "message.resend" || log[0].Target != "someone@else.example" || log[0].Actor.Name != v.user.Login {
		t.Errorf("%+v, %v", log, err)
	}
}

func TestTwoClicksSendOneMail(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	id := w.send(t, op, "driver@example.net", "hello")
	v := w.visitor(t, op, waypost.RoleAdmin)
	key := v.open("/messages/" + id).value("key")
	first := v.post("/messages/"+id+"/resend", "to", "driver@example.net", "key", key)
	second := v.post("/messages/"+id+"/resend", "to", "driver@example.net", "key", key)
	if first.status != http.StatusSeeOther || first.location() != second.location() {
		t.Errorf("%s and %s", first.location(), second.location())
	}
}

func TestWhatCannotBeSentAgainSaysWhy(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	id := w.send(t, op, "driver@example.net", "hello")
	w.until(t, op, id, waypost.Delivered)
	v := w.visitor(t, op, waypost.RoleAdmin)
	for _, to := range []string{"", "nobody", hostileText} {
		got := v.post("/messages/"+id+"/resend", "to", to, "key", "k")
		got.wants("This is not an e-mail address.")
		got.lacks("<script>alert")
		if got.status != http.StatusUnprocessableEntity || got.value("to") != strings.TrimSpace(to) || got.value("key") != "k" || !strings.Contains(got.body, "<details open") {
			t.Errorf("%q: %d, %q", to, got.status, got.value("to"))
		}
	}
	if _, err := w.accounts.Suspend(t.Context(), waypost.CommandLine(), op); err != nil {
		t.Fatal(err)
	}
	got := v.post("/messages/"+id+"/resend", "to", "driver@example.net")
	got.wants("You can look at everything but change nothing.")
	got = w.actingFor(t, op).post("/messages/"+id+"/resend", "to", "driver@example.net")
	got.wants("Your account is suspended, so nothing can be sent.")
	if got.status == http.StatusSeeOther || got.value("to") != "driver@example.net" {
		t.Errorf("%d", got.status)
	}
}

func TestMailOfATestKeyIsSentAgainToTheSandboxOnly(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	id := w.hand(t, op, rich, func(s *waypost.Submission) { s.Principal.Test = true })
	v := w.visitor(t, op, waypost.RoleAdmin)
	v.open("/messages/" + id).wants("This mail was handed over with a test key.")
	got := v.post("/messages/"+id+"/resend", "to", "driver@example.net")
	found, err := w.db.Store.Message(t.Context(), op, strings.TrimPrefix(got.location(), "/messages/"))
	if err != nil || !found.Messages[0].Test {
		t.Errorf("%+v, %v", found, err)
	}
}
