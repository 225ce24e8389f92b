package store

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
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
		senders[i] = SenderOf(row)
	}
	return senders, nil
}

// Sender reads one. The error is NotFound.
func (s *Store) Sender(ctx context.Context, operatorID, id string) (waypost.Sender, error) {
	row, err := s.queries().Sender(ctx, tenantsql.SenderParams{OperatorID: operatorID, ID: id})
	if err != nil {
		return waypost.Sender{}, one(err, "sender")
	}
	return SenderOf(row), nil
}

// AddSender adds a sender as it is; a default one takes the place of the old. The error is Conflict if the address
// is there.
func (s *Store) AddSender(ctx context.Context, operatorID string, sender waypost.Sender) error {
	return s.change(ctx, func(ctx context.Context, _ *engine.Tx, q *tenantsql.Queries) error {
		n, err := q.InsertSender(ctx, tenantsql.InsertSenderParams{
			ID: sender.ID, OperatorID: operatorID, Address: NormalizeAddress(sender.Address), Name: sender.Name,
			State: string(sender.State), Decided: waypost.Millis(sender.Decided), Created: waypost.Millis(sender.Created),
		})
		if err == nil && n == 0 {
			return waypost.NewError(waypost.Conflict, "sender_exists", "you have this sender already")
		}
		if err != nil || !sender.Default {
			return err
		}
		_, err = q.SetDefaultSender(ctx, tenantsql.SetDefaultSenderParams{OperatorID: operatorID, ID: sender.ID})
		return err
	})
}

// RemoveSender removes one. The error is NotFound.
func (s *Store) RemoveSender(ctx context.Context, operatorID, id string) error {
	return s.change(ctx, func(ctx context.Context, _ *engine.Tx, q *tenantsql.Queries) error {
		n, err := q.DeleteSender(ctx, tenantsql.DeleteSenderParams{OperatorID: operatorID, ID: id})
		if err == nil && n == 0 {
			return notFound("sender")
		}
		return err
	})
}

// ChangeSender gives a sender another display name, or makes it the default one; nil
// and false leave it. The error is NotFound.
func (s *Store) ChangeSender(ctx context.Context, operatorID, id string, name *string, makeDefault bool) error {
	return s.change(ctx, func(ctx context.Context, _ *engine.Tx, q *tenantsql.Queries) error {
		if _, err := q.Sender(ctx, tenantsql.SenderParams{OperatorID: operatorID, ID: id}); err != nil {
			return one(err, "sender")
		}
		if name != nil {
			if _, err := q.RenameSender(ctx, tenantsql.RenameSenderParams{OperatorID: operatorID, ID: id, Name: *name}); err != nil {
				return err
			}
		}
		if !makeDefault {
			return nil
		}
		_, err := q.SetDefaultSender(ctx, tenantsql.SetDefaultSenderParams{OperatorID: operatorID, ID: id})
		return err
	})
}

// SenderOf is a sender as its row has it; store/system reads the same rows.
func SenderOf(row tenantsql.Sender) waypost.Sender {
	return waypost.Sender{
		ID: row.ID, OperatorID: row.OperatorID, Address: row.Address, Name: row.Name, State: waypost.SenderState(row.State),
		Default: row.IsDefault, Reason: row.Reason, Decided: waypost.FromMillis(row.Decided), Created: waypost.FromMillis(row.Created),
	}
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
		ID: id, OperatorID: operatorID, Address: NormalizeAddress(sender.Address), Name: sender.Name,
		State: string(cmp.Or(sender.State, waypost.SenderRequested)), Created: waypost.Millis(now), Decided: waypost.Millis(sender.Decided),
	})
}
