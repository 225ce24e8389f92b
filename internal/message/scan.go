package message

import (
	"encoding/binary"
	"unicode/utf8"
)

// Info says what a mail asks of the servers that carry it.
type Info struct {
	EightBit      bool // header or body has a byte over 127: wants 8BITMIME (RFC 6152)
	HeaderUTF8    bool // header has a byte over 127: wants SMTPUTF8 (RFC 6532)
	HeaderInvalid bool // ... and is not UTF-8: no extension covers it, it goes as it is
}

// Scan looks through a header block and a body.
func Scan(header, body []byte) Info {
	var in Info
	if !isASCII(header) {
		in.EightBit, in.HeaderUTF8 = true, true
		in.HeaderInvalid = !utf8.Valid(header)
		return in
	}
	in.EightBit = !isASCII(body)
	return in
}

// isASCII reports whether b has no byte over 127, 32 bytes at a step.
func isASCII(b []byte) bool {
	const high = 0x8080808080808080
	for len(b) >= 32 {
		if (binary.LittleEndian.Uint64(b)|binary.LittleEndian.Uint64(b[8:])|
			binary.LittleEndian.Uint64(b[16:])|binary.LittleEndian.Uint64(b[24:]))&high != 0 {
			return false
		}
		b = b[32:]
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isASCIIString is isASCII for the short strings of header fields.
func isASCIIString(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
