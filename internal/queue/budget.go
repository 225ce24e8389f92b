package queue

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/waypost/waypost/internal/waypost"
)

// budget bounds the bytes of content in memory. The lanes have shares of their own,
// so that big reports to slow sites never keep an alarm from being read.
type budget [laneCount]*share

// share is what some lanes may hold, and who holds it.
type share struct {
	size    int64
	reading *semaphore.Weighted // messages being read, whose size is not counted yet
	short   atomic.Int32        // jobs with a session that wait for room

	mu      sync.Mutex
	used    int64
	holds   map[string]int64 // of used, by operator
	over    bool             // somebody holds a message that is not counted
	waiting []*waiter        // in the order in which they came
}

// waiter is a job that waits for room.
type waiter struct {
	operator string
	size     int64
	granted  chan *content // room for one
}

// readers bounds how many messages of a share are read at once.
const readers = 4

// appetite is how many bytes an operator may hold for each one that it leaves free, as
// greed is for sessions.
const appetite = 8

func newBudget(total int64) budget {
	of := func(eighths int64) *share {
		return &share{size: max(1, total*eighths/8), reading: semaphore.NewWeighted(readers), holds: map[string]int64{}}
	}
	rest := of(3)
	return budget{of(1), of(4), rest, rest}
}

// content is the part of a share that a message holds, given back when its last job
// ends.
type content struct {
	share    *share
	operator string
	size     int64 // as counted
	over     bool  // the message is larger than what is left, and not counted
	jobs     atomic.Int32
}

// take takes room for a message if its operator may have it now, nil if not. What an
// operator may hold shrinks with what is left. For who holds nothing there is more: small
// messages have an eighth of the share to fall back on, and one at a time may be larger
// than what is left, since it must go some time. So neither a lot of mail nor a large
// one, however long its sessions hang, keeps others' from being read. s.mu is held.
func (s *share) take(operator string, size int64) *content {
	holds, most := s.holds[operator], s.size-s.size/8
	c := &content{share: s, operator: operator, size: size}
	switch {
	case holds > 0:
		if holds+size > appetite*(most-s.used-size) {
			return nil
		}
	case s.used+size <= most:
	case size <= s.size/32:
		if s.used+size > s.size {
			return nil
		}
	case s.over:
		return nil
	default:
		c.size, c.over, s.over = 0, true, true
	}
	s.used += c.size
	s.holds[operator] += c.size
	return c
}

// try takes room for a message without waiting and without need; nil if there is none.
func (s *share) try(operator string, size int64) *content {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used+size > s.size-s.size/8 || s.inLine(operator) {
		return nil
	}
	return s.take(operator, size)
}

// inLine reports whether an operator waits for room. s.mu is held.
func (s *share) inLine(operator string) bool {
	return slices.ContainsFunc(s.waiting, func(w *waiter) bool { return w.operator == operator })
}

// wait takes room for a message when there is some.
func (s *share) wait(ctx context.Context, operator string, size int64) (*content, error) {
	w := &waiter{operator: operator, size: size, granted: make(chan *content, 1)}
	s.mu.Lock()
	s.waiting = append(s.waiting, w)
	s.grant()
	s.mu.Unlock()
	select {
	case c := <-w.granted:
		return c, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case c := <-w.granted: // meanwhile
		s.give(c)
	default:
		s.waiting = slices.DeleteFunc(s.waiting, func(other *waiter) bool { return other == w })
		s.grant()
	}
	return nil, fmt.Errorf("wait for memory: %w", ctx.Err())
}

// grant gives room to those who wait and whose turn it is: of each operator the first,
// whatever others wait for. s.mu is held.
func (s *share) grant() {
	behind := map[string]bool{}
	s.waiting = slices.DeleteFunc(s.waiting, func(w *waiter) bool {
		if behind[w.operator] {
			return false
		}
		c := s.take(w.operator, w.size)
		if c == nil {
			behind[w.operator] = true
			return false
		}
		w.granted <- c
		return true
	})
}

// give gives room back. s.mu is held.
func (s *share) give(c *content) {
	s.used -= c.size
	if s.holds[c.operator] -= c.size; s.holds[c.operator] == 0 {
		delete(s.holds, c.operator)
	}
	if c.over {
		s.over = false
	}
	if len(s.waiting) > 0 {
		s.grant()
	}
}

// read reads a message and takes room to keep it. If there is none at once, makeRoom is
// called to get back what nobody needs yet, and the message is read again when there is
// some: who waits keeps nobody from reading.
func (s *share) read(ctx context.Context, store Store, operator, messageID string, makeRoom func()) (*waypost.Message, *content, error) {
	m, err := s.fetch(ctx, store, messageID)
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	var c *content
	if !s.inLine(operator) {
		c = s.take(operator, m.Size)
	}
	s.mu.Unlock()
	if c == nil {
		size := m.Size
		m = nil
		s.short.Add(1)
		makeRoom()
		c, err = s.wait(ctx, operator, size)
		s.short.Add(-1)
		if err == nil {
			m, err = s.fetch(ctx, store, messageID)
		}
	}
	if c != nil {
		c.jobs.Store(1)
	}
	return m, c, err
}

// readTimeout bounds reading one message.
const readTimeout = 30 * time.Second

func (s *share) fetch(ctx context.Context, store Store, messageID string) (*waypost.Message, error) {
	if err := s.reading.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.reading.Release(1)
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return store.Mail(ctx, messageID)
}

// done ends one job's use.
func (c *content) done() {
	if c != nil && c.jobs.Add(-1) == 0 {
		c.share.mu.Lock()
		defer c.share.mu.Unlock()
		c.share.give(c)
	}
}

// unload gives back the content of a job that has not started; it is read again when
// its turn comes. Else jobs that wait for a session could hold all the memory that
// the jobs which have one wait for.
func (j *job) unload() {
	if j.content != nil {
		j.content.done()
		j.content, j.message = nil, nil
	}
}

// makeRoom unloads what waits in memory on a share. A handover that starts later
// finds the share short and does so by itself.
func (q *Queue) makeRoom(s *share) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, k := range q.keys {
		for _, j := range k.jobs {
			if j.content != nil && j.content.share == s {
				j.unload()
			}
		}
	}
}
