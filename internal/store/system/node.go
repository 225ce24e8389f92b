package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// Node is a process that may hold leases.
type Node = waypost.Node

// Join adds this process to the nodes.
func (y *System) Join(ctx context.Context, n Node) error {
	return y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO node (incarnation, name, beat, started) VALUES ($1, $2, 0, $3)",
			n.Incarnation, n.Name, waypost.Millis(n.Started))
		return err
	})
}

// ErrEvicted says that other nodes took this incarnation for dead.
var ErrEvicted = errors.New("this node was taken for dead and its leases were given to others")

// Beat raises this node's number.
func (y *System) Beat(ctx context.Context, incarnation string) error {
	return y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		r, err := tx.ExecContext(ctx, "UPDATE node SET beat = beat + 1 WHERE incarnation = $1", incarnation)
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		if err == nil && n == 0 {
			return ErrEvicted
		}
		return err
	})
}

// Nodes lists the processes that have joined and not left.
func (y *System) Nodes(ctx context.Context) ([]Node, error) {
	rows, err := y.engine.Reader().QueryContext(ctx, "SELECT incarnation, name, beat, started FROM node ORDER BY incarnation")
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	var nodes []Node
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var n Node
		var started int64
		err := rows.Scan(&n.Incarnation, &n.Name, &n.Beat, &started)
		n.Started = waypost.FromMillis(started)
		nodes = append(nodes, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	return nodes, nil
}

// Change reads the number that is raised by every change processes must notice.
func (y *System) Change(ctx context.Context) (int64, error) {
	var n int64
	err := y.engine.Reader().QueryRowContext(ctx, "SELECT change FROM instance WHERE id = 1").Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read change number: %w", err)
	}
	return n, nil
}

// recoverBatch bounds how many leases one transaction takes back.
const recoverBatch = 500

// Recover takes back the leases of a dead incarnation, those on webhooks too, and removes
// it from the nodes.
// Its rows are due at once: whether their last attempt reached the remote nobody can
// know (promise 3 of the design), and each gets an event that says so. Test mail is
// tried once only, so it expires. It returns how many rows it took back.
func (y *System) Recover(ctx context.Context, incarnation string, now time.Time) (int, error) {
	total := 0
	for {
		n := 0
		err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
			var err error
			n, err = y.recoverSome(ctx, tx, incarnation, now)
			return err
		})
		total += n
		if err != nil {
			return total, fmt.Errorf("recover leases: %w", err)
		}
		if n < recoverBatch {
			return total, nil
		}
	}
}

func (y *System) recoverSome(ctx context.Context, tx *engine.Tx, incarnation string, now time.Time) (int, error) {
	if _, err := tx.ExecContext(ctx, "UPDATE webhook SET lease = '', epoch = epoch + 1 WHERE lease = $1 AND lease <> ''", incarnation); err != nil {
		return 0, err
	}
	rows, err := tx.QueryContext(ctx, `WITH c AS MATERIALIZED (
  SELECT id FROM delivery WHERE lease = $1 AND lease <> '' LIMIT $2`+tx.Dialect.SkipLocked+`)
UPDATE delivery SET lease = '', control = '', next_at = $3, updated = $3,
  state = CASE WHEN kind = 'test' THEN 'expired' WHEN control = 'cancel' THEN 'cancelled' ELSE state END,
  held = CASE WHEN control = 'hold' THEN TRUE ELSE held END,
  reason = CASE WHEN kind = 'test' THEN 'the program stopped during this one try' ELSE reason END
WHERE id IN (SELECT id FROM c)
RETURNING id, operator_id, message_id, kind, state, held, attempts`,
		incarnation, recoverBatch, waypost.Millis(now))
	if err != nil {
		return 0, err
	}
	var w store.Changes
	n := 0
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var d waypost.Delivery
		if err := rows.Scan(&d.ID, &d.OperatorID, &d.MessageID, &d.Kind, &d.State, &d.Held, &d.Attempts); err != nil {
			return err
		}
		n++
		e := waypost.Event{
			OperatorID: d.OperatorID, MessageID: d.MessageID, DeliveryID: d.ID, Count: 1, Attempt: d.Attempts, At: now,
			Type: waypost.EventRecovered, Actor: "node:" + y.Node(),
			Detail: "the node that worked on it died; the remote may or may not have it",
		}
		w.Event(e, d.Kind, waypost.Queued, d.State)
		if d.State == waypost.Queued && d.Held {
			e.Type, e.Detail = waypost.EventHeld, "asked for while an attempt was under way"
			w.Event(e, d.Kind, waypost.Queued, waypost.Queued)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if n < recoverBatch {
		// Rows that another node is taking back right now are still leased to us; if that
		// node fails, the next Recover finds them.
		if _, err := tx.ExecContext(ctx, `DELETE FROM node WHERE incarnation = $1
  AND NOT EXISTS (SELECT 1 FROM delivery WHERE lease = $1 AND lease <> '')`, incarnation); err != nil {
			return 0, err
		}
	}
	return n, w.Write(ctx, tx, y.Node(), now)
}
