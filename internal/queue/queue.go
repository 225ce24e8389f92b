package queue

import (
	"container/heap"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// Store is what the queue needs of store/system; tests wrap it to inject faults.
type Store interface {
	Join(ctx context.Context, n system.Node) error
	Beat(ctx context.Context, incarnation string) error
	Nodes(ctx context.Context) ([]system.Node, error)
	Recover(ctx context.Context, incarnation string, now time.Time) (int, error)
	Due(ctx context.Context, after system.Key, limit int) ([]system.DueKey, error)
	NextDue(ctx context.Context, k system.Key) (time.Time, error)
	Claim(ctx context.Context, c system.Claim) ([]waypost.Delivery, error)
	Mail(ctx context.Context, messageID string) (*waypost.Message, error)
	Controls(ctx context.Context, incarnation string) (map[string]string, error)
	Finish(f *system.Finish, done func(error))
	Expire(ctx context.Context, now time.Time) (int, error)
}

// Deliverer tries a job. It returns when every delivery of the job is reported or
// given up; ctx ends when the job must stop at once.
type Deliverer interface {
	Deliver(ctx context.Context, j *waypost.Job)
}

// Accounts reads operators, and keeps what is found out about their relays.
type Accounts interface {
	Get(ctx context.Context, operatorID string) (*waypost.Account, error)
	RelayFailed(ctx context.Context, operatorID, reason string, now time.Time) (next time.Time, first bool, err error)
	RelayRecovered(ctx context.Context, operatorID string) error
}

// Observer counts what happens. Implementations must be fast.
type Observer interface {
	Attempt(r waypost.RouteKind, o waypost.Outcome, cause string)
	Finished(s waypost.State, r waypost.RouteKind, lane waypost.Lane, age time.Duration)
	Sessions(n int)
}

// Options make a Queue.
type Options struct {
	Store     Store
	Deliverer Deliverer
	Accounts  Accounts
	Platform  route.Platform
	Observe   Observer // may be nil
	Log       *slog.Logger

	Node          string // stable name
	Alone         bool   // no other process can be alive: all other leases are taken back at start
	Sessions      int    // outgoing sessions at once, all destinations; 0 means 200
	SiteSessions  int    // per site; 0 means 20
	RelaySessions int    // per relay; 0 means 20
	Budget        int64  // bytes of content in memory; 0 means 64 MiB

	// OnRelayFailing is told, once per outage, that an operator's relay is failing.
	OnRelayFailing func(a *waypost.Account, reason string)
}

// maxHandover bounds how many deliveries wait in memory.
const maxHandover = 4096

// Queue is the delivery queue of one node.
type Queue struct {
	o      Options
	store  Store
	log    *slog.Logger
	lease  *lease
	budget *semaphore.Weighted

	mu       sync.Mutex
	keys     map[system.Key]*keyState
	rings    [laneCount]ring
	dests    map[string]*destination
	timers   timers
	reserved [laneCount]int
	laneBusy [laneCount]int
	busy     int // sessions
	held     int // deliveries in memory, started or not
	claims   int // under way
	stopping bool
	control  map[string]string           // cancel or hold asked for, by delivery
	unsaved  map[*system.Finish]struct{} // results that could not be written yet
	waiting  map[*job]struct{}           // started jobs that have not begun to talk

	wake    chan struct{}
	rescan  atomic.Bool
	jobs    sync.WaitGroup  // started jobs and claims
	writes  sync.WaitGroup  // results on their way to the database
	running context.Context //nolint:containedctx // the life of started jobs, not of a call
	cancel  context.CancelFunc
}

// New returns a queue that does nothing until Run.
func New(o Options) *Queue {
	o.Sessions = orDefault(o.Sessions, 200)
	o.SiteSessions = orDefault(o.SiteSessions, 20)
	o.RelaySessions = orDefault(o.RelaySessions, 20)
	if o.Budget == 0 {
		o.Budget = 64 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	q := &Queue{
		o: o, store: o.Store, log: o.Log,
		lease:    newLease(waypost.NewID()),
		budget:   semaphore.NewWeighted(o.Budget),
		keys:     map[system.Key]*keyState{},
		dests:    map[string]*destination{},
		control:  map[string]string{},
		unsaved:  map[*system.Finish]struct{}{},
		waiting:  map[*job]struct{}{},
		reserved: shares(o.Sessions),
		wake:     make(chan struct{}, 1),
	}
	q.running, q.cancel = context.WithCancel(context.Background())
	return q
}

func orDefault(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}

// Incarnation is the name this process leases under.
func (q *Queue) Incarnation() string { return q.lease.incarnation }

// Start joins the nodes and, alone, takes back what earlier incarnations held. It
// must succeed before anything is accepted.
func (q *Queue) Start(ctx context.Context) error {
	began := time.Now()
	if err := q.store.Join(ctx, system.Node{Incarnation: q.lease.incarnation, Name: q.o.Node, Started: began}); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	q.lease.raised(began)
	if !q.o.Alone {
		return nil
	}
	nodes, err := q.store.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Incarnation == q.lease.incarnation {
			continue
		}
		count, err := q.store.Recover(ctx, n.Incarnation, time.Now())
		if err != nil {
			return err
		}
		if count > 0 {
			q.log.Info("took back the leases of an earlier run", "deliveries", count)
		}
	}
	return nil
}

// Run works until ctx ends; then nothing new is started. It returns an error only
// when this node was taken for dead by others.
func (q *Queue) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return q.keepAlive(ctx) })
	g.Go(func() error { q.scanLoop(ctx); return nil })
	g.Go(func() error { q.expireLoop(ctx); return nil })
	g.Go(func() error { q.retryUnsaved(ctx); return nil })
	return g.Wait()
}

// Wake makes the queue look at the database now.
func (q *Queue) Wake() {
	q.rescan.Store(true)
	q.signal()
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Changed is called when settings, suspensions or controls may have changed: parked
// keys get another look, and what was asked of leased deliveries is read.
func (q *Queue) Changed(ctx context.Context) {
	asked, err := q.store.Controls(ctx, q.lease.incarnation)
	if err != nil {
		if ctx.Err() == nil {
			q.log.Error("cannot read control requests", "error", err)
		}
		return
	}
	q.mu.Lock()
	q.control = asked
	for _, k := range q.keys {
		if k.parked {
			k.parked = false
			q.list(k)
		}
	}
	for _, d := range q.dests {
		if d.relay && !d.closed.IsZero() { // its settings may be new; the route knows whether it still fails
			d.closed, d.failures, d.closures = time.Time{}, 0, 0
			q.serve(d)
		}
	}
	q.dispatch()
	q.mu.Unlock()
	q.Wake()
}

// Stop ends the queue: nothing new is started, sessions that have not said MAIL are
// released at once, the others may finish until ctx ends. Then every lease is handed
// back. Run's context must have ended before or be ended by the caller.
func (q *Queue) Stop(ctx context.Context) error {
	q.mu.Lock()
	q.stopping = true
	for j := range q.waiting {
		j.cancel()
	}
	q.mu.Unlock()
	done := make(chan struct{})
	go func() { q.jobs.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		q.cancel()
		<-done
	}
	q.cancel()
	q.giveBackAll()
	q.writes.Wait()
	q.saveUnsaved()
	// What could not be written stays leased; taking our own leases back frees it.
	back, err := q.store.Recover(context.WithoutCancel(ctx), q.lease.incarnation, time.Now())
	if err != nil {
		return fmt.Errorf("hand leases back: %w", err)
	}
	if back > 0 {
		q.log.Warn("handed back leases without a result", "deliveries", back)
	}
	return nil
}

// timers remember when known keys fall due, the earliest first.
type timers []timer

type timer struct {
	at time.Time
	k  *keyState
}

// maxTimers bounds them; past it the scan finds the keys in its round.
const maxTimers = 65536

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *timers) Push(x any) { *t = append(*t, x.(timer)) }

// Pop implements heap.Interface.
func (t *timers) Pop() any {
	old := *t
	last := old[len(old)-1]
	old[len(old)-1] = timer{}
	*t = old[:len(old)-1]
	return last
}

// remember sets a timer for a key. q.mu is held.
func (q *Queue) remember(k *keyState, at time.Time) {
	if len(q.timers) >= maxTimers {
		return
	}
	k.timed = true
	heap.Push(&q.timers, timer{at, k})
	if q.timers[0].k == k {
		q.signal()
	}
}
