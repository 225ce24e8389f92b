package reputation

import (
	"math"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

const (
	// deviations is how sure a share has to be.
	deviations = 3

	// Below this part of the rates, for that long, a lower level will do. Without it an
	// operator at the edge would be told about every change of the weather.
	calmPart = 0.8
	calmFor  = 6 * time.Hour
)

// Judge returns what becomes of a reputation by the figures of the windows. Of a trusted
// operator nothing worse than a warning.
func Judge(p waypost.ReputationPolicy, r waypost.Reputation, w waypost.ReputationWindows, trusted bool, now time.Time) waypost.Reputation {
	level, why := levelOf(p, w, 1)
	calm, calmWhy := levelOf(p, w, calmPart)
	if trusted {
		level, calm = atMost(level, waypost.LevelWarned), atMost(calm, waypost.LevelWarned)
	}
	was := r.Now()
	switch {
	case p.Off:
		return r
	case trusted && was.Rank() > waypost.LevelWarned.Rank():
		return set(r, level, why, w, now)
	case level.Rank() > was.Rank():
		return set(r, level, why, w, now)
	case was == waypost.LevelPaused || calm.Rank() >= was.Rank():
		r.CalmSince = time.Time{}
	case r.CalmSince.IsZero():
		r.CalmSince = now
	case now.Sub(r.CalmSince) >= calmFor:
		return set(r, calm, calmWhy, w, now)
	}
	return r
}

func atMost(l, most waypost.ReputationLevel) waypost.ReputationLevel {
	if l.Rank() > most.Rank() {
		return most
	}
	return l
}

// set moves a reputation to a level.
func set(r waypost.Reputation, level waypost.ReputationLevel, why waypost.ReputationCause, w waypost.ReputationWindows, now time.Time) waypost.Reputation {
	r.Level, r.Since, r.Why, r.Figures, r.CalmSince, r.By = level, now, why, w, time.Time{}, waypost.Policy().ID
	switch {
	case level == waypost.LevelOK:
		r.Frozen = time.Time{}
	case r.Frozen.IsZero():
		r.Frozen = now
	}
	if level == waypost.LevelPaused {
		r.TroubleAt = now
	}
	return r
}

// Lift ends a pause, or whatever the level is: what was sent until now is forgiven, the hour
// under way being what it is, and the limit starts over.
func Lift(r waypost.Reputation, by waypost.Actor, hour waypost.GatewayFigures, now time.Time) waypost.Reputation {
	return waypost.Reputation{
		OperatorID: r.OperatorID, Level: waypost.LevelOK, Since: now, By: by.ID, TroubleAt: now, CountedFrom: now, Base: hour,
	}
}

// levelOf is the level that figures ask for, with a part of the rates.
func levelOf(p waypost.ReputationPolicy, w waypost.ReputationWindows, part float64) (waypost.ReputationLevel, waypost.ReputationCause) {
	worst, why := waypost.LevelOK, waypost.ReputationCause("")
	for _, f := range []waypost.GatewayFigures{w.Day, w.Week} {
		if f.Ended < int64(p.Least) {
			continue
		}
		if l := at(p.Bounces, 100*Sure(f.Bounced, f.Ended), part); l.Rank() > worst.Rank() {
			worst, why = l, waypost.CauseBounces
		}
		if f.Complaints < int64(p.LeastSpam) {
			continue
		}
		if l := at(p.Complaints, 100*Sure(f.Complaints, f.Ended), part); l.Rank() > worst.Rank() {
			worst, why = l, waypost.CauseComplaints
		}
	}
	return worst, why
}

// at is the level of a share in percent. A rate of 0 is none.
func at(r waypost.Rates, percent, part float64) waypost.ReputationLevel {
	over := func(rate float64) bool { return rate > 0 && percent >= rate*part }
	switch {
	case over(r.Pause):
		return waypost.LevelPaused
	case over(r.Slow):
		return waypost.LevelSlowed
	case over(r.Warn):
		return waypost.LevelWarned
	}
	return waypost.LevelOK
}

// Sure is the share, 0 to 1, that k of n is at least, whatever chance added: the lower end
// of the Wilson score interval (Wilson 1927).
func Sure(k, n int64) float64 {
	if k <= 0 || n <= 0 {
		return 0
	}
	if k > n { // complaints about what ended before the window began
		k = n
	}
	const z2 = deviations * deviations
	share, of := float64(k)/float64(n), float64(n)
	middle := share + z2/(2*of)
	half := deviations * math.Sqrt(share*(1-share)/of+z2/(4*of*of))
	return max(0, (middle-half)/(1+z2/of))
}
