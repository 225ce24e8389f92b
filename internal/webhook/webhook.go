package webhook

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/waypost/waypost/internal/limit"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// Store is what this package needs of store/system; tests wrap it to inject faults.
type Store interface {
	Webhook(ctx context.Context, operatorID, id string) (store.StoredWebhook, error)
	DueWebhooks(ctx context.Context, incarnation string, now time.Time, limit int) ([]store.WebhookKey, error)
	WebhookWork(ctx context.Context, k store.WebhookKey, calls, fresh int, finished []string) (*store.WebhookWork, error)
	WebhookBody(ctx context.Context, callID string) ([]byte, error)
	StepWebhook(ctx context.Context, s *store.WebhookStep) error
	RecordWebhookTest(ctx context.Context, by waypost.Actor, c waypost.WebhookCall, at time.Time) error
	SweepWebhooks(ctx context.Context, now time.Time) (more bool, err error)
	ReplayWebhooks(ctx context.Context, now time.Time) (more bool, err error)
	WebhookNotices(ctx context.Context, limit int) (map[waypost.WebhookNotice][]waypost.Webhook, error)
	WebhookNoticeSent(ctx context.Context, id string, n waypost.WebhookNotice) error
}

// Ring opens what was sealed; *secret.Ring does.
type Ring interface {
	Open(context string, sealed []byte) ([]byte, error)
}

// Web sends requests to addresses that others choose; *guard.Web does. It follows no
// redirects.
type Web interface {
	Do(req *http.Request) (*http.Response, error)
}

// Observer counts what happens. Implementations must be fast.
type Observer interface {
	// WebhookCalled counts an attempt by what became of its call: "delivered", "waiting" for
	// one that is repeated, "failed".
	WebhookCalled(result waypost.WebhookState, took time.Duration)
}

// Options make Webhooks.
type Options struct {
	Store       Store
	Ring        Ring
	Web         Web
	Incarnation string       // what leases are taken under
	Alive       func() error // an error while the leases of this process may be gone; nil: never
	Observe     Observer     // may be nil
	Log         *slog.Logger
	UserAgent   string

	Slots   int           // calls at once; 0 means 256
	Timeout time.Duration // of a call; 0 means 15 s

	// Notify tells an operator something about a webhook; until it succeeds it is tried again.
	// nil: nobody is told.
	Notify func(ctx context.Context, w waypost.Webhook, n waypost.WebhookNotice) error
}

// perEndpoint is how many calls an endpoint gets at once, as long as it answers quickly.
const perEndpoint = 4

// Webhooks calls endpoints. It is safe for concurrent use.
type Webhooks struct {
	o          Options
	retryAfter func(attempts int) time.Duration
	probeAfter func(failures int) time.Duration

	slots *semaphore.Weighted // calls of all endpoints
	slow  *semaphore.Weighted // of those that are not known to answer quickly: half of all
	tests *limit.Limits       // by operator

	mu      sync.Mutex
	workers map[store.WebhookKey]*worker
	quick   map[store.WebhookKey]bool // endpoints whose last call was answered quickly
	ended   bool                      // no worker starts any more
	work    sync.WaitGroup            // workers

	run  context.Context //nolint:containedctx // the life of workers, not of a call: its end stops what is new
	stop context.CancelFunc
	talk context.Context //nolint:containedctx // the life of calls under way
	cut  context.CancelFunc
}

// New returns Webhooks that do nothing until Run or Told.
func New(o Options) *Webhooks {
	if o.Slots == 0 {
		o.Slots = 256
	}
	if o.Timeout == 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.UserAgent == "" {
		o.UserAgent = "Waypost"
	}
	if o.Alive == nil {
		o.Alive = func() error { return nil }
	}
	h := &Webhooks{
		o: o, retryAfter: retryAfter, probeAfter: probeAfter,
		slots: semaphore.NewWeighted(int64(o.Slots)), slow: semaphore.NewWeighted(int64(max(1, o.Slots/2))), tests: limit.New(10.0/60, 10),
		workers: map[store.WebhookKey]*worker{}, quick: map[store.WebhookKey]bool{},
	}
	h.run, h.stop = context.WithCancel(context.Background())
	h.talk, h.cut = context.WithCancel(context.Background())
	return h
}

const (
	pollEvery  = time.Second
	choreEvery = 2 * time.Second
	pollMost   = 1000
)

// Run looks for what is due each second, and does the chores, until ctx ends or Stop.
func (h *Webhooks) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.run, cancel)()
	var chores sync.WaitGroup
	chores.Go(func() { h.every(ctx, choreEvery, h.chores) })
	h.every(ctx, pollEvery, h.poll)
	chores.Wait()
}

func (h *Webhooks) every(ctx context.Context, d time.Duration, do func(context.Context)) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		h.contain("webhooks", func() { do(ctx) })
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// contain keeps a panic from ending the process.
func (h *Webhooks) contain(doing string, do func()) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			h.o.Log.Error("panic", "doing", doing, "panic", p)
		}
	}()
	do()
	return true
}

// poll starts a worker for each webhook that has something due.
func (h *Webhooks) poll(ctx context.Context) {
	keys, err := h.o.Store.DueWebhooks(ctx, h.o.Incarnation, time.Now(), pollMost)
	if err != nil {
		if ctx.Err() == nil {
			h.o.Log.Error("cannot look for webhooks", "error", err)
		}
		return
	}
	for _, k := range keys {
		h.wake(k)
	}
}

// Told takes in what was said after a commit of this process (engine.OnTold).
func (h *Webhooks) Told(words []string) {
	for _, word := range words {
		if k, ok := store.WebhookWord(word); ok {
			h.wake(k)
		}
	}
}

// wake has a webhook looked at.
func (h *Webhooks) wake(k store.WebhookKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return
	}
	w, ok := h.workers[k]
	if !ok {
		w = newWorker(h, k)
		h.workers[k] = w
		h.work.Go(w.work)
	}
	w.poke()
}

// leave ends a worker, unless it was poked meanwhile.
func (h *Webhooks) leave(w *worker) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-w.poked:
		if !h.ended {
			return false
		}
	default:
	}
	delete(h.workers, w.key)
	return true
}

func (h *Webhooks) isQuick(k store.WebhookKey) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.quick[k]
}

func (h *Webhooks) noteQuick(k store.WebhookKey, quick bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if quick {
		h.quick[k] = true
	} else {
		delete(h.quick, k)
	}
}

// Stop ends it: no call begins any more; those under way may end until ctx does. Their
// results are recorded and all leases are given back.
func (h *Webhooks) Stop(ctx context.Context) error {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.stop()
	defer h.cut()
	defer context.AfterFunc(ctx, h.cut)()
	h.work.Wait()
	return nil
}
