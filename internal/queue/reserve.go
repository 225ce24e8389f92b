package queue

import (
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// maxHandover bounds how many deliveries wait in memory.
const maxHandover = 4096

// Reserve asks whether a message that is about to be accepted may be tried at once
// from memory: it is due now, it has a route, fewer than twice its destinations'
// slots wait in memory, and the budget has room. If so its deliveries must be written
// leased, with attempt 1, and the handover started or cancelled. A test mail needs no
// room; it is refused only while nothing at all is started, or too many tests are under
// way. Without a handover Start only tells the queue that there are due rows.
func (q *Queue) Reserve(a *waypost.Account, m *waypost.Message, deliveries []waypost.Delivery, once *waypost.Once) (waypost.Handover, bool) {
	now := time.Now()
	refused := waypost.Handover{Start: func() { q.noteAccepted(deliveries) }, Cancel: func() {}}
	if once == nil && m.SendAt.After(now) {
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
	var decision route.Decision
	var share *content
	if once == nil {
		decision = route.Pick(q.o.Platform, a, route.Mail{Kind: m.Kind, Test: m.Test}, now)
		if decision.Route == "" || decision.Probe {
			return refused, false
		}
		if share = q.budget[m.Lane.Rank()].try(a.ID, m.Size); share == nil {
			return refused, false
		}
	}
	jobs := q.prepare(a, m, queued, decision, once, now)
	if len(jobs) == 0 {
		if share != nil {
			share.jobs.Store(1)
			share.done()
		}
		if once != nil {
			refused.Refused = q.tooManyTests(a.ID)
		}
		return refused, false
	}
	if share != nil {
		share.jobs.Store(int32(len(jobs))) // at most 1000 recipients
		for _, j := range jobs {
			j.content = share
		}
	}
	return waypost.Handover{
		Lease:   q.lease.incarnation,
		RetryAt: now.Add(backoff(m.Lane, 1)),
		Start:   func() { q.start(jobs) },
		Cancel:  func() { q.unreserve(jobs) },
	}, true
}

// prepare makes the jobs of a message and counts them in; none if there is no room.
func (q *Queue) prepare(a *waypost.Account, m *waypost.Message, queued []waypost.Delivery, decision route.Decision, once *waypost.Once, now time.Time) []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.blocked() || (once == nil && q.held+len(queued) > maxHandover) || (once != nil && q.crowded(a.ID)) {
		return nil
	}
	lane := m.Lane.Rank()
	whole := decision.Route == waypost.RouteRelay || once != nil
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
			var dest *destination
			if once != nil {
				dest = newDestination("test", 1) // its own: over settings that may not be saved
			} else {
				dest = q.destination(a.ID, site, decision, now)
				if dest.room(now)-fresh[dest] <= 0 || dest.leftAlone(now) || dest.interval(now) > 0 {
					return nil
				}
				fresh[dest]++
			}
			key := system.Key{Lane: lane, OperatorID: a.ID, Site: site}
			j = &job{key: &keyState{key: key}, dest: dest, route: decision.Route, lane: lane, account: a, messageID: m.ID, message: m, once: once}
			bySite[site] = j
			jobs = append(jobs, j)
		}
		j.deliveries = append(j.deliveries, leased(d, q.lease.incarnation))
	}
	for _, j := range jobs {
		q.take(j)
	}
	return jobs
}

// leased is a delivery as it is written when it is handed over.
func leased(d waypost.Delivery, incarnation string) waypost.Delivery {
	d.Lease, d.Epoch, d.Attempts = incarnation, 1, 1
	return d
}

func (q *Queue) start(jobs []*job) {
	q.mu.Lock()
	if q.stopping {
		q.mu.Unlock()
		q.startLate(jobs)
		return
	}
	defer q.mu.Unlock()
	for _, j := range jobs {
		if j.once != nil {
			q.begin(j) // in nobody's turn and nobody's session
			continue
		}
		k := q.key(j.key.key)
		j.key = k
		if j.content.share.short.Load() > 0 {
			j.unload()
		}
		k.jobs = append(k.jobs, j)
		q.list(k)
	}
	q.dispatch()
}

// startLate gives back what was accepted while the queue ended. Nobody may wait for
// it any more, so what fails is left to whoever takes back our leases.
func (q *Queue) startLate(jobs []*job) {
	q.unreserve(jobs)
	now := time.Now()
	for _, j := range jobs {
		for _, d := range j.deliveries {
			f := untried(j, d, now, "", now)
			q.store.Finish(f, func(err error) {
				if err != nil {
					q.log.Error("cannot give back a delivery", "delivery", d.ID, "error", err)
				}
			})
			j.tellOnce(waypost.Attempt{Outcome: waypost.OutcomeUntried, Reply: waypost.Reply{Text: errStopping.Error()}}, f.State)
		}
	}
}

// noteAccepted takes in the keys of deliveries that were accepted as ordinary rows.
func (q *Queue) noteAccepted(deliveries []waypost.Delivery) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range deliveries {
		if d := &deliveries[i]; d.State == waypost.Queued {
			q.noteRow(d, d.NextAt, now)
		}
	}
	q.dispatch()
}

// unreserve counts jobs out that are not to be started.
func (q *Queue) unreserve(jobs []*job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range jobs {
		j.dest.jobs--
		q.leave(j)
		j.content.done()
		for i := range j.deliveries {
			delete(q.ours, j.deliveries[i].ID)
		}
		q.serve(j.dest)
	}
}
