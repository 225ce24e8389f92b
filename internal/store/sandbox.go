package store

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// SandboxMail is a mail that went nowhere on purpose.
type SandboxMail struct {
	ID         string
	OperatorID string
	MessageID  string
	DeliveryID string
	Kind       waypost.Kind
	MailFrom   string
	Recipient  string
	Subject    string
	Size       int64 // bytes
	Created    time.Time
	Data       []byte // header and body; nil in listings and entries
}

// SandboxList lists the mails in an operator's sandbox, newest first, without those
// of kind security, which only the platform owner may see (system.SandboxAll). next
// continues the listing, "" at its end; limit 0 means 50.
func (s *Store) SandboxList(ctx context.Context, operatorID, cursor string, limit int) (list []SandboxMail, next string, err error) {
	limit = pageSize(limit)
	rows, err := s.queries().Sandbox(ctx, tenantsql.SandboxParams{OperatorID: operatorID, Before: Before(cursor), Most: int64(limit + 1)})
	if err != nil {
		return nil, "", fmt.Errorf("list sandbox: %w", err)
	}
	for _, row := range rows {
		list = append(list, SandboxMail{
			ID: row.ID, OperatorID: row.OperatorID, MessageID: row.MessageID, DeliveryID: row.DeliveryID, Kind: waypost.Kind(row.Kind),
			MailFrom: row.MailFrom, Recipient: row.Recipient, Subject: row.Subject, Size: row.Size, Created: waypost.FromMillis(row.Created),
		})
	}
	list, next = SandboxPage(list, limit)
	return list, next, nil
}

// SandboxPage cuts a listing that was read one longer than limit.
func SandboxPage(list []SandboxMail, limit int) (page []SandboxMail, next string) {
	if len(list) <= limit {
		return list, ""
	}
	return list[:limit], list[limit-1].ID
}

// SandboxEntry reads what SandboxList has of one mail: all but its content. The error is
// NotFound if the operator has none, or may not see it.
func (s *Store) SandboxEntry(ctx context.Context, operatorID, id string) (SandboxMail, error) {
	row, err := s.queries().SandboxEntry(ctx, tenantsql.SandboxEntryParams{OperatorID: operatorID, ID: id})
	return SandboxMail{
		ID: row.ID, OperatorID: row.OperatorID, MessageID: row.MessageID, DeliveryID: row.DeliveryID, Kind: waypost.Kind(row.Kind),
		MailFrom: row.MailFrom, Recipient: row.Recipient, Subject: row.Subject, Size: row.Size, Created: waypost.FromMillis(row.Created),
	}, one(err, "mail in the sandbox")
}

// SandboxMail reads one mail. The error is NotFound if the operator has none, or may
// not see it.
func (s *Store) SandboxMail(ctx context.Context, operatorID, id string) (SandboxMail, error) {
	row, err := s.queries().SandboxMail(ctx, tenantsql.SandboxMailParams{OperatorID: operatorID, ID: id})
	return SandboxMail{
		ID: row.ID, OperatorID: row.OperatorID, MessageID: row.MessageID, DeliveryID: row.DeliveryID, Kind: waypost.Kind(row.Kind),
		MailFrom: row.MailFrom, Recipient: row.Recipient, Subject: row.Subject, Size: row.Size, Created: waypost.FromMillis(row.Created),
		Data: row.Data,
	}, one(err, "mail in the sandbox")
}

// SandboxEmpty removes what SandboxList lists and returns how many there were.
func (s *Store) SandboxEmpty(ctx context.Context, by waypost.Actor, operatorID string) (int64, error) {
	var n int64
	err := s.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		var err error
		n, err = tenantsql.New(tx).EmptySandbox(ctx, operatorID)
		if err != nil || n == 0 {
			return err
		}
		return audit(ctx, tx, by, operatorID, "sandbox.empty", "", waypost.NewDetail(waypost.DetailMails, "count", n))
	})
	if err != nil {
		return 0, fmt.Errorf("empty sandbox: %w", err)
	}
	return n, nil
}
