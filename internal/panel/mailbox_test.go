package panel_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func storeAll() store.SuppressionFilter { return store.SuppressionFilter{} }

// capture puts a mail into an operator's local mailbox as if it had been sent.
func (w *world) capture(t testing.TB, operatorID, raw string, kind waypost.Kind) {
	t.Helper()
	w.peer.set(func(j *waypost.Job) {
		for i := range j.Deliveries {
			if j.MayTalk(&j.Deliveries[i]) == nil {
				j.Report(i, waypost.Attempt{Route: j.Route, Phase: waypost.PhaseDot, Outcome: waypost.OutcomeDelivered, Reply: waypost.Reply{Code: 250}})
			}
		}
	})
	id := w.hand(t, operatorID, raw, func(s *waypost.Submission) { s.Principal.Test, s.Kind = true, kind })
	w.until(t, operatorID, id, waypost.Delivered)
}

// boxed lists the paths of the mails that a mailbox shows.
func (a answer) boxed(base string) []string {
	var list []string
	for _, part := range strings.Split(a.body, `<a href="`+base+`/`)[1:] {
		id, _, _ := strings.Cut(part, `"`)
		list = append(list, base+"/"+id)
	}
	return list
}

func TestTheLocalMailboxShowsMailAsItsRecipientWouldSeeIt(t *testing.T) {
	w := newWorld(t)
	op, other := w.operator(t, "Acme"), w.operator(t, "Other")
	v := w.visitor(t, op, waypost.RoleAdmin)
	v.open("/mailbox").wants("The mailbox is empty", "Mail that was handed over with a test key goes nowhere but here")
	w.capture(t, op, rich, waypost.KindEvent)
	w.capture(t, op, "From: fleet@example.com\nSubject: Your code is 123456\n\n123456", waypost.KindSecurity)
	w.capture(t, other, "From: fleet@example.com\nSubject: of another operator\n\nx", waypost.KindEvent)
	got := v.open("/mailbox")
	got.wants("Alarm café", "driver@example.net")
	got.lacks("123456", "of another operator")
	path := got.boxed("/mailbox")[0]
	page := v.open(path)
	page.wants("Alarm café", "Envelope recipient", "driver@example.net", "отчёт.pdf", "Show the message")
	page.lacks("Links do not work here")
	frame := v.open(path + "/preview?view=html")
	if csp := frame.header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "sandbox allow-popups allow-popups-to-escape-sandbox") {
		t.Error(csp)
	}
	if !strings.Contains(frame.body, `<a href="https://example.net/" target="_blank" rel="noopener noreferrer nofollow"`) {
		t.Error(frame.body)
	}
	v.open(path + "/preview?view=text").wants("Café text")
	if file := v.open(path + "/files/1"); file.body != "%PDF-1.4\n" {
		t.Errorf("%q", file.body)
	}
	if raw := v.open(path + "/raw"); !strings.Contains(raw.body, "Subject: =?iso-8859-1?q?Alarm_caf=E9?=") {
		t.Error(raw.body)
	}
	stranger := w.visitor(t, other, waypost.RoleAdmin)
	for _, part := range []string{"", "/preview", "/raw", "/files/0"} {
		if got := stranger.get(path + part); got.status != http.StatusNotFound {
			t.Errorf("another operator's %s: %d", part, got.status)
		}
	}
	viewer := w.visitor(t, op, waypost.RoleViewer)
	viewer.open("/mailbox").lacks("/mailbox/empty")
	if got := viewer.post("/mailbox/empty"); got.status != http.StatusForbidden {
		t.Errorf("emptied by a viewer: %d", got.status)
	}
	stranger.post("/mailbox/empty", "operator", op)
	if got := v.post("/mailbox/empty", "operator", other); got.location() != "/mailbox" {
		t.Errorf("%d", got.status)
	}
	v.open("/mailbox").wants("The mailbox was emptied.", "The mailbox is empty")
	log, err := w.db.Store.AuditLog(t.Context(), op, "", 1)
	if err != nil || log[0].Action != "sandbox.empty" || log[0].Actor.Name != v.user.Login {
		t.Errorf("%+v, %v", log, err)
	}
}

func TestTheMailboxOfThePlatformShowsAllAndSecurityMailToItsOwner(t *testing.T) {
	w := newWorld(t, func(o *panel.Options) { o.Platform.Domain = "" })
	op := w.operator(t, "Acme")
	w.capture(t, op, "From: fleet@example.com\nSubject: hello\n\nhttps://example.net/", waypost.KindEvent)
	w.capture(t, op, "From: fleet@example.com\nSubject: Your code is 123456\n\n123456", waypost.KindSecurity)
	if _, err := w.db.System.KeepReceived(t.Context(), waypost.PlatformOperatorID, "", "postmaster@platform.example", hostileText,
		[]byte("Subject: complaint\r\n\r\nwhy?"), time.Now()); err != nil {
		t.Fatal(err)
	}
	owner := w.visitor(t, "", waypost.RoleOwner)
	got := owner.open("/platform/mailbox")
	got.wants("hello", "Your code is 123456", "postmaster@platform.example", "Acme", "Platform", "<script>alert(1)</script>")
	got.lacks("<script>alert", "/platform/mailbox/empty")
	var secret string
	for _, path := range got.boxed("/platform/mailbox") {
		page := owner.open(path)
		if strings.Contains(page.text(), "123456") {
			secret = path
		}
	}
	owner.open(secret + "/preview").wants("123456")
	for _, role := range []waypost.Role{waypost.RoleSupport, waypost.RoleAuditor} {
		v := w.visitor(t, "", role)
		got := v.open("/platform/mailbox")
		got.wants("hello", "(security mail, its subject is not shown)")
		got.lacks("123456")
		for _, part := range []string{"", "/preview", "/raw", "/files/0"} {
			got := v.get(secret + part)
			got.wants("Only the owner of the platform may open it.")
			if got.status != http.StatusForbidden || strings.Contains(got.body, "123456") {
				t.Errorf("%s%s: %d", role, part, got.status)
			}
		}
	}
	auditor := w.visitor(t, "", waypost.RoleAuditor)
	auditor.open("/platform/mailbox?operator="+op).lacks("postmaster@", "/platform/mailbox/empty")
	if got := auditor.post("/platform/mailbox/empty", "operator", op); got.status != http.StatusForbidden {
		t.Errorf("emptied by an auditor: %d", got.status)
	}
	if got := w.visitor(t, op, waypost.RoleAdmin).get("/platform/mailbox"); got.status != http.StatusForbidden {
		t.Errorf("an operator's admin: %d", got.status)
	}
	support := w.visitor(t, "", waypost.RoleSupport)
	support.open("/platform/mailbox?operator="+op).wants("Mail of Acme only.", "Empty the mailbox")
	if got := support.post("/platform/mailbox/empty", "operator", op); got.location() != "/platform/mailbox?operator="+op {
		t.Errorf("%d %s", got.status, got.location())
	}
	left := owner.open("/platform/mailbox")
	left.wants("Your code is 123456", "postmaster@platform.example")
	left.lacks("hello")
	for _, operator := range []string{"", "x", "%00"} {
		if got := support.post("/platform/mailbox/empty", "operator", operator); got.status != http.StatusNotFound {
			t.Errorf("%q: %d", operator, got.status)
		}
	}
}

func TestAMailboxIsReadInPages(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	for i := range 55 {
		if _, err := w.db.System.KeepReceived(t.Context(), op, "a@b.example", "c@d.example", fmt.Sprint("number ", i), []byte("\r\n"), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	v := w.visitor(t, op, waypost.RoleViewer)
	first := v.open("/mailbox")
	first.wants("number 54", "number 5 ")
	second := v.open(first.link(`rel="next" href="`))
	second.wants("number 4 ", "number 0", "First page")
	path := second.boxed("/mailbox")[0]
	v.open(path).wants("Headers", "Source")
	if got := v.get(path + "/preview?view=html"); got.status != http.StatusOK {
		t.Errorf("an empty mail: %d", got.status)
	}
}
