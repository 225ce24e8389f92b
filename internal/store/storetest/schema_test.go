package storetest_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
)

// rawRows reads rows as text, cells joined by a bar.
func rawRows(t testing.TB, db *storetest.DB, query string) []string {
	t.Helper()
	rows, err := db.Engine.Reader().QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	var out []string
	err = engine.Each(rows, func(rows *sql.Rows) error {
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		cells := make([]any, len(columns))
		for i := range cells {
			cells[i] = new(any)
		}
		if err := rows.Scan(cells...); err != nil {
			return err
		}
		texts := make([]string, len(cells))
		for i, c := range cells {
			texts[i] = fmt.Sprint(*c.(*any))
		}
		out = append(out, strings.Join(texts, "|"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tables(t testing.TB, db *storetest.DB) []string {
	t.Helper()
	query := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
	if db.Name == "postgres" {
		query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
	}
	names := rawRows(t, db, query)
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, "goose") })
	slices.Sort(names)
	return names
}

// schema describes tables, columns and indexes in words that both engines share.
func schema(t testing.TB, db *storetest.DB) []string {
	t.Helper()
	var out []string
	types := strings.NewReplacer("INTEGER", "bigint", "BYTEA", "bytea", "BIGINT", "bigint", "TEXT", "text", "BOOLEAN", "boolean")
	for _, table := range tables(t, db) {
		query := "SELECT name, type, \"notnull\" FROM pragma_table_info('" + table + "') ORDER BY cid"
		if db.Name == "postgres" {
			query = "SELECT column_name, data_type, CASE is_nullable WHEN 'NO' THEN 1 ELSE 0 END FROM information_schema.columns WHERE table_name = '" +
				table + "' ORDER BY ordinal_position"
		}
		for _, column := range rawRows(t, db, query) {
			out = append(out, table+" column "+types.Replace(column))
		}
	}
	query := "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
	if db.Name == "postgres" {
		query = `SELECT pg_get_indexdef(indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relname NOT LIKE 'goose%' AND NOT i.indisprimary
  AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)`
	}
	noise := regexp.MustCompile(`public\.|USING btree|::text|[()\s]+`)
	for _, index := range rawRows(t, db, query) {
		out = append(out, "index "+noise.ReplaceAllString(index, ""))
	}
	slices.Sort(out)
	return out
}

func TestBothEnginesHaveTheSameSchema(t *testing.T) {
	a, b := storetest.OpenSQLite(t), storetest.OpenPostgres(t)
	one := schema(t, a)
	if diff := cmp.Diff(one, schema(t, b)); diff != "" {
		t.Error(diff)
	}
	if len(one) < 150 {
		t.Errorf("only %d columns and indexes seen", len(one))
	}
}

func TestANewDatabaseIsBoundToNoKey(t *testing.T) {
	for name, url := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "made", "waypost.db") },
		"postgres": func(t *testing.T) string { return storetest.PostgresURL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			address := url(t)
			var wait sync.WaitGroup
			for i := range 3 { // processes that start together
				wait.Go(func() {
					e, err := engine.Open(t.Context(), engine.Options{URL: address})
					if err != nil {
						t.Error(err)
						return
					}
					defer e.Close()
					y := system.New(store.New(e, fmt.Sprint("node ", i)))
					if key, err := y.Instance(t.Context()); key != "" || err != nil {
						t.Errorf("%q, %v", key, err)
					}
				})
			}
			wait.Wait()
		})
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		if db.Name == "postgres" {
			db.Exec(t, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)")
		} else {
			db.Exec(t, "INSERT INTO goose_db_version (version_id, is_applied, tstamp) VALUES (9999, 1, datetime('now'))")
		}
		e, err := engine.Open(t.Context(), engine.Options{URL: db.URL})
		if !errors.Is(err, engine.ErrNewerSchema) {
			t.Errorf("opened: %v", err)
		}
		if err == nil {
			e.Close()
		}
	})
}

func TestBackupWhileWriting(t *testing.T) {
	db := storetest.OpenSQLite(t)
	accept(t, db, storetest.Mail{})
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if err := db.Store.Accept(t.Context(), (storetest.Mail{}).Accepting()); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	path := filepath.Join(t.TempDir(), "backup.db")
	err := db.Engine.Backup(t.Context(), path)
	close(stop)
	writing.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Engine.Backup(t.Context(), path); err == nil {
		t.Error("overwrote a file")
	}
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	var verdict string
	if err := raw.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("%q, %v", verdict, err)
	}
	e, err := engine.Open(t.Context(), engine.Options{URL: path})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	y := system.New(store.New(e, "node-a"))
	if findings, err := y.Audit(t.Context()); len(findings) != 0 || err != nil {
		t.Error(findings, err)
	}
	if c, err := y.Conservation(t.Context(), "op"); err != nil || c.Accepted < 1 || !c.Balanced {
		t.Error(c, err)
	}
	if err := e.CheckIntegrity(t.Context()); err != nil {
		t.Error(err)
	}
	pg := storetest.OpenPostgres(t)
	if err := pg.Engine.Backup(t.Context(), filepath.Join(t.TempDir(), "x")); err == nil || !strings.Contains(err.Error(), "pg_dump") {
		t.Error(err)
	}
}

func TestDamageIsFound(t *testing.T) {
	db := storetest.OpenSQLite(t)
	for range 50 {
		accept(t, db, storetest.Mail{})
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := db.Engine.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	// The first pages say what there is; some page behind them is hit.
	if _, err := file.WriteAt(bytes.Repeat([]byte{0x5a}, 8192), info.Size()/8192/2*8192); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(t.Context(), engine.Options{URL: path})
	if err != nil {
		return // found even earlier
	}
	defer e.Close()
	if err := e.CheckIntegrity(t.Context()); err == nil {
		t.Error("nothing found")
	}
}
