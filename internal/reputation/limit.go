package reputation

import (
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// Limit is how many recipients a day an operator may have on the built-in gateway, mail of
// kind security aside; 0 for any number.
func Limit(p waypost.ReputationPolicy, o waypost.Operator, r waypost.Reputation, now time.Time) int {
	switch {
	case p.Off || o.Trusted || o.ID == waypost.PlatformOperatorID:
		return 0
	case o.PerDay > 0:
		return o.PerDay
	}
	age := Age(o, r, now)
	for _, step := range p.Ramp {
		if age < time.Duration(step.Days)*24*time.Hour {
			return step.Recipients
		}
	}
	return 0
}

// Age is the age that the limit goes by: since the operator was created or had to be
// paused, and not counting what passed since it was warned, while it is.
func Age(o waypost.Operator, r waypost.Reputation, now time.Time) time.Duration {
	from, to := o.Created, now
	if r.TroubleAt.After(from) {
		from = r.TroubleAt
	}
	if !r.Frozen.IsZero() && r.Frozen.Before(to) {
		to = r.Frozen
	}
	return max(0, to.Sub(from))
}
