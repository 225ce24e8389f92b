package engine

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/fstest"
)

// A command of a newer version may run beside a server of an older one, whose database
// it must not change under it; the server of the newer version may.
func TestOnlyWhoIsAllowedToUpgradesADatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "waypost.db")
	first := fstest.MapFS{"0001_a.sql": {Data: []byte("-- +goose Up\nCREATE TABLE a (x BIGINT);\n")}}
	second := fstest.MapFS{"0001_a.sql": first["0001_a.sql"], "0002_b.sql": {Data: []byte("-- +goose Up\nCREATE TABLE b (x BIGINT);\n")}}
	open := func(files fstest.MapFS, upgrade bool) error {
		e := &Engine{url: path}
		if err := e.openSQLite(Options{URL: path, Readers: 1}); err != nil {
			t.Fatal(err)
		}
		e.Dialect.migrations = files
		err := e.migrate(context.Background(), upgrade)
		return errors.Join(err, e.writer.Close(), e.reader.Close())
	}
	if err := open(first, false); err != nil {
		t.Fatalf("a new database gets no schema: %v", err)
	}
	if err := open(second, false); !errors.Is(err, ErrOlderSchema) {
		t.Errorf("upgraded without leave: %v", err)
	}
	if err := open(first, false); err != nil {
		t.Errorf("the older version is shut out: %v", err)
	}
	if err := open(second, true); err != nil {
		t.Errorf("not upgraded: %v", err)
	}
	if err := open(second, false); err != nil {
		t.Error(err)
	}
	if err := open(first, true); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("a newer schema is taken: %v", err)
	}
}
