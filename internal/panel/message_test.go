package panel_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// rich is a mail with all that a mail can have.
const rich = `From: Fleet <fleet@example.com>
To: Driver <driver@example.net>
Subject: =?iso-8859-1?q?Alarm_caf=E9?=
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="m"

--m
Content-Type: multipart/alternative; boundary="a"

--a
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Caf=E9 text https://example.net/
--a
Content-Type: multipart/related; boundary="r"

--r
Content-Type: text/html; charset=utf-8

<p onclick="alert(1)">Café <img src="cid:logo"><img src="https://tracker.example/pixel.gif"><a href="https://example.net/">open</a></p><script>alert(1)</script>
--r
Content-Type: image/png; name="logo.png"
Content-Disposition: inline; filename="logo.png"
Content-ID: <logo>
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--r--
--a--
--m
Content-Type: application/pdf; name="report.pdf"
Content-Disposition: attachment; filename*=utf-8''%D0%BE%D1%82%D1%87%D1%91%D1%82.pdf
Content-Transfer-Encoding: base64

JVBERi0xLjQK
--m--
`

func TestAMessageShowsItsWholeStory(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	w.refusesForNow()
	id := w.hand(t, op, rich, func(s *waypost.Submission) {
		s.Tags, s.Metadata = []string{"unit-7"}, map[string]string{"unit": hostileText}
	})
	d := w.until(t, op, id, waypost.Queued)[0]
	v := w.visitor(t, op, waypost.RoleAdmin)
	got := v.open("/messages/" + id)
	got.wants("Alarm café", "driver@example.net", "Queued", "Why is this waiting?", "The last attempt did not get through. The next one is at", "451 4.7.1 greylisted",
		"Accepted and stored safely", "Attempt 1: refused for now", "mx.example.net [192.0.2.7:25]", "Built-in gateway, directly", "The recipient's server asks senders it does not know to come back later.",
		"Event notification", "unit-7", "<script>alert(1)</script>", "Try now", "Hold", "Cancel delivery", "Send again", "SMTP", id)
	got.lacks("<script>alert")
	live := got.link(`hx-get="`)
	if got := v.part(live); got.status != http.StatusNoContent || got.body != "" {
		t.Errorf("nothing changed, but %d %s", got.status, got.body)
	}
	w.peer.set(nil)
	got = v.post("/messages/"+id+"/deliveries/"+d.ID, "action", "retry")
	if got.status != http.StatusSeeOther || got.location() != "/messages/"+id {
		t.Fatalf("%d %s", got.status, got.location())
	}
	w.until(t, op, id, waypost.Delivered)
	part := v.part(live)
	part.wants("Delivered", "Another attempt was asked for", "By: Mx admin", "Attempt 2: accepted by the server", "250 2.0.0 thank you")
	part.lacks("hx-get", "<html", "Try now")
	got = v.open("/messages/" + id)
	got.wants("It is tried again now.")
	got.lacks("hx-get", "Why is this waiting?")
	viewer := w.visitor(t, op, waypost.RoleViewer).open("/messages/" + id)
	viewer.wants("Alarm café")
	viewer.lacks("/resend", "/deliveries/")
}

func TestAVerdictShowsItsEvidence(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	w.peer.set(func(j *waypost.Job) {
		for i := range j.Deliveries {
			if j.MayTalk(&j.Deliveries[i]) == nil {
				j.Report(i, waypost.Attempt{
					Route: j.Route, Host: "mx.example.net", Phase: waypost.PhaseRcpt, Outcome: waypost.OutcomePermanent, Cause: "relay_denied", Rule: "relay refused",
					Reply: waypost.Reply{Code: 550, Enhanced: "5.7.1", Text: "no relaying"},
				})
			}
		}
	})
	refused := w.send(t, op, "driver@example.net", "hello")
	w.until(t, op, refused, waypost.Bounced)
	v.open("/messages/"+refused).wants("Counted as policy or authentication", "Rule relay refused")

	w.peer.set(nil)
	id := w.send(t, op, "driver@example.net", "hello")
	d := w.until(t, op, id, waypost.Delivered)[0]
	v.open("/messages/"+id).lacks("Counted as", "Rule")
	for _, f := range []waypost.Feedback{
		{Sort: waypost.FeedbackComplaint, Detail: "abuse", Reporter: "fbl.example.net [192.0.2.8]", At: time.Now()},
		{
			Sort: waypost.FeedbackBounce, Cause: "bad_mailbox", Rule: "no such user", Detail: "550 5.1.1 gone", Reporter: "mx.example.net [192.0.2.7]",
			At: time.Now().Add(time.Second),
		},
	} {
		f.DeliveryID = d.ID
		if ok, err := w.db.System.Feedback(t.Context(), f); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	v.open("/messages/"+id).wants("A bounce came back later", "550 5.1.1 gone", "Counted as bad mailbox", "Rule no such user", "Reported by mx.example.net [192.0.2.7]",
		"Reported by fbl.example.net [192.0.2.8]")
}

func TestTheAdviceIsAboutWhatCanBeChanged(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	if got := v.post("/settings/email", server()...); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.text())
	}
	w.peer.set(reports(waypost.OutcomePermanent, waypost.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"}, "bad_mailbox"))
	bounced := w.send(t, op, "driver@example.net", "hello")
	w.until(t, op, bounced, waypost.Bounced)
	v.open("/messages/"+bounced).wants("Your SMTP server", "550 5.1.1 no such user", "The recipient's address does not exist or is switched off.")
	w.peer.set(func(j *waypost.Job) {
		for i := range j.Deliveries {
			if j.MayTalk(&j.Deliveries[i]) == nil {
				j.Report(i, waypost.Attempt{
					Route: j.Route, Host: "mail.acme.example", Phase: waypost.PhaseAuth, Outcome: waypost.OutcomeRouteDown, Cause: "auth",
					Reply: waypost.Reply{Code: 535, Enhanced: "5.7.8", Text: "authentication failed"},
				})
			}
		}
	})
	waiting := w.send(t, op, "another@example.net", "hello") // the first is suppressed now
	w.until(t, op, waiting, waypost.Queued)
	v.open("/messages/"+waiting).wants("Your SMTP server mail.acme.example does not work, so all mail waits.", "535 5.7.8 authentication failed",
		"The server refused the login. Check Login and Password", "Stopped at Authorization")
	v.open("/messages").wants("your SMTP server does not work")
}

func TestADeliveryIsHeldReleasedAndCancelled(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	w.refusesForNow()
	id := w.send(t, op, "driver@example.net", "hello")
	d := w.until(t, op, id, waypost.Queued)[0]
	v := w.visitor(t, op, waypost.RoleAdmin)
	act := func(action string) answer {
		t.Helper()
		return v.post("/messages/"+id+"/deliveries/"+d.ID, "action", action)
	}
	act("hold")
	got := v.open("/messages/" + id)
	got.wants("The delivery is on hold.", "It is on hold and waits until somebody releases it.", "Release", "Put on hold", "By: Mx admin")
	if got := act("hold"); got.status != http.StatusConflict {
		t.Errorf("held twice: %d", got.status)
	} else {
		got.wants("That was not done", "has changed meanwhile: Queued")
	}
	act("release")
	w.untilTried(t, op, id, waypost.Queued, 2)
	v.open("/messages/"+id).wants("The delivery is released and tried now.", "Released")
	act("cancel")
	v.open("/messages/"+id).wants("The delivery is cancelled.", "Cancelled")
	act("retry").wants("has changed meanwhile: Cancelled")
	log, err := w.db.Store.AuditLog(t.Context(), op, "", 10)
	if err != nil || log[0].Action != "delivery.cancel" || log[0].Actor.Name != v.user.Login || log[0].Target != "driver@example.net" {
		t.Errorf("%+v, %v", log, err)
	}
	for _, action := range []string{"", "explode"} {
		if got := act(action); got.status != http.StatusNotFound {
			t.Errorf("%q: %d", action, got.status)
		}
	}
	for _, form := range []string{"/messages/" + id + "/deliveries/" + d.ID, "/messages/" + id + "/resend"} {
		if got := w.visitor(t, op, waypost.RoleViewer).post(form, "action", "cancel", "to", "a@example.net"); got.status != http.StatusForbidden {
			t.Errorf("a viewer's %s: %d", form, got.status)
		}
	}
}

func TestAllDeliveriesOfAMessageAreControlledAtOnce(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	w.refusesForNow()
	id := w.hand(t, op, "From: a@b.example\nSubject: hello\n\nx", func(s *waypost.Submission) {
		s.Recipients = []string{"a@example.net", "b@example.net", "c@example.net"}
	})
	first := w.until(t, op, id, waypost.Queued)[0]
	v := w.visitor(t, op, waypost.RoleAdmin)
	act := func(action string) answer {
		t.Helper()
		return v.post("/messages/"+id+"/deliveries", "action", action)
	}
	v.open("/messages/"+id).wants("Try all now (3)", "Hold all (3)", "Cancel all (3)", "Give up all deliveries of this message")
	v.post("/messages/"+id+"/deliveries/"+first.ID, "action", "cancel")
	act("hold")
	v.open("/messages/"+id).wants("The deliveries are on hold.", "Release all (2)", "Cancel all (2)")
	act("hold").wants("That was not done")
	act("cancel")
	got := v.open("/messages/" + id)
	got.wants("The deliveries are cancelled.", "Cancelled 3")
	got.lacks("Cancel all", "Release all")
	for _, action := range []string{"", "explode"} {
		if got := act(action); got.status != http.StatusNotFound {
			t.Errorf("%q: %d", action, got.status)
		}
	}
	log, err := w.db.Store.AuditLog(t.Context(), op, "", 2)
	if err != nil || log[0].Action != "message.cancel" || log[1].Action != "message.hold" || log[0].Target != id || log[0].Actor.Name != v.user.Login {
		t.Errorf("%+v, %v", log, err)
	}
	if got := w.visitor(t, op, waypost.RoleViewer).post("/messages/"+id+"/deliveries", "action", "cancel"); got.status != http.StatusForbidden {
		t.Errorf("a viewer: %d", got.status)
	}
}

func TestWhatIsAskedDuringAnAttemptIsPendingUntilItIsSettled(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	trying, goOn := make(chan struct{}), make(chan struct{})
	w.peer.set(func(j *waypost.Job) {
		close(trying)
		<-goOn
		reports(waypost.OutcomeTemporary, waypost.Reply{Code: 451, Text: "later"}, "")(j)
	})
	id := w.send(t, op, "driver@example.net", "hello")
	<-trying
	v := w.visitor(t, op, waypost.RoleAdmin)
	got := v.open("/messages/" + id)
	got.wants("being tried now", "Hold", "Cancel delivery")
	got.lacks("Try now")
	d, err := w.db.Store.Message(t.Context(), op, id)
	if err != nil {
		t.Fatal(err)
	}
	v.post("/messages/"+id+"/deliveries/"+d.Deliveries[0].ID, "action", "cancel")
	got = v.open("/messages/" + id)
	got.wants("Asked for. It is being tried right now", "was asked for while it was being tried.", "Queued")
	got.lacks("Cancel delivery</summary>")
	w.peer.set(nil)
	close(goOn)
	w.until(t, op, id, waypost.Cancelled)
	v.part(got.link(`hx-get="`)).wants("Cancelled", "Stopping it was asked for while it was being tried")
}

func TestManyRecipientsAreShownInPages(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	var to []string
	for i := range 60 {
		to = append(to, strings.Repeat("x", i+1)+"@example.net")
	}
	id := w.hand(t, op, rich, func(s *waypost.Submission) { s.Recipients = to })
	w.until(t, op, id, waypost.Delivered)
	v := w.visitor(t, op, waypost.RoleViewer)
	first := v.open("/messages/" + id)
	first.wants("Delivery to 60 recipients", "Delivered 60", "Next")
	second := v.open(strings.TrimSuffix(first.link(`rel="next" href="`), "#recipients"))
	if n, m := strings.Count(first.body, "<summary>"), strings.Count(second.body, `class="wp-timeline"`); m != 10 || n < 50 {
		t.Errorf("%d and %d", n, m)
	}
}

func TestAMailIsShownWithoutItsDangers(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	id := w.hand(t, op, rich)
	v := w.visitor(t, op, waypost.RoleViewer)
	got := v.open("/messages/" + id)
	got.wants("Formatted", "Text", "Headers", "Source", "1 image or style from the Internet is not loaded.", "Links do not work here", "отчёт.pdf", "application/pdf", "Download")
	got.lacks("logo.png", "tracker.example")
	if !strings.Contains(got.body, `src="/messages/`+id+`/preview?view=html" sandbox=""`) {
		t.Error(got.body)
	}
	frame := v.open("/messages/" + id + "/preview?view=html")
	csp := frame.header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'; img-src data:; style-src 'unsafe-inline'") || !strings.Contains(csp, "frame-ancestors 'self'; sandbox") || strings.Contains(csp, "script") {
		t.Error(csp)
	}
	frame.wants("Café")
	frame.lacks("<script", "onclick", "tracker.example", "href=")
	if !strings.Contains(frame.body, `src="data:image/png;base64,iVBORw0KGgo="`) {
		t.Error(frame.body)
	}
	v.open("/messages/" + id + "/preview?view=text").wants("Café text https://example.net/")
	v.open("/messages/"+id+"?view=headers").wants("Subject: =?iso-8859-1?q?Alarm_caf=E9?=", "Received: ")
	v.open("/messages/"+id+"?view=source").wants("--m--", "<script>alert(1)</script>")
	raw := v.open("/messages/" + id + "/raw")
	if raw.header.Get("Content-Type") != "message/rfc822" || raw.header.Get("Content-Disposition") != `attachment; filename=`+id+`.eml` || !strings.Contains(raw.body, "--m--") {
		t.Errorf("%v", raw.header)
	}
	file := v.open("/messages/" + id + "/files/1")
	if file.body != "%PDF-1.4\n" || file.header.Get("Content-Type") != "application/octet-stream" ||
		file.header.Get("Content-Disposition") != "attachment; filename*=utf-8''%D0%BE%D1%82%D1%87%D1%91%D1%82.pdf" ||
		!strings.HasSuffix(file.header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("%v %q", file.header, file.body)
	}
	for _, number := range []string{"2", "-1", "x", "99999999999999999999"} {
		if got := v.get("/messages/" + id + "/files/" + number); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", number, got.status)
		}
	}
}

func TestSecurityMailIsNeverShown(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	w.refusesForNow()
	id := w.hand(t, op, "From: fleet@example.com\nSubject: Your code is 123456\n\n123456", func(s *waypost.Submission) { s.Kind = waypost.KindSecurity })
	w.until(t, op, id, waypost.Queued)
	for _, v := range []*visitor{w.visitor(t, op, waypost.RoleAdmin), w.visitor(t, op, waypost.RoleViewer)} {
		for _, view := range []string{"", "?view=source", "?view=headers", "/live"} {
			got := v.open("/messages/" + id + view)
			got.lacks("123456", "/resend")
		}
		v.open("/messages/"+id).wants("The content of security mail is shown to nobody.", "Queued")
		for _, path := range []string{"/raw", "/preview", "/files/0"} {
			got := v.get("/messages/" + id + path)
			got.wants("The content of security mail is shown to nobody.")
			if got.status != http.StatusForbidden || strings.Contains(got.body, "123456") {
				t.Errorf("%s: %d", path, got.status)
			}
		}
	}
	got := w.visitor(t, op, waypost.RoleAdmin).post("/messages/"+id+"/resend", "to", "a@example.net")
	if got.status != http.StatusForbidden {
		t.Errorf("sent again: %d", got.status)
	}
}

func TestErasedContentSaysSo(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	id := w.hand(t, op, rich)
	w.until(t, op, id, waypost.Delivered)
	if _, err := w.db.System.Retention(t.Context(), time.Now().Add(8*24*time.Hour), system.Retention{Metadata: 90 * 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	v := w.visitor(t, op, waypost.RoleAdmin)
	got := v.open("/messages/" + id)
	got.wants("(content was removed)", "The content was removed: it is kept for a few days only. Removed:", "Delivered")
	got.lacks("/resend", "<iframe")
	v.get("/messages/" + id + "/raw").wants("The content was removed")
	v.open("/messages").wants("(content was removed)")
	if got := v.post("/messages/"+id+"/resend", "to", "a@example.net"); got.status != http.StatusNotFound {
		t.Errorf("sent again: %d", got.status)
	}
}
