package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/api"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/web"
)

func TestAMailIsAcceptedDeliveredAndShown(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	m := mail()
	m.Tags, m.Metadata = []string{"fleet"}, map[string]string{"unit": "4711"}
	r := c.send(t, m)
	if len(r.Deliveries) != 1 || r.Deliveries[0].To != "driver@example.com" || r.Deliveries[0].Status != "queued" || r.Deliveries[0].MessageID != r.ID {
		t.Fatalf("receipt = %+v", r)
	}
	got := c.until(t, r.ID, "delivered")
	if got.ID != r.ID || got.Subject != "Speeding alert" || got.Kind != "event" || got.Lane != "transactional" || got.Source != "api" {
		t.Errorf("message = %+v", got.Message)
	}
	if diff := cmp.Diff([]string{"fleet"}, got.Tags); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(m.Metadata, got.Metadata); diff != "" {
		t.Error(diff)
	}
	d := got.Deliveries[0]
	if len(d.Attempts) != 1 || d.Attempts[0].Host != "mx.example.net" || d.Attempts[0].Reply.Code != 250 || d.Attempts[0].Route != "direct" {
		t.Errorf("attempts = %+v", d.Attempts)
	}
	if d.Waiting != "" || d.Route != "direct" {
		t.Errorf("delivery = %+v", d)
	}
	var types []string
	for _, e := range got.Events {
		types = append(types, e.Type)
	}
	if diff := cmp.Diff([]string{"accepted", "delivered"}, types); diff != "" {
		t.Error(diff)
	}
	count, err := c.Conservation(t.Context())
	if want := (client.Conservation{Accepted: 1, Delivered: 1, Balanced: true}); err != nil || count != want {
		t.Errorf("Conservation = %+v, %v, want %+v", count, err, want)
	}
}

func TestAVerdictIsShownWithItsEvidence(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	w.peer.set(func(j *waypost.Job) {
		for i := range j.Deliveries {
			j.Report(i, waypost.Attempt{
				Route: j.Route, Phase: waypost.PhaseRcpt, Outcome: waypost.OutcomePermanent, Cause: "relay_denied", Rule: "relay refused",
				Reply: waypost.Reply{Code: 550, Enhanced: "5.7.1", Text: "no relaying"},
			})
		}
	})
	d := c.until(t, c.send(t, mail()).ID, "bounced").Deliveries[0]
	if a := d.Attempts[0]; d.Class != "policy" || a.Class != "policy" || a.Cause != "relay_denied" || a.Rule != "relay refused" || len(d.Feedback) != 0 {
		t.Errorf("%+v", d)
	}
	w.peer.set(nil)
	id := c.send(t, mail()).ID
	d = c.until(t, id, "delivered").Deliveries[0]
	if a := d.Attempts[0]; d.Class != "" || a.Class != "" || a.Rule != "" {
		t.Errorf("%+v", d)
	}
	f := waypost.Feedback{
		DeliveryID: d.ID, Sort: waypost.FeedbackBounce, Cause: "mailbox_full", Rule: "over quota", Detail: "552 5.2.2 full",
		Reporter: "mx.example.net [192.0.2.7]", At: time.Now().Truncate(time.Millisecond).UTC(),
	}
	if _, err := w.db.System.Feedback(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	d = c.until(t, id, "bounced").Deliveries[0]
	want := client.Feedback{
		Sort: "bounce", Cause: f.Cause, Class: "mailbox_full", Rule: f.Rule, Detail: f.Detail, Reporter: f.Reporter, At: f.At,
	}
	if len(d.Feedback) != 1 || d.Class != "mailbox_full" {
		t.Fatalf("%+v", d)
	}
	if diff := cmp.Diff(want, d.Feedback[0]); diff != "" {
		t.Error(diff)
	}
}

func TestRecipientsOfCcAndBccGetTheMailAndBccIsNotShown(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	m := mail()
	m.Cc = []client.Address{{Email: "boss@example.com"}}
	m.Bcc = []client.Address{{Email: "hidden@example.com"}}
	m.ReplyTo = &client.Address{Email: "desk@acme.example"}
	m.HTML = "<b>97</b> km/h"
	m.Headers = map[string]string{"X-Unit": "4711"}
	m.Attachments = []client.Attachment{{Name: "track.csv", Content: []byte("lat,lon\r\n")}}
	r := c.send(t, m)
	var to []string
	for _, d := range r.Deliveries {
		to = append(to, d.To)
	}
	if diff := cmp.Diff([]string{"driver@example.com", "boss@example.com", "hidden@example.com"}, to); diff != "" {
		t.Error(diff)
	}
	raw, err := c.MessageRaw(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(raw), "Driver\" <driver@example.com>", "Cc: boss@example.com", "Reply-To: desk@acme.example", "X-Unit: 4711", "track.csv", "<b>97</b>")
	if strings.Contains(string(raw), "hidden@") || strings.Contains(string(raw), "Bcc") {
		t.Errorf("the blind recipient is in the mail:\n%s", raw)
	}
}

func TestFromIsTheDefaultSenderOrThePlatforms(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	before := c.until(t, c.send(t, mail()).ID, "delivered")
	if want := (client.Address{Name: "Acme", Email: "no-reply@platform.example"}); before.From != want {
		t.Errorf("From = %v, want %v", before.From, want)
	}
	if _, err := c.SaveSettings(t.Context(), client.Settings{Gateway: &client.Gateway{Type: "builtin"}, From: "Acme Alerts <alerts@acme.example>"}); err != nil {
		t.Fatal(err)
	}
	after := c.until(t, c.send(t, mail()).ID, "delivered")
	if want := (client.Address{Name: "Acme Alerts", Email: "alerts@acme.example"}); after.From != want {
		t.Errorf("From = %v, want %v", after.From, want)
	}
}

func TestFromAndReplyToMayBeText(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	res, body := request(t, "POST", w.url+"/v1/messages", c.Key, strings.NewReader(
		`{"to":[{"email":"a@example.com"}],"from":"Fleet <fleet@acme.example>","reply_to":"desk@acme.example","subject":"s","text":"t"}`))
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	page, err := c.MessagePage(t.Context(), client.MessageFilter{})
	if err != nil || len(page.Items) != 1 || page.Items[0].From != (client.Address{Name: "Fleet", Email: "fleet@acme.example"}) {
		t.Errorf("messages = %+v, %v", page, err)
	}
}

func TestAnAddressOutsideASCIIMakesAnInternationalMail(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	m := mail()
	m.To = []client.Address{{Email: "водитель@пример.рф"}, {Email: "driver@пример.рф"}}
	raw, err := c.MessageRaw(t.Context(), c.send(t, m).ID)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(raw), "водитель@пример.рф", "driver@xn--e1afmkfd.xn--p1ai")
	if n := w.db.Int(t, "SELECT COUNT(*) FROM message WHERE header_utf8"); n != 1 {
		t.Error("the message is not marked as needing SMTPUTF8")
	}
}

func TestTheSameKeyIsAcceptedOnce(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	m := mail()
	m.Attachments = []client.Attachment{{Name: "a.bin", Content: []byte{1, 2, 3}}}
	m.IdempotencyKey = "alert-17"
	one := c.send(t, m)
	two := c.send(t, m)
	if one.Replayed || !two.Replayed {
		t.Errorf("Replayed = %v, then %v", one.Replayed, two.Replayed)
	}
	two.Replayed = false
	if diff := cmp.Diff(one, two); diff != "" {
		t.Error(diff)
	}
	m.Attachments[0].Content = []byte{1, 2, 4}
	_, err := c.Send(t.Context(), m)
	wantRefusal(t, err, 409, "idempotency_key_reused", "")
	if count, err := c.Conservation(t.Context()); err != nil || count.Accepted != 1 {
		t.Errorf("Conservation = %+v, %v, want one accepted", count, err)
	}
}

func TestAQueuedDeliverySaysWhatItWaitsFor(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	m := mail()
	m.SendAt = time.Now().Add(time.Hour)
	got := c.until(t, c.send(t, m).ID, "queued")
	contains(t, got.Deliveries[0].Waiting, "scheduled for ")
	if got.SendAt.IsZero() || got.Deliveries[0].NextAt.IsZero() {
		t.Errorf("message = %+v", got)
	}
	w.peer.set(reports(waypost.OutcomeTemporary, waypost.Reply{Code: 451, Text: "greylisted"}, "greylist"))
	id := c.send(t, mail()).ID
	for got = c.until(t, id, "queued"); !strings.HasPrefix(got.Deliveries[0].Waiting, "next try"); {
		got = c.until(t, id, "queued")
	}
	contains(t, got.Deliveries[0].Waiting, "greylisted")
	contains(t, got.Deliveries[0].Advice, "come back later")
}

func TestMessagesAreFound(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme", append(waypost.DefaultScopes(), waypost.ScopeSecurity)...)
	began := time.Now().Add(-time.Second)
	for _, m := range []client.NewMessage{
		{To: []client.Address{{Email: "ann@one.example"}}, Subject: "Weekly report", Text: "t", Kind: "report", Tags: []string{"weekly"}},
		{To: []client.Address{{Email: "bob@two.example"}}, Subject: "Speeding", Text: "t", Kind: "event"},
		{To: []client.Address{{Email: "ann@two.example"}}, Subject: "Your code is 483921", Text: "t", Kind: "security"},
	} {
		c.until(t, c.send(t, m).ID, "delivered")
	}
	for _, test := range []struct {
		name   string
		filter client.MessageFilter
		want   []string
	}{
		{"all, newest first", client.MessageFilter{}, []string{"ann@two.example", "bob@two.example", "ann@one.example"}},
		{"page by page", client.MessageFilter{Limit: 1}, []string{"ann@two.example", "bob@two.example", "ann@one.example"}},
		{"address", client.MessageFilter{Recipient: "bob@two.example"}, []string{"bob@two.example"}},
		{"prefix", client.MessageFilter{Recipient: "ann*"}, []string{"ann@two.example", "ann@one.example"}},
		{"domain", client.MessageFilter{Recipient: "@one.example"}, []string{"ann@one.example"}},
		{"subject", client.MessageFilter{Subject: "report"}, []string{"ann@one.example"}},
		{"kind", client.MessageFilter{Kind: "event"}, []string{"bob@two.example"}},
		{"tag", client.MessageFilter{Tag: "weekly"}, []string{"ann@one.example"}},
		{"status", client.MessageFilter{Status: "bounced"}, nil},
		{"since", client.MessageFilter{From: began}, []string{"ann@two.example", "bob@two.example", "ann@one.example"}},
		{"until", client.MessageFilter{To: began}, nil},
		{"a code is not found by its subject", client.MessageFilter{Subject: "483921"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, m := range collect(t, c.Messages(t.Context(), test.filter)) {
				got = append(got, m.To)
				if m.Recipients != 1 || m.Statuses["delivered"] != 1 {
					t.Errorf("%+v", m)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSecurityMailIsNeverShown(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme", waypost.AllScopes()[:7]...)
	for _, sendAt := range []time.Time{{}, time.Now().Add(time.Hour)} { // erased, and still queued
		m := mail()
		m.Kind, m.Subject, m.Text, m.SendAt = "security", "code 483921", "483921", sendAt
		r := c.send(t, m)
		want := "queued"
		if sendAt.IsZero() {
			want = "delivered"
		}
		got := c.until(t, r.ID, want)
		if got.Subject != "" {
			t.Errorf("%s: the subject is shown: %q", want, got.Subject)
		}
		_, err := c.MessageRaw(t.Context(), r.ID)
		wantRefusal(t, err, 403, "content_hidden", "")
		for _, path := range []string{"/v1/messages", "/v1/messages/" + r.ID, "/v1/messages?subject=483921"} {
			if _, body := request(t, "GET", w.url+path, c.Key, nil); strings.Contains(body, "483921") {
				t.Errorf("%s shows the code: %s", path, body)
			}
		}
	}
}

func TestAMailThatCannotBeIsRefusedWithItsFields(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	for _, test := range []struct {
		name     string
		change   func(*client.NewMessage)
		status   int
		code     string
		location string
	}{
		{"no recipients", func(m *client.NewMessage) { m.To = nil }, 422, "invalid", "body.to"},
		{"bad recipient", func(m *client.NewMessage) { m.To = append(m.To, client.Address{Email: "no"}) }, 422, "invalid", "body.to[1].email"},
		{"bad bcc", func(m *client.NewMessage) { m.Bcc = []client.Address{{Email: "a@b\nc"}} }, 422, "invalid", "body.bcc[0].email"},
		{"bad domain in cc", func(m *client.NewMessage) { m.Cc = []client.Address{{Email: "a@\u0301a.example"}} }, 422, "invalid_recipient", "body.cc[0].email"},
		{"bad from", func(m *client.NewMessage) { m.From = &client.Address{Email: "x"} }, 422, "invalid", "body.from"},
		{"no text", func(m *client.NewMessage) { m.Text = "" }, 422, "invalid", "body.text"},
		{"line break in subject", func(m *client.NewMessage) { m.Subject = "a\r\nBcc: x@y.z" }, 422, "invalid", "body.subject"},
		{"line break in header", func(m *client.NewMessage) { m.Headers = map[string]string{"X-A": "a\r\nb"} }, 422, "invalid", "body.headers.X-A"},
		{"header of ours", func(m *client.NewMessage) { m.Headers = map[string]string{"Bcc": "a@b.c"} }, 422, "invalid", "body.headers"},
		{"control header", func(m *client.NewMessage) { m.Headers = map[string]string{"X-Waypost-Kind": "security"} }, 422, "invalid", "body.headers"},
		{"unknown kind", func(m *client.NewMessage) { m.Kind = "spam" }, 422, "invalid", "body.kind"},
		{"kind test", func(m *client.NewMessage) { m.Kind = "test" }, 422, "invalid", "body.kind"},
		{"kind security without scope", func(m *client.NewMessage) { m.Kind = "security" }, 403, "scope_missing", ""},
		{"lane alarm without scope", func(m *client.NewMessage) { m.Lane = "alarm" }, 403, "scope_missing", ""},
		{"expired", func(m *client.NewMessage) { m.ExpiresAt = time.Now().Add(-time.Hour) }, 422, "invalid", "body.expires_at"},
		{"send_at too late", func(m *client.NewMessage) { m.SendAt = time.Now().AddDate(1, 0, 0) }, 422, "invalid", "body.send_at"},
		{"too many tags", func(m *client.NewMessage) { m.Tags = strings.Split("a,b,c,d,e,f,g,h,i,j,k", ",") }, 422, "invalid", "body.tags"},
		{"metadata too large", func(m *client.NewMessage) { m.Metadata = map[string]string{"a": strings.Repeat("x", 5000)} }, 422, "invalid", "body.metadata"},
		{"bad attachment type", func(m *client.NewMessage) {
			m.Attachments = []client.Attachment{{Name: "a", Type: "x", Content: []byte("x")}}
		}, 422, "invalid", "body.attachments[0].type"},
		{"bad key", func(m *client.NewMessage) { m.IdempotencyKey = "two words" }, 422, "invalid", "header.Idempotency-Key"},
		{"too many recipients", func(m *client.NewMessage) {
			for range 1001 {
				m.To = append(m.To, m.To[0])
			}
		}, 413, "too_many_recipients", "body.to"},
		{"too large", func(m *client.NewMessage) { m.Text = strings.Repeat("x\n", 600<<10) }, 413, "message_too_large", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := mail()
			test.change(&m)
			_, err := c.Send(t.Context(), m)
			wantRefusal(t, err, test.status, test.code, test.location)
		})
	}
	if count, err := c.Conservation(t.Context()); err != nil || count.Accepted != 0 {
		t.Errorf("Conservation = %+v, %v: a refusal left something behind", count, err)
	}
}

func TestAForeignFromIsRefusedIfTheKeySaysSo(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	strict := w.key(t, c.id, auth.CreateRequest{FromPolicy: waypost.FromRefuse})
	m := mail()
	m.From = &client.Address{Email: "ceo@other.example"}
	_, err := strict.Send(t.Context(), m)
	wantRefusal(t, err, 403, "from_not_allowed", "body.from")
	c.send(t, m)
}

func TestMailIsRefusedWhileThereIsNoGateway(t *testing.T) {
	w := newWorld(t)
	o, err := w.root.CreateOperator(t.Context(), client.NewOperator{Name: "Acme", Product: "cloud"})
	if err != nil {
		t.Fatal(err)
	}
	c := w.key(t, o.ID, auth.CreateRequest{})
	_, err = c.Send(t.Context(), mail())
	wantRefusal(t, err, 409, "no_gateway", "")
}

func TestATestKeysMailGoesToTheSandbox(t *testing.T) {
	w := newWorld(t)
	live := w.tenant(t, "Acme")
	c := w.key(t, live.id, auth.CreateRequest{Test: true, Scopes: waypost.AllScopes()[:7]})
	m := mail()
	c.until(t, c.send(t, m).ID, "delivered")
	m.Kind, m.Subject = "security", "code 483921"
	c.until(t, c.send(t, m).ID, "delivered")
	mails := collect(t, c.Sandbox(t.Context()))
	if len(mails) != 1 || mails[0].Subject != "Speeding alert" || mails[0].To != "driver@example.com" {
		t.Fatalf("sandbox = %+v, want the mail that is no code", mails)
	}
	one, err := c.SandboxMail(t.Context(), mails[0].ID)
	if diff := cmp.Diff(mails[0], one); err != nil || diff != "" {
		t.Error(err, diff)
	}
	raw, err := c.SandboxRaw(t.Context(), one.ID)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(raw), "Subject: Speeding alert", "97 km/h")

	root := w.root.For(c.id) // the platform owner sees the codes too
	all := collect(t, root.Sandbox(t.Context()))
	if len(all) != 2 || all[0].Kind != "security" {
		t.Fatalf("sandbox for the platform = %+v", all)
	}
	if raw, err = root.SandboxRaw(t.Context(), all[0].ID); err != nil || !strings.Contains(string(raw), "483921") {
		t.Errorf("SandboxRaw = %s, %v", raw, err)
	}
	_, err = c.SandboxRaw(t.Context(), all[0].ID)
	wantRefusal(t, err, 404, "not_found", "")

	if n, err := c.EmptySandbox(t.Context()); err != nil || n != 1 {
		t.Errorf("EmptySandbox = %d, %v, want 1", n, err)
	}
	if mails := collect(t, c.Sandbox(t.Context())); len(mails) != 0 {
		t.Errorf("sandbox = %+v after it was emptied", mails)
	}
}

func TestNoKeyReadsThePlatformsOwnSecurityMail(t *testing.T) {
	w := newWorld(t)
	// As the panel writes to people while no mail leaves.
	_, err := w.options.Accepter.Accept(t.Context(), waypost.Submission{
		Principal:  waypost.Principal{Platform: true, Test: true, Scopes: waypost.AllScopes(), FromPolicy: waypost.FromReplace},
		OperatorID: waypost.PlatformOperatorID, Source: "notice", Protocol: "HTTP", Kind: waypost.KindSecurity, Recipients: []string{"boss@example.com"},
		Message: []byte("From: no-reply@platform.example\r\nSubject: Link for boss 483921\r\n\r\nhttps://waypost.test/reset/s3cret\r\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	root := w.root.For(waypost.PlatformOperatorID)
	var all []client.SandboxMail
	for end := time.Now().Add(10 * time.Second); len(all) == 0 && time.Now().Before(end); {
		all = collect(t, root.Sandbox(t.Context()))
	}
	if len(all) != 1 || all[0].Kind != "security" || all[0].Subject != "" || all[0].To != "boss@example.com" {
		t.Fatalf("the sandbox of the platform = %+v", all)
	}
	if one, err := root.SandboxMail(t.Context(), all[0].ID); err != nil || one.Subject != "" {
		t.Errorf("SandboxMail = %+v, %v", one, err)
	}
	_, err = root.SandboxRaw(t.Context(), all[0].ID)
	wantRefusal(t, err, 403, "content_hidden", "")
}

func TestControlActions(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	m := mail()
	m.SendAt = time.Now().Add(time.Hour)
	id := c.send(t, m).Deliveries[0].ID
	d, err := c.Hold(t.Context(), id)
	if err != nil || !d.Held || d.Status != "queued" || d.Pending {
		t.Fatalf("Hold = %+v, %v", d, err)
	}
	contains(t, d.Waiting, "held")
	_, err = c.Hold(t.Context(), id)
	wantRefusal(t, err, 409, "wrong_state", "")
	if d, err = c.Release(t.Context(), id); err != nil || d.Held {
		t.Fatalf("Release = %+v, %v", d, err)
	}
	c.until(t, d.MessageID, "delivered")
	_, err = c.Cancel(t.Context(), id)
	wantRefusal(t, err, 409, "wrong_state", "")

	id = c.send(t, m).Deliveries[0].ID
	if d, err = c.Retry(t.Context(), id); err != nil || d.Status != "queued" {
		t.Fatalf("Retry = %+v, %v", d, err)
	}
	c.until(t, d.MessageID, "delivered")

	id = c.send(t, m).Deliveries[0].ID
	if d, err = c.Cancel(t.Context(), id); err != nil || d.Status != "cancelled" {
		t.Fatalf("Cancel = %+v, %v", d, err)
	}
	_, err = c.Cancel(t.Context(), waypost.NewID())
	wantRefusal(t, err, 404, "not_found", "")

	m.To = append(m.To, client.Address{Email: "b@example.com"})
	sent := c.send(t, m)
	if _, err = c.Cancel(t.Context(), sent.Deliveries[0].ID); err != nil {
		t.Fatal(err)
	}
	if got, err := c.ControlMessage(t.Context(), sent.ID, "cancel"); err != nil || got != (client.Controlled{Done: 1, Refused: 1}) {
		t.Errorf("ControlMessage = %+v, %v", got, err)
	}
	_, err = c.ControlMessage(t.Context(), sent.ID, "retry")
	wantRefusal(t, err, 409, "wrong_state", "")
	if count, err := c.Conservation(t.Context()); err != nil || !count.Balanced || count.Cancelled != 3 || count.Delivered != 2 {
		t.Errorf("Conservation = %+v, %v", count, err)
	}
}

func TestCancelOfADeliveryUnderWayIsPending(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	talking, asked := make(chan struct{}), make(chan struct{})
	w.peer.set(func(j *waypost.Job) {
		close(talking)
		<-asked
	})
	id := c.send(t, mail()).Deliveries[0].ID
	<-talking
	d, err := c.Cancel(t.Context(), id)
	if err != nil || !d.Pending || d.Status != "queued" {
		t.Errorf("Cancel = %+v, %v, want a pending one", d, err)
	}
	close(asked)
	c.until(t, d.MessageID, "cancelled")
}

// stuck is a client that takes nothing until it is let go.
type stuck struct {
	*httptest.ResponseRecorder
	writing chan struct{} // something is there for it
	free    chan struct{}
}

// Write implements http.ResponseWriter.
func (s *stuck) Write(b []byte) (int, error) {
	select {
	case s.writing <- struct{}{}:
	default:
	}
	<-s.free
	return s.ResponseRecorder.Write(b)
}

func TestSlowDownloadsHoldOnlySoMuchMailInMemory(t *testing.T) {
	w := newWorld(t, func(o *api.Options) { o.Memory = web.NewMemory(web.MemoryOptions{Wait: 20 * time.Millisecond}) })
	h := api.New(w.options) // the same memory
	live, other := w.tenant(t, "Acme"), w.tenant(t, "Other")
	tests := w.key(t, live.id, auth.CreateRequest{Test: true})
	m := mail()
	m.Text = strings.Repeat(strings.Repeat("0123456789", 7)+"\n", 8000)
	id, theirs := tests.send(t, m).ID, other.send(t, m).ID
	tests.until(t, id, "delivered")
	slowly := func(path string) func() *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+live.Key)
		s := &stuck{ResponseRecorder: httptest.NewRecorder(), writing: make(chan struct{}, 1), free: make(chan struct{})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.ServeHTTP(s, r)
		}()
		<-s.writing
		return func() *httptest.ResponseRecorder {
			close(s.free)
			<-done
			return s.ResponseRecorder
		}
	}
	boxed := collect(t, live.Sandbox(t.Context()))[0].ID
	for _, path := range []string{"/v1/messages/" + id + "/raw", "/v1/sandbox/messages/" + boxed + "/raw"} {
		var slow []func() *httptest.ResponseRecorder
		for range 3 {
			slow = append(slow, slowly(path))
		}
		res, text := request(t, http.MethodGet, w.url+path, live.Key, nil)
		wantProblem(t, res, text, 503, "content_busy", "")
		if res.Header.Get("Retry-After") != "5" {
			t.Errorf("Retry-After: %q", res.Header.Get("Retry-After"))
		}
		if res, _ := request(t, http.MethodGet, w.url+"/v1/messages/"+theirs+"/raw", other.Key, nil); res.StatusCode != http.StatusOK {
			t.Errorf("another operator gets %d", res.StatusCode)
		}
		if _, err := live.SandboxMail(t.Context(), boxed); err != nil {
			t.Error(err)
		}
		var whole string
		for _, end := range slow {
			whole = end().Body.String()
		}
		if res, text := request(t, http.MethodGet, w.url+path, live.Key, nil); res.StatusCode != http.StatusOK || text != whole || len(text) < 500_000 {
			t.Errorf("afterwards: %d, %d and %d bytes", res.StatusCode, len(text), len(whole))
		}
	}
}
