package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/waypost/waypost/internal/store/segment"
)

// Backup writes a consistent copy of an SQLite database to a new file while the
// engine is in use. Bodies in segment files are in the copy, so that it is one file.
// PostgreSQL has its own tool for it.
func (e *Engine) Backup(ctx context.Context, path string) error {
	if e.Dialect.Name != "sqlite" {
		return errors.New("backup: the database is PostgreSQL; use pg_dump")
	}
	// Made here so that it is private from the first byte.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("backup: %s exists already", path)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := e.backup(ctx, path); err != nil {
		for _, suffix := range []string{"", "-journal"} {
			_ = os.Remove(path + suffix)
		}
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

func (e *Engine) backup(ctx context.Context, path string) error {
	// What the copy refers to must not be erased before it is in.
	release, err := e.Segments.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := e.copyTo(ctx, path); err != nil {
		return err
	}
	return syncFile(path)
}

func (e *Engine) copyTo(ctx context.Context, path string) error {
	// VACUUM INTO reads one snapshot and writes a compact file; readers and the
	// writer go on meanwhile. Its own connection, because it must not be query_only.
	db, err := sql.Open("sqlite", sqliteDSN(e.url, false))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO $1", path)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	// Nobody else has the copy and it is synced at the end, so it needs no journal.
	if db, err = sql.Open("sqlite", "file:"+escapePath(path)+"?_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)&_pragma=cache_size(-32768)"); err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	return errors.Join(e.takeIn(ctx, db), db.Close())
}

// takeIn puts the bodies that a copy finds in segment files into its rows.
func (e *Engine) takeIn(ctx context.Context, db *sql.DB) error {
	const batch = 1000
	for {
		rows, err := db.QueryContext(ctx, "SELECT id, file, file_at, file_size, file_sum FROM body WHERE file <> '' LIMIT $1", batch)
		if err != nil {
			return err
		}
		ids, refs := []string(nil), []segment.Ref(nil)
		if err := Each(rows, func(rows *sql.Rows) error {
			var id string
			var r segment.Ref
			err := rows.Scan(&id, &r.File, &r.At, &r.Size, &r.Sum)
			ids, refs = append(ids, id), append(refs, r)
			return err
		}); err != nil {
			return err
		}
		if len(ids) == 0 {
			_, err := db.ExecContext(ctx, "DELETE FROM body_residue")
			return err
		}
		for i, id := range ids {
			data, err := e.Segments.Read(refs[i])
			if err != nil {
				return fmt.Errorf("body of message %s: %w", id, err)
			}
			if _, err := db.ExecContext(ctx,
				"UPDATE body SET data = $2, file = '', file_at = 0, file_size = 0, file_sum = 0 WHERE id = $1", id, data); err != nil {
				return err
			}
		}
	}
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
