package sheet

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
)

// Errors of a Reader, matched with errors.Is.
var (
	// ErrUTF16 means that the file is UTF-16, which no program should send for CSV.
	ErrUTF16 = errors.New("the file is UTF-16; save it as CSV in UTF-8")
	// ErrQuote means that a quotation mark stands where none may, or is not closed. The row
	// is lost, what follows can be read.
	ErrQuote = errors.New("a quotation mark is in the wrong place, or is not closed")
)

// lookAhead is how much of a file is looked at to find out what separates its cells, in
// bytes.
const lookAhead = 16 << 10

// Reader reads rows. A mark of the byte order (BOM) is skipped, and lines end with CRLF
// or LF.
type Reader struct{ in *csv.Reader }

// NewReader returns a Reader of a file whose cells are separated by whichever of comma,
// semicolon and tab there are most of in its first line. The error is ErrUTF16.
func NewReader(r io.Reader) (*Reader, error) {
	buf := bufio.NewReaderSize(r, lookAhead)
	start, _ := buf.Peek(lookAhead) // what fails shows when it is read
	if bytes.HasPrefix(start, []byte("\xff\xfe")) || bytes.HasPrefix(start, []byte("\xfe\xff")) {
		return nil, ErrUTF16
	}
	if rest, ok := bytes.CutPrefix(start, []byte("\xef\xbb\xbf")); ok {
		_, _ = buf.Discard(len(start) - len(rest)) // they are in the buffer
		start = rest
	}
	in := csv.NewReader(buf)
	in.Comma, in.FieldsPerRecord, in.ReuseRecord = separator(start), -1, true
	return &Reader{in: in}, nil
}

// separator is what separates the cells of the first line that is not empty.
func separator(text []byte) rune {
	first, _, _ := bytes.Cut(bytes.TrimLeft(text, "\r\n"), []byte("\n"))
	best, most := ',', 0
	for _, c := range ",;\t" {
		n, quoted := 0, false
		for _, b := range first {
			switch {
			case b == '"':
				quoted = !quoted
			case rune(b) == c && !quoted:
				n++
			}
		}
		if n > most {
			best, most = c, n
		}
	}
	return best
}

// Read returns the cells of the next row, which are valid until the next call, and the line
// where it begins, the first being 1. Lines without anything are skipped. The error is
// io.EOF at the end, ErrQuote, after which reading goes on, or that of what is read from.
func (r *Reader) Read() (line int, cells []string, err error) {
	cells, err = r.in.Read()
	if bad, ok := errors.AsType[*csv.ParseError](err); ok {
		return bad.StartLine, nil, ErrQuote
	}
	if err != nil {
		return 0, nil, err
	}
	line, _ = r.in.FieldPos(0)
	return line, cells, nil
}
