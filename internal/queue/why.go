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
	case d.Lease != "" && d.Lease != q.lease.incarnation:
		return "with another node, which tries it when it is its turn"
	case d.Lease != "" && q.started(d.ID):
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
	if d.Lease == "" && d.NextAt.After(now) { // what is in memory has a next time in case that we die
		at := d.NextAt.UTC().Format(time.RFC3339)
		if d.Attempts == 0 {
			return "scheduled for " + at
		}
		return "next try at " + at + ": " + orText(d.Reason, "the last try did not get through")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	dest := q.dests[destinationName(d.OperatorID, d.Site, decision)]
	lane := d.Lane.Rank()
	room := rooms(&q.laneBusy, &q.reserved, q.o.Sessions)[lane]
	switch {
	case len(q.unsaved) > 0:
		return "waits until the results of other mails can be recorded"
	case dest != nil && now.Before(dest.closed):
		return strings.TrimPrefix(dest.name, "site ") + " is left alone until " + dest.closed.UTC().Format(time.RFC3339) + ": " + dest.why
	case dest != nil && dest.free(lane, now) <= 0:
		return "all sessions to " + strings.TrimPrefix(dest.name, "site ") + " are in use"
	case room.own+room.common == 0:
		return "all sessions are in use"
	case !q.admits(room, lane, d.OperatorID):
		return "other mail of the operator has all the sessions that it may have now"
	default:
		return "waits for its turn"
	}
}

// started reports whether a delivery is in a session or about to be.
func (q *Queue) started(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ours[id]
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
