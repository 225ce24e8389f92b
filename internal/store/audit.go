package store

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// maxAuditText bounds target and detail of an entry, in bytes.
const maxAuditText = 1000

// WriteAudit appends entries in the transaction of what they record. At and the id are
// filled in where they are missing.
func WriteAudit(ctx context.Context, tx *engine.Tx, entries ...waypost.AuditEntry) error {
	q := tenantsql.New(tx)
	for i, e := range entries {
		if e.At.IsZero() {
			e.At = time.Now()
		}
		// They sort in the order of writing, whatever clock their time is of.
		id := cmp.Or(e.ID, waypost.NewIDAt(time.Now().Add(time.Duration(i)*time.Microsecond)))
		if err := q.InsertAudit(ctx, tenantsql.InsertAuditParams{
			ID: id, OperatorID: e.OperatorID, Actor: e.Actor.ID, ActorName: clip(e.Actor.Name), Peer: e.Actor.Peer, Action: e.Action,
			Target: clip(e.Target), Detail: clipDetail(e.Detail), At: waypost.Millis(e.At),
		}); err != nil {
			return err
		}
	}
	return nil
}

// audit records one change of an operator in its transaction.
func audit(ctx context.Context, tx *engine.Tx, by waypost.Actor, operatorID, action, target string, detail waypost.Detail) error {
	return WriteAudit(ctx, tx, waypost.AuditEntry{OperatorID: operatorID, Actor: by, Action: action, Target: target, Detail: detail})
}

// clip shortens a text to what an entry takes, at the end of a character.
func clip(text string) string {
	if len(text) <= maxAuditText {
		return text
	}
	end := maxAuditText - len("…")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.ToValidUTF8(text[:end], "") + "…"
}

// clipDetail is clip for a detail: half a code could not be read, half a sentence can.
func clipDetail(d waypost.Detail) string {
	if len(d) <= maxAuditText {
		return string(d)
	}
	return clip(d.String())
}

// AuditLog lists what was changed of an operator, newest first, before the entry whose id
// is cursor; limit 0 means 50.
func (s *Store) AuditLog(ctx context.Context, operatorID, cursor string, limit int) ([]waypost.AuditEntry, error) {
	rows, err := s.queries().AuditLog(ctx, tenantsql.AuditLogParams{
		OperatorID: operatorID, Before: Before(cursor), Most: int64(pageSize(limit)),
	})
	if err != nil {
		return nil, fmt.Errorf("list audit log: %w", err)
	}
	list := make([]waypost.AuditEntry, len(rows))
	for i, row := range rows {
		list[i] = AuditOf(row)
	}
	return list, nil
}

// AuditOf is an entry as its row has it; store/system reads the same rows.
func AuditOf(row tenantsql.Audit) waypost.AuditEntry {
	return waypost.AuditEntry{
		ID: row.ID, OperatorID: row.OperatorID, Actor: waypost.Actor{ID: row.Actor, Name: row.ActorName, Peer: row.Peer},
		Action: row.Action, Target: row.Target, Detail: waypost.Detail(row.Detail), At: waypost.FromMillis(row.At),
	}
}
