package system

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/segment"
	"github.com/waypost/waypost/internal/waypost"
)

// Claim asks for deliveries of one key.
type Claim struct {
	Key
	Incarnation  string
	Limit        int
	Now          time.Time
	RetryAt      time.Time // next time, written before anything is tried
	SecurityOnly bool      // the operator is suspended: only its security mail goes
	Companions   bool      // also claim other due recipients of the same messages, whatever their site
}

// maxCompanions bounds how many recipients of claimed messages come along: as many
// as one message can have.
const maxCompanions = 1000

// Claim leases due deliveries of a key and counts their attempt, in one short
// transaction. Deliveries past their expiry are left to Expire.
func (y *System) Claim(ctx context.Context, c Claim) ([]waypost.Delivery, error) {
	var claimed []waypost.Delivery
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		claimed = nil
		security := ""
		if c.SecurityOnly {
			security = " AND kind = 'security'"
		}
		rows, err := tx.QueryContext(ctx, `WITH c AS MATERIALIZED (
  SELECT id FROM delivery WHERE state = 'queued' AND lease = '' AND NOT held
    AND lane = $1 AND operator_id = $2 AND site = $3 AND next_at <= $4 AND expires > $4`+security+`
  ORDER BY next_at LIMIT $5`+tx.Dialect.SkipLocked+`)
UPDATE delivery SET lease = $6, epoch = epoch + 1, attempts = attempts + 1, next_at = $7, updated = $4
WHERE id IN (SELECT id FROM c) RETURNING `+store.DeliveryColumns,
			c.Lane, c.OperatorID, c.Site, waypost.Millis(c.Now), c.Limit, c.Incarnation, waypost.Millis(c.RetryAt))
		if err != nil {
			return err
		}
		if claimed, err = store.ScanDeliveries(rows, claimed); err != nil || !c.Companions || len(claimed) == 0 {
			return err
		}
		messages := map[string]bool{}
		for _, d := range claimed {
			messages[d.MessageID] = true
		}
		for id := range messages {
			rows, err := tx.QueryContext(ctx, `WITH c AS MATERIALIZED (
  SELECT id FROM delivery WHERE state = 'queued' AND lease = '' AND NOT held
    AND message_id = $1 AND next_at <= $2 AND expires > $2
  LIMIT $3`+tx.Dialect.SkipLocked+`)
UPDATE delivery SET lease = $4, epoch = epoch + 1, attempts = attempts + 1, next_at = $5, updated = $2
WHERE id IN (SELECT id FROM c) RETURNING `+store.DeliveryColumns,
				id, waypost.Millis(c.Now), maxCompanions, c.Incarnation, waypost.Millis(c.RetryAt))
			if err != nil {
				return err
			}
			if claimed, err = store.ScanDeliveries(rows, claimed); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	// RETURNING has no order of its own; ids are in the order of acceptance.
	slices.SortFunc(claimed, func(a, b waypost.Delivery) int { return strings.Compare(a.ID, b.ID) })
	return claimed, nil
}

// Mail reads what an attempt needs of a message, content included. The body is nil
// and Erased set if the content is gone.
func (y *System) Mail(ctx context.Context, messageID string) (*waypost.Message, error) {
	m := &waypost.Message{ID: messageID}
	var lane, created, expires, erased int64
	var body []byte
	var ref segment.Ref
	err := y.engine.Kept().QueryRowContext(ctx, `SELECT m.operator_id, m.kind, m.lane, m.test, m.mail_from, m.from_addr, m.from_name,
  m.subject, m.header_id, m.size, m.eight_bit, m.header_utf8, m.created, m.expires, m.erased, m.header, b.data,
  COALESCE(b.file, ''), COALESCE(b.file_at, 0), COALESCE(b.file_size, 0), COALESCE(b.file_sum, 0)
FROM message m LEFT JOIN body b ON b.id = m.body_id WHERE m.id = $1`, messageID).
		Scan(&m.OperatorID, &m.Kind, &lane, &m.Test, &m.MailFrom, &m.From.Email, &m.From.Name,
			&m.Subject, &m.HeaderID, &m.Size, &m.EightBit, &m.HeaderUTF8, &created, &expires, &erased, &m.Header, &body,
			&ref.File, &ref.At, &ref.Size, &ref.Sum)
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	if body, err = store.ReadBody(y.engine, body, ref); err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	m.Lane, m.Body = waypost.LaneOfRank(int(lane)), body
	m.Created, m.Expires, m.Erased = waypost.FromMillis(created), waypost.FromMillis(expires), waypost.FromMillis(erased)
	return m, nil
}

// Controls lists the deliveries of an incarnation for which cancel or hold was asked.
func (y *System) Controls(ctx context.Context, incarnation string) (map[string]string, error) {
	rows, err := y.engine.Reader().QueryContext(ctx,
		"SELECT id, control FROM delivery WHERE lease = $1 AND control <> ''", incarnation)
	if err != nil {
		return nil, fmt.Errorf("read controls: %w", err)
	}
	asked := map[string]string{}
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var id, control string
		err := rows.Scan(&id, &control)
		asked[id] = control
		return err
	})
	return asked, err
}
