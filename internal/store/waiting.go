package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// Waiting reads one queued delivery of each of some messages of an operator, by message:
// the one with the smallest id. Messages without one are left out.
func (s *Store) Waiting(ctx context.Context, operatorID string, messageIDs []string) (map[string]waypost.Delivery, error) {
	found := map[string]waypost.Delivery{}
	if len(messageIDs) == 0 {
		return found, nil
	}
	var w where
	w.and("m.operator_id = ?", operatorID) // of the message, as in Message
	w.in("m.id", anys(messageIDs))
	rows, err := s.engine.Reader().QueryContext(ctx, "SELECT "+DeliveryColumns+` FROM delivery WHERE id IN (
SELECT MIN(d.id) FROM message m JOIN delivery d ON d.message_id = m.id WHERE `+w.text+" AND d.state = 'queued' GROUP BY d.message_id)", w.args...)
	if err == nil {
		err = engine.Each(rows, func(rows *sql.Rows) error {
			d, err := ScanDelivery(rows)
			found[d.MessageID] = d
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list waiting deliveries: %w", err)
	}
	return found, nil
}

// queued are the parts of an operator's queue as the indexes of deliveries have it.
type queued struct {
	held    where
	waiting []where // by lane
	leased  where
}

func queueOf(operatorID string) queued {
	var q queued
	q.held.and("operator_id = ? AND state = 'queued' AND held", operatorID)
	for _, lane := range waypost.Lanes() {
		var w where
		w.and("state = 'queued' AND lease = '' AND NOT held AND lane = ? AND operator_id = ?", lane.Rank(), operatorID)
		q.waiting = append(q.waiting, w)
	}
	// The operator is asked of an expression: asked of the column, it would lead the planner
	// to an index of all the operator's mail.
	q.leased.and("lease > '' AND lease <> '' AND state = 'queued' AND operator_id || '' = ?", operatorID)
	return q
}

func (q queued) parts() []where { return append([]where{q.held, q.leased}, q.waiting...) }
