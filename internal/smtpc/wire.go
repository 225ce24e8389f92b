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
	if !c.on {
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	return len(p), nil
}

// write sends pieces and returns nil when all of them are with the kernel. It
// gives up when the peer takes nothing for limit. While the peer keeps it waiting
// it calls stalled, if not nil, and stops with its error.
func (s *Session) write(ctx context.Context, limit time.Duration, stalled func() error, pieces ...[]byte) error {
	if s.tls == nil {
		// WriteTo consumes what it is given; the pieces belong to the caller.
		vec := append(s.vec[:0], pieces...)
		s.vec = vec
		err := s.push(ctx, limit, stalled)
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
				if err := s.seal(ctx, limit, stalled, piece[:tlsRecord]); err != nil {
					return err
				}
				piece = piece[tlsRecord:]
				continue
			}
			n := min(len(piece), tlsRecord-len(s.plain))
			s.plain = append(s.plain, piece[:n]...)
			piece = piece[n:]
			if len(s.plain) == tlsRecord {
				if err := s.seal(ctx, limit, stalled, s.plain); err != nil {
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
	return s.flush(ctx, limit, stalled)
}

// seal encrypts one record and flushes when enough ciphertext waits.
func (s *Session) seal(ctx context.Context, limit time.Duration, stalled func() error, record []byte) error {
	if _, err := s.tls.Write(record); err != nil {
		return err
	}
	if len(s.cork.held) < tlsFlush {
		return nil
	}
	return s.flush(ctx, limit, stalled)
}

func (s *Session) flush(ctx context.Context, limit time.Duration, stalled func() error) error {
	vec := append(s.vec[:0], s.cork.held)
	s.vec = vec
	err := s.push(ctx, limit, stalled)
	s.cork.held = s.cork.held[:0]
	if cap(s.cork.held) > tlsFlush/4 {
		s.cork.held = nil // a kept session that idles should not keep it
	}
	s.vec = vec[:0]
	return err
}

// push writes s.vec to the raw connection. RFC 5321 section 4.5.3.2.5 gives each
// block its own three minutes: a slow peer may take an hour as long as it moves.
func (s *Session) push(ctx context.Context, limit time.Duration, stalled func() error) error {
	wait := limit
	if stalled != nil {
		wait = min(wait, stallCheck)
	}
	progress := time.Now()
	for at := progress; ; {
		_ = s.raw.SetWriteDeadline(at.Add(wait))
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
		if at.Sub(progress) >= limit {
			return err
		}
		if stalled != nil {
			if err := stalled(); err != nil {
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
			// One deadline for the whole reply: a drip of bytes does not extend it.
			_ = s.raw.SetReadDeadline(time.Now().Add(limit))
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
