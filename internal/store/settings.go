package store

import (
	"bytes"
	"context"
	"database/sql"
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
	// With another gateway before, at most so many recipients may wait to leave by the
	// built-in one, and they count towards its limit of the day; nil for any number.
	Room *int64
}

// SaveEmailSettings saves all of them or nothing. A default sender that is new has
// the state it comes with; a relay that differs from the saved one starts healthy. The
// error is NotFound if there is no such operator, and Conflict, code "queue_too_long", if
// there is not Room for what waits.
func (s *Store) SaveEmailSettings(ctx context.Context, by waypost.Actor, operatorID string, e EmailSettings) error {
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		now := time.Now()
		row, err := q.Operator(ctx, operatorID)
		if err != nil {
			return one(err, "operator")
		}
		o := OperatorOf(row)
		server, err := relay(ctx, q, operatorID)
		if err != nil {
			return err
		}
		if err := audit(ctx, tx, by, operatorID, "settings.save", "", e.changes(o, server)); err != nil {
			return err
		}
		if e.Room != nil && e.Gateway == waypost.GatewayBuiltin && o.Gateway != e.Gateway {
			if err := s.countMoved(ctx, tx, operatorID, *e.Room, now); err != nil {
				return err
			}
		}
		o.Gateway, o.ReplyTo, o.Signature = e.Gateway, e.ReplyTo, e.Signature
		if err := updateOperator(ctx, q, operatorID, o); err != nil {
			return err
		}
		if e.Relay != nil {
			if err := putRelay(ctx, tx, q, operatorID, *e.Relay, now); err != nil {
				return err
			}
		}
		if e.DefaultSender != nil {
			return putDefaultSender(ctx, tx, operatorID, *e.DefaultSender, by, now)
		}
		return nil
	})
}

// countMoved counts what waits for another gateway as recipients of the built-in one: who
// queued it elsewhere must not get past the limit of the day.
func (s *Store) countMoved(ctx context.Context, tx *engine.Tx, operatorID string, room int64, now time.Time) error {
	var tally Tally
	for _, part := range queueOf(operatorID).parts() {
		part.and("kind <> ?", string(waypost.KindSecurity))
		part.and("kind <> ?", string(waypost.KindTest))
		part.and("site NOT LIKE ?", waypost.TestSite+"%")
		limit := part.arg(room + 1)
		rows, err := tx.QueryContext(ctx, "SELECT kind FROM delivery WHERE "+part.text+" LIMIT "+limit, part.args...)
		if err != nil {
			return err
		}
		if err := engine.Each(rows, func(rows *sql.Rows) error {
			var kind waypost.Kind
			if err := rows.Scan(&kind); err != nil {
				return err
			}
			tally.BuiltinAccepted(operatorID, kind, now, 1)
			room--
			return nil
		}); err != nil {
			return err
		}
		if room < 0 {
			return &waypost.Error{
				Kind: waypost.Conflict, Code: "queue_too_long", Field: "gateway.type",
				Message: "more mail waits than the built-in gateway takes from this operator in a day: cancel what need not leave any more, or ask the platform for more",
			}
		}
	}
	return tally.Write(ctx, tx, s.node)
}

// changes tells what differs from the operator and its server as they are, nil for none,
// without secrets.
func (e EmailSettings) changes(o waypost.Operator, server *StoredRelay) waypost.Detail {
	list := []waypost.Detail{waypost.ChangeDetail("gateway", o.Gateway, e.Gateway)}
	if e.Relay != nil {
		if server == nil {
			server = &StoredRelay{}
		}
		list = append(list, e.Relay.changes(*server)...)
	}
	if e.DefaultSender != nil {
		list = append(list, waypost.NewDetail(waypost.DetailSender, "address", e.DefaultSender.Address))
	}
	list = append(list, waypost.ChangeDetail("reply_to", o.ReplyTo, e.ReplyTo))
	if e.Signature != o.Signature {
		list = append(list, waypost.NewDetail(waypost.DetailSignature))
	}
	return waypost.Details(list...)
}

// changes tells how a server differs from what it was.
func (r StoredRelay) changes(was StoredRelay) []waypost.Detail {
	var list []waypost.Detail
	if r.Host != was.Host || r.Port != was.Port || r.Security != was.Security {
		list = append(list, waypost.NewDetail(waypost.DetailServer, "host", r.Host, "port", r.Port, "security", r.Security))
	}
	switch {
	case r.TrustAll && !was.TrustAll:
		list = append(list, waypost.NewDetail(waypost.DetailAnyCertificate))
	case was.TrustAll && !r.TrustAll:
		list = append(list, waypost.NewDetail(waypost.DetailRealCertificate))
	}
	list = append(list, waypost.ChangeDetail("username", was.Username, r.Username))
	switch {
	case bytes.Equal(r.Sealed, was.Sealed):
	case len(r.Sealed) == 0:
		list = append(list, waypost.NewDetail(waypost.DetailNoServerPassword))
	default:
		list = append(list, waypost.NewDetail(waypost.DetailServerPassword))
	}
	return list
}
