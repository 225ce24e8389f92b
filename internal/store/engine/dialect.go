package engine

import (
	"errors"
	"io/fs"

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
	isUnique  func(error) bool
	isGone    func(driverConn any) bool // the connection is of no more use
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
		isUnique: func(err error) bool {
			var e *pgconn.PgError
			return errors.As(err, &e) && e.Code == "23505"
		},
		// The driver closes a connection whose state it no longer knows.
		isGone: func(driverConn any) bool {
			c, ok := driverConn.(*stdlib.Conn)
			return ok && c.Conn().IsClosed()
		},
	}
}

// IsUnique reports whether err says that a unique key exists already.
func (d Dialect) IsUnique(err error) bool { return d.isUnique(err) }
