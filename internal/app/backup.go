package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/waypost/waypost/internal/config"
	"github.com/waypost/waypost/internal/store/engine"
)

// ErrPostgresBackup is the answer to backup and restore on PostgreSQL.
var ErrPostgresBackup = errors.New("the database is PostgreSQL: back it up with pg_dump and restore it with pg_restore. " +
	"The instance key is not in a dump either: keep WAYPOST_INSTANCE_KEY in another safe place")

// OpenCommand opens the database for a command that runs beside the server or alone.
func OpenCommand(ctx context.Context, c config.Config, log *slog.Logger) (*Base, error) {
	return OpenBase(ctx, c, log, commandNode, nil)
}

// KeyPath is where the instance key lies, as people should read it.
func (b *Base) KeyPath() string {
	if !b.Config.InstanceKey.Empty() {
		return "WAYPOST_INSTANCE_KEY"
	}
	return filepath.Join(b.Config.DataDir, keyFile)
}

// Restore puts a backup in the place of the SQLite database. The server must not be
// running. With force a database that is there is moved aside, and its new name
// returned; without it it is a reason to refuse.
func Restore(ctx context.Context, c config.Config, backup string, force bool) (kept string, err error) {
	if c.Postgres() {
		return "", ErrPostgresBackup
	}
	release, err := Lock(c.DataDir)
	if err != nil {
		return "", fmt.Errorf("restore: stop the server first: %w", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	if info, err := os.Stat(backup + "-wal"); err == nil && info.Size() > 0 {
		return "", fmt.Errorf("restore: %s has a write-ahead log beside it, so it is a copy of a live database and not whole: "+
			"restore a file that waypost backup wrote", backup)
	}
	path := filepath.Join(c.DataDir, databaseFile)
	if _, err := os.Stat(path); err == nil && !force {
		return "", fmt.Errorf("restore: %s is there already; with --force it is moved aside", path)
	}
	fresh := path + ".restoring"
	if err := copyFile(backup, fresh); err != nil {
		return "", fmt.Errorf("restore: %w", err)
	}
	defer func() {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			_ = os.Remove(fresh + suffix)
		}
	}()
	if err := proveDatabase(ctx, fresh); err != nil {
		return "", fmt.Errorf("restore: %s: %w", backup, err)
	}
	if kept, err = moveAside(ctx, path); err != nil {
		return "", fmt.Errorf("restore: %w", err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return kept, fmt.Errorf("restore: %w", err)
	}
	dir, err := os.Open(c.DataDir)
	if err != nil {
		return kept, fmt.Errorf("restore: %w", err)
	}
	return kept, errors.Join(dir.Sync(), dir.Close())
}

// moveAside renames a database with whatever belongs to it, also a write-ahead log that
// lost its database: it would be taken for the restored one's. It returns the new name
// of the database, "" if there was none.
func moveAside(ctx context.Context, path string) (kept string, err error) {
	if _, err := os.Stat(path); err == nil {
		// Opened and closed, it folds its write-ahead log in. One that does not open moves
		// as it is, log and all.
		if e, err := engine.Open(ctx, engine.Options{URL: path}); err == nil {
			_ = e.Close()
		}
	}
	aside := path + ".before-restore-" + time.Now().UTC().Format("20060102T150405.000")
	for _, suffix := range []string{"-shm", "-wal", engine.SegmentsSuffix, ""} {
		switch err := os.Rename(path+suffix, aside+suffix); {
		case err == nil && suffix == "":
			kept = aside
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return "", err
		}
	}
	return kept, nil
}

// proveDatabase opens a copy, which also brings its schema up to date, and checks it.
func proveDatabase(ctx context.Context, path string) error {
	e, err := engine.Open(ctx, engine.Options{URL: path, Upgrade: true})
	if err != nil {
		return err
	}
	return errors.Join(e.CheckBackup(ctx), e.Close())
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
