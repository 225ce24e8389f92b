package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// WebhookCallFilter picks calls of a webhook; its zero value picks all.
type WebhookCallFilter struct {
	State waypost.WebhookState
}

// WebhookCallColumns are the columns of a call without its body, and of its last attempt.
const WebhookCallColumns = `c.id, c.operator_id, c.webhook_id, c.type, c.events, c.replay, c.state, c.attempts, c.next_at, c.expires, c.created, c.finished,
  COALESCE(a.number, 0), COALESCE(a.at, 0), COALESCE(a.took, 0), COALESCE(a.status, 0), COALESCE(a.error, ''), COALESCE(a.answer, '')
FROM webhook_call c LEFT JOIN webhook_attempt a ON a.call_id = c.id AND a.number = c.attempts`

// ScanWebhookCall reads one row of WebhookCallColumns.
func ScanWebhookCall(row interface{ Scan(...any) error }) (waypost.WebhookCall, error) {
	var c waypost.WebhookCall
	var next, expires, created, finished, at, took int64
	err := row.Scan(&c.ID, &c.OperatorID, &c.WebhookID, &c.Type, &c.Events, &c.Replay, &c.State, &c.Attempts, &next, &expires, &created, &finished,
		&c.Last.Number, &at, &took, &c.Last.Status, &c.Last.Error, &c.Last.Answer)
	c.NextAt, c.Expires, c.Created, c.Finished = waypost.FromMillis(next), waypost.FromMillis(expires), waypost.FromMillis(created), waypost.FromMillis(finished)
	c.Last.At, c.Last.Took = waypost.FromMillis(at), time.Duration(took)*time.Millisecond
	return c, err
}

// WebhookCalls lists calls of a webhook, newest first, each with its last attempt and
// without its body. next continues the listing, "" at its end; limit 0 means 50.
func (s *Store) WebhookCalls(ctx context.Context, operatorID, webhookID string, f WebhookCallFilter, cursor string, limit int) (
	list []waypost.WebhookCall, next string, err error,
) {
	limit = pageSize(limit)
	w := where{text: "c.operator_id = $1 AND c.webhook_id = $2 AND c.id < $3", args: []any{operatorID, webhookID, Before(cursor)}}
	if f.State != "" {
		if f.State != waypost.WebhookDelivered {
			w.and("c.state <> 'delivered'") // as the index says it
		}
		w.and("c.state = ?", string(f.State))
	}
	rows, err := s.engine.Reader().QueryContext(ctx, "SELECT "+WebhookCallColumns+" WHERE "+w.text+" ORDER BY c.id DESC LIMIT "+w.arg(limit+1), w.args...)
	if err != nil {
		return nil, "", fmt.Errorf("list webhook calls: %w", err)
	}
	if err := engine.Each(rows, func(rows *sql.Rows) error {
		c, err := ScanWebhookCall(rows)
		list = append(list, c)
		return err
	}); err != nil {
		return nil, "", fmt.Errorf("list webhook calls: %w", err)
	}
	if len(list) > limit {
		list = list[:limit]
		next = list[limit-1].ID
	}
	return list, next, nil
}

// WebhookCall reads one call with its body and its attempts, in their order. The error is
// NotFound.
func (s *Store) WebhookCall(ctx context.Context, operatorID, webhookID, id string) (waypost.WebhookCall, []waypost.WebhookAttempt, error) {
	c, err := ScanWebhookCall(s.engine.Reader().QueryRowContext(ctx, "SELECT "+WebhookCallColumns+
		" WHERE c.operator_id = $1 AND c.webhook_id = $2 AND c.id = $3", operatorID, webhookID, id))
	if err != nil {
		return waypost.WebhookCall{}, nil, one(err, "call")
	}
	if c.Body, err = s.queries().WebhookCallBody(ctx, tenantsql.WebhookCallBodyParams{OperatorID: operatorID, WebhookID: webhookID, ID: id}); err != nil {
		return waypost.WebhookCall{}, nil, one(err, "call")
	}
	rows, err := s.queries().WebhookAttempts(ctx, tenantsql.WebhookAttemptsParams{OperatorID: operatorID, WebhookID: webhookID, ID: id})
	if err != nil {
		return waypost.WebhookCall{}, nil, fmt.Errorf("list attempts of call: %w", err)
	}
	attempts := make([]waypost.WebhookAttempt, len(rows))
	for i, r := range rows {
		attempts[i] = waypost.WebhookAttempt{
			Number: int(r.Number), At: waypost.FromMillis(r.At), Took: time.Duration(r.Took) * time.Millisecond,
			Status: int(r.Status), Error: r.Error, Answer: r.Answer,
		}
	}
	return c, attempts, nil
}

// ResendWebhookCall makes a call due now, for three more days: a finished one again, one
// that waits before its time. The error is NotFound, and Conflict while the webhook is
// disabled.
func (s *Store) ResendWebhookCall(ctx context.Context, by waypost.Actor, operatorID, webhookID, id string, now time.Time) error {
	return s.webhookChange(ctx, operatorID, webhookID, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries, w *StoredWebhook) error {
		if !w.Enabled {
			return webhookDisabled()
		}
		if _, err := q.WebhookCallState(ctx, tenantsql.WebhookCallStateParams{OperatorID: operatorID, WebhookID: webhookID, ID: id}); err != nil {
			return one(err, "call")
		}
		if err := q.ResendWebhookCall(ctx, tenantsql.ResendWebhookCallParams{
			OperatorID: operatorID, WebhookID: webhookID, ID: id, NextAt: waypost.Millis(now), Expires: waypost.Millis(now.Add(waypost.WebhookLife)),
		}); err != nil {
			return err
		}
		TellWebhook(tx, WebhookKey{operatorID, webhookID})
		return audit(ctx, tx, by, operatorID, "webhook.resend", w.Place(), waypost.Detail(id))
	})
}

func webhookDisabled() error {
	return waypost.NewError(waypost.Conflict, "webhook_disabled", "the webhook is disabled: enable it first")
}

// replayBefore is how much older than a period a message may be that something happened
// to in it: a month in the queue, and bounces and complaints after that.
const replayBefore = 40 * 24 * time.Hour

// ReplayWebhook begins to tell an endpoint again what happened from a time to another. The
// error is NotFound, and Conflict while the webhook is disabled or another replay of it is
// under way.
func (s *Store) ReplayWebhook(ctx context.Context, by waypost.Actor, operatorID, webhookID string, from, to, now time.Time) (waypost.WebhookReplay, error) {
	r := waypost.WebhookReplay{ID: waypost.NewID(), OperatorID: operatorID, WebhookID: webhookID, From: from, To: to, Created: now}
	err := s.webhookChange(ctx, operatorID, webhookID, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries, w *StoredWebhook) error {
		if !w.Enabled {
			return webhookDisabled()
		}
		open, err := q.OpenWebhookReplay(ctx, tenantsql.OpenWebhookReplayParams{OperatorID: operatorID, WebhookID: webhookID})
		if err != nil {
			return err
		}
		if open {
			return waypost.NewError(waypost.Conflict, "replay_under_way", "another replay of this webhook is under way")
		}
		if err := q.InsertWebhookReplay(ctx, tenantsql.InsertWebhookReplayParams{
			ID: r.ID, OperatorID: operatorID, WebhookID: webhookID, FromAt: waypost.Millis(from), ToAt: waypost.Millis(to),
			Cursor: waypost.FirstIDAt(from.Add(-replayBefore)), Created: waypost.Millis(now),
		}); err != nil {
			return err
		}
		TellWebhook(tx, WebhookKey{operatorID, webhookID})
		return audit(ctx, tx, by, operatorID, "webhook.replay", w.Place(), waypost.Detail(waypost.WebhookTime(from)+" / "+waypost.WebhookTime(to)))
	})
	return r, err
}

// WebhookReplays lists the last replays of a webhook, newest first, at most 20.
func (s *Store) WebhookReplays(ctx context.Context, operatorID, webhookID string) ([]waypost.WebhookReplay, error) {
	rows, err := s.queries().WebhookReplays(ctx, tenantsql.WebhookReplaysParams{OperatorID: operatorID, WebhookID: webhookID})
	if err != nil {
		return nil, fmt.Errorf("list replays: %w", err)
	}
	list := make([]waypost.WebhookReplay, len(rows))
	for i, r := range rows {
		list[i] = waypost.WebhookReplay{
			ID: r.ID, OperatorID: r.OperatorID, WebhookID: r.WebhookID, From: waypost.FromMillis(r.FromAt), To: waypost.FromMillis(r.ToAt),
			Events: int(r.Events), Created: waypost.FromMillis(r.Created), Finished: waypost.FromMillis(r.Finished),
		}
	}
	return list, nil
}

// WebhookBacklog counts the events that an endpoint is still to be told, up to 10,001.
func (s *Store) WebhookBacklog(ctx context.Context, operatorID, webhookID string) (int64, error) {
	n, err := s.queries().WebhookBacklog(ctx, tenantsql.WebhookBacklogParams{OperatorID: operatorID, WebhookID: webhookID})
	if err != nil {
		return 0, fmt.Errorf("count events of webhook: %w", err)
	}
	return n, nil
}
