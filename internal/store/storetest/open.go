package storetest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system"
)

// DB is one process's view of a database: migrated, bound to an instance key.
type DB struct {
	URL    string // for engine.Options and WAYPOST_DATABASE_URL
	Name   string // "sqlite" or "postgres"
	Engine *engine.Engine
	Store  *store.Store
	System *system.System
}

// Main runs the tests and stops PostgreSQL if it was started.
func Main(m *testing.M) { os.Exit(Runner{m}.Run()) }

// Runner is Main for those who end the process themselves, goleak for one.
type Runner struct {
	M interface{ Run() int }
}

// Run runs the tests and stops PostgreSQL if it was started.
func (r Runner) Run() int {
	defer postgres.stop()
	return r.M.Run()
}

// Each runs a test on both engines, each time on an empty database.
func Each(t *testing.T, test func(t *testing.T, db *DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, OpenSQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, OpenPostgres(t)) })
}

// OpenSQLite opens a new SQLite database that ends with the test.
func OpenSQLite(t testing.TB) *DB {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "waypost.db"), "node-a")
}

// OpenPostgres opens a new PostgreSQL database that ends with the test.
func OpenPostgres(t testing.TB) *DB {
	t.Helper()
	return open(t, postgres.database(t, migratedTemplate), "node-a")
}

// PostgresURL names a new PostgreSQL database without any schema, for a program under
// test that opens it itself.
func PostgresURL(t testing.TB) string {
	t.Helper()
	return postgres.database(t, "template1")
}

// OpenFile opens an SQLite database that is there already.
func OpenFile(t testing.TB, path string) *DB {
	t.Helper()
	return openURL(t, path, "node-a")
}

func open(t testing.TB, url, node string) *DB {
	t.Helper()
	db := openURL(t, url, node)
	if err := db.System.InitInstance(t.Context(), "key check"); err != nil {
		t.Fatal(err)
	}
	return db
}

// Node opens the same database as another process would, under another node's name.
func (db *DB) Node(t testing.TB, name string) *DB {
	t.Helper()
	return open(t, db.URL, name)
}

// Exec runs a statement that the store has no word for.
func (db *DB) Exec(t testing.TB, query string, args ...any) {
	t.Helper()
	err := db.Store.Write(t.Context(), func(ctx context.Context, tx *engine.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// Int reads one number.
func (db *DB) Int(t testing.TB, query string, args ...any) int64 {
	t.Helper()
	var n int64
	if err := db.Engine.Reader().QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func openURL(t testing.TB, url, node string) *DB {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	s := store.New(e, node)
	return &DB{URL: url, Name: e.Dialect.Name, Engine: e, Store: s, System: system.New(s)}
}
