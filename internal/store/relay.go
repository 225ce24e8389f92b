package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// StoredRelay is an operator's SMTP server as kept: Relay.Password is empty, the
// password is in Sealed.
type StoredRelay struct {
	waypost.Relay
	Sealed  []byte // sealed with the instance key; empty for none
	Health  waypost.RelayHealth
	Updated time.Time
}

// Relay reads an operator's own SMTP server; nil if none is saved.
func (s *Store) Relay(ctx context.Context, operatorID string) (*StoredRelay, error) {
	return relay(ctx, s.queries(), operatorID)
}

func relay(ctx context.Context, q *tenantsql.Queries, operatorID string) (*StoredRelay, error) {
	row, err := q.Relay(ctx, operatorID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // none saved is an ordinary answer
	}
	if err != nil {
		return nil, fmt.Errorf("read relay: %w", err)
	}
	return &StoredRelay{
		Relay: waypost.Relay{
			Host: row.Host, Port: int(row.Port), Security: waypost.Security(row.Security), TrustAll: row.TrustAll, Username: row.Username,
		},
		Sealed: row.Password,
		Health: waypost.RelayHealth{
			OperatorID: operatorID, FailingSince: waypost.FromMillis(row.FailingSince), Reason: row.FailingWhy,
			NextProbe: waypost.FromMillis(row.NextProbe), Probes: int(row.Probes), NoticeSent: waypost.FromMillis(row.NoticeSent),
		},
		Updated: waypost.FromMillis(row.Updated),
	}, nil
}

// putRelay saves a server. One that differs from the saved one starts healthy: then an
// outage has ended, though nobody knows yet whether the new one works.
func putRelay(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries, operatorID string, r StoredRelay, now time.Time) error {
	old, err := relay(ctx, q, operatorID)
	if err != nil {
		return err
	}
	if old != nil && old.SameServer(r.Relay) && old.Security == r.Security && bytes.Equal(old.Sealed, r.Sealed) {
		return nil
	}
	if old != nil && old.Health.Failing() {
		if err := WriteRelayFact(ctx, tx, waypost.WebhookRelayUp, operatorID, old.Host, old.Health.FailingSince, "the settings were changed", now); err != nil {
			return err
		}
	}
	return q.PutRelay(ctx, tenantsql.PutRelayParams{
		OperatorID: operatorID, Host: r.Host, Port: int64(r.Port), Security: string(r.Security), TrustAll: r.TrustAll,
		Username: r.Username, Password: notNull(r.Sealed), Updated: waypost.Millis(now),
	})
}

// WriteRelayFact tells webhooks that an operator's server began or ceased to fail.
func WriteRelayFact(ctx context.Context, tx *engine.Tx, t waypost.WebhookType, operatorID, host string, since time.Time, why string, now time.Time) error {
	return WriteFacts(ctx, tx, waypost.WebhookFact{
		OperatorID: operatorID, Type: t, Chain: "relay", At: now,
		Data: waypost.WebhookRelayData{OperatorID: operatorID, Host: host, FailingSince: waypost.WebhookTime(since), Reason: why},
	})
}
