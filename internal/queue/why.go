package queue

import (
	"strings"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// Why says in a sentence why a queued delivery is not being tried now.
func (q *Queue) Why(a *waypost.Account, d *waypost.Delivery) string {
	now := time.Now()
	switch {
	case d.State != waypost.Queued:
		return ""
	case d.Lease != "" && d.Control != "":
		return d.Control + " was asked for and takes effect before the next step"
	case d.Lease != "":
		return "being tried now"
	case d.Held:
		return "held: " + orText(d.Reason, "waits until somebody releases it")
	}
	decision := route.Pick(q.o.Platform, a, route.Mail{Kind: d.Kind, Test: isTest(d)}, now)
	if decision.Route == "" {
		if decision.Until.IsZero() {
			return decision.Why
		}
		return decision.Why + "; next try at " + decision.Until.UTC().Format(time.RFC3339)
	}
	if d.NextAt.After(now) {
		at := d.NextAt.UTC().Format(time.RFC3339)
		if d.Attempts == 0 {
			return "scheduled for " + at
		}
		return "next try at " + at + ": " + orText(d.Reason, "the last try did not get through")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	dest := q.dests[destinationName(d.OperatorID, d.Site, decision)]
	switch {
	case len(q.unsaved) > 0:
		return "waits until the results of other mails can be recorded"
	case dest == nil:
		return "waits for its turn"
	case now.Before(dest.closed):
		return strings.TrimPrefix(dest.name, "site ") + " is left alone until " + dest.closed.UTC().Format(time.RFC3339) + ": " + dest.why
	case dest.free(d.Lane.Rank(), now) <= 0:
		return "all sessions to " + strings.TrimPrefix(dest.name, "site ") + " are in use"
	default:
		return "waits for its turn"
	}
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
