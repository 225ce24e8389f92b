package engine

import (
	"context"
	"fmt"
)

// CheckIntegrity reads an SQLite database whole and fails if it is damaged. On
// PostgreSQL it does nothing: the server has its own checksums.
func (e *Engine) CheckIntegrity(ctx context.Context) error {
	if e.Dialect.Name != "sqlite" {
		return nil
	}
	var answer string
	if err := e.reader.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&answer); err != nil {
		return fmt.Errorf("check integrity: %w", err)
	}
	if answer != "ok" {
		return fmt.Errorf("check integrity: the database is damaged: %s", answer)
	}
	return nil
}
