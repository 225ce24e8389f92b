package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Webhook is an endpoint that is told what becomes of the operator's mail.
type Webhook struct {
	ID             string          `json:"id"`
	URL            string          `json:"url"`
	Description    string          `json:"description"`
	Types          []string        `json:"types"` // empty: everything
	MaxEvents      int             `json:"max_events"`
	Enabled        bool            `json:"enabled"`
	DisabledAt     *time.Time      `json:"disabled_at"`
	DisabledWhy    string          `json:"disabled_why"` // person, gone, failing
	OldSecretUntil *time.Time      `json:"old_secret_until"`
	CreatedAt      time.Time       `json:"created_at"`
	Failing        *WebhookFailing `json:"failing"` // nil while it takes its calls
	EventsWaiting  int64           `json:"events_waiting"`
	Secret         string          `json:"secret"` // after CreateWebhook and RotateWebhook only
}

// WebhookFailing tells of an endpoint that did not take its last call.
type WebhookFailing struct {
	Since    time.Time  `json:"since"`
	Reason   string     `json:"reason"`
	Failures int        `json:"failures"`
	NextAt   *time.Time `json:"next_at"`
}

// NewWebhook is an endpoint to register.
type NewWebhook struct {
	URL         string   `json:"url"`
	Description string   `json:"description,omitempty"`
	Types       []string `json:"types,omitempty"`
	MaxEvents   int      `json:"max_events,omitempty"` // 0: 1; over 1, every call is a batch
}

// WebhookChange is what to change; nil leaves it.
type WebhookChange struct {
	URL         *string   `json:"url,omitempty"`
	Description *string   `json:"description,omitempty"`
	Types       *[]string `json:"types,omitempty"`
	MaxEvents   *int      `json:"max_events,omitempty"`
}

// WebhookAttempt is one try of a call.
type WebhookAttempt struct {
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	TookMS int64     `json:"took_ms"`
	Status int       `json:"status"` // 0: no answer
	Error  string    `json:"error"`
	Answer string    `json:"answer"`
}

// WebhookCall is one call of an endpoint.
type WebhookCall struct {
	ID          string           `json:"id"` // its webhook-id
	Type        string           `json:"type"`
	Events      int              `json:"events"`
	Replay      bool             `json:"replay"`
	State       string           `json:"state"` // waiting, delivered, failed, cancelled
	Attempts    int              `json:"attempts"`
	NextAt      *time.Time       `json:"next_at"`
	ExpiresAt   time.Time        `json:"expires_at"`
	CreatedAt   time.Time        `json:"created_at"`
	FinishedAt  *time.Time       `json:"finished_at"`
	LastAttempt *WebhookAttempt  `json:"last_attempt"`
	Body        json.RawMessage  `json:"body"`         // of WebhookCall only
	AttemptList []WebhookAttempt `json:"attempt_list"` // of WebhookCall only
}

// WebhookReplay is a period that an endpoint is told again.
type WebhookReplay struct {
	ID         string     `json:"id"`
	From       time.Time  `json:"from"`
	To         time.Time  `json:"to"`
	Events     int        `json:"events"`
	CreatedAt  time.Time  `json:"created_at"`
	FinishedAt *time.Time `json:"finished_at"` // nil while it is under way
}

const webhooksPath = "/v1/webhooks"

func webhookPath(id, action string) string { return webhooksPath + "/" + url.PathEscape(id) + action }

// Webhooks lists the webhooks.
func (c *Client) Webhooks(ctx context.Context) ([]Webhook, error) {
	var page Page[Webhook]
	_, err := c.do(ctx, call{method: http.MethodGet, path: webhooksPath, repeat: true}, &page)
	return page.Items, err
}

// CreateWebhook registers an endpoint. The answer alone has its secret.
func (c *Client) CreateWebhook(ctx context.Context, w NewWebhook) (Webhook, error) {
	var out Webhook
	_, err := c.do(ctx, call{method: http.MethodPost, path: webhooksPath, body: w}, &out)
	return out, err
}

// Webhook reads one.
func (c *Client) Webhook(ctx context.Context, id string) (Webhook, error) {
	var out Webhook
	_, err := c.do(ctx, call{method: http.MethodGet, path: webhookPath(id, ""), repeat: true}, &out)
	return out, err
}

// ChangeWebhook changes one.
func (c *Client) ChangeWebhook(ctx context.Context, id string, w WebhookChange) (Webhook, error) {
	var out Webhook
	_, err := c.do(ctx, call{method: http.MethodPatch, path: webhookPath(id, ""), body: w, repeat: true}, &out)
	return out, err
}

// RemoveWebhook removes one.
func (c *Client) RemoveWebhook(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: webhookPath(id, "")}, nil)
	return err
}

// EnableWebhook enables one, or has one that fails called at once.
func (c *Client) EnableWebhook(ctx context.Context, id string) (Webhook, error) {
	return c.webhookAction(ctx, id, "/enable", true)
}

// DisableWebhook disables one.
func (c *Client) DisableWebhook(ctx context.Context, id string) (Webhook, error) {
	return c.webhookAction(ctx, id, "/disable", true)
}

// RotateWebhook gives one a new secret, which the answer alone has. For a day the one before
// signs too.
func (c *Client) RotateWebhook(ctx context.Context, id string) (Webhook, error) {
	return c.webhookAction(ctx, id, "/rotate", false)
}

func (c *Client) webhookAction(ctx context.Context, id, action string, repeat bool) (Webhook, error) {
	var out Webhook
	_, err := c.do(ctx, call{method: http.MethodPost, path: webhookPath(id, action), repeat: repeat}, &out)
	return out, err
}

// TestWebhook calls an endpoint now and returns the call with what came of it.
func (c *Client) TestWebhook(ctx context.Context, id string) (WebhookCall, error) {
	var out WebhookCall
	_, err := c.do(ctx, call{method: http.MethodPost, path: webhookPath(id, "/test")}, &out)
	return out, err
}

// WebhookCalls lists calls, newest first, in one state or "" for all.
func (c *Client) WebhookCalls(ctx context.Context, id, state string) iter.Seq2[WebhookCall, error] {
	query := url.Values{}
	set(query, "state", state)
	return list[WebhookCall](ctx, c, webhookPath(id, "/calls"), query)
}

// WebhookCall reads one call with what was sent and all its attempts.
func (c *Client) WebhookCall(ctx context.Context, id, callID string) (WebhookCall, error) {
	var out WebhookCall
	_, err := c.do(ctx, call{method: http.MethodGet, path: webhookPath(id, "/calls/"+url.PathEscape(callID)), repeat: true}, &out)
	return out, err
}

// ResendWebhookCall has a call made again.
func (c *Client) ResendWebhookCall(ctx context.Context, id, callID string) (WebhookCall, error) {
	var out WebhookCall
	_, err := c.do(ctx, call{method: http.MethodPost, path: webhookPath(id, "/calls/"+url.PathEscape(callID)+"/resend")}, &out)
	return out, err
}

// ReplayWebhook has an endpoint told again what happened in a period; a zero to is now.
func (c *Client) ReplayWebhook(ctx context.Context, id string, from, to time.Time) (WebhookReplay, error) {
	body := struct {
		From time.Time  `json:"from"`
		To   *time.Time `json:"to,omitempty"`
	}{From: from}
	if !to.IsZero() {
		body.To = &to
	}
	var out WebhookReplay
	_, err := c.do(ctx, call{method: http.MethodPost, path: webhookPath(id, "/replay"), body: body}, &out)
	return out, err
}

// WebhookReplays lists the last replays.
func (c *Client) WebhookReplays(ctx context.Context, id string) ([]WebhookReplay, error) {
	var page Page[WebhookReplay]
	_, err := c.do(ctx, call{method: http.MethodGet, path: webhookPath(id, "/replays"), repeat: true}, &page)
	return page.Items, err
}
