package engine

import (
	"context"
	"errors"
	"os"
	"time"
)

// The write-ahead log starts over only when every frame is checkpointed and no reader
// still uses it. Under steady load with long readers (the audit, a backup) that moment
// never comes by itself, so every so many groups its size is looked at.
const (
	checkpointEvery = 64
	maxWAL          = 64 << 20
)

// checkpoint starts an SQLite write-ahead log over when it has grown too large: it
// waits a moment for readers to move on and blocks new writers meanwhile.
func (c *committer) checkpoint() {
	if c.path == "" || c.tx == nil {
		return
	}
	info, err := os.Stat(c.path + "-wal")
	if err != nil || info.Size() < maxWAL {
		return
	}
	c.restart("RESTART")
}

// emptyEvery bounds how often the log is emptied: growing it again takes more syncing
// than writing over it.
const emptyEvery = time.Minute

// empty truncates the log if it holds what was erased, now or when its time has come.
func (c *committer) empty() {
	if c.path == "" || !c.forget || c.tx == nil {
		return
	}
	if wait := emptyEvery - time.Since(c.emptied); wait > 0 {
		if c.later == nil {
			c.later = time.AfterFunc(wait, c.signal)
		}
		return
	}
	if c.later != nil {
		c.later.Stop()
		c.later = nil
	}
	c.emptied = time.Now()
	c.forget = !c.restart("TRUNCATE") // else a reader was in the way: next time
	if c.forget {
		c.empty()
	}
}

// restart runs a checkpoint and reports whether it reached its end.
func (c *committer) restart(mode string) (done bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var busy, frames, moved int
	if _, err := c.tx.conn.ExecContext(ctx, "PRAGMA busy_timeout = 500"); err != nil {
		c.log.Warn("cannot checkpoint the database", "error", err)
	}
	err := c.tx.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &frames, &moved)
	if _, back := c.tx.conn.ExecContext(ctx, busyPragma); err != nil || back != nil {
		c.log.Warn("cannot checkpoint the database", "error", errors.Join(err, back))
		return false
	}
	return busy == 0
}
