package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
)

func TestCellsHoldNothingThatATerminalObeys(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "-",
		"\x1b":                        "-",
		"plain, Größe, 日本":            "plain, Größe, 日本",
		"\x1b[31mEVIL\x1b]0;pwn\x07":  "[31mEVIL]0;pwn",
		"two\r\nlines\tand a tab":     "two lines and a tab",
		"\u009b31m CSI in one":        "31m CSI in one",
		"\x9b31m CSI as a byte":       "\ufffd31m CSI as a byte",
		"gnp\u202e.exe\u2028 \u200bx": "gnp.exe x",
		"nul\x00 del\x7f back\b":      "nul del back",
	} {
		if got := dash(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func TestCellsAddNoRowsOrColumns(t *testing.T) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "%s\t%s\n", dash("one\n1\t2\v\f"), dash("two"))
	_ = w.Flush()
	if got := b.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "  two\n") {
		t.Errorf("got %q", got)
	}
}
