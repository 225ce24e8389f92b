package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	_ "modernc.org/sqlite" // driver "sqlite"

	"github.com/waypost/waypost/internal/store/segment"
)

// ErrNewerSchema says that the database was written by a newer version.
var ErrNewerSchema = errors.New("the database has a newer schema than this version of waypost knows")

// ErrOlderSchema says that a database has to be brought up to date first, and that
// whoever opened it may not do it: a server of the older version may be running on it.
var ErrOlderSchema = errors.New("the database has an older schema than this version of waypost: " +
	"start the server of this version, which brings it up to date")

// Options open an Engine.
type Options struct {
	URL     string // "postgres://...", or a path to an SQLite file
	Upgrade bool   // bring the schema of an existing database up to date
	Readers int    // connections of the read pool; 0 means 8
	Log     *slog.Logger
	Observe Observer // may be nil
	// Trace, if not nil, sees every statement before it runs.
	Trace func(query string, args []any)
}

// Engine is an open database with its committer running.
type Engine struct {
	Dialect Dialect
	// Segments has the large bodies of an SQLite database; nil on PostgreSQL.
	Segments *segment.Files

	url    string
	trace  func(query string, args []any)
	writer *sql.DB
	reader *sql.DB
	kept   *kept
	*committer
}

// SegmentsSuffix is what the folder of an SQLite database's segment files is called,
// after the database.
const SegmentsSuffix = "-bodies"

// IsPostgres reports whether a database URL names PostgreSQL.
func IsPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// Open opens the database and starts the committer. A new one gets its schema; an
// existing one is brought up to date if asked for. An SQLite file and its directory are
// made if missing.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if o.Readers == 0 {
		o.Readers = 8
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{url: o.URL, trace: o.Trace}
	var err error
	if IsPostgres(o.URL) {
		err = e.openPostgres(o)
	} else {
		err = e.openSQLite(o)
	}
	if err != nil {
		return nil, err
	}
	if err := e.migrate(ctx, o.Upgrade); err != nil {
		return nil, errors.Join(err, e.writer.Close(), e.reader.Close())
	}
	e.kept = &kept{db: e.reader, stmts: map[string]*sql.Stmt{}}
	e.committer = newCommitter(e.writer, e.Dialect, o)
	return e, nil
}

// busyTimeout is how long a writer waits for another process, in milliseconds.
const busyTimeout = 10000

var busyPragma = "PRAGMA busy_timeout = " + strconv.Itoa(busyTimeout) //nolint:gochecknoglobals,gosec // a constant text

// sqliteDSN builds the data source of a file. The pragmas stand in it because they
// are per connection: WAL with synchronous=FULL is what makes a commit durable
// before it returns (see docs/adr/0005).
func sqliteDSN(path string, readOnly bool) string {
	q := url.Values{}
	for _, p := range []string{
		"busy_timeout(" + strconv.Itoa(busyTimeout) + ")",
		"page_size(8192)",
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"wal_autocheckpoint(4000)",
		"journal_size_limit(67108864)",
		"secure_delete(1)", // what is erased is overwritten, not just forgotten
	} {
		q.Add("_pragma", p)
	}
	if readOnly {
		q.Add("_pragma", "query_only(1)")
		q.Add("_pragma", "cache_size(-4096)")
	} else {
		q.Add("_pragma", "cache_size(-32768)")
	}
	return "file:" + escapePath(path) + "?" + q.Encode()
}

func escapePath(path string) string { return (&url.URL{Path: path}).EscapedPath() }

func (e *Engine) openSQLite(o Options) error {
	e.Dialect = sqliteDialect()
	if err := os.MkdirAll(filepath.Dir(o.URL), 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	// Made here so that it is private from the first byte. Only made: opening and closing
	// an existing one would drop the locks that this process may have on it.
	f, err := os.OpenFile(o.URL, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("open database: %w", err)
	}
	if e.writer, err = sql.Open("sqlite", sqliteDSN(o.URL, false)); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	e.writer.SetMaxOpenConns(1)
	if e.reader, err = sql.Open("sqlite", sqliteDSN(o.URL, true)); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	e.reader.SetMaxOpenConns(o.Readers)
	e.reader.SetMaxIdleConns(o.Readers)
	e.Segments = segment.New(o.URL + SegmentsSuffix)
	return nil
}

func (e *Engine) openPostgres(o Options) error {
	e.Dialect = postgresDialect()
	config, err := pgx.ParseConfig(o.URL)
	if err != nil {
		// The driver's text repeats the URL, which holds a password.
		return errors.New("open database: the PostgreSQL URL cannot be parsed")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	// 250 and 202 are answered after commit: it has to mean the disk, whatever the
	// server's default says.
	if config.RuntimeParams["synchronous_commit"] == "" {
		config.RuntimeParams["synchronous_commit"] = "on"
	}
	e.writer = stdlib.OpenDB(*config)
	e.writer.SetMaxOpenConns(2)
	// As query_only does on SQLite: whatever is read here can change nothing.
	readConfig := config.Copy()
	readConfig.RuntimeParams["default_transaction_read_only"] = "on"
	e.reader = stdlib.OpenDB(*readConfig)
	e.reader.SetMaxOpenConns(o.Readers)
	e.reader.SetMaxIdleConns(o.Readers)
	return nil
}

// migrate applies what is missing. Processes that start at once are kept apart: on
// SQLite by a lock file, on PostgreSQL by an advisory lock.
func (e *Engine) migrate(ctx context.Context, upgrade bool) error {
	if e.Dialect.Name == "sqlite" {
		unlock, err := lockFile(ctx, e.url+".migrate")
		if err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		defer unlock()
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler))}
	var locker lock.SessionLocker
	if e.Dialect.Name == "postgres" {
		var err error
		if locker, err = postgresLocker(); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(e.Dialect.goose, e.writer, e.Dialect.migrations, options...)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err == nil && current > 0 && current < target && !upgrade && locker != nil {
		// It may be in the middle of being made, by a process that started a moment before.
		if err = e.awaitMigration(ctx, locker); err == nil {
			current, target, err = provider.GetVersions(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if current > target {
		return fmt.Errorf("%w: it is at %d, known up to %d; start the newer version, or restore a backup made by this one",
			ErrNewerSchema, current, target)
	}
	if current == target {
		return nil
	}
	if current > 0 && !upgrade {
		return fmt.Errorf("%w (it is at %d, this version at %d)", ErrOlderSchema, current, target)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// awaitMigration returns when nobody migrates the database.
func (e *Engine) awaitMigration(ctx context.Context, locker lock.SessionLocker) error {
	conn, err := e.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := locker.SessionLock(ctx, conn); err != nil {
		return err
	}
	return locker.SessionUnlock(ctx, conn)
}

// URL is what the engine was opened with.
func (e *Engine) URL() string { return e.url }

// Ping reports whether the database answers.
func (e *Engine) Ping(ctx context.Context) error {
	if err := e.reader.PingContext(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// Close stops the committer after what waits is committed, and closes the pools.
func (e *Engine) Close() error {
	e.committer.stop()
	if e.Segments != nil {
		e.Segments.Close()
	}
	e.kept.close()
	return errors.Join(e.writer.Close(), e.reader.Close())
}
