package store

import (
	"context"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	eventColumns = 12
	eventHead    = `INSERT INTO event (message_id, id, operator_id, delivery_id, type, from_state, to_state, count, attempt, actor, detail, at)`

	attemptColumns = 16
	attemptHead    = `INSERT INTO attempt (delivery_id, number, operator_id, route, host, address, tls, phase, outcome, cause, rule, code, enhanced, reply, started, took)`
	// A number can come twice when a delivery was given back untried and its lease was
	// then lost: the later try is the one that happened.
	attemptTail = ` ON CONFLICT (delivery_id, number) DO UPDATE SET route = excluded.route, host = excluded.host,
  address = excluded.address, tls = excluded.tls, phase = excluded.phase, outcome = excluded.outcome, cause = excluded.cause,
  rule = excluded.rule, code = excluded.code, enhanced = excluded.enhanced, reply = excluded.reply, started = excluded.started, took = excluded.took`
)

// WriteEvents appends events, giving an id to those that have none, and queues them for
// the webhooks of their operators. Ids of one node
// are in the order of writing even within a millisecond.
func WriteEvents(ctx context.Context, tx *engine.Tx, events []waypost.Event) error {
	args := make([]any, 0, eventColumns*len(events))
	var told []hookEvent
	for _, e := range events {
		if e.ID == "" {
			e.ID = eventID(e.At, tx.Serial())
		}
		if t := e.Type.WebhookType(); t != "" {
			told = append(told, hookEvent{operator: e.OperatorID, id: e.ID, chain: e.MessageID, kind: t, at: e.At})
		}
		args = append(args, e.MessageID, e.ID, e.OperatorID, e.DeliveryID, string(e.Type),
			string(e.From), string(e.To), int64(e.Count), int64(e.Attempt), e.Actor, e.Detail, waypost.Millis(e.At))
	}
	if err := tx.Rows(ctx, eventHead, "", nil, eventColumns, args); err != nil {
		return err
	}
	return tellWebhooks(ctx, tx, told)
}

// eventID is an id whose first random bits are a counter (RFC 9562 section 6.2,
// method 1): several things can happen to a delivery within one millisecond.
func eventID(at time.Time, n int) string {
	b, _ := waypost.ParseID(waypost.NewIDAt(at))
	b[6], b[7] = 0x70|byte(n>>8)&0x0f, byte(n)
	return waypost.FormatID(b)
}

// OwnedAttempt is an attempt with its operator.
type OwnedAttempt struct {
	OperatorID string
	waypost.Attempt
}

// WriteAttempts records attempts.
func WriteAttempts(ctx context.Context, tx *engine.Tx, attempts []OwnedAttempt) error {
	args := make([]any, 0, attemptColumns*len(attempts))
	for _, a := range attempts {
		args = append(args, a.DeliveryID, int64(a.Number), a.OperatorID, string(a.Route), a.Host, a.Address, a.TLS,
			string(a.Phase), string(a.Outcome), a.Cause, a.Rule, int64(a.Reply.Code), a.Reply.Enhanced, a.Reply.Text,
			waypost.Millis(a.Started), a.Took.Milliseconds())
	}
	return tx.Rows(ctx, attemptHead, attemptTail, nil, attemptColumns, args)
}
