package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

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
	Leased(ctx context.Context, incarnation string) ([]waypost.Delivery, error)
	Orphans(ctx context.Context) ([]string, error)
	Due(ctx context.Context, after system.Key, limit int) ([]system.DueKey, error)
	NextDue(ctx context.Context, k system.Key) (time.Time, error)
	Claim(ctx context.Context, c system.Claim) ([]waypost.Delivery, error)
	Mail(ctx context.Context, messageID string) (*waypost.Message, error)
	Controls(ctx context.Context, incarnation string) (map[string]string, error)
	Finish(f *system.Finish, done func(error))
	Expire(ctx context.Context, now time.Time) (int, error)
}

// Deliverer tries a job. It returns when every delivery of the job is reported or
// given up, and soon after ctx ends, or the job's AfterDot for what has sent the final
// dot; it calls the job's functions one at a time, and none after it returned.
type Deliverer interface {
	Deliver(ctx context.Context, j *waypost.Job)
}

// Accounts reads operators, and keeps what is found out about their relays.
type Accounts interface {
	Get(ctx context.Context, operatorID string) (*waypost.Account, error)
	// RelayFailed and RelayRecovered heed the relay that was tried only if it still is
	// the operator's; if not, next is zero.
	RelayFailed(ctx context.Context, operatorID string, tried waypost.Relay, reason string, now time.Time) (next time.Time, first bool, err error)
	RelayRecovered(ctx context.Context, operatorID string, tried waypost.Relay) error
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

	// OnRelayFailing is told, once per outage, that an operator's relay is failing: it
	// refuses us, or has been out of reach for some minutes.
	OnRelayFailing func(a *waypost.Account, reason string)
}

// Queue is the delivery queue of one node.
type Queue struct {
	o      Options
	store  Store
	log    *slog.Logger
	lease  *lease
	budget budget

	mu       sync.Mutex
	keys     map[system.Key]*keyState
	known    map[owner]int // keys in memory, by lane and operator
	lanes    [laneCount]lane
	dests    map[string]*destination
	sites    sites
	timers   timers
	reserved [laneCount]int
	laneBusy [laneCount]int
	alarms   tally                  // sessions of the alarm lane, by operator
	others   tally                  // sessions of all other lanes, by operator
	kept     map[*keyState]struct{} // keys that a destination keeps a slot for
	busy     int                    // sessions
	testing  int                    // test mails under way
	tests    tally                  // of them, by operator
	held     int                    // deliveries in memory, started or not
	claims   int                    // under way
	claiming map[string]int         // claims under way, by operator
	worked   time.Time              // when something got through last
	cutOff   bool                   // it was logged that nothing does
	stopping bool
	control  map[string]string               // cancel or hold asked for, by delivery
	ours     map[string]bool                 // deliveries leased to us that are somewhere in memory, and whether started
	unsaved  map[*system.Finish]*unsavedMark // results that could not be written yet
	waiting  map[*job]struct{}               // started jobs; a stop lets go of those before the dot
	peers    map[string]peer                 // other nodes, as the watch over them saw them last

	wake    chan struct{}
	rescan  atomic.Bool
	heed    atomic.Bool     // a change could not be looked at: again on the next round
	changes atomic.Int64    // how often something may have changed
	saving  sync.Mutex      // one writes unsaved results again at a time
	jobs    sync.WaitGroup  // started jobs, claims, and what is being given back
	writes  sync.WaitGroup  // results on their way to the database
	running context.Context //nolint:containedctx // the life of started jobs, not of a call
	cancel  context.CancelFunc
	beats   heartbeat
	ending  bool          // Stop was called
	stopped chan struct{} // closed when stopErr is set
	stopErr error
}

// New returns a queue that does nothing until Start.
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
		budget:   newBudget(o.Budget),
		keys:     map[system.Key]*keyState{},
		known:    map[owner]int{},
		dests:    map[string]*destination{},
		sites:    newSites(),
		claiming: map[string]int{},
		control:  map[string]string{},
		ours:     map[string]bool{},
		unsaved:  map[*system.Finish]*unsavedMark{},
		waiting:  map[*job]struct{}{},
		reserved: shares(o.Sessions),
		alarms:   tally{},
		others:   tally{},
		tests:    tally{},
		kept:     map[*keyState]struct{}{},
		wake:     make(chan struct{}, 1),
		beats:    newHeartbeat(),
		stopped:  make(chan struct{}),
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

// Start joins the nodes, takes back, alone, what earlier incarnations held, and keeps
// this node's lease from then on until Stop. It must succeed before anything is
// accepted.
func (q *Queue) Start(ctx context.Context) error {
	q.mu.Lock()
	stopping := q.stopping
	q.mu.Unlock()
	if stopping {
		return errStopping
	}
	began := time.Now()
	if err := q.store.Join(ctx, system.Node{Incarnation: q.lease.incarnation, Name: q.o.Node, Started: began}); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	q.lease.raised(began)
	if q.o.Alone {
		if err := q.takeBack(ctx); err != nil {
			return err
		}
	}
	q.beats.start(q.keepAlive)
	return nil
}

// takeBack frees what earlier incarnations held: those that joined and did not leave,
// and those that left something behind.
func (q *Queue) takeBack(ctx context.Context) error {
	nodes, err := q.store.Nodes(ctx)
	if err != nil {
		return err
	}
	earlier, err := q.store.Orphans(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		earlier = append(earlier, n.Incarnation)
	}
	for _, incarnation := range earlier {
		if incarnation == q.lease.incarnation {
			continue
		}
		count, err := q.store.Recover(ctx, incarnation, time.Now())
		if err != nil {
			return err
		}
		if count > 0 {
			q.log.Info("took back the leases of an earlier run", "deliveries", count)
		}
	}
	return nil
}

// Run works until ctx ends; then nothing new is started, and what has not sent the
// final dot is released. It returns an error only when this node was taken for dead by others.
func (q *Queue) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return q.beats.watch(ctx) })
	g.Go(func() error { q.peerLoop(ctx); return nil })
	g.Go(func() error { q.strayLoop(ctx); return nil })
	g.Go(func() error { q.scanLoop(ctx); return nil })
	g.Go(func() error { q.expireLoop(ctx); return nil })
	g.Go(func() error { q.retryUnsaved(ctx); return nil })
	err := g.Wait()
	q.halt()
	return err
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

// halt starts nothing new and releases the jobs that have not sent the final dot.
func (q *Queue) halt() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopping = true
	for j := range q.waiting {
		j.cancel()
	}
	for _, d := range q.dests {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
}

// Stop ends the queue: nothing new is started, sessions before the final dot are
// released at once, the others may wait for their reply until ctx ends. Results are recorded, then
// every lease is handed back. Nobody may accept any more, and Run's context must have
// ended before or be ended by the caller. Further calls wait for the first and return
// its error.
func (q *Queue) Stop(ctx context.Context) error {
	q.mu.Lock()
	first := !q.ending
	q.ending = true
	q.mu.Unlock()
	if first {
		q.stopErr = q.stop(ctx)
		close(q.stopped)
		return q.stopErr
	}
	select {
	case <-q.stopped:
		return q.stopErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lastWrites bounds what Stop does after its context ended.
const lastWrites = 10 * time.Second

func (q *Queue) stop(ctx context.Context) error {
	q.halt()
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
	q.saveUntil(ctx)
	joined := q.beats.end()
	if !joined {
		return nil
	}
	// What could not be written is still leased; taking our own leases back frees it.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrites)
	defer cancel()
	back, err := q.store.Recover(last, q.lease.incarnation, time.Now())
	if err != nil {
		return fmt.Errorf("hand leases back: %w", err)
	}
	if back > 0 {
		q.log.Warn("handed back leases without a result", "deliveries", back)
	}
	return nil
}

// Depth is what is in memory now, for metrics.
func (q *Queue) Depth() (sessions, deliveries int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.busy, q.held
}

// Refusals of MayTalk, MayDot and Start.
var (
	errStale    = errors.New("this node may have lost its leases: the database has not been reached for too long")
	errStopping = errors.New("shutting down")
	errSettled  = errors.New("settled already")
	errExpired  = errors.New("its time has passed")
)
