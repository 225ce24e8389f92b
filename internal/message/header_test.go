package message_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/emersion/go-message/textproto"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/waypost"
)

// wantError checks kind and enhanced code of a refusal.
func wantError(t *testing.T, err error, kind waypost.ErrorKind, code string) {
	t.Helper()
	var e *waypost.Error
	if !errors.As(err, &e) || e.Kind != kind || e.SMTP != code {
		t.Fatalf("error %#v, want kind %v, SMTP %q", err, kind, code)
	}
	if !utf8.ValidString(e.Error()) || strings.ContainsAny(e.Message, "\r\n") {
		t.Errorf("message %q is not one line of text", e.Error())
	}
}

func parse(t *testing.T, s string) *message.Header {
	t.Helper()
	h, err := message.ParseHeader([]byte(crlf(s)), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestSplitCutsAfterTheEmptyLine(t *testing.T) {
	for _, row := range []struct{ raw, header, body string }{
		{"A: b\r\n\r\nbody", "A: b\r\n\r\n", "body"},
		{"A: b\r\n\r\n", "A: b\r\n\r\n", ""},
		{"A: b\r\n", "A: b\r\n\r\n", ""},
		{"A: b", "A: b\r\n\r\n", ""},
		{"\r\nA: b\r\n\r\nx", "\r\n", "A: b\r\n\r\nx"},
		{"", "\r\n", ""},
		{"A: b\r\n\r\n\r\n.\r\n", "A: b\r\n\r\n", "\r\n.\r\n"},
	} {
		header, body, err := message.Split([]byte(row.raw))
		if err != nil || string(header) != row.header || string(body) != row.body {
			t.Errorf("Split(%q) = %q, %q, %v", row.raw, header, body, err)
		}
	}
}

func TestSplitCopiesNothing(t *testing.T) {
	raw := []byte("A: b\r\n\r\nbody")
	header, body, _ := message.Split(raw)
	if &header[0] != &raw[0] || &body[0] != &raw[8] {
		t.Error("copied")
	}
	if _ = append(header, 'X'); raw[8] != 'b' {
		t.Error("appending to the header overwrites the body")
	}
}

func TestSplitRefusesLineEndsThatSmuggle(t *testing.T) {
	for _, raw := range []string{
		"A: b\n\nbody", "A: b\r\n\r\n\n.\r\n", "A: b\r\n\r\nx\ry", "A: b\r\n\r\nx\r", "A: b\r\n\r\n\r\r\n",
		"A: b\r\n\r\n\x00", "\n", "\r", "a\r\n\rb\r\n", "a\r\n\r\nx\n\r\r\n",
	} {
		_, _, err := message.Split([]byte(raw))
		wantError(t, err, waypost.Invalid, "5.6.11")
	}
}

func TestHeaderRoundTripsBytes(t *testing.T) {
	block := crlf("received: from x\n\tby y;\n  date\nSUBJECT :  odd  \nX-Empty:\nTo:a@b\n \nDKIM-Signature: v=1; b=abc\n\tdef=\nX-Raw: \xff\xfe\n\n")
	h, err := message.ParseHeader([]byte(block), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(block, string(h.Bytes())); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{
		"Received": "from x\tby y;  date", "Subject": "odd", "x-empty": "", "to": "a@b", "none": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("Get(%s) = %q, want %q", name, got, want)
		}
	}
	if !h.Has("X-EMPTY") || h.Has("none") || h.Len() != 6 || h.Count("received") != 1 {
		t.Error("Has, Len or Count is wrong")
	}
}

func TestHeaderRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		block string
		kind  waypost.ErrorKind
		smtp  string
	}{
		"line without colon":         {"Subject: x\r\nhello\r\n\r\n", waypost.Invalid, "5.6.0"},
		"mbox line":                  {"From a@b Mon Jan 1 10:00:00\r\nA: b\r\n\r\n", waypost.Invalid, "5.6.0"},
		"blank inside a name":        {"Sub ject: x\r\n\r\n", waypost.Invalid, "5.6.0"},
		"no name":                    {": x\r\n\r\n", waypost.Invalid, "5.6.0"},
		"blank name":                 {"A: b\r\n\r\n : x\r\n", waypost.Invalid, "5.6.0"},
		"bytes over 127 in a name":   {"S\xc3\xbc: x\r\n\r\n", waypost.Invalid, "5.6.0"},
		"continuation first":         {" x\r\nA: b\r\n\r\n", waypost.Invalid, "5.6.0"},
		"bare LF":                    {"A: b\nC: d\r\n\r\n", waypost.Invalid, "5.6.0"},
		"bare CR":                    {"A: b\rC: d\r\n\r\n", waypost.Invalid, "5.6.0"},
		"no line end":                {"A: b", waypost.Invalid, "5.6.0"},
		"NUL":                        {"A: \x00\r\n\r\n", waypost.Invalid, "5.6.0"},
		"something after empty line": {"A: b\r\n\r\nC: d\r\n", waypost.Invalid, "5.6.0"},
		"a hundred thousand fields":  {strings.Repeat("A: b\r\n", 100_000), waypost.TooLarge, "5.3.4"},
		"a thousand and one fields":  {strings.Repeat("A: b\r\n", 1001), waypost.TooLarge, "5.3.4"},
		"300 KiB":                    {strings.Repeat("A: "+strings.Repeat("x", 900)+"\r\n", 340), waypost.TooLarge, "5.3.4"},
		"a line of 70 KiB":           {"A: " + strings.Repeat("x", 70<<10) + "\r\n\r\n", waypost.Invalid, "5.6.0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := message.ParseHeader([]byte(row.block), message.Limits{})
			wantError(t, err, row.kind, row.smtp)
		})
	}
}

func TestHeaderEditsKeepTheRest(t *testing.T) {
	h := parse(t, "A: 1\nB: 2\na: 3\nC: 4\nA: 5\n\n")
	if err := h.Set("A", "new"); err != nil {
		t.Fatal(err)
	}
	h.Del("c", "none")
	if err := h.Prepend("Top", "t"); err != nil {
		t.Fatal(err)
	}
	if err := h.Append("End", "e"); err != nil {
		t.Fatal(err)
	}
	if err := h.Set("Set", "s"); err != nil {
		t.Fatal(err)
	}
	want := crlf("Top: t\nA: new\nB: 2\nEnd: e\nSet: s\n\n")
	if diff := cmp.Diff(want, string(h.Bytes())); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"new"}, h.Values("a")); diff != "" {
		t.Error(diff)
	}
}

func TestHeaderRefusesInjection(t *testing.T) {
	h := &message.Header{}
	for _, row := range [][2]string{
		{"A", "x\r\nBcc: y"},
		{"A", "x\ny"},
		{"A", "x\ry"},
		{"A", "x\x00"},
		{"A", "\xff"},
		{"A", strings.Repeat("x", 1000)},
		{"A\r\nB", "x"},
		{"A:", "x"},
		{"", "x"},
		{"A b", "x"},
		{"Ä", "x"},
	} {
		for _, put := range []func(string, string) error{h.Set, h.Append, h.Prepend} {
			wantError(t, put(row[0], row[1]), waypost.Invalid, "5.6.0")
		}
	}
	if got := string(h.Bytes()); got != "\r\n" {
		t.Errorf("%q was written", got)
	}
}

func TestOwnValuesAreFoldedAndUnfoldToThemselves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := strings.Trim(rapid.StringMatching(`([a-zA-Z0-9,;=<>@"]{0,30}[ \t]{1,3}){0,20}`).Draw(t, "value"), " \t")
		h := &message.Header{}
		if err := h.Append("X-Value", value); err != nil {
			t.Fatal(err)
		}
		block := h.Bytes()
		for line := range strings.Lines(string(block[:len(block)-2])) {
			if len(line) > 80 || strings.Trim(line, " \t\r\n") == "" {
				t.Fatalf("line %q", line)
			}
		}
		back, err := message.ParseHeader(block, message.Limits{})
		if err != nil || back.Get("X-Value") != value {
			t.Fatalf("%q came back as %q, %v", value, back.Get("X-Value"), err)
		}
	})
}

func TestTextIsEncodedAndDecodedBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(strings.FieldsFunc(rapid.String().Draw(t, "text"), func(r rune) bool { return r <= ' ' || r >= 0x7f && r < 0xa0 }), " ")
		h := &message.Header{}
		if err := h.Append("Subject", message.EncodeText(text)); err != nil {
			t.Fatal(err)
		}
		block := h.Bytes()
		for i, c := range block {
			if c >= 0x80 {
				t.Fatalf("byte %d is %x", i, c)
			}
		}
		for line := range strings.Lines(string(block)) {
			if strings.Contains(line, "=?utf-8?") && len(line) > 78 {
				t.Fatalf("line %q is longer than RFC 2047 section 2 allows", line)
			}
		}
		back, err := message.ParseHeader(block, message.Limits{})
		if err != nil || back.Text("Subject") != text {
			t.Fatalf("%q came back as %q, %v", text, back.Text("Subject"), err)
		}
	})
}

func TestDecodedTextIsSafeToShow(t *testing.T) {
	for in, want := range map[string]string{
		"=?utf-8?q?a=0D=0Ab=00c?=":               "a b c",
		"=?koi8-r?b?8NLJ18XU?=":                  "Привет",
		"=?ISO-8859-1?Q?Gr=FC=DFe?= x":           "Grüße x",
		"=?x-unknown?q?abc?=":                    "=?x-unknown?q?abc?=",
		"\xcf\xf0 raw":                           "\uFFFD raw",
		"a\tb\x1b[31m":                           "a b [31m",
		"=?utf-8?b?4oKs?= =?utf-8?q?=E2=82=AC?=": "€€",
	} {
		if got := message.DecodeText(in); got != want {
			t.Errorf("DecodeText(%q) = %q, want %q", in, got, want)
		}
	}
	if got := message.DecodeText(strings.Repeat("я", 1<<16)); len(got) > 4096 || !utf8.ValidString(got) {
		t.Errorf("%d bytes", len(got))
	}
	if got := message.EncodeText("=?utf-8?q?x?="); strings.Contains(got, "?x?") || message.DecodeText(got) != "=?utf-8?q?x?=" {
		t.Errorf("text that looks like an encoded word became %q", got)
	}
}

func TestScanFindsBytesOver127(t *testing.T) {
	for n := range 70 {
		body := bytes.Repeat([]byte{'a'}, 70)
		body[n] = 0x80
		if got := message.Scan([]byte("A: b\r\n\r\n"), body); got != (message.Info{EightBit: true}) {
			t.Errorf("byte %d: %+v", n, got)
		}
	}
	for header, want := range map[string]message.Info{
		"A: b\r\n\r\n":    {},
		"A: ü\r\n\r\n":    {EightBit: true, HeaderUTF8: true},
		"A: \xfc\r\n\r\n": {EightBit: true, HeaderUTF8: true, HeaderInvalid: true},
	} {
		if got := message.Scan([]byte(header), []byte("abc")); got != want {
			t.Errorf("%q: %+v", header, got)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	for _, s := range []string{
		"A: b\n\n", "From: x\n y\nB :c\n\n", " x\n", "A\n", "\n", "A: \xff\n\t\n\n", "To: " + strings.Repeat("a@b, ", 400) + "\n\n",
		strings.Repeat("Received: from a (b)\n by mx.example; c\n", 7) + "\n", "Received: from (\n\n", "Received: by\n\n",
	} {
		f.Add([]byte(crlf(s)))
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		h, err := message.ParseHeader(block, message.Limits{})
		if err != nil {
			if k := waypost.KindOf(err); k != waypost.Invalid && k != waypost.TooLarge {
				t.Fatalf("error %v", err)
			}
			return
		}
		want := block
		if !bytes.HasSuffix(want, []byte("\r\n\r\n")) && string(want) != "\r\n" {
			want = append(bytes.Clone(block), "\r\n"...)
		}
		if got := h.Bytes(); !bytes.Equal(got, want) {
			t.Fatalf("%q came back as %q", block, got)
		}
		// go-message must see the same fields wherever it can read the block at all.
		if theirs, err := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(want))); err == nil {
			if theirs.Len() != h.Len() {
				t.Fatalf("%d fields, go-message sees %d in %q", h.Len(), theirs.Len(), block)
			}
		} else if !errors.Is(err, io.EOF) && h.Len() == 0 {
			t.Fatal(err)
		}
		_, _ = message.ReadControls(h)
		_, _ = h.From()
		for _, name := range []string{"Subject", "From", "A"} {
			if s := h.Text(name); !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\x00") {
				t.Fatalf("Text(%s) = %q", name, s)
			}
		}
		before := fmt.Sprint(h.Values("To"))
		if _, err := h.Accept(accepting()); err == nil {
			again, err := message.ParseHeader(h.Bytes(), message.Limits{Bytes: 1 << 30, Fields: 1 << 20})
			if err != nil {
				t.Fatalf("accepted header %q: %v", h.Bytes(), err)
			}
			if after := fmt.Sprint(again.Values("To")); after != before {
				t.Fatalf("To %q became %q", before, after)
			}
			if again.Has("Bcc") || !again.Has("Date") || !again.Has("Message-ID") {
				t.Fatalf("accepted header %q", h.Bytes())
			}
		}
	})
}
