package queue

import (
	"context"
	"time"

	"github.com/waypost/waypost/internal/store/system"
)

// scanEvery is the poll that guarantees what wake-ups only hasten.
const scanEvery = time.Second

// How many keys one look at the index visits: a few for the alarms, which are few and
// looked for on every round.
const (
	scanStep  = 500
	alarmStep = 100
)

// scanLoop finds due keys: alarms first on every round, the other lanes from where
// the last round stopped. As long as it finds news it does not wait for the poll.
func (q *Queue) scanLoop(ctx context.Context) {
	ticker := time.NewTicker(scanEvery)
	defer ticker.Stop()
	var alarms, others system.Key
	look := func() {
		if q.heed.Swap(false) {
			q.Changed(ctx)
		}
		var more [2]bool
		var err error
		if alarms, more[0], err = q.scan(ctx, alarms, true); err == nil {
			if others.Lane < 1 {
				others = system.Key{Lane: 1}
			}
			others, more[1], err = q.scan(ctx, others, false)
		}
		if err != nil && ctx.Err() == nil {
			q.log.Error("cannot scan the queue", "error", err)
		}
		if more[0] || more[1] {
			q.Wake()
		}
	}
	for {
		q.round("scanning", look)
		if !q.wait(ctx, ticker.C) {
			return
		}
	}
}

// wait sleeps until the poll, a wake-up that asks for a scan, or the end of ctx;
// timers that go off meanwhile are served.
func (q *Queue) wait(ctx context.Context, poll <-chan time.Time) bool {
	for {
		timer := time.NewTimer(q.fire())
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-poll:
			timer.Stop()
			return true
		case <-q.wake:
			timer.Stop()
			if q.rescan.Swap(false) {
				return true
			}
		case <-timer.C:
		}
	}
}

// scan visits keys after a given one and returns where to go on, the zero key after
// the end, and whether it found news and has not reached the end. With alarms it
// visits the alarm lane only.
func (q *Queue) scan(ctx context.Context, after system.Key, alarms bool) (next system.Key, more bool, err error) {
	step := scanStep
	if alarms {
		step = alarmStep
	}
	found, err := q.store.Due(ctx, after, step)
	if err != nil {
		return after, false, err
	}
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	news := false
	for _, d := range found {
		if alarms && d.Lane > 0 {
			found = nil
			break
		}
		news = q.note(d, now, false) || news
	}
	q.letGo()
	q.dispatch()
	if len(found) < step {
		return system.Key{}, false, nil
	}
	return found[len(found)-1].Key, news, nil
}

// expireLoop ends deliveries past their expiry.
func (q *Queue) expireLoop(ctx context.Context) {
	ticker := time.NewTicker(scanEvery)
	defer ticker.Stop()
	for {
		q.round("expiring", func() { q.expire(ctx) })
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (q *Queue) expire(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := q.store.Expire(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			q.log.Error("cannot expire deliveries", "error", err)
		}
		if n == 0 || err != nil {
			return
		}
	}
}
