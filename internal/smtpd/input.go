package smtpd

import (
	"bytes"
	"errors"
	"net"
)

// Line errors; after each of them the session is over, because nobody can say
// where the client's next command begins.
var (
	errBareLF   = errors.New("line ends with a bare LF")
	errLongLine = errors.New("line too long")
)

// input buffers what a client sends.
type input struct {
	conn net.Conn
	buf  []byte
	r, w int // unread part of buf
}

func newInput(conn net.Conn) input {
	return input{conn: conn, buf: make([]byte, maxAuthLine)}
}

// buffered returns the number of octets read from the connection but not used yet.
func (in *input) buffered() int { return in.w - in.r }

// line returns the next line without its CRLF, valid until the next call. A line
// has to end with CRLF (RFC 5321 section 2.3.8) and fit the buffer. Before each
// read from the connection it calls wait, with false the first time.
func (in *input) line(wait func(begun bool) error) ([]byte, error) {
	searched := 0
	for begun := false; ; begun = true {
		if i := bytes.IndexByte(in.buf[in.r+searched:in.w], '\n'); i >= 0 {
			line := in.buf[in.r : in.r+searched+i]
			in.r += len(line) + 1
			if len(line) == 0 || line[len(line)-1] != '\r' {
				return nil, errBareLF
			}
			return line[:len(line)-1], nil
		}
		searched = in.buffered()
		if searched >= maxAuthLine {
			return nil, errLongLine
		}
		if in.r > 0 {
			in.w = copy(in.buf, in.buf[in.r:in.w])
			in.r = 0
		}
		if err := wait(begun); err != nil {
			return nil, err
		}
		n, err := in.conn.Read(in.buf[in.w:])
		in.w += n
		if n == 0 && err != nil {
			return nil, err
		}
	}
}

// read fills p with what is buffered or, if nothing is, from the connection.
func (in *input) read(p []byte) (int, error) {
	if in.buffered() == 0 {
		return in.conn.Read(p)
	}
	n := copy(p, in.buf[in.r:in.w])
	in.r += n
	return n, nil
}

// unread puts b before what is buffered. Commands may be sent right behind a
// message (RFC 2920 section 3.1), so b may be as large as one read of it.
func (in *input) unread(b []byte) {
	if len(b) == 0 {
		return
	}
	rest := in.buf[in.r:in.w]
	size := len(b) + len(rest)
	buf := make([]byte, max(size, maxAuthLine))
	copy(buf[copy(buf, b):], rest)
	in.buf, in.r, in.w = buf, 0, size
}
