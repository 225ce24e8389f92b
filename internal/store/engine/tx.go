package engine

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Tx is a write transaction of the committer. Statements are prepared once per
// connection and kept by their text, so texts must come from a bounded set.
type Tx struct {
	conn   *sql.Conn
	stmts  map[string]*sql.Stmt
	serial int
	open   []*sql.Rows // handed out in this transaction
	trace  func(query string, args []any)
	forget bool            // see Forget
	told   map[string]bool // see Tell
	// Dialect of the database.
	Dialect Dialect
}

// Forget says that the transaction erases what should not stay in an SQLite write-ahead
// log either: the log is emptied soon after the commit.
func (tx *Tx) Forget() { tx.forget = true }

// Tell has a word said to whoever listens in this process (Engine.OnTold) once the
// transaction is committed. It is a hint that there is something to read: words are lost
// with the process, and other processes hear none.
func (tx *Tx) Tell(word string) {
	if tx.told == nil {
		tx.told = map[string]bool{}
	}
	tx.told[word] = true
}

// Serial counts up, through all transactions of the connection.
func (tx *Tx) Serial() int {
	tx.serial++
	return tx.serial
}

func (tx *Tx) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := tx.stmts[query]; ok {
		return s, nil
	}
	s, err := tx.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	tx.stmts[query] = s
	return s, nil
}

// ExecContext runs a statement that returns no rows.
func (tx *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if tx.trace != nil {
		tx.trace(query, args)
	}
	s, err := tx.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, storable(args)...)
}

// QueryContext runs a statement that returns rows; the caller closes them before
// the next statement.
func (tx *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if tx.trace != nil {
		tx.trace(query, args)
	}
	s, err := tx.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, storable(args)...)
	if err == nil {
		tx.open = append(tx.open, rows)
	}
	return rows, err
}

// closeRows closes what an applier left open when it failed or panicked. It has to be
// done here and not by the end of the context: the driver would then reset a statement
// in one goroutine while another frees it.
func (tx *Tx) closeRows() {
	for _, rows := range tx.open {
		_ = rows.Close()
	}
	clear(tx.open)
	tx.open = tx.open[:0]
}

// QueryRowContext runs a statement that returns at most one row.
func (tx *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if tx.trace != nil {
		tx.trace(query, args)
	}
	s, err := tx.stmt(ctx, query)
	if err != nil {
		// database/sql has no way to make a Row out of an error; running the text
		// unprepared yields the same error.
		return tx.conn.QueryRowContext(ctx, query, storable(args)...)
	}
	return s.QueryRowContext(ctx, storable(args)...)
}

// PrepareContext serves generated queries, which ask for it and never call it.
func (tx *Tx) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return tx.stmt(ctx, query)
}

// Rows inserts any number of equal-width rows with multi-row VALUES: head is the
// text before VALUES, tail what follows it, columns the width, args the cells row by
// row. casts, if not nil, gives a type for each column ("" for none): PostgreSQL
// takes bare parameters in a VALUES list that is not an INSERT's for text.
func (tx *Tx) Rows(ctx context.Context, head, tail string, casts []string, columns int, args []any) error {
	for len(args) > 0 {
		n := chunk(len(args)/columns, columns)
		if _, err := tx.ExecContext(ctx, valuesText(tx.Dialect, head, tail, casts, columns, n), args[:n*columns]...); err != nil {
			return err
		}
		args = args[n*columns:]
	}
	return nil
}

// EachRows is Rows for statements that return rows: scan is called for each.
func (tx *Tx) EachRows(ctx context.Context, head, tail string, casts []string, columns int, args []any, scan func(*sql.Rows) error) error {
	for len(args) > 0 {
		n := chunk(len(args)/columns, columns)
		rows, err := tx.QueryContext(ctx, valuesText(tx.Dialect, head, tail, casts, columns, n), args[:n*columns]...)
		if err != nil {
			return err
		}
		if err := Each(rows, scan); err != nil {
			return err
		}
		args = args[n*columns:]
	}
	return nil
}

// Each calls scan for every row and closes rows.
func Each(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// chunk picks how many of n rows go into one statement: powers of two, so that few
// texts are ever prepared, and at most some 800 parameters.
func chunk(n, columns int) int {
	size := 64
	for size > 1 && (size > n || size*columns > 800) {
		size /= 2
	}
	return size
}

type valuesKey struct {
	dialect, head, tail string
	rows                int
}

// valuesTexts keeps the texts built so far. It belongs to the program's text, not
// to any state, and its keys are constants of the source times seven sizes.
var valuesTexts sync.Map //nolint:gochecknoglobals // a memo of constant texts

func valuesText(d Dialect, head, tail string, casts []string, columns, rows int) string {
	key := valuesKey{d.Name, head, tail, rows}
	if text, ok := valuesTexts.Load(key); ok {
		return text.(string)
	}
	var b strings.Builder
	b.WriteString(head)
	if !strings.HasSuffix(head, "(") {
		b.WriteByte(' ')
	}
	b.WriteString("VALUES ")
	arg := 1
	for r := range rows {
		if r > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		for c := range columns {
			if c > 0 {
				b.WriteByte(',')
			}
			mark := "?"
			if !d.anonymous {
				mark = "$" + strconv.Itoa(arg)
			}
			if casts != nil && casts[c] != "" {
				mark = "CAST(" + mark + " AS " + casts[c] + ")"
			}
			b.WriteString(mark)
			arg++
		}
		b.WriteByte(')')
	}
	b.WriteString(tail)
	valuesTexts.Store(key, b.String())
	return b.String()
}
