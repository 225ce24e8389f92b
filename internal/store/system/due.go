package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// Key is what a claim is for: the mail of one operator, in one lane, to one site.
type Key struct {
	Lane       int // rank
	OperatorID string
	Site       string
}

// DueKey is a key with the earliest time one of its rows is due.
type DueKey struct {
	Key
	NextAt time.Time
}

// Due lists keys that have unleased rows, in key order after a given key, at most
// limit of them: each costs one descent of the claim index, however many rows it has.
// A result shorter than limit means that the end was reached.
//
// The comparison names all columns of the index, with the largest time there is: one
// of its first three alone makes SQLite walk over all rows of the key before.
func (y *System) Due(ctx context.Context, after Key, limit int) ([]DueKey, error) {
	var keys []DueKey
	for len(keys) < limit {
		var k DueKey
		var next int64
		err := y.engine.Kept().QueryRowContext(ctx, `SELECT lane, operator_id, site, next_at FROM delivery
WHERE state = 'queued' AND lease = '' AND NOT held AND (lane, operator_id, site, next_at) > ($1, $2, $3, 9223372036854775807)
ORDER BY lane, operator_id, site, next_at LIMIT 1`, after.Lane, after.OperatorID, after.Site).
			Scan(&k.Lane, &k.OperatorID, &k.Site, &next)
		if errors.Is(err, sql.ErrNoRows) {
			return keys, nil
		}
		if err != nil {
			return keys, fmt.Errorf("scan due keys: %w", err)
		}
		k.NextAt = waypost.FromMillis(next)
		keys = append(keys, k)
		after = k.Key
	}
	return keys, nil
}

// NextDue returns the earliest time a row of one key is due; zero if it has none.
func (y *System) NextDue(ctx context.Context, k Key) (time.Time, error) {
	var next int64
	err := y.engine.Kept().QueryRowContext(ctx, `SELECT next_at FROM delivery
WHERE state = 'queued' AND lease = '' AND NOT held AND lane = $1 AND operator_id = $2 AND site = $3
ORDER BY next_at LIMIT 1`, k.Lane, k.OperatorID, k.Site).Scan(&next)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("next due: %w", err)
	}
	return waypost.FromMillis(next), nil
}
