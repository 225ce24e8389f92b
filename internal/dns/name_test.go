package dns_test

import (
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	mdns "github.com/miekg/dns"

	"github.com/waypost/waypost/internal/dns"
)

func TestToASCII(t *testing.T) {
	long := strings.Repeat("a", 63)
	for in, want := range map[string]string{
		"example.test":                        "example.test",
		"Example.TEST.":                       "example.test",
		"test":                                "test",
		"_dmarc.example.test":                 "_dmarc.example.test",
		"wp1._domainkey.example.test":         "wp1._domainkey.example.test",
		"-edge-.a--b.r3---sn.test":            "-edge-.a--b.r3---sn.test",
		"192.0.2.1":                           "192.0.2.1",
		"bücher.test":                         "xn--bcher-kva.test",
		"BÜCHER。test":                         "xn--bcher-kva.test",
		"faß.test":                            "xn--fa-hia.test", // IDNA2008: not "fass"
		"почта.test":                          "xn--80a1acny.test",
		"under_score.bücher.test":             "under_score.xn--bcher-kva.test",
		"xn--bcher-kva.test":                  "xn--bcher-kva.test",
		"ＦＵＬＬ.test":                           "full.test",
		long + ".test":                        long + ".test",
		strings.Repeat("a.", 126) + "a":       strings.Repeat("a.", 126) + "a",
		strings.Repeat("a.", 126) + "a" + ".": strings.Repeat("a.", 126) + "a",
	} {
		if got, err := dns.ToASCII(in); got != want || err != nil {
			t.Errorf("ToASCII(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", ".", "..", ".test", "a..test", "example.test..", "a b.test", "a@b.test", "a/b.test", "a\x00.test", "a\ntest", "[192.0.2.1]", `a\.test`,
		"℀.test", // maps to "a/c"
		"\xff.test", "a\u200d.test", long + "a.test", strings.Repeat("a.", 127) + "a", strings.Repeat("ü", 63) + ".test", strings.Repeat("ü.", 1<<20),
	} {
		if got, err := dns.ToASCII(in); err == nil {
			t.Errorf("ToASCII(%.40q) = %q, want an error", in, got)
		}
	}
}

func TestParseLiteral(t *testing.T) {
	for in, want := range map[string]string{
		"[192.0.2.1]": "192.0.2.1", "[IPv6:2001:db8::1]": "2001:db8::1", "[ipv6:::1]": "::1", "[IPv6:::ffff:192.0.2.1]": "::ffff:192.0.2.1",
	} {
		if got, ok := dns.ParseLiteral(in); !ok || got != netip.MustParseAddr(want) {
			t.Errorf("ParseLiteral(%q) = %v, %v", in, got, ok)
		}
	}
	for _, in := range []string{
		"", "[", "]", "[]", "192.0.2.1", "[192.0.2.1", "192.0.2.1]", "[192.0.2.256]", "[192.0.2.01]", "[2001:db8::1]", "[IPv6:192.0.2.1]",
		"[IPv6:]", "[IPv6:fe80::1%eth0]", "[ 192.0.2.1]", "[[192.0.2.1]]", "[0x7f.1]",
	} {
		if got, ok := dns.ParseLiteral(in); ok {
			t.Errorf("ParseLiteral(%q) = %v", in, got)
		}
	}
}

func FuzzToASCII(f *testing.F) {
	for _, s := range []string{"example.test", "bücher.test", "faß.test", "xn--bcher-kva", "℀.test", "a\u200db", "١٢٣.test", "ＦＵＬＬ。test", "_x._y.test."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out, err := dns.ToASCII(in)
		if err != nil {
			if out != "" {
				t.Fatalf("%q: %q beside an error", in, out)
			}
			return
		}
		again, err := dns.ToASCII(out)
		if err != nil || again != out {
			t.Fatalf("%q -> %q -> %q, %v", in, out, again, err)
		}
		if out != strings.ToLower(out) || !utf8.ValidString(in) || strings.ContainsAny(out, "\\ \t\r\n[]:/@") {
			t.Fatalf("%q -> %q", in, out)
		}
		// It must fit into a question and come back as it was.
		query := new(mdns.Msg)
		query.SetQuestion(out+".", mdns.TypeMX)
		wire, err := query.Pack()
		if err != nil {
			t.Fatalf("%q -> %q: %v", in, out, err)
		}
		back := new(mdns.Msg)
		if err := back.Unpack(wire); err != nil || back.Question[0].Name != out+"." {
			t.Fatalf("%q -> %q -> %v, %v", in, out, back.Question, err)
		}
	})
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain": "plain", `\"`: `"`, `\\`: `\`, `\195\188`: "ü", `\000`: "\x00", `\09`: "09", `end\`: `end\`, `\1`: "1", `a\;b`: "a;b",
	} {
		if got := dns.Unescape(in); got != want {
			t.Errorf("Unescape(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzTXT checks that the strings of a TXT record come back as they were sent.
func FuzzTXT(f *testing.F) {
	for _, s := range []string{"", "v=spf1 -all", `"\`, "ü\x00\xff", `\065`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), 255)]
		wire := append([]byte{0, 0, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 'a', 0, 0, 16, 0, 1, 0, 0, 0, 1, byte((len(data) + 1) >> 8), byte(len(data) + 1), byte(len(data))}, data...)
		msg := new(mdns.Msg)
		if err := msg.Unpack(wire); err != nil {
			t.Fatal(err)
		}
		txt, ok := msg.Answer[0].(*mdns.TXT)
		if !ok {
			t.Fatal(msg)
		}
		if got := dns.Unescape(strings.Join(txt.Txt, "")); got != string(data) {
			t.Fatalf("%q came back as %q", data, got)
		}
	})
}

// FuzzAnswer feeds any message a server could send to what reads answers.
func FuzzAnswer(f *testing.F) {
	msg := new(mdns.Msg)
	msg.SetQuestion("a.test.", mdns.TypeMX)
	msg.Response = true
	for _, text := range []string{"a.test. 60 IN CNAME b.test.", "b.test. 60 IN CNAME a.test.", "a.test. 4294967295 IN MX 10 mx.test.", "a.test. 1 IN TXT x"} {
		rr, err := mdns.NewRR(text)
		if err != nil {
			f.Fatal(err)
		}
		msg.Answer = append(msg.Answer, rr)
		wire, err := msg.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		msg := new(mdns.Msg)
		if msg.Unpack(wire) != nil {
			return
		}
		records, ttl := dns.Digest(msg, "a.test.", mdns.TypeMX)
		if records > len(msg.Answer) || ttl < 0 {
			t.Fatalf("%d records, TTL %v", records, ttl)
		}
	})
}
