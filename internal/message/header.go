package message

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// maxLine is the longest line a server must take, without its CRLF (RFC 5321
// section 4.5.3.1.6, RFC 5322 section 2.1.1).
const maxLine = 998

// Limits bounds a header block. A zero field means its default.
type Limits struct {
	Bytes  int // the whole block; default 256 KiB
	Fields int // default 1,000
	Line   int // one physical line with its CRLF; default 64 KiB
}

// Legacy software writes a To field of hundreds of recipients as one line, far over
// the 998 bytes of RFC 5322. Such lines are taken, and folded at accept.
func (l Limits) orDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 256 << 10
	}
	if l.Fields == 0 {
		l.Fields = 1000
	}
	if l.Line == 0 {
		l.Line = 64 << 10
	}
	return l
}

// Header is an ordered list of header fields. Fields that were parsed alias the
// parsed block and come out of Bytes exactly as they went in: order, case, folding.
// Names are compared without case. It is not safe for concurrent use.
type Header struct {
	fields []field
	long   bool // a parsed line is over maxLine
}

// field is one field as it stands in the block.
type field struct {
	raw   []byte // name, colon, value with its folding, final CRLF
	name  int    // length of the name
	value int    // offset of the first byte after the colon
}

func (f field) is(name string) bool {
	return f.name == len(name) && hasPrefixFold(f.raw, name)
}

// hasPrefixFold reports whether b begins with the ASCII string s, without case.
func hasPrefixFold(b []byte, s string) bool {
	if len(b) < len(s) {
		return false
	}
	for i := range len(s) {
		x, y := b[i], s[i]
		if x == y {
			continue
		}
		if x |= 0x20; x != y|0x20 || x < 'a' || x > 'z' {
			return false
		}
	}
	return true
}

// text is the value, unfolded (RFC 5322 section 2.2.3: only the CRLFs go) and
// without white space at its ends.
func (f field) text() string {
	v := bytes.Trim(f.raw[f.value:], " \t\r\n")
	if bytes.IndexByte(v, '\r') < 0 {
		return string(v)
	}
	return strings.ReplaceAll(string(v), "\r\n", "")
}

// ParseHeader indexes a header block; the Header aliases it. The block may end with
// its empty line or without. A block over a limit is TooLarge (5.3.4) or, for one
// line, Invalid; a line that is neither a field nor a continuation is Invalid
// (5.6.0). White space between name and colon is taken (RFC 5322 section 4.5).
func ParseHeader(block []byte, limits Limits) (*Header, error) {
	limits = limits.orDefaults()
	if len(block) > limits.Bytes {
		return nil, &waypost.Error{
			Kind: waypost.TooLarge, Code: "header_too_large", SMTP: "5.3.4",
			Message: fmt.Sprintf("the header is larger than %d bytes", limits.Bytes),
		}
	}
	h := &Header{fields: make([]field, 0, 32)}
	if bytes.IndexByte(block, 0) >= 0 {
		return nil, headerError("the header has a NUL")
	}
	start := 0 // of the field being read
	for pos := 0; pos < len(block); {
		end := bytes.IndexByte(block[pos:], '\n') + 1
		line := block[pos : pos+end]
		// The first CR of the line must be the one of its CRLF.
		if end < 2 || bytes.IndexByte(line, '\r') != end-2 {
			return nil, headerError("a header line does not end with CRLF")
		}
		if end > limits.Line {
			return nil, headerError(fmt.Sprintf("a header line is longer than %d bytes", limits.Line))
		}
		if end == 2 {
			if pos+2 != len(block) {
				return nil, headerError("the header goes on after an empty line")
			}
			break
		}
		h.long = h.long || end > maxLine+2
		if line[0] == ' ' || line[0] == '\t' {
			if len(h.fields) == 0 {
				return nil, headerError("the header begins with a continuation line")
			}
			h.fields[len(h.fields)-1].raw = block[start : pos+end : pos+end]
			pos += end
			continue
		}
		f, ok := parseField(line)
		if !ok {
			return nil, headerError(fmt.Sprintf("header line %q is not a field", clip(line)))
		}
		if len(h.fields) == limits.Fields {
			return nil, &waypost.Error{
				Kind: waypost.TooLarge, Code: "header_too_large", SMTP: "5.3.4",
				Message: fmt.Sprintf("the header has more than %d fields", limits.Fields),
			}
		}
		h.fields = append(h.fields, f)
		start = pos
		pos += end
	}
	return h, nil
}

// parseField reads the first line of a field.
func parseField(line []byte) (field, bool) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return field{}, false
	}
	name := colon
	for name > 0 && (line[name-1] == ' ' || line[name-1] == '\t') {
		name--
	}
	for _, c := range line[:name] { // RFC 5322 section 2.2
		if c <= ' ' || c > '~' {
			return field{}, false
		}
	}
	return field{raw: slices.Clip(line), name: name, value: colon + 1}, name > 0
}

// readHeader is ParseHeader for blocks that were parsed before or that are part of
// a body: it knows no limits, and lines that are no fields stay where they are.
func readHeader(block []byte) *Header {
	h := &Header{fields: make([]field, 0, 16)}
	start := 0
	for pos := 0; pos < len(block); {
		end := bytes.IndexByte(block[pos:], '\n') + 1
		if end == 0 {
			end = len(block) - pos
		}
		line := block[pos : pos+end]
		if string(line) == "\r\n" {
			break
		}
		f, ok := parseField(line)
		if n := len(h.fields); n > 0 && (!ok || line[0] == ' ' || line[0] == '\t') {
			h.fields[n-1].raw = block[start : pos+end : pos+end]
		} else {
			if !ok { // a nameless field keeps the bytes
				f = field{raw: slices.Clip(line)}
			}
			h.fields = append(h.fields, f)
			start = pos
		}
		pos += end
	}
	return h
}

// Len returns the number of fields.
func (h *Header) Len() int { return len(h.fields) }

// Has reports whether there is a field of that name.
func (h *Header) Has(name string) bool { return h.index(name) >= 0 }

// Count returns how many fields of that name there are.
func (h *Header) Count(name string) int {
	n := 0
	for _, f := range h.fields {
		if f.is(name) {
			n++
		}
	}
	return n
}

// Get returns the value of the first field of that name, unfolded and trimmed, or ""
// if there is none.
func (h *Header) Get(name string) string {
	if i := h.index(name); i >= 0 {
		return h.fields[i].text()
	}
	return ""
}

// Values returns the values of all fields of that name, from the top.
func (h *Header) Values(name string) []string {
	var out []string
	for _, f := range h.fields {
		if f.is(name) {
			out = append(out, f.text())
		}
	}
	return out
}

// Text returns the value of the first field of that name for people: encoded words
// decoded (RFC 2047), valid UTF-8, white space and control characters as single
// blanks, at most 4 KiB.
func (h *Header) Text(name string) string { return DecodeText(h.Get(name)) }

// Del removes all fields of these names.
func (h *Header) Del(names ...string) {
	for _, name := range names {
		if i := h.index(name); i >= 0 {
			h.delFrom(i, name)
		}
	}
}

// delFrom removes the fields of a name from index i on.
func (h *Header) delFrom(i int, name string) {
	rest := slices.DeleteFunc(h.fields[i:], func(f field) bool { return f.is(name) })
	h.fields = h.fields[:i+len(rest)]
}

// delPrefix removes all fields whose name begins with prefix.
func (h *Header) delPrefix(prefix string) {
	h.fields = slices.DeleteFunc(h.fields, func(f field) bool {
		return f.name >= len(prefix) && hasPrefixFold(f.raw, prefix)
	})
}

// Set puts the value where the first field of that name is and removes the others,
// or appends it if there is none. For the errors see Append.
func (h *Header) Set(name, value string) error {
	f, err := newField(name, value)
	if err != nil {
		return err
	}
	i := h.index(name)
	if i < 0 {
		h.fields = append(h.fields, f)
		return nil
	}
	h.fields[i] = f
	h.delFrom(i+1, name)
	return nil
}

// Prepend adds a field on top. For the errors see Append.
func (h *Header) Prepend(name, value string) error {
	f, err := newField(name, value)
	if err != nil {
		return err
	}
	h.fields = slices.Insert(h.fields, 0, f)
	return nil
}

// Append adds a field at the end, folded at white space to 78 columns where that is
// possible. A name that is no field name, and a value that has CR, LF or NUL, is
// not UTF-8, or has a word too long for a line, is an Invalid error that points at
// the field. Free text outside ASCII goes through EncodeText first.
func (h *Header) Append(name, value string) error {
	f, err := newField(name, value)
	if err != nil {
		return err
	}
	h.fields = append(h.fields, f)
	return nil
}

// Bytes returns the header block with its empty line. It is made anew at each call.
func (h *Header) Bytes() []byte {
	n := 2
	for _, f := range h.fields {
		n += len(f.raw)
	}
	out := make([]byte, 0, n)
	for _, f := range h.fields {
		out = append(out, f.raw...)
	}
	return append(out, '\r', '\n')
}

func (h *Header) index(name string) int {
	for i := range h.fields {
		if h.fields[i].is(name) {
			return i
		}
	}
	return -1
}

func headerError(message string) error {
	return &waypost.Error{Kind: waypost.Invalid, Code: "bad_header", SMTP: "5.6.0", Message: message}
}

// clip shortens what a stranger sent for an error message.
func clip(b []byte) []byte {
	b = bytes.TrimRight(b, "\r\n")
	return b[:min(len(b), 60)]
}
