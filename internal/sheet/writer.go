package sheet

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// Writer writes lines of comma-separated values (RFC 4180) in which no spreadsheet finds a
// formula: who sends a mail chooses its subject, but not what the computer of its reader
// does.
type Writer struct{ out *bufio.Writer }

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) Writer { return Writer{bufio.NewWriter(w)} }

// Row writes a line. What fails shows at the next Flush.
func (s Writer) Row(fields []string) {
	for i, field := range fields {
		if i > 0 {
			_ = s.out.WriteByte(',')
		}
		_, _ = s.out.WriteString(quoted(harmless(field)))
	}
	_, _ = s.out.WriteString("\r\n")
}

// Flush hands on what was written.
func (s Writer) Flush() error { return s.out.Flush() }

// Between these a spreadsheet may see cells: where the comma is for decimals the semicolon
// separates, and the commas of the file are text.
const separators = ",;\t\r\n"

// harmless puts an apostrophe, which makes text of what follows, before everything that
// would be a formula at the beginning of a cell, wherever in the field a cell may begin.
// Quotation marks there do not count: one that is opened and closed at once leaves what
// follows as the cell's content.
func harmless(field string) string {
	var b strings.Builder
	atStart, copied := true, 0
	for i, r := range field {
		if atStart && startsFormula(strings.TrimLeft(field[i:], `"`)) {
			b.WriteString(field[copied:i] + "'")
			copied = i
		}
		atStart = strings.ContainsRune(separators, r)
	}
	return b.String() + field[copied:]
}

// Plain takes away the apostrophe that stands before what would be a formula.
func Plain(field string) string {
	if rest, ok := strings.CutPrefix(field, "'"); ok && startsFormula(rest) {
		return rest
	}
	return field
}

// startsFormula also knows white space that some spreadsheets cut off before they look,
// and the signs in the width of East Asian characters, which some read as the plain ones.
func startsFormula(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return strings.ContainsRune("=+-@\t\r\n＝＋－＠", r)
}

// quoted puts a field in quotation marks where a reader may need them: one that knows
// another separator, too.
func quoted(field string) string {
	if field == "" || !strings.ContainsAny(field, `"`+separators) && strings.TrimSpace(field) == field {
		return field
	}
	return `"` + strings.ReplaceAll(field, `"`, `""`) + `"`
}
