package queue

import "github.com/waypost/waypost/internal/store/system"

const laneCount = 4

// keyState is what is known of a key while anything is.
type keyState struct {
	key      system.Key
	jobs     []*job // in memory, in order
	due      bool   // has rows in the database that are due now
	timed    bool   // is in the timers
	claiming bool
	listed   bool // is in its lane's ring or waits at a destination
	parked   bool // has no route; waits for a change or its timer
}

func (k *keyState) ready() bool {
	return len(k.jobs) > 0 || (k.due && !k.claiming && !k.parked)
}

// ring is one lane's ready keys: operators in turn, and each operator's keys in turn.
type ring struct {
	turn []string // operators with ready keys
	keys map[string][]*keyState
}

func (r *ring) push(k *keyState) {
	if r.keys == nil {
		r.keys = map[string][]*keyState{}
	}
	op := k.key.OperatorID
	if len(r.keys[op]) == 0 {
		r.turn = append(r.turn, op)
	}
	r.keys[op] = append(r.keys[op], k)
}

func (r *ring) pop() *keyState {
	if len(r.turn) == 0 {
		return nil
	}
	op := r.turn[0]
	r.turn = r.turn[1:]
	keys := r.keys[op]
	k := keys[0]
	if len(keys) == 1 {
		delete(r.keys, op)
	} else {
		r.keys[op] = keys[1:]
		r.turn = append(r.turn, op)
	}
	return k
}

func (r *ring) empty() bool { return len(r.turn) == 0 }

// shares are the sessions kept free for each lane, in hundredths of all sessions:
// no lane can be starved by a more urgent one, and an alarm always finds a session.
func shares(sessions int) [laneCount]int {
	hundredths := [laneCount]int{20, 20, 10, 5}
	var s [laneCount]int
	for i, h := range hundredths {
		s[i] = max(1, sessions*h/100)
	}
	return s
}

// pick returns the most urgent lane that has something ready and may start one more
// session without touching what is reserved for others; -1 if there is none.
func pick(rings *[laneCount]ring, active, reserved *[laneCount]int, sessions int) int {
	free := sessions
	for _, n := range active {
		free -= n
	}
	if free <= 0 {
		return -1
	}
	owed := 0 // reserved for others and not in use
	for lane := range reserved {
		owed += max(0, reserved[lane]-active[lane])
	}
	for lane := range rings {
		if rings[lane].empty() {
			continue
		}
		own := max(0, reserved[lane]-active[lane])
		if own > 0 || free-owed > 0 {
			return lane
		}
	}
	return -1
}
