package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// feedbackAge is how long after its last change a delivery may still bounce: servers give
// up after five days (RFC 5321 section 4.5.4.1), and some after a few more. Complaints come
// as late as people look into their mailbox.
func feedbackAge(sort waypost.FeedbackSort) time.Duration {
	const day = 24 * time.Hour
	if sort == waypost.FeedbackBounce {
		return 14 * day
	}
	return 90 * day
}

// FeedbackRecipient is whom a delivery is for, as it was submitted. The error is NotFound if
// it is not known, or not any more.
func (y *System) FeedbackRecipient(ctx context.Context, deliveryID string) (string, error) {
	var recipient string
	err := y.engine.Reader().QueryRowContext(ctx, "SELECT recipient FROM delivery WHERE id = $1", deliveryID).Scan(&recipient)
	if errors.Is(err, sql.ErrNoRows) {
		return "", notFound("delivery")
	}
	if err != nil {
		return "", fmt.Errorf("read delivery: %w", err)
	}
	return recipient, nil
}

// SentBy returns whose mail a message was. The error is NotFound if there is no such message
// with this Message-ID field, if it was a test key's, or if it did not leave for an address:
// nobody answers a mail that he did not get.
func (y *System) SentBy(ctx context.Context, messageID, headerID, address string) (operatorID string, err error) {
	err = y.engine.Reader().QueryRowContext(ctx, `SELECT m.operator_id FROM message m
WHERE m.id = $1 AND m.header_id = $2 AND NOT m.test AND EXISTS (SELECT 1 FROM delivery d
  WHERE d.message_id = m.id AND d.address = $3 AND d.state IN ('delivered', 'uncertain', 'bounced'))`,
		messageID, headerID, store.NormalizeAddress(address)).Scan(&operatorID)
	if errors.Is(err, sql.ErrNoRows) {
		return "", notFound("message")
	}
	if err != nil {
		return "", fmt.Errorf("read message: %w", err)
	}
	return operatorID, nil
}

// Feedback records what was reported: a delivery that had been delivered has bounced, with
// its counters; an address may be suppressed. It reports whether anything was recorded: not
// for a delivery that is not known any more, that left too long ago, that its sandbox or a
// test kept, or of which the same was reported before. The error is RateLimited while the
// delivery is being tried.
func (y *System) Feedback(ctx context.Context, f waypost.Feedback) (recorded bool, err error) {
	err = y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		recorded = false
		d, err := store.ScanDelivery(tx.QueryRowContext(ctx, "SELECT "+store.DeliveryColumns+" FROM delivery WHERE id = $1"+tx.Dialect.ForUpdate, f.DeliveryID))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if d.State == waypost.Queued && d.Lease != "" {
			// The report overtook the end of the attempt. It is sent again.
			return &waypost.Error{Kind: waypost.RateLimited, Code: "busy", SMTP: "4.3.0", Message: "the delivery is being worked on, try again later"}
		}
		if d.Updated.Before(f.At.Add(-feedbackAge(f.Sort))) || d.State == waypost.Suppressed {
			return nil
		}
		result, err := tx.ExecContext(ctx, `INSERT INTO feedback (delivery_id, sort, operator_id, cause, rule, detail, reporter, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (delivery_id, sort) DO NOTHING`, d.ID, string(f.Sort), d.OperatorID, f.Cause, f.Rule, f.Detail, f.Reporter, waypost.Millis(f.At))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		recorded = true
		if err := y.reported(ctx, tx, f, d); err != nil {
			return err
		}
		if f.Symptom == "" || d.Kind == waypost.KindTest { // who tests an address means to find out
			return nil
		}
		return store.WriteSymptoms(ctx, tx, waypost.Symptom{
			Reason: f.Symptom, OperatorID: d.OperatorID, Address: d.Recipient, MessageID: d.MessageID, Detail: f.Detail, At: f.At,
		})
	})
	if err != nil {
		return false, fmt.Errorf("record feedback: %w", err)
	}
	return recorded, nil
}

// reported writes the event, and the new state of a delivery that has bounced after all. A
// delivery that is being tried again is left to that.
func (y *System) reported(ctx context.Context, tx *engine.Tx, f waypost.Feedback, d waypost.Delivery) error {
	e := waypost.Event{
		OperatorID: d.OperatorID, MessageID: d.MessageID, DeliveryID: d.ID, Type: waypost.EventComplained, Count: 1, Actor: "policy", Detail: f.Detail, At: f.At,
	}
	var w store.Changes
	to := d.State
	if f.Sort == waypost.FeedbackBounce {
		e.Type = waypost.EventBounced
		if d.State != waypost.Queued && d.State.CanBecome(waypost.Bounced) {
			to = waypost.Bounced
			if _, err := tx.ExecContext(ctx, "UPDATE delivery SET state = 'bounced', cause = $1, reason = $2, updated = $3 WHERE id = $4",
				f.Cause, f.Detail, waypost.Millis(f.At), d.ID); err != nil {
				return err
			}
		}
	}
	w.EventOf(e, d.Kind, d.State, to, d.Updated)
	return w.Write(ctx, tx, y.Node(), f.At)
}
