package verify_test

import (
	"encoding/base64"
	"flag"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	mdns "github.com/miekg/dns"

	"github.com/waypost/waypost/internal/verify"
)

func update() bool { f := flag.Lookup("update"); return f != nil && f.Value.String() == "true" }

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write testdata anew")
	flag.Parse()
	os.Exit(m.Run())
}

func platform() verify.Platform {
	key := func(c string) string { // as long as the record of a 2,048 bit key
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, 294)))
	}
	return verify.Platform{
		Domain: "platform.test", From: "mail.platform.test", Hostname: "mx1.platform.test",
		Addresses: []netip.Addr{
			netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("::ffff:192.0.2.11"),
		},
		Keys: []verify.Key{{Number: 1, Selector: "wp1", Record: key("1")}, {Number: 2, Selector: "wp2", Record: key("2")}},
	}
}

func TestRecords(t *testing.T) {
	var zone strings.Builder
	for _, r := range verify.Records(platform()) {
		zone.WriteString(r.ZoneLine() + "\n")
	}
	const golden = "testdata/platform.zone"
	if update() {
		if err := os.WriteFile(golden, []byte(zone.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), zone.String()); diff != "" {
		t.Errorf("run with -update if this is meant:\n%s", diff)
	}
}

// What a zone file reader makes of the line is the record.
func TestZoneLineIsWhatServersRead(t *testing.T) {
	records := append(verify.Records(platform()),
		verify.Record{Type: "TXT", Name: "quotes.test", Value: `say "hi" \ bye; done`},
		verify.Record{Type: "TXT", Name: "empty.test", Value: ""},
		verify.Record{Type: "TXT", Name: "exact.test", Value: strings.Repeat("x", 255)},
		verify.Record{Type: "TXT", Name: "over.test", Value: strings.Repeat("x", 256)},
	)
	for _, r := range records {
		rr, err := mdns.NewRR(r.ZoneLine())
		if err != nil {
			t.Errorf("%s %s: %v", r.Type, r.Name, err)
			continue
		}
		if got := strings.TrimSuffix(rr.Header().Name, "."); got != r.Name || mdns.TypeToString[rr.Header().Rrtype] != r.Type {
			t.Errorf("%s %s is read as %s", r.Type, r.Name, rr)
		}
		value := ""
		switch rr := rr.(type) {
		case *mdns.TXT:
			for _, s := range rr.Txt {
				if len(unescape(s)) > 255 {
					t.Errorf("%s: a string of %d bytes", r.Name, len(s))
				}
				value += unescape(s)
			}
		case *mdns.CNAME:
			value = rr.Target
		case *mdns.MX:
			value = strings.Join(strings.Fields(rr.String())[4:], " ")
		}
		if value != r.Value {
			t.Errorf("%s %s holds %q, want %q", r.Type, r.Name, value, r.Value)
		}
	}
}

// unescape undoes the presentation form that the library keeps strings in.
func unescape(s string) string {
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s)
}

func TestWithoutAddressesSPFAllowsNone(t *testing.T) {
	for _, r := range verify.Records(verify.Platform{Domain: "platform.test", From: "platform.test", Hostname: "mx.platform.test"}) {
		if r.Name == "spf.platform.test" && r.Value != "v=spf1 -all" {
			t.Errorf("%s is %q", r.Name, r.Value)
		}
	}
}
