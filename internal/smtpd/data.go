package smtpd

import (
	"bytes"
	"sync"

	"github.com/waypost/waypost/internal/waypost"
)

// chunk is a piece of a message as it came from the wire. Its first carry bytes
// repeat the last ones of the piece before, so whatever lies across the border
// between two can be seen in the second.
type chunk struct {
	b [chunkSize]byte
	w int // end of what is used
}

const (
	chunkSize = 64 << 10
	carry     = 4 // octets looked back from the LF of CRLF "." CRLF
)

// message collects the lines of a DATA command: fill a part of space, then
// received says how much of it there is. It works on whole reads (no octet is
// handled alone) and finds in one pass
//
//   - the end, CRLF "." CRLF and nothing else (RFC 5321 section 4.1.1.4): a dot
//     between bare CRs or LFs ends nothing here, whatever others may think;
//   - bare CR, bare LF and NUL, which are refused because the next server may
//     read them as the end of a line, or of the message ("SMTP smuggling");
//   - lines that begin with a dot, which has to go (RFC 5321 section 4.5.2).
//
// From the moment a message cannot be accepted any more its memory is given back and
// the rest is only searched for its end.
type message struct {
	limit  int64 // bytes of the unstuffed message
	budget *budget
	pool   *sync.Pool

	chunks   []*chunk
	reserved int64 // bytes taken from budget

	wire    int64 // octets received up to and with the end
	lines   int64 // LFs after a CR
	returns int64 // CRs
	dots    int64 // lines that begin with a dot, the last line too

	bare, tooLarge, noMemory bool
}

// newMessage returns a message with its first chunk, or nil if there is no memory
// for it. It must be closed.
func newMessage(limit int64, b *budget, pool *sync.Pool) *message {
	if !b.reserve(chunkSize) {
		return nil
	}
	m := &message{limit: limit, budget: b, pool: pool, reserved: chunkSize}
	c := m.newChunk()
	// The DATA command's own CRLF counts as the start of the first line, so an
	// empty message is just "." CRLF.
	copy(c.b[:carry], "\x00\x00\r\n")
	return m
}

func (m *message) newChunk() *chunk {
	c := m.pool.Get().(*chunk)
	c.w = carry
	m.chunks = append(m.chunks, c)
	return c
}

// close gives the memory back.
func (m *message) close() {
	for _, c := range m.chunks {
		m.pool.Put(c)
	}
	m.chunks = nil
	m.budget.release(m.reserved)
	m.reserved = 0
}

// refused reports whether the message cannot be accepted any more.
func (m *message) refused() bool { return m.bare || m.tooLarge || m.noMemory }

// space returns where the next octets belong; it is never empty.
func (m *message) space() []byte {
	c := m.chunks[len(m.chunks)-1]
	if c.w == chunkSize {
		tail := c.b[chunkSize-carry:]
		if !m.refused() && !m.budget.reserve(chunkSize) {
			m.noMemory = true
		}
		if m.refused() {
			m.discard()
			c.w = carry
		} else {
			m.reserved += chunkSize
			c = m.newChunk()
		}
		copy(c.b[:carry], tail)
	}
	return c.b[c.w:]
}

// discard gives back all but the last chunk, which goes on as the window in which
// the end is looked for.
func (m *message) discard() {
	last := len(m.chunks) - 1
	for _, c := range m.chunks[:last] {
		m.pool.Put(c)
	}
	m.chunks[0] = m.chunks[last]
	m.chunks = m.chunks[:1]
	m.budget.release(m.reserved - chunkSize)
	m.reserved = chunkSize
}

// received takes in the first n octets of space. When the end is among them it
// returns true and the octets behind it, which are the client's next command and are
// valid until the next call.
func (m *message) received(n int) (rest []byte, done bool) {
	c := m.chunks[len(m.chunks)-1]
	b, from, to := &c.b, c.w, c.w+n

	if n > 0 && b[from] == '.' && b[from-1] == '\n' && b[from-2] == '\r' {
		m.dots++
	}
	for i := from; ; i++ {
		j := bytes.IndexByte(b[i:to], '\n')
		if j < 0 {
			break
		}
		i += j
		if b[i-1] != '\r' {
			m.bare = true
			continue
		}
		m.lines++
		if b[i-2] == '.' && b[i-3] == '\n' && b[i-4] == '\r' {
			rest, done = b[i+1:to], true
			to = i + 1
			break
		}
		if i+1 < to && b[i+1] == '.' {
			m.dots++
		}
	}
	c.w = to
	m.wire += int64(to - from)

	// Every LF counted above has its CR. So there is a CR without LF exactly if there are
	// more CRs, apart from one whose LF may be still to come.
	m.returns += int64(bytes.Count(b[from:to], []byte{'\r'}))
	open := int64(0)
	if !done && b[to-1] == '\r' {
		open = 1
	}
	if m.returns != m.lines+open || bytes.IndexByte(b[from:to], 0) >= 0 {
		m.bare = true
	}
	// The last line (3 octets) is no part of the message, and it may not be here yet.
	if m.wire-m.dots > m.limit+2 {
		m.tooLarge = true
	}
	return rest, done
}

// bytes returns the message after its end was received: dots unstuffed, without
// the final line, in memory of its own; or why it is refused.
func (m *message) bytes() ([]byte, error) {
	if err := m.refusal(); err != nil {
		return nil, err
	}
	size := m.wire - 3 - (m.dots - 1)
	if !m.budget.reserve(size) { // the chunks are still held while it is copied
		m.noMemory = true
		return nil, m.refusal()
	}
	m.reserved += size
	if m.dots == 1 { // only the final one
		parts := make([][]byte, len(m.chunks))
		left := size
		for i, c := range m.chunks {
			parts[i] = c.b[carry:c.w]
			parts[i] = parts[i][:min(int64(len(parts[i])), left)] // without the final line
			left -= int64(len(parts[i]))
		}
		return bytes.Join(parts, nil), nil // which does not clear memory first
	}
	out := make([]byte, 0, size)
	for _, c := range m.chunks {
		start := carry // of what is not copied yet
		for {
			j := bytes.Index(c.b[start-2:c.w], []byte("\r\n."))
			if j < 0 {
				break
			}
			out = appendUpTo(out, c.b[start:start+j])
			start += j + 1
		}
		out = appendUpTo(out, c.b[start:c.w])
	}
	return out, nil
}

// appendUpTo appends what fits the capacity of out: the final line does not.
func appendUpTo(out, b []byte) []byte {
	return append(out, b[:min(len(b), cap(out)-len(out))]...)
}

func (m *message) refusal() error {
	switch {
	case m.bare:
		return &waypost.Error{
			Kind: waypost.Invalid, Code: "bare_cr_lf", SMTP: "5.6.11",
			Message: "Message has a bare CR, bare LF or NUL; lines end with CRLF",
		}
	case m.tooLarge:
		return waypost.NewError(waypost.TooLarge, "too_large", "Message size exceeds the limit")
	case m.noMemory:
		return waypost.NewError(waypost.StorageFull, "busy", "Too much mail at once, try again later")
	}
	return nil
}
