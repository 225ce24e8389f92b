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
}

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

// pop takes the next key of an operator that is admitted, nil if there is none. Without
// claim it leaves alone those whose rows have to be claimed.
func (l *lane) pop(claim bool, admitted func(operator string) bool) *keyState {
	r, at := &l.memory, l.memory.next(admitted)
	if claim {
		if rows := l.rows.next(admitted); rows >= 0 && (at < 0 || l.rows.turn[rows].since < r.turn[at].since) {
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

// next returns the place of the first operator that is admitted, -1 if there is none.
func (r *ring) next(admitted func(operator string) bool) int {
	return slices.IndexFunc(r.turn, func(t turn) bool { return admitted(t.operator) })
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

// pushFirst puts a key before all others of its operator, and the operator before the others.
func (r *ring) pushFirst(k *keyState) {
	if r.keys == nil {
		r.keys = map[string][]*keyState{}
	}
	op := k.key.OperatorID
	if len(r.keys[op]) > 0 {
		r.turn = slices.DeleteFunc(r.turn, func(t turn) bool { return t.operator == op })
	}
	r.turn = slices.Insert(r.turn, 0, turn{operator: op})
	r.keys[op] = slices.Insert(r.keys[op], 0, k)
}

func (r *ring) empty() bool { return len(r.turn) == 0 }

// take takes out those keys that are wanted, operator by operator.
func (r *ring) take(wanted func(k *keyState) bool) (taken []*keyState) {
	r.turn = slices.DeleteFunc(r.turn, func(t turn) bool {
		r.keys[t.operator] = slices.DeleteFunc(r.keys[t.operator], func(k *keyState) bool {
			if wanted(k) {
				taken = append(taken, k)
				return true
			}
			return false
		})
		if len(r.keys[t.operator]) > 0 {
			return false
		}
		delete(r.keys, t.operator)
		return true
	})
	return taken
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
