package waypost

import (
	"slices"
	"strings"
	"time"
)

// Webhook is an endpoint that an operator registered: it is told what becomes of the
// operator's mail. Its secret is not in it.
type Webhook struct {
	ID          string
	OperatorID  string
	URL         string
	Description string        // for people, may be empty
	Types       []WebhookType // what it is told; empty: everything
	MaxEvents   int           // events in one call, 1 to 100; over 1, every call is a batch
	Enabled     bool
	DisabledAt  time.Time
	DisabledWhy WebhookDisabled
	OldSecret   time.Time // until then the secret before the last rotation signs too; zero: none
	Created     time.Time

	FailingSince time.Time // zero while its last call was taken
	FailingWhy   string    // what the last failure was, in one line
	Failures     int       // failed attempts in a row
	NextAt       time.Time // nothing is sent before; zero or past: at once
}

// Wants reports whether a webhook is told about a type.
func (w *Webhook) Wants(t WebhookType) bool {
	return len(w.Types) == 0 || slices.Contains(w.Types, t)
}

// Place is the URL without its query, which may be somebody's secret: for logs.
func (w *Webhook) Place() string {
	place, _, _ := strings.Cut(w.URL, "?")
	return place
}

// Failing reports whether the endpoint did not take its last call.
func (w *Webhook) Failing() bool { return !w.FailingSince.IsZero() }

// WebhookDisabled says why a webhook is disabled. The values are stored, shown and
// translated: they are added to, never renamed.
type WebhookDisabled string

// The reasons; "" for a webhook that is enabled.
const (
	DisabledByPerson  WebhookDisabled = "person"  // somebody switched it off
	DisabledAsGone    WebhookDisabled = "gone"    // it answered 410
	DisabledAsFailing WebhookDisabled = "failing" // it took nothing for three days
)

// WebhookNotice is what an operator is told about a webhook by mail.
type WebhookNotice string

// The notices; "" for none.
const (
	NoticeWebhookFailing  WebhookNotice = "failing"  // it has been failing for hours
	NoticeWebhookDisabled WebhookNotice = "disabled" // it was disabled by us
)

// WebhookSecretContext is what the secrets of a webhook are sealed for.
func WebhookSecretContext(id string) string { return "webhook.secret/" + id }

// Times of webhooks.
const (
	// WebhookLife is for how long a call is tried, and for how long an endpoint may fail
	// before it is disabled.
	WebhookLife = 72 * time.Hour
	// WebhookWarning is after how long the operator is told that an endpoint fails.
	WebhookWarning = 12 * time.Hour
	// WebhookRotation is for how long the secret before the last rotation signs too.
	WebhookRotation = 24 * time.Hour
)

// Bounds of webhooks.
const (
	MaxWebhooks      = 10  // of an operator
	MaxWebhookEvents = 100 // in one call
)

// WebhookState is where a call stands.
type WebhookState string

// The states.
const (
	WebhookWaiting   WebhookState = "waiting"   // to be sent, or sent again
	WebhookDelivered WebhookState = "delivered" // answered with a 2xx status
	WebhookFailed    WebhookState = "failed"    // given up after three days, or after 410
	WebhookCancelled WebhookState = "cancelled" // the webhook was disabled
)

// WebhookStates lists them.
func WebhookStates() []WebhookState {
	return []WebhookState{WebhookWaiting, WebhookDelivered, WebhookFailed, WebhookCancelled}
}

// WebhookCall is one call of an endpoint: one event, or a batch.
type WebhookCall struct {
	ID         string // webhook-id: the same for each attempt
	OperatorID string
	WebhookID  string
	Type       WebhookType // of its event, or WebhookBatch
	Events     int
	Replay     bool // somebody asked for these events again
	State      WebhookState
	Attempts   int
	NextAt     time.Time // of the next attempt, while it waits
	Expires    time.Time // a failure after it is the last
	Created    time.Time
	Finished   time.Time      // zero while it waits
	Last       WebhookAttempt // the last attempt; Number 0 for none
	Body       []byte         // what is sent; nil in listings
}

// WebhookAttempt is one try of a call.
type WebhookAttempt struct {
	Number int // 1 for the first
	At     time.Time
	Took   time.Duration
	Status int    // of the answer, 0 for none
	Error  string // why it failed, in one line; "" if it did not
	Answer string // the first characters of the answer's body, safe to show
}

// OK reports whether the endpoint took the call.
func (a *WebhookAttempt) OK() bool { return a.Error == "" && a.Status >= 200 && a.Status < 300 }

// WebhookReplay is a period whose events an endpoint is told again.
type WebhookReplay struct {
	ID         string
	OperatorID string
	WebhookID  string
	From, To   time.Time
	Events     int // found so far
	Created    time.Time
	Finished   time.Time // when all of them were queued; zero while it is under way
}
