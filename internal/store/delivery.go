package store

import (
	"context"
	"database/sql"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// DeliveryColumns are the columns that ScanDelivery reads, in order.
const DeliveryColumns = `id, operator_id, message_id, recipient, site, kind, lane, state, held, control, attempts, step,
  next_at, expires, lease, epoch, route, cause, reason, created, updated`

// ScanDelivery reads one row of DeliveryColumns.
func ScanDelivery(row interface{ Scan(...any) error }) (waypost.Delivery, error) {
	var d waypost.Delivery
	var lane, nextAt, expires, created, updated int64
	err := row.Scan(&d.ID, &d.OperatorID, &d.MessageID, &d.Recipient, &d.Site, &d.Kind, &lane, &d.State, &d.Held, &d.Control,
		&d.Attempts, &d.Step, &nextAt, &expires, &d.Lease, &d.Epoch, &d.Route, &d.Cause, &d.Reason, &created, &updated)
	d.Lane = waypost.LaneOfRank(int(lane))
	d.NextAt, d.Expires = waypost.FromMillis(nextAt), waypost.FromMillis(expires)
	d.Created, d.Updated = waypost.FromMillis(created), waypost.FromMillis(updated)
	return d, err
}

// ScanDeliveries appends all rows and closes them.
func ScanDeliveries(rows *sql.Rows, into []waypost.Delivery) ([]waypost.Delivery, error) {
	err := engine.Each(rows, func(rows *sql.Rows) error {
		d, err := ScanDelivery(rows)
		into = append(into, d)
		return err
	})
	return into, err
}

// Delivery reads one delivery of an operator. The error is NotFound if it has none.
func (s *Store) Delivery(ctx context.Context, operatorID, id string) (waypost.Delivery, error) {
	d, err := ScanDelivery(s.engine.Reader().QueryRowContext(ctx,
		"SELECT "+DeliveryColumns+" FROM delivery WHERE operator_id = $1 AND id = $2", operatorID, id))
	return d, one(err, "delivery")
}
