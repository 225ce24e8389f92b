package web

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/waypost/waypost/internal/waypost"
)

// MemoryOptions make a Memory; zero values are the usual ones.
type MemoryOptions struct {
	Bytes  int64         // for large mails at once, besides 64 MiB for small ones; 0 means 192 MiB
	AtOnce int64         // large mails of one person; 0 means 3
	Wait   time.Duration // for a turn; 0 means 5 s
	Chunk  time.Duration // for a client to take each 256 KiB; 0 means 30 s
}

const (
	defaultMemory = 192 << 20
	defaultAtOnce = 3
	defaultWait   = 5 * time.Second
	defaultChunk  = 30 * time.Second

	// smallMail is up to where a mail counts as small. The network holds it while a slow
	// client takes it, and large ones never keep it out.
	smallMail   = 64 << 10
	smallMemory = 64 << 20

	chunkSize = 256 << 10
)

// Memory bounds how much stored mail is in memory at once for those who read it. A slow
// client holds what it has not taken yet, so one operator gets half of the memory at most
// and one person a few large mails at a time; who waits too long for a turn is told to come
// back.
type Memory struct {
	o            MemoryOptions
	large, small *semaphore.Weighted

	mu     sync.Mutex
	shares map[string]*share // of people and operators that hold something, or wait
}

// share is what one name may hold.
type share struct {
	*semaphore.Weighted
	users int
}

// NewMemory returns a Memory that nobody holds anything of.
func NewMemory(o MemoryOptions) *Memory {
	if o.Bytes == 0 {
		o.Bytes = defaultMemory
	}
	if o.AtOnce == 0 {
		o.AtOnce = defaultAtOnce
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	if o.Chunk == 0 {
		o.Chunk = defaultChunk
	}
	return &Memory{o: o, large: semaphore.NewWeighted(o.Bytes), small: semaphore.NewWeighted(smallMemory), shares: map[string]*share{}}
}

// How many times its size a stored mail takes for a moment.
const (
	AsItIs     = 2 // read, and copied on its way out of the database
	TakenApart = 5 // its parts decoded, and put into other words
)

// Claim asks for the memory of one stored mail.
type Claim struct {
	Person   string // who reads it
	Operator string // whose people share what they may hold, "" for the platform's staff
	Size     int64  // of the mail, as stored
	Times    int64  // what is done with it: AsItIs, TakenApart
}

// Take waits for the memory of a mail. The error is Unavailable if there is none for too
// long. What is taken has to be released.
func (m *Memory) Take(ctx context.Context, c Claim) (*Hold, error) {
	limited, cancel := context.WithTimeout(ctx, m.o.Wait)
	defer cancel()
	h := &Hold{memory: m}
	var err error
	if bytes := c.Size * c.Times; c.Size <= smallMail {
		err = h.take(limited, m.small, bytes, true)
	} else {
		bytes = min(bytes, m.o.Bytes) // one that is larger than all there is has its turn alone
		err = h.takeShare(limited, "person "+c.Person, m.o.AtOnce, 1, false)
		if err == nil && c.Operator != "" {
			err = h.takeShare(limited, "operator "+c.Operator, m.o.Bytes/2, min(bytes, m.o.Bytes/2), true)
		}
		if err == nil {
			err = h.take(limited, m.large, bytes, true)
		}
	}
	switch {
	case err == nil:
		return h, nil
	case ctx.Err() != nil: // nobody waits any more
		err = ctx.Err()
	default:
		err = waypost.NewError(waypost.Unavailable, "content_busy", "too much stored mail is being read at once; try again")
	}
	h.Release()
	return nil, err
}

// share returns what a name may hold, for one more user of it.
func (m *Memory) share(name string, size int64) *share {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.shares[name]
	if s == nil {
		s = &share{Weighted: semaphore.NewWeighted(size)}
		m.shares[name] = s
	}
	s.users++
	return s
}

func (m *Memory) leave(name string, s *share) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(m.shares, name)
	}
}

// Hold is memory that was taken. A nil one is none.
type Hold struct {
	memory *Memory
	taken  []taken
	shares []func() // gives them up
}

// taken is a part of one budget.
type taken struct {
	of    *semaphore.Weighted
	n     int64
	bytes bool // not mails
}

func (h *Hold) take(ctx context.Context, of *semaphore.Weighted, n int64, bytes bool) error {
	if err := of.Acquire(ctx, n); err != nil {
		return err
	}
	h.taken = append(h.taken, taken{of, n, bytes})
	return nil
}

func (h *Hold) takeShare(ctx context.Context, name string, size, n int64, bytes bool) error {
	s := h.memory.share(name, size)
	h.shares = append(h.shares, func() { h.memory.leave(name, s) })
	return h.take(ctx, s.Weighted, n, bytes)
}

// Keep gives back what is more than so many bytes.
func (h *Hold) Keep(bytes int64) {
	if h == nil {
		return
	}
	for i := range h.taken {
		if t := &h.taken[i]; t.bytes && t.n > bytes {
			t.of.Release(t.n - bytes)
			t.n = bytes
		}
	}
}

// Release gives back everything. Further calls do nothing.
func (h *Hold) Release() {
	if h == nil {
		return
	}
	for _, t := range h.taken {
		t.of.Release(t.n)
	}
	for _, leave := range h.shares {
		leave()
	}
	h.taken, h.shares = nil, nil
}

// Send writes parts one after the other, and keeps no more than they have. A client has
// time for each piece, and with each it takes gets new time: a slow one is served to its
// end, one that stopped is not waited for.
func (h *Hold) Send(w http.ResponseWriter, parts ...[]byte) error {
	var size int64
	for _, part := range parts {
		size += int64(len(part))
	}
	h.Keep(size)
	conn := http.NewResponseController(w)
	for _, part := range parts {
		for chunk := range slices.Chunk(part, chunkSize) {
			_ = conn.SetWriteDeadline(time.Now().Add(h.memory.o.Chunk)) // not every writer has deadlines
			if _, err := w.Write(chunk); err != nil {
				return err
			}
		}
	}
	return nil
}
