package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/internal/store/system"
)

// The lease protocol's times (docs/adr/0003). Only ever compared with this process's
// own monotonic clock.
const (
	beatEvery  = 5 * time.Second
	talkWithin = 15 * time.Second // since the last raise began: no new transaction after it
	dotWithin  = 25 * time.Second // no final dot after it
	deadAfter  = 30 * time.Second // a peer's number unchanged for so long: it is dead
)

// lease keeps this node's claim to be alive.
type lease struct {
	incarnation string
	start       time.Time
	beat        atomic.Int64 // nanoseconds since start when the last successful raise began
	evicted     atomic.Bool  // others took over: nothing is ours any more
}

func newLease(incarnation string) *lease { return &lease{incarnation: incarnation, start: time.Now()} }

func (l *lease) raised(began time.Time) { l.beat.Store(int64(began.Sub(l.start))) }

// age is how long ago the last successful raise began, by the monotonic clock.
func (l *lease) age() time.Duration { return time.Since(l.start) - time.Duration(l.beat.Load()) }

func (l *lease) fresh(within time.Duration) error {
	if l.evicted.Load() || l.age() >= within {
		return errStale
	}
	return nil
}

func (l *lease) mayTalk() error { return l.fresh(talkWithin) }

func (l *lease) mayDot() error { return l.fresh(dotWithin) }

// Alive returns an error while others may have taken this node for dead: then nothing that
// its leases are for may begin.
func (q *Queue) Alive() error { return q.lease.mayTalk() }

// heartbeat is the life of the goroutine that raises this node's number: from Start
// to the end of Stop, since sessions outlive Run.
type heartbeat struct {
	ctx    context.Context //nolint:containedctx // the life of a goroutine, not of a call
	cancel context.CancelFunc
	failed chan error    // why it ended early
	ended  chan struct{} // nil before start
	mu     *sync.Mutex
}

func newHeartbeat() heartbeat {
	ctx, cancel := context.WithCancel(context.Background())
	return heartbeat{ctx: ctx, cancel: cancel, failed: make(chan error, 1), mu: &sync.Mutex{}}
}

func (h *heartbeat) start(keepAlive func(ctx context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ended := make(chan struct{})
	h.ended = ended
	go func() {
		defer close(ended)
		if err := keepAlive(h.ctx); err != nil {
			h.failed <- err
		}
	}()
}

// watch returns why the heartbeat ended early, or nil when ctx ends.
func (h *heartbeat) watch(ctx context.Context) error {
	select {
	case err := <-h.failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// end ends the heartbeat, waits for it, and reports whether there was one.
func (h *heartbeat) end() bool {
	h.cancel()
	h.mu.Lock()
	ended := h.ended
	h.mu.Unlock()
	if ended == nil {
		return false
	}
	<-ended
	return true
}

// keepAlive raises this node's number every five seconds. It does nothing else, so
// that nothing else delays it.
func (q *Queue) keepAlive(ctx context.Context) error {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		began := time.Now()
		beatCtx, cancel := context.WithTimeout(ctx, beatTimeout)
		err := q.store.Beat(beatCtx, q.lease.incarnation)
		cancel()
		switch {
		case err == nil:
			q.beaten(began)
		case errors.Is(err, system.ErrEvicted):
			q.lease.evicted.Store(true)
			return fmt.Errorf("keep alive: %w", err)
		case ctx.Err() != nil:
			return nil
		default:
			q.log.Error("cannot raise this node's number", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// beatTimeout ends a raise that takes too long, so that a newer one can count.
const beatTimeout = 2 * beatEvery

// beaten takes in a raise. After an outage whatever waits may go on.
func (q *Queue) beaten(began time.Time) {
	stale := q.lease.mayTalk() != nil
	q.lease.raised(began)
	if stale {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.dispatch()
	}
}
