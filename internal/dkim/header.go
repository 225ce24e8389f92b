package dkim

import (
	"bytes"
	"strings"
)

// signedNames lists the fields that are signed where present. Trace fields and
// other signatures are not: they change on the way (RFC 6376 section 5.4.1).
func signedNames() [15]string {
	return [...]string{
		"From", "To", "Subject", "List-Unsubscribe", "List-Unsubscribe-Post", "Cc", "Date", "Message-ID", "Reply-To", "In-Reply-To",
		"References", "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Auto-Submitted",
	}
}

// So many of signedNames, from the first, are named once more than they occur, so that
// nobody can add one (RFC 6376 section 8.15): alwaysOversigned of them in any case, the rest
// where there is one. A mailing list that adds its own way out to a mail without one breaks
// nothing; who put a second one beside ours would.
const (
	alwaysOversigned = 3
	oversigned       = 5
)

// field is one header field to be signed.
type field struct {
	name  int    // index in signedNames
	value []byte // what follows the colon, folds included
}

// signedFields returns the fields of a header that are to be signed, in the order
// of the header. The header may end with its last field or with the empty line.
func signedFields(header []byte) []field {
	names := signedNames()
	fields := make([]field, 0, len(names)+1)
	for len(header) > 0 && !bytes.HasPrefix(header, []byte("\r\n")) {
		var line []byte
		line, header = cutField(header)
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		name = bytes.TrimRight(name, " \t\r\n") // RFC 5322 section 4.5 allows space before the colon
		for i, signed := range names {
			if len(name) == len(signed) && strings.EqualFold(string(name), signed) {
				fields = append(fields, field{i, value})
				break
			}
		}
	}
	return fields
}

// cutField splits a header after its first field: at the first CRLF that no white
// space follows.
func cutField(header []byte) (line, rest []byte) {
	end := 0
	for {
		i := bytes.Index(header[end:], []byte("\r\n"))
		if i < 0 {
			return header, nil
		}
		end += i + 2
		if end == len(header) || !isBlank(header[end]) {
			return header[:end], header[end:]
		}
	}
}

// appendField appends a field in relaxed canonical form (RFC 6376 section 3.4.2)
// without its CRLF.
func appendField(dst []byte, name string, value []byte) []byte {
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	dst = append(dst, ':')
	start := len(dst)
	blank := false // white space is owed, unless nothing comes before or after it
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case isBlank(c):
			blank = true
			continue
		case c == '\r' && i+1 < len(value) && value[i+1] == '\n':
			i++
			continue
		case blank && len(dst) > start:
			dst = append(dst, ' ')
		}
		blank = false
		dst = append(dst, c)
	}
	return dst
}
