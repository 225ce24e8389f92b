package system

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/segment"
)

// residueBatch bounds how many erased bodies one transaction forgets.
const residueBatch = 500

// EraseResidue erases in segment files what deleted bodies left there and removes files
// that have no body any more. While a backup is made it leaves that for the next time.
func (y *System) EraseResidue(ctx context.Context) error {
	files := y.engine.Segments
	if files == nil {
		return nil
	}
	_, err := files.Tidy(func() error {
		for {
			n, err := y.eraseResidue(ctx, files)
			if err != nil {
				return err
			}
			if n < residueBatch {
				return files.Sweep(func(file string) (used bool, err error) {
					err = y.engine.Reader().QueryRowContext(ctx,
						"SELECT EXISTS (SELECT 1 FROM body WHERE file = $1 AND file <> '')", file).Scan(&used)
					return used, err
				})
			}
		}
	})
	if err != nil {
		return fmt.Errorf("erase residue: %w", err)
	}
	return nil
}

// eraseResidue erases before it forgets: done twice it does no harm.
func (y *System) eraseResidue(ctx context.Context, files *segment.Files) (n int, err error) {
	rows, err := y.engine.Reader().QueryContext(ctx, "SELECT file, file_at, file_size FROM body_residue ORDER BY file, file_at LIMIT $1", residueBatch)
	if err != nil {
		return 0, err
	}
	var refs []segment.Ref
	var keys []any
	if err := engine.Each(rows, func(rows *sql.Rows) error {
		var r segment.Ref
		err := rows.Scan(&r.File, &r.At, &r.Size)
		refs, keys = append(refs, r), append(keys, r.File, r.At)
		return err
	}); err != nil || len(refs) == 0 {
		return 0, err
	}
	if err := files.Erase(refs); err != nil {
		return 0, err
	}
	return len(refs), y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		return tx.Rows(ctx, "DELETE FROM body_residue WHERE (file, file_at) IN (", ")", nil, 2, keys)
	})
}
