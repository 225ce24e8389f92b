package queue

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/store/system"
)

// sum adds up sessions.
func sum(lanes [laneCount]int) (n int) {
	for _, a := range lanes {
		n += a
	}
	return n
}

// What is reserved for a lane stays reserved, and nothing is left unused that somebody
// may have.
func TestRoomRespectsTheReservesOfLanes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sessions := rapid.IntRange(laneCount, 300).Draw(t, "sessions")
		reserved := shares(sessions)
		if sum(reserved) > sessions {
			t.Fatalf("%d of %d sessions are reserved", sum(reserved), sessions)
		}
		var active [laneCount]int
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			lane := rapid.IntRange(0, laneCount-1).Draw(t, "lane")
			if rapid.IntRange(0, 3).Draw(t, "what") == 0 {
				active[lane] = max(0, active[lane]-1)
				continue
			}
			r := rooms(&active, &reserved, sessions)
			for other, n := range active {
				if n < reserved[other] && !r[other].admits(0, true, spare(sessions)) {
					t.Fatalf("lane %d is below its reserve and has no room: %v", other, active)
				}
			}
			if r[lane].admits(0, true, spare(sessions)) {
				active[lane]++
			} else if free := sessions - sum(active); free > 0 {
				owed := 0
				for other := range active {
					owed += max(0, reserved[other]-active[other])
				}
				if free > owed {
					t.Fatalf("%d sessions are free, %d of them reserved, and lane %d gets none", free, owed, lane)
				}
			}
			if sum(active) > sessions {
				t.Fatal("too many sessions")
			}
		}
	})
}

func TestFewSessionsServeTheMostUrgent(t *testing.T) {
	q := New(Options{Sessions: 1})
	for _, lane := range []int{3, 1} {
		q.list(wanting(q, lane, "op", "s"))
	}
	k := q.pick(true)
	if k == nil || k.key.Lane != 1 {
		t.Fatalf("picked %+v", k)
	}
	q.laneBusy[1] = 1
	if k := q.pick(true); k != nil {
		t.Errorf("picked %+v", k.key)
	}
}

// wanting is a key with due rows.
func wanting(q *Queue, lane int, operator, site string) *keyState {
	k := q.key(system.Key{Lane: lane, OperatorID: operator, Site: site})
	k.due = true
	return k
}

// hold starts sessions that never end: as many as each operator gets in its lanes.
func hold(q *Queue, lanes []int, operators ...string) (held map[string]int) {
	for _, lane := range lanes {
		for _, op := range operators {
			for n := range q.o.Sessions {
				q.list(wanting(q, lane, op, fmt.Sprint("hang", n)))
			}
		}
	}
	held = map[string]int{}
	for k := q.pick(true); k != nil; k = q.pick(true) {
		q.laneBusy[k.key.Lane]++
		q.sessionsOf(k.key.Lane).add(k.key.OperatorID)
		held[k.key.OperatorID]++
	}
	return held
}

func TestOneOperatorGetsAGoodPartOfTheSessions(t *testing.T) {
	for sessions, want := range map[int]int{1: 1, 4: 1, 10: 5, 20: 10, 50: 25, 100: 50, 200: 100, 1000: 500} {
		q := New(Options{Sessions: sessions})
		if got := hold(q, []int{1}, "op")["op"]; got != want {
			t.Errorf("%d of %d sessions, want %d", got, sessions, want)
		}
	}
	// With mail in all lanes it gets more, since every lane has its reserve, but not all.
	q := New(Options{Sessions: 100})
	hold(q, []int{3, 2, 1}, "op")
	if n := sum(q.laneBusy); n < 50 || n > 65 {
		t.Errorf("%d of 100 sessions over all lanes", n)
	}
	for lane, least := range shares(100) {
		if lane > 0 && q.laneBusy[lane] < least/2 {
			t.Errorf("lane %d has %d sessions, %d are reserved for it", lane, q.laneBusy[lane], least)
		}
	}
}

func TestNewcomerAlwaysFindsASession(t *testing.T) {
	for _, sessions := range []int{20, 100, 200} {
		for _, flooders := range []int{1, 2, 5, sessions / 10, sessions / 4} {
			for _, lanes := range [][]int{{1}, {2}, {3}, {1, 2}, {1, 2, 3}, {0, 1, 2, 3}} {
				q := New(Options{Sessions: sessions})
				var ops []string
				for n := range flooders {
					ops = append(ops, fmt.Sprint("flood", n))
				}
				held := hold(q, lanes, ops...)
				least, most := sessions, 0
				for _, op := range ops {
					least, most = min(least, held[op]), max(most, held[op])
				}
				if least == 0 || most > 3*least {
					t.Errorf("%d flooders in lanes %v hold from %d to %d sessions of %d each", flooders, lanes, least, most, sessions)
				}
				for lane := range laneCount {
					if k := wanting(q, lane, "newcomer", "s"); !q.admitted(k) {
						t.Errorf("%d flooders in lanes %v of %d sessions: nothing left in lane %d, busy %v", flooders, lanes, sessions, lane, q.laneBusy)
					}
				}
			}
		}
	}
}

func TestFloodOfOtherMailDoesNotCountAgainstAnOperatorsAlarms(t *testing.T) {
	q := New(Options{Sessions: 100})
	hold(q, []int{1, 2, 3}, "op")
	if got := hold(q, []int{0}, "op")["op"]; got < 20 {
		t.Errorf("%d alarms", got)
	}
}

func TestSlotKeptForAnOperatorThatUsedUpItsShareSinceIsLetGo(t *testing.T) {
	q := New(Options{Sessions: 100})
	d := newDestination("site shared", 1)
	q.dests[d.name] = d
	first, second := wanting(q, 1, "flood", "shared"), wanting(q, 1, "other", "shared")
	now := time.Now()
	q.await(first, d, false, now)
	q.await(second, d, false, now)
	q.serve(d)
	if first.from != d || second.listed != atDest {
		t.Fatal("the first in line has no slot")
	}
	q.letGo()
	if first.from != d {
		t.Error("the slot of an operator with no session was let go")
	}
	hold(q, []int{1}, "flood")
	q.list(first)
	q.letGo()
	if first.from != nil || second.from != d || d.woken != 1 {
		t.Errorf("first %v, second %v, %d slots kept", first.from, second.from, d.woken)
	}
}

func TestSlotIsNotKeptForAnOperatorThatHasUsedUpItsShare(t *testing.T) {
	q := New(Options{Sessions: 100})
	d := newDestination("site shared", 1)
	q.dests[d.name] = d
	hold(q, []int{1}, "flood")
	first, second := wanting(q, 1, "flood", "shared"), wanting(q, 1, "other", "shared")
	now := time.Now()
	q.await(first, d, false, now)
	q.await(second, d, false, now)
	q.serve(d)
	if first.from != nil || first.listed != inRows || second.from != d {
		t.Errorf("first %v in %d, second %v", first.from, first.listed, second.from)
	}
}
