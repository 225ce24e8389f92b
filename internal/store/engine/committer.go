package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// ErrClosed is the answer to writes after Close.
var ErrClosed = errors.New("database is closed")

// maxGroup bounds how many items one transaction takes.
const maxGroup = 512

// maxGroupBytes bounds the bytes one transaction takes, as far as items tell.
const maxGroupBytes = 16 << 20

// idleWait is how long items that nobody waits for may wait for company.
const idleWait = 2 * time.Millisecond

// commitTimeout bounds one transaction; past it the database counts as away.
const commitTimeout = 30 * time.Second

// Observer hears about groups. Implementations must be fast.
type Observer interface {
	Group(items int, took time.Duration)
}

// Queue is a kind of write: its items of one group are applied together. Queues are
// made with NewQueue before the first write and applied in the order they were made.
type Queue[T any] struct {
	c     *committer
	index int
}

// NewQueue adds a kind of write to an engine. apply runs inside the group's
// transaction, and again item by item if the group fails, so it must set results
// anew each time.
func NewQueue[T any](e *Engine, apply func(ctx context.Context, tx *Tx, items []T) error) *Queue[T] {
	return newQueue(e, false, apply)
}

// NewFirstQueue is NewQueue for a kind of write that goes before those made so far.
func NewFirstQueue[T any](e *Engine, apply func(ctx context.Context, tx *Tx, items []T) error) *Queue[T] {
	return newQueue(e, true, apply)
}

func newQueue[T any](e *Engine, first bool, apply func(ctx context.Context, tx *Tx, items []T) error) *Queue[T] {
	c := e.committer
	c.mu.Lock()
	defer c.mu.Unlock()
	c.appliers = append(c.appliers, func(ctx context.Context, tx *Tx, group []*entry) error {
		items := make([]T, len(group))
		for i, g := range group {
			items[i] = g.item.(T)
		}
		return apply(ctx, tx, items)
	})
	index := len(c.appliers) - 1
	if first {
		c.order = append([]int{index}, c.order...)
	} else {
		c.order = append(c.order, index)
	}
	return &Queue[T]{c: c, index: index}
}

// Do writes an item and waits until it is durable or failed. A context that ends takes
// the item back as long as no group has it; after that the outcome is waited for, which
// the deadlines of a commit bound, so that nobody reads results still being written.
func (q *Queue[T]) Do(ctx context.Context, item T, size int) error {
	done := make(chan error, 1)
	e := &entry{queue: q.index, item: item, size: size, waited: true, done: func(err error) { done <- err }}
	q.c.put(e)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if q.c.takeBack(e) {
			return fmt.Errorf("wait for commit: %w", ctx.Err())
		}
		return <-done
	}
}

// Go writes an item that nobody waits for; done is called from the committer when
// it is durable or failed and must not block.
func (q *Queue[T]) Go(item T, size int, done func(error)) {
	q.c.put(&entry{queue: q.index, item: item, size: size, done: done})
}

type entry struct {
	queue  int
	item   any
	size   int
	waited bool
	done   func(error)
}

// committer is the one writer of the process.
type committer struct {
	db       *sql.DB
	dialect  Dialect
	log      *slog.Logger
	observe  Observer
	trace    func(query string, args []any)
	appliers []func(context.Context, *Tx, []*entry) error
	order    []int  // of appliers within a group
	path     string // of the SQLite file, "" for PostgreSQL

	hear atomic.Pointer[func(words []string)] // see OnTold

	mu      sync.Mutex
	waiting []*entry
	waited  int // how many of waiting somebody waits for
	closed  bool

	wake    chan struct{} // capacity 1: something waits
	stopped chan struct{}
	tx      *Tx    // connection and statements, nil while there is none
	process string // names this committer's marks
	serial  int64  // of the last group
	groups  int

	forget  bool        // the log holds what was erased
	emptied time.Time   // when the log was last emptied
	later   *time.Timer // wakes the committer for it; nil while not needed
}

func newCommitter(db *sql.DB, d Dialect, o Options) *committer {
	c := &committer{
		db: db, dialect: d, log: o.Log, observe: o.Observe, trace: o.Trace,
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
		process: waypost.NewID(),
	}
	if d.Name == "sqlite" {
		c.path = o.URL
	}
	go c.run()
	return c
}

func (c *committer) put(e *entry) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		e.done(ErrClosed)
		return
	}
	c.waiting = append(c.waiting, e)
	if e.waited {
		c.waited++
	}
	c.mu.Unlock()
	c.signal()
}

// takeBack removes an entry that waits and says whether it did.
func (c *committer) takeBack(e *entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.waiting, e)
	if i < 0 {
		return false
	}
	// Anew, not in place: groups share the array.
	c.waiting = slices.Concat(c.waiting[:i], c.waiting[i+1:])
	if e.waited {
		c.waited--
	}
	return true
}

// Waiting is how many items wait to be taken into a group.
func (c *committer) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

func (c *committer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *committer) stop() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.signal()
	<-c.stopped
}

func (c *committer) run() {
	defer close(c.stopped)
	defer c.drop()
	defer func() {
		if c.later != nil {
			c.later.Stop()
		}
	}()
	for {
		group, closed := c.take()
		if len(group) == 0 {
			if closed {
				return
			}
			c.empty()
			<-c.wake
			c.linger()
			continue
		}
		c.commit(group)
	}
}

// linger lets finished deliveries gather when no accept waits: marks alone are
// never worth an fsync of their own.
func (c *committer) linger() {
	c.mu.Lock()
	alone := c.waited == 0 && !c.closed && len(c.waiting) > 0
	c.mu.Unlock()
	if !alone {
		return
	}
	timer := time.NewTimer(idleWait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-c.wake:
			c.mu.Lock()
			company := c.waited > 0 || c.closed
			c.mu.Unlock()
			if company {
				return
			}
		}
	}
}

func (c *committer) take() (group []*entry, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, bytes := 0, 0
	for n < len(c.waiting) && n < maxGroup && (n == 0 || bytes+c.waiting[n].size <= maxGroupBytes) {
		bytes += c.waiting[n].size
		if c.waiting[n].waited {
			c.waited--
		}
		n++
	}
	group = c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	if len(c.waiting) == 0 {
		c.waiting = nil
	}
	return group, c.closed
}

func (c *committer) commit(group []*entry) {
	began := time.Now()
	err := c.settle(group)
	switch {
	case err == nil, len(group) == 1, errors.Is(err, errAway), errors.Is(err, errUnknown):
		for _, e := range group {
			e.done(err)
		}
	default:
		c.log.Debug("group failed, trying its items one by one", "error", err, "items", len(group))
		for i, e := range group {
			err := c.settle([]*entry{e})
			e.done(err)
			if errors.Is(err, errAway) { // it will not be there for the next one either
				for _, e := range group[i+1:] {
					e.done(err)
				}
				break
			}
		}
	}
	if c.observe != nil {
		c.observe.Group(len(group), time.Since(began))
	}
	c.groups++
	if c.groups%checkpointEvery == 0 {
		c.checkpoint()
		c.empty()
	}
}

// Errors that are about the database and not about what was to be written.
var (
	errAway    = errors.New("the database cannot be reached")
	errUnknown = errors.New("the connection was lost during commit and nobody can tell what became of it")
)

// settle tries a group until it is known what became of it: a commit whose answer was
// lost is looked up, a deadlock or serialization failure is tried once more.
func (c *committer) settle(group []*entry) (err error) {
	defer func() { c.tell(err) }()
	err = c.try(group)
	if errors.Is(err, errUnknown) {
		committed, lookErr := c.lookUp()
		switch {
		case lookErr != nil:
			return fmt.Errorf("%w: %w", err, lookErr)
		case committed:
			return nil
		}
		err = c.try(group)
	}
	if err != nil && c.dialect.isConflict(err) {
		err = c.try(group)
	}
	if err != nil && c.dialect.isFull(err) {
		return &waypost.Error{
			Kind: waypost.StorageFull, Code: "storage_full", Message: "no disk space for new mail; try again later", Err: err,
		}
	}
	return err
}

// try applies and commits entries in one transaction.
func (c *committer) try(group []*entry) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer func() {
		// A panic in an applier must not leave the transaction open for the next group.
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while writing: %v", p)
			c.log.Error("panic while writing", "error", err, "stack", string(debug.Stack()))
		}
		if c.tx != nil {
			c.tx.closeRows()
		}
		if err != nil {
			c.failed(err)
			c.rollback()
		}
	}()
	if err := c.mark(ctx); err != nil {
		return err
	}
	for _, i := range c.order {
		var own []*entry
		for _, e := range group {
			if e.queue == i {
				own = append(own, e)
			}
		}
		if len(own) == 0 {
			continue
		}
		if err := c.appliers[i](ctx, c.tx, own); err != nil {
			return err
		}
	}
	// On SQLite the context of the group must not end during COMMIT: the driver would
	// answer its error for a commit that succeeds. On PostgreSQL it may, and the answer
	// is then looked up.
	if c.dialect.Name == "sqlite" {
		ctx = context.Background()
	}
	if err := c.dialect.commit(ctx, c.tx.conn); err != nil {
		return err
	}
	c.forget = c.forget || c.tx.forget
	c.tx.forget = false
	return nil
}

// tell says what the last transaction had to tell, if it was committed. Said too often it
// does no harm.
func (c *committer) tell(err error) {
	if c.tx == nil || len(c.tx.told) == 0 {
		return
	}
	if hear := c.hear.Load(); hear != nil && err == nil {
		(*hear)(slices.Collect(maps.Keys(c.tx.told)))
	}
	clear(c.tx.told)
}

// OnTold has a function called after each commit with the words its transactions told
// (Tx.Tell). It must not block.
func (c *committer) OnTold(hear func(words []string)) { c.hear.Store(&hear) }

// mark numbers the group in its own transaction, on engines where the answer to COMMIT
// can be lost on the way.
func (c *committer) mark(ctx context.Context) error {
	if !c.dialect.marks {
		return nil
	}
	c.serial++
	_, err := c.tx.ExecContext(ctx, markText, c.process, c.serial, time.Now().UnixMilli())
	return err
}

const markText = `INSERT INTO commit_mark (process, serial, at) VALUES ($1, $2, $3)
ON CONFLICT (process) DO UPDATE SET serial = excluded.serial, at = excluded.at`

// No group has the serial 0.
const lookUpText = `INSERT INTO commit_mark (process, serial, at) VALUES ($1, 0, $2)
ON CONFLICT (process) DO UPDATE SET at = excluded.at RETURNING serial`

// lookUp finds out whether the last group was committed. Should its old connection
// still be at work on the server, the row's key is what waits for it; that is why this
// writes, even if there is no row yet because the first group is the lost one.
func (c *committer) lookUp() (committed bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	for {
		c.drop()
		if err = c.connect(ctx); err == nil {
			var serial int64
			err = c.tx.conn.QueryRowContext(ctx, lookUpText, c.process, time.Now().UnixMilli()).Scan(&serial)
			if err == nil {
				return serial == c.serial, nil
			}
		}
		select {
		case <-ctx.Done():
			return false, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// begin begins a transaction. An idle connection may have gone unnoticed, so a failure
// is believed only of a new one; nothing has been written by then.
func (c *committer) begin(ctx context.Context) error {
	for {
		fresh := c.tx == nil
		if err := c.connect(ctx); err != nil {
			return err
		}
		_, err := c.tx.ExecContext(ctx, c.dialect.begin)
		if err == nil {
			return nil
		}
		c.drop()
		if fresh {
			return fmt.Errorf("%w: begin: %w", errAway, err)
		}
	}
}

func (c *committer) connect(ctx context.Context) error {
	if c.tx != nil {
		return nil
	}
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	c.tx = &Tx{conn: conn, stmts: map[string]*sql.Stmt{}, Dialect: c.dialect, trace: c.trace}
	return nil
}

// rollback ends a failed transaction; if even that fails the connection goes.
func (c *committer) rollback() {
	if c.tx == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := c.tx.conn.ExecContext(ctx, "ROLLBACK"); err != nil && c.dialect.Name != "sqlite" {
		c.drop()
	}
}

// failed drops a connection that turns out to be of no more use after err.
func (c *committer) failed(err error) {
	if c.tx == nil {
		return
	}
	gone := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn)
	if rawErr := c.tx.conn.Raw(func(dc any) error {
		gone = gone || c.dialect.isGone(dc)
		return nil
	}); gone || rawErr != nil {
		c.drop()
	}
}

func (c *committer) drop() {
	if c.tx == nil {
		return
	}
	for _, s := range c.tx.stmts {
		_ = s.Close()
	}
	// Raw with ErrBadConn makes the pool discard the connection, not reuse it with
	// a transaction open on it.
	_ = c.tx.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = c.tx.conn.Close()
	c.tx = nil
}
