package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/waypost"
)

func TestWebhooksOverTheAPI(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme", waypost.AllScopes()[:7]...)
	status := http.StatusOK
	endpoint := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, "what it says")
	}))
	defer endpoint.Close()
	ctx := t.Context()
	if _, err := c.CreateWebhook(ctx, client.NewWebhook{URL: "https://10.0.0.1/"}); !client.Is(err, "invalid") {
		t.Errorf("a private address: %v", err)
	}
	hook, err := c.CreateWebhook(ctx, client.NewWebhook{URL: endpoint.URL + "/hook", Types: []string{"delivery.bounced"}, MaxEvents: 10})
	if err != nil || !strings.HasPrefix(hook.Secret, "whsec_") {
		t.Fatal(hook.URL, err)
	}
	changed, err := c.ChangeWebhook(ctx, hook.ID, client.WebhookChange{Description: new("ours"), Types: &[]string{}})
	if err != nil || changed.Description != "ours" || len(changed.Types) != 0 || changed.MaxEvents != 10 {
		t.Errorf("%+v, %v", changed, err)
	}
	if kept, err := c.Webhook(ctx, hook.ID); err != nil || kept.Description != "ours" || kept.Secret != "" {
		t.Errorf("%+v, %v", kept, err)
	}
	rotated, err := c.RotateWebhook(ctx, hook.ID)
	if err != nil || rotated.Secret == hook.Secret || rotated.OldSecretUntil == nil {
		t.Errorf("%v", err)
	}
	took, err := c.TestWebhook(ctx, hook.ID)
	if err != nil || took.State != "delivered" || took.LastAttempt == nil || took.LastAttempt.Answer != "what it says" {
		t.Errorf("%+v, %v", took, err)
	}
	status = http.StatusBadGateway
	failed, err := c.TestWebhook(ctx, hook.ID)
	if err != nil || failed.State != "failed" || failed.LastAttempt.Status != http.StatusBadGateway {
		t.Errorf("%+v, %v", failed, err)
	}
	if calls := collect(t, c.WebhookCalls(ctx, hook.ID, "failed")); len(calls) != 1 || calls[0].ID != failed.ID {
		t.Errorf("%+v", calls)
	}
	whole, err := c.WebhookCall(ctx, hook.ID, failed.ID)
	if err != nil || len(whole.AttemptList) != 1 || !strings.Contains(string(whole.Body), "webhook.test") {
		t.Errorf("%+v, %v", whole, err)
	}
	if again, err := c.ResendWebhookCall(ctx, hook.ID, failed.ID); err != nil || again.State != "waiting" {
		t.Errorf("%+v, %v", again, err)
	}
	replay, err := c.ReplayWebhook(ctx, hook.ID, time.Now().Add(-time.Hour), time.Time{})
	if list, listErr := c.WebhookReplays(ctx, hook.ID); err != nil || listErr != nil || len(list) != 1 || list[0].ID != replay.ID {
		t.Errorf("%+v, %v, %v", list, err, listErr)
	}
	if off, err := c.DisableWebhook(ctx, hook.ID); err != nil || off.Enabled || off.DisabledWhy != "person" {
		t.Errorf("%+v, %v", off, err)
	}
	if _, err := c.ResendWebhookCall(ctx, hook.ID, failed.ID); !client.Is(err, "webhook_disabled") {
		t.Error(err)
	}
	if on, err := c.EnableWebhook(ctx, hook.ID); err != nil || !on.Enabled {
		t.Errorf("%+v, %v", on, err)
	}
	_, list := request(t, "GET", w.url+"/v1/webhooks", c.Key, nil)
	_, one := request(t, "GET", w.url+"/v1/webhooks/"+hook.ID, c.Key, nil)
	for _, secret := range []string{hook.Secret, rotated.Secret} {
		if strings.Contains(list+one+w.log.String(), secret) {
			t.Error("a secret is shown again, or in the log")
		}
	}
	if err := c.RemoveWebhook(ctx, hook.ID); err != nil {
		t.Error(err)
	}
	if left, err := c.Webhooks(ctx); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}
