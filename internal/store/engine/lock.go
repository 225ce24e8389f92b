package engine

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/pressly/goose/v3/lock"
)

// lockFile waits for a lock on a file beside an SQLite database.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("wait for another process's migration: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// postgresLocker serializes migrations of processes that start together.
func postgresLocker() (lock.SessionLocker, error) {
	return lock.NewPostgresSessionLocker()
}
