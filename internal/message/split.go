package message

import (
	"bytes"
	"slices"

	"github.com/waypost/waypost/internal/waypost"
)

// Split cuts a mail into its header block, which ends with the empty line, and its
// body. Both alias raw. A mail without an empty line is all header (RFC 5322
// section 3.5 makes the body optional); only then is the header a copy, completed
// with the empty line.
//
// A bare CR, a bare LF or a NUL anywhere is Invalid (5.6.11): a server down the line
// may take it for a line end and see another mail than we did.
func Split(raw []byte) (header, body []byte, err error) {
	if !cleanLines(raw) {
		return nil, nil, &waypost.Error{
			Kind: waypost.Invalid, Code: "bad_line_end", SMTP: "5.6.11",
			Message: "the mail has a bare CR, a bare LF or a NUL; lines must end with CRLF",
		}
	}
	header, body = SplitClean(raw)
	return header, body, nil
}

// SplitClean is Split for a mail whose line ends were checked as it came in.
func SplitClean(raw []byte) (header, body []byte) {
	if bytes.HasPrefix(raw, []byte("\r\n")) {
		return raw[:2:2], raw[2:]
	}
	if i := bytes.Index(raw, []byte("\r\n\r\n")); i >= 0 {
		return raw[: i+4 : i+4], raw[i+4:]
	}
	switch {
	case len(raw) == 0:
		return []byte("\r\n"), nil
	case raw[len(raw)-1] == '\n':
		return slices.Concat(raw, []byte("\r\n")), nil
	default:
		return slices.Concat(raw, []byte("\r\n\r\n")), nil
	}
}

// cleanLines reports whether every CR and LF of b is part of a CRLF and there is no
// NUL. When each LF follows a CR and there are as many of one as of the other, no
// CR is left over; all three steps run at the speed of the vectorised searches.
func cleanLines(b []byte) bool {
	if bytes.IndexByte(b, 0) >= 0 {
		return false
	}
	lines := 0
	for rest := b; ; lines++ {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		if i == 0 || rest[i-1] != '\r' {
			return false
		}
		rest = rest[i+1:]
	}
	return bytes.Count(b, []byte{'\r'}) == lines
}
