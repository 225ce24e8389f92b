package main

import (
	"strings"
	"time"
	"unicode"
)

// instant is a time as commands print it.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// dash is a cell of a table, "-" for an empty one.
func dash(s string) string {
	if s = cell(s); s == "" {
		return "-"
	}
	return s
}

// cell is a text as tables show it: in one line, and without what a terminal obeys or
// what reads otherwise than it is written. Much of what is listed was said by other
// servers. JSON has the text as it is.
func cell(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, s)
}
