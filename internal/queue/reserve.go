package queue

import (
	"strings"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// Reserve asks whether a message that is about to be accepted may be tried at once
// from memory: it is due now, it has a route, fewer than twice its destinations'
// slots wait in memory, and the budget has room. If so its deliveries must be written
// leased, with attempt 1, and the handover started or cancelled. A test mail is
// always taken. Without a handover Start only tells the queue that there are due rows.
func (q *Queue) Reserve(a *waypost.Account, m *waypost.Message, deliveries []waypost.Delivery, once *waypost.Once) (waypost.Handover, bool) {
	now := time.Now()
	refused := waypost.Handover{Start: func() { q.noteAccepted(deliveries) }, Cancel: func() {}}
	if q.lease.mayTalk() != nil || (once == nil && m.SendAt.After(now)) {
		return refused, false
	}
	var queued []waypost.Delivery
	for _, d := range deliveries {
		if d.State == waypost.Queued {
			queued = append(queued, d)
		}
	}
	if len(queued) == 0 {
		return refused, false
	}
	decision := route.Pick(q.o.Platform, a, route.Mail{Kind: m.Kind, Test: m.Test}, now)
	if once == nil && (decision.Route == "" || decision.Probe) {
		return refused, false
	}
	size := min(m.Size, q.o.Budget)
	if !q.budget.TryAcquire(size) {
		return refused, false
	}
	q.mu.Lock()
	jobs, ok := q.prepare(a, m, queued, decision, once, now)
	q.mu.Unlock()
	if !ok {
		q.budget.Release(size)
		return refused, false
	}
	share := &content{size: size}
	share.jobs.Store(int32(len(jobs))) //nolint:gosec // at most 1000 recipients
	for _, j := range jobs {
		j.content = share
	}
	return waypost.Handover{
		Lease:   q.lease.incarnation,
		RetryAt: now.Add(backoff(m.Lane, 1)),
		Start:   func() { q.start(jobs) },
		Cancel:  func() { q.unreserve(jobs) },
	}, true
}

// prepare makes the jobs of a message and counts them in. q.mu is held.
func (q *Queue) prepare(a *waypost.Account, m *waypost.Message, queued []waypost.Delivery, decision route.Decision, once *waypost.Once, now time.Time) ([]*job, bool) {
	if q.stopping || len(q.unsaved) > 0 {
		return nil, false
	}
	if once == nil && q.held+len(queued) > maxHandover {
		return nil, false
	}
	lane := m.Lane.Rank()
	whole := decision.Route == waypost.RouteRelay
	jobs := make([]*job, 0, 1)
	bySite := map[string]*job{}
	fresh := map[*destination]int{}
	for _, d := range queued {
		site := d.Site
		if whole {
			site = queued[0].Site // one transaction for all recipients: one key carries it
		}
		j := bySite[site]
		if j == nil || (!whole && len(j.deliveries) >= maxPerJob) {
			key := system.Key{Lane: lane, OperatorID: a.ID, Site: site}
			dest := q.destination(a, key, decision)
			if once == nil && (dest.room()-fresh[dest] <= 0 || now.Before(dest.closed)) {
				return nil, false
			}
			fresh[dest]++
			j = &job{key: &keyState{key: key}, dest: dest, lane: lane, account: a, messageID: m.ID, message: m, once: once}
			bySite[site] = j
			jobs = append(jobs, j)
		}
		j.deliveries = append(j.deliveries, leased(d, q.lease.incarnation))
	}
	for _, j := range jobs {
		j.dest.jobs++
		q.held += len(j.deliveries)
	}
	return jobs, true
}

// leased is a delivery as it is written when it is handed over.
func leased(d waypost.Delivery, incarnation string) waypost.Delivery {
	d.Lease, d.Epoch, d.Attempts = incarnation, 1, 1
	return d
}

func (q *Queue) start(jobs []*job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range jobs {
		if j.once != nil && !q.stopping {
			q.begin(j, time.Now()) // in nobody's turn: ten a minute and operator at most
			continue
		}
		k := q.key(j.key.key)
		j.key = k
		k.jobs = append(k.jobs, j)
		q.list(k)
	}
	q.dispatch()
}

// noteAccepted takes in the keys of deliveries that were accepted as ordinary rows.
func (q *Queue) noteAccepted(deliveries []waypost.Delivery) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range deliveries {
		if d.State == waypost.Queued {
			key := system.Key{Lane: d.Lane.Rank(), OperatorID: d.OperatorID, Site: d.Site}
			q.note(system.DueKey{Key: key, NextAt: d.NextAt}, now)
		}
	}
	q.dispatch()
}

func (q *Queue) unreserve(jobs []*job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range jobs {
		j.dest.jobs--
		q.held -= len(j.deliveries)
		q.drop(j.content)
	}
}

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
	dest := q.destination(a, system.Key{OperatorID: d.OperatorID, Site: d.Site}, decision)
	switch {
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

// Depth is what is in memory now, for metrics.
func (q *Queue) Depth() (sessions, deliveries int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.busy, q.held
}
