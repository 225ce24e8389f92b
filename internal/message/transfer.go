package message

import (
	"bytes"
	"encoding/base64"
	"mime/quotedprintable"
	"strings"
)

// transfer is a content transfer encoding (RFC 2045 section 6).
type transfer int

const (
	sevenBit transfer = iota // also when none is named
	eightBit                 // 8bit and binary: bytes as they are
	quotedPrintable
	base64Transfer
)

func transferOf(name string) (transfer, bool) {
	name, _, _ = strings.Cut(name, ";") // some write parameters
	name, _, _ = strings.Cut(name, "(") // or comments
	switch strings.TrimSpace(name) {
	case "", "7bit":
		return sevenBit, true
	case "8bit", "binary":
		return eightBit, true
	case "quoted-printable":
		return quotedPrintable, true
	case "base64":
		return base64Transfer, true
	}
	return 0, false
}

func (t transfer) String() string {
	switch t {
	case quotedPrintable:
		return "quoted-printable"
	case base64Transfer:
		return "base64"
	case eightBit:
		return "8bit"
	default:
		return "7bit"
	}
}

// orQuoted returns an encoding that carries any text: t, or quoted-printable for
// those that put bytes on the line as they are.
func (t transfer) orQuoted() transfer {
	if t == base64Transfer {
		return t
	}
	return quotedPrintable
}

// decode removes the transfer encoding. Only base64 can be broken: in
// quoted-printable, what is no escape stands for itself, as readers take it.
func (t transfer) decode(content []byte) ([]byte, bool) {
	switch t {
	case base64Transfer:
		return decodeBase64(content)
	case quotedPrintable:
		out := make([]byte, 0, len(content))
		q := quotedReader{b: content}
		for q.next() {
			out = append(out, q.chunk...)
		}
		return out, true
	default:
		return content, true
	}
}

func (t transfer) encode(data []byte) []byte {
	switch t {
	case base64Transfer:
		return encodeBase64(data)
	case quotedPrintable:
		return encodeQuoted(data)
	default:
		return data
	}
}

// decodeBase64 takes white space anywhere and nothing else that is not of the
// alphabet: where the rest may be missing, adding to it could hide more of the mail.
func decodeBase64(content []byte) ([]byte, bool) {
	if bytes.ContainsAny(content, " \t") {
		content = bytes.Join(bytes.FieldsFunc(content, func(r rune) bool { return r == ' ' || r == '\t' }), nil)
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(content)))
	n, err := base64.StdEncoding.Decode(out, content)
	return out[:n], err == nil
}

// encodeBase64 writes lines of 76 columns, each with its CRLF but the last (RFC 2045
// section 6.8).
func encodeBase64(data []byte) []byte {
	const line = 57 // bytes that make 76 columns
	out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(data))+2*(len(data)/line+1))
	for len(data) > line {
		out = base64.StdEncoding.AppendEncode(out, data[:line])
		out = append(out, '\r', '\n')
		data = data[line:]
	}
	out = base64.StdEncoding.AppendEncode(out, data)
	return append(out, '\r', '\n')
}

// encodeQuoted writes text with CRLF line ends as quoted-printable.
func encodeQuoted(data []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(data) + len(data)/8)
	w := quotedprintable.NewWriter(&out)
	_, _ = w.Write(data) // a Buffer does not fail
	_ = w.Close()
	return out.Bytes()
}

// quotedInsert encodes text that is put after before. A soft line break first keeps
// what before ends with: blanks, which a line end would swallow, and an open soft
// line break or escape, which would swallow the line end.
func quotedInsert(before, added []byte) []byte {
	encoded := encodeQuoted(added)
	if n := len(before); n > 0 {
		switch before[n-1] {
		case ' ', '\t':
			return append([]byte("=\r\n"), encoded...)
		case '=':
			return append([]byte("\r\n"), encoded...)
		}
	}
	return encoded
}

// quotedReader reads quoted-printable (RFC 2045 section 6.7) in chunks: stretches
// that stand for themselves, and single escapes. It looks at each line once.
type quotedReader struct {
	b     []byte
	pos   int    // of what is read next
	at    int    // where the current chunk begins
	chunk []byte // decoded
	one   [1]byte

	text, end, after int // of the line at pos: end without trailing blanks, end, next line
}

// next goes to the next chunk, and reports whether there is one.
func (q *quotedReader) next() bool {
	for q.pos < len(q.b) {
		if q.pos >= q.after {
			q.readLine()
		}
		q.at = q.pos
		switch {
		case q.pos >= q.end: // the line end itself
			q.pos = q.after
			q.chunk = q.b[q.end:q.after]
			return true
		case q.pos >= q.text: // rule 3: blanks before a line end do not count
			q.pos = q.end
			continue
		}
		rest := q.b[q.pos:q.text]
		if rest[0] != '=' {
			n := bytes.IndexByte(rest, '=')
			if n < 0 {
				n = len(rest)
			}
			q.pos += n
			q.chunk = rest[:n]
			return true
		}
		if len(rest) == 1 { // rule 5: soft line break
			q.pos = q.after
			continue
		}
		q.one[0], q.chunk = '=', q.one[:]
		q.pos++
		if len(rest) >= 3 {
			high, ok1 := unhex(rest[1])
			low, ok2 := unhex(rest[2])
			if ok1 && ok2 {
				q.one[0] = high<<4 | low
				q.pos += 2
			}
		}
		return true
	}
	return false
}

func (q *quotedReader) readLine() {
	q.after = len(q.b)
	q.end = q.after
	if i := bytes.IndexByte(q.b[q.pos:], '\n'); i >= 0 {
		q.end = q.pos + i
		q.after = q.end + 1
		if i > 0 && q.b[q.end-1] == '\r' {
			q.end--
		}
	}
	q.text = q.end
	for q.text > q.pos && (q.b[q.text-1] == ' ' || q.b[q.text-1] == '\t') {
		q.text--
	}
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// quotedOffset returns where in quoted-printable content the decoded byte at offset n
// begins, the end of the content if there is none.
func quotedOffset(content []byte, n int) int {
	q, seen := quotedReader{b: content}, 0
	for q.next() {
		if seen+len(q.chunk) > n {
			return q.at + n - seen // within a stretch offsets are the same; an escape has but one
		}
		seen += len(q.chunk)
	}
	return len(content)
}

func longestLine(b []byte) int {
	longest := 0
	for line := range bytes.Lines(b) {
		longest = max(longest, len(bytes.TrimRight(line, "\r\n")))
	}
	return longest
}
