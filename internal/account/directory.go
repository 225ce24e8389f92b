package account

import (
	"context"
	"hash/maphash"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// System is what this package needs across operators; *system.System has it.
type System interface {
	Change(ctx context.Context) (int64, error)
	Operators(ctx context.Context, cursor string, limit int) ([]waypost.Operator, error)
	CreateOperator(ctx context.Context, by waypost.Actor, o waypost.Operator) (waypost.Operator, error)
	MoveOperator(ctx context.Context, by waypost.Actor, operatorID, parentID string) error
	RemoveOperator(ctx context.Context, by waypost.Actor, operatorID string, now time.Time) error
	SetRelayHealth(ctx context.Context, h waypost.RelayHealth) error
	SendersWaiting(ctx context.Context, cursor string, limit int) ([]waypost.Sender, error)
	AnySender(ctx context.Context, id string) (waypost.Sender, error)
	DecideSender(ctx context.Context, by waypost.Actor, s waypost.Sender, old waypost.SenderState) error
	AnyDomain(ctx context.Context, id string) (store.CheckedDomain, error)
	AllDomains(ctx context.Context, cursor string, limit int) ([]store.CheckedDomain, error)
	DomainsWithoutProof(ctx context.Context, cursor string, limit int) ([]store.CheckedDomain, error)
}

// DirectoryOptions make a Directory.
type DirectoryOptions struct {
	Store  *store.Store
	System System
	Ring   *secret.Ring // opens the passwords of relays
	Log    *slog.Logger // nil: no log
	Size   int          // operators kept in memory; 0 means 10,000
}

// Directory answers who an operator is, from memory. It is safe for concurrent use.
type Directory struct {
	store   *store.Store
	system  System
	ring    *secret.Ring
	log     *slog.Logger
	size    int
	hooks   []func(context.Context)
	flights singleflight.Group

	mu         sync.RWMutex
	generation uint64 // raised whenever something is dropped: a reading begun before is not kept
	cached     map[string]entry
	platform   *waypost.PlatformSettings // nil: to be read

	seed   maphash.Seed
	health [64]sync.Mutex // by operator: one at a time decides about a relay
}

// entry is a snapshot in memory.
type entry struct {
	account *waypost.Account
	until   time.Time // zero: until something changes
}

// Bounds of the directory.
const (
	defaultSize   = 10_000
	loadTimeout   = 10 * time.Second
	changeTimeout = 5 * time.Second
	watchEvery    = 500 * time.Millisecond // design, promise 11
)

// NewDirectory returns an empty directory.
func NewDirectory(o DirectoryOptions) *Directory {
	if o.Size == 0 {
		o.Size = defaultSize
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Directory{
		store: o.Store, system: o.System, ring: o.Ring, log: o.Log, size: o.Size,
		cached: map[string]entry{}, seed: maphash.MakeSeed(),
	}
}

// Get returns an operator with all that accepting and delivering its mail needs. The
// account is shared by all who ask and must not be changed. The error is NotFound if
// there is no such operator. However many ask at once, an operator is read once.
func (d *Directory) Get(ctx context.Context, operatorID string) (*waypost.Account, error) {
	a, generation := d.peek(operatorID)
	if a != nil {
		return a, nil
	}
	// Who asks after a change must not get what was read before it, so the generation
	// is part of the key. The reading outlives the one who began it: others wait too.
	key := strconv.FormatUint(generation, 36) + " " + operatorID
	read := d.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		if a, _ := d.peek(operatorID); a != nil { // a reading ended since we looked
			return a, nil
		}
		snap, err := d.read(ctx, operatorID)
		if err != nil {
			return nil, err
		}
		e := entry{account: snap.account}
		if snap.locked {
			d.log.ErrorContext(ctx, "the saved password of a relay cannot be opened", "operator", operatorID)
			e.until = snap.account.RelayHealth.NextProbe
		}
		d.keep(generation, operatorID, e)
		return snap.account, nil
	})
	select {
	case r := <-read:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*waypost.Account), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// peek returns what is in memory, nil for nothing, and the generation to keep a
// reading with.
func (d *Directory) peek(operatorID string) (*waypost.Account, uint64) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	e, ok := d.cached[operatorID]
	if !ok || (!e.until.IsZero() && !time.Now().Before(e.until)) {
		return nil, d.generation
	}
	return e.account, d.generation
}

func (d *Directory) keep(generation uint64, operatorID string, e entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.generation != generation {
		return
	}
	if _, known := d.cached[operatorID]; !known && len(d.cached) >= d.size {
		for other := range d.cached { // any one will do: a miss costs a few reads
			delete(d.cached, other)
			break
		}
	}
	d.cached[operatorID] = e
}

// Forget drops what is in memory of an operator that somebody else has changed, so that
// this process need not wait for Watch to see it.
func (d *Directory) Forget(operatorID string) { d.forget(operatorID) }

// forget drops one operator's snapshot.
func (d *Directory) forget(operatorID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generation++
	delete(d.cached, operatorID)
}

// drop drops all snapshots.
func (d *Directory) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generation++
	d.cached = map[string]entry{}
	d.platform = nil
}

// Platform returns what the owner has chosen for the whole platform.
func (d *Directory) Platform(ctx context.Context) (waypost.PlatformSettings, error) {
	d.mu.RLock()
	known, generation := d.platform, d.generation
	d.mu.RUnlock()
	if known != nil {
		return *known, nil
	}
	read, err := d.store.PlatformSettings(ctx)
	if err != nil {
		return read, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.generation == generation { // else it may be older than what was dropped
		d.platform = &read
	}
	return read, nil
}

// OnChange registers a function that Watch calls when something changed, after the
// snapshots were dropped. All have to be registered before Watch runs; they are called
// one after the other, in this order.
func (d *Directory) OnChange(call func(ctx context.Context)) { d.hooks = append(d.hooks, call) }

// Watch heeds changes made by this process and others until ctx ends: it reads the
// change number at every interval (0 means 500 ms). It counts the start as a change,
// for what happened before it. While the database is away nothing is dropped. It
// returns nil when ctx ends.
func (d *Directory) Watch(ctx context.Context, every time.Duration) error {
	if every == 0 {
		every = watchEvery
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	seen, known, away := int64(0), false, false
	for {
		// The number is read before anything is dropped: a change in between shows
		// in the next round.
		number, err := d.change(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if !away {
				d.log.ErrorContext(ctx, "cannot see changes", "error", err)
			}
			away = true
		case !known || number != seen:
			seen, known, away = number, true, false
			d.drop()
			for _, call := range d.hooks {
				call(ctx)
			}
		default:
			away = false
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (d *Directory) change(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	return d.system.Change(ctx)
}
