package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	// standingBound is up to how many rows of a sort Standing looks at.
	standingBound = 1000

	// delaySample is of how many messages Delays looks at the deliveries, delayRows at how
	// many of these.
	delaySample = 200
	delayRows   = 1000
)

// Totals reads what became of everything an operator ever handed over, from the counters.
// What is in none of the final states is queued.
func (s *Store) Totals(ctx context.Context, operatorID string) (Counts, error) {
	row, err := s.queries().Counter(ctx, operatorID)
	if err != nil {
		return Counts{}, fmt.Errorf("read counters: %w", err)
	}
	return Counts(row), nil
}

// Standing is how the queue of an operator stands. It is found at a bounded cost, however
// much is queued.
type Standing struct {
	Held     int64     // waiting for a person, counted up to 1,000
	MoreHeld bool      // there are more
	Oldest   time.Time // when the oldest queued delivery was accepted; zero for none
	Sampled  bool      // too much is queued to look at all of it: there may be an older one
}

// Standing reads how the queue of an operator stands.
func (s *Store) Standing(ctx context.Context, operatorID string) (Standing, error) {
	var out Standing
	queue := queueOf(operatorID)
	err := s.engine.Snapshot(ctx, func(r engine.Reader) error {
		var err error
		oldest := func(w where, order string, limit int) (n int64) {
			var created sql.NullInt64
			if err == nil {
				err = r.QueryRowContext(ctx, "SELECT COUNT(*), MIN(created) FROM (SELECT created FROM delivery WHERE "+w.text+order+" LIMIT "+w.arg(limit)+") AS bounded", w.args...).
					Scan(&n, &created)
				out.older(created)
			}
			return n
		}
		out.Held = oldest(queue.held, " ORDER BY id", standingBound+1)
		if out.Held > standingBound {
			out.Held, out.MoreHeld = standingBound, true
		}
		for _, lane := range queue.waiting {
			out.Sampled = oldest(lane, "", standingBound) == standingBound || out.Sampled
		}
		oldest(queue.leased, "", math.MaxInt32) // as many as nodes hold in memory
		return err
	})
	if err != nil {
		return Standing{}, fmt.Errorf("read queue: %w", err)
	}
	return out, nil
}

func (s *Standing) older(created sql.NullInt64) {
	if !created.Valid {
		return
	}
	if at := waypost.FromMillis(created.Int64); s.Oldest.IsZero() || at.Before(s.Oldest) {
		s.Oldest = at
	}
}

// Delays lists how long the deliveries of an operator's 200 newest messages took that were
// delivered, at most 1,000 of them and in no order: from when they might leave until the
// remote had taken them.
func (s *Store) Delays(ctx context.Context, operatorID string) ([]time.Duration, error) {
	rows, err := s.engine.Reader().QueryContext(ctx, `SELECT d.updated, newest.created, newest.send_at
FROM (SELECT id, created, send_at FROM message WHERE operator_id = $1 ORDER BY id DESC LIMIT $2) AS newest
JOIN delivery d ON d.message_id = newest.id WHERE d.state = 'delivered' LIMIT $3`, operatorID, delaySample, delayRows)
	if err != nil {
		return nil, fmt.Errorf("read delays: %w", err)
	}
	var delays []time.Duration
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var done, created, sendAt int64
		err := rows.Scan(&done, &created, &sendAt)
		delays = append(delays, max(0, time.Duration(done-max(created, sendAt))*time.Millisecond))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read delays: %w", err)
	}
	return delays, nil
}
