package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// sweepBatch bounds what one transaction takes away of a webhook that is disabled or gone.
const sweepBatch = 500

// cancelBatch is the same for its calls, each of which may have a hundred events.
const cancelBatch = 50

// SweepWebhooks takes away what is left to be told to webhooks that are disabled or gone, a
// bounded batch of each, and reports whether there is more. A call goes with its events: who
// enables a webhook half-way finds no event that waits for the end of a call that has ended.
func (y *System) SweepWebhooks(ctx context.Context, now time.Time) (more bool, err error) {
	for after := ""; ; {
		// One descent of the index for each webhook, however many calls wait for it.
		err := y.engine.Kept().QueryRowContext(ctx, `SELECT webhook_id FROM webhook_call
WHERE state = 'waiting' AND (webhook_id, next_at) > ($1, 9223372036854775807) ORDER BY webhook_id, next_at LIMIT 1`, after).Scan(&after)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return more, fmt.Errorf("sweep webhooks: %w", err)
		}
		did, err := y.sweep(ctx, after, func(ctx context.Context, tx *engine.Tx) (bool, error) { return cancelCalls(ctx, tx, after, now) })
		if err != nil {
			return more, err
		}
		more = more || did
	}
	for after := (store.WebhookKey{}); ; {
		err := y.engine.Kept().QueryRowContext(ctx, `SELECT operator_id, webhook_id FROM webhook_event
WHERE (operator_id, webhook_id, id) > ($1, $2, '~') ORDER BY operator_id, webhook_id, id LIMIT 1`, after.OperatorID, after.ID).Scan(&after.OperatorID, &after.ID)
		if errors.Is(err, sql.ErrNoRows) {
			return more, nil
		}
		if err != nil {
			return more, fmt.Errorf("sweep webhooks: %w", err)
		}
		did, err := y.sweep(ctx, after.ID, func(ctx context.Context, tx *engine.Tx) (bool, error) {
			result, err := tx.ExecContext(ctx, `DELETE FROM webhook_event WHERE operator_id = $1 AND webhook_id = $2 AND id IN (
  SELECT e.id FROM webhook_event e WHERE e.operator_id = $1 AND e.webhook_id = $2 AND e.call_id = '' ORDER BY e.id LIMIT $3)`,
				after.OperatorID, after.ID, sweepBatch)
			if err != nil {
				return false, err
			}
			n, err := result.RowsAffected()
			return n == sweepBatch, err
		})
		if err != nil {
			return more, err
		}
		more = more || did
	}
}

// sweep does something to a webhook unless it is enabled, and reports whether there may be more.
func (y *System) sweep(ctx context.Context, webhookID string, do func(context.Context, *engine.Tx) (more bool, err error)) (more bool, err error) {
	enabled := "SELECT EXISTS (SELECT 1 FROM webhook WHERE id = $1 AND enabled)"
	var is bool
	if err := y.engine.Kept().QueryRowContext(ctx, enabled, webhookID).Scan(&is); err != nil || is {
		return false, err
	}
	err = y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		more = false
		var is bool
		if err := tx.QueryRowContext(ctx, enabled, webhookID).Scan(&is); err != nil || is {
			return err
		}
		var err error
		more, err = do(ctx, tx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("sweep webhook: %w", err)
	}
	return more, nil
}

// cancelCalls cancels calls that wait for a webhook and takes away their events.
func cancelCalls(ctx context.Context, tx *engine.Tx, webhookID string, now time.Time) (more bool, err error) {
	rows, err := tx.QueryContext(ctx, `UPDATE webhook_call SET state = 'cancelled', finished = $2 WHERE id IN (
  SELECT c.id FROM webhook_call c WHERE c.webhook_id = $1 AND c.state = 'waiting' ORDER BY c.next_at LIMIT $3) RETURNING id`,
		webhookID, waypost.Millis(now), cancelBatch)
	ids, err := store.ScanStrings(rows, err)
	if err != nil {
		return false, err
	}
	cancelled := make([]any, len(ids))
	for i, id := range ids {
		cancelled[i] = id
	}
	return len(ids) == cancelBatch, deleteCallEvents(ctx, tx, cancelled)
}

// deleteCallEvents removes the events of calls that have ended.
func deleteCallEvents(ctx context.Context, tx *engine.Tx, calls []any) error {
	return tx.Rows(ctx, "DELETE FROM webhook_event WHERE call_id <> '' AND call_id IN (", ")", nil, 1, calls)
}

// WebhookNotices lists webhooks whose operators are still to be told something.
func (y *System) WebhookNotices(ctx context.Context, limit int) (map[waypost.WebhookNotice][]waypost.Webhook, error) {
	rows, err := y.engine.Reader().QueryContext(ctx, `SELECT id, operator_id, url, failing_since, failing_why, disabled_why, notice FROM webhook
WHERE notice <> '' ORDER BY id LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("list notices about webhooks: %w", err)
	}
	list := map[waypost.WebhookNotice][]waypost.Webhook{}
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var w waypost.Webhook
		var notice waypost.WebhookNotice
		var since int64
		err := rows.Scan(&w.ID, &w.OperatorID, &w.URL, &since, &w.FailingWhy, &w.DisabledWhy, &notice)
		w.FailingSince = waypost.FromMillis(since)
		list[notice] = append(list[notice], w)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list notices about webhooks: %w", err)
	}
	return list, nil
}

// WebhookNoticeSent notes that an operator was told.
func (y *System) WebhookNoticeSent(ctx context.Context, id string, n waypost.WebhookNotice) error {
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE webhook SET notice = '' WHERE id = $1 AND notice = $2", id, string(n))
		return err
	})
	if err != nil {
		return fmt.Errorf("note notice about webhook: %w", err)
	}
	return nil
}

// maxWaiting is up to where the events that wait for webhooks are counted.
const maxWaiting = 100_000

// WebhookLoad counts the events that wait for webhooks, up to 100,000, and the endpoints
// that fail.
func (y *System) WebhookLoad(ctx context.Context) (events, failing int64, err error) {
	r := y.engine.Reader()
	err = r.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM webhook_event LIMIT $1) AS e", maxWaiting).Scan(&events)
	if err == nil {
		err = r.QueryRowContext(ctx, "SELECT COUNT(*) FROM webhook WHERE enabled AND failing_since <> 0").Scan(&failing)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("count events for webhooks: %w", err)
	}
	return events, failing, nil
}

const (
	replayMessages = 200  // looked at with one statement
	replayEvents   = 2000 // queued with one step, and what else happened to the last message
	replayRounds   = 20   // statements of one step, while nothing is found
	replayAhead    = 5000 // events that may wait for a webhook when a step begins
)

// ReplayWebhooks goes on with the replays that are under way, a step of each, and reports
// whether there is more to do at once. Several nodes may do so: a step is written only if
// its replay still stands where it was read.
func (y *System) ReplayWebhooks(ctx context.Context, now time.Time) (more bool, err error) {
	rows, err := y.engine.Reader().QueryContext(ctx, `SELECT id, operator_id, webhook_id, from_at, to_at, cursor FROM webhook_replay
WHERE finished = 0 ORDER BY id`) // at most one of a webhook
	if err != nil {
		return false, fmt.Errorf("list replays: %w", err)
	}
	var open []replay
	if err := engine.Each(rows, func(rows *sql.Rows) error {
		var r replay
		err := rows.Scan(&r.id, &r.OperatorID, &r.ID, &r.from, &r.to, &r.cursor)
		open = append(open, r)
		return err
	}); err != nil {
		return false, fmt.Errorf("list replays: %w", err)
	}
	for _, r := range open {
		did, failed := y.replay(ctx, r, now)
		if failed != nil { // of the others nothing is known to be wrong
			err = errors.Join(err, fmt.Errorf("replay for webhook %s: %w", r.ID, failed))
		}
		more = more || did
	}
	return more, err
}

type replay struct {
	store.WebhookKey
	id       string
	from, to int64
	cursor   string
}

// replay does one step of a replay and reports whether the next may follow at once.
func (y *System) replay(ctx context.Context, r replay, now time.Time) (more bool, err error) {
	row, err := tenantsql.New(y.engine.Reader()).Webhook(ctx, tenantsql.WebhookParams{OperatorID: r.OperatorID, ID: r.ID})
	if errors.Is(err, sql.ErrNoRows) || err == nil && !row.Enabled {
		return false, y.replayed(ctx, r, r.cursor, nil, true, now)
	}
	if err != nil {
		return false, err
	}
	w, err := store.WebhookOf(row)
	if err != nil {
		return false, err
	}
	if w.NextAt.After(now) { // it fails: what it would be told could only wait
		return false, nil
	}
	var waiting int
	if err := y.engine.Kept().QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM webhook_event WHERE operator_id = $1 AND webhook_id = $2 LIMIT $3) AS e",
		r.OperatorID, r.ID, replayAhead).Scan(&waiting); err != nil || waiting >= replayAhead {
		return false, err
	}
	cursor, end := r.cursor, waypost.FirstIDAt(waypost.FromMillis(r.to))
	for range replayRounds {
		rows, err := y.engine.Kept().QueryContext(ctx, "SELECT id FROM message WHERE operator_id = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4",
			r.OperatorID, cursor, end, replayMessages)
		ids, err := store.ScanStrings(rows, err)
		if err != nil {
			return false, err
		}
		if len(ids) == 0 {
			return false, y.replayed(ctx, r, cursor, nil, true, now)
		}
		var found []any
		if found, cursor, err = y.eventsOf(ctx, r, &w.Webhook, ids); err != nil {
			return false, err
		}
		if len(found) > 0 {
			return true, y.replayed(ctx, r, cursor, found, false, now)
		}
	}
	return true, y.replayed(ctx, r, cursor, nil, false, now)
}

const replayColumns = 9

// eventsOf reads what happened to messages in the period, as rows of webhook_event, up to
// the message with which there are enough of them: it returns the last one that was read
// whole. A message to a thousand recipients has thousands of events, and all of a step are
// written while everything else that is to be written waits.
func (y *System) eventsOf(ctx context.Context, r replay, w *waypost.Webhook, messages []string) (args []any, last string, err error) {
	last = messages[len(messages)-1]
	params := []any{r.OperatorID, r.from, r.to}
	marks := make([]string, len(messages))
	for i, id := range messages {
		params = append(params, id)
		marks[i] = "$" + strconv.Itoa(len(params))
	}
	rows, err := y.engine.Reader().QueryContext(ctx, `SELECT message_id, id, type, at FROM event
WHERE operator_id = $1 AND at >= $2 AND at < $3 AND message_id IN (`+strings.Join(marks, ", ")+`) ORDER BY message_id, id`, params...)
	if err != nil {
		return nil, "", err
	}
	read := 0
	previous := ""
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var message, id string
		var kind waypost.EventType
		var at int64
		if err := rows.Scan(&message, &id, &kind, &at); err != nil {
			return err
		}
		if message != previous && read >= replayEvents {
			last = previous
			return errEnough
		}
		read, previous = read+1, message
		if t := kind.WebhookType(); t != "" && w.Wants(t) {
			args = append(args, r.OperatorID, w.ID, id, message, string(t), "", true, "", at)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, "", err
	}
	return args, last, nil
}

// errEnough ends the reading of rows.
var errEnough = errors.New("enough")

// replayed writes a step, unless another node has. What is still to be told anyway stays
// as it is.
func (y *System) replayed(ctx context.Context, r replay, cursor string, events []any, finished bool, now time.Time) error {
	return y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		end := int64(0)
		if finished {
			end = waypost.Millis(now)
		}
		result, err := tx.ExecContext(ctx, `UPDATE webhook_replay SET cursor = $3, events = events + $4, finished = $5
WHERE id = $1 AND cursor = $2 AND finished = 0`, r.id, r.cursor, cursor, int64(len(events)/replayColumns), end)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		store.TellWebhook(tx, r.WebhookKey)
		return tx.Rows(ctx, `INSERT INTO webhook_event (operator_id, webhook_id, id, chain, type, payload, replay, call_id, at)`,
			" ON CONFLICT (operator_id, webhook_id, id) DO NOTHING", nil, replayColumns, events)
	})
}
