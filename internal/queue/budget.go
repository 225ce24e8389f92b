package queue

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/waypost/waypost/internal/waypost"
)

// budget bounds the bytes of content in memory. The lanes have shares of their own,
// so that big reports to slow sites never keep an alarm from being read.
type budget [laneCount]*share

// share is what some lanes may hold.
type share struct {
	size    int64
	bytes   *semaphore.Weighted
	reading *semaphore.Weighted // messages being read, whose size is not counted yet
	short   atomic.Int32        // jobs with a session that wait for bytes
}

// readers bounds how many messages of a share are read at once.
const readers = 4

func newBudget(total int64) budget {
	of := func(eighths int64) *share {
		size := max(1, total*eighths/8)
		return &share{size: size, bytes: semaphore.NewWeighted(size), reading: semaphore.NewWeighted(readers)}
	}
	rest := of(3)
	return budget{of(1), of(4), rest, rest}
}

// content is the part of a share that a message holds, given back when its last job
// ends. A message larger than the share holds all of it.
type content struct {
	share *share
	size  int64
	jobs  atomic.Int32
}

// try takes room for a message without waiting; nil if there is none.
func (s *share) try(size int64) *content {
	size = min(size, s.size)
	if !s.bytes.TryAcquire(size) {
		return nil
	}
	return &content{share: s, size: size}
}

// read reads a message and waits for room to keep it. If there is none at once,
// makeRoom is called to get back what nobody needs yet.
func (s *share) read(ctx context.Context, store Store, messageID string, makeRoom func()) (*waypost.Message, *content, error) {
	if err := s.reading.Acquire(ctx, 1); err != nil {
		return nil, nil, err
	}
	defer s.reading.Release(1)
	readCtx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	m, err := store.Mail(readCtx, messageID)
	if err != nil {
		return nil, nil, err
	}
	c := &content{share: s, size: min(m.Size, s.size)}
	if !s.bytes.TryAcquire(c.size) {
		s.short.Add(1)
		defer s.short.Add(-1)
		makeRoom()
		if err := s.bytes.Acquire(ctx, c.size); err != nil {
			return nil, nil, fmt.Errorf("wait for memory: %w", err)
		}
	}
	c.jobs.Store(1)
	return m, c, nil
}

// readTimeout bounds reading one message.
const readTimeout = 30 * time.Second

// done ends one job's use.
func (c *content) done() {
	if c != nil && c.jobs.Add(-1) == 0 {
		c.share.bytes.Release(c.size)
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
