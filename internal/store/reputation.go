package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// Reputation reads how an operator stands with the built-in gateway; of one of whom nothing
// is known it is ok.
func (s *Store) Reputation(ctx context.Context, operatorID string) (waypost.Reputation, error) {
	row, err := s.queries().Reputation(ctx, operatorID)
	if errors.Is(err, sql.ErrNoRows) {
		return waypost.Reputation{OperatorID: operatorID, Level: waypost.LevelOK}, nil
	}
	if err != nil {
		return waypost.Reputation{}, fmt.Errorf("read reputation: %w", err)
	}
	return ReputationOf(row), nil
}

// ReputationOf is a reputation as its row has it; store/system reads the same rows.
func ReputationOf(row tenantsql.Reputation) waypost.Reputation {
	r := waypost.Reputation{
		OperatorID: row.OperatorID, Level: waypost.ReputationLevel(row.Level), Since: waypost.FromMillis(row.Since),
		Why: waypost.ReputationCause(row.Why), Frozen: waypost.FromMillis(row.FrozenAt), CalmSince: waypost.FromMillis(row.CalmSince),
		TroubleAt: waypost.FromMillis(row.TroubleAt), CountedFrom: waypost.FromMillis(row.CountedFrom),
		Base: waypost.GatewayFigures{Ended: row.BaseEnded, Bounced: row.BaseBounced, Complaints: row.BaseComplaints},
		By:   row.ChangedBy,
	}
	// Figures are for people to look at. What an other version wrote there does no harm.
	_ = json.Unmarshal([]byte(row.Figures), &r.Figures)
	return r
}

// BuiltinAccepted counts the recipients of an operator that were accepted for the built-in
// gateway since a time, its whole hour included, without mail of kind security.
func (s *Store) BuiltinAccepted(ctx context.Context, operatorID string, since time.Time) (int64, error) {
	n, err := s.queries().BuiltinAccepted(ctx, tenantsql.BuiltinAcceptedParams{OperatorID: operatorID, FirstHour: HourOf(since)})
	if err != nil {
		return 0, fmt.Errorf("count recipients: %w", err)
	}
	return n, nil
}

// GatewayWindows reads the figures that a reputation is judged by.
func (s *Store) GatewayWindows(ctx context.Context, r waypost.Reputation, now time.Time) (waypost.ReputationWindows, error) {
	first := FirstHours(now)
	rows, err := s.queries().BuiltinHours(ctx, tenantsql.BuiltinHoursParams{OperatorID: r.OperatorID, FirstHour: max(first.Week, HourOf(r.CountedFrom))})
	if err != nil {
		return waypost.ReputationWindows{}, fmt.Errorf("read roll-up: %w", err)
	}
	var w waypost.ReputationWindows
	for _, row := range rows {
		f := waypost.GatewayFigures{Ended: row.Ended, Bounced: row.Bounced, Complaints: row.Complaints}
		w.Week.Add(f)
		if row.Hour >= first.Day {
			w.Day.Add(f)
		}
	}
	return first.Forgive(r, w), nil
}

// WindowHours are the first hours of the sliding windows.
type WindowHours struct{ Day, Week int64 }

// FirstHours are those of the windows that end now.
func FirstHours(now time.Time) WindowHours {
	return WindowHours{Day: HourOf(now.Add(-24 * time.Hour)), Week: HourOf(now.Add(-7 * 24 * time.Hour))}
}

// Forgive takes from the figures since the hour of CountedFrom what that hour had before.
func (h WindowHours) Forgive(r waypost.Reputation, w waypost.ReputationWindows) waypost.ReputationWindows {
	hour := HourOf(r.CountedFrom)
	if hour >= h.Day {
		w.Day = less(w.Day, r.Base)
	}
	if hour >= h.Week {
		w.Week = less(w.Week, r.Base)
	}
	return w
}

func less(f, base waypost.GatewayFigures) waypost.GatewayFigures {
	return waypost.GatewayFigures{
		Ended: max(0, f.Ended-base.Ended), Bounced: max(0, f.Bounced-base.Bounced), Complaints: max(0, f.Complaints-base.Complaints),
	}
}

// HourOf is the hour of the roll-up that a time lies in; 0 for the zero time.
func HourOf(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Unix() / 3600
}
