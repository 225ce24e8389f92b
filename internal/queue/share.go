package queue

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

// room is how many more sessions a lane may start now: of its own reserve, and of what
// is reserved for no lane.
type room struct{ own, common int }

// rooms says how much room each lane has. What other lanes have in reserve and do not
// use stays free for them.
func rooms(active, reserved *[laneCount]int, sessions int) [laneCount]room {
	var r [laneCount]room
	free, owed := sessions, 0
	for lane, n := range active {
		free -= n
		owed += max(0, reserved[lane]-n)
	}
	if free <= 0 {
		return r
	}
	for lane, n := range active {
		r[lane] = room{own: max(0, reserved[lane]-n), common: max(0, free-owed)}
	}
	return r
}

// greed is how many sessions an operator may have for each one that it leaves free.
const greed = 5

// spare is how many sessions are left for operators that have none: a twentieth.
func spare(sessions int) int { return (sessions + 10) / 20 }

// admits reports whether an operator with so many sessions may start one more. What it
// may have shrinks with what is left, as in the dynamic thresholds of switches with
// shared memory (Choudhury and Hahne, 1998): one operator whose sites all hang gets
// about half of the sessions, ten get some six in a hundred each, and whoever comes next
// finds something left. The spare ones are for newcomers only: who has no session yet.
func (r room) admits(busy int, newcomer bool, spare int) bool {
	if newcomer {
		return r.own+r.common > 0
	}
	return busy < greed*(r.own+max(0, r.common-spare))
}

// tally counts by operator.
type tally map[string]int

func (t tally) add(operator string) { t[operator]++ }

func (t tally) remove(operator string) {
	if t[operator]--; t[operator] == 0 {
		delete(t, operator)
	}
}

// sessionsOf counts the sessions that an operator's share of a lane is measured by:
// those of all lanes, or it would have a share in each. Alarms count by themselves, so
// that nothing else an operator sends holds its alarms up.
func (q *Queue) sessionsOf(lane int) tally {
	if lane == 0 {
		return q.alarms
	}
	return q.others
}

// admits reports whether an operator may start a session in a lane with that much
// room. q.mu is held.
func (q *Queue) admits(r room, lane int, operator string) bool {
	busy := q.sessionsOf(lane)[operator]
	newcomer := busy == 0 && (lane == 0 || q.alarms[operator] == 0)
	return r.admits(busy, newcomer, spare(q.o.Sessions))
}

// admitted reports whether a key may start a session now, were it its turn. q.mu is held.
func (q *Queue) admitted(k *keyState) bool {
	r := rooms(&q.laneBusy, &q.reserved, q.o.Sessions)
	return q.admits(r[k.key.Lane], k.key.Lane, k.key.OperatorID)
}

// pick takes the next key out of its ring: of the most urgent lane that has room, of
// the first operator in turn whose share is not used up. Without claim it leaves alone
// those whose rows have to be claimed. nil if there is none. q.mu is held.
func (q *Queue) pick(claim bool) *keyState {
	for i, r := range rooms(&q.laneBusy, &q.reserved, q.o.Sessions) {
		if r.own+r.common == 0 {
			continue
		}
		k := q.lanes[i].pop(claim, func(operator string) bool { return q.admits(r, i, operator) })
		if k != nil {
			return k
		}
	}
	return nil
}

// keep keeps a slot of a destination for a key that it woke. q.mu is held.
func (q *Queue) keep(k *keyState, d *destination) {
	k.from = d
	d.woken++
	q.kept[k] = struct{}{}
}

// turnOver gives back the slot that a destination kept for a key it woke, and returns
// the destination, nil if there was none. q.mu is held.
func (q *Queue) turnOver(k *keyState) *destination {
	d := k.from
	if d != nil {
		k.from = nil
		d.woken--
		delete(q.kept, k)
	}
	return d
}

// letGo gives back the slots kept for keys whose operators have used up their share
// since: others want to go there. q.mu is held.
func (q *Queue) letGo() {
	for k := range q.kept {
		if !k.claiming && !q.admitted(k) {
			q.serve(q.turnOver(k))
		}
	}
}
