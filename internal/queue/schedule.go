package queue

import (
	"math/rand/v2"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// Schedule gives the waits between the tries of a lane. The first retries matter
// most: a greylisted alarm is worth nothing after a quarter of an hour. The last
// wait repeats until the delivery expires.
func Schedule(lane waypost.Lane) []time.Duration {
	const m, h = time.Minute, time.Hour
	switch lane {
	case waypost.LaneAlarm:
		return []time.Duration{30 * time.Second, m, 2 * m, 5 * m, 15 * m, 30 * m, h, 2 * h, 4 * h}
	case waypost.LaneTransactional:
		return []time.Duration{m, 2 * m, 5 * m, 15 * m, 30 * m, h, 2 * h, 4 * h}
	default:
		return []time.Duration{m, 5 * m, 15 * m, 30 * m, h, 2 * h, 4 * h}
	}
}

// jitter is the share by which a wait may be longer or shorter, so that mail that
// failed together does not come back together.
const jitter = 0.1

// backoff is the wait after the step-th temporary failure, counted from 1.
func backoff(lane waypost.Lane, step int) time.Duration {
	s := Schedule(lane)
	d := s[min(max(step, 1), len(s))-1]
	return d + time.Duration((rand.Float64()*2-1)*jitter*float64(d)) //nolint:gosec // spreads load, hides nothing
}

// siteBackoff is how long a site is left alone after n failed cohorts in a row.
func siteBackoff(n int) time.Duration {
	d := 30 * time.Second << min(max(n, 1)-1, 5)
	return min(d, 15*time.Minute)
}
