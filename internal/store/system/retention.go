package system

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// Retention is how long things are kept.
type Retention struct {
	Content  time.Duration // header and body, and mail in the sandbox
	Reports  time.Duration // the same of kind report
	Metadata time.Duration // messages, deliveries, attempts and events
	Webhooks time.Duration // finished calls of webhooks, never longer than Metadata; 0: as long
}

const (
	// Bounds of one call: its transactions stand in the way of mail.
	eraseBatch  = 100
	retireBatch = 50
	purgeBatch  = 500

	// eraseAgain is when content is looked at again that had to be kept because a
	// delivery is still queued.
	eraseAgain = time.Hour

	idempotencyAge = 7 * 24 * time.Hour

	// historyAge is how long the audit log and the history of domains are kept: who disputes
	// a change does so later than who looks for a mail.
	historyAge = 2 * 365 * 24 * time.Hour

	// hitsAge is for how long after its end a suppression is remembered: found again within
	// it, an address is suppressed for longer. softAge is the same for single soft bounces.
	hitsAge = 365 * 24 * time.Hour
	softAge = 60 * 24 * time.Hour

	// markAge is far more than a process takes from a commit to looking it up.
	markAge = 24 * time.Hour
)

// webhooks is how long finished calls are kept.
func (r Retention) webhooks() time.Duration {
	if r.Webhooks == 0 {
		return r.Metadata
	}
	return min(r.Webhooks, r.Metadata)
}

// Retention removes what is past its time, a bounded batch of each sort, and reports
// whether there may be more. When a message's content goes was written at accept
// (erase_at); the durations decide the rest. Counters do not move: what is removed is
// added to the retired tally in the same transaction.
func (y *System) Retention(ctx context.Context, now time.Time, keep Retention) (more bool, err error) {
	for _, step := range []struct {
		what string
		run  func(context.Context, *engine.Tx, time.Time, Retention) (bool, error)
	}{
		{"erase content", y.eraseSome},
		{"retire messages", y.retireSome},
		{"purge", purgeSome},
	} {
		var again bool
		err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
			var err error
			again, err = step.run(ctx, tx, now, keep)
			return err
		})
		if err != nil {
			return more, fmt.Errorf("%s: %w", step.what, err)
		}
		more = more || again
	}
	return more, nil
}

// eraseSome erases content whose time has come.
func (y *System) eraseSome(ctx context.Context, tx *engine.Tx, now time.Time, _ Retention) (more bool, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, operator_id, body_id, EXISTS (
  SELECT 1 FROM delivery d WHERE d.message_id = message.id AND d.state = 'queued')
FROM message WHERE erased = 0 AND erase_at <= $1 ORDER BY erase_at LIMIT $2`+tx.Dialect.SkipLocked, waypost.Millis(now), eraseBatch)
	if err != nil {
		return false, err
	}
	type candidate struct {
		id, operator, body string
		queued             bool
	}
	var list []candidate
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var c candidate
		err := rows.Scan(&c.id, &c.operator, &c.body, &c.queued)
		list = append(list, c)
		return err
	})
	if err != nil {
		return false, err
	}
	var events []waypost.Event
	for _, c := range list {
		if c.queued {
			if _, err := tx.ExecContext(ctx, "UPDATE message SET erase_at = $2 WHERE id = $1", c.id, waypost.Millis(now.Add(eraseAgain))); err != nil {
				return false, err
			}
			continue
		}
		if err := store.EraseContent(ctx, tx, c.id, c.body, now); err != nil {
			return false, err
		}
		events = append(events, waypost.Event{
			OperatorID: c.operator, MessageID: c.id, Type: waypost.EventErased, Actor: "policy",
			Detail: "content is past its retention", At: now,
		})
	}
	return len(list) == eraseBatch, store.WriteEvents(ctx, tx, events)
}

// retired is a message to remove.
type retired struct {
	id, batch, body string
}

// retireSome removes messages that are past their time and have no queued delivery.
func (y *System) retireSome(ctx context.Context, tx *engine.Tx, now time.Time, keep Retention) (more bool, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, batch_id, body_id FROM message
WHERE id < $1 AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.message_id = message.id AND d.state = 'queued')
ORDER BY id LIMIT $2`+tx.Dialect.SkipLocked, waypost.FirstIDAt(now.Add(-keep.Metadata)), retireBatch)
	if err != nil {
		return false, err
	}
	var list []retired
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var m retired
		err := rows.Scan(&m.id, &m.batch, &m.body)
		list = append(list, m)
		return err
	})
	if err != nil || len(list) == 0 {
		return false, err
	}
	tally := map[string]*store.Counts{}
	var gone []retired
	for _, m := range list {
		final, err := countFinal(ctx, tx, m.id, tally)
		if err != nil {
			return false, err
		}
		if final {
			gone = append(gone, m)
		}
	}
	return len(list) == retireBatch, y.takeAway(ctx, tx, gone, tally)
}

// takeAway deletes messages, all of whose deliveries are in the tally by final state, and
// adds the tally to what is retired.
func (y *System) takeAway(ctx context.Context, tx *engine.Tx, messages []retired, tally map[string]*store.Counts) error {
	ids := make([]any, len(messages))
	for i, m := range messages {
		ids[i] = m.id
	}
	for _, head := range []string{
		"DELETE FROM attempt WHERE delivery_id IN (SELECT id FROM delivery WHERE message_id IN (",
		"DELETE FROM feedback WHERE delivery_id IN (SELECT id FROM delivery WHERE message_id IN (",
		"DELETE FROM delivery WHERE (message_id IN (",
		"DELETE FROM event WHERE (message_id IN (",
		"DELETE FROM message WHERE (id IN (",
	} {
		if err := tx.Rows(ctx, head, "))", nil, 1, ids); err != nil {
			return err
		}
	}
	for _, m := range messages {
		if m.body != "" {
			if err := store.DropBody(ctx, tx, m.body, m.batch); err != nil {
				return err
			}
		}
	}
	args := make([]any, 0, 8*len(tally))
	for _, operator := range slices.Sorted(maps.Keys(tally)) {
		c := tally[operator]
		args = append(args, operator, y.Node(), c.Delivered, c.Bounced, c.Expired, c.Cancelled, c.Suppressed, c.Uncertain)
	}
	return tx.Rows(ctx, retiredHead, retiredTail, nil, 8, args)
}

// countFinal adds the deliveries of a message to the tally, unless one is queued: a
// person may have just asked for another try of an uncertain one.
func countFinal(ctx context.Context, tx *engine.Tx, messageID string, tally map[string]*store.Counts) (bool, error) {
	rows, err := tx.QueryContext(ctx, "SELECT operator_id, state FROM delivery WHERE message_id = $1"+tx.Dialect.ForUpdate, messageID)
	if err != nil {
		return false, err
	}
	var operator string
	var counts store.Counts
	final := true
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var state waypost.State
		if err := rows.Scan(&operator, &state); err != nil {
			return err
		}
		if c := counts.Of(state); c != nil {
			*c++
		} else {
			final = false
		}
		return nil
	})
	if err != nil || !final {
		return false, err
	}
	if operator != "" {
		if tally[operator] == nil {
			tally[operator] = &store.Counts{}
		}
		tally[operator].Add(counts)
	}
	return true, nil
}

const (
	retiredHead = `INSERT INTO retired (operator_id, node, delivered, bounced, expired, cancelled, suppressed, uncertain)`
	retiredTail = ` ON CONFLICT (operator_id, node) DO UPDATE SET
  delivered = retired.delivered + excluded.delivered, bounced = retired.bounced + excluded.bounced,
  expired = retired.expired + excluded.expired, cancelled = retired.cancelled + excluded.cancelled,
  suppressed = retired.suppressed + excluded.suppressed, uncertain = retired.uncertain + excluded.uncertain`
)

// purgeSome removes idempotency keys, mail in the sandbox, suppressions, the audit
// log, the history of domains, sessions and tokens of users, finished calls of webhooks, and the commit marks of
// processes that ended long ago.
func purgeSome(ctx context.Context, tx *engine.Tx, now time.Time, keep Retention) (more bool, err error) {
	if more, err = endUnusedActing(ctx, tx, now); err != nil {
		return false, err
	}
	for _, purge := range []struct {
		text string
		args []any
	}{
		{
			`DELETE FROM idempotency WHERE (operator_id, key) IN (
  SELECT i.operator_id, i.key FROM idempotency i WHERE i.created < $1 ORDER BY i.created LIMIT $2)`,
			[]any{waypost.Millis(now.Add(-idempotencyAge)), purgeBatch},
		},
		{
			`DELETE FROM sandbox WHERE id IN (SELECT s.id FROM sandbox s WHERE s.id < $1 AND s.kind <> 'report' ORDER BY s.id LIMIT $2)`,
			[]any{waypost.FirstIDAt(now.Add(-keep.Content)), purgeBatch},
		},
		{
			`DELETE FROM sandbox WHERE id IN (SELECT s.id FROM sandbox s WHERE s.id < $1 AND s.kind = 'report' ORDER BY s.id LIMIT $2)`,
			[]any{waypost.FirstIDAt(now.Add(-keep.Reports)), purgeBatch},
		},
		{
			`DELETE FROM suppression WHERE (operator_id, address, reason, kind) IN (
  SELECT s.operator_id, s.address, s.reason, s.kind FROM suppression s WHERE s.expires > 0 AND s.expires <= $1
  AND (s.reason <> 'hard_bounce' OR s.expires <= $3) ORDER BY s.expires LIMIT $2)`,
			[]any{waypost.Millis(now), purgeBatch, waypost.Millis(now.Add(-hitsAge))},
		},
		{
			"DELETE FROM soft_bounce WHERE (operator_id, address) IN (SELECT b.operator_id, b.address FROM soft_bounce b WHERE b.since <= $1 ORDER BY b.since LIMIT $2)",
			[]any{waypost.Millis(now.Add(-softAge)), purgeBatch},
		},
		{
			`DELETE FROM audit WHERE id IN (SELECT a.id FROM audit a WHERE a.id < $1 ORDER BY a.id LIMIT $2)`,
			[]any{waypost.FirstIDAt(now.Add(-historyAge)), purgeBatch},
		},
		{
			`DELETE FROM domain_event WHERE id IN (SELECT e.id FROM domain_event e WHERE e.id < $1 ORDER BY e.id LIMIT $2)`,
			[]any{waypost.FirstIDAt(now.Add(-historyAge)), purgeBatch},
		},
		{
			`DELETE FROM user_session WHERE id IN (
  SELECT u.id FROM user_session u WHERE u.expires <= $1 AND u.acting_for = '' ORDER BY u.expires LIMIT $2)`, // endUnusedActing sees to the others first
			[]any{waypost.Millis(now), purgeBatch},
		},
		{
			`DELETE FROM user_token WHERE hash IN (SELECT t.hash FROM user_token t WHERE t.expires > 0 AND t.expires <= $1 ORDER BY t.expires LIMIT $2)`,
			[]any{waypost.Millis(now), purgeBatch},
		},
		{
			`DELETE FROM webhook_attempt WHERE call_id IN (SELECT c.id FROM webhook_call c WHERE c.finished > 0 AND c.finished < $1 ORDER BY c.finished LIMIT $2)`,
			[]any{waypost.Millis(now.Add(-keep.webhooks())), purgeBatch},
		},
		{
			`DELETE FROM webhook_call WHERE id IN (SELECT c.id FROM webhook_call c WHERE c.finished > 0 AND c.finished < $1
  AND NOT EXISTS (SELECT 1 FROM webhook_attempt a WHERE a.call_id = c.id) ORDER BY c.finished LIMIT $2)`,
			[]any{waypost.Millis(now.Add(-keep.webhooks())), purgeBatch},
		},
		{
			"DELETE FROM webhook_replay WHERE finished > 0 AND finished < $1",
			[]any{waypost.Millis(now.Add(-keep.webhooks()))},
		},
		{
			"DELETE FROM commit_mark WHERE at < $1",
			[]any{waypost.Millis(now.Add(-markAge))},
		},
	} {
		result, err := tx.ExecContext(ctx, purge.text, purge.args...)
		if err != nil {
			return false, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return false, err
		}
		more = more || n == purgeBatch
	}
	return more, nil
}
