package main

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

func TestLastCountIsTheLastFinishedLine(t *testing.T) {
	for _, tt := range []struct {
		text string
		want int64
		ok   bool
	}{
		{"sess=1 quit=0 mesg=41\rsess=1 quit=0 mesg=42\r", 42, true},
		{"sess=1 quit=0 mesg=41\rsess=1 quit=0 me", 41, true},
		{"sess=1 quit=0 mesg=4", 0, false},
		{"", 0, false},
	} {
		got, ok := lastCount([]byte(tt.text))
		if got != tt.want || ok != tt.ok {
			t.Errorf("lastCount(%q) = %d, %t; want %d, %t", tt.text, got, ok, tt.want, tt.ok)
		}
	}
}

func TestStatOfAProcessWithParenthesesInItsName(t *testing.T) {
	got, err := parseStat([]byte("42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 300 25 20 0 1 0 99"))
	if err != nil {
		t.Fatal(err)
	}
	want := process{
		pid: 42, parent: 7,
		own:    cpu{1500 * time.Millisecond, 500 * time.Millisecond},
		reaped: cpu{3 * time.Second, 250 * time.Millisecond},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(process{}, cpu{})); diff != "" {
		t.Error(diff)
	}
}

func TestTreeOfThisProcessHoldsIt(t *testing.T) {
	processes, err := tree([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	if len(processes) == 0 || processes[0].pid != os.Getpid() {
		t.Errorf("tree = %v", processes)
	}
}

func TestDiskStatsAreOfTheDeviceAsked(t *testing.T) {
	const text = "" +
		" 254       0 vda 1 2 3 4 5 6 7000 8 9 10 11 12 13 14 15 160 17\n" +
		" 254       1 vda1 1 2 3 4 5 6 8000 8 9 10 11 12 13 14 15 260 17\n"
	got, err := parseDiskStats(text, disk{254, 1})
	if err != nil {
		t.Fatal(err)
	}
	if want := (diskUse{flushes: 260, written: 8000 * 512}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPercentileIsTheNearestRank(t *testing.T) {
	values := make([]time.Duration, 100)
	for i := range values {
		values[i] = time.Duration(i + 1)
	}
	if p50, p99 := percentile(values, 50), percentile(values, 99); p50 != 50 || p99 != 99 {
		t.Errorf("p50 = %d, p99 = %d", p50, p99)
	}
	if got := percentile(values[:1], 99); got != 1 {
		t.Errorf("of one value: %d", got)
	}
}

func TestMarksComparePeersOfTheSameRound(t *testing.T) {
	// Round 1 is twice as slow for both: the ratio stays what it is.
	results := []result{
		{system: "postfix", size: "5 KiB", round: 0, messages: 10_000, rate: 800, used: cpu{user: 20 * time.Second}},
		{system: "waypost-unsigned", size: "5 KiB", round: 0, messages: 10_000, rate: 4000, used: cpu{user: 2 * time.Second}},
		{system: "postfix", size: "5 KiB", round: 1, messages: 10_000, rate: 400, used: cpu{user: 40 * time.Second}},
		{system: "waypost-unsigned", size: "5 KiB", round: 1, messages: 10_000, rate: 2000, used: cpu{user: 4 * time.Second}},
	}
	var out strings.Builder
	if !report(&out, results) {
		t.Errorf("a mark that is met exactly was missed:\n%s", out.String())
	}
	results[3].rate = 1900
	if report(io.Discard, results) {
		t.Error("a median of 4.875 met a mark of 5")
	}
}

func TestTooMuchMemoryMissesTheMark(t *testing.T) {
	results := []result{{system: "waypost-signed", size: "5 KiB", messages: 1, memory: maxMemory}}
	if report(io.Discard, results) {
		t.Error("300 MB met the mark of less than 300 MB")
	}
}

func TestSignatureLengthReadsFoldedSignatures(t *testing.T) {
	mail := "Received: x\r\nDKIM-Signature: v=1; bh=AAAA;\r\n\tb=" + strings.Repeat("A", 300) + "\r\n\t" +
		strings.Repeat("A", 42) + "==\r\nSubject: x\r\n\r\n"
	if got := signatureLength(mail); got != 256 {
		t.Errorf("got %d, want 256", got)
	}
}

func TestZoneAnswersTheExchangerAndDeniesTheRest(t *testing.T) {
	in := &instance{}
	addr, err := startZone(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.stop(); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		name  string
		kind  uint16
		code  int
		count int
	}{
		{recipientDomain, dns.TypeMX, dns.RcodeSuccess, 1},
		{exchanger, dns.TypeA, dns.RcodeSuccess, 1},
		{exchanger, dns.TypeAAAA, dns.RcodeSuccess, 0},
		{"other.test", dns.TypeMX, dns.RcodeNameError, 0},
	} {
		q := new(dns.Msg).SetQuestion(tt.name+".", tt.kind)
		reply, err := dns.ExchangeContext(t.Context(), q, addr)
		if err != nil {
			t.Fatal(err)
		}
		if reply.Rcode != tt.code || len(reply.Answer) != tt.count {
			t.Errorf("%s: %v", tt.name, reply)
		}
	}
}

// TestEveryAcceptIsTimed talks to a server that takes everything.
func TestEveryAcceptIsTimed(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go takeEverything(c)
		}
	}()
	got, err := timeAccepts(context.Background(), l.Addr().String(), 3, 20, 5<<10)
	if err != nil {
		t.Fatal(err)
	}
	if got.p50 <= 0 || got.p99 < got.p50 {
		t.Errorf("got %v", got)
	}
}

func takeEverything(c net.Conn) {
	defer c.Close()
	_, _ = io.WriteString(c, "220 ready\r\n")
	buf := make([]byte, 64<<10)
	seen := ""
	for inData := false; ; {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		for seen += string(buf[:n]); ; {
			end := "\r\n"
			if inData {
				end = "\r\n.\r\n"
			}
			line, rest, ok := strings.Cut(seen, end)
			if !ok {
				break
			}
			seen = rest
			switch {
			case inData:
				inData = false
				_, _ = io.WriteString(c, "250 kept\r\n")
			case line == "DATA":
				inData = true
				_, _ = io.WriteString(c, "354 go on\r\n")
			case line == "QUIT":
				_, _ = io.WriteString(c, "221 bye\r\n")
			default:
				_, _ = io.WriteString(c, "250 ok\r\n")
			}
		}
	}
}
