package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/segment"
	"github.com/waypost/waypost/internal/waypost"
)

// Body is a body that messages refer to by id.
type Body struct {
	ID   string
	Data []byte
}

// fileBody is from how many bytes on a body goes to a segment file, where there are
// any. Below it a sync of its own costs more than writing it twice.
const fileBody = 64 << 10

// writeBodies writes the bodies of a group: large ones to a segment file, which is
// synced before the transaction can commit, the others into their rows.
func (s *Store) writeBodies(ctx context.Context, tx *engine.Tx, group []*Accepting) error {
	var large [][]byte
	for _, a := range group {
		for _, b := range a.Bodies {
			if s.goesToFile(a, b) {
				large = append(large, b.Data)
			}
		}
	}
	var refs []segment.Ref
	if len(large) > 0 {
		var err error
		if refs, err = s.engine.Segments.Append(large); err != nil {
			return err
		}
	}
	var rows []any
	for _, a := range group {
		for _, b := range a.Bodies {
			data, ref := b.Data, segment.Ref{}
			if s.goesToFile(a, b) {
				data, ref, refs = nil, refs[0], refs[1:]
			}
			rows = append(rows, b.ID, a.OperatorID, notNull(data), ref.File, ref.At, ref.Size, ref.Sum)
		}
	}
	return tx.Rows(ctx, bodyHead, "", nil, 7, rows)
}

// goesToFile says where a body belongs. Security mail stays in the database, where it
// is erased in the transaction that makes its last delivery final.
func (s *Store) goesToFile(a *Accepting, b Body) bool {
	return s.engine.Segments != nil && len(b.Data) >= fileBody && a.Messages[0].Kind != waypost.KindSecurity
}

// ReadBody returns the bytes of a body's row, from wherever they lie.
func ReadBody(e *engine.Engine, data []byte, ref segment.Ref) ([]byte, error) {
	if ref.File == "" {
		return data, nil
	}
	if e.Segments == nil {
		return nil, errors.New("the body lies in a file, and this database has none")
	}
	return e.Segments.Read(ref)
}

// DropBody deletes a body that no message uses any more. Bodies are shared only
// within a batch, so its batch is the only place to look. Bytes in a file are noted as
// to be erased: they must not be while the transaction can still fail.
func DropBody(ctx context.Context, tx *engine.Tx, bodyID, batchID string) error {
	var ref segment.Ref
	err := tx.QueryRowContext(ctx, `DELETE FROM body WHERE id = $1
  AND NOT EXISTS (SELECT 1 FROM message m WHERE m.batch_id = $2 AND m.batch_id <> '' AND m.body_id = $1)
RETURNING file, file_at, file_size`, bodyID, batchID).Scan(&ref.File, &ref.At, &ref.Size)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil || ref.File == "" {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO body_residue (file, file_at, file_size) VALUES ($1, $2, $3)", ref.File, ref.At, ref.Size)
	return err
}
