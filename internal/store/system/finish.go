package system

import (
	"context"
	"database/sql"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// Finish is the end of a lease on one delivery: what became of the attempt.
type Finish struct {
	Delivery waypost.Delivery // as claimed: its lease and epoch fence the write
	State    waypost.State    // queued for another try later
	Held     bool
	Attempts int // as claimed, or one less when nothing was tried
	Step     int
	NextAt   time.Time
	Route    waypost.RouteKind
	Cause    string
	Reason   string
	Attempt  *waypost.Attempt // nil when nothing was tried
	Event    waypost.EventType
	Actor    string
	Sandbox  *SandboxMail              // the copy that route sandbox keeps
	Symptom  waypost.SuppressionReason // what the result says about the recipient's address; "" for nothing
	At       time.Time

	// Set by the write.
	Lost    bool          // the lease was no longer ours; nothing was written
	Settled waypost.State // the state written: a cancel asked for meanwhile wins over queued
}

// SandboxMail is a mail that ends in the sandbox mailbox.
type SandboxMail struct {
	MailFrom string
	Subject  string
	Header   []byte
	Body     []byte
}

// Finish records results without waiting: done is called from the committer when
// they are durable or failed, and must not block.
func (y *System) Finish(f *Finish, done func(error)) {
	size := 512
	if f.Sandbox != nil {
		size += len(f.Sandbox.Header) + len(f.Sandbox.Body)
	}
	y.finishes.Go(f, size, done)
}

// FinishNow records a result and waits until it is durable.
func (y *System) FinishNow(ctx context.Context, f *Finish) error {
	return y.finishes.Do(ctx, f, 512)
}

const (
	finishColumns = 12
	finishHead    = `UPDATE delivery SET lease = '', control = '',
  state = CASE WHEN v.column4 = 'queued' AND delivery.control = 'cancel' THEN 'cancelled' ELSE v.column4 END,
  held = CASE WHEN v.column4 = 'queued' AND delivery.control = 'hold' THEN TRUE ELSE v.column5 END,
  attempts = v.column6, step = v.column7, next_at = v.column8, route = v.column9, cause = v.column10,
  reason = v.column11, updated = v.column12
FROM (`
	finishTail = `) AS v WHERE delivery.id = v.column1 AND delivery.lease = v.column2 AND delivery.epoch = v.column3
RETURNING id, epoch, state, held` // SQLite returns columns of the updated table only
)

// claimKey is one claim of one delivery.
type claimKey struct {
	id    string
	epoch int64
}

func finishCasts() []string {
	return []string{
		"text", "text", "bigint", "text", "boolean", "bigint", "bigint", "bigint", "text", "text", "text", "bigint",
	}
}

func (y *System) applyFinishes(ctx context.Context, tx *engine.Tx, group []*Finish) error {
	args := make([]any, 0, finishColumns*len(group))
	claims := make(map[claimKey]int, len(group))
	for i, f := range group {
		f.Lost, f.Settled = true, ""
		d := &f.Delivery
		key := claimKey{d.ID, d.Epoch}
		if _, twice := claims[key]; twice {
			continue
		}
		claims[key] = i
		args = append(args, d.ID, d.Lease, d.Epoch, string(f.State), f.Held, int64(f.Attempts), int64(f.Step),
			waypost.Millis(f.NextAt), string(f.Route), f.Cause, f.Reason, waypost.Millis(f.At))
	}
	held := make([]bool, len(group))
	err := tx.EachRows(ctx, finishHead, finishTail, finishCasts(), finishColumns, args, func(rows *sql.Rows) error {
		var key claimKey
		var state waypost.State
		var isHeld bool
		if err := rows.Scan(&key.id, &key.epoch, &state, &isHeld); err != nil {
			return err
		}
		i := claims[key]
		group[i].Lost, group[i].Settled, held[i] = false, state, isHeld
		return nil
	})
	if err != nil {
		return err
	}
	var w store.Changes
	var attempts []store.OwnedAttempt
	var mails []any
	var symptoms []waypost.Symptom
	for i, f := range group {
		if f.Lost {
			continue
		}
		d := &f.Delivery
		e := waypost.Event{
			OperatorID: d.OperatorID, MessageID: d.MessageID, DeliveryID: d.ID, Type: f.Event, Count: 1,
			Actor: f.Actor, Detail: f.Reason, At: f.At,
		}
		if f.Attempt != nil {
			e.Attempt = f.Attempt.Number
			attempts = append(attempts, store.OwnedAttempt{OperatorID: d.OperatorID, Attempt: *f.Attempt})
		}
		w.Event(e, d.Kind, waypost.Queued, f.State)
		e.Attempt, e.Actor, e.Detail = 0, "", "asked for while an attempt was under way"
		switch {
		case f.Settled != f.State: // cancelled meanwhile
			w.Event(e, d.Kind, f.State, f.Settled)
		case held[i] && !f.Held:
			e.Type = waypost.EventHeld
			w.Event(e, d.Kind, waypost.Queued, waypost.Queued)
		}
		if f.Symptom != "" {
			symptoms = append(symptoms, waypost.Symptom{
				Reason: f.Symptom, OperatorID: d.OperatorID, Address: d.Recipient, MessageID: d.MessageID, Detail: f.Reason, At: f.At,
			})
		}
		if s := f.Sandbox; s != nil {
			data := make([]byte, 0, len(s.Header)+len(s.Body))
			data = append(append(data, s.Header...), s.Body...)
			mails = append(mails, waypost.NewIDAt(f.At), d.OperatorID, d.MessageID, d.ID, string(d.Kind), s.MailFrom, d.Recipient,
				s.Subject, int64(len(data)), waypost.Millis(f.At), data)
		}
	}
	if err := store.WriteAttempts(ctx, tx, attempts); err != nil {
		return err
	}
	if err := store.WriteSymptoms(ctx, tx, symptoms...); err != nil {
		return err
	}
	if err := tx.Rows(ctx, `INSERT INTO sandbox (id, operator_id, message_id, delivery_id, kind, mail_from, recipient, subject, size, created, data)`,
		"", nil, 11, mails); err != nil {
		return err
	}
	now := time.Now()
	if len(group) > 0 {
		now = group[0].At
	}
	return w.Write(ctx, tx, y.Node(), now)
}
