package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// idempotencyAge is how long a key stays bound to its first request.
const idempotencyAge = 7 * 24 * time.Hour

// FindIdempotency reads the first request that used a key; nil if there was none in
// the last seven days.
func (s *Store) FindIdempotency(ctx context.Context, operatorID, key string) (*Idempotency, error) {
	row, err := s.queries().Idempotency(ctx, tenantsql.IdempotencyParams{OperatorID: operatorID, Key: key})
	if errors.Is(err, sql.ErrNoRows) || err == nil && row.Created < waypost.Millis(time.Now().Add(-idempotencyAge)) {
		return nil, nil //nolint:nilnil // a key that is new is the ordinary answer
	}
	if err != nil {
		return nil, fmt.Errorf("read idempotency key: %w", err)
	}
	i := &Idempotency{Key: row.Key, Hash: row.Hash, Created: waypost.FromMillis(row.Created)}
	if err := json.Unmarshal([]byte(row.Receipt), &i.Receipt); err != nil {
		return nil, fmt.Errorf("receipt of idempotency key: %w", err)
	}
	return i, nil
}

// messageFields are the columns of a message without its content.
const messageFields = `m.id, m.operator_id, m.batch_id, m.credential_id, m.source, m.kind, m.lane, m.test, m.mail_from, m.from_addr, m.from_name,
  m.subject, m.header_id, m.size, m.eight_bit, m.header_utf8, m.tags, m.metadata, m.created, m.send_at, m.expires, m.erased`

// scanMessage reads one row of messageFields. The subject of security mail is left
// out: it may be the code itself, and is shown to nobody.
func scanMessage(row interface{ Scan(...any) error }) (waypost.Message, error) {
	var m waypost.Message
	var lane, created, sendAt, expires, erased int64
	var tags, metadata []byte
	err := row.Scan(&m.ID, &m.OperatorID, &m.BatchID, &m.Credential, &m.Source, &m.Kind, &lane, &m.Test, &m.MailFrom,
		&m.From.Email, &m.From.Name, &m.Subject, &m.HeaderID, &m.Size, &m.EightBit, &m.HeaderUTF8, &tags, &metadata,
		&created, &sendAt, &expires, &erased)
	if err != nil {
		return m, err
	}
	m.Lane = waypost.LaneOfRank(int(lane))
	m.Created, m.SendAt = waypost.FromMillis(created), waypost.FromMillis(sendAt)
	m.Expires, m.Erased = waypost.FromMillis(expires), waypost.FromMillis(erased)
	if m.Kind == waypost.KindSecurity {
		m.Subject = ""
	}
	if len(tags) > 0 {
		if err := json.Unmarshal(tags, &m.Tags); err != nil {
			return m, fmt.Errorf("tags of message %s: %w", m.ID, err)
		}
	}
	if len(metadata) > 0 {
		if err := json.Unmarshal(metadata, &m.Metadata); err != nil {
			return m, fmt.Errorf("metadata of message %s: %w", m.ID, err)
		}
	}
	return m, nil
}

// MessageDetail is one message, or all of a batch, with the deliveries, both in the
// order of their ids. Content is not in it.
type MessageDetail struct {
	BatchID    string // "" unless one request became several messages
	Messages   []waypost.Message
	Deliveries []waypost.Delivery
}

// Message reads what an id in a receipt stands for: a message or a batch. The error
// is NotFound if the operator has neither.
func (s *Store) Message(ctx context.Context, operatorID, id string) (*MessageDetail, error) {
	detail := &MessageDetail{}
	err := s.engine.Snapshot(ctx, func(r engine.Reader) error {
		rows, err := r.QueryContext(ctx, `SELECT `+messageFields+` FROM message m WHERE m.operator_id = $1 AND m.id = $2`, operatorID, id)
		if err == nil {
			err = detail.scan(rows)
		}
		if err != nil {
			return err
		}
		// The operator is asked of the message: asked of the delivery too, it would lead the
		// planner to an index of all the operator's mail.
		own := "SELECT m.id FROM message m WHERE m.operator_id = $1 AND m.id = $2"
		if len(detail.Messages) == 0 {
			if rows, err = r.QueryContext(ctx, `SELECT `+messageFields+`
FROM message m WHERE m.operator_id = $1 AND m.batch_id = $2 AND m.batch_id <> '' ORDER BY m.id`, operatorID, id); err == nil {
				err = detail.scan(rows)
			}
			if err != nil {
				return err
			}
			own = "SELECT m.id FROM message m WHERE m.operator_id = $1 AND m.batch_id = $2 AND m.batch_id <> ''"
		}
		if len(detail.Messages) == 0 {
			return notFound("message")
		}
		detail.BatchID = detail.Messages[0].BatchID
		rows, err = r.QueryContext(ctx, "SELECT "+DeliveryColumns+" FROM delivery WHERE message_id IN ("+own+") ORDER BY id", operatorID, id)
		if err != nil {
			return err
		}
		detail.Deliveries, err = ScanDeliveries(rows, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	return detail, nil
}

func (d *MessageDetail) scan(rows *sql.Rows) error {
	return engine.Each(rows, func(rows *sql.Rows) error {
		m, err := scanMessage(rows)
		d.Messages = append(d.Messages, m)
		return err
	})
}

// Attempts lists the attempts of all deliveries of a message in the order they began.
// A message that is not the operator's has none.
func (s *Store) Attempts(ctx context.Context, operatorID, messageID string) ([]waypost.Attempt, error) {
	rows, err := s.queries().Attempts(ctx, tenantsql.AttemptsParams{OperatorID: operatorID, ID: messageID})
	if err != nil {
		return nil, fmt.Errorf("list attempts: %w", err)
	}
	attempts := make([]waypost.Attempt, len(rows))
	for i, r := range rows {
		attempts[i] = waypost.Attempt{
			DeliveryID: r.DeliveryID, Number: int(r.Number), Route: waypost.RouteKind(r.Route), Host: r.Host, Address: r.Address, TLS: r.Tls,
			Phase: waypost.Phase(r.Phase), Outcome: waypost.Outcome(r.Outcome), Cause: r.Cause, Rule: r.Rule,
			Reply:   waypost.Reply{Code: int(r.Code), Enhanced: r.Enhanced, Text: r.Reply},
			Started: waypost.FromMillis(r.Started), Took: time.Duration(r.Took) * time.Millisecond,
		}
	}
	return attempts, nil
}

// Feedback lists what was reported about the deliveries of a message after they had left,
// oldest first. A message that is not the operator's has none.
func (s *Store) Feedback(ctx context.Context, operatorID, messageID string) ([]waypost.Feedback, error) {
	rows, err := s.queries().Feedback(ctx, tenantsql.FeedbackParams{OperatorID: operatorID, ID: messageID})
	if err != nil {
		return nil, fmt.Errorf("list feedback: %w", err)
	}
	list := make([]waypost.Feedback, len(rows))
	for i, r := range rows {
		list[i] = waypost.Feedback{
			DeliveryID: r.DeliveryID, Sort: waypost.FeedbackSort(r.Sort), Cause: r.Cause, Rule: r.Rule, Detail: r.Detail, Reporter: r.Reporter,
			At: waypost.FromMillis(r.At),
		}
	}
	return list, nil
}

// Events lists the events of a message and its deliveries in the order they were
// written. A message that is not the operator's has none.
func (s *Store) Events(ctx context.Context, operatorID, messageID string) ([]waypost.Event, error) {
	rows, err := s.queries().Events(ctx, tenantsql.EventsParams{OperatorID: operatorID, MessageID: messageID})
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	events := make([]waypost.Event, len(rows))
	for i, r := range rows {
		events[i] = waypost.Event{
			ID: r.ID, OperatorID: r.OperatorID, MessageID: r.MessageID, DeliveryID: r.DeliveryID, Type: waypost.EventType(r.Type),
			From: waypost.State(r.FromState), To: waypost.State(r.ToState), Count: int(r.Count), Attempt: int(r.Attempt),
			Actor: r.Actor, Detail: r.Detail, At: waypost.FromMillis(r.At),
		}
	}
	return events, nil
}
