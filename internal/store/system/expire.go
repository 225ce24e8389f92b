package system

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// expireBatch bounds how many deliveries one transaction expires.
const expireBatch = 500

// Expire ends queued deliveries that nobody works on and that are past their expiry,
// one batch of them, and returns how many there were.
func (y *System) Expire(ctx context.Context, now time.Time) (int, error) {
	n := 0
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		n = 0
		rows, err := tx.QueryContext(ctx, `WITH c AS MATERIALIZED (
  SELECT id FROM delivery WHERE state = 'queued' AND lease = '' AND expires <= $1
  ORDER BY expires LIMIT $2`+tx.Dialect.SkipLocked+`)
UPDATE delivery SET state = 'expired', updated = $1 WHERE id IN (SELECT id FROM c)
RETURNING id, operator_id, message_id, kind, reason`, waypost.Millis(now), expireBatch)
		if err != nil {
			return err
		}
		var w store.Changes
		err = engine.Each(rows, func(rows *sql.Rows) error {
			var d waypost.Delivery
			if err := rows.Scan(&d.ID, &d.OperatorID, &d.MessageID, &d.Kind, &d.Reason); err != nil {
				return err
			}
			n++
			w.Event(waypost.Event{
				OperatorID: d.OperatorID, MessageID: d.MessageID, DeliveryID: d.ID, Count: 1,
				Type: waypost.EventExpired, Actor: "policy", Detail: d.Reason, At: now,
			}, d.Kind, waypost.Queued, waypost.Expired)
			return nil
		})
		if err != nil {
			return err
		}
		return w.Write(ctx, tx, y.Node(), now)
	})
	if err != nil {
		return n, fmt.Errorf("expire: %w", err)
	}
	return n, nil
}
