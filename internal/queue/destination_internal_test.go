package queue

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/store/system"
)

func waitAt(d *destination, lane int, operator string) *keyState {
	k := &keyState{key: system.Key{Lane: lane, OperatorID: operator, Site: "s"}, due: true, listed: atDest}
	d.waiting[lane].push(k, 0)
	return k
}

func TestWindowOpensWithSuccessUpToItsBound(t *testing.T) {
	now := time.Now()
	d := newDestination("site s", 20)
	if d.limit(now) != firstWindow || d.free(1, now) != firstWindow || d.free(0, now) != firstWindow+1 {
		t.Fatalf("limit %d", d.limit(now))
	}
	rounds := 0
	for ; d.limit(now) < 20 && rounds < 100; rounds++ {
		before := d.limit(now)
		for range before {
			d.judge(good, "", now)
		}
		if d.limit(now) > 2*before {
			t.Fatalf("from %d to %d in one round", before, d.limit(now))
		}
	}
	if rounds > 10 {
		t.Errorf("it took %d rounds", rounds)
	}
	for range 1000 {
		d.judge(good, "", now)
	}
	if d.limit(now) != 20 || d.window != 20 {
		t.Errorf("window %v", d.window)
	}
	if d := newDestination("site s", 2); d.limit(now) != 2 {
		t.Errorf("a small one starts with %d", d.limit(now))
	}
}

func TestCohortOfFailuresClosesForLongerEachTime(t *testing.T) {
	now := time.Now()
	d := newDestination("site s", 20)
	for i := range cohort - 1 {
		if d.judge(bad, "no route to host", now) {
			t.Fatalf("closed after %d failures", i+1)
		}
	}
	if !d.judge(bad, "no route to host", now) || !d.closed.Equal(now.Add(30*time.Second)) || d.limit(now) != 1 {
		t.Fatalf("%+v", d)
	}
	// The rest of those that were under way say nothing new.
	for range 20 {
		if d.judge(bad, "no route to host", now.Add(time.Second)) {
			t.Fatal("closed again by the same cohort")
		}
	}
	if d.free(1, now) != 0 || d.free(3, now.Add(29*time.Second)) != 0 {
		t.Error("free while closed")
	}
	if d.free(1, d.closed) != 1 {
		t.Error("not free when it opens")
	}
	// One more failure is enough from here.
	now = d.closed
	if !d.judge(bad, "still down", now) || !d.closed.Equal(now.Add(time.Minute)) || d.why != "still down" {
		t.Errorf("%+v", d)
	}
	d.judge(good, "", now)
	if !d.closed.IsZero() || d.closures != 0 || d.free(1, now) != 3 {
		t.Errorf("%+v", d)
	}
	if d.judge(neutral, "451", now); d.failures != 0 {
		t.Error("neutral counts")
	}
}

func TestRelayIsDownAfterARunOfFailuresOverSomeTime(t *testing.T) {
	begin := time.Now()
	d := newDestination("relay op", 20)
	if d.down(begin) {
		t.Error("by the first failure")
	}
	for range 4 { // broken together
		d.judge(bad, "connection refused", begin)
	}
	if d.down(begin.Add(downAfter - time.Second)) {
		t.Error("too soon")
	}
	if !d.down(begin.Add(downAfter)) {
		t.Error("not down after four failures and a while")
	}
	d.judge(good, "", begin)
	for i, at := range []time.Duration{0, downAfter, 2 * downAfter} {
		now := begin.Add(time.Hour + at)
		if got, want := d.down(now), i == 2; got != want {
			t.Errorf("by failure %d of a new run: %t", i+1, got)
		}
		d.judge(bad, "connection refused", now)
	}
	closed := newDestination("relay op", 20)
	for range cohort {
		closed.judge(bad, "connection refused", begin)
	}
	if closed.down(closed.closed) || !closed.down(begin.Add(downAfter)) {
		t.Error("the failures before it was closed do not count")
	}
}

func TestOneAlarmAtATimeLooksAtAClosedSite(t *testing.T) {
	now := time.Now()
	d := newDestination("site s", 20)
	d.closed = now.Add(time.Minute)
	if d.free(0, now) != 1 || d.free(1, now) != 0 {
		t.Errorf("alarm %d, others %d", d.free(0, now), d.free(1, now))
	}
	d.active = 1
	if d.free(0, now) > 0 {
		t.Error("two at a time")
	}
	d.active, d.relay = 0, true
	if d.free(0, now) != 0 {
		t.Error("a closed relay was offered to an alarm")
	}
}

func TestRelayKeepsASessionForAlarms(t *testing.T) {
	now := time.Now()
	d := newDestination("relay op", 5)
	d.relay = true
	d.active = 4
	if d.free(1, now) != 0 || d.free(0, now) != 1 {
		t.Errorf("others %d, alarm %d", d.free(1, now), d.free(0, now))
	}
	d.active = 5
	if d.free(0, now) != 0 {
		t.Error("more sessions than the relay may get")
	}
	one := newDestination("relay op", 1)
	one.relay = true
	if one.free(1, now) != 1 {
		t.Error("a relay with one session carries nothing")
	}
	d = newDestination("relay op", 20)
	d.relay, d.active = true, 5
	if d.free(0, now) != 1 || d.free(1, now) != 0 {
		t.Error("no session above the window for an alarm")
	}
}

func TestProbingRelayGetsOneSession(t *testing.T) {
	now := time.Now()
	d := newDestination("relay op", 20)
	d.relay, d.probing = true, true
	for lane := range laneCount {
		if d.free(lane, now) != 1 {
			t.Errorf("lane %d: %d", lane, d.free(lane, now))
		}
	}
	d.active = 1
	if d.free(0, now) != 0 {
		t.Error("an alarm probes too")
	}
	d.active = 0
	d.judge(good, "", now)
	if d.free(1, now) != firstWindow {
		t.Errorf("%d after it recovered", d.free(1, now))
	}
}

func TestWakeIsMostUrgentFirstInTheOrderOfArrival(t *testing.T) {
	now := time.Now()
	d := newDestination("site s", 20)
	d.active = 3
	bulk := waitAt(d, 3, "a")
	first, second, third := waitAt(d, 1, "a"), waitAt(d, 1, "b"), waitAt(d, 1, "c")
	alarm := waitAt(d, 0, "d")
	got := d.wake(now)
	if len(got) != 2 || got[0] != alarm || got[1] != first {
		t.Fatalf("%d woken", len(got))
	}
	d.woken = 2
	if got := d.wake(now); len(got) != 0 {
		t.Error("slots were given twice")
	}
	d.woken, d.active = 0, 0
	got = d.wake(now)
	if len(got) != 3 || got[0] != second || got[1] != third || got[2] != bulk {
		t.Errorf("%d woken", len(got))
	}
	if !d.idle() {
		t.Error("not idle")
	}
}

func TestBusyDestinationLetsNoLaneWaitForEver(t *testing.T) {
	now := time.Now()
	d := newDestination("relay op", 20)
	d.active = firstWindow - 1
	bulk := waitAt(d, 3, "a")
	for n := range 100 {
		for len(d.waiting[1].keys["b"]) < 3 {
			waitAt(d, 1, "b")
		}
		if slices.Contains(d.wake(now), bulk) {
			if n > courtesy {
				t.Errorf("bulk waited for %d others", n)
			}
			return
		}
	}
	t.Error("bulk never went")
}

// Whatever happens, the window stays in its bounds and nobody gets a slot that is
// not there.
func TestDestinationKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now()
		most := rapid.IntRange(1, 30).Draw(t, "most")
		d := newDestination("d", most)
		d.relay = rapid.Bool().Draw(t, "relay")
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0, 1:
				d.judge(good, "", now)
			case 2, 3:
				d.judge(bad, "why", now)
			case 4:
				now = now.Add(time.Duration(rapid.IntRange(0, 1200).Draw(t, "seconds")) * time.Second)
			case 5:
				lane := rapid.IntRange(0, laneCount-1).Draw(t, "lane")
				if d.free(lane, now) > 0 {
					d.active++
				}
			case 6:
				d.active = max(0, d.active-1)
			}
			if d.window < 1 || d.window > float64(max(most, 1)) {
				t.Fatalf("window %v of %d", d.window, most)
			}
			bound := most
			if !d.relay {
				bound++
			}
			if d.active > bound {
				t.Fatalf("%d sessions of %d", d.active, bound)
			}
			if d.active == 0 && !now.Before(d.closed) {
				for lane := range laneCount {
					if d.free(lane, now) < 1 {
						t.Fatalf("idle, open, and lane %d gets nothing", lane)
					}
				}
			}
		}
	})
}

// all admits every operator.
func all(string) bool { return true }

func TestRingServesOperatorsInTurn(t *testing.T) {
	var l lane
	for op := range 3 {
		for n := range 5 - op {
			l.push(&keyState{key: system.Key{Lane: 1, OperatorID: fmt.Sprint("op", op), Site: fmt.Sprint("s", n)}, due: true})
		}
	}
	var got string
	for k := l.pop(true, all); k != nil; k = l.pop(true, all) {
		got += k.key.OperatorID[2:] + k.key.Site[1:] + " "
	}
	if want := "00 10 20 01 11 21 02 12 22 03 13 04 "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestJobsInMemoryGoOnWhileClaimsAreTaken(t *testing.T) {
	var l lane
	l.push(&keyState{key: system.Key{OperatorID: "rows"}, due: true})
	memory := &keyState{key: system.Key{OperatorID: "memory"}, jobs: []*job{{}}}
	l.push(memory)
	if l.pop(false, all) != memory {
		t.Error("not the one in memory")
	}
	if l.pop(false, all) != nil {
		t.Error("the other is not ready without a claim")
	}
	// What gets a job while it waits for a claim need not wait any more.
	k := &keyState{key: system.Key{OperatorID: "rows", Site: "2"}, due: true}
	l.push(k)
	k.jobs = []*job{{}}
	l.promote(k)
	if l.pop(false, all) != k || l.pop(false, all) != nil || l.pop(true, all) == nil || l.pop(true, all) != nil {
		t.Error("promoted wrongly")
	}
}

// Between the two rings of a lane who came first goes first, so neither starves.
func TestRingsOfALaneAlternate(t *testing.T) {
	var l lane
	key := func(op string, jobs ...*job) *keyState {
		return &keyState{key: system.Key{OperatorID: op}, due: true, jobs: jobs}
	}
	l.push(key("memory", &job{}))
	l.push(key("rows"))
	got := map[string]int{}
	for range 100 {
		k := l.pop(true, all)
		got[k.key.OperatorID]++
		l.push(k)
	}
	if got["memory"] != 50 || got["rows"] != 50 {
		t.Error(got)
	}
}

func TestTimersGoOffEarliestFirstAndOnlyOncePerKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := New(Options{})
		now := time.Now()
		earliest := map[string]time.Time{}
		for range rapid.IntRange(0, 60).Draw(t, "n") {
			site := rapid.StringMatching("[a-f]").Draw(t, "site")
			at := now.Add(time.Duration(rapid.IntRange(1, 1000).Draw(t, "at")) * time.Second)
			q.remember(q.key(system.Key{Site: site}), at)
			if e, ok := earliest[site]; !ok || at.Before(e) {
				earliest[site] = at
			}
		}
		if len(q.timers) != len(earliest) {
			t.Fatalf("%d timers for %d keys", len(q.timers), len(earliest))
		}
		for i, k := range q.timers {
			if k.slot != i+1 || !k.at.Equal(earliest[k.key.Site]) {
				t.Fatalf("%v: slot %d at %d, %v", k.key, k.slot, i, k.at)
			}
			if i > 0 && k.at.Before(q.timers[(i-1)/2].at) {
				t.Fatal("not a heap")
			}
		}
	})
}

func TestKeysOfOneOperatorAreBounded(t *testing.T) {
	q := New(Options{})
	now := time.Now()
	q.stopping = true // nothing is started
	for i := range maxKeys + 100 {
		q.note(system.DueKey{Key: system.Key{Lane: 1, OperatorID: "many", Site: fmt.Sprint(i)}, NextAt: now}, now, false)
	}
	if len(q.keys) != maxKeys {
		t.Errorf("%d keys", len(q.keys))
	}
	if !q.note(system.DueKey{Key: system.Key{Lane: 1, OperatorID: "other"}, NextAt: now}, now, false) {
		t.Error("another operator's key was not taken in")
	}
	if !q.note(system.DueKey{Key: system.Key{Lane: 0, OperatorID: "many"}, NextAt: now}, now, false) {
		t.Error("an alarm was not taken in")
	}
}
