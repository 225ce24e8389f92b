package smtpc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

const (
	// stallCheck is how often a writer that the peer keeps waiting looks up: for an
	// early reply, and whether the dot may still be sent.
	stallCheck = 2 * time.Second
	// lastWordsWait is how long a peer that stopped listening has to say why.
	lastWordsWait = time.Second

	tlsRecord = 16 << 10 // plaintext of one TLS record
	tlsFlush  = 64 << 10 // ciphertext held back before it is written
)

// cork sits below the TLS layer and holds its records back while a group of
// writes is under way, so that they leave in one system call and not one each.
type cork struct {
	net.Conn
	on   bool
	held []byte
}

func (c *cork) Write(p []byte) (int, error) {
	switch {
	case c.on:
		c.held = append(c.held, p...)
		return len(p), nil
	case len(c.held) == 0:
		return c.Conn.Write(p)
	}
	// Records must leave in their order: flush may have left one.
	_, err := c.Conn.Write(append(c.held, p...))
	c.held = c.held[:0]
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// pace is how long a write may take.
type pace struct {
	block   time.Duration // without the peer taking a byte
	until   time.Time     // the end in any case: a byte now and then is not enough
	stalled func() error  // if not nil, called while the peer keeps us waiting; its error is the end, too
}

// within is the pace of what is short enough to be taken at once.
func within(limit time.Duration) pace { return pace{block: limit, until: time.Now().Add(limit)} }

// write sends pieces and returns nil when all of them are with the kernel.
func (s *Session) write(ctx context.Context, p pace, pieces ...[]byte) error {
	if s.tls == nil {
		// WriteTo consumes what it is given; the pieces belong to the caller.
		vec := append(s.vec[:0], pieces...)
		s.vec = vec
		err := s.push(ctx, p)
		clear(vec)
		s.vec = vec[:0]
		return err
	}
	s.cork.on = true
	defer func() { s.cork.on = false }()
	s.plain = s.plain[:0]
	for _, piece := range pieces {
		for len(piece) > 0 {
			if len(s.plain) == 0 && len(piece) >= tlsRecord {
				if err := s.seal(ctx, p, piece[:tlsRecord]); err != nil {
					return err
				}
				piece = piece[tlsRecord:]
				continue
			}
			n := min(len(piece), tlsRecord-len(s.plain))
			s.plain = append(s.plain, piece[:n]...)
			piece = piece[n:]
			if len(s.plain) == tlsRecord {
				if err := s.seal(ctx, p, s.plain); err != nil {
					return err
				}
				s.plain = s.plain[:0]
			}
		}
	}
	if len(s.plain) > 0 {
		if _, err := s.tls.Write(s.plain); err != nil {
			return err
		}
	}
	return s.flush(ctx, p)
}

// seal encrypts one record and flushes when enough ciphertext waits.
func (s *Session) seal(ctx context.Context, p pace, record []byte) error {
	if _, err := s.tls.Write(record); err != nil {
		return err
	}
	if len(s.cork.held) < tlsFlush {
		return nil
	}
	return s.flush(ctx, p)
}

// flush writes the ciphertext that was held back when it began. While that stalls we
// listen to the peer, and TLS may have an answer of its own, to a KeyUpdate: everything
// after it is encrypted with other keys, so it must not get lost. It need not leave
// before the next data either (RFC 8446 section 4.6.3), and waits for it: if it failed
// behind a final dot, the dot would look unsent.
func (s *Session) flush(ctx context.Context, p pace) error {
	held := s.cork.held
	vec := append(s.vec[:0], held)
	s.vec = vec
	err := s.push(ctx, p)
	s.vec = vec[:0]
	answer := s.cork.held[len(held):]
	if cap(s.cork.held) > tlsFlush/4 {
		s.cork.held = nil // a kept session that idles should not keep it
	}
	s.cork.held = append(s.cork.held[:0], answer...)
	return err
}

// push writes s.vec to the raw connection. RFC 5321 section 4.5.3.2.5 gives each
// block its own three minutes, so a slow peer may take its time as long as it moves
// and has not had all the time that p gives.
func (s *Session) push(ctx context.Context, p pace) error {
	wait := p.block
	if p.stalled != nil {
		wait = min(wait, stallCheck)
	}
	progress := time.Now()
	for at := progress; ; {
		deadline := at.Add(wait)
		if deadline.After(p.until) {
			deadline = p.until
		}
		_ = s.raw.SetWriteDeadline(deadline)
		if ctx.Err() != nil {
			// The interruption of watch may have come before the line above.
			return interrupted(ctx, os.ErrDeadlineExceeded)
		}
		n, err := s.vec.WriteTo(s.raw)
		if err == nil {
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil {
			return interrupted(ctx, err)
		}
		at = time.Now()
		if n > 0 {
			progress = at
		}
		switch {
		case at.Sub(progress) >= p.block:
			return err
		case !at.Before(p.until):
			return ErrSlow
		}
		if p.stalled != nil {
			if err := p.stalled(); err != nil {
				return err
			}
			at = time.Now()
		}
	}
}

// errEarly says that the peer answered before the message was complete.
var errEarly = errors.New("server answered before the end of the message")

// answered is called while a write stalls: has the peer said anything yet?
func (s *Session) answered() error {
	if s.br.Buffered() == 0 {
		// A deadline in the past would not even look.
		_ = s.raw.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := s.br.Peek(1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	if s.br.Buffered() > 0 {
		return errEarly
	}
	return nil
}

// lastWords returns the refusal a peer left before it stopped taking what we
// write, Code 0 if it left none.
func (s *Session) lastWords(ctx context.Context) waypost.Reply {
	if s.broken || s.closed.Load() || ctx.Err() != nil {
		return waypost.Reply{}
	}
	reply, err := s.readReply(ctx, lastWordsWait)
	if err != nil || reply.Code < 400 {
		return waypost.Reply{}
	}
	return reply
}

// readReply reads one reply within limit and the bounds on its length.
func (s *Session) readReply(ctx context.Context, limit time.Duration) (waypost.Reply, error) {
	parser := replyParser{text: s.text[:0], limit: s.opts.MaxReply}
	defer func() { s.text = parser.text[:0] }()
	armed := false
	for {
		if !armed && !s.lineBuffered() {
			armed = true
			// One deadline for the whole reply: a drip of bytes does not extend it. It is for
			// writing too, since TLS may have to answer while we read.
			_ = s.raw.SetDeadline(time.Now().Add(limit))
			if ctx.Err() != nil {
				return waypost.Reply{}, interrupted(ctx, os.ErrDeadlineExceeded)
			}
		}
		fragment, err := s.br.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return waypost.Reply{}, interrupted(ctx, err)
		}
		done, err := parser.feed(fragment)
		if err != nil {
			return waypost.Reply{}, err
		}
		if done {
			s.used = time.Now()
			return parser.reply(s.secrets), nil
		}
	}
}

func (s *Session) lineBuffered() bool {
	n := s.br.Buffered()
	if n == 0 {
		return false
	}
	waiting, _ := s.br.Peek(n)
	return bytes.IndexByte(waiting, '\n') >= 0
}
