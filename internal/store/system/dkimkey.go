package system

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/system/systemsql"
	"github.com/waypost/waypost/internal/waypost"
)

// DKIMKey is one of the platform's signing keys.
type DKIMKey struct {
	Selector string
	Sealed   []byte // PKCS#8, sealed with the instance key
	Signs    bool   // the one in use
	Created  time.Time
}

// DKIMKeys lists the keys by selector.
func (y *System) DKIMKeys(ctx context.Context) ([]DKIMKey, error) {
	rows, err := y.queries().DKIMKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list DKIM keys: %w", err)
	}
	keys := make([]DKIMKey, len(rows))
	for i, row := range rows {
		keys[i] = DKIMKey{Selector: row.Selector, Sealed: row.Key, Signs: row.Signs, Created: waypost.FromMillis(row.Created)}
	}
	return keys, nil
}

// AddDKIMKey adds a key; if it signs, no other does any more. The error is Conflict
// if the selector is in use.
func (y *System) AddDKIMKey(ctx context.Context, k DKIMKey) error {
	if k.Created.IsZero() {
		k.Created = time.Now()
	}
	err := y.change(ctx, func(ctx context.Context, q *systemsql.Queries) error {
		if k.Signs {
			if err := q.SilenceDKIMKeys(ctx); err != nil {
				return err
			}
		}
		return q.InsertDKIMKey(ctx, systemsql.InsertDKIMKeyParams{
			Selector: k.Selector, Key: k.Sealed, Signs: k.Signs, Created: waypost.Millis(k.Created),
		})
	})
	if y.engine.Dialect.IsUnique(err) {
		return waypost.NewError(waypost.Conflict, "selector_used", "there is a DKIM key with this selector already")
	}
	if err != nil {
		return fmt.Errorf("add DKIM key: %w", err)
	}
	return nil
}
