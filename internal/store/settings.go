package store

import (
	"context"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// EmailSettings are what the settings page saves in one step.
type EmailSettings struct {
	Gateway       waypost.GatewayType // "" for none
	Relay         *StoredRelay        // nil leaves the saved one as it is
	DefaultSender *waypost.Sender     // address and name; nil leaves the senders as they are
	ReplyTo       string
	Signature     waypost.Signature
}

// SaveEmailSettings saves all of them or nothing. A default sender that is new has
// the state it comes with; a relay that differs from the saved one starts healthy. The
// error is NotFound if there is no such operator.
func (s *Store) SaveEmailSettings(ctx context.Context, operatorID string, e EmailSettings) error {
	return s.change(ctx, func(ctx context.Context, _ *engine.Tx, q *tenantsql.Queries) error {
		now := time.Now()
		row, err := q.Operator(ctx, operatorID)
		if err != nil {
			return one(err, "operator")
		}
		o := operatorOf(row)
		o.Gateway, o.ReplyTo, o.Signature = e.Gateway, e.ReplyTo, e.Signature
		if err := updateOperator(ctx, q, operatorID, o); err != nil {
			return err
		}
		if e.Relay != nil {
			if err := putRelay(ctx, q, operatorID, *e.Relay, now); err != nil {
				return err
			}
		}
		if e.DefaultSender != nil {
			return putDefaultSender(ctx, q, operatorID, *e.DefaultSender, now)
		}
		return nil
	})
}
