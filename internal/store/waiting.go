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
