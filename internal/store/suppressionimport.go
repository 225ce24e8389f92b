package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// Imported is what became of a suppression that was imported.
type Imported int

// The ways.
const (
	ImportAdded     Imported = iota
	ImportRenewed            // there was one that has ended, or ends earlier
	ImportUnchanged          // there is one that lasts as long, but for a day
	ImportExempt             // it is not somebody's word, and the address is exempt from that
)

// ImportSuppressions writes suppressions of an operator, all of them or none, and returns
// what became of each. None that is in force ends earlier by it, so the same again changes
// nothing. The entries are written to the audit log with them.
func (s *Store) ImportSuppressions(ctx context.Context, operatorID string, list []waypost.Suppression, entries ...waypost.AuditEntry) ([]Imported, error) {
	var done []Imported
	err := s.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		done = make([]Imported, 0, len(list)) // a group that fails is tried again
		q := tenantsql.New(tx)
		for _, n := range list {
			n.OperatorID, n.Via = operatorID, waypost.ViaImport
			what, err := importing(ctx, q, &n)
			if err != nil {
				return err
			}
			done = append(done, what)
			if what == ImportAdded || what == ImportRenewed {
				if err := putSuppression(ctx, tx, n); err != nil {
					return err
				}
			}
		}
		return WriteAudit(ctx, tx, entries...)
	})
	if err != nil {
		return nil, fmt.Errorf("import suppressions: %w", err)
	}
	return done, nil
}

// TryImport says what ImportSuppressions would do.
func (s *Store) TryImport(ctx context.Context, operatorID string, list []waypost.Suppression) ([]Imported, error) {
	done := make([]Imported, len(list))
	for i, n := range list {
		n.OperatorID = operatorID
		var err error
		if done[i], err = importing(ctx, s.queries(), &n); err != nil {
			return nil, fmt.Errorf("try to import suppressions: %w", err)
		}
	}
	return done, nil
}

// importing says what is to become of a suppression, and counts it on from the one there is.
func importing(ctx context.Context, q *tenantsql.Queries, n *waypost.Suppression) (Imported, error) {
	n.Address, n.Hits = NormalizeAddress(n.Address), 1
	if !n.Reason.Word() {
		exempt, err := q.IsExempt(ctx, tenantsql.IsExemptParams{OperatorID: n.OperatorID, Address: n.Address})
		if err != nil || exempt {
			return ImportExempt, err
		}
	}
	row, err := q.Suppression(ctx, keyOf(*n))
	if errors.Is(err, sql.ErrNoRows) {
		return ImportAdded, nil
	}
	if err != nil {
		return 0, err
	}
	old := suppressionOf(row)
	n.Hits = old.Hits
	if n.MessageID == "" {
		n.MessageID = old.MessageID
	}
	if covers(old, *n) {
		return ImportUnchanged, nil
	}
	return ImportRenewed, nil
}
