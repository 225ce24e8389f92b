package dkim

// maxColumns is how long a line of a header field should be at most, without its
// CRLF (RFC 5322 section 2.1.1).
const maxColumns = 78

// folded is a header field under construction, kept within maxColumns unless a
// single token is longer.
type folded struct {
	text   []byte
	prefix int // length of the name and colon
	column int // length of the last line
}

func newFolded(name string) *folded {
	text := make([]byte, 0, 1024)
	return &folded{text: append(text, name...), prefix: len(name), column: len(name)}
}

// value returns what follows the colon so far.
func (f *folded) value() []byte { return f.text[f.prefix:] }

// add appends sep and a token, or a fold and the token if they do not fit.
func (f *folded) add(sep, token string) {
	if f.column+len(sep)+len(token) > maxColumns {
		f.fold()
		sep = ""
	}
	f.text = append(append(f.text, sep...), token...)
	f.column += len(sep) + len(token)
}

// addBroken appends text that may be folded anywhere, like base64.
func (f *folded) addBroken(text string) {
	for text != "" {
		if f.column >= maxColumns {
			f.fold()
		}
		n := min(maxColumns-f.column, len(text))
		f.text = append(f.text, text[:n]...)
		f.column += n
		text = text[n:]
	}
}

func (f *folded) fold() {
	f.text = append(f.text, "\r\n "...)
	f.column = 1
}
