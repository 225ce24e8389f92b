package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// EraseSecret removes subject, tags, metadata and content of a message of kind security if none of
// its deliveries is queued any more. It returns the operator's id if it erased
// something, "" if there was nothing to erase yet.
func EraseSecret(ctx context.Context, tx *engine.Tx, messageID string, now time.Time) (string, error) {
	// The row is locked before its deliveries are looked at: of two nodes that finish
	// the last two deliveries at once, the second has to see what the first wrote.
	var operator, body string
	err := tx.QueryRowContext(ctx, "SELECT operator_id, body_id FROM message WHERE id = $1 AND kind = 'security' AND erased = 0"+
		tx.Dialect.ForUpdate, messageID).Scan(&operator, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var queued bool
	if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM delivery WHERE message_id = $1 AND state = 'queued')", messageID).
		Scan(&queued); err != nil || queued {
		return "", err
	}
	// A code may stand in what the program noted about the mail too.
	if _, err := tx.ExecContext(ctx, "UPDATE message SET tags = '', metadata = '' WHERE id = $1", messageID); err != nil {
		return "", err
	}
	return operator, EraseContent(ctx, tx, messageID, body, now)
}

// ErasedSecret is the event of EraseSecret.
func ErasedSecret(operatorID, messageID string, at time.Time) waypost.Event {
	return waypost.Event{
		OperatorID: operatorID, MessageID: messageID, Type: waypost.EventErased, Actor: "policy",
		Detail: "security mail is erased once its last delivery is final", At: at,
	}
}

// EraseContent removes subject, header and, unless another message of its batch
// still uses it, the body of a message.
func EraseContent(ctx context.Context, tx *engine.Tx, messageID, bodyID string, now time.Time) error {
	tx.Forget()
	if tx.Dialect.ForUpdate != "" {
		// Nodes that erase messages of one batch take turns, so that the last one sees
		// that it is the last.
		if _, err := tx.ExecContext(ctx, "SELECT 1 FROM body WHERE id = $1"+tx.Dialect.ForUpdate, bodyID); err != nil {
			return err
		}
	}
	var batch string
	if err := tx.QueryRowContext(ctx, "UPDATE message SET subject = '', header = $2, body_id = '', erased = $3 WHERE id = $1 RETURNING batch_id",
		messageID, []byte{}, waypost.Millis(now)).Scan(&batch); err != nil {
		return err
	}
	return DropBody(ctx, tx, bodyID, batch)
}
