package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// Webhooks calls endpoints; *webhook.Webhooks does.
type Webhooks interface {
	// Test sends an endpoint one event and returns the call with what came of it.
	Test(ctx context.Context, by waypost.Actor, operatorID, id string) (waypost.WebhookCall, error)
}

func (s *server) registerWebhooks() {
	const tag = "Webhooks"
	register(s, operation{
		ID: "list-webhooks", Method: http.MethodGet, Path: "/v1/webhooks", Tag: tag, Status: http.StatusOK,
		Summary: "List webhooks", Description: "Oldest first. Secrets are not shown.",
	}, s.listWebhooks)
	register(s, operation{
		ID: "create-webhook", Method: http.MethodPost, Path: "/v1/webhooks", Tag: tag, Status: http.StatusCreated,
		Summary: "Register an endpoint", Description: "The answer is the only place where its secret can be read. An operator has at most ten.",
	}, s.createWebhook)
	register(s, operation{
		ID: "get-webhook", Method: http.MethodGet, Path: "/v1/webhooks/{id}", Tag: tag, Status: http.StatusOK,
		Summary: "Show a webhook", Description: "With what is known of its endpoint.",
	}, s.getWebhook)
	register(s, operation{
		ID: "change-webhook", Method: http.MethodPatch, Path: "/v1/webhooks/{id}", Tag: tag, Status: http.StatusOK,
		Summary: "Change a webhook", Description: "What is left out stays. With another URL, what waits is sent there at once.",
	}, s.changeWebhook)
	register(s, operation{
		ID: "remove-webhook", Method: http.MethodDelete, Path: "/v1/webhooks/{id}", Tag: tag, Status: http.StatusNoContent,
		Summary: "Remove a webhook", Description: "What waits for it is not sent.",
	}, s.removeWebhook)
	register(s, operation{
		ID: "enable-webhook", Method: http.MethodPost, Path: "/v1/webhooks/{id}/enable", Tag: tag, Status: http.StatusOK,
		Summary: "Enable a webhook", Description: "One that is enabled and fails is called at once. What happened while it was disabled can be replayed.",
	}, s.enableWebhook)
	register(s, operation{
		ID: "disable-webhook", Method: http.MethodPost, Path: "/v1/webhooks/{id}/disable", Tag: tag, Status: http.StatusOK,
		Summary: "Disable a webhook", Description: "What waits for it is cancelled, and nothing is kept for it any more.",
	}, s.disableWebhook)
	register(s, operation{
		ID: "rotate-webhook", Method: http.MethodPost, Path: "/v1/webhooks/{id}/rotate", Tag: tag, Status: http.StatusOK,
		Summary: "Give a webhook a new secret", Description: "The answer is the only place where it can be read. For a day the one before signs too.",
	}, s.rotateWebhook)
	register(s, operation{
		ID: "test-webhook", Method: http.MethodPost, Path: "/v1/webhooks/{id}/test", Tag: tag, Status: http.StatusOK,
		Summary: "Call an endpoint now", Description: "Sends one event of type `webhook.test`, also to a disabled one, and answers with the call and what came of it, at most ten seconds later. It is not repeated.",
	}, s.testWebhook)
	register(s, operation{
		ID: "list-webhook-calls", Method: http.MethodGet, Path: "/v1/webhooks/{id}/calls", Tag: tag, Status: http.StatusOK,
		Summary: "List the calls of a webhook", Description: "Newest first, each with its last attempt.",
	}, s.listWebhookCalls)
	register(s, operation{
		ID: "get-webhook-call", Method: http.MethodGet, Path: "/v1/webhooks/{id}/calls/{call_id}", Tag: tag, Status: http.StatusOK,
		Summary: "Show a call", Description: "With what was sent and all its attempts.",
	}, s.getWebhookCall)
	register(s, operation{
		ID: "resend-webhook-call", Method: http.MethodPost, Path: "/v1/webhooks/{id}/calls/{call_id}/resend", Tag: tag, Status: http.StatusAccepted,
		Summary: "Make a call again", Description: "The same bytes under the same id, now and for three days if it fails. A call that waits is made before its time.",
	}, s.resendWebhookCall)
	register(s, operation{
		ID: "replay-webhook", Method: http.MethodPost, Path: "/v1/webhooks/{id}/replay", Tag: tag, Status: http.StatusAccepted,
		Summary:     "Tell an endpoint again what happened",
		Description: "Events of messages in a period, at most 31 days, in new calls: the events have the ids that they had, and `replay` is true. What is not about a message (suppressions, the own server, the gateway) is not told again; its calls can be resent.",
	}, s.replayWebhook)
	register(s, operation{
		ID: "list-webhook-replays", Method: http.MethodGet, Path: "/v1/webhooks/{id}/replays", Tag: tag, Status: http.StatusOK,
		Summary: "List the last replays", Description: "Newest first, at most 20.",
	}, s.listWebhookReplays)
}

// webhook is an endpoint as shown.
type webhook struct {
	ID             string                  `json:"id"`
	URL            string                  `json:"url"`
	Description    string                  `json:"description"`
	Types          []waypost.WebhookType   `json:"types" nullable:"false" doc:"Empty: everything."`
	MaxEvents      int                     `json:"max_events" doc:"Events in one call; over 1, every call is a batch."`
	Enabled        bool                    `json:"enabled"`
	DisabledAt     string                  `json:"disabled_at,omitempty" format:"date-time"`
	DisabledWhy    waypost.WebhookDisabled `json:"disabled_why,omitempty" enum:"person,gone,failing" doc:"gone: it answered 410; failing: it took nothing for three days."`
	OldSecretUntil string                  `json:"old_secret_until,omitempty" format:"date-time" doc:"Until then the secret before the last rotation signs too."`
	CreatedAt      string                  `json:"created_at" format:"date-time"`
	Failing        *webhookFailing         `json:"failing,omitempty" doc:"Left out while the endpoint takes its calls."`
	EventsWaiting  int64                   `json:"events_waiting" doc:"Events that it is still to be told, counted up to 10,001."`
}

// webhookFailing tells of an endpoint that did not take its last call.
type webhookFailing struct {
	Since    string `json:"since" format:"date-time"`
	Reason   string `json:"reason"`
	Failures int    `json:"failures" doc:"Failed attempts in a row."`
	NextAt   string `json:"next_at,omitempty" format:"date-time" doc:"Nothing is sent before."`
}

func (s *server) showWebhook(ctx context.Context, w waypost.Webhook) (webhook, error) {
	out := webhook{
		ID: w.ID, URL: w.URL, Description: w.Description, Types: w.Types, MaxEvents: w.MaxEvents, Enabled: w.Enabled,
		DisabledAt: stamp(w.DisabledAt), DisabledWhy: w.DisabledWhy, CreatedAt: stamp(w.Created),
	}
	if out.Types == nil {
		out.Types = []waypost.WebhookType{}
	}
	if w.OldSecret.After(time.Now()) {
		out.OldSecretUntil = stamp(w.OldSecret)
	}
	if w.Failing() {
		out.Failing = &webhookFailing{Since: stamp(w.FailingSince), Reason: w.FailingWhy, Failures: w.Failures, NextAt: stamp(w.NextAt)}
	}
	var err error
	out.EventsWaiting, err = s.Accounts.WebhookBacklog(ctx, w.OperatorID, w.ID)
	return out, err
}

// shown answers with a webhook.
func (s *server) shown(ctx context.Context, w waypost.Webhook, err error) (*answer[webhook], error) {
	if err != nil {
		return nil, err
	}
	out, err := s.showWebhook(ctx, w)
	return &answer[webhook]{out}, err
}

func (s *server) listWebhooks(ctx context.Context, c *caller, _ *struct{}) (*answer[Page[webhook]], error) {
	found, err := s.Accounts.Webhooks(ctx, c.operator())
	if err != nil {
		return nil, err
	}
	page := Page[webhook]{Items: []webhook{}}
	for _, w := range found {
		out, err := s.showWebhook(ctx, w)
		if err != nil {
			return nil, err
		}
		page.Items = append(page.Items, out)
	}
	return &answer[Page[webhook]]{page}, nil
}

// newWebhook is an endpoint to register.
type newWebhook struct {
	URL         string                `json:"url" maxLength:"2000" example:"https://example.com/waypost" doc:"https, on port 443 or from 1024. Plain http is for networks that the platform's owner allows."`
	Description string                `json:"description,omitempty" maxLength:"200" doc:"For people."`
	Types       []waypost.WebhookType `json:"types,omitempty" maxItems:"50" doc:"What it is told; left out, everything."`
	MaxEvents   int                   `json:"max_events,omitempty" doc:"Events in one call, 1 to 100; left out, 1. Over 1, every call is a batch."`
}

// createdWebhook is a webhook with its secret.
type createdWebhook struct {
	webhook
	Secret string `json:"secret" doc:"The secret, whsec_ and base64. It cannot be read again."`
}

func (s *server) createWebhook(ctx context.Context, c *caller, in *answer[newWebhook]) (*answer[createdWebhook], error) {
	n := in.Body
	w, secret, err := s.Accounts.CreateWebhook(ctx, c.actor(), c.operator(), account.NewWebhook{
		URL: n.URL, Description: n.Description, Types: n.Types, MaxEvents: n.MaxEvents,
	})
	if err != nil {
		return nil, err
	}
	out, err := s.showWebhook(ctx, w)
	return &answer[createdWebhook]{createdWebhook{out, secret.Reveal()}}, err
}

func (s *server) getWebhook(ctx context.Context, c *caller, in *ByID) (*answer[webhook], error) {
	w, err := s.Accounts.Webhook(ctx, c.operator(), in.ID)
	return s.shown(ctx, w, err)
}

// webhookChange changes a webhook.
type webhookChange struct {
	URL         *string                `json:"url,omitempty" maxLength:"2000"`
	Description *string                `json:"description,omitempty" maxLength:"200"`
	Types       *[]waypost.WebhookType `json:"types,omitempty" maxItems:"50" doc:"Empty for everything."`
	MaxEvents   *int                   `json:"max_events,omitempty"`
}

type changeWebhookInput struct {
	ByID
	Body webhookChange
}

func (s *server) changeWebhook(ctx context.Context, c *caller, in *changeWebhookInput) (*answer[webhook], error) {
	w, err := s.Accounts.ChangeWebhook(ctx, c.actor(), c.operator(), in.ID, store.WebhookChange(in.Body))
	return s.shown(ctx, w, err)
}

func (s *server) removeWebhook(ctx context.Context, c *caller, in *ByID) (*struct{}, error) {
	return nil, s.Accounts.RemoveWebhook(ctx, c.actor(), c.operator(), in.ID)
}

func (s *server) enableWebhook(ctx context.Context, c *caller, in *ByID) (*answer[webhook], error) {
	w, err := s.Accounts.EnableWebhook(ctx, c.actor(), c.operator(), in.ID)
	return s.shown(ctx, w, err)
}

func (s *server) disableWebhook(ctx context.Context, c *caller, in *ByID) (*answer[webhook], error) {
	w, err := s.Accounts.DisableWebhook(ctx, c.actor(), c.operator(), in.ID)
	return s.shown(ctx, w, err)
}

func (s *server) rotateWebhook(ctx context.Context, c *caller, in *ByID) (*answer[createdWebhook], error) {
	w, secret, err := s.Accounts.RotateWebhook(ctx, c.actor(), c.operator(), in.ID)
	if err != nil {
		return nil, err
	}
	out, err := s.showWebhook(ctx, w)
	return &answer[createdWebhook]{createdWebhook{out, secret.Reveal()}}, err
}

// webhookAttempt is one try of a call.
type webhookAttempt struct {
	Number int    `json:"number"`
	At     string `json:"at" format:"date-time"`
	TookMS int64  `json:"took_ms"`
	Status int    `json:"status,omitempty" doc:"HTTP status of the answer; left out if there was none."`
	Error  string `json:"error,omitempty" doc:"Why it failed."`
	Answer string `json:"answer,omitempty" doc:"The first characters of the answer."`
}

func showWebhookAttempt(a waypost.WebhookAttempt) webhookAttempt {
	return webhookAttempt{Number: a.Number, At: stamp(a.At), TookMS: a.Took.Milliseconds(), Status: a.Status, Error: a.Error, Answer: a.Answer}
}

// webhookCall is one call of an endpoint.
type webhookCall struct {
	ID          string               `json:"id" doc:"The webhook-id that it carries."`
	Type        waypost.WebhookType  `json:"type" doc:"Of its event, or batch."`
	Events      int                  `json:"events"`
	Replay      bool                 `json:"replay"`
	State       waypost.WebhookState `json:"state" enum:"waiting,delivered,failed,cancelled"`
	Attempts    int                  `json:"attempts"`
	NextAt      string               `json:"next_at,omitempty" format:"date-time"`
	ExpiresAt   string               `json:"expires_at" format:"date-time" doc:"A failure after it is the last."`
	CreatedAt   string               `json:"created_at" format:"date-time"`
	FinishedAt  string               `json:"finished_at,omitempty" format:"date-time"`
	LastAttempt *webhookAttempt      `json:"last_attempt,omitempty"`
}

func showWebhookCall(c waypost.WebhookCall) webhookCall {
	out := webhookCall{
		ID: c.ID, Type: c.Type, Events: c.Events, Replay: c.Replay, State: c.State, Attempts: c.Attempts,
		ExpiresAt: stamp(c.Expires), CreatedAt: stamp(c.Created), FinishedAt: stamp(c.Finished),
	}
	if c.State == waypost.WebhookWaiting {
		out.NextAt = stamp(c.NextAt)
	}
	if c.Last.Number > 0 {
		last := showWebhookAttempt(c.Last)
		out.LastAttempt = &last
	}
	return out
}

func (s *server) testWebhook(ctx context.Context, c *caller, in *ByID) (*answer[webhookCall], error) {
	if s.Webhooks == nil {
		return nil, waypost.NewError(waypost.Unavailable, "no_webhooks", "this server calls no webhooks")
	}
	call, err := s.Webhooks.Test(ctx, c.actor(), c.operator(), in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[webhookCall]{showWebhookCall(call)}, nil
}

type listWebhookCallsInput struct {
	ByID
	State waypost.WebhookState `query:"state" enum:"waiting,delivered,failed,cancelled"`
	Paging
}

func (s *server) listWebhookCalls(ctx context.Context, c *caller, in *listWebhookCallsInput) (*answer[Page[webhookCall]], error) {
	found, next, err := s.Accounts.WebhookCalls(ctx, c.operator(), in.ID, store.WebhookCallFilter{State: in.State}, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	return &answer[Page[webhookCall]]{Page[webhookCall]{Items: items(found, showWebhookCall), Next: next}}, nil
}

// ByCall names a call of a webhook.
type ByCall struct {
	ByID
	CallID string `path:"call_id" maxLength:"100"`
}

// wholeWebhookCall is a call with all that is known of it.
type wholeWebhookCall struct {
	webhookCall
	Body        json.RawMessage  `json:"body" doc:"What is sent."`
	AttemptList []webhookAttempt `json:"attempt_list" nullable:"false" doc:"In their order."`
}

func (s *server) getWebhookCall(ctx context.Context, c *caller, in *ByCall) (*answer[wholeWebhookCall], error) {
	call, attempts, err := s.Accounts.WebhookCall(ctx, c.operator(), in.ID, in.CallID)
	if err != nil {
		return nil, err
	}
	return &answer[wholeWebhookCall]{wholeWebhookCall{showWebhookCall(call), call.Body, items(attempts, showWebhookAttempt)}}, nil
}

func (s *server) resendWebhookCall(ctx context.Context, c *caller, in *ByCall) (*answer[wholeWebhookCall], error) {
	if err := s.Accounts.ResendWebhookCall(ctx, c.actor(), c.operator(), in.ID, in.CallID); err != nil {
		return nil, err
	}
	return s.getWebhookCall(ctx, c, in)
}

// newReplay is a period to tell again.
type newReplay struct {
	From time.Time  `json:"from"`
	To   *time.Time `json:"to,omitempty" doc:"Left out: now."`
}

type replayWebhookInput struct {
	ByID
	Body newReplay
}

// webhookReplay is a period that is told again.
type webhookReplay struct {
	ID         string `json:"id"`
	From       string `json:"from" format:"date-time"`
	To         string `json:"to" format:"date-time"`
	Events     int    `json:"events" doc:"Found so far."`
	CreatedAt  string `json:"created_at" format:"date-time"`
	FinishedAt string `json:"finished_at,omitempty" format:"date-time" doc:"When all of them were queued; left out while it is under way."`
}

func showReplay(r waypost.WebhookReplay) webhookReplay {
	return webhookReplay{ID: r.ID, From: stamp(r.From), To: stamp(r.To), Events: r.Events, CreatedAt: stamp(r.Created), FinishedAt: stamp(r.Finished)}
}

func (s *server) replayWebhook(ctx context.Context, c *caller, in *replayWebhookInput) (*answer[webhookReplay], error) {
	var to time.Time
	if in.Body.To != nil {
		to = *in.Body.To
	}
	r, err := s.Accounts.ReplayWebhook(ctx, c.actor(), c.operator(), in.ID, in.Body.From, to)
	if err != nil {
		return nil, err
	}
	return &answer[webhookReplay]{showReplay(r)}, nil
}

func (s *server) listWebhookReplays(ctx context.Context, c *caller, in *ByID) (*answer[Page[webhookReplay]], error) {
	found, err := s.Accounts.WebhookReplays(ctx, c.operator(), in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[Page[webhookReplay]]{Page[webhookReplay]{Items: items(found, showReplay)}}, nil
}
