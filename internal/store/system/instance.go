package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system/systemsql"
	"github.com/waypost/waypost/internal/waypost"
)

// Instance reads the proof that a node has the instance key; "" in a new database.
func (y *System) Instance(ctx context.Context) (keyCheck string, err error) {
	keyCheck, err = y.queries().Instance(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read instance: %w", err)
	}
	return keyCheck, nil
}

// InitInstance binds a new database to an instance key. Of two nodes that do so at
// once one wins and nobody gets an error, so read Instance again and compare.
func (y *System) InitInstance(ctx context.Context, keyCheck string) error {
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		return systemsql.New(tx).InitInstance(ctx, keyCheck)
	})
	if err != nil {
		return fmt.Errorf("bind database to instance key: %w", err)
	}
	return nil
}

// TakeChore reports whether a chore is due at now and this node takes it; it is due
// again at next. A chore nobody has ever taken is due.
func (y *System) TakeChore(ctx context.Context, name, incarnation string, now, next time.Time) (bool, error) {
	var n int64
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		var err error
		n, err = systemsql.New(tx).TakeChore(ctx, systemsql.TakeChoreParams{
			Name: name, Lease: incarnation, Next: waypost.Millis(next), Now: waypost.Millis(now),
		})
		return err
	})
	if err != nil {
		return false, fmt.Errorf("take chore %s: %w", name, err)
	}
	return n > 0, nil
}
