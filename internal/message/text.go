package message

import (
	"encoding/base64"
	"mime"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/waypost"
)

// Widths of lines we write ourselves.
const (
	foldColumn  = 78  // RFC 5322 section 2.1.1: lines should not be longer
	maxEncoded  = 52  // encoded text of one word; with its frame and a field name under 76
	maxWord     = 900 // longest word that a line surely has room for
	maxText     = 4096
	wordPrefix  = "=?utf-8?"
	maxPlainRun = 200 // a longer run without blank cannot be folded, so it is encoded
)

// newField makes a field of ours; Header.Append tells what is refused.
func newField(name, value string) (field, error) {
	if !validFieldName(name) {
		return field{}, fieldError(name, "is not a header field name")
	}
	if strings.ContainsAny(value, "\r\n\x00") {
		return field{}, fieldError(name, "has a line break or NUL in its value")
	}
	if !utf8.ValidString(value) {
		return field{}, fieldError(name, "is not UTF-8")
	}
	value = strings.Trim(value, " \t")
	if longestWord(value) > maxWord {
		return field{}, fieldError(name, "has a word that is too long for a line")
	}
	return field{raw: fold(name, value), name: len(name), value: len(name) + 1}, nil
}

func fieldError(name, what string) error {
	if !validFieldName(name) {
		name = strconv.QuoteToASCII(name[:min(len(name), 60)])
	}
	return &waypost.Error{
		Kind: waypost.Invalid, Code: "bad_header", SMTP: "5.6.0", Field: name,
		Message: "header field " + name + " " + what,
	}
}

func validFieldName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c > '~' || c == ':' {
			return false
		}
	}
	return name != "" && len(name) <= 76
}

func longestWord(s string) int {
	longest, run := 0, 0
	for i := range len(s) {
		if run++; s[i] == ' ' || s[i] == '\t' {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}

// fold writes "name: value" and CRLF, with a CRLF before white space wherever the
// next word would pass foldColumn (RFC 5322 section 2.2.3). Unfolding gives the
// value back exactly. No line consists of white space alone.
func fold(name, value string) []byte {
	out := make([]byte, 0, len(name)+len(value)+4+2*(len(value)/40))
	out = append(out, name...)
	out = append(out, ':', ' ')
	column := len(out)
	for first := true; value != ""; first = false {
		blanks := len(value) - len(strings.TrimLeft(value, " \t"))
		end := strings.IndexAny(value[blanks:], " \t")
		if end < 0 {
			end = len(value)
		} else {
			end += blanks
		}
		if !first && column+end > foldColumn {
			out = append(out, '\r', '\n')
			column = 0
		}
		out = append(out, value[:end]...)
		column += end
		value = value[end:]
	}
	return append(out, '\r', '\n')
}

// foldLong breaks the lines of parsed fields that are over maxLine at white space.
// A line that has none to break at stays as it is.
func (h *Header) foldLong() {
	if !h.long {
		return
	}
	for i, f := range h.fields {
		if len(f.raw) <= maxLine+2 {
			continue
		}
		out := make([]byte, 0, len(f.raw)+len(f.raw)/32)
		for line := range strings.Lines(string(f.raw)) {
			out = appendBroken(out, line, len(out) == 0, f.value)
		}
		h.fields[i].raw = out
	}
	h.long = false
}

// appendBroken appends a line, broken before white space so that its pieces stay
// under maxLine. Nothing is broken inside the name of a first line, and no piece is
// white space alone.
func appendBroken(out []byte, line string, first bool, value int) []byte {
	for len(line) > maxLine+2 {
		from := 0
		if first {
			from = value
		}
		for from < len(line) && (line[from] == ' ' || line[from] == '\t') {
			from++
		}
		cut := strings.LastIndexAny(line[:maxLine], " \t")
		if cut <= from {
			if cut = strings.IndexAny(line[min(from, len(line)):], " \t"); cut < 0 {
				break
			}
			cut += from
		}
		if strings.Trim(line[cut:], " \t\r\n") == "" {
			break // trailing blanks: a break would leave an empty line
		}
		out = append(out, line[:cut]...)
		out = append(out, '\r', '\n')
		line, first = line[cut:], false
	}
	return append(out, line...)
}

// EncodeText returns free text (a subject, a display name in a phrase) as a header
// value: as it is when it is printable ASCII, otherwise as encoded words (RFC 2047)
// of at most 64 columns with a blank between them. Text that has a CR, LF or NUL
// comes back unchanged, for Header.Set to refuse.
func EncodeText(s string) string {
	if strings.ContainsAny(s, "\r\n\x00") || plain(s) {
		return s
	}
	return encodeWords(s)
}

// plain reports text that needs no encoding and cannot be taken for encoded words.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c > '~' || c < ' ' && c != '\t' {
			return false
		}
	}
	return !strings.Contains(s, "=?") && longestWord(s) <= maxPlainRun
}

// encodeWords writes s as encoded words. Only the characters that RFC 2047 section
// 5.3 allows inside a phrase stay bare, so the result is good anywhere.
func encodeWords(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	bare := 0
	for i := range len(s) {
		if qBare(s[i]) {
			bare++
		}
	}
	base := len(s)-bare > len(s)/3 // base64 is shorter then, and no less readable
	var out strings.Builder
	for s != "" {
		n, width := 0, 0
		for n < len(s) {
			_, size := utf8.DecodeRuneInString(s[n:])
			if base {
				width = base64.StdEncoding.EncodedLen(n + size)
			} else if size == 1 && qBare(s[n]) {
				width++
			} else {
				width += 3 * size
			}
			if width > maxEncoded {
				break
			}
			n += size
		}
		if out.Len() > 0 {
			out.WriteByte(' ')
		}
		out.WriteString(wordPrefix)
		if base {
			out.WriteString("b?" + base64.StdEncoding.EncodeToString([]byte(s[:n])))
		} else {
			writeQ(&out, s[:n])
		}
		out.WriteString("?=")
		s = s[n:]
	}
	return out.String()
}

func qBare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == ' ' ||
		c == '!' || c == '*' || c == '+' || c == '-' || c == '/'
}

func writeQ(out *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	out.WriteString("q?")
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
			out.WriteByte('_')
		case qBare(c):
			out.WriteByte(c)
		default:
			out.WriteByte('=')
			out.WriteByte(hex[c>>4])
			out.WriteByte(hex[c&15])
		}
	}
}

// DecodeText is the inverse of EncodeText for any header value: encoded words
// decoded (RFC 2047), bytes that are not UTF-8 and unknown charsets replaced, white
// space and control characters as single blanks, cut at 4 KiB.
func DecodeText(s string) string {
	s = squeeze(decodeWords(s[:min(len(s), 4*maxText)]))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}

// decodeWords decodes encoded words and makes the rest valid UTF-8.
func decodeWords(s string) string {
	if strings.Contains(s, "=?") {
		decoder := mime.WordDecoder{CharsetReader: charsetReader}
		if decoded, err := decoder.DecodeHeader(s); err == nil {
			s = decoded
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// squeeze turns every run of blanks and control characters into one blank.
func squeeze(s string) string {
	if !strings.ContainsFunc(s, isControl) && !strings.Contains(s, "  ") {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || isControl(r) }), " ")
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }
