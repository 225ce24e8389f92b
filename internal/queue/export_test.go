package queue

import (
	"fmt"

	"github.com/waypost/waypost/internal/store/system"
)

// Times that tests wait for.
const (
	TalkWithin  = talkWithin
	DotWithin   = dotWithin
	DeadAfter   = deadAfter
	StrayEvery  = strayEvery
	MaxHandover = maxHandover
	MaxClaims   = maxClaims
	MaxKeys     = maxKeys
	DownAfter   = downAfter
	TestTalk    = testTalk
	TestReply   = testReply
)

// Idle says what of the queue's accounts is not back at its beginning, "" if all is.
func (q *Queue) Idle() string {
	for i, s := range q.budget {
		s.mu.Lock()
		used, holders, waiting := s.used, len(s.holds), len(s.waiting)
		s.mu.Unlock()
		if used != 0 || holders != 0 || waiting != 0 {
			return fmt.Sprintf("lane %d: %d bytes of the budget are in use, by %d operators, and %d wait", i, used, holders, waiting)
		}
		if !s.reading.TryAcquire(readers) {
			return fmt.Sprintf("lane %d: somebody is still reading", i)
		}
		s.reading.Release(readers)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.busy != 0 || q.laneBusy != [laneCount]int{}:
		return fmt.Sprintf("sessions: %d, by lane %v", q.busy, q.laneBusy)
	case len(q.alarms) != 0 || len(q.others) != 0:
		return fmt.Sprintf("sessions by operator: alarms %v, others %v", q.alarms, q.others)
	case q.testing != 0 || len(q.tests) != 0:
		return fmt.Sprintf("test mails: %d, by operator %v", q.testing, q.tests)
	case q.held != 0:
		return fmt.Sprintf("%d deliveries in memory", q.held)
	case len(q.ours) != 0:
		return fmt.Sprintf("%d deliveries are ours", len(q.ours))
	case q.claims != 0 || len(q.claiming) != 0:
		return fmt.Sprintf("claims: %d, by operator %v", q.claims, q.claiming)
	case len(q.unsaved) != 0:
		return fmt.Sprintf("%d results are not recorded", len(q.unsaved))
	case len(q.waiting) != 0:
		return fmt.Sprintf("%d jobs are about to start", len(q.waiting))
	}
	for name, d := range q.dests {
		if d.active != 0 || d.claimed != 0 || d.jobs != 0 {
			return fmt.Sprintf("destination %s: active %d, claimed %d, jobs %d", name, d.active, d.claimed, d.jobs)
		}
	}
	return ""
}

// Keys is how many keys are in memory; a queue without mail has none.
func (q *Queue) Keys() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.keys)
}

// Destinations is how many destinations are remembered.
func (q *Queue) Destinations() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.dests)
}

// Check finds keys that nothing would ever bring back, and sums that are off. It may
// be called at any time.
func (q *Queue) Check() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	known := map[owner]int{}
	jobs := map[*destination]int{}
	at := map[*keyState]int{}
	woken := map[*destination]int{}
	for _, d := range q.dests {
		for i := range d.waiting {
			for _, keys := range d.waiting[i].keys {
				for _, k := range keys {
					at[k]++
				}
			}
		}
	}
	for i := range q.lanes {
		for p, r := range map[place]*ring{inMemory: &q.lanes[i].memory, inRows: &q.lanes[i].rows} {
			for _, keys := range r.keys {
				for _, k := range keys {
					at[k]++
					if k.listed != p {
						return fmt.Sprintf("%v is in ring %d and says %d", k.key, p, k.listed)
					}
				}
			}
		}
	}
	for key, k := range q.keys {
		known[owner{key.Lane, key.OperatorID}]++
		for _, j := range k.jobs {
			jobs[j.dest]++
			if q.dests[j.dest.name] != j.dest {
				return fmt.Sprintf("%v has a job for a destination that is gone", key)
			}
		}
		if k.from != nil {
			woken[k.from]++
			if _, ok := q.kept[k]; !ok {
				return fmt.Sprintf("nobody knows that a slot is kept for %v", key)
			}
		}
		switch {
		case k.listed == nowhere && k.ready():
			return fmt.Sprintf("%v is ready and not listed", key)
		case k.listed == nowhere && !k.claiming && k.slot == 0 && !k.parked && !k.due && len(k.jobs) == 0:
			// A job of it may be under way, and forgets it in the end.
		case k.listed != nowhere && at[k] != 1:
			return fmt.Sprintf("%v is listed in %d places", key, at[k])
		case k.listed == nowhere && at[k] != 0:
			return fmt.Sprintf("%v is in %d places and says nowhere", key, at[k])
		case k.slot != 0 && q.timers[k.slot-1] != k:
			return fmt.Sprintf("%v is not where the timers have it", key)
		}
	}
	for o, n := range q.known {
		if known[o] != n {
			return fmt.Sprintf("%v has %d keys, not %d", o, known[o], n)
		}
	}
	for k := range q.kept {
		if k.from == nil || (k.listed == nowhere && !k.claiming) {
			return fmt.Sprintf("a slot is kept for %v without need", k.key)
		}
	}
	for _, d := range q.dests {
		if woken[d] != d.woken {
			return fmt.Sprintf("%s keeps %d slots for %d keys", d.name, d.woken, woken[d])
		}
		if jobs[d] > d.jobs {
			return fmt.Sprintf("%s counts %d jobs, there are %d", d.name, d.jobs, jobs[d])
		}
	}
	return ""
}

// Describe says what the queue knows of a key, for failures.
func (q *Queue) Describe(key system.Key) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	k := q.keys[key]
	text := fmt.Sprintf("busy %d %v, claims %d, held %d, unsaved %d, stopping %t, lease %v", q.busy, q.laneBusy, q.claims, q.held, len(q.unsaved), q.stopping, q.lease.age())
	if k == nil {
		return text + ", no key"
	}
	text += fmt.Sprintf(", due %t, claiming %t, parked %t, listed %d, slot %d at %v, jobs %d", k.due, k.claiming, k.parked, k.listed, k.slot, k.at, len(k.jobs))
	for _, d := range q.dests {
		for i := range d.waiting {
			for _, w := range d.waiting[i].keys[k.key.OperatorID] {
				if w == k {
					text += fmt.Sprintf(", waits at %s: active %d, claimed %d, woken %d, jobs %d, closed %v, window %v, probing %t",
						d.name, d.active, d.claimed, d.woken, d.jobs, d.closed, d.window, d.probing)
				}
			}
		}
	}
	return text
}
