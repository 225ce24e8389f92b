package api_test

import (
	"bytes"
	"errors"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/api"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/waypost"
)

func own() client.Settings {
	return client.Settings{
		Gateway: &client.Gateway{
			Type: "smtp", Host: "mail.acme.example", Security: "starttls", Auth: &client.Login{Username: "acme", Password: "hunter2-secret"},
		},
		From: "Acme <alerts@acme.example>", ReplyTo: "desk@acme.example", Signature: client.Signature{Text: "-- Acme"},
	}
}

func TestSettingsAreSavedShownAndSentBack(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	start, err := c.Settings(t.Context())
	if err != nil || start.Gateway == nil || start.Gateway.Type != "builtin" {
		t.Fatalf("Settings = %+v, %v, want the built-in gateway", start, err)
	}
	saved, err := c.SaveSettings(t.Context(), own())
	if err != nil {
		t.Fatal(err)
	}
	want := &client.Gateway{Type: "smtp", Host: "mail.acme.example", Port: 587, Security: "starttls", Auth: &client.Login{Username: "acme", PasswordSet: true}}
	if diff := cmp.Diff(want, saved.Gateway); diff != "" {
		t.Error(diff)
	}
	again, err := c.SaveSettings(t.Context(), saved) // the answer, read-only fields and all
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(saved, again); diff != "" {
		t.Error(diff)
	}
	senders, err := c.Senders(t.Context())
	if err != nil || len(senders) != 1 || senders[0].Address != "alerts@acme.example" || senders[0].State != "requested" || !senders[0].Default {
		t.Errorf("Senders = %+v, %v", senders, err)
	}
	saved.Gateway = nil
	if saved, err = c.SaveSettings(t.Context(), saved); err != nil || saved.Gateway != nil || saved.SMTP == nil {
		t.Errorf("with none bound: %+v, %v, want the own server kept", saved, err)
	}
}

func TestSettingsThatCannotBeAreRefusedWithTheirFields(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	if _, err := c.SaveSettings(t.Context(), own()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		change   func(*client.Settings)
		location string
	}{
		{"password for another host", func(s *client.Settings) { s.Gateway.Host, s.Gateway.Auth.Password = "evil.example", "" }, "gateway.auth.password"},
		{"password over less security", func(s *client.Settings) {
			s.Gateway.Security, s.Gateway.Port, s.Gateway.Auth.Password = "none", 587, ""
		}, "gateway.auth.password"},
		{"port", func(s *client.Settings) { s.Gateway.Port = 22 }, "gateway.port"},
		{"security", func(s *client.Settings) { s.Gateway.Security = "ssl" }, "gateway.security"},
		{"type", func(s *client.Settings) { s.Gateway.Type = "carrier pigeon" }, "gateway.type"},
		{"from", func(s *client.Settings) { s.From = "nobody" }, "from"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := own()
			test.change(&s)
			_, err := c.SaveSettings(t.Context(), s)
			wantRefusal(t, err, 422, "invalid", "body."+test.location)
			_, err = c.TestSettings(t.Context(), "me@example.com", &s)
			wantRefusal(t, err, 422, "invalid", "body.settings."+test.location)
		})
	}
	o, err := w.root.CreateOperator(t.Context(), client.NewOperator{Name: "Cloudy", Product: "cloud"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.key(t, o.ID, auth.CreateRequest{}).SaveSettings(t.Context(), client.Settings{Gateway: &client.Gateway{Type: "builtin"}})
	wantRefusal(t, err, 403, "gateway_not_allowed", "body.gateway.type")
}

func TestATestMailShowsEveryStage(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	var relay *waypost.Relay
	w.peer.set(func(j *waypost.Job) {
		relay = j.Relay
		reports(waypost.OutcomePermanent, waypost.Reply{Code: 535, Enhanced: "5.7.8", Text: "bad credentials"}, "auth")(j)
	})
	s := own()
	got, err := c.TestSettings(t.Context(), "me@example.com", &s)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Done || got.Status != "bounced" || got.Reply != "535 5.7.8 bad credentials" || got.Cause != "auth" || !strings.Contains(got.Advice, "refused the login") {
		t.Errorf("TestSettings = %+v", got)
	}
	if len(got.Stages) != 1 || got.Stages[0].Phase != "connect" || !got.Stages[0].OK || got.Stages[0].TookMS != 3 {
		t.Errorf("stages = %+v", got.Stages)
	}
	if relay == nil || relay.Host != "mail.acme.example" || relay.Password != "hunter2-secret" {
		t.Errorf("the test went over %v", relay)
	}
	if now, err := c.Settings(t.Context()); err != nil || now.Gateway.Type != "builtin" {
		t.Errorf("the test saved its settings: %+v, %v", now, err)
	}
	again, err := c.Test(t.Context(), got.ID)
	if diff := cmp.Diff(got, again); err != nil || diff != "" {
		t.Error(err, diff)
	}
	c.until(t, got.ID, "bounced")
	w.options.Tests = tester(w.options, nil) // another process on the same database
	afterRestart := client.New(serve(t, api.New(w.options)), c.Key)
	stored, err := afterRestart.Test(t.Context(), got.ID)
	if err != nil || !stored.Done || stored.Status != "bounced" || stored.Reply != got.Reply || len(stored.Stages) != 1 {
		t.Errorf("after a restart: %+v, %v", stored, err)
	}
	_, err = afterRestart.Test(t.Context(), waypost.NewID())
	wantRefusal(t, err, 404, "not_found", "")
	_, err = c.Test(t.Context(), c.send(t, mail()).ID)
	wantRefusal(t, err, 404, "not_found", "")
}

func TestATestMailThatTakesLongIsFollowed(t *testing.T) {
	w := newWorld(t, func(o *api.Options) { o.TestWait = time.Millisecond })
	c := w.tenant(t, "Acme")
	goOn := make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(release)
	w.peer.set(func(j *waypost.Job) {
		j.Step(waypost.Step{Phase: waypost.PhaseDNS, Started: time.Now(), OK: true})
		<-goOn
		reports(waypost.OutcomeDelivered, waypost.Reply{Code: 250}, "")(j)
	})
	got, err := c.TestSettings(t.Context(), "me@example.com", nil)
	if err != nil || got.Done || got.Status != "queued" || got.ID == "" {
		t.Fatalf("TestSettings = %+v, %v, want it under way", got, err)
	}
	if got, err = c.Test(t.Context(), got.ID); err != nil || got.Done {
		t.Errorf("Test = %+v, %v, want it under way", got, err)
	}
	release()
	c.until(t, got.ID, "delivered")
	if got, err = c.Test(t.Context(), got.ID); err != nil || !got.Done || got.Status != "delivered" || len(got.Stages) != 2 {
		t.Errorf("Test = %+v, %v, want it done in two stages", got, err)
	}
}

func TestATestMailToASuppressedAddressIsRefused(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	if _, err := c.Suppress(t.Context(), client.NewSuppression{Address: "Me@Example.com", Detail: "asked us to stop"}); err != nil {
		t.Fatal(err)
	}
	_, err := c.TestSettings(t.Context(), "me@example.com", nil)
	wantRefusal(t, err, 422, "recipient_suppressed", "body.to")
}

func TestTestMailsAreLimited(t *testing.T) {
	w := newWorld(t)
	c, other := w.tenant(t, "Acme"), w.tenant(t, "Other")
	for range 10 {
		if _, err := c.TestSettings(t.Context(), "me@example.com", nil); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.TestSettings(t.Context(), "me@example.com", nil)
	wantRefusal(t, err, 429, "rate_limited", "")
	if refused(t, err).RetryAfter == 0 {
		t.Error("there is no Retry-After")
	}
	if _, err := other.TestSettings(t.Context(), "me@example.com", nil); err != nil {
		t.Errorf("another operator is limited too: %v", err)
	}
}

func TestATestMailNeedsALiveKeyAndAGateway(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	_, err := w.key(t, c.id, auth.CreateRequest{Test: true}).TestSettings(t.Context(), "me@example.com", nil)
	wantRefusal(t, err, 403, "test_key", "")
	_, err = c.TestSettings(t.Context(), "me@example.com", &client.Settings{})
	wantRefusal(t, err, 409, "no_gateway", "")
	_, err = c.TestSettings(t.Context(), "me", nil)
	wantRefusal(t, err, 422, "invalid", "body.to")
}

func TestSuppressions(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	added, err := c.Suppress(t.Context(), client.NewSuppression{Address: "Driver@Example.com", Detail: "asked us to stop", ExpiresAt: expires})
	if err != nil || added.Address != "driver@example.com" || added.Reason != "manual" || !added.ExpiresAt.Equal(expires) {
		t.Fatalf("Suppress = %+v, %v", added, err)
	}
	if list := collect(t, c.Suppressions(t.Context(), client.SuppressionFilter{Address: "@example.com", Reason: "manual"})); len(list) != 1 || list[0].Detail != "asked us to stop" {
		t.Errorf("Suppressions = %+v", list)
	}
	got := c.until(t, c.send(t, mail()).ID, "suppressed")
	contains(t, got.Deliveries[0].Reason, "manual")
	if err := c.Unsuppress(t.Context(), client.SuppressionFilter{Address: "driver@example.com"}); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, c.Unsuppress(t.Context(), client.SuppressionFilter{Address: "driver@example.com"}), 404, "not_found", "")
	wantRefusal(t, c.Unsuppress(t.Context(), client.SuppressionFilter{Address: "driver"}), 422, "invalid", "query.address")
	_, err = c.Suppress(t.Context(), client.NewSuppression{Address: "driver@example.com", ExpiresAt: time.Now().Add(-time.Hour)})
	wantRefusal(t, err, 422, "invalid", "body.expires_at")
	c.until(t, c.send(t, mail()).ID, "delivered")
}

func TestASuppressionCanBeForOneKindOfMail(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	added, err := c.Suppress(t.Context(), client.NewSuppression{Address: "driver@example.com", Kind: "report"})
	if err != nil || added.Kind != "report" || added.Via != "api" {
		t.Fatalf("%+v, %v", added, err)
	}
	event, report := mail(), mail()
	event.Kind, report.Kind = "event", "report"
	if got := c.send(t, event).Deliveries[0]; got.Status != "queued" || got.Reason != "" {
		t.Errorf("event: %+v", got)
	}
	if got := c.send(t, report).Deliveries[0]; got.Status != "suppressed" || got.Reason != "manual" {
		t.Errorf("report: %+v", got) // who hands it over is told at once
	}
	for kind, want := range map[string]int{"": 1, "report": 1, "event": 0, "all": 0} {
		if list := collect(t, c.Suppressions(t.Context(), client.SuppressionFilter{Kind: kind})); len(list) != want {
			t.Errorf("kind %q: %+v", kind, list)
		}
	}
	wantRefusal(t, c.Unsuppress(t.Context(), client.SuppressionFilter{Address: "driver@example.com", Kind: "all"}), 404, "not_found", "")
	if err := c.Unsuppress(t.Context(), client.SuppressionFilter{Address: "driver@example.com", Kind: "report"}); err != nil {
		t.Error(err)
	}
	_, err = c.Suppress(t.Context(), client.NewSuppression{Address: "driver@example.com", Kind: "parcel"})
	wantRefusal(t, err, 422, "invalid", "body.kind")
}

func TestSuppressionsGoFromOneOperatorToAnotherInAFile(t *testing.T) {
	w := newWorld(t)
	c, other := w.tenant(t, "Acme"), w.tenant(t, "Other")
	file := []byte("address;reason;kind\nA@x.example;unsubscribe;event\nnobody;manual;\nb@x.example;;\n")
	for _, try := range []bool{true, false} {
		got, err := c.ImportSuppressions(t.Context(), file, "complaint", try)
		if err != nil || got.DryRun != try || got.Rows != 3 || got.Added != 2 || got.Refused != 1 || got.Problems[0].Line != 3 || got.Problems[0].Code != "address" || got.Problems[0].Text != "nobody" {
			t.Fatalf("try %v: %+v, %v", try, got, err)
		}
	}
	exported, err := c.ExportSuppressions(t.Context(), client.SuppressionFilter{})
	if lines := strings.Split(string(exported), "\r\n"); err != nil || len(lines) != 4 || !strings.HasPrefix(lines[1], "a@x.example,unsubscribe,event,,") || !strings.HasPrefix(lines[2], "b@x.example,complaint,,,") {
		t.Fatalf("%q, %v", exported, err)
	}
	if some, err := c.ExportSuppressions(t.Context(), client.SuppressionFilter{Kind: "event"}); err != nil || strings.Count(string(some), "\r\n") != 2 {
		t.Errorf("%q, %v", some, err)
	}
	if got, err := other.ImportSuppressions(t.Context(), exported, "", false); err != nil || got.Added != 2 || got.Refused != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	wants, got := collect(t, c.Suppressions(t.Context(), client.SuppressionFilter{})), collect(t, other.Suppressions(t.Context(), client.SuppressionFilter{}))
	for i := range wants {
		wants[i].ExpiresAt, wants[i].CreatedAt = wants[i].ExpiresAt.Truncate(time.Second), got[i].CreatedAt
	}
	if diff := cmp.Diff(wants, got); diff != "" {
		t.Error(diff)
	}
	_, err = c.ImportSuppressions(t.Context(), []byte("reason\nmanual\n"), "", false)
	wantRefusal(t, err, 422, "bad_file", "body.file")
	_, err = c.ImportSuppressions(t.Context(), bytes.Repeat([]byte("x"), 6<<20), "", false)
	wantRefusal(t, err, 413, "body_too_large", "")
}

func TestAFileOfSuppressionsComesInAFormToo(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	part, err := parts.CreateFormFile("file", "list.csv")
	if err == nil {
		_, err = part.Write([]byte("a@x.example\n"))
	}
	if err := errors.Join(err, parts.Close()); err != nil {
		t.Fatal(err)
	}
	path := w.url + "/v1/suppressions/import"
	if res, text := request(t, "POST", path, c.Key, &form, "Content-Type", parts.FormDataContentType()); res.StatusCode != http.StatusOK || !strings.Contains(text, `"added":1`) {
		t.Errorf("%s %s", res.Status, text)
	}
	for kind, status := range map[string]int{"application/json": 415, "text/csv": 200, "multipart/form-data; boundary=x": 422, "multipart/form-data": 400} {
		if res, text := request(t, "POST", path, c.Key, strings.NewReader("b@x.example\n"), "Content-Type", kind); res.StatusCode != status {
			t.Errorf("%s: %s %s", kind, res.Status, text)
		}
	}
}

func TestExemptAddressesAreManaged(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	for _, address := range []string{"Boss@acme.example", "control@acme.example"} {
		if err := c.AddExempt(t.Context(), address); err != nil {
			t.Fatal(err)
		}
	}
	wantRefusal(t, c.AddExempt(t.Context(), "nobody"), 422, "invalid", "body.address")
	if got := collect(t, c.Exempt(t.Context())); len(got) != 2 || got[0].Address != "boss@acme.example" {
		t.Errorf("%+v", got)
	}
	if err := c.RemoveExempt(t.Context(), "boss@acme.example"); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, c.RemoveExempt(t.Context(), "boss@acme.example"), 404, "not_found", "")
	if got := collect(t, c.Exempt(t.Context())); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}
