package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// WebhookKey names a webhook.
type WebhookKey struct {
	OperatorID string
	ID         string
}

// WebhookWork is a webhook with what it is to be told: a part of each, as was asked for.
type WebhookWork struct {
	StoredWebhook
	Warned  bool                  // the operator was told that it fails
	Waiting []waypost.WebhookCall // without bodies, those that are due first
	Count   int                   // calls that wait, up to 1,001
	Events  []WebhookEvent        // in no call, and nothing of their chain in one that waits; in order
}

// WebhookEvent is an event that is still to be told, with what it is made of.
type WebhookEvent struct {
	ID      string
	Chain   string
	Type    waypost.WebhookType
	Payload string // JSON; "" for what the fields below are for
	Replay  bool
	At      time.Time

	Event     waypost.Event // ID "": it is not known any more
	Message   waypost.Message
	Recipient string
	Cause     string          // of the delivery
	Attempt   waypost.Attempt // Number 0: none
}

// WebhookStep is what one transaction does for an endpoint: record what became of calls,
// make new ones, take the lease or give it back.
type WebhookStep struct {
	WebhookKey
	Incarnation string
	Epoch       int64 // as read: the step is lost if it is another by now
	Results     []WebhookResult
	Calls       []WebhookNewCall
	Gone        []string                // events that are not known any more
	Health      *WebhookHealth          // nil: as it is
	Disable     waypost.WebhookDisabled // "" for no
	Free        bool                    // the lease ends
	At          time.Time

	// Set by the write.
	Lost     bool // another node has the lease, or what was read is worthless: nothing was written
	Disabled bool // it is disabled: no call was made, and the lease has ended
}

// WebhookResult is what became of one attempt.
type WebhookResult struct {
	CallID  string
	Attempt waypost.WebhookAttempt
	State   waypost.WebhookState
	NextAt  time.Time // while it waits
}

// WebhookNewCall is a call to make, of some events.
type WebhookNewCall struct {
	waypost.WebhookCall // ID, Type, Events, Replay, Body
	EventIDs            []string
}

// WebhookHealth is what is known of an endpoint.
type WebhookHealth struct {
	FailingSince time.Time
	FailingWhy   string
	Failures     int
	NextAt       time.Time
	Warned       bool
	Notice       waypost.WebhookNotice // to be sent; "" leaves what there is
	Recovered    bool                  // what waits is due
}

// ScanMessageFacts takes in what a joined row has of a message. Tags and metadata are JSON,
// "" for none.
func ScanMessageFacts(m *waypost.Message, lane int64, tags, metadata string) error {
	m.Lane = waypost.LaneOfRank(int(lane))
	if tags != "" {
		if err := json.Unmarshal([]byte(tags), &m.Tags); err != nil {
			return fmt.Errorf("tags of message %s: %w", m.ID, err)
		}
	}
	if metadata != "" {
		if err := json.Unmarshal([]byte(metadata), &m.Metadata); err != nil {
			return fmt.Errorf("metadata of message %s: %w", m.ID, err)
		}
	}
	return nil
}

const (
	webhookCallHead = `INSERT INTO webhook_call (id, operator_id, webhook_id, type, events, replay, body, state, attempts, next_at, expires, created, finished)`

	webhookAttemptHead = `INSERT INTO webhook_attempt (call_id, number, at, took, status, error, answer)`
	webhookAttemptTail = ` ON CONFLICT (call_id, number) DO NOTHING`
)

// WriteWebhookCalls adds calls.
func WriteWebhookCalls(ctx context.Context, tx *engine.Tx, calls ...waypost.WebhookCall) error {
	args := make([]any, 0, 13*len(calls))
	for _, c := range calls {
		args = append(args, c.ID, c.OperatorID, c.WebhookID, string(c.Type), int64(c.Events), c.Replay, c.Body, string(c.State), int64(c.Attempts),
			waypost.Millis(c.NextAt), waypost.Millis(c.Expires), waypost.Millis(c.Created), waypost.Millis(c.Finished))
	}
	return tx.Rows(ctx, webhookCallHead, "", nil, 13, args)
}

// WriteWebhookAttempt adds an attempt to the log of a call.
func WriteWebhookAttempt(ctx context.Context, tx *engine.Tx, callID string, a waypost.WebhookAttempt) error {
	return tx.Rows(ctx, webhookAttemptHead, webhookAttemptTail, nil, 7, []any{
		callID, int64(a.Number), waypost.Millis(a.At), a.Took.Milliseconds(), int64(a.Status), a.Error, a.Answer,
	})
}

// RecordWebhookTest adds a finished call of the test button to the log. An endpoint that
// took it is called again at once, if it was failing. The error is NotFound.
func (s *Store) RecordWebhookTest(ctx context.Context, by waypost.Actor, c waypost.WebhookCall, at time.Time) error {
	return s.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		q := tenantsql.New(tx)
		row, err := q.Webhook(ctx, tenantsql.WebhookParams{OperatorID: c.OperatorID, ID: c.WebhookID})
		if err != nil {
			return one(err, "webhook")
		}
		w, err := WebhookOf(row)
		if err != nil {
			return err
		}
		if err := WriteWebhookCalls(ctx, tx, c); err != nil {
			return err
		}
		if err := WriteWebhookAttempt(ctx, tx, c.ID, c.Last); err != nil {
			return err
		}
		if c.State == waypost.WebhookDelivered && w.Failing() {
			if err := q.ProbeWebhook(ctx, tenantsql.ProbeWebhookParams{OperatorID: c.OperatorID, ID: c.WebhookID}); err != nil {
				return err
			}
			if err := q.HurryWebhookCalls(ctx, tenantsql.HurryWebhookCallsParams{
				OperatorID: c.OperatorID, WebhookID: c.WebhookID, NextAt: waypost.Millis(at),
			}); err != nil {
				return err
			}
			TellWebhook(tx, WebhookKey{c.OperatorID, c.WebhookID})
		}
		return audit(ctx, tx, by, c.OperatorID, "webhook.test", w.Place(), "")
	})
}

// ScanStrings reads rows of one text.
func ScanStrings(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	var list []string
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var text string
		err := rows.Scan(&text)
		list = append(list, text)
		return err
	})
	return list, err
}
