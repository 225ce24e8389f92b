package verify_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/verify"
)

// claims claims domains one after the other, so that the first is due longest, and returns
// their ids by name.
func (w *world) claims(operatorID string, names ...string) map[string]string {
	w.t.Helper()
	ids := map[string]string{}
	for _, name := range names {
		ids[name] = w.claim(operatorID, name).ID
		w.set(w.clock().Add(time.Second))
	}
	return ids
}

// start is a Tick that does not wait for the checks.
func (w *world) start() {
	w.t.Helper()
	if err := w.Tick(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func TestOneOperatorsSlowDomainsDoNotHoldUpOthers(t *testing.T) {
	slowly(t, func(t *testing.T, w *world, s *slow) {
		slowOnes := w.claims("one", "a.test", "b.test", "c.test", "d.test", "e.test", "f.test", "g.test", "h.test", "i.test", "j.test")
		others := w.claims("two", "x.test", "y.test", "z.test")
		w.start()
		s.want(t, "a.test", "b.test", "x.test", "y.test")
		s.let("x.test")
		s.let("y.test")
		s.want(t, "a.test", "b.test", "x.test", "y.test", "z.test") // though nobody ticks
		s.let("z.test")
		s.want(t, "a.test", "b.test", "x.test", "y.test", "z.test")
		for name, id := range others {
			if w.read(id).Checked.IsZero() {
				t.Errorf("%s was not checked", name)
			}
		}
		// Whose turn had not come lost nothing.
		s.let("b.test")
		s.want(t, "a.test", "b.test", "c.test", "x.test", "y.test", "z.test")
		s.mayPass(true)
		s.let("a.test")
		s.let("c.test")
		w.Wait()
		for name, id := range slowOnes {
			if w.read(id).Checked.IsZero() {
				t.Errorf("%s was not checked", name)
			}
		}
	})
}

func TestChecksAtOnceAreBounded(t *testing.T) {
	slowly(t, func(t *testing.T, w *world, s *slow) {
		var names []string
		for i := range 10 {
			names = append(names, fmt.Sprintf("d%d.test", i))
			w.claims(fmt.Sprint("operator", i), names[i])
		}
		w.start()
		w.start() // finds no free slot
		s.want(t, names[:8]...)
		s.let("d3.test")
		s.want(t, names[:9]...)
		s.mayPass(true)
		for _, i := range []int{0, 1, 2, 4, 5, 6, 7, 8} {
			s.let(names[i])
		}
		w.Wait()
		s.want(t, names...)
	})
}

func TestDomainsThatWaitForASlotAreLeftToOtherNodes(t *testing.T) {
	slowly(t, func(t *testing.T, w *world, s *slow) {
		w.claims("one", "a.test", "b.test", "c.test", "d.test", "e.test")
		w.start()
		s.want(t, "a.test", "b.test")
		other := verify.NewWatcher(w.options)
		if err := other.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.want(t, "a.test", "b.test", "c.test", "d.test")
		s.mayPass(true)
		for _, name := range []string{"a.test", "b.test", "c.test", "d.test"} {
			s.let(name)
		}
		w.Wait()
		other.Wait()
		s.want(t, "a.test", "b.test", "c.test", "d.test", "e.test")
	})
}

func TestStoppingEndsTheChecksAndTheyAreMadeAgain(t *testing.T) {
	slowly(t, func(t *testing.T, w *world, s *slow) {
		ids := w.claims("one", "a.test", "b.test", "c.test")
		ctx, cancel := context.WithCancel(t.Context())
		if err := w.Tick(ctx); err != nil {
			t.Fatal(err)
		}
		s.want(t, "a.test", "b.test")
		cancel()
		w.Wait()
		s.want(t, "a.test", "b.test")
		for name, id := range ids {
			if d := w.read(id); !d.Checked.IsZero() || d.Next.Sub(w.clock()) > 5*time.Minute {
				t.Errorf("%s: %+v", name, d)
			}
		}
		s.mayPass(true)
		w.set(w.clock().Add(5 * time.Minute))
		w.tick()
		for name, id := range ids {
			if w.read(id).Checked.IsZero() {
				t.Errorf("%s was not checked", name)
			}
		}
	})
}

// takes counts how often domains were taken.
type takes struct {
	verify.System
	n int
}

func (c *takes) TakeDomains(ctx context.Context, now, until time.Time, limit int, except ...string) ([]store.CheckedDomain, error) {
	c.n++
	return c.System.TakeDomains(ctx, now, until, limit, except...)
}

func TestNothingIsWrittenWhileAllThatIsDueHasToWait(t *testing.T) {
	slowly(t, func(t *testing.T, w *world, s *slow) {
		counted := &takes{System: w.System}
		o := w.options
		o.System = counted
		watcher := verify.NewWatcher(o)
		w.claims("one", "a.test", "b.test", "c.test")
		for range 5 {
			if err := watcher.Tick(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		s.want(t, "a.test", "b.test")
		if counted.n != 2 {
			t.Errorf("taken %d times", counted.n)
		}
		s.mayPass(true)
		s.let("a.test")
		s.let("b.test")
		watcher.Wait()
	})
}

// askedWhileTaken is a store of which a domain is asked for right after it was taken.
type askedWhileTaken struct {
	verify.System
	ask func()
}

func (a askedWhileTaken) TakeDomains(ctx context.Context, now, until time.Time, limit int, except ...string) ([]store.CheckedDomain, error) {
	taken, err := a.System.TakeDomains(ctx, now, until, limit, except...)
	for i := range taken {
		a.ask()
		if taken[i], err = a.AnyDomain(ctx, taken[i].ID); err != nil {
			return nil, err
		}
	}
	return taken, err
}

func TestADomainCheckedWhileItWasTakenIsNotCheckedAgain(t *testing.T) {
	slowly(t, func(t *testing.T, w *world, s *slow) {
		s.mayPass(true)
		d := w.claim("one", "sender.test")
		o := w.options
		o.System = askedWhileTaken{w.System, func() {
			w.set(w.clock().Add(time.Second))
			if _, err := w.CheckNow(t.Context(), "one", d.ID); err != nil {
				t.Error(err)
			}
		}}
		other := verify.NewWatcher(o)
		if err := other.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		other.Wait()
		s.want(t, "sender.test")
		if next := w.read(d.ID).Next.Sub(w.clock()); next > time.Minute {
			t.Errorf("checked again after %v", next)
		}
	})
}
