package queue

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

func newShare(size int64) *share { return newBudget(size * 8)[0] }

func TestOneOperatorLeavesMemoryFree(t *testing.T) {
	s := newShare(960)
	for range 1000 {
		s.try("flood", 1)
	}
	if s.used < 700 || s.used > 760 {
		t.Errorf("%d of 960 bytes", s.used)
	}
	for i := range 10 { // together they hold all but an eighth
		for range 1000 {
			s.try(fmt.Sprint("flood", i), 1)
		}
	}
	if c := s.take("large", 900); c == nil || s.used != 840 {
		t.Fatalf("a large one of a newcomer: %+v, %d in use", c, s.used)
	}
	if s.take("larger", 31) != nil {
		t.Error("two at once that are larger than what is left")
	}
	for i := range 4 {
		if s.take(fmt.Sprint("small", i), 30) == nil {
			t.Errorf("nothing left for newcomer %d", i)
		}
	}
	if s.used != 960 || s.take("another", 1) != nil {
		t.Errorf("%d in use", s.used)
	}
}

// Each operator's mails get room in order, and nobody waits for another operator's
// mail to get room first.
func TestWhoWaitsForMemoryWaitsBehindTheSameOperatorOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShare(96) // of which 84 are for everybody
		first := s.try("a", 60)
		first.jobs.Store(1)
		got := make(chan string, 10)
		held := map[string]*content{}
		want := func(operator string, size int64, name string) context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				c, err := s.wait(ctx, operator, size)
				if err != nil {
					name += " gave up"
				} else {
					c.jobs.Store(1)
					held[name] = c
				}
				got <- name
			}()
			synctest.Wait()
			return cancel
		}
		told := func(names ...string) {
			t.Helper()
			synctest.Wait()
			var all []string
			for len(got) > 0 {
				all = append(all, <-got)
			}
			if slices.Sort(all); !slices.Equal(all, names) {
				t.Errorf("%q, want %q", all, names)
			}
		}
		giveUp := want("a", 200, "giant of a")
		want("a", 1, "small of a") // there is room for it, but it is not its turn
		told()
		if s.try("a", 1) != nil {
			t.Error("a handover went before it")
		}
		want("b", 200, "giant of b") // holds nothing, so it may
		told("giant of b")
		want("c", 30, "large of c")
		told() // one at a time
		want("d", 3, "small of d")
		told("small of d")
		giveUp()
		told("giant of a gave up", "small of a")
		held["giant of b"].done()
		told("large of c")
		first.done()
		for _, name := range []string{"small of a", "large of c", "small of d"} {
			held[name].done()
		}
		if s.used != 0 || len(s.holds) != 0 {
			t.Errorf("%d left, %v", s.used, s.holds)
		}
	})
}

// What is counted is bounded by the share, at most one message is not counted,
// and all is given back.
func TestMemoryInUseIsBoundedAndAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const largest = 60
		s := newShare(100)
		var held []*content
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nobody waits here; who gets room all the same may lose it again
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			op := fmt.Sprint("op", rapid.IntRange(0, 3).Draw(t, "op"))
			size := int64(rapid.IntRange(0, largest).Draw(t, "size"))
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				if c := s.try(op, size); c != nil {
					c.jobs.Store(1)
					held = append(held, c)
				}
			case 1:
				if c, err := s.wait(ctx, op, size); err == nil {
					c.jobs.Store(1)
					held = append(held, c)
				}
			case 2:
				if len(held) > 0 {
					held[0].done()
					held = held[1:]
				}
			}
			sum, over := int64(0), 0
			for _, c := range held {
				sum += c.size
				if c.over {
					over++
				}
			}
			if over > 1 || s.over != (over == 1) {
				t.Fatalf("%d are not counted", over)
			}
			if s.used != sum || s.used > s.size || len(s.waiting) != 0 {
				t.Fatalf("%d in use, %d held, %d wait", s.used, sum, len(s.waiting))
			}
		}
		for _, c := range held {
			c.done()
		}
		if s.used != 0 || len(s.holds) != 0 || s.over {
			t.Fatalf("%d left, %v", s.used, s.holds)
		}
	})
}
