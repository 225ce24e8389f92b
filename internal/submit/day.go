package submit

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/waypost/waypost/internal/reputation"
	"github.com/waypost/waypost/internal/waypost"
)

// builtin reports whether the mail leaves by the built-in gateway, as things stand.
func (d *draft) builtin() bool {
	return d.account.Gateway == waypost.GatewayBuiltin && !d.sub.Principal.Test && d.sub.Once == nil && !d.p.o.Platform.Sandbox()
}

// countRecipients heeds how many recipients a day the operator may have on the built-in
// gateway. What it returns has to be called when it is known whether the mail was accepted.
// Mail of kind security goes past it.
func (d *draft) countRecipients(ctx context.Context) (end func(accepted bool), err error) {
	end = func(bool) {}
	if !d.builtin() || d.sub.Kind == waypost.KindSecurity {
		return end, nil
	}
	limit := reputation.Limit(d.account.Guard, d.account.Operator, d.account.Reputation, d.now)
	if limit == 0 {
		return end, nil
	}
	n := int64(0)
	for i := range d.deliveries {
		if d.deliveries[i].State == waypost.Queued {
			n++
		}
	}
	end, ok, err := d.p.days.take(ctx, d.account.ID, n, int64(limit), d.now)
	switch {
	case err != nil:
		return nil, fmt.Errorf("count recipients of the day: %w", err)
	case !ok:
		return nil, &waypost.Error{
			Kind: waypost.RateLimited, Code: "daily_limit", SMTP: "4.5.3",
			After:   time.Until(d.now.Truncate(time.Hour).Add(time.Hour + time.Minute)), // when an hour of yesterday is over
			Message: fmt.Sprintf("the operator may mail %d recipients in 24 hours over the built-in gateway; try again later, or ask the platform for more", limit),
		}
	}
	return end, nil
}

// dayCounts count the recipients of operators in the last 24 hours: what the roll-up knows, and
// what was accepted here since it was read.
type dayCounts struct {
	store   Store
	flights singleflight.Group

	mu         sync.Mutex
	byOperator map[string]*day
}

// day is what is known of one operator.
type day struct {
	read  time.Time // when the reading began
	kept  int64     // what was read
	since int64     // taken, and not in kept for sure
	done  int64     // of these: accepted
}

// dayRereads is how often the roll-up is read of an operator that sends.
const dayRereads = 5 * time.Second

func newDayCounts(s Store) *dayCounts { return &dayCounts{store: s, byOperator: map[string]*day{}} }

// take counts n recipients if they fit in.
func (s *dayCounts) take(ctx context.Context, operator string, n, limit int64, now time.Time) (end func(accepted bool), ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.of(operator)
	if age := now.Sub(d.read); d.read.IsZero() || age >= dayRereads || age < 0 {
		s.mu.Unlock()
		err := s.reread(ctx, operator, d, now)
		s.mu.Lock()
		if err != nil {
			return nil, false, err
		}
	}
	if d.kept+d.since+n > limit {
		return nil, false, nil
	}
	d.since += n
	return func(accepted bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if accepted {
			d.done += n
		} else {
			d.since -= n
		}
	}, true, nil
}

// of is what is known of an operator. s.mu is held.
func (s *dayCounts) of(operator string) *day {
	d := s.byOperator[operator]
	if d == nil {
		if len(s.byOperator) >= maxRates {
			clear(s.byOperator)
		}
		d = &day{}
		s.byOperator[strings.Clone(operator)] = d
	}
	return d
}

// reread reads the roll-up, once however many wait for it.
func (s *dayCounts) reread(ctx context.Context, operator string, d *day, now time.Time) error {
	_, err, _ := s.flights.Do(operator, func() (any, error) {
		s.mu.Lock()
		done := d.done // in the roll-up by now
		s.mu.Unlock()
		kept, err := s.store.BuiltinAccepted(context.WithoutCancel(ctx), operator, now.Add(-24*time.Hour))
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		d.read, d.kept = now, kept
		d.since -= done
		d.done -= done
		return nil, nil
	})
	return err
}
