package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system/systemsql"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	// removeRows bounds how many rows of a table one transaction removes, removeMails how
	// many mails of the sandbox, which have their content with them.
	removeRows  = 500
	removeMails = 20

	// removalGrace is how long a removal is looked at again before it is finished: mail
	// that was being accepted when the operator was deleted arrives a moment later.
	removalGrace = 10 * time.Minute

	// openRemovals is how many removals are worked on in turn.
	openRemovals = 100
)

// RemoveOperator deletes an operator. From its commit nobody signs in, sends or is sent
// for as the operator, and its keys, relay, senders and domains are gone; RemoveSome does
// the rest. Its children move up to its own parent. Deleting one that is deleted already is
// no error; the error is NotFound for an unknown operator and Conflict for the platform's.
func (y *System) RemoveOperator(ctx context.Context, by waypost.Actor, operatorID string, now time.Time) error {
	if operatorID == waypost.PlatformOperatorID {
		return waypost.NewError(waypost.Conflict, "platform_operator", "the platform itself cannot be deleted")
	}
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		if err := store.BumpChange(ctx, tx); err != nil {
			return err
		}
		q := systemsql.New(tx)
		row, err := tenantsql.New(tx).Operator(ctx, operatorID)
		if errors.Is(err, sql.ErrNoRows) {
			removed, err := q.OperatorRemoved(ctx, operatorID)
			if err == nil && !removed {
				err = notFound("operator")
			}
			return err
		}
		if err != nil {
			return err
		}
		counter, err := tenantsql.New(tx).Counter(ctx, operatorID)
		if err != nil {
			return err
		}
		counts := store.Counts(counter)
		entries := []waypost.AuditEntry{{
			OperatorID: operatorID, Actor: by, Action: "operator.delete", Target: row.Name, At: now,
			Detail: waypost.NewDetail(waypost.DetailCancelled, "count", counts.Accepted-counts.Final()),
		}}
		children, err := q.Children(ctx, operatorID)
		if err != nil {
			return err
		}
		for _, child := range children {
			entries = append(entries, waypost.AuditEntry{
				OperatorID: child.ID, Actor: by, Action: "operator.change", Target: child.Name, At: now,
				Detail: waypost.ChangeDetail("parent", operatorID, row.ParentID),
			})
		}
		if len(children) > 0 {
			if err := q.MoveChildren(ctx, systemsql.MoveChildrenParams{ParentID: operatorID, ToParent: row.ParentID}); err != nil {
				return err
			}
		}
		if err := q.InsertRemovedOperator(ctx, systemsql.InsertRemovedOperatorParams{
			ID: operatorID, Name: row.Name, Deleted: waypost.Millis(now),
		}); err != nil {
			return err
		}
		tx.Forget() // keys and passwords
		if err := q.DeleteOperator(ctx, operatorID); err != nil {
			return err
		}
		stopped, err := nobodyActsFor(ctx, q, by, operatorID, now)
		if err != nil {
			return err
		}
		entries = append(entries, stopped...)
		for _, text := range settingsOf() {
			if _, err := tx.ExecContext(ctx, text, operatorID, removeRows); err != nil {
				return err
			}
		}
		return store.WriteAudit(ctx, tx, entries...)
	})
	if err != nil {
		return fmt.Errorf("delete operator: %w", err)
	}
	return nil
}

// settingsOf are the statements that remove what makes an operator send.
func settingsOf() []string {
	return []string{
		"DELETE FROM relay WHERE operator_id IN (SELECT r.operator_id FROM relay r WHERE r.operator_id = $1 LIMIT $2)",
		"DELETE FROM credential WHERE id IN (SELECT c.id FROM credential c WHERE c.operator_id = $1 ORDER BY c.id LIMIT $2)",
		"DELETE FROM sender WHERE id IN (SELECT s.id FROM sender s WHERE s.operator_id = $1 LIMIT $2)",
		"DELETE FROM webhook WHERE id IN (SELECT w.id FROM webhook w WHERE w.operator_id = $1 LIMIT $2)",
		"DELETE FROM domain WHERE id IN (SELECT d.id FROM domain d WHERE d.operator_id = $1 LIMIT $2)",
	}
}

// restOf are the statements that remove what else an operator has, but for its mail.
func restOf() []string {
	return append(settingsOf(),
		`DELETE FROM suppression WHERE (operator_id, address, reason, kind) IN (
  SELECT s.operator_id, s.address, s.reason, s.kind FROM suppression s WHERE s.operator_id = $1 LIMIT $2)`,
		`DELETE FROM suppression_exempt WHERE (operator_id, address) IN (
  SELECT e.operator_id, e.address FROM suppression_exempt e WHERE e.operator_id = $1 LIMIT $2)`,
		`DELETE FROM soft_bounce WHERE (operator_id, address) IN (
  SELECT b.operator_id, b.address FROM soft_bounce b WHERE b.operator_id = $1 LIMIT $2)`,
		`DELETE FROM feedback WHERE (delivery_id, sort) IN (SELECT f.delivery_id, f.sort FROM feedback f WHERE f.operator_id = $1 LIMIT $2)`,
		`DELETE FROM idempotency WHERE (operator_id, key) IN (SELECT i.operator_id, i.key FROM idempotency i WHERE i.operator_id = $1 LIMIT $2)`,
		`DELETE FROM webhook_event WHERE (operator_id, webhook_id, id) IN (
  SELECT e.operator_id, e.webhook_id, e.id FROM webhook_event e WHERE e.operator_id = $1 LIMIT $2)`,
		`DELETE FROM webhook_attempt WHERE call_id IN (
  SELECT c.id FROM webhook_call c WHERE c.operator_id = $1 ORDER BY c.webhook_id, c.id LIMIT $2)`,
		`DELETE FROM webhook_call WHERE id IN (SELECT c.id FROM webhook_call c WHERE c.operator_id = $1
  AND NOT EXISTS (SELECT 1 FROM webhook_attempt a WHERE a.call_id = c.id) ORDER BY c.webhook_id, c.id LIMIT $2)`,
		"DELETE FROM webhook_replay WHERE id IN (SELECT r.id FROM webhook_replay r WHERE r.operator_id = $1 LIMIT $2)",
		"DELETE FROM domain_event WHERE id IN (SELECT e.id FROM domain_event e WHERE e.operator_id = $1 LIMIT $2)",
		`DELETE FROM user_session WHERE id IN (
  SELECT s.id FROM user_session s JOIN app_user u ON u.id = s.user_id WHERE u.operator_id = $1 LIMIT $2)`,
		`DELETE FROM user_token WHERE hash IN (
  SELECT t.hash FROM user_token t JOIN app_user u ON u.id = t.user_id WHERE u.operator_id = $1 LIMIT $2)`,
		`DELETE FROM app_user WHERE id IN (SELECT u.id FROM app_user u WHERE u.operator_id = $1
  AND NOT EXISTS (SELECT 1 FROM user_session s WHERE s.user_id = u.id)
  AND NOT EXISTS (SELECT 1 FROM user_token t WHERE t.user_id = u.id) LIMIT $2)`,
		`DELETE FROM rollup WHERE (operator_id, hour, kind, node) IN (
  SELECT r.operator_id, r.hour, r.kind, r.node FROM rollup r WHERE r.operator_id = $1 LIMIT $2)`,
	)
}

func removedOf(row systemsql.RemovedOperator) waypost.RemovedOperator {
	return waypost.RemovedOperator{
		ID: row.ID, Name: row.Name, Deleted: waypost.FromMillis(row.Deleted), Finished: waypost.FromMillis(row.Finished),
		Messages: row.Messages, Cancelled: row.Cancelled,
	}
}

// RemovedOperator reads what is known of a deleted operator. The error is NotFound.
func (y *System) RemovedOperator(ctx context.Context, operatorID string) (waypost.RemovedOperator, error) {
	row, err := y.queries().RemovedOperator(ctx, operatorID)
	if errors.Is(err, sql.ErrNoRows) {
		return waypost.RemovedOperator{}, notFound("operator")
	}
	if err != nil {
		return waypost.RemovedOperator{}, fmt.Errorf("read deleted operator: %w", err)
	}
	return removedOf(row), nil
}

// Removals lists the deleted operators of which something may be left, at most 100, those
// deleted longest ago first.
func (y *System) Removals(ctx context.Context) ([]waypost.RemovedOperator, error) {
	rows, err := y.queries().OpenRemovals(ctx, openRemovals)
	if err != nil {
		return nil, fmt.Errorf("list deleted operators: %w", err)
	}
	list := make([]waypost.RemovedOperator, len(rows))
	for i, row := range rows {
		list[i] = removedOf(row)
	}
	return list, nil
}

// RemoveSome removes a bounded part of what deleted operators have left, and reports
// whether there is more to do at once. It can be interrupted anywhere, run by several nodes
// at a time and repeated. For each operator it goes like this:
//
//  1. nodes that hold deliveries of it are asked to let go of them;
//  2. messages that nobody works on are removed: what was queued is counted as cancelled,
//     and all of it as retired, in the same transaction (promise 2 of the design);
//  3. everything else is removed, and when nothing came for some time, it is finished.
func (y *System) RemoveSome(ctx context.Context, now time.Time) (more bool, err error) {
	open, err := y.Removals(ctx)
	if err != nil {
		return false, err
	}
	for _, o := range open {
		did, err := y.removeSome(ctx, o, now)
		if err != nil {
			return more, fmt.Errorf("remove operator: %w", err)
		}
		more = more || did
	}
	return more, nil
}

// removeSome does the first step that finds something to do.
func (y *System) removeSome(ctx context.Context, o waypost.RemovedOperator, now time.Time) (did bool, err error) {
	for _, step := range []func(context.Context, *engine.Tx, waypost.RemovedOperator, time.Time) (int64, error){
		y.askHolders, y.removeMessages, removeRest, finishRemoval,
	} {
		var n int64
		err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
			var err error
			n, err = step(ctx, tx, o, now)
			return err
		})
		if err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}

// askHolders asks nodes to cancel what they hold.
func (y *System) askHolders(ctx context.Context, tx *engine.Tx, o waypost.RemovedOperator, now time.Time) (int64, error) {
	rows, err := tx.QueryContext(ctx, "SELECT "+store.DeliveryColumns+` FROM delivery
WHERE lease > '' AND lease <> '' AND state = 'queued' AND operator_id || '' = $1 AND control <> 'cancel' ORDER BY lease, id LIMIT $2`+tx.Dialect.ForUpdate, o.ID, controlBatch)
	if err != nil {
		return 0, err
	}
	held, err := store.ScanDeliveries(rows, nil)
	if err != nil || len(held) == 0 {
		return 0, err
	}
	if err := store.BumpChange(ctx, tx); err != nil {
		return 0, err
	}
	_, _, err = y.ApplyControl(ctx, tx, held, store.Cancel, waypost.Policy().ID, now)
	return int64(len(held)), err
}

// removeMessages removes messages of which no node holds a delivery.
func (y *System) removeMessages(ctx context.Context, tx *engine.Tx, o waypost.RemovedOperator, now time.Time) (int64, error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, batch_id, body_id, kind FROM message m WHERE operator_id = $1
  AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.message_id = m.id AND d.lease <> '')
ORDER BY id LIMIT $2`+tx.Dialect.SkipLocked, o.ID, retireBatch)
	if err != nil {
		return 0, err
	}
	var found []retired
	kinds := map[string]waypost.Kind{}
	if err := engine.Each(rows, func(rows *sql.Rows) error {
		var m retired
		var kind waypost.Kind
		err := rows.Scan(&m.id, &m.batch, &m.body, &kind)
		found, kinds[m.id] = append(found, m), kind
		return err
	}); err != nil {
		return 0, err
	}
	var gone []retired
	var sum store.Counts
	var cancelled int64
	var moved store.Tally
	for _, m := range found {
		counts, queued, leased, err := countAll(ctx, tx, m.id)
		if err != nil {
			return 0, err
		}
		if leased { // since we looked
			continue
		}
		if queued > 0 {
			moved.Moved(o.ID, kinds[m.id], waypost.Queued, waypost.Cancelled, now, queued)
			counts.Cancelled += queued
			cancelled += queued
		}
		sum.Add(counts)
		gone = append(gone, m)
	}
	if len(gone) == 0 {
		return 0, nil
	}
	tx.Forget()
	if err := y.takeAway(ctx, tx, gone, map[string]*store.Counts{o.ID: &sum}); err != nil {
		return 0, err
	}
	if err := moved.Write(ctx, tx, y.Node()); err != nil {
		return 0, err
	}
	return int64(len(gone)), systemsql.New(tx).CountRemoved(ctx, systemsql.CountRemovedParams{
		ID: o.ID, Messages: int64(len(gone)), Cancelled: cancelled,
	})
}

// countAll counts the deliveries of a message by final state, those that are queued, and
// says whether a node holds one.
func countAll(ctx context.Context, tx *engine.Tx, messageID string) (counts store.Counts, queued int64, leased bool, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT state, lease FROM delivery WHERE message_id = $1"+tx.Dialect.ForUpdate, messageID)
	if err != nil {
		return counts, 0, false, err
	}
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var state waypost.State
		var lease string
		if err := rows.Scan(&state, &lease); err != nil {
			return err
		}
		leased = leased || lease != ""
		if c := counts.Of(state); c != nil {
			*c++
		} else {
			queued++
		}
		return nil
	})
	return counts, queued, leased, err
}

// removeRest removes a part of what is not mail, or of the sandbox's copies of mail.
func removeRest(ctx context.Context, tx *engine.Tx, o waypost.RemovedOperator, _ time.Time) (int64, error) {
	result, err := tx.ExecContext(ctx, "DELETE FROM sandbox WHERE id IN (SELECT s.id FROM sandbox s WHERE s.operator_id = $1 ORDER BY s.id LIMIT $2)", o.ID, removeMails)
	if err != nil {
		return 0, err
	}
	sum, err := result.RowsAffected()
	if err != nil {
		return 0, err
	}
	for _, text := range restOf() {
		result, err := tx.ExecContext(ctx, text, o.ID, removeRows)
		if err != nil {
			return 0, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		sum += n
	}
	if sum > 0 {
		tx.Forget()
	}
	return sum, nil
}

// finishRemoval ends a removal of which nothing is left and nothing came for some time.
func finishRemoval(ctx context.Context, tx *engine.Tx, o waypost.RemovedOperator, now time.Time) (int64, error) {
	if now.Sub(o.Deleted) < removalGrace {
		return 0, nil
	}
	var left bool
	if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM message WHERE operator_id = $1)", o.ID).Scan(&left); err != nil || left {
		return 0, err
	}
	n, err := systemsql.New(tx).FinishRemoval(ctx, systemsql.FinishRemovalParams{ID: o.ID, Finished: waypost.Millis(now)})
	if err != nil || n == 0 {
		return 0, err
	}
	return 0, store.WriteAudit(ctx, tx, waypost.AuditEntry{
		OperatorID: o.ID, Actor: waypost.Policy(), Action: "operator.deleted", Target: o.Name, At: now,
		Detail: waypost.NewDetail(waypost.DetailNothingLeft, "messages", o.Messages, "cancelled", o.Cancelled),
	})
}
