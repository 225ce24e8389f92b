package smtpd

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/waypost"
)

// reference reads DATA one octet at a time, straight from RFC 5321 sections
// 2.3.8, 4.1.1.4 and 4.5.2.
func reference(wire []byte) (content, rest []byte, bare, done bool) {
	var line []byte
	content = []byte{}
	for i, c := range wire {
		line = append(line, c)
		switch {
		case c == 0:
			bare = true
		case c == '\r' && (i+1 == len(wire) || wire[i+1] != '\n'):
			bare = true
		case c == '\n' && (i == 0 || wire[i-1] != '\r'):
			bare = true
		case c == '\n':
			if string(line) == ".\r\n" {
				return content, wire[i+1:], bare, true
			}
			if line[0] == '.' {
				line = line[1:]
			}
			content = append(content, line...)
			line = nil
		}
	}
	return content, nil, bare, false
}

func newTestMessage(limit int64) *message {
	return newMessage(limit, &budget{limit: 1 << 30}, &sync.Pool{New: func() any {
		c := new(chunk)
		for i := range c.b { // what an earlier message may have left there
			c.b[i] = "\r\n.\r\n"[i%5]
		}
		return c
	}})
}

// feed gives wire to m in pieces whose sizes next chooses.
func feed(m *message, wire []byte, next func(most int) int) (rest []byte, done bool) {
	for len(wire) > 0 {
		space := m.space()
		n := copy(space[:next(min(len(space), len(wire)))], wire)
		wire = wire[n:]
		if rest, done = m.received(n); done {
			return append(bytes.Clone(rest), wire...), true
		}
	}
	return nil, false
}

// TestMessageReadsAsReference is the smuggling test: whatever mixture of CR, LF, dots
// and NUL arrives, in whatever pieces and at whatever place in memory, the end is
// where RFC 5321 says, and nothing that could be read differently is accepted.
func TestMessageReadsAsReference(t *testing.T) {
	tokens := []string{
		"\r", "\n", ".", "a", "\x00", "\r\n", "\r\n.", "\r\n..", "\r\n.\r\n", "\n.\n", "\n.\r\n", "\r.\r", "\r\n.\n", "\r\n.\r", "\r\r\n",
	}
	rapid.Check(t, func(t *rapid.T) {
		head := ""
		if rapid.Bool().Draw(t, "long") {
			head = strings.Repeat("a", chunkSize-carry-rapid.IntRange(0, 12).Draw(t, "before border"))
		}
		var weights []string
		if rapid.Bool().Draw(t, "clean") {
			weights = []string{".", "a", "\r\n", "\r\n.", "\r\n..", "\r\na", "a\r\n"}
		} else {
			weights = tokens
		}
		wire := []byte(head + strings.Join(rapid.SliceOfN(rapid.SampledFrom(weights), 0, 20).Draw(t, "tokens"), "") +
			rapid.SampledFrom([]string{"", "\r\n.\r\n", "\r\n.\r\nMAIL FROM:<x@y>\r\n"}).Draw(t, "tail"))
		compareWithReference(t, wire, func(most int) int {
			return rapid.IntRange(1, most).Draw(t, "piece")
		})
	})
}

// TestMessageReadsSequencesAtEveryBorder goes through all strings over CR, LF, dot,
// and a letter up to a length, cut in two at every octet.
func TestMessageReadsSequencesAtEveryBorder(t *testing.T) {
	const alphabet = "\r\n.a"
	const length = 5
	var word [length]byte
	var walk func(n int)
	walk = func(n int) {
		if n < length {
			for i := range len(alphabet) {
				word[n] = alphabet[i]
				walk(n + 1)
			}
			return
		}
		wire := append([]byte("a"), word[:]...)
		wire = append(wire, "\r\n.\r\nQUIT\r\n"...)
		for cut := 1; cut < len(wire); cut++ {
			first := true
			compareWithReference(t, wire, func(most int) int {
				if first {
					first = false
					return cut
				}
				return most
			})
		}
	}
	walk(0)
}

func compareWithReference(t interface {
	Fatalf(format string, args ...any)
}, wire []byte, next func(most int) int,
) {
	wantContent, wantRest, wantBare, wantDone := reference(wire)
	m := newTestMessage(1 << 20)
	defer m.close()
	rest, done := feed(m, wire, next)
	if done != wantDone {
		t.Fatalf("%q: done %v, want %v", tail(wire), done, wantDone)
	}
	if !done {
		return
	}
	if !bytes.Equal(rest, wantRest) {
		t.Fatalf("%q: rest %q, want %q", tail(wire), rest, wantRest)
	}
	content, err := m.bytes()
	if (err != nil) != wantBare {
		t.Fatalf("%q: error %v, want bare %v", tail(wire), err, wantBare)
	}
	if err == nil && !bytes.Equal(content, wantContent) {
		t.Fatalf("%q: content %q, want %q", tail(wire), tail(content), tail(wantContent))
	}
}

func tail(b []byte) []byte { return b[max(0, len(b)-80):] }

func TestMessageSizeLimitIsExact(t *testing.T) {
	const limit = 3*chunkSize + 17
	for _, stuffed := range []string{"", "..x\r\n"} {
		for _, over := range []int{0, 1} {
			unstuffed := strings.TrimPrefix(stuffed, ".")
			body := strings.Repeat("a", limit+over-2-len(unstuffed)) + "\r\n"
			m := newTestMessage(limit)
			_, done := feed(m, []byte(stuffed+body+".\r\n"), func(most int) int { return most })
			if !done {
				t.Fatal("end not found")
			}
			content, err := m.bytes()
			if over == 0 && (err != nil || string(content) != unstuffed+body) {
				t.Errorf("message of exactly the limit (stuffed %q): %d bytes, error %v", stuffed, len(content), err)
			}
			if over == 1 && waypost.KindOf(err) != waypost.TooLarge {
				t.Errorf("message over the limit (stuffed %q): error %v", stuffed, err)
			}
			m.close()
		}
	}
}

func TestMessageGivesMemoryBack(t *testing.T) {
	b := &budget{limit: 10 * chunkSize}
	pool := &sync.Pool{New: func() any { return new(chunk) }}
	m := newMessage(3*chunkSize, b, pool)
	peak := int64(0)
	for range 1000 { // far beyond the limit
		m.received(len(m.space()))
		peak = max(peak, b.used.Load())
	}
	if !m.tooLarge || m.noMemory || peak > 5*chunkSize || b.used.Load() != chunkSize {
		t.Errorf("tooLarge %v, noMemory %v, peak %d, held %d", m.tooLarge, m.noMemory, peak, b.used.Load())
	}
	m.close()
	if used := b.used.Load(); used != 0 {
		t.Errorf("%d bytes not given back", used)
	}

	b.limit = 2 * chunkSize
	m = newMessage(1<<30, b, pool)
	feed(m, bytes.Repeat([]byte("a"), 5*chunkSize), func(most int) int { return most })
	if _, done := feed(m, []byte("\r\n.\r\n"), func(most int) int { return most }); !done {
		t.Error("end not found after the memory ran out")
	}
	if _, err := m.bytes(); waypost.KindOf(err) != waypost.StorageFull {
		t.Errorf("error %v, want storage full", err)
	}
	m.close()
	if used := b.used.Load(); used != 0 {
		t.Errorf("%d bytes not given back", used)
	}
}

func FuzzData(f *testing.F) {
	for _, s := range []string{".\r\n", "a\r\n.\r\nQUIT\r\n", "\n.\n", "\r\n..\r\n.\r\n", "a\r\r\n.\r\n", "a\x00\r\n.\r\n"} {
		f.Add([]byte(s), uint16(3), uint16(0))
		f.Add([]byte(s), uint16(1), uint16(chunkSize-carry-2))
	}
	f.Fuzz(func(t *testing.T, wire []byte, piece, offset uint16) {
		wire = append(bytes.Repeat([]byte("a"), int(offset)), wire...)
		size := max(1, int(piece))
		compareWithReference(t, wire, func(most int) int { return min(most, size) })
	})
}
