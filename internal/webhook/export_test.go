package webhook

import (
	"net/http"
	"time"
)

// Pace sets how long calls and endpoints rest after failures.
func (h *Webhooks) Pace(retry func(attempts int) time.Duration, probe func(failures int) time.Duration) {
	h.retryAfter, h.probeAfter = retry, probe
}

// Workers is how many endpoints are worked on.
func (h *Webhooks) Workers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.workers)
}

// RetryAfter is how long a call rests after so many attempts.
func RetryAfter(attempts int) time.Duration { return retryAfter(attempts) }

// ProbeAfter is how long an endpoint rests after so many failures.
func ProbeAfter(failures int) time.Duration { return probeAfter(failures) }

// Asked is how long an answer asks us to wait.
func Asked(status int, h http.Header, now time.Time) time.Duration { return asked(status, h, now) }

// Shown is what is kept of an answer.
func Shown(text []byte) string { return shown(text) }

// Poll looks at the database as Run does.
func (h *Webhooks) Poll() { h.poll(h.run) }

// Chores does what Run does now and then.
func (h *Webhooks) Chores() { h.chores(h.run) }
