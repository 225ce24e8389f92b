package smtpc

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// form is what one pass over a message finds out.
type form struct {
	size int64 // bytes, with the CRLF that is appended to an unfinished last line
	dots bool  // some line begins with a dot
	open bool  // the last line lacks its CRLF
	bare bool  // a CR or LF on its own, or a NUL
}

// survey reads a message once, a line feed at a time. A bare CR or LF would let a
// peer see lines, and an end of the message, where we see none (SMTP smuggling).
func survey(pieces [][]byte) form {
	var f form
	last := byte('\n') // the byte before the piece, as if a line had just ended
	crs, lfs := 0, 0
	for _, p := range pieces {
		if len(p) == 0 {
			continue
		}
		f.size += int64(len(p))
		f.bare = f.bare || bytes.IndexByte(p, 0) >= 0
		f.dots = f.dots || (last == '\n' && p[0] == '.')
		crs += bytes.Count(p, []byte{'\r'})
		for i := 0; ; {
			n := bytes.IndexByte(p[i:], '\n')
			if n < 0 {
				break
			}
			i += n
			if i > 0 {
				last = p[i-1]
			}
			f.bare = f.bare || last != '\r'
			lfs++
			i++
			f.dots = f.dots || (i < len(p) && p[i] == '.')
		}
		last = p[len(p)-1]
	}
	// Each LF has a CR before it; as many CRs as LFs leave none over.
	f.bare = f.bare || crs != lfs
	if f.open = f.size > 0 && last != '\n'; f.open {
		f.size += 2
	}
	return f
}

const (
	// tailSize is how much of the message at most shares the write with the dot: few
	// enough bytes that BeforeDot's answer is still true when they leave.
	tailSize = 32 << 10
	// slowest is how many bytes a second a peer must take of a message. Without a lower
	// bound one that takes a byte a minute would hold its sender for years.
	slowest = 1 << 10
	// maxPieces bounds the pieces of one writev (IOV_MAX is 1,024).
	maxPieces = 1000
)

// message sends the message and its dot and reads the last reply.
func (t *transaction) message() *Error {
	s := t.s
	started := s.now()
	t.pace = pace{
		block: s.opts.Timeouts.Block, stalled: s.answered,
		until: time.Now().Add(s.opts.Timeouts.Whole + time.Duration(t.form.size)*time.Second/slowest),
	}
	early, err := t.body()
	if err == nil {
		s.trace(waypost.PhaseData, "("+strconv.FormatInt(t.form.size, 10)+" bytes)", started, waypost.Reply{}, nil)
		return t.dotReply()
	}
	s.trace(waypost.PhaseData, "("+strconv.FormatInt(t.form.size, 10)+" bytes)", started, early, err)
	return s.failReply(waypost.PhaseData, early, err)
}

// body writes the message. On an error the final dot was not sent completely, and
// the reply is what the peer said meanwhile.
func (t *transaction) body() (waypost.Reply, error) {
	s := t.s
	defer func() { clear(s.list); s.list = s.list[:0] }()
	head, tail, err := t.pieces()
	if err == nil && len(head) > 0 {
		err = s.write(t.ctx, t.pace, head...)
	}
	if err != nil {
		return t.earlyReply(t.ctx, err)
	}
	mayDot := func() error {
		if t.mail.BeforeDot == nil {
			return nil
		}
		if err := t.mail.BeforeDot(); err != nil {
			return &veto{err}
		}
		return nil
	}
	if err := mayDot(); err != nil {
		return waypost.Reply{}, err
	}
	if err := t.handOver(); err != nil {
		return waypost.Reply{}, err
	}
	last := t.pace
	last.stalled = func() error {
		if err := mayDot(); err != nil {
			return err
		}
		return s.answered()
	}
	if err := s.write(t.ctx, last, tail...); err != nil {
		return t.earlyReply(t.ctx, err)
	}
	t.res.Dotted = true
	return waypost.Reply{}, nil
}

// veto is BeforeDot's refusal.
type veto struct{ err error }

func (v *veto) Error() string { return "stopped before the final dot: " + v.err.Error() }
func (v *veto) Unwrap() error { return v.err }

// handOver puts Mail.AfterDot in the place of Send's context.
func (t *transaction) handOver() error {
	if t.mail.AfterDot == nil {
		return nil
	}
	t.stop() // if it has fired, the session is dropped and no dot leaves
	if err := t.s.alive(); err != nil {
		return interrupted(t.ctx, err)
	}
	t.ctx = t.mail.AfterDot
	t.stop = t.s.watch(t.ctx)
	return nil
}

// earlyReply looks for the refusal of a peer that does not take the message.
func (t *transaction) earlyReply(ctx context.Context, err error) (waypost.Reply, error) {
	var v *veto
	if errors.As(err, &v) || ctx.Err() != nil {
		return waypost.Reply{}, err
	}
	return t.s.lastWords(ctx), err
}

// pieces returns the message as it goes over the wire, dot-stuffed (RFC 5321
// section 4.5.2) and with the final dot, in two parts: what may be written at
// any time, and the tail of at most tailSize that ends with the dot. Nothing is
// copied: a stuffed dot is a piece of its own. A message of so many dots that the
// pieces exceed what one writev takes is partly written already.
func (t *transaction) pieces() (head, tail [][]byte, err error) {
	s := t.s
	list := s.list[:0]
	defer func() { s.list = list }()
	end := []byte("\r\n.\r\n")
	if !t.form.open {
		end = end[2:]
	}
	if !t.form.dots {
		list = append(append(list, t.mail.Message...), end)
		head, tail = splitTail(&list)
		return head, tail, nil
	}
	lineStart := true
	for _, p := range t.mail.Message {
		for len(p) > 0 {
			if len(list) >= maxPieces {
				if err := s.write(t.ctx, t.pace, list...); err != nil {
					return nil, nil, err
				}
				list = list[:0]
			}
			if lineStart && p[0] == '.' {
				list = append(list, end[len(end)-3:len(end)-2])
			}
			n := bytes.Index(p, []byte("\n."))
			if n < 0 {
				list = append(list, p)
				lineStart = p[len(p)-1] == '\n'
				break
			}
			list = append(list, p[:n+1])
			p = p[n+1:]
			lineStart = true
		}
	}
	list = append(list, end)
	head, tail = splitTail(&list)
	return head, tail, nil
}

// splitTail cuts list so that the second part has the last tailSize bytes.
func splitTail(list *[][]byte) (head, tail [][]byte) {
	size := 0
	for i := len(*list) - 1; i >= 0; i-- {
		p := (*list)[i]
		if size+len(p) > tailSize {
			cut := len(p) - (tailSize - size)
			// p becomes two pieces: its first part ends the head.
			*list = append(*list, nil)
			copy((*list)[i+1:], (*list)[i:])
			(*list)[i], (*list)[i+1] = p[:cut], p[cut:]
			return (*list)[:i+1], (*list)[i+1:]
		}
		size += len(p)
	}
	return nil, *list
}

// dotReply reads the reply that decides (RFC 5321 section 4.2.5: only a 2yz moves
// the responsibility to the peer). Without one nobody knows.
func (t *transaction) dotReply() *Error {
	s := t.s
	started := s.now()
	reply, err := s.readReply(t.ctx, s.opts.Timeouts.Dot)
	if err == nil && reply.Code/100 == 3 {
		err = ErrProtocol
	}
	s.trace(waypost.PhaseDot, ".", started, reply, err)
	if err != nil {
		return s.fail(waypost.PhaseDot, err)
	}
	s.dirty = false
	t.res.Dot = reply
	t.settle(waypost.PhaseDot, reply)
	if reply.Code/100 == 2 {
		s.sent++
	}
	if reply.Code == 421 {
		s.drop()
	}
	return nil
}
