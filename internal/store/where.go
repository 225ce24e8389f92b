package store

import (
	"strconv"
	"strings"
)

// where builds a condition out of parts that a caller wants or not. Its parts are
// constants of the source; values only ever become arguments.
type where struct {
	text string
	args []any
}

// and adds a condition; each "?" in it stands for one of args.
func (w *where) and(condition string, args ...any) {
	for _, arg := range args {
		condition = strings.Replace(condition, "?", w.arg(arg), 1)
	}
	if w.text != "" {
		w.text += " AND "
	}
	w.text += condition
}

// arg adds an argument and returns its placeholder.
func (w *where) arg(value any) string {
	w.args = append(w.args, value)
	return "$" + strconv.Itoa(len(w.args))
}

// prefix adds that a column begins with a text. The column's order is by bytes, so
// that is a range of its index, and no character means anything but itself.
func (w *where) prefix(column, text string) {
	w.and(column+" >= ?", text)
	w.and(column+" < ?", text+"\U0010FFFF")
}

// suffix adds that a column ends with a text.
func (w *where) suffix(column, text string) {
	escaped := strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(text)
	w.and(column+` LIKE ? ESCAPE '\'`, "%"+escaped)
}

// in adds that a column is one of some values.
func (w *where) in(column string, values []any) {
	marks := make([]string, len(values))
	for i, v := range values {
		marks[i] = w.arg(v)
	}
	w.and(column + " IN (" + strings.Join(marks, ", ") + ")")
}
