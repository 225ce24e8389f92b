package engine

import (
	"context"
	"database/sql"
	"sync"
)

// kept prepares each query once and keeps it: for the few texts of the delivery path,
// where parsing took more time than running.
type kept struct {
	db    *sql.DB
	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

// Kept is Reader for texts from a small fixed set: they stay prepared.
func (e *Engine) Kept() Reader { return Reader{e.kept, e.trace} }

// PrepareContext returns the kept statement of a text. It is not the caller's to close.
func (k *kept) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, ok := k.stmts[query]; ok {
		return s, nil
	}
	s, err := k.db.PrepareContext(ctx, query) //nolint:sqlclosecheck // kept until close
	if err != nil {
		return nil, err
	}
	k.stmts[query] = s
	return s, nil
}

// QueryContext runs a kept statement that returns rows.
func (k *kept) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := k.PrepareContext(ctx, query) //nolint:sqlclosecheck // kept until close
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext runs a kept statement that returns at most one row.
func (k *kept) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := k.PrepareContext(ctx, query) //nolint:sqlclosecheck // kept until close
	if err != nil {
		return k.db.QueryRowContext(ctx, query, args...) // has the same error
	}
	return s.QueryRowContext(ctx, args...)
}

func (k *kept) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.stmts {
		_ = s.Close()
	}
	clear(k.stmts)
}
