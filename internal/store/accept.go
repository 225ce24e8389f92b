package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// Accepting is everything one request writes: one message, or several under a batch
// id, with their bodies and deliveries.
type Accepting struct {
	OperatorID  string
	Actor       string // who handed the messages over; "" names their credential or source
	Messages    []waypost.Message
	Bodies      []Body
	Deliveries  []waypost.Delivery // states queued or suppressed
	Events      []waypost.Event    // one for each suppressed delivery; the accepted event is made here
	Builtin     bool               // it leaves by the built-in gateway, as things stand
	EraseAt     time.Time          // when content goes
	Idempotency *Idempotency       // nil for none
	Audit       []waypost.AuditEntry
	At          time.Time
}

// Idempotency binds a key to the first request that used it, for seven days.
type Idempotency struct {
	Key     string
	Hash    []byte // SHA-256 of the request
	Receipt waypost.Receipt
	Created time.Time
}

// Accept makes a submission durable. It returns when the transaction is committed
// and synced. A Conflict error means that the idempotency key has been used.
func (s *Store) Accept(ctx context.Context, a *Accepting) error {
	size := 0
	for _, m := range a.Messages {
		size += len(m.Header)
	}
	for _, b := range a.Bodies {
		size += len(b.Data)
	}
	if err := s.accepts.Do(ctx, a, size); err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	return nil
}

func keyUsed() error {
	return waypost.NewError(waypost.Conflict, "idempotency_key_used", "the idempotency key has been used")
}

const (
	messageColumns = 25
	messageHead    = `INSERT INTO message (id, operator_id, batch_id, credential_id, source, kind, lane, test, mail_from,
  from_addr, from_name, subject, header_id, size, eight_bit, header_utf8, tags, metadata,
  created, send_at, expires, erase_at, erased, body_id, header)`
	bodyHead        = `INSERT INTO body (id, operator_id, data, file, file_at, file_size, file_sum)`
	deliveryColumns = 22
	deliveryHead    = `INSERT INTO delivery (id, operator_id, message_id, recipient, address, site, kind, lane, state, held, control,
  attempts, step, next_at, expires, lease, epoch, route, cause, reason, created, updated)`
	idempotencyHead = `INSERT INTO idempotency (operator_id, key, hash, receipt, created)`
	// A key that is past its days and not purged yet is as good as new.
	idempotencyTail = ` ON CONFLICT (operator_id, key) DO UPDATE SET hash = excluded.hash, receipt = excluded.receipt, created = excluded.created
  WHERE idempotency.created < excluded.created - 604800000 RETURNING key`
)

func (s *Store) applyAccepts(ctx context.Context, tx *engine.Tx, group []*Accepting) error {
	var messages, deliveries, keys []any
	var events []waypost.Event
	var tally Tally
	for _, a := range group {
		if k := a.Idempotency; k != nil {
			receipt, err := json.Marshal(k.Receipt)
			if err != nil {
				return fmt.Errorf("receipt: %w", err)
			}
			keys = append(keys, a.OperatorID, k.Key, k.Hash, string(receipt), waypost.Millis(k.Created))
		}
		count := make(map[string]int, len(a.Messages))
		for i := range a.Deliveries {
			d := &a.Deliveries[i]
			count[d.MessageID]++
			if a.Builtin && d.State == waypost.Queued && d.Kind != waypost.KindSecurity && d.Kind != waypost.KindTest {
				tally.BuiltinAccepted(d.OperatorID, d.Kind, a.At, 1)
			}
			deliveries = appendDelivery(deliveries, d)
			if d.State != waypost.Queued {
				tally.Moved(d.OperatorID, d.Kind, waypost.Queued, d.State, a.At, 1)
			}
		}
		for i := range a.Messages {
			m := &a.Messages[i]
			var err error
			if messages, err = appendMessage(messages, m, a.EraseAt); err != nil {
				return err
			}
			tally.Accepted(m.OperatorID, m.Kind, a.At, int64(count[m.ID]))
			events = append(events, waypost.Event{
				OperatorID: m.OperatorID, MessageID: m.ID, Type: waypost.EventAccepted, To: waypost.Queued,
				Count: count[m.ID], Actor: cmp.Or(a.Actor, actor(m)), At: a.At,
			})
		}
		events = append(events, a.Events...)
	}
	// The idempotency rows come first: a key used twice is the one expected failure.
	fresh := 0
	if err := tx.EachRows(ctx, idempotencyHead, idempotencyTail, nil, 5, keys, func(*sql.Rows) error {
		fresh++
		return nil
	}); err != nil {
		return err
	}
	if fresh < len(keys)/5 {
		return keyUsed()
	}
	if err := s.writeBodies(ctx, tx, group); err != nil {
		return err
	}
	if err := tx.Rows(ctx, messageHead, "", nil, messageColumns, messages); err != nil {
		return err
	}
	if err := tx.Rows(ctx, deliveryHead, "", nil, deliveryColumns, deliveries); err != nil {
		return err
	}
	for _, a := range group {
		erased, err := eraseUnsendable(ctx, tx, a)
		if err != nil {
			return err
		}
		events = append(events, erased...)
		if err := WriteAudit(ctx, tx, a.Audit...); err != nil {
			return err
		}
	}
	if err := WriteEvents(ctx, tx, events); err != nil {
		return err
	}
	return tally.Write(ctx, tx, s.node)
}

// eraseUnsendable erases security mail whose recipients are all suppressed: it is final
// in the moment it is accepted.
func eraseUnsendable(ctx context.Context, tx *engine.Tx, a *Accepting) ([]waypost.Event, error) {
	var events []waypost.Event
	for i := range a.Messages {
		m := &a.Messages[i]
		if m.Kind != waypost.KindSecurity || slices.ContainsFunc(a.Deliveries, func(d waypost.Delivery) bool {
			return d.MessageID == m.ID && d.State == waypost.Queued
		}) {
			continue
		}
		operator, err := EraseSecret(ctx, tx, m.ID, a.At)
		if err != nil {
			return nil, err
		}
		if operator != "" {
			events = append(events, ErasedSecret(operator, m.ID, a.At))
		}
	}
	return events, nil
}

// notNull is b where the database tells empty from none.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func actor(m *waypost.Message) string {
	if m.Credential == "" {
		return m.Source
	}
	return "credential:" + m.Credential
}

func appendMessage(args []any, m *waypost.Message, eraseAt time.Time) ([]any, error) {
	tags, metadata := "", ""
	if len(m.Tags) > 0 {
		b, err := json.Marshal(m.Tags)
		if err != nil {
			return nil, fmt.Errorf("tags: %w", err)
		}
		tags = string(b)
	}
	if len(m.Metadata) > 0 {
		b, err := json.Marshal(m.Metadata)
		if err != nil {
			return nil, fmt.Errorf("metadata: %w", err)
		}
		metadata = string(b)
	}
	return append(args, m.ID, m.OperatorID, m.BatchID, m.Credential, m.Source, string(m.Kind), int64(m.Lane.Rank()), m.Test,
		m.MailFrom, m.From.Email, m.From.Name, m.Subject, m.HeaderID, m.Size, m.EightBit, m.HeaderUTF8, tags, metadata,
		waypost.Millis(m.Created), waypost.Millis(m.SendAt), waypost.Millis(m.Expires), waypost.Millis(eraseAt), waypost.Millis(m.Erased),
		m.BodyID, notNull(m.Header)), nil
}

func appendDelivery(args []any, d *waypost.Delivery) []any {
	return append(args, d.ID, d.OperatorID, d.MessageID, d.Recipient, NormalizeAddress(d.Recipient), d.Site,
		string(d.Kind), int64(d.Lane.Rank()), string(d.State), d.Held, d.Control, int64(d.Attempts), int64(d.Step),
		waypost.Millis(d.NextAt), waypost.Millis(d.Expires), d.Lease, d.Epoch, string(d.Route), d.Cause, d.Reason,
		waypost.Millis(d.Created), waypost.Millis(d.Updated))
}
