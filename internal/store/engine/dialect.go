package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3/database"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/waypost/waypost/internal/store/migrations"
)

// Dialect is all that differs between the engines.
type Dialect struct {
	Name       string // "sqlite" or "postgres"
	SkipLocked string // appended to a SELECT that claims rows
	ForUpdate  string // appended to a SELECT whose rows are written later in the transaction
	goose      database.Dialect
	migrations fs.FS
	begin      string
	// anonymous says that long VALUES lists are written with "?": SQLite looks numbered
	// parameters up by name, one by one, which took a third of the time of the hot path.
	anonymous bool
	// marks says that each group is numbered in a row of its own: the answer to COMMIT
	// can be lost with the connection, and then the row tells.
	marks      bool
	commit     func(ctx context.Context, conn *sql.Conn) error
	isConflict func(error) bool // a deadlock or serialization failure: the same again may succeed
	isFull     func(error) bool // the disk is full
	isUnique   func(error) bool
	isGone     func(driverConn any) bool // the connection is of no more use
}

func sqliteDialect() Dialect {
	return Dialect{
		Name:       "sqlite",
		goose:      database.DialectSQLite3,
		migrations: migrations.SQLite(),
		// Taking the write lock at once: a transaction that reads first and then
		// writes could otherwise fail with SQLITE_BUSY whatever the timeout.
		begin:     "BEGIN IMMEDIATE",
		anonymous: true,
		commit: func(ctx context.Context, conn *sql.Conn) error {
			if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
				return fmt.Errorf("commit: %w", err)
			}
			return nil
		},
		isConflict: func(error) bool { return false },
		isFull: func(err error) bool {
			var e *sqlite.Error
			return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_FULL ||
				errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) // of a segment file
		},
		isUnique: func(err error) bool {
			var e *sqlite.Error
			return errors.As(err, &e) &&
				(e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
		},
		isGone: func(any) bool { return false },
	}
}

func postgresDialect() Dialect {
	return Dialect{
		Name:       "postgres",
		SkipLocked: " FOR UPDATE SKIP LOCKED",
		ForUpdate:  " FOR UPDATE",
		goose:      database.DialectPostgres,
		migrations: migrations.PostgreSQL(),
		begin:      "BEGIN",
		marks:      true,
		commit:     commitPostgres,
		isConflict: func(err error) bool { return isPostgres(err, "40001") || isPostgres(err, "40P01") },
		isFull:     func(err error) bool { return isPostgres(err, "53100") },
		isUnique:   func(err error) bool { return isPostgres(err, "23505") },
		// The driver closes a connection whose state it no longer knows.
		isGone: func(driverConn any) bool {
			c, ok := driverConn.(*stdlib.Conn)
			return ok && c.Conn().IsClosed()
		},
	}
}

func isPostgres(err error, code string) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == code
}

// commitPostgres commits and believes only the word COMMIT: the server answers the
// COMMIT of a failed transaction with ROLLBACK and no error. An answer that does not
// come is errUnknown.
func commitPostgres(ctx context.Context, conn *sql.Conn) error {
	var tag pgconn.CommandTag
	err := conn.Raw(func(dc any) error {
		var err error
		tag, err = dc.(*stdlib.Conn).Conn().Exec(ctx, "COMMIT")
		return err
	})
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Severity != "FATAL" && e.Severity != "PANIC" {
		return fmt.Errorf("commit: %w", err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnknown, err)
	}
	if tag.String() != "COMMIT" {
		return fmt.Errorf("commit: the server answered %s", tag)
	}
	return nil
}

// IsUnique reports whether err says that a unique key exists already.
func (d Dialect) IsUnique(err error) bool { return d.isUnique(err) }
