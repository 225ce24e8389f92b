package queue

import (
	"context"
	"log/slog"
	"maps"
	"time"

	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// unsavedMark is what is known of a result that could not be written.
type unsavedMark struct {
	route waypost.RouteKind
	lane  int
	fails int // while the database was there
}

// A result that fails so often although the database is there is at fault itself. It
// is kept and retried, but no longer holds everything else back, unless there are
// many of the kind: then it is not the result.
const (
	hopeless = 10
	mostOdd  = 64
)

// holdsBack reports whether results that are not recorded forbid to dial anything
// new. q.mu is held.
func (q *Queue) holdsBack() bool {
	if len(q.unsaved) > mostOdd {
		return true
	}
	for _, u := range q.unsaved {
		if u.fails < hopeless {
			return true
		}
	}
	return false
}

// finish records a result. One that cannot be written stays here and is retried, and
// nothing new is dialed meanwhile. q.mu must not be held: done may be called at once.
func (q *Queue) finish(f *system.Finish, r waypost.RouteKind, lane int) {
	q.writes.Add(1)
	q.store.Finish(f, func(err error) {
		defer q.writes.Done()
		if err == nil {
			q.recorded(f, r, lane)
			return
		}
		q.log.Error("cannot record a result, keeping it in memory", "delivery", f.Delivery.ID, "state", string(f.State), "error", err)
		q.mu.Lock()
		q.unsaved[f] = &unsavedMark{route: r, lane: lane, fails: 1}
		q.mu.Unlock()
	})
}

// recorded follows a durable result. It runs in the committer and is quick.
func (q *Queue) recorded(f *system.Finish, r waypost.RouteKind, lane int) {
	if f.Lost {
		q.log.Warn("lease was lost, the result was not recorded", "delivery", f.Delivery.ID, "state", string(f.State))
	} else if q.o.Observe != nil && f.Settled.Final() {
		q.contain("counting", slog.String("delivery", f.Delivery.ID), func() {
			q.o.Observe.Finished(f.Settled, r, waypost.LaneOfRank(lane), f.At.Sub(f.Delivery.Created))
		})
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.ours, f.Delivery.ID)
	delete(q.control, f.Delivery.ID) // settled with it
	if q.stopping || f.Lost || f.Settled != waypost.Queued || f.Held {
		return
	}
	q.noteRow(&f.Delivery, f.NextAt, time.Now())
	q.dispatch()
}

// retryUnsaved writes results again that could not be written.
func (q *Queue) retryUnsaved(ctx context.Context) {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			q.round("writing results again", func() { q.saveUnsaved() })
		}
	}
}

const saveEvery = time.Second

// saveUnsaved tries once to write what could not be written, waits for it, and
// returns how many are left.
func (q *Queue) saveUnsaved() int {
	q.saving.Lock()
	defer q.saving.Unlock()
	q.mu.Lock()
	again := maps.Clone(q.unsaved)
	q.mu.Unlock()
	if len(again) == 0 {
		return 0
	}
	there := q.lease.age() < 2*beatEvery
	left := make(chan struct{}, len(again))
	for f, u := range again {
		q.store.Finish(f, func(err error) {
			defer func() { left <- struct{}{} }()
			q.mu.Lock()
			if err != nil {
				if there {
					u.fails++
				}
				q.mu.Unlock()
				return
			}
			delete(q.unsaved, f)
			q.mu.Unlock()
			q.recorded(f, u.route, u.lane)
		})
	}
	for range again {
		<-left
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dispatch()
	return len(q.unsaved)
}

// saveUntil writes what could not be written again and again until ctx ends, at least
// once.
func (q *Queue) saveUntil(ctx context.Context) {
	ticker := time.NewTicker(saveEvery / 4)
	defer ticker.Stop()
	for q.saveUnsaved() > 0 {
		select {
		case <-ctx.Done():
			q.mu.Lock()
			defer q.mu.Unlock()
			for f := range q.unsaved {
				q.log.Error("the result of a delivery is lost: it could not be recorded",
					"delivery", f.Delivery.ID, "state", string(f.State), "reason", f.Reason)
			}
			return
		case <-ticker.C:
		}
	}
}

// giveBack returns deliveries of a job that was not started, and the job with the
// last of them. q.mu is held.
func (q *Queue) giveBack(j *job, deliveries []waypost.Delivery, at time.Time, why string) {
	q.held -= len(deliveries)
	if len(deliveries) == len(j.deliveries) {
		j.dest.jobs--
		j.content.done()
	}
	now := time.Now()
	// Not from here: done may be called at once, and takes q.mu.
	q.jobs.Go(func() { q.finishUntried(j, deliveries, at, why, now) })
}

func (q *Queue) finishUntried(j *job, deliveries []waypost.Delivery, at time.Time, why string, now time.Time) {
	for _, d := range deliveries {
		q.contain("giving back", slog.String("delivery", d.ID), func() {
			f := untried(j, d, at, why, now)
			q.finish(f, "", j.lane)
			j.tellOnce(waypost.Attempt{Outcome: waypost.OutcomeUntried, Reply: waypost.Reply{Text: f.Reason}}, f.State)
		})
	}
}

// giveBackAll empties the memory at the end.
func (q *Queue) giveBackAll() {
	q.mu.Lock()
	var all []*job
	for _, k := range q.keys {
		all = append(all, k.jobs...)
		k.jobs = nil
	}
	for _, j := range all {
		j.dest.jobs--
		q.held -= len(j.deliveries)
		j.content.done()
	}
	q.mu.Unlock()
	now := time.Now()
	for _, j := range all {
		q.finishUntried(j, j.deliveries, now, "", now)
	}
}
