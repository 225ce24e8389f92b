package queue

import (
	"container/heap"
	"time"
)

// timers remember when known keys fall due, the earliest first.
type timers []*keyState

// maxTimers bounds them; past it the scan finds the keys in its round.
const maxTimers = 65536

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].slot, t[j].slot = i+1, j+1
}

// Push implements heap.Interface.
func (t *timers) Push(x any) {
	k := x.(*keyState)
	*t = append(*t, k)
	k.slot = len(*t)
}

// Pop implements heap.Interface.
func (t *timers) Pop() any {
	old := *t
	k := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	k.slot = 0
	return k
}

// remember makes sure that a key is looked at by then. q.mu is held.
func (q *Queue) remember(k *keyState, at time.Time) {
	switch {
	case k.slot == 0 && len(q.timers) < maxTimers:
		k.at = at
		heap.Push(&q.timers, k)
	case k.slot != 0 && at.Before(k.at):
		k.at = at
		heap.Fix(&q.timers, k.slot-1)
	default:
		return
	}
	if q.timers[0] == k {
		q.signal()
	}
}

// fire lists the keys whose time has come and returns how long until the next one.
func (q *Queue) fire() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	now, next, fired := time.Now(), time.Minute, false
	for len(q.timers) > 0 {
		if d := q.timers[0].at.Sub(now); d > 0 {
			next = d
			break
		}
		k := heap.Pop(&q.timers).(*keyState)
		q.dueNow(k, now)
		fired = true
	}
	if fired {
		q.dispatch()
	}
	return next
}
