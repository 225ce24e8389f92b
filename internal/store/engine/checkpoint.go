package engine

import (
	"context"
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
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, pragma := range []string{"PRAGMA busy_timeout = 500", "PRAGMA wal_checkpoint(RESTART)", busyPragma} {
		if _, err := c.tx.conn.ExecContext(ctx, pragma); err != nil {
			c.log.Warn("cannot checkpoint the database", "error", err)
		}
	}
}
