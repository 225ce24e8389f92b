package message

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

var errCharset = errors.New("unknown charset")

// charsetClass says how text can be added to bytes of a charset.
type charsetClass int

const (
	charsetASCII    charsetClass = iota // none named, or us-ascii
	charsetUTF8                         // UTF-8
	charsetSuperset                     // ASCII bytes mean ASCII, wherever they stand at a character's start
	charsetOther                        // UTF-16, ISO-2022, EBCDIC: only whole texts can be converted
	charsetUnknown                      // no table for it, but surely a superset of ASCII in practice
	charsetSealed                       // UTF-7: neither table nor superset
)

// charset is what we know about a charset parameter.
type charset struct {
	name  string // lower case, for messages
	class charsetClass
	enc   encoding.Encoding // superset and other
}

// lookupCharset finds a charset by the name of a MIME parameter. data, the decoded
// content, tells the byte order of UTF-16.
func lookupCharset(name string, data []byte) charset {
	c := charset{name: strings.ToLower(strings.TrimSpace(name))}
	switch c.name {
	case "", "us-ascii", "ascii", "ansi_x3.4-1968":
		c.class = charsetASCII
		return c
	case "utf-8", "utf8", "unicode-1-1-utf-8", "cp65001":
		c.class = charsetUTF8
		return c
	case "utf-7", "unicode-1-1-utf-7":
		c.class = charsetSealed
		return c
	case "utf-16":
		c.class = charsetOther
		switch { // RFC 2781 section 4.3
		case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
			c.enc = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM)
		case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
			c.enc = unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM)
		default:
			c.enc = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
		}
		return c
	}
	c.enc = findEncoding(c.name)
	switch {
	case c.enc == nil:
		c.class = charsetUnknown
	case strings.HasPrefix(c.name, "iso-2022-"), strings.HasPrefix(c.name, "csiso2022"), !keepsASCII(c.enc):
		c.class = charsetOther // ISO-2022 has double-byte stretches made of ASCII bytes
	default:
		c.class = charsetSuperset
	}
	return c
}

// findEncoding prefers the IANA registry: the names of HTML call ISO-8859-1 what is
// Windows-1252, which is fine to read with and wrong to write with.
func findEncoding(name string) encoding.Encoding {
	if enc, err := ianaindex.MIME.Encoding(name); err == nil && enc != nil {
		return enc
	}
	if enc, err := htmlindex.Get(name); err == nil && enc != encoding.Replacement {
		return enc
	}
	return nil
}

func keepsASCII(enc encoding.Encoding) bool {
	const sample = "\t\r\n !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
	out, err := enc.NewEncoder().String(sample)
	return err == nil && out == sample
}

// encode converts UTF-8 text, and reports whether the charset has all of it.
func (c charset) encode(s string) ([]byte, bool) {
	switch {
	case c.class == charsetUTF8 || isASCIIString(s) && c.class != charsetOther:
		return []byte(s), true
	case c.enc == nil:
		return nil, false
	}
	out, err := c.enc.NewEncoder().Bytes([]byte(s))
	return out, err == nil
}

// encodeHTML converts UTF-8 HTML; what the charset lacks becomes numeric character
// references, which mean the same in every charset.
func (c charset) encodeHTML(s string) []byte {
	if c.class == charsetUTF8 || c.enc == nil || isASCIIString(s) && c.class != charsetOther {
		if c.class != charsetUTF8 {
			s = asciiHTML(s)
		}
		return []byte(s)
	}
	out, err := encoding.HTMLEscapeUnsupported(c.enc.NewEncoder()).Bytes([]byte(s))
	if err != nil {
		return []byte(asciiHTML(s))
	}
	return out
}

// decode converts content to UTF-8, and reports whether it can be converted back to
// exactly the same bytes: only then may it be replaced by a converted one.
func (c charset) decode(data []byte) (string, bool) {
	out, err := c.enc.NewDecoder().Bytes(data)
	if err != nil {
		return "", false
	}
	back, err := c.enc.NewEncoder().Bytes(out)
	return string(out), err == nil && bytes.Equal(back, data)
}

// charsetReader is the mime.WordDecoder's hook for the charsets it does not know.
func charsetReader(name string, input io.Reader) (io.Reader, error) {
	enc := findEncoding(strings.ToLower(name))
	if enc == nil {
		return nil, errCharset
	}
	return enc.NewDecoder().Reader(input), nil
}
