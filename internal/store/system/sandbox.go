package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system/systemsql"
	"github.com/waypost/waypost/internal/waypost"
)

// SandboxAll lists sandbox mails of an operator, or of everyone for "", newest first,
// kind security included: it is for the platform owner. next continues the listing.
func (y *System) SandboxAll(ctx context.Context, operatorID, cursor string, limit int) (list []store.SandboxMail, next string, err error) {
	limit = pageSize(limit)
	if cursor == "" {
		cursor = "~" // after every id
	}
	var rows []systemsql.SandboxRow
	if operatorID == "" {
		rows, err = y.queries().Sandbox(ctx, systemsql.SandboxParams{Before: cursor, Most: int64(limit + 1)})
	} else {
		rows, err = y.sandboxOf(ctx, operatorID, cursor, limit+1)
	}
	if err != nil {
		return nil, "", fmt.Errorf("list sandbox: %w", err)
	}
	for _, row := range rows {
		list = append(list, store.SandboxMail{
			ID: row.ID, OperatorID: row.OperatorID, MessageID: row.MessageID, DeliveryID: row.DeliveryID, Kind: waypost.Kind(row.Kind),
			MailFrom: row.MailFrom, Recipient: row.Recipient, Subject: row.Subject, Size: row.Size, Created: waypost.FromMillis(row.Created),
		})
	}
	list, next = store.SandboxPage(list, limit)
	return list, next, nil
}

func (y *System) sandboxOf(ctx context.Context, operatorID, cursor string, most int) ([]systemsql.SandboxRow, error) {
	found, err := y.queries().SandboxOf(ctx, systemsql.SandboxOfParams{OperatorID: operatorID, Before: cursor, Most: int64(most)})
	rows := make([]systemsql.SandboxRow, len(found))
	for i, row := range found {
		rows[i] = systemsql.SandboxRow(row)
	}
	return rows, err
}

// SandboxAnyEntry is SandboxAny without the content.
func (y *System) SandboxAnyEntry(ctx context.Context, id string) (store.SandboxMail, error) {
	row, err := y.queries().SandboxEntry(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return store.SandboxMail{}, notFound("mail in the sandbox")
	}
	if err != nil {
		return store.SandboxMail{}, fmt.Errorf("read sandbox: %w", err)
	}
	return store.SandboxMail{
		ID: row.ID, OperatorID: row.OperatorID, MessageID: row.MessageID, DeliveryID: row.DeliveryID, Kind: waypost.Kind(row.Kind),
		MailFrom: row.MailFrom, Recipient: row.Recipient, Subject: row.Subject, Size: row.Size, Created: waypost.FromMillis(row.Created),
	}, nil
}

// SandboxAny reads one sandbox mail of whatever kind. The error is NotFound if there
// is none.
func (y *System) SandboxAny(ctx context.Context, id string) (store.SandboxMail, error) {
	row, err := y.queries().SandboxMail(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return store.SandboxMail{}, notFound("mail in the sandbox")
	}
	if err != nil {
		return store.SandboxMail{}, fmt.Errorf("read sandbox: %w", err)
	}
	return store.SandboxMail{
		ID: row.ID, OperatorID: row.OperatorID, MessageID: row.MessageID, DeliveryID: row.DeliveryID, Kind: waypost.Kind(row.Kind),
		MailFrom: row.MailFrom, Recipient: row.Recipient, Subject: row.Subject, Size: row.Size, Created: waypost.FromMillis(row.Created),
		Data: row.Data,
	}, nil
}

// MaxReceived bounds how many mails of strangers are kept in an operator's local mailbox.
const MaxReceived = 1000

// KeepReceived keeps a mail that came from outside in an operator's local mailbox. If there
// are MaxReceived already the oldest of them make room, and it returns how many: what
// somebody sends to fill the mailbox must not keep out all that comes later. Of our own mail
// in there, which has a message, none is touched.
func (y *System) KeepReceived(
	ctx context.Context, operatorID, mailFrom, to, subject string, data []byte, now time.Time,
) (removed int64, err error) {
	if data == nil {
		data = []byte{} // an empty message is one, and no NULL
	}
	err = y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		if tx.Dialect.ForUpdate != "" {
			// Nodes take turns: neither would see what the other is about to keep.
			if _, err := tx.ExecContext(ctx, "SELECT 1 FROM operator WHERE id = $1"+tx.Dialect.ForUpdate, operatorID); err != nil {
				return err
			}
		}
		// First, so that the new one stays even if a clock was set back since.
		n, err := systemsql.New(tx).DropOldReceived(ctx, systemsql.DropOldReceivedParams{OperatorID: operatorID, Keep: MaxReceived - 1})
		if err != nil {
			return err
		}
		removed = n
		return tx.Rows(ctx, `INSERT INTO sandbox (id, operator_id, message_id, delivery_id, kind, mail_from, recipient, subject, size, created, data)`,
			"", nil, 11, []any{
				waypost.NewIDAt(now), operatorID, "", "", string(waypost.KindOther), mailFrom, to, subject, int64(len(data)), waypost.Millis(now), data,
			})
	})
	if err != nil {
		return 0, fmt.Errorf("keep received mail: %w", err)
	}
	return removed, nil
}
