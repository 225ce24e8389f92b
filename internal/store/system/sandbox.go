package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/waypost/waypost/internal/store"
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
	rows, err := y.queries().Sandbox(ctx, systemsql.SandboxParams{Before: cursor, OperatorID: operatorID, Most: int64(limit + 1)})
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
