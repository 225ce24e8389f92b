package dns_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/dns/dnstest"
)

func TestCacheKeepsAnAnswerForItsTime(t *testing.T) {
	day := 24 * time.Hour
	tests := []struct {
		name     string
		records  []string
		negative int // SOA, seconds; -1 none
		fault    dnstest.Fault
		kept     time.Duration // 0: not at all
	}{
		{name: "ttl", records: []string{"90 MX 10 mx.test", "60 MX 20 mx2.test"}, kept: time.Minute},
		{name: "ttl of one second", records: []string{"1 MX 10 mx.test"}, kept: time.Second},
		{name: "ttl of the CNAME", records: []string{"45 CNAME target.test"}, kept: 45 * time.Second},
		{name: "ttl of a day is an hour", records: []string{"86400 MX 10 mx.test"}, kept: time.Hour},
		{name: "ttl 0", records: []string{"0 MX 10 mx.test"}},
		{name: "ttl with the top bit", records: []string{"4294967295 MX 10 mx.test"}},
		{name: "NODATA", records: []string{"TXT x"}, negative: 30, kept: 30 * time.Second},
		{name: "NODATA at least 5 s", records: []string{"TXT x"}, negative: 0, kept: 5 * time.Second},
		{name: "NODATA at most 1 h", records: []string{"TXT x"}, negative: int(day.Seconds()), kept: time.Hour},
		{name: "NODATA without SOA", records: []string{"TXT x"}, negative: -1, kept: 5 * time.Second},
		{name: "NXDOMAIN", negative: 30, kept: 30 * time.Second},
		{name: "NXDOMAIN at the end of a CNAME", records: []string{"20 CNAME nowhere.test"}, negative: 30, kept: 20 * time.Second},
		{name: "SERVFAIL", fault: dnstest.ServFail, kept: 5 * time.Second},
		{name: "timeout", fault: dnstest.Drop, kept: 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const name = "example.test"
			srv := dnstest.Start(t, dnstest.Zones{"target.test": {"900 MX 10 mx.test"}})
			if tt.records != nil {
				srv.Set(name, tt.records...)
			}
			srv.SetNegativeTTL(tt.negative)
			srv.Fault(name, tt.fault)
			clk := newClock()
			o := dns.Options{Server: srv.Addr, Now: clk.now, Tries: 1}
			if tt.fault == dnstest.Drop {
				o.Timeout = 300 * time.Millisecond
			}
			c := newClient(t, o)
			asks := func(what string, want int) {
				t.Helper()
				before := srv.Count(name, "MX")
				_, _ = c.LookupMX(t.Context(), name)
				srv.WaitFor(t, name, "MX", before+want)
				if got := srv.Count(name, "MX") - before; got != want {
					t.Errorf("%s: %d questions, want %d", what, got, want)
				}
			}
			asks("at first", 1)
			if tt.kept == 0 {
				asks("at once again", 1)
				return
			}
			clk.add(tt.kept - 1)
			asks("just before its time", 0)
			clk.add(1)
			asks("at its time", 1)
		})
	}
}

func TestCacheHandsOutTheTimeLeft(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{"example.test": {"60 MX 10 mx.test"}})
	clk := newClock()
	c := newClient(t, dns.Options{Server: srv.Addr, Now: clk.now})
	for _, want := range []time.Duration{60 * time.Second, 45 * time.Second} {
		got, err := c.LookupMX(t.Context(), "example.test")
		if err != nil || got.TTL != want {
			t.Errorf("TTL %v, want %v (%v)", got.TTL, want, err)
		}
		clk.add(15 * time.Second)
	}
}

func TestCallersDoNotShareRecords(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{"example.test": {"MX 10 mx.test"}})
	c := newClient(t, dns.Options{Server: srv.Addr})
	first, err := c.LookupMX(t.Context(), "example.test")
	if err != nil {
		t.Fatal(err)
	}
	first.Records[0].Host = "changed"
	if second, _ := c.LookupMX(t.Context(), "example.test"); second.Records[0].Host != "mx.test" {
		t.Error("the change of one caller shows up for the next")
	}
}

func TestCacheSeesChangesAndRepairs(t *testing.T) {
	srv := dnstest.Start(t, nil)
	clk := newClock()
	c := newClient(t, dns.Options{Server: srv.Addr, Now: clk.now})
	if _, err := c.LookupMX(t.Context(), "example.test"); !dns.IsNotFound(err) {
		t.Fatal(err)
	}
	srv.Set("example.test", "60 MX 10 mx.test")
	clk.add(time.Hour)
	if _, err := c.LookupMX(t.Context(), "example.test"); err != nil {
		t.Fatal(err)
	}
	srv.Remove("example.test")
	clk.add(time.Hour)
	if _, err := c.LookupMX(t.Context(), "example.test"); !dns.IsNotFound(err) {
		t.Fatal(err)
	}
}

func TestCacheCanBeTurnedOff(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{"example.test": {"MX 10 mx.test"}})
	c := newClient(t, dns.Options{Server: srv.Addr, CacheBytes: -1})
	for range 3 {
		if _, err := c.LookupMX(t.Context(), "example.test"); err != nil {
			t.Fatal(err)
		}
	}
	if n := srv.Count("", ""); n != 3 {
		t.Errorf("%d questions, want 3", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	zones := dnstest.Zones{}
	for i := range 200 {
		zones[fmt.Sprintf("n%d.test", i)] = []string{`TXT "` + strings.Repeat("x", 250) + `"`}
	}
	srv := dnstest.Start(t, zones)
	c := newClient(t, dns.Options{Server: srv.Addr, CacheBytes: 20_000}) // room for some 25
	for range 2 {
		for name := range zones {
			if _, err := c.LookupTXT(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := srv.Count("", ""); n < 300 {
		t.Errorf("only %d questions for 400 lookups: the cache kept nearly everything", n)
	}
}
