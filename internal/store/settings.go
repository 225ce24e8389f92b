package store

import (
	"cmp"
	"context"
	"fmt"
	"strings"
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
func (s *Store) SaveEmailSettings(ctx context.Context, by waypost.Actor, operatorID string, e EmailSettings) error {
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		now := time.Now()
		row, err := q.Operator(ctx, operatorID)
		if err != nil {
			return one(err, "operator")
		}
		o := OperatorOf(row)
		if err := audit(ctx, tx, by, operatorID, "settings.save", "", e.changes(o)); err != nil {
			return err
		}
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
			return putDefaultSender(ctx, tx, operatorID, *e.DefaultSender, by, now)
		}
		return nil
	})
}

// changes tells what differs from the operator as it is, in a line without secrets.
func (e EmailSettings) changes(o waypost.Operator) string {
	var list []string
	if e.Gateway != o.Gateway {
		list = append(list, "gateway "+cmp.Or(string(e.Gateway), "none"))
	}
	if r := e.Relay; r != nil {
		list = append(list, fmt.Sprintf("server %s port %d %s", r.Host, r.Port, r.Security))
	}
	if e.DefaultSender != nil {
		list = append(list, "sender "+e.DefaultSender.Address)
	}
	if e.ReplyTo != o.ReplyTo {
		list = append(list, "reply-to "+cmp.Or(e.ReplyTo, "none"))
	}
	if e.Signature != o.Signature {
		list = append(list, "signature")
	}
	return strings.Join(list, ", ")
}
