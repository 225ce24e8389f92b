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
// done with, those a node has to settle first, and those it does not fit. By id it
// answers as Store.Control does: NotFound, or Conflict with the reason.
func (y *System) ControlWhere(ctx context.Context, by waypost.Actor, w Where, action store.ControlAction, now time.Time) (
	done, pending, skipped int, err error,
) {
	if w.DeliveryID != "" {
		return y.controlID(ctx, by, w.DeliveryID, action, now)
	}
	if !w.All && w.OperatorID == "" && w.Domain == "" {
		return 0, 0, 0, waypost.NewError(waypost.Invalid, "invalid", "name an id, an operator, a domain, or all")
	}
	f := QueueFilter{OperatorID: w.OperatorID, Domain: w.Domain}
	if action == store.Release {
		f.State = QueueHeld
	}
	asked := waypost.AuditEntry{
		OperatorID: cmp.Or(w.OperatorID, waypost.PlatformOperatorID), Actor: by, Action: "queue." + string(action), Target: cmp.Or(w.Domain, "all"), At: now,
	}
	for cursor := ""; ; {
		var results []store.ControlResult
		var refused []error
		var next string
		err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
			if err := store.BumpChange(ctx, tx); err != nil {
				return err
			}
			batch, following, err := scanQueue(ctx, tx, f, cursor, controlBatch, tx.Dialect.ForUpdate)
			if err != nil {
				return err
			}
			if cursor == "" {
				if err := store.WriteAudit(ctx, tx, asked); err != nil {
					return err
				}
			}
			next = following
			results, refused, err = y.ApplyControl(ctx, tx, batch, action, by.ID, now)
			return err
		})
		if err != nil {
			return done, pending, skipped, fmt.Errorf("%s: %w", action, err)
		}
		for i := range results {
			switch {
			case waypost.KindOf(refused[i]) == waypost.Invalid:
				return done, pending, skipped, refused[i]
			case refused[i] != nil:
				skipped++
			case results[i].Pending:
				pending++
			default:
				done++
			}
		}
		if next == "" {
			return done, pending, skipped, nil
		}
		cursor = next
	}
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
