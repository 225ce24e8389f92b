package panel_test

import (
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/waypost"
)

var reHookSecret = regexp.MustCompile(`whsec_[A-Za-z0-9+/]{32}`)

func TestAWebhooksSecretIsShownOnce(t *testing.T) {
	w := newWorld(t)
	acme := w.operator(t, "Acme")
	v := w.visitor(t, acme, waypost.RoleAdmin)
	v.open("/webhooks").wants("No webhooks yet", "Add a webhook")
	v.open("/webhooks/new").wants("delivery.bounced", "The mail came back or was refused for good")
	got := v.post("/webhooks/new", "url", "https://hooks.example/in", "description", "Our CRM", "types", "delivery.bounced", "types", "delivery.complained", "max_events", "20")
	key := reHookSecret.FindString(got.body)
	if got.status != http.StatusOK || key == "" || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	list, err := w.accounts.Webhooks(t.Context(), acme)
	if err != nil || len(list) != 1 || list[0].URL != "https://hooks.example/in" || list[0].MaxEvents != 20 || !list[0].Enabled ||
		!slices.Equal(list[0].Types, []waypost.WebhookType{waypost.WebhookBounced, waypost.WebhookComplained}) {
		t.Fatalf("%+v, %v", list, err)
	}
	path := "/webhooks/" + list[0].ID
	page := v.open("/webhooks")
	page.wants("https://hooks.example/in", "Our CRM", "2 event types", "Working")
	page.lacks(key)
	v.open(path).lacks(key)
	again := v.post(path + "/rotate")
	other := reHookSecret.FindString(again.body)
	again.wants("calls carry two signatures")
	if other == "" || other == key {
		t.Errorf("no new secret: %s", again.text())
	}
	v.open(path).wants("The old secret also signs until")
	w.quiet(t, key)
	w.quiet(t, other)
	log := w.audited(t, acme)
	if !slices.Contains(log, "webhook.create") || !slices.Contains(log, "webhook.rotate") {
		t.Errorf("%v", log)
	}
}

func TestAWebhookTypedWrongIsKeptInTheForm(t *testing.T) {
	w := newWorld(t)
	acme := w.operator(t, "Acme")
	v := w.visitor(t, acme, waypost.RoleAdmin)
	made, _, err := w.accounts.CreateWebhook(t.Context(), waypost.CommandLine(), acme, panelWebhook())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/webhooks/new", "/webhooks/" + made.ID} {
		for _, tt := range []struct{ url, all, most, want string }{
			{"http://hooks.example/in", "true", "1", "This URL cannot be called."},
			{hostile, "true", "1", "This URL cannot be called."},
			{"", "true", "1", "This URL cannot be called."},
			{"https://hooks.example/in", "", "1", "Choose at least one event, or all."},
			{"https://hooks.example/in", "true", "0", "Enter a number from 1 to 100."},
			{"https://hooks.example/in", "true", "many", "Enter a number from 1 to 100."},
		} {
			got := v.post(path, "url", tt.url, "all", tt.all, "max_events", tt.most, "description", "kept")
			if got.status != http.StatusUnprocessableEntity || got.value("url") != tt.url || got.value("description") != "kept" {
				t.Errorf("%s %v: %d", path, tt, got.status)
			}
			got.wants(tt.want)
			got.lacks("<script>alert")
		}
	}
	if list, err := w.accounts.Webhooks(t.Context(), acme); err != nil || len(list) != 1 || list[0].URL != "https://hooks.example/first" {
		t.Errorf("%+v, %v", list, err)
	}
}

func panelWebhook() (n account.NewWebhook) {
	n.URL = "https://hooks.example/first"
	return n
}

func TestAWebhookIsSwitchedOffReplayedAndRemoved(t *testing.T) {
	w := newWorld(t)
	acme := w.operator(t, "Acme")
	made, _, err := w.accounts.CreateWebhook(t.Context(), waypost.CommandLine(), acme, panelWebhook())
	if err != nil {
		t.Fatal(err)
	}
	path := "/webhooks/" + made.ID
	w.send(t, acme, "a@rcpt.example", "Hello")
	v, viewer := w.visitor(t, acme, waypost.RoleAdmin), w.visitor(t, acme, waypost.RoleViewer)
	viewer.open(path).lacks(path+"/disable", "Send a test")
	if got := v.post(path, "url", "https://hooks.example/second", "all", "true", "max_events", "5"); got.location() != path {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	v.open(path).wants("https://hooks.example/second", "Saved.")
	from := time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:04")
	if got := v.post(path+"/replay", "from", from); got.location() != path+"#replay" {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	v.open(path).wants("The events are being sent again.", "Under way")
	for _, tt := range []struct{ from, to, want string }{
		{"", "", "Enter a time."},
		{"yesterday", "", "Enter a time."},
		{from, "2000-01-01T00:00", "The period has to begin before its end"},
		{"2001-01-01T00:00", "", "The period has to begin before its end, and to be 31 days long at most."},
	} {
		got := v.post(path+"/replay", "from", tt.from, "to", tt.to)
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d", tt, got.status)
		}
		got.wants(tt.want)
	}
	if got := v.post(path + "/disable"); got.location() != path {
		t.Fatalf("%d", got.status)
	}
	v.open(path).wants("Switched off since", "Somebody switched it off.", "Switch on")
	if got := v.post(path+"/replay", "from", from); got.status != http.StatusConflict {
		t.Errorf("a webhook that is off replays: %d", got.status)
	}
	if got := v.post(path + "/enable"); got.location() != path {
		t.Fatalf("%d", got.status)
	}
	v.open(path).wants("Working")
	if got := v.post(path + "/remove"); got.location() != "/webhooks" {
		t.Fatalf("%d", got.status)
	}
	v.open("/webhooks").wants("The webhook was removed.", "No webhooks yet")
}

func TestATestOfAWebhookShowsTheAnswer(t *testing.T) {
	e := &endpoint{waypost.WebhookAttempt{Number: 1, Took: 30 * time.Millisecond, Status: 500, Error: "the endpoint answered 500", Answer: hostile}}
	w := newWorld(t, func(o *panel.Options) { o.WebhookTests = e })
	acme := w.operator(t, "Acme")
	made, _, err := w.accounts.CreateWebhook(t.Context(), waypost.CommandLine(), acme, panelWebhook())
	if err != nil {
		t.Fatal(err)
	}
	v := w.visitor(t, acme, waypost.RoleAdmin)
	got := v.post("/webhooks/" + made.ID + "/test")
	got.wants("The test was not taken", "the endpoint answered 500")
	got.lacks("<script>alert")
	e.answer = waypost.WebhookAttempt{Number: 1, Took: 30 * time.Millisecond, Status: 204}
	v.post("/webhooks/"+made.ID+"/test").wants("The test was taken", "Answered 204 after")
}

func TestTheLogOfAWebhookHasItsCalls(t *testing.T) {
	w := newWorld(t)
	acme := w.operator(t, "Acme")
	made, _, err := w.accounts.CreateWebhook(t.Context(), waypost.CommandLine(), acme, panelWebhook())
	if err != nil {
		t.Fatal(err)
	}
	v := w.visitor(t, acme, waypost.RoleAdmin)
	path := "/webhooks/" + made.ID
	v.open(path).wants("Nothing was sent yet.")
	call := waypost.WebhookCall{
		ID: waypost.NewID(), OperatorID: acme, WebhookID: made.ID, Type: waypost.WebhookBounced, Events: 1, State: waypost.WebhookFailed, Attempts: 1,
		Created: time.Now(), Finished: time.Now(), Body: []byte(`{"type":"delivery.bounced"}`),
		Last: waypost.WebhookAttempt{Number: 1, At: time.Now(), Took: time.Second, Status: 500, Error: "the endpoint answered 500", Answer: hostile},
	}
	if err := w.db.Store.RecordWebhookTest(t.Context(), waypost.CommandLine(), call, time.Now()); err != nil {
		t.Fatal(err)
	}
	page := v.open(path)
	page.wants("delivery.bounced", "Given up", "1 try", "the endpoint answered 500")
	page.lacks("Nothing was sent yet.", "<script>alert")
	v.open(path + "?state=delivered").wants("There are no such calls.")
	one := v.open(path + "/calls/" + call.ID)
	one.wants("webhook-id: "+call.ID, "the endpoint answered 500", `"type": "delivery.bounced"`)
	one.lacks("<script>alert")
	for _, v := range []*visitor{w.visitor(t, w.operator(t, "Other"), waypost.RoleAdmin), w.visitor(t, w.operator(t, "Third"), waypost.RoleAdmin)} {
		if got := v.get(path + "/calls/" + call.ID); got.status != http.StatusNotFound {
			t.Errorf("%d", got.status)
		}
	}
	if got := v.post(path + "/calls/" + call.ID + "/resend"); got.location() != path+"/calls/"+call.ID {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	v.open(path+"/calls/"+call.ID).wants("The call is being made again.", "Waiting")
	if got := v.post(path + "/disable"); got.location() != path {
		t.Fatalf("%d", got.status)
	}
	got := v.post(path + "/calls/" + call.ID + "/resend")
	if got.status != http.StatusConflict {
		t.Errorf("%d", got.status)
	}
	got.wants("Not now: the webhook is switched off.")
}
