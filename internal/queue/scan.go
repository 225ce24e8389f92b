package queue

import (
	"container/heap"
	"context"
	"time"

	"github.com/waypost/waypost/internal/store/system"
)

// scanEvery is the poll that guarantees what wake-ups only hasten.
const scanEvery = time.Second

// scanStep bounds how many keys one look at the index visits.
const scanStep = 500

// scanLoop finds due keys: alarms first on every round, the other lanes from where
// the last round stopped.
func (q *Queue) scanLoop(ctx context.Context) {
	ticker := time.NewTicker(scanEvery)
	defer ticker.Stop()
	alarmEnd := system.Key{}
	var cursor system.Key
	for {
		var err error
		if alarmEnd, err = q.scan(ctx, alarmEnd, true); err == nil {
			if cursor.Lane < 1 {
				cursor = system.Key{Lane: 1}
			}
			cursor, err = q.scan(ctx, cursor, false)
		}
		if err != nil && ctx.Err() == nil {
			q.log.Error("cannot scan the queue", "error", err)
		}
		if !q.wait(ctx, ticker.C) {
			return
		}
	}
}

// wait sleeps until the poll, a wake-up that asks for a scan, or the end of ctx;
// timers that go off meanwhile are served.
func (q *Queue) wait(ctx context.Context, poll <-chan time.Time) bool {
	for {
		next := q.fire()
		timer := time.NewTimer(next)
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

// fire lists the keys whose time has come and returns how long until the next one.
func (q *Queue) fire() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for len(q.timers) > 0 {
		if d := q.timers[0].at.Sub(now); d > 0 {
			return d
		}
		k := heap.Pop(&q.timers).(timer).k
		k.timed, k.parked, k.due = false, false, true
		q.list(k)
		q.dispatch()
	}
	return time.Minute
}

// scan visits keys after a given one and returns where to go on; the zero key after
// the end. With alarms it visits the alarm lane only.
func (q *Queue) scan(ctx context.Context, after system.Key, alarms bool) (system.Key, error) {
	found, err := q.store.Due(ctx, after, scanStep)
	if err != nil {
		return after, err
	}
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range found {
		if alarms && d.Lane > 0 {
			return system.Key{}, nil
		}
		q.note(d, now)
	}
	q.dispatch()
	if len(found) < scanStep {
		return system.Key{}, nil
	}
	return found[len(found)-1].Key, nil
}

// note takes in what is known of a key. q.mu is held.
func (q *Queue) note(d system.DueKey, now time.Time) {
	k := q.key(d.Key)
	switch {
	case k.claiming, k.parked && k.timed:
	case !d.NextAt.After(now):
		k.due, k.parked = true, false
		q.list(k)
	case !k.timed:
		q.remember(k, d.NextAt)
	}
	q.forget(k)
}

// key returns the state of a key, making it if needed. q.mu is held.
func (q *Queue) key(key system.Key) *keyState {
	k := q.keys[key]
	if k == nil {
		k = &keyState{key: key}
		q.keys[key] = k
	}
	return k
}

// forget drops a key of which nothing is known any more. q.mu is held.
func (q *Queue) forget(k *keyState) {
	if q.keys[k.key] == k && len(k.jobs) == 0 && !k.due && !k.timed && !k.claiming && !k.listed && !k.parked {
		delete(q.keys, k.key)
	}
}

// list puts a ready key into its lane's ring. q.mu is held.
func (q *Queue) list(k *keyState) {
	if !k.listed && k.ready() {
		k.listed = true
		q.rings[k.key.Lane].push(k)
	}
}

// expireLoop ends deliveries past their expiry.
func (q *Queue) expireLoop(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		for {
			n, err := q.store.Expire(ctx, time.Now())
			if err != nil && ctx.Err() == nil {
				q.log.Error("cannot expire deliveries", "error", err)
			}
			if n == 0 || err != nil {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
