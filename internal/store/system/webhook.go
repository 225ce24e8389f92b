package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// DueWebhooks lists enabled webhooks that have something to be told now and that no other
// incarnation works on, at most limit of them.
func (y *System) DueWebhooks(ctx context.Context, incarnation string, now time.Time, limit int) ([]store.WebhookKey, error) {
	rows, err := y.engine.Kept().QueryContext(ctx, `SELECT w.operator_id, w.id FROM webhook w
WHERE w.enabled AND w.next_at <= $1 AND (w.lease = '' OR w.lease = $2) AND (
  EXISTS (SELECT 1 FROM webhook_event e WHERE e.operator_id = w.operator_id AND e.webhook_id = w.id AND e.call_id = '')
  OR EXISTS (SELECT 1 FROM webhook_call c WHERE c.webhook_id = w.id AND c.state = 'waiting' AND c.next_at <= $1))
ORDER BY w.next_at, w.id LIMIT $3`, waypost.Millis(now), incarnation, limit)
	if err != nil {
		return nil, fmt.Errorf("list due webhooks: %w", err)
	}
	var list []store.WebhookKey
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var k store.WebhookKey
		err := rows.Scan(&k.OperatorID, &k.ID)
		list = append(list, k)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list due webhooks: %w", err)
	}
	return list, nil
}

// maxCounted is up to where calls that wait are counted.
const maxCounted = 1001

// WebhookWork reads a webhook, the first of the calls that wait, and the first of the events
// that can be told: as many as fit into a number of new calls. Finished are calls, at most
// four, that are about to be recorded as finished: they hold nothing back any more. The
// error is NotFound.
func (y *System) WebhookWork(ctx context.Context, k store.WebhookKey, calls, fresh int, finished []string) (*store.WebhookWork, error) {
	work, err := y.webhookWork(ctx, k, calls, fresh, finished)
	if err != nil && waypost.KindOf(err) != waypost.NotFound {
		return nil, fmt.Errorf("read webhook: %w", err)
	}
	return work, err
}

func (y *System) webhookWork(ctx context.Context, k store.WebhookKey, calls, fresh int, finished []string) (*store.WebhookWork, error) {
	row, err := tenantsql.New(y.engine.Reader()).Webhook(ctx, tenantsql.WebhookParams{OperatorID: k.OperatorID, ID: k.ID})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound("webhook")
	}
	if err != nil {
		return nil, err
	}
	w := &store.WebhookWork{Warned: row.Warned}
	if w.StoredWebhook, err = store.WebhookOf(row); err != nil {
		return nil, err
	}
	kept := y.engine.Kept()
	if err := kept.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM webhook_call WHERE webhook_id = $1 AND state = 'waiting' LIMIT $2) AS c",
		k.ID, maxCounted).Scan(&w.Count); err != nil {
		return nil, err
	}
	rows, err := kept.QueryContext(ctx, `SELECT id, type, events, replay, attempts, next_at, expires, created FROM webhook_call
WHERE webhook_id = $1 AND state = 'waiting' ORDER BY next_at, id LIMIT $2`, k.ID, calls)
	if err != nil {
		return nil, err
	}
	if err := engine.Each(rows, func(rows *sql.Rows) error {
		c := waypost.WebhookCall{OperatorID: k.OperatorID, WebhookID: k.ID, State: waypost.WebhookWaiting}
		var next, expires, created int64
		err := rows.Scan(&c.ID, &c.Type, &c.Events, &c.Replay, &c.Attempts, &next, &expires, &created)
		c.NextAt, c.Expires, c.Created = waypost.FromMillis(next), waypost.FromMillis(expires), waypost.FromMillis(created)
		w.Waiting = append(w.Waiting, c)
		return err
	}); err != nil {
		return nil, err
	}
	if w.Enabled && fresh > 0 {
		w.Events, err = y.webhookEvents(ctx, k, fresh*w.MaxEvents, finished)
	}
	return w, err
}

// webhookWindow is how many of the oldest events of an endpoint are looked at, at most. If the
// messages of all of them wait for calls that failed, what came later waits with them: so an
// endpoint that refuses much is no reason to read a million rows again and again.
const webhookWindow = 5000

// webhookEvents reads events with all they are made of, in one go if none of the oldest has
// to wait for another call.
func (y *System) webhookEvents(ctx context.Context, k store.WebhookKey, limit int, finished []string) (list []store.WebhookEvent, err error) {
	for _, window := range []int{4*limit + 64, webhookWindow} {
		var all bool
		list, all, err = y.webhookEventsOf(ctx, k, limit, window, finished)
		if err != nil || all || len(list) >= limit {
			return list, err
		}
	}
	return list, nil
}

// webhookEventsOf looks at so many of the oldest events, and reports whether these are all.
func (y *System) webhookEventsOf(ctx context.Context, k store.WebhookKey, limit, window int, finished []string) (list []store.WebhookEvent, all bool, err error) {
	seen := 0
	if err := y.engine.Kept().QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM webhook_event
  WHERE operator_id = $1 AND webhook_id = $2 AND call_id = '' LIMIT $3) AS w`, k.OperatorID, k.ID, window).Scan(&seen); err != nil {
		return nil, false, err
	}
	var f [4]string
	copy(f[:], finished)
	rows, err := y.engine.Kept().QueryContext(ctx, `SELECT w.id, w.chain, w.type, w.payload, w.replay, w.at,
  COALESCE(e.id, ''), COALESCE(e.delivery_id, ''), COALESCE(e.from_state, ''), COALESCE(e.to_state, ''), COALESCE(e.count, 0), COALESCE(e.detail, ''),
  COALESCE(m.batch_id, ''), COALESCE(m.kind, ''), COALESCE(m.lane, 0), COALESCE(m.test, FALSE), COALESCE(m.tags, ''), COALESCE(m.metadata, ''),
  COALESCE(d.recipient, ''), COALESCE(d.cause, ''),
  COALESCE(a.number, 0), COALESCE(a.route, ''), COALESCE(a.host, ''), COALESCE(a.tls, ''), COALESCE(a.cause, ''),
  COALESCE(a.code, 0), COALESCE(a.enhanced, ''), COALESCE(a.reply, '')
FROM (SELECT v.id, v.chain, v.type, v.payload, v.replay, v.at FROM (SELECT * FROM webhook_event
    WHERE operator_id = $1 AND webhook_id = $2 AND call_id = '' ORDER BY id LIMIT $8) AS v
  WHERE NOT EXISTS (
    SELECT 1 FROM webhook_event o WHERE o.webhook_id = $2 AND o.chain = v.chain AND o.call_id <> '' AND o.call_id NOT IN ($4, $5, $6, $7))
  ORDER BY v.id LIMIT $3) AS w
LEFT JOIN event e ON w.payload = '' AND e.message_id = w.chain AND e.id = w.id
LEFT JOIN message m ON m.id = e.message_id
LEFT JOIN delivery d ON d.id = e.delivery_id
LEFT JOIN attempt a ON a.delivery_id = e.delivery_id AND a.number = e.attempt
ORDER BY w.id`, k.OperatorID, k.ID, limit, f[0], f[1], f[2], f[3], window)
	if err != nil {
		return nil, false, err
	}
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var v store.WebhookEvent
		var at, lane int64
		var tags, metadata string
		e, m, a := &v.Event, &v.Message, &v.Attempt
		if err := rows.Scan(&v.ID, &v.Chain, &v.Type, &v.Payload, &v.Replay, &at,
			&e.ID, &e.DeliveryID, &e.From, &e.To, &e.Count, &e.Detail,
			&m.BatchID, &m.Kind, &lane, &m.Test, &tags, &metadata, &v.Recipient, &v.Cause,
			&a.Number, &a.Route, &a.Host, &a.TLS, &a.Cause, &a.Reply.Code, &a.Reply.Enhanced, &a.Reply.Text); err != nil {
			return err
		}
		v.At = waypost.FromMillis(at)
		m.ID, e.MessageID, e.OperatorID = v.Chain, v.Chain, k.OperatorID
		list = append(list, v)
		return store.ScanMessageFacts(&list[len(list)-1].Message, lane, tags, metadata)
	})
	return list, seen < window, err
}

// WebhookBody reads what a call sends.
func (y *System) WebhookBody(ctx context.Context, callID string) ([]byte, error) {
	var body []byte
	err := y.engine.Kept().QueryRowContext(ctx, "SELECT body FROM webhook_call WHERE id = $1", callID).Scan(&body)
	if err != nil {
		return nil, fmt.Errorf("read webhook call: %w", err)
	}
	return body, nil
}

// StepWebhook does a step and waits until it is durable. It is fenced by lease and epoch:
// what was read before another node took over, or before the webhook was changed, is not
// written.
func (y *System) StepWebhook(ctx context.Context, s *store.WebhookStep) error {
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error { return stepWebhook(ctx, tx, s) })
	if err != nil {
		return fmt.Errorf("write webhook: %w", err)
	}
	return nil
}

func stepWebhook(ctx context.Context, tx *engine.Tx, s *store.WebhookStep) error {
	s.Lost, s.Disabled = false, false
	var enabled bool
	err := tx.QueryRowContext(ctx, `UPDATE webhook SET lease = $4 WHERE id = $1 AND operator_id = $2 AND epoch = $3 AND (lease = '' OR lease = $4)
RETURNING enabled`, s.ID, s.OperatorID, s.Epoch, s.Incarnation).Scan(&enabled)
	if errors.Is(err, sql.ErrNoRows) {
		s.Lost = true
		return nil
	}
	if err != nil {
		return err
	}
	s.Disabled = !enabled
	if err := finishCalls(ctx, tx, s); err != nil {
		return err
	}
	if err := setWebhookHealth(ctx, tx, s); err != nil {
		return err
	}
	if enabled && s.Disable != "" {
		if err := disableByPolicy(ctx, tx, s); err != nil {
			return err
		}
		s.Disabled = true
	}
	if !s.Disabled {
		if err := makeCalls(ctx, tx, s); err != nil {
			return err
		}
	}
	if s.Free || s.Disabled {
		_, err = tx.ExecContext(ctx, "UPDATE webhook SET lease = '', epoch = epoch + 1 WHERE id = $1", s.ID)
	}
	return err
}

// finishCalls records what became of attempts; events whose call is finished are done.
func finishCalls(ctx context.Context, tx *engine.Tx, s *store.WebhookStep) error {
	var done []any
	for _, r := range s.Results {
		finished := time.Time{}
		if r.State != waypost.WebhookWaiting {
			finished = s.At
			done = append(done, r.CallID)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE webhook_call SET attempts = $2, state = $3, next_at = $4, finished = $5 WHERE id = $1",
			r.CallID, int64(r.Attempt.Number), string(r.State), waypost.Millis(r.NextAt), waypost.Millis(finished)); err != nil {
			return err
		}
		if err := store.WriteWebhookAttempt(ctx, tx, r.CallID, r.Attempt); err != nil {
			return err
		}
	}
	return deleteCallEvents(ctx, tx, done)
}

func setWebhookHealth(ctx context.Context, tx *engine.Tx, s *store.WebhookStep) error {
	h := s.Health
	if h == nil {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE webhook SET failing_since = $2, failing_why = $3, failures = $4, next_at = $5, warned = $6,
  notice = CASE WHEN $7 <> '' THEN $7 ELSE notice END WHERE id = $1`, s.ID, waypost.Millis(h.FailingSince), h.FailingWhy, int64(h.Failures),
		waypost.Millis(h.NextAt), h.Warned, string(h.Notice)); err != nil {
		return err
	}
	if !h.Recovered {
		return nil
	}
	_, err := tx.ExecContext(ctx, "UPDATE webhook_call SET next_at = $2 WHERE webhook_id = $1 AND state = 'waiting' AND next_at > $2",
		s.ID, waypost.Millis(s.At))
	return err
}

func disableByPolicy(ctx context.Context, tx *engine.Tx, s *store.WebhookStep) error {
	row, err := tenantsql.New(tx).Webhook(ctx, tenantsql.WebhookParams{OperatorID: s.OperatorID, ID: s.ID})
	if err != nil {
		return err
	}
	w, err := store.WebhookOf(row)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE webhook SET notice = $2 WHERE id = $1", s.ID, string(waypost.NoticeWebhookDisabled)); err != nil {
		return err
	}
	return store.WriteWebhookDisabled(ctx, tx, waypost.Policy(), w.Webhook, s.Disable, s.At)
}

const (
	assignHead = `UPDATE webhook_event SET call_id = v.column4 FROM (`
	assignTail = `) AS v WHERE webhook_event.operator_id = v.column1 AND webhook_event.webhook_id = v.column2 AND webhook_event.id = v.column3`
)

// makeCalls adds new calls and puts their events into them.
func makeCalls(ctx context.Context, tx *engine.Tx, s *store.WebhookStep) error {
	calls := make([]waypost.WebhookCall, len(s.Calls))
	var assign []any
	for i, c := range s.Calls {
		calls[i] = c.WebhookCall
		for _, id := range c.EventIDs {
			assign = append(assign, s.OperatorID, s.ID, id, c.ID)
		}
	}
	if err := store.WriteWebhookCalls(ctx, tx, calls...); err != nil {
		return err
	}
	if err := tx.Rows(ctx, assignHead, assignTail, []string{"text", "text", "text", "text"}, 4, assign); err != nil {
		return err
	}
	for _, id := range s.Gone {
		if _, err := tx.ExecContext(ctx, "DELETE FROM webhook_event WHERE operator_id = $1 AND webhook_id = $2 AND id = $3 AND call_id = ''",
			s.OperatorID, s.ID, id); err != nil {
			return err
		}
	}
	return nil
}
