package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// testTimeout bounds a test: somebody waits for it.
const testTimeout = 10 * time.Second

// Test sends one event of type webhook.test to an endpoint, enabled or not, and returns the
// call, whose Last is what came of it; it is not repeated. An endpoint that takes it is
// called again at once if it was failing. The error is NotFound, or RateLimited after ten
// tests in a minute; an endpoint that fails is none.
func (h *Webhooks) Test(ctx context.Context, by waypost.Actor, operatorID, id string) (waypost.WebhookCall, error) {
	w, err := h.o.Store.Webhook(ctx, operatorID, id)
	if err != nil {
		return waypost.WebhookCall{}, err
	}
	if !h.tests.Allow(operatorID) {
		return waypost.WebhookCall{}, waypost.NewError(waypost.RateLimited, "too_many_tests", "too many tests of webhooks: ten in a minute are allowed")
	}
	now := time.Now()
	secrets, err := h.secrets(&w, now)
	if err != nil {
		return waypost.WebhookCall{}, err
	}
	data := waypost.WebhookTestData{OperatorID: operatorID, WebhookID: id, Test: true}
	c, err := testCall(&w.Webhook, data, now)
	if err != nil {
		return waypost.WebhookCall{}, err
	}
	o := h.post(ctx, w.URL, secrets, c.ID, c.Body, testTimeout)
	if err := ctx.Err(); err != nil {
		return waypost.WebhookCall{}, fmt.Errorf("test webhook: %w", err)
	}
	o.Number = 1
	c.Attempts, c.Last, c.NextAt, c.Finished = 1, o.WebhookAttempt, time.Time{}, time.Now()
	c.State = waypost.WebhookFailed
	if o.OK() {
		c.State = waypost.WebhookDelivered
	}
	if err := h.o.Store.RecordWebhookTest(ctx, by, c, c.Finished); err != nil {
		return waypost.WebhookCall{}, fmt.Errorf("record test of webhook: %w", err)
	}
	return c, nil
}

// testCall makes a call like those that the webhook gets, so that what reads it is tested.
func testCall(w *waypost.Webhook, data waypost.WebhookTestData, now time.Time) (waypost.WebhookCall, error) {
	raw, err := jsonOf(data)
	if err != nil {
		return waypost.WebhookCall{}, err
	}
	c, err := newCall(w, []event{{ID: waypost.NewIDAt(now), Type: waypost.WebhookTest, Timestamp: waypost.WebhookTime(now), Data: raw}}, now)
	c.Type = waypost.WebhookTest
	return c, err
}
