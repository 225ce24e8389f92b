package queue

import "slices"

const laneCount = 4

// lane has the keys that want their turn, in two rings: those with jobs in memory,
// which can start at once, and those whose rows have to be claimed first. Between the
// rings, too, who came first goes first.
type lane struct {
	memory ring
	rows   ring
	pushed uint64
	busy   map[string]int // sessions by operator
	most   int            // sessions one operator may have in this lane; 0 for no limit
}

// operatorShare is the part of all sessions, in hundredths, that one operator may have in one
// lane: its hanging sites must not take every session from the others.
const operatorShare = 50

// begin and end count an operator's session.
func (l *lane) begin(operator string) {
	if l.busy == nil {
		l.busy = map[string]int{}
	}
	l.busy[operator]++
}

func (l *lane) end(operator string) {
	if l.busy[operator]--; l.busy[operator] == 0 {
		delete(l.busy, operator)
	}
}

func (l *lane) full(operator string) bool { return l.most > 0 && l.busy[operator] >= l.most }

func (l *lane) push(k *keyState) {
	l.pushed++
	if len(k.jobs) > 0 {
		k.listed = inMemory
		l.memory.push(k, l.pushed)
		return
	}
	k.listed = inRows
	l.rows.push(k, l.pushed)
}

// promote moves a key that has jobs by now to where it need not wait for a claim.
func (l *lane) promote(k *keyState) {
	if k.listed == inRows && len(k.jobs) > 0 {
		l.rows.remove(k)
		l.push(k)
	}
}

// pop takes the next key, nil if there is none. Without claim it leaves alone those
// whose rows have to be claimed.
func (l *lane) pop(claim bool) *keyState {
	r, at := &l.memory, l.memory.next(l.full)
	if claim {
		if rows := l.rows.next(l.full); rows >= 0 && (at < 0 || l.rows.turn[rows].since < r.turn[at].since) {
			r, at = &l.rows, rows
		}
	}
	if at < 0 {
		return nil
	}
	l.pushed++
	k := r.pop(at, l.pushed)
	k.listed = nowhere
	return k
}

// ready reports whether pop would return a key.
func (l *lane) ready(claim bool) bool {
	return l.memory.next(l.full) >= 0 || (claim && l.rows.next(l.full) >= 0)
}

// ring is a lane's keys of one sort: operators in turn, and each operator's keys in turn.
type ring struct {
	turn []turn
	keys map[string][]*keyState
}

// turn is an operator that waits, and since when: a number that only rises.
type turn struct {
	operator string
	since    uint64
}

func (r *ring) push(k *keyState, since uint64) {
	if r.keys == nil {
		r.keys = map[string][]*keyState{}
	}
	op := k.key.OperatorID
	if len(r.keys[op]) == 0 {
		r.turn = append(r.turn, turn{op, since})
	}
	r.keys[op] = append(r.keys[op], k)
}

// next returns the place of the first operator that may have another session, -1 if
// there is none.
func (r *ring) next(full func(operator string) bool) int {
	return slices.IndexFunc(r.turn, func(t turn) bool { return !full(t.operator) })
}

// pop takes a key of the operator at a place, and puts the operator behind the others.
func (r *ring) pop(at int, since uint64) *keyState {
	op := r.turn[at].operator
	if at == 0 {
		r.turn = r.turn[1:]
	} else {
		r.turn = slices.Delete(r.turn, at, at+1)
	}
	keys := r.keys[op]
	k := keys[0]
	keys[0] = nil
	if len(keys) == 1 {
		delete(r.keys, op)
	} else {
		r.keys[op] = keys[1:]
		r.turn = append(r.turn, turn{op, since})
	}
	return k
}

func (r *ring) remove(k *keyState) {
	op := k.key.OperatorID
	i := slices.Index(r.keys[op], k)
	if i < 0 {
		return
	}
	if r.keys[op] = slices.Delete(r.keys[op], i, i+1); len(r.keys[op]) == 0 {
		delete(r.keys, op)
		r.turn = slices.DeleteFunc(r.turn, func(t turn) bool { return t.operator == op })
	}
}

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
func pick(ready [laneCount]bool, active, reserved *[laneCount]int, sessions int) int {
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
	for lane := range ready {
		if !ready[lane] {
			continue
		}
		own := max(0, reserved[lane]-active[lane])
		if own > 0 || free-owed > 0 {
			return lane
		}
	}
	return -1
}
