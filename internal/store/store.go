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

//go:generate sqlc generate -f sqlc/sqlc.yaml

// Store answers queries of one operator.
type Store struct {
	engine *engine.Engine
	node   string // counters are kept under it

	accepts *engine.Queue[*Accepting]
	calls   *engine.Queue[Call]
}

// Call is a write that needs nothing of its group.
type Call func(ctx context.Context, tx *engine.Tx) error

// New returns the store of a node on an open engine. It must be made before the
// first write.
func New(e *engine.Engine, node string) *Store {
	s := &Store{engine: e, node: node}
	s.accepts = engine.NewQueue(e, s.applyAccepts)
	s.calls = engine.NewQueue(e, applyCalls)
	return s
}

func applyCalls(ctx context.Context, tx *engine.Tx, calls []Call) error {
	for _, call := range calls {
		if err := call(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// Write runs a call in the next group's transaction and waits until it is durable.
// The call may run twice, so it must set its results anew each time.
func (s *Store) Write(ctx context.Context, call Call) error {
	return s.calls.Do(ctx, call, 0)
}

// change is Write for what every process must notice.
func (s *Store) change(ctx context.Context, call func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error) error {
	return s.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		if err := BumpChange(ctx, tx); err != nil {
			return err
		}
		return call(ctx, tx, tenantsql.New(tx))
	})
}

// queries are the generated ones, outside of transactions.
func (s *Store) queries() *tenantsql.Queries { return tenantsql.New(s.engine.Reader()) }

// Node is the name counters are kept under.
func (s *Store) Node() string { return s.node }

// Engine is what lies under the store, for store/system.
func (s *Store) Engine() *engine.Engine { return s.engine }

// BumpChange raises the number that tells every process to look again. It belongs
// in the transaction of each change of settings, keys, suspensions or controls, and
// at its beginning: its row is also what makes several nodes change settings in turn,
// so that what is read after it is still true when it is written.
func BumpChange(ctx context.Context, tx *engine.Tx) error {
	_, err := tx.ExecContext(ctx, "UPDATE instance SET change = change + 1 WHERE id = 1")
	return err
}

// notFound is what a query answers for a row that is not there or not the operator's.
func notFound(what string) error {
	return waypost.NewError(waypost.NotFound, "not_found", "no such "+what)
}

// one turns sql.ErrNoRows into NotFound and says of any other error what was read.
func one(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return notFound(what)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

// pageSize keeps the length of a page within reason.
func pageSize(limit int) int {
	switch {
	case limit <= 0:
		return 50
	case limit > 1000:
		return 1000
	}
	return limit
}

// lastID sorts after every id: where a listing of newest first begins.
const lastID = "~"

// Before is the exclusive upper bound of a page that a cursor continues.
func Before(cursor string) string {
	if cursor == "" {
		return lastID
	}
	return cursor
}
