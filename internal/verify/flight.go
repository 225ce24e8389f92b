package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// flight is one check of a domain, shared by all who ask for it while it is under way.
type flight struct {
	began   time.Time
	looked  time.Time // when a person last asked, zero for nobody
	waiting int
	cancel  context.CancelFunc
	done    chan struct{} // closed when domain and err are set
	domain  store.CheckedDomain
	err     error
}

const (
	// Who asks for a check gets the one under way if that began at most so long before: a
	// claim's first check and the watcher's are the same then. An older one may have missed
	// what was published in between, so a new check follows it. In so short a time nobody
	// publishes a record, has it at all name servers and asks. For the same reason a stored
	// report is never the answer, however young it is: who asks has just changed something.
	joinWithin = 2 * time.Second

	flightTimeout = time.Minute // of a check with reading and saving; less than takenFor
)

// checkOnce checks a domain, or waits for the check of it that is under way. asked is when
// a person asked, zero for the watcher, which any check suits.
func (w *Watcher) checkOnce(ctx context.Context, id string, asked time.Time) (store.CheckedDomain, error) {
	for {
		f, joined := w.join(ctx, id, asked)
		select {
		case <-f.done:
			if joined {
				return f.domain, f.err
			}
		case <-ctx.Done():
			if joined && w.leave(f) {
				<-f.done // nothing is left behind
				return f.domain, f.err
			}
			return store.CheckedDomain{}, fmt.Errorf("wait for the check of a domain: %w", ctx.Err())
		}
	}
}

// join returns the check of a domain that is under way, or begins one. It tells whether it
// will do for who asked then; else that one has to wait until it is over.
func (w *Watcher) join(ctx context.Context, id string, asked time.Time) (f *flight, joined bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f = w.flights[id]
	switch {
	case f == nil:
		// The one who asked first may leave; the check stays for the others.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
		f = &flight{began: w.o.Now(), cancel: cancel, done: make(chan struct{})}
		w.flights[id] = f
		go w.fly(ctx, id, f)
	case f.waiting == 0 || asked.Sub(f.began) > joinWithin: // it was given up, or is too old
		return f, false
	}
	f.waiting++
	if asked.After(f.looked) {
		f.looked = asked
	}
	return f, true
}

func (w *Watcher) fly(ctx context.Context, id string, f *flight) {
	defer f.cancel()
	f.domain, f.err = w.check(ctx, id, f)
	w.mu.Lock()
	delete(w.flights, id)
	w.mu.Unlock()
	close(f.done)
}

// leave stops a check that nobody waits for any more, and tells whether that is so.
func (w *Watcher) leave(f *flight) (last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.waiting--; f.waiting > 0 {
		return false
	}
	f.cancel()
	return true
}

// lookedAt is when a person last looked at the domain: asking is looking.
func (w *Watcher) lookedAt(f *flight, d store.CheckedDomain) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.looked.After(d.Looked) {
		return f.looked
	}
	return d.Looked
}
