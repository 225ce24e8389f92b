package webhook

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	failingAfter = 5             // failures in a row, from then on the endpoint is probed
	maxRetry     = 6 * time.Hour // the longest wait that an endpoint may ask for

	// disabledAfter is how many failures in a row it takes to disable an endpoint, however
	// long ago the first was: it may be we who were stopped, or whose clock was wrong. In
	// three days there are more, even at the longest wait.
	disabledAfter = 10
	// leastAttempts is how often a call is tried at least, for the same reason.
	leastAttempts = 3
)

// retryAfter is how long a call rests after so many attempts: with what comes last, at its
// end, that is three days.
func retryAfter(attempts int) time.Duration {
	steps := [...]time.Duration{
		5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour,
		8 * time.Hour, 12 * time.Hour, 16 * time.Hour, 24 * time.Hour,
	}
	return jitter(steps[max(0, min(attempts, len(steps))-1)])
}

// probeAfter is how long an endpoint rests that has failed so often in a row: what waits for
// it should not have to wait long once it works again.
func probeAfter(failures int) time.Duration {
	steps := [...]time.Duration{30 * time.Second, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}
	return jitter(steps[max(0, min(failures-failingAfter, len(steps)-1))])
}

// jitter keeps what failed together from coming again together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d)) //nolint:gosec // no secret
}

// asked is how long an answer asks us to wait: seconds or a date (RFC 9110 section 10.2.3),
// heeded with status 429 and 503, and bounded; 0 for nothing.
func asked(status int, h http.Header, now time.Time) time.Duration {
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return 0
	}
	value := strings.TrimSpace(h.Get("Retry-After"))
	var wait time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetry)
}

// settle says what becomes of a call after an attempt.
func (h *Webhooks) settle(c *waypost.WebhookCall, o outcome, now time.Time) store.WebhookResult {
	r := store.WebhookResult{CallID: c.ID, Attempt: o.WebhookAttempt, State: waypost.WebhookDelivered}
	switch {
	case o.OK():
	case o.moved:
		r.State, r.NextAt = waypost.WebhookWaiting, now
	case o.Status == http.StatusGone || !now.Before(c.Expires) && o.Number >= leastAttempts:
		r.State = waypost.WebhookFailed
	default:
		r.State = waypost.WebhookWaiting
		r.NextAt = now.Add(max(h.retryAfter(o.Number), o.wait))
		if now.Before(c.Expires) && r.NextAt.After(c.Expires) {
			r.NextAt = c.Expires // once more, at the end
		}
	}
	return r
}

// health is what is known of an endpoint after some attempts, and whether it is to be
// disabled.
func (h *Webhooks) health(w *store.WebhookWork, outcomes []outcome, now time.Time) (is store.WebhookHealth, disable waypost.WebhookDisabled) {
	is = store.WebhookHealth{
		FailingSince: w.FailingSince, FailingWhy: w.FailingWhy, Failures: w.Failures, NextAt: w.NextAt, Warned: w.Warned,
	}
	for _, o := range outcomes {
		if o.moved {
			continue
		}
		if o.OK() {
			is = store.WebhookHealth{Recovered: is.Recovered || is.Failures >= failingAfter}
			disable = ""
			continue
		}
		is.Recovered = false
		if is.Failures++; is.FailingSince.IsZero() {
			is.FailingSince = now
		}
		is.FailingWhy = o.Error
		wait := o.wait
		if is.Failures >= failingAfter {
			wait = max(wait, h.probeAfter(is.Failures))
		}
		if wait > 0 {
			is.NextAt = now.Add(wait)
		}
		age := now.Sub(is.FailingSince)
		switch {
		case o.Status == http.StatusGone:
			disable = waypost.DisabledAsGone
		case age >= waypost.WebhookLife && is.Failures >= disabledAfter:
			disable = waypost.DisabledAsFailing
		case age >= waypost.WebhookWarning && !is.Warned:
			is.Warned, is.Notice = true, waypost.NoticeWebhookFailing
		}
	}
	return is, disable
}
