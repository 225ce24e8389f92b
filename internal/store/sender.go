package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
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

// AddSender adds a sender as it is; a default one takes the place of the old. The error is
// Conflict if the address is there, or if the operator has as many as it may.
func (s *Store) AddSender(ctx context.Context, by waypost.Actor, operatorID string, sender waypost.Sender, most int) error {
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		have, err := q.CountSenders(ctx, operatorID)
		if err != nil {
			return err
		}
		if have >= int64(most) {
			return tooMany("senders", have)
		}
		n, err := q.InsertSender(ctx, tenantsql.InsertSenderParams{
			ID: sender.ID, OperatorID: operatorID, Address: NormalizeAddress(sender.Address), Name: sender.Name,
			State: string(sender.State), Decided: waypost.Millis(sender.Decided), Created: waypost.Millis(sender.Created),
		})
		if err == nil && n == 0 {
			return waypost.NewError(waypost.Conflict, "sender_exists", "you have this sender already")
		}
		if err != nil {
			return err
		}
		if err := WriteDomainEvents(ctx, tx, newSenderEvents(operatorID, sender, by)); err != nil {
			return err
		}
		if err := audit(ctx, tx, by, operatorID, "sender.add", sender.Address, waypost.Detail(sender.State)); err != nil {
			return err
		}
		if !sender.Default {
			return nil
		}
		_, err = q.SetDefaultSender(ctx, tenantsql.SetDefaultSenderParams{OperatorID: operatorID, ID: sender.ID})
		return err
	})
}

// RemoveSender removes one. The error is NotFound.
func (s *Store) RemoveSender(ctx context.Context, by waypost.Actor, operatorID, id string) error {
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		row, err := q.Sender(ctx, tenantsql.SenderParams{OperatorID: operatorID, ID: id})
		if err != nil {
			return one(err, "sender")
		}
		if _, err := q.DeleteSender(ctx, tenantsql.DeleteSenderParams{OperatorID: operatorID, ID: id}); err != nil {
			return err
		}
		if err := audit(ctx, tx, by, operatorID, "sender.remove", row.Address, ""); err != nil {
			return err
		}
		return WriteDomainEvents(ctx, tx, []waypost.DomainEvent{SenderEvent(SenderOf(row), waypost.DomainSenderRemoved, by, time.Now())})
	})
}

// newSenderEvents are the history of a sender that is added.
func newSenderEvents(operatorID string, sender waypost.Sender, by waypost.Actor) []waypost.DomainEvent {
	sender.OperatorID = operatorID
	events := []waypost.DomainEvent{SenderEvent(sender, waypost.DomainSenderAdded, by, sender.Created)}
	if sender.State == waypost.SenderAssigned {
		events = append(events, SenderEvent(sender, waypost.DomainSenderAssigned, waypost.Policy(), sender.Created))
	}
	return events
}

// SenderEvent records what happened to a sender in the history of its domain.
func SenderEvent(s waypost.Sender, t waypost.DomainEventType, by waypost.Actor, at time.Time) waypost.DomainEvent {
	detail := s.Address
	if t == waypost.DomainSenderRejected && s.Reason != "" {
		detail += ": " + s.Reason
	}
	return waypost.DomainEvent{OperatorID: s.OperatorID, Name: waypost.DomainOf(s.Address), Type: t, Actor: by.ID, Detail: detail, At: at}
}

// tooMany says that an operator has as many of something as it may.
func tooMany(what string, have int64) error {
	return waypost.NewError(waypost.Conflict, "too_many_"+what, fmt.Sprintf("you have %d %s, which is as many as there may be", have, what))
}

// ChangeSender gives a sender another display name, or makes it the default one; nil
// and false leave it. The error is NotFound.
func (s *Store) ChangeSender(ctx context.Context, by waypost.Actor, operatorID, id string, name *string, makeDefault bool) error {
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		row, err := q.Sender(ctx, tenantsql.SenderParams{OperatorID: operatorID, ID: id})
		if err != nil {
			return one(err, "sender")
		}
		var detail waypost.Detail
		if makeDefault && !row.IsDefault {
			detail = waypost.NewDetail(waypost.DetailMadeDefault)
		}
		if err := audit(ctx, tx, by, operatorID, "sender.change", row.Address, detail); err != nil {
			return err
		}
		if name != nil {
			if _, err := q.RenameSender(ctx, tenantsql.RenameSenderParams{OperatorID: operatorID, ID: id, Name: *name}); err != nil {
				return err
			}
		}
		if !makeDefault {
			return nil
		}
		_, err = q.SetDefaultSender(ctx, tenantsql.SetDefaultSenderParams{OperatorID: operatorID, ID: id})
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
func putDefaultSender(ctx context.Context, tx *engine.Tx, operatorID string, sender waypost.Sender, by waypost.Actor, now time.Time) error {
	q := tenantsql.New(tx)
	if err := q.ClearDefaultSender(ctx, operatorID); err != nil {
		return err
	}
	if sender.ID == "" {
		sender.ID = waypost.NewIDAt(now)
	}
	sender.OperatorID, sender.Created = operatorID, now
	sender.Address, sender.State = NormalizeAddress(sender.Address), cmp.Or(sender.State, waypost.SenderRequested)
	old, err := q.SenderAt(ctx, tenantsql.SenderAtParams{OperatorID: operatorID, Address: sender.Address})
	var events []waypost.DomainEvent
	switch {
	case errors.Is(err, sql.ErrNoRows):
		events = newSenderEvents(operatorID, sender, by)
	case err != nil:
		return err
	case old.State == string(waypost.SenderRequested) && sender.State == waypost.SenderAssigned:
		events = []waypost.DomainEvent{SenderEvent(sender, waypost.DomainSenderAssigned, waypost.Policy(), now)}
	}
	if err := q.PutDefaultSender(ctx, tenantsql.PutDefaultSenderParams{
		ID: sender.ID, OperatorID: operatorID, Address: sender.Address, Name: sender.Name,
		State: string(sender.State), Created: waypost.Millis(now), Decided: waypost.Millis(sender.Decided),
	}); err != nil {
		return err
	}
	return WriteDomainEvents(ctx, tx, events)
}
