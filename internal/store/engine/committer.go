package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
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
	return &Queue[T]{c: c, index: len(c.appliers) - 1}
}

// Do writes an item and waits until it is durable or failed. A context that ends
// meanwhile does not take the item back: the error then says nothing about it.
func (q *Queue[T]) Do(ctx context.Context, item T, size int) error {
	done := make(chan error, 1)
	q.c.put(&entry{queue: q.index, item: item, size: size, waited: true, done: func(err error) { done <- err }})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for commit: %w", ctx.Err())
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
	appliers []func(context.Context, *Tx, []*entry) error

	mu      sync.Mutex
	waiting []*entry
	waited  int // how many of waiting somebody waits for
	closed  bool

	wake    chan struct{} // capacity 1: something waits
	stopped chan struct{}
	tx      *Tx // connection and statements, nil while there is none
}

func newCommitter(db *sql.DB, d Dialect, log *slog.Logger, o Observer) *committer {
	c := &committer{
		db: db, dialect: d, log: log, observe: o,
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
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
	for {
		group, closed := c.take()
		if len(group) == 0 {
			if closed {
				return
			}
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
	err := c.try(group)
	if err == nil || len(group) == 1 {
		for _, e := range group {
			e.done(err)
		}
	} else {
		c.log.Debug("group failed, trying its items one by one", "error", err, "items", len(group))
		for _, e := range group {
			e.done(c.try([]*entry{e}))
		}
	}
	if c.observe != nil {
		c.observe.Group(len(group), time.Since(began))
	}
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
		if err != nil {
			cancel() // closes rows an applier left open: the connection waits for them
			c.failed(err)
			c.rollback()
		}
	}()
	for i, apply := range c.appliers {
		var own []*entry
		for _, e := range group {
			if e.queue == i {
				own = append(own, e)
			}
		}
		if len(own) == 0 {
			continue
		}
		if err := apply(ctx, c.tx, own); err != nil {
			return err
		}
	}
	if _, err := c.tx.ExecContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
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
			return fmt.Errorf("begin: %w", err)
		}
	}
}

func (c *committer) connect(ctx context.Context) error {
	if c.tx != nil {
		return nil
	}
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to database: %w", err)
	}
	c.tx = &Tx{conn: conn, stmts: map[string]*sql.Stmt{}, Dialect: c.dialect}
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
