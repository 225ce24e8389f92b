package store

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// Conservation is what became of everything an operator ever handed over.
type Conservation struct {
	Counts
	Queued   int64 `json:"queued"`   // rows
	Balanced bool  `json:"balanced"` // accepted = final states + queued
}

// Conservation reads counters and queue of an operator at one moment.
func (s *Store) Conservation(ctx context.Context, operatorID string) (Conservation, error) {
	var c Conservation
	err := s.engine.Snapshot(ctx, func(r engine.Reader) error {
		q := tenantsql.New(r)
		row, err := q.Counter(ctx, operatorID)
		if err != nil {
			return err
		}
		c.Counts = Counts(row)
		c.Queued, err = q.Queued(ctx, operatorID)
		return err
	})
	if err != nil {
		return c, fmt.Errorf("read conservation: %w", err)
	}
	c.Balanced = c.Accepted == c.Final()+c.Queued
	return c, nil
}

// HourCount is one hour of one kind of an operator's mail.
type HourCount struct {
	Hour time.Time    `json:"hour"` // its beginning, UTC
	Kind waypost.Kind `json:"kind"`
	Counts
}

// Rollup lists the hours from from (its hour included) to to, in order; hours
// without mail are left out.
func (s *Store) Rollup(ctx context.Context, operatorID string, from, to time.Time) ([]HourCount, error) {
	rows, err := s.queries().Rollup(ctx, tenantsql.RollupParams{
		OperatorID: operatorID, FirstHour: from.Unix() / 3600, EndHour: (to.Unix() + 3599) / 3600,
	})
	if err != nil {
		return nil, fmt.Errorf("read roll-up: %w", err)
	}
	hours := make([]HourCount, len(rows))
	for i, r := range rows {
		hours[i] = HourCount{
			Hour: time.Unix(r.Hour*3600, 0).UTC(), Kind: waypost.Kind(r.Kind),
			Counts: Counts{
				Accepted: r.Accepted, Delivered: r.Delivered, Bounced: r.Bounced, Expired: r.Expired,
				Cancelled: r.Cancelled, Suppressed: r.Suppressed, Uncertain: r.Uncertain,
			},
		}
	}
	return hours, nil
}
