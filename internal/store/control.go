package store

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// ControlAction is what a person asks for a delivery.
type ControlAction string

// The actions.
const (
	Retry   ControlAction = "retry"   // try now: queued, or uncertain while its content is kept
	Cancel  ControlAction = "cancel"  // never try again: queued or uncertain
	Hold    ControlAction = "hold"    // wait until released: queued
	Release ControlAction = "release" // end a hold and try now
)

// ControlResult is what became of a control action.
type ControlResult struct {
	Delivery waypost.Delivery // as it is now
	Pending  bool             // a node works on it and settles what was asked before it says MAIL
}

// Control applies an action to a delivery. The error is NotFound if the operator has
// no such delivery, and Conflict with the reason if its state does not allow the
// action, which includes a retry of what is being tried right now.
func (s *Store) Control(ctx context.Context, by waypost.Actor, operatorID, deliveryID string, action ControlAction, now time.Time) (
	ControlResult, error,
) {
	var result ControlResult
	err := s.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		if err := BumpChange(ctx, tx); err != nil {
			return err
		}
		d, err := ScanDelivery(tx.QueryRowContext(ctx,
			"SELECT "+DeliveryColumns+" FROM delivery WHERE operator_id = $1 AND id = $2"+tx.Dialect.ForUpdate, operatorID, deliveryID))
		if err != nil {
			return one(err, "delivery")
		}
		results, refused, err := s.ApplyControl(ctx, tx, []waypost.Delivery{d}, action, by.ID, now)
		if err != nil {
			return err
		}
		if refused[0] != nil {
			return refused[0]
		}
		result = results[0]
		return audit(ctx, tx, by, operatorID, "delivery."+string(action), d.Recipient, waypost.Detail(deliveryID))
	})
	if err != nil {
		return ControlResult{}, fmt.Errorf("%s: %w", action, err)
	}
	return result, nil
}

// ControlCount is what became of an action on several deliveries.
type ControlCount struct {
	Done    int
	Pending int // a node works on them and settles what was asked before it says MAIL
	Refused int // their state does not allow it
}

// ControlMessage applies an action to every delivery of a message whose state allows it,
// all at once. The error is NotFound if the operator has no such message, and Conflict if
// there is none that it fits.
func (s *Store) ControlMessage(ctx context.Context, by waypost.Actor, operatorID, messageID string, action ControlAction, now time.Time) (
	ControlCount, error,
) {
	var count ControlCount
	err := s.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		count = ControlCount{}
		if err := BumpChange(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, "SELECT "+DeliveryColumns+` FROM delivery
WHERE message_id = (SELECT id FROM message WHERE operator_id = $1 AND id = $2) ORDER BY id`+tx.Dialect.ForUpdate, operatorID, messageID)
		if err != nil {
			return err
		}
		deliveries, err := ScanDeliveries(rows, nil)
		if err != nil {
			return err
		}
		if len(deliveries) == 0 {
			return notFound("message")
		}
		results, refused, err := s.ApplyControl(ctx, tx, deliveries, action, by.ID, now)
		if err != nil {
			return err
		}
		for i := range results {
			switch {
			case waypost.KindOf(refused[i]) == waypost.Invalid:
				return refused[i]
			case refused[i] != nil:
				count.Refused++
			case results[i].Pending:
				count.Pending++
			default:
				count.Done++
			}
		}
		if count.Refused == len(deliveries) {
			return waypost.NewError(waypost.Conflict, "wrong_state", "no delivery of the message is in a state that allows it")
		}
		return audit(ctx, tx, by, operatorID, "message."+string(action), messageID, "")
	})
	if err != nil {
		return ControlCount{}, fmt.Errorf("%s: %w", action, err)
	}
	return count, nil
}

// ApplyControl applies an action to deliveries that were read in this transaction
// with Dialect.ForUpdate. Of each it returns either the result or why it was refused.
func (s *Store) ApplyControl(ctx context.Context, tx *engine.Tx, deliveries []waypost.Delivery, action ControlAction, actor string,
	now time.Time,
) ([]ControlResult, []error, error) {
	results := make([]ControlResult, len(deliveries))
	refused := make([]error, len(deliveries))
	var args []any
	var w Changes
	for i, d := range deliveries {
		erased := false
		if action == Retry && d.State == waypost.Uncertain {
			// An uncertain delivery may have outlived its content.
			if err := tx.QueryRowContext(ctx, "SELECT erased <> 0 FROM message WHERE id = $1", d.MessageID).Scan(&erased); err != nil {
				return nil, nil, err
			}
		}
		event, err := control(&d, action, erased, now)
		if err != nil {
			refused[i] = err
			continue
		}
		d.Updated = now
		results[i] = ControlResult{Delivery: d, Pending: d.Control != ""}
		args = append(args, d.ID, string(d.State), d.Held, d.Control, waypost.Millis(d.NextAt), waypost.Millis(d.Updated))
		w.Event(waypost.Event{
			OperatorID: d.OperatorID, MessageID: d.MessageID, DeliveryID: d.ID, Type: event, Count: 1, Actor: actor, At: now,
			Detail: detailOf(action, d),
		}, d.Kind, deliveries[i].State, d.State)
	}
	casts := []string{"text", "text", "boolean", "text", "bigint", "bigint"}
	if err := tx.Rows(ctx, controlHead, controlTail, casts, len(casts), args); err != nil {
		return nil, nil, err
	}
	return results, refused, w.Write(ctx, tx, s.node, now)
}

const (
	controlHead = `UPDATE delivery SET state = v.column2, held = v.column3, control = v.column4, next_at = v.column5, updated = v.column6
FROM (`
	controlTail = `) AS v WHERE delivery.id = v.column1`
)

// control changes d as an action asks, or says why it cannot. It is all there is to
// know about the actions; erased tells whether the content is gone.
func control(d *waypost.Delivery, action ControlAction, erased bool, now time.Time) (waypost.EventType, error) {
	leased, queued := d.Lease != "", d.State == waypost.Queued
	expired := !d.Expires.After(now)
	switch action {
	case Retry:
		switch {
		case d.Kind == waypost.KindTest:
			return "", conflict("is a test mail, which is tried once: send another one")
		case leased:
			return "", conflict("is being tried now")
		case !queued && d.State != waypost.Uncertain:
			return "", conflict("is " + string(d.State))
		case erased:
			return "", conflict("cannot be tried again: its content has been erased")
		case expired:
			return "", conflict("cannot be tried again: its time has passed")
		}
		d.State, d.NextAt = waypost.Queued, now
		return waypost.EventRetried, nil
	case Cancel:
		switch {
		case !d.State.CanBecome(waypost.Cancelled):
			return "", conflict("is " + string(d.State))
		case leased:
			d.Control = waypost.ControlCancel
			return waypost.EventRequested, nil
		}
		d.State, d.Held = waypost.Cancelled, false
		return waypost.EventCancelled, nil
	case Hold:
		switch {
		case !queued:
			return "", conflict("is " + string(d.State))
		case d.Held:
			return "", conflict("is held already")
		case d.Control == waypost.ControlCancel:
			return "", conflict("is about to be cancelled")
		case leased:
			d.Control = waypost.ControlHold
			return waypost.EventRequested, nil
		}
		d.Held = true
		return waypost.EventHeld, nil
	case Release:
		switch {
		case !queued:
			return "", conflict("is " + string(d.State))
		case !d.Held:
			return "", conflict("is not held")
		}
		d.Held, d.NextAt = false, now
		return waypost.EventReleased, nil
	}
	return "", waypost.FieldError("action", "must be retry, cancel, hold or release")
}

func conflict(why string) error {
	return waypost.NewError(waypost.Conflict, "wrong_state", "the delivery "+why)
}

func detailOf(action ControlAction, d waypost.Delivery) string {
	if d.Control != "" {
		return string(action) + " was asked for while an attempt was under way"
	}
	return string(action) + " was asked for"
}
