package system

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// Where names deliveries to control.
type Where = waypost.QueueWhere

// controlBatch bounds how many deliveries one transaction controls.
const controlBatch = 200

// ControlWhere applies an action to deliveries, batch by batch, and counts those it is
// done with, those a node has to settle first, and those it does not fit. With the error
// of a context that ended come the counts so far: doing it again does the rest. By id it
// answers as Store.Control does: NotFound, or Conflict with the reason.
//
// It is recorded once as it was asked for, and under every other operator whose mail it
// touches: each finds in its own log what was done with its mail.
func (y *System) ControlWhere(ctx context.Context, by waypost.Actor, w Where, action store.ControlAction, now time.Time) (
	done, pending, skipped int, err error,
) {
	if w.DeliveryID != "" {
		return y.controlID(ctx, by, w.DeliveryID, action, now)
	}
	if !w.All && w.OperatorID == "" && w.Domain == "" {
		return 0, 0, 0, waypost.NewError(waypost.Invalid, "invalid", "name an id, an operator, a domain, or all")
	}
	c := bulkControl{
		filter: QueueFilter{OperatorID: w.OperatorID, Domain: w.Domain}, action: action, now: now, recorded: map[string]bool{},
		asked: waypost.AuditEntry{
			OperatorID: cmp.Or(w.OperatorID, waypost.PlatformOperatorID), Actor: by, Action: "queue." + string(action), Target: cmp.Or(w.Domain, "all"), At: now,
		},
	}
	if action == store.Release {
		c.filter.State = QueueHeld
	}
	for cursor := ""; ; {
		if err := ctx.Err(); err != nil {
			return done, pending, skipped, fmt.Errorf("%s: %w", action, err)
		}
		b, err := y.controlNext(ctx, &c, cursor)
		if err != nil {
			return done, pending, skipped, fmt.Errorf("%s: %w", action, err)
		}
		for i := range b.results {
			switch {
			case waypost.KindOf(b.refused[i]) == waypost.Invalid:
				return done, pending, skipped, b.refused[i]
			case b.refused[i] != nil:
				skipped++
			case b.results[i].Pending:
				pending++
			default:
				done++
			}
		}
		if b.next == "" {
			return done, pending, skipped, nil
		}
		cursor = b.next
	}
}

// bulkControl is an action on much mail.
type bulkControl struct {
	filter   QueueFilter
	action   store.ControlAction
	now      time.Time
	asked    waypost.AuditEntry
	recorded map[string]bool // operators under which it is in the audit log
}

// controlledBatch is what became of a batch, and where the next begins, "" at the end.
type controlledBatch struct {
	results []store.ControlResult
	refused []error
	next    string
}

// controlNext applies the action to the deliveries after the cursor in one transaction,
// with the entries of the operators that it is the first to touch.
func (y *System) controlNext(ctx context.Context, c *bulkControl, cursor string) (b controlledBatch, err error) {
	var fresh []waypost.AuditEntry
	err = y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		if err := store.BumpChange(ctx, tx); err != nil {
			return err
		}
		batch, next, err := scanQueue(ctx, tx, c.filter, cursor, controlBatch, tx.Dialect.ForUpdate)
		if err != nil {
			return err
		}
		b.next = next
		if b.results, b.refused, err = y.ApplyControl(ctx, tx, batch, c.action, c.asked.Actor.ID, c.now); err != nil {
			return err
		}
		fresh = c.unrecorded(batch, b.refused)
		return store.WriteAudit(ctx, tx, fresh...)
	})
	for _, e := range fresh {
		c.recorded[e.OperatorID] = true // after an error nothing goes on
	}
	return b, err
}

// unrecorded are the entries that a batch still needs: as it was asked for, and for each
// operator whose mail is touched.
func (c *bulkControl) unrecorded(batch []waypost.Delivery, refused []error) []waypost.AuditEntry {
	var entries []waypost.AuditEntry
	added := map[string]bool{}
	add := func(operatorID string) {
		if c.recorded[operatorID] || added[operatorID] {
			return
		}
		e := c.asked
		e.OperatorID, added[operatorID] = operatorID, true
		entries = append(entries, e)
	}
	add(c.asked.OperatorID)
	for i := range batch {
		if refused[i] == nil {
			add(batch[i].OperatorID)
		}
	}
	return entries
}

func (y *System) controlID(ctx context.Context, by waypost.Actor, id string, action store.ControlAction, now time.Time) (
	done, pending, skipped int, err error,
) {
	var operatorID string
	err = y.engine.Reader().QueryRowContext(ctx, "SELECT operator_id FROM delivery WHERE id = $1", id).Scan(&operatorID)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, 0, notFound("delivery")
	}
	if err != nil {
		return 0, 0, 0, fmt.Errorf("%s: %w", action, err)
	}
	result, err := y.Control(ctx, by, operatorID, id, action, now)
	switch {
	case err != nil:
		return 0, 0, 0, err
	case result.Pending:
		return 0, 1, 0, nil
	}
	return 1, 0, 0, nil
}
