package engine

import (
	"context"
	"errors"
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

// CheckBackup is CheckIntegrity for a file that is to be all there is: it also fails if
// bodies lie outside of it.
func (e *Engine) CheckBackup(ctx context.Context) error {
	if err := e.CheckIntegrity(ctx); err != nil {
		return err
	}
	var outside bool
	if err := e.reader.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM body WHERE file <> '')").Scan(&outside); err != nil {
		return fmt.Errorf("check backup: %w", err)
	}
	if outside {
		return errors.New("check backup: some bodies lie in files beside it, so it is the copy of a live database and not whole: " +
			"use a file that waypost backup wrote")
	}
	return nil
}
