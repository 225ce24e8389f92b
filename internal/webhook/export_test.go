package webhook

import "time"

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

// What the schedules are.
var (
	RetryAfter = retryAfter
	ProbeAfter = probeAfter
	Asked      = asked
	Shown      = shown
)

// Poll looks at the database as Run does.
func (h *Webhooks) Poll() { h.poll(h.run) }

// Chores does what Run does now and then.
func (h *Webhooks) Chores() { h.chores(h.run) }
