package panel_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// hostile is what people with bad intentions type.
const hostileText = `"><script>alert(1)</script> ` + "\u202egnp.exe"

// hand hands a mail over; raw is header and body.
func (w *world) hand(t testing.TB, operatorID, raw string, change ...func(*waypost.Submission)) string {
	t.Helper()
	s := waypost.Submission{
		Principal: waypost.Principal{
			OperatorID: operatorID, Scopes: []waypost.Scope{waypost.ScopeSend, waypost.ScopeSecurity}, FromPolicy: waypost.FromReplace,
		},
		OperatorID: operatorID, Source: "smtp", Protocol: "ESMTPSA", Recipients: []string{"driver@example.net"}, Kind: waypost.KindEvent,
		Message: []byte(strings.ReplaceAll(raw, "\n", "\r\n")),
	}
	for _, f := range change {
		f(&s)
	}
	got, err := w.submit.Accept(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return got.ID
}

// until waits until a message's deliveries are in a state.
func (w *world) until(t testing.TB, operatorID, id string, state waypost.State) []waypost.Delivery {
	t.Helper()
	return w.untilTried(t, operatorID, id, state, 0)
}

// untilTried is until for deliveries that were tried so often.
func (w *world) untilTried(t testing.TB, operatorID, id string, state waypost.State, tries int) []waypost.Delivery {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(10 * time.Second); ; {
		got, err := w.db.Store.Message(t.Context(), operatorID, id)
		if err != nil {
			t.Fatal(err)
		}
		ready := true
		for _, d := range got.Deliveries {
			ready = ready && d.State == state && d.Lease == "" && d.Attempts >= tries
		}
		if ready {
			return got.Deliveries
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%+v", got.Deliveries)
		}
	}
}

// refusesForNow makes every try a temporary failure.
func (w *world) refusesForNow() {
	w.peer.set(reports(waypost.OutcomeTemporary, waypost.Reply{Code: 451, Enhanced: "4.7.1", Text: "greylisted, come back later"}, "greylist"))
}

func TestAnOperatorWithoutMessagesLearnsWhatToDo(t *testing.T) {
	w := newWorld(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleViewer)
	v.open("/messages").wants("No messages yet", "create an API key or SMTP login")
	v.open("/messages?subject=x").wants("Nothing found", "Clear")
}

func TestMessagesAreFoundByWhatIsKnownOfThem(t *testing.T) {
	w := newWorld(t)
	op, other := w.operator(t, "Acme"), w.operator(t, "Other")
	for _, id := range []string{
		w.hand(t, op, "From: fleet@example.com\nTo: a@one.example\nSubject: Speeding in zone Depot\n\nx", func(s *waypost.Submission) {
			s.Recipients, s.Tags = []string{"a@one.example", "b@two.example", "c@two.example"}, []string{"unit-7"}
		}),
		w.hand(t, op, "From: fleet@example.com\nSubject: "+hostileText+"\n\nx", func(s *waypost.Submission) { s.Kind = waypost.KindReport }),
		w.hand(t, op, "From: fleet@example.com\nSubject: Your code is 123456\n\nx", func(s *waypost.Submission) { s.Kind = waypost.KindSecurity }),
	} {
		w.until(t, op, id, waypost.Delivered)
	}
	w.send(t, other, "a@one.example", "of another operator")
	v := w.visitor(t, op, waypost.RoleViewer)
	got := v.open("/messages")
	got.wants("a@one.example and 2 more", "Speeding in zone Depot", "(security mail, its subject is not shown)", "Report", "Delivered 3", `"><script>alert(1)</script>`)
	got.lacks("<script>alert", "123456", "of another operator")
	for query, want := range map[string]string{
		"recipient=a@one.example": "Speeding", "recipient=@two.example": "Speeding", "recipient=c*": "Speeding", "subject=depot+zone": "Speeding",
		"tag=unit-7": "Speeding", "kind=report": "alert(1)", "state=delivered&subject=speeding": "Speeding", "period=24h&tag=unit-7": "Speeding",
		"from=" + time.Now().UTC().Format(time.DateOnly) + "&to=" + time.Now().UTC().Format(time.DateOnly) + "&kind=report": "alert(1)",
		"recipient=nobody@one.example": "Nothing found", "subject=123456": "Nothing found", "state=bounced": "Nothing found", "from=2001-01-01&to=2001-02-01": "Nothing found",
	} {
		shown := v.open("/messages?" + query).text()
		if !strings.Contains(shown, want) || strings.Contains(shown, "Speeding in zone") && want != "Speeding" {
			t.Errorf("%s: %s", query, shown)
		}
	}
	got = v.get("/messages?from=yesterday&to=2026-13-01&subject=depot")
	got.wants("This is not a day.", "Please look at the marked fields.")
	if got.status != http.StatusUnprocessableEntity || got.value("from") != "yesterday" || got.value("subject") != "depot" {
		t.Errorf("%d: %s", got.status, got.value("from"))
	}
	v.get("/messages?from=2026-03-04&to=2026-03-03").wants("This is before the first day.")
	v.open("/messages?subject=%00%ff&recipient=%00&cursor=%ff&kind=x&state=x&batch=%00&period=x").lacks("Error number")
}

func TestTheListIsReadInPages(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	for i := range 60 {
		w.send(t, op, "a@one.example", fmt.Sprint("number ", i))
	}
	v := w.visitor(t, op, waypost.RoleViewer)
	first := v.open("/messages?recipient=@one.example")
	first.wants("number 59", "number 10", "Next")
	if strings.Contains(first.text(), "number 9 ") || strings.Contains(first.text(), "First page") {
		t.Error("more than a page, or a page before the first")
	}
	second := v.open(first.link(`rel="next" href="`))
	second.wants("number 9", "number 0", "First page")
	if strings.Contains(second.text(), "number 10") || strings.Contains(second.body, `rel="next"`) {
		t.Error(second.text())
	}
}

// link is the address that follows a text in the page.
func (a answer) link(before string) string {
	a.t.Helper()
	_, rest, ok := strings.Cut(a.body, before)
	if !ok {
		a.t.Fatalf("no %s in %s", before, a.body)
	}
	link, _, _ := strings.Cut(rest, `"`)
	return strings.ReplaceAll(link, "&amp;", "&")
}

func TestTheListSaysWhatMessagesWaitFor(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	w.refusesForNow()
	id := w.send(t, op, "a@one.example", "late")
	w.until(t, op, id, waypost.Queued)
	v := w.visitor(t, op, waypost.RoleAdmin)
	v.open("/messages").wants("Queued", "next attempt")
	if _, err := w.accounts.Suspend(t.Context(), waypost.CommandLine(), op); err != nil {
		t.Fatal(err)
	}
	v.open("/messages").wants("your account is suspended")
	v.open("/messages/"+id).wants("Why is this waiting?", "Your account is suspended by the platform")
}

func TestASearchThatStopsSaysHowFarItWentAndAnExportEndsWithAWord(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	all := &store.Accepting{OperatorID: op, At: time.Now()}
	begin := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for i := range 50002 {
		one := storetest.Mail{OperatorID: op, Subject: fmt.Sprint("unit ", i), To: []string{"a@one.example"}, At: begin.Add(time.Duration(i) * time.Millisecond)}.Accepting()
		one.Deliveries[0].State = waypost.Delivered
		all.Messages, all.Bodies, all.Deliveries = append(all.Messages, one.Messages...), append(all.Bodies, one.Bodies...), append(all.Deliveries, one.Deliveries...)
	}
	if err := w.db.Store.Accept(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	v := w.visitor(t, op, waypost.RoleViewer)
	got := v.open("/messages?subject=absent")
	got.wants("Searched back to Mar 4, 2026 12:00", "Continue searching")
	for range 4 {
		got = v.open(got.link(`btn-primary" rel="next" href="`))
		got.wants("Continue searching")
	}
	v.open(got.link(`btn-primary" rel="next" href="`)).wants("Nothing found")
	v.open("/messages?recipient=a*&subject=absent").wants("Very many addresses begin like this")

	export := v.open("/messages.csv?subject=unit")
	if kind := export.header.Get("Content-Type"); kind != "text/csv; charset=utf-8" || !strings.HasPrefix(export.header.Get("Content-Disposition"), `attachment; filename="messages-`) {
		t.Error(kind)
	}
	if n := strings.Count(export.body, "\r\n"); n != 50002 || !strings.HasSuffix(export.body, "\r\n\"This export ends after 50,000 messages. Choose a shorter period to see the others.\"\r\n") {
		t.Errorf("%d lines, at the end %s", n, export.body[len(export.body)-200:])
	}
}

func TestAnExportHasTheListWithoutFormulas(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	for _, subject := range []string{"=HYPERLINK(0)", "Truck;=HYPERLINK(A1);x", "+1", "-1", "@SUM(A1)", `He said "no", then left`, "=?utf-8?q?=C3=A9t=C3=A9?="} {
		w.send(t, op, "a@one.example", subject)
	}
	w.send(t, op, "b@two.example", "not asked for")
	v := w.visitor(t, op, waypost.RoleViewer)
	page := v.open("/messages?recipient=@one.example")
	export := v.open(page.link(`<a class="btn " href="`))
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(export.body, "\ufeff"))).ReadAll()
	if err != nil || len(rows) != 8 || !strings.HasPrefix(export.body, "\ufeffTime (UTC),ID,From,") {
		t.Fatalf("%v\n%s", err, export.body)
	}
	var subjects []string
	for _, row := range rows[1:] {
		subjects = append(subjects, row[5])
	}
	if got := strings.Join(subjects, "|"); got != `été|He said "no", then left|'@SUM(A1)|'-1|'+1|Truck;'=HYPERLINK(A1);x|'=HYPERLINK(0)` {
		t.Error(got)
	}
	for line := range strings.SplitSeq(export.body, "\r\n") { // as a spreadsheet reads it where ";" separates
		for cell := range strings.SplitSeq(line, ";") {
			if strings.HasPrefix(cell, "=") {
				t.Errorf("a formula: %s", cell)
			}
		}
	}
	if got := v.get("/messages.csv?from=x"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("%d", got.status)
	}
}

func TestAnotherOperatorsMessagesAreNotThere(t *testing.T) {
	w := newWorld(t)
	mine, theirs := w.operator(t, "Mine"), w.operator(t, "Theirs")
	w.refusesForNow()
	id := w.send(t, theirs, "a@one.example", "secret plans")
	d := w.until(t, theirs, id, waypost.Queued)[0]
	own := w.send(t, mine, "a@one.example", "mine")
	v := w.visitor(t, mine, waypost.RoleAdmin)
	for _, path := range []string{"", "/live", "/preview", "/raw", "/files/0"} {
		if got := v.get("/messages/" + id + path); got.status != http.StatusNotFound || strings.Contains(got.body, "secret plans") {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	for _, path := range []string{"/messages/" + id + "/deliveries/" + d.ID, "/messages/" + own + "/deliveries/" + d.ID, "/messages/" + id + "/resend"} {
		if got := v.post(path, "action", "cancel", "to", "a@one.example"); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if got := w.until(t, theirs, id, waypost.Queued)[0]; got.Control != "" {
		t.Errorf("%+v", got)
	}
	for _, path := range []string{"/messages/%00", "/messages/" + url.PathEscape("\xff"), "/messages/x", "/messages/" + strings.Repeat("x", 5000)} {
		if got := v.get(path); got.status != http.StatusNotFound {
			t.Errorf("%.50s: %d", path, got.status)
		}
	}
}
