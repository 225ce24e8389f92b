package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Reader reads: through the pool, or within a Snapshot. It can change nothing.
type Reader struct {
	from interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
	trace func(query string, args []any)
}

// errReadOnly is the answer to a write through a Reader.
var errReadOnly = errors.New("a reader cannot write")

// Reader is the pool for queries outside of transactions.
func (e *Engine) Reader() Reader { return Reader{e.reader, e.trace} }

// Snapshot calls read with a Reader whose queries all see one moment.
func (e *Engine) Snapshot(ctx context.Context, read func(Reader) error) error {
	tx, err := e.reader.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin snapshot: %w", err)
	}
	defer tx.Rollback() // nothing was written
	return read(Reader{tx, e.trace})
}

// ExecContext makes a Reader usable by generated queries; it always fails.
func (r Reader) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, errReadOnly
}

// PrepareContext serves generated queries, which ask for it and never call it.
func (r Reader) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return r.from.PrepareContext(ctx, query)
}

// QueryContext runs a statement that returns rows; the caller closes them.
func (r Reader) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if r.trace != nil {
		r.trace(query, args)
	}
	return r.from.QueryContext(ctx, query, storable(args)...)
}

// QueryRowContext runs a statement that returns at most one row.
func (r Reader) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if r.trace != nil {
		r.trace(query, args)
	}
	return r.from.QueryRowContext(ctx, query, storable(args)...)
}

// storable replaces in texts what PostgreSQL refuses to keep: NUL and bytes that are
// not UTF-8. A remote server's words, or a client's, must never be what makes a write
// fail, and both engines shall keep the same. The arguments are copied if one changes.
func storable(args []any) []any {
	for i, a := range args {
		s, ok := a.(string)
		if !ok || (strings.IndexByte(s, 0) < 0 && utf8.ValidString(s)) {
			continue
		}
		out := append([]any(nil), args[:i]...)
		out = append(out, strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD"))
		return append(out, storable(args[i+1:])...)
	}
	return args
}
