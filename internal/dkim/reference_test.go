package dkim_test

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/dkim"
)

// referenceBody is RFC 6376 section 3.4.4 to the letter, step by step.
func referenceBody(body []byte) []byte {
	lines := bytes.Split(body, []byte("\r\n"))
	for i, line := range lines {
		lines[i] = trimEnd(squeeze(line))
	}
	for len(lines) > 0 && len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	var out []byte
	for _, line := range lines {
		out = append(append(out, line...), "\r\n"...)
	}
	return out
}

// referenceField is RFC 6376 section 3.4.2 to the letter, step by step.
func referenceField(name string, value []byte) []byte {
	value = bytes.ReplaceAll(value, []byte("\r\n"), nil)
	value = trimEnd(squeeze(value))
	value = bytes.TrimPrefix(value, []byte(" "))
	return append([]byte(strings.ToLower(name)+":"), value...)
}

// squeeze reduces white space byte by byte.
func squeeze(line []byte) []byte {
	var out []byte
	for i, c := range line {
		if c != ' ' && c != '\t' {
			out = append(out, c)
		} else if i == 0 || (line[i-1] != ' ' && line[i-1] != '\t') {
			out = append(out, ' ')
		}
	}
	return out
}

func trimEnd(line []byte) []byte {
	for len(line) > 0 && line[len(line)-1] == ' ' {
		line = line[:len(line)-1]
	}
	return line
}

func TestReferenceAgreesWithTheExamplesOfTheRFC(t *testing.T) {
	t.Parallel()
	// RFC 6376 section 3.4.5.
	body := []byte(" C \r\nD \t E\r\n\r\n\r\n")
	if diff := cmp.Diff(" C\r\nD E\r\n", string(referenceBody(body))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("b:Y Z", string(referenceField("B", []byte(" Y\t\r\n\tZ  \r\n")))); diff != "" {
		t.Error(diff)
	}
}

// genText draws bytes in which everything that canonicalization cares about is
// close together and at any offset.
func genText() *rapid.Generator[[]byte] {
	piece := rapid.SampledFrom([]string{
		" ", "  ", "\t", " \t", "        \t  ", "\r\n", "\r\n\r\n", "\r", "\n", "\x00", "!", "!!", " !", "\x1f", "\x7f",
		"\x80", "\xa0", "\xff\xff", "a", "word", "some words here", "aGVsbG8gd29ybGQhaGVsbG8gd29ybGQh", ":", "=20",
	})
	return rapid.Map(rapid.SliceOfN(piece, 0, 40), func(pieces []string) []byte {
		return []byte(strings.Join(pieces, ""))
	})
}

func TestBodyHashIsThatOfTheReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		checkBody(t, genText().Draw(t, "body"))
	})
}

func TestCanonicalFieldIsThatOfTheReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		checkField(t, rapid.StringMatching(`[!-9;-~]{1,20}`).Draw(t, "name"), genText().Draw(t, "value"))
	})
}

func FuzzBodyHash(f *testing.F) {
	for _, s := range shapes() {
		f.Add([]byte(s.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkBody(t, body) })
}

func FuzzCanonicalField(f *testing.F) {
	f.Add("Subject", []byte(" Y\t\r\n\tZ  \r\n"))
	f.Add("", []byte("\r\n"))
	f.Fuzz(func(t *testing.T, name string, value []byte) {
		for i := range len(name) {
			if name[i] < '!' || name[i] > '~' { // RFC 5322 section 2.2
				t.Skip()
			}
		}
		checkField(t, name, value)
	})
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func checkBody(t failer, body []byte) {
	t.Helper()
	before := bytes.Clone(body)
	if got, want := dkim.BodyHash(body), sha256.Sum256(referenceBody(body)); got != want {
		t.Fatalf("hash of %q is not that of %q", body, referenceBody(body))
	}
	if !bytes.Equal(body, before) {
		t.Fatalf("body changed from %q to %q", before, body)
	}
}

func checkField(t failer, name string, value []byte) {
	t.Helper()
	got, want := dkim.CanonicalField(name, value), referenceField(name, value)
	if !bytes.Equal(got, want) {
		t.Fatalf("field %q:%q became %q, want %q", name, value, got, want)
	}
}
