package queue

import (
	"context"
	"errors"
	"fmt"
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

// Refusals of MayTalk and MayDot.
var (
	errStale    = errors.New("this node may have lost its leases: the database has not been reached for too long")
	errStopping = errors.New("shutting down")
	errSettled  = errors.New("settled already")
)

// lease keeps this node's claim to be alive.
type lease struct {
	incarnation string
	beat        atomic.Int64 // monotonic nanoseconds since start of the last successful raise's beginning
	start       time.Time
}

func newLease(incarnation string) *lease { return &lease{incarnation: incarnation, start: time.Now()} }

func (l *lease) raised(began time.Time) { l.beat.Store(int64(began.Sub(l.start))) }

func (l *lease) age() time.Duration { return time.Since(l.start) - time.Duration(l.beat.Load()) }

func (l *lease) mayTalk() error {
	if l.age() >= talkWithin {
		return errStale
	}
	return nil
}

func (l *lease) mayDot() error {
	if l.age() >= dotWithin {
		return errStale
	}
	return nil
}

// keepAlive raises this node's number every five seconds and watches the others'.
func (q *Queue) keepAlive(ctx context.Context) error {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	seen := map[string]peer{}
	for {
		began := time.Now()
		beatCtx, cancel := context.WithTimeout(ctx, dotWithin)
		err := q.store.Beat(beatCtx, q.lease.incarnation)
		cancel()
		switch {
		case err == nil:
			q.lease.raised(began)
		case errors.Is(err, system.ErrEvicted):
			return fmt.Errorf("keep alive: %w", err)
		case ctx.Err() != nil:
			return nil
		default:
			q.log.Error("cannot raise this node's number", "error", err)
		}
		if err == nil {
			q.watchPeers(ctx, seen)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

type peer struct {
	beat  int64
	since time.Time
}

// watchPeers takes over from nodes whose number has not moved for 30 s of our own
// clock. One node alone finds nobody.
func (q *Queue) watchPeers(ctx context.Context, seen map[string]peer) {
	nodes, err := q.store.Nodes(ctx)
	if err != nil {
		if ctx.Err() == nil {
			q.log.Error("cannot list nodes", "error", err)
		}
		return
	}
	alive := map[string]bool{}
	for _, n := range nodes {
		if n.Incarnation == q.lease.incarnation {
			continue
		}
		alive[n.Incarnation] = true
		p, known := seen[n.Incarnation]
		if !known || p.beat != n.Beat {
			seen[n.Incarnation] = peer{n.Beat, time.Now()}
			continue
		}
		if time.Since(p.since) < deadAfter {
			continue
		}
		count, err := q.store.Recover(ctx, n.Incarnation, time.Now())
		if err != nil {
			q.log.Error("cannot take over from a dead node", "node", n.Name, "error", err)
			continue
		}
		q.log.Warn("took over from a dead node", "node", n.Name, "deliveries", count)
		q.Wake()
	}
	for id := range seen {
		if !alive[id] {
			delete(seen, id)
		}
	}
}
