package account

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/reputation"
	"github.com/waypost/waypost/internal/waypost"
)

// ReputationReport is how an operator stands with the built-in gateway, for the operator and
// the platform alike.
type ReputationReport struct {
	waypost.Reputation
	Applied  waypost.ReputationLevel // "ok" on the own server, and while the guard is off
	Windows  waypost.ReputationWindows
	Policy   waypost.ReputationPolicy
	Trusted  bool
	PerDay   int           // recipients in 24 hours; 0 for any number
	Own      bool          // that number was set for this operator
	Used     int64         // of these, with the whole hour that began 24 hours ago
	Age      time.Duration // that the number goes by
	SlowedTo int           // recipients a minute and node; 0 for any number
}

// Reputation reports how an operator stands with the built-in gateway. The error is NotFound
// if there is no such operator.
func (s *Service) Reputation(ctx context.Context, operatorID string, now time.Time) (ReputationReport, error) {
	a, err := s.o.Directory.Get(ctx, operatorID)
	if err != nil {
		return ReputationReport{}, err
	}
	r := ReputationReport{
		Reputation: a.Reputation, Applied: a.Level(), Policy: a.Guard, Trusted: a.Trusted, SlowedTo: a.SlowedTo(),
		PerDay: reputation.Limit(a.Guard, a.Operator, a.Reputation, now), Own: a.PerDay > 0, Age: reputation.Age(a.Operator, a.Reputation, now),
	}
	if r.Windows, err = s.o.Store.GatewayWindows(ctx, a.Reputation, now); err != nil {
		return ReputationReport{}, err
	}
	r.Used, err = s.o.Store.BuiltinAccepted(ctx, operatorID, now.Add(-24*time.Hour))
	return r, err
}

// LiftReputation lets an operator's mail go again by the built-in gateway: its figures count
// anew from now on, and its limit of recipients starts over. Lifting what is ok is no error.
func (s *Service) LiftReputation(ctx context.Context, by waypost.Actor, operatorID string, now time.Time) error {
	defer s.o.Directory.forget(operatorID)
	now = waypost.FromMillis(waypost.Millis(now))
	_, err := s.o.System.ChangeReputation(ctx, by, operatorID, now, func(was waypost.Reputation, hour waypost.GatewayFigures) waypost.Reputation {
		if was.Level == waypost.LevelOK {
			return was
		}
		return reputation.Lift(was, by, hour, now)
	})
	return err
}

// JudgeReputations looks at all operators with news from the built-in gateway, and at those
// that are not ok, and returns the reputations whose level is another one now. One operator
// that cannot be judged holds up no other.
func (s *Service) JudgeReputations(ctx context.Context, now time.Time) ([]waypost.Reputation, error) {
	settings, err := s.o.Directory.Platform(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	if settings.Reputation.Off {
		return nil, nil
	}
	now = waypost.FromMillis(waypost.Millis(now))
	cases, err := s.o.System.ReputationCases(ctx, now)
	if err != nil {
		return nil, err
	}
	var changed []waypost.Reputation
	var failed error
	for _, c := range cases {
		is, err := s.judge(ctx, settings.Reputation, c, now)
		switch {
		case waypost.KindOf(err) == waypost.NotFound: // deleted meanwhile
		case err != nil:
			failed = err
		case is.Level != c.Reputation.Level:
			changed = append(changed, is)
		}
	}
	return changed, failed
}

// judge decides about one operator, and writes what is another now.
func (s *Service) judge(ctx context.Context, p waypost.ReputationPolicy, c waypost.ReputationCase, now time.Time) (waypost.Reputation, error) {
	was := c.Reputation
	is := reputation.Judge(p, was, c.Windows, c.Trusted, now)
	switch {
	case is.Level != was.Level:
		defer s.o.Directory.forget(was.OperatorID)
		return s.o.System.ChangeReputation(ctx, waypost.Policy(), was.OperatorID, now, func(found waypost.Reputation, _ waypost.GatewayFigures) waypost.Reputation {
			if found.Level != was.Level || !found.Since.Equal(was.Since) { // somebody was quicker: the next look judges that
				return found
			}
			return is
		})
	case !is.CalmSince.Equal(was.CalmSince):
		return is, s.o.System.SetReputationCalm(ctx, was.OperatorID, is.CalmSince)
	}
	return is, nil
}
