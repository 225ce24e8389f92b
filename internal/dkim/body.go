package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/bits"
)

// BodyHash returns the SHA-256 of a body in relaxed canonical form (RFC 6376
// section 3.4.4). The body is as the recipient sees it (not dot-stuffed) with CRLF
// line ends, and may be empty; a lone CR or LF counts as an ordinary byte.
func BodyHash(body []byte) [sha256.Size]byte {
	// Empty lines at the end are ignored, also those that become empty, and a body
	// of nothing else is hashed as no bytes at all.
	body = trimBody(body)
	h := sha256.New()
	if len(body) > 0 {
		writeLines(h, body)
		h.Write([]byte("\r\n")) // added if the last line has none
	}
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}

// trimBody cuts the blank lines at the end of a body, and the white space and
// line end of the line before them.
func trimBody(body []byte) []byte {
	for n := len(body); ; {
		switch {
		case n > 0 && isBlank(body[n-1]):
			n--
		case n > 1 && body[n-2] == '\r' && body[n-1] == '\n':
			n -= 2
		default:
			return body[:n]
		}
	}
}

// writeLines hashes a trimmed body with every run of white space reduced to one
// space, or to nothing before a line end. What needs no change, nearly all of
// most mails, goes into the hash in pieces as large as they come.
func writeLines(h hash.Hash, body []byte) {
	done := 0 // everything before is hashed
	for at := nextBlank(body, 0); at < len(body); {
		end := at // of the white space that begins here, if any does
		for end < len(body) && isBlank(body[end]) {
			end++
		}
		switch run := body[at:end]; {
		case len(run) == 0: // a false alarm
			end++
		case bytes.HasPrefix(body[end:], []byte("\r\n")):
			h.Write(body[done:at])
			done = end
		case len(run) == 1 && run[0] == ' ':
		case body[end-1] == ' ': // the last space of the run is the one that stays
			h.Write(body[done:at])
			done = end - 1
		default:
			h.Write(body[done:at])
			h.Write([]byte(" "))
			done = end
		}
		at = nextBlank(body, end)
	}
	h.Write(body[done:])
}

// blankWindow is how far nextBlank looks ahead for any white space at all.
const blankWindow = 4096

// nextBlank returns the index of the first byte at or after from that may begin
// white space in need of a change: a tab, or a space before a space or a control
// character. It returns len(body) if there is none. It may name a byte which is
// neither, but never passes one over.
//
// It looks at eight bytes at a time. For a word w, (w-ones*n)&^w&tops has the top
// bit of the lowest byte below n set, and above it no byte's that is not.
func nextBlank(body []byte, from int) int {
	const (
		ones = 0x0101010101010101
		tops = 0x80 * ones
	)
	i := from
	for free := 0; i+9 <= len(body); i += 8 {
		if i >= free { // base64 and the like have no white space to look at
			window := body[i:min(i+blankWindow, len(body))]
			if bytes.IndexByte(window, ' ') < 0 && bytes.IndexByte(window, '\t') < 0 {
				i += len(window) - 8
				continue
			}
			free = i + blankWindow
		}
		here := binary.LittleEndian.Uint64(body[i:])
		next := binary.LittleEndian.Uint64(body[i+1:])
		space := here ^ ' '*ones // zero where a space is
		tab := here ^ '\t'*ones
		found := (space - ones) &^ space & (next - 0x21*ones) &^ next
		found |= (tab - ones) &^ tab
		if found &= tops; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(body); i++ {
		if isBlank(body[i]) {
			return i
		}
	}
	return len(body)
}

// isBlank reports WSP (RFC 5234 appendix B.1).
func isBlank(c byte) bool { return c == ' ' || c == '\t' }
