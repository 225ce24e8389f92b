package store

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// Senders lists an operator's senders by address.
func (s *Store) Senders(ctx context.Context, operatorID string) ([]waypost.Sender, error) {
	rows, err := s.queries().Senders(ctx, operatorID)
	if err != nil {
		return nil, fmt.Errorf("list senders: %w", err)
	}
	senders := make([]waypost.Sender, len(rows))
	for i, row := range rows {
		senders[i] = waypost.Sender{
			ID: row.ID, OperatorID: row.OperatorID, Address: row.Address, Name: row.Name,
			State: waypost.SenderState(row.State), Default: row.IsDefault, Created: waypost.FromMillis(row.Created),
		}
	}
	return senders, nil
}

// putDefaultSender makes a sender the only default. A new one is created as
// requested; an old one keeps its state and takes the name.
func putDefaultSender(ctx context.Context, q *tenantsql.Queries, operatorID string, sender waypost.Sender, now time.Time) error {
	if err := q.ClearDefaultSender(ctx, operatorID); err != nil {
		return err
	}
	id := sender.ID
	if id == "" {
		id = waypost.NewIDAt(now)
	}
	return q.PutDefaultSender(ctx, tenantsql.PutDefaultSenderParams{
		ID: id, OperatorID: operatorID, Address: waypost.NormalizeAddress(sender.Address), Name: sender.Name,
		State: string(waypost.SenderRequested), Created: waypost.Millis(now),
	})
}
