package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/dns/dnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is the time of a cache, moved by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Unix(1_700_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newClient(t *testing.T, o dns.Options) *dns.Client {
	t.Helper()
	c, err := dns.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func compareAddr() cmp.Option {
	return cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
}

func TestLookupReturnsRecords(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{
		"example.test": {
			"120 MX 10 MX1.Example.Test", "60 MX 20 mx2.example.test",
			`TXT "v=spf1 " "-all"`, `TXT "quote \" back \\ byte \195\188"`, "A 192.0.2.1",
		},
		"mx1.example.test": {"90 A 192.0.2.10", "90 A 192.0.2.11", "30 AAAA 2001:db8::10"},
		"v6.example.test":  {"AAAA 2001:db8::6"},
		"alias.test":       {"50 CNAME alias2.test"},
		"alias2.test":      {"40 CNAME mx1.example.test"},
	})
	ctx := t.Context()
	c := newClient(t, dns.Options{Server: srv.Addr, Now: newClock().now})

	mx, err := c.LookupMX(ctx, "EXAMPLE.test.")
	if err != nil {
		t.Fatal(err)
	}
	want := dns.Answer[dns.MX]{
		Records: []dns.MX{{Host: "mx1.example.test", Preference: 10}, {Host: "mx2.example.test", Preference: 20}},
		Name:    "example.test", TTL: time.Minute,
	}
	if diff := cmp.Diff(want, mx); diff != "" {
		t.Errorf("MX (-want +got):\n%s", diff)
	}

	txt, err := c.LookupTXT(ctx, "example.test")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"v=spf1 -all", `quote " back \ byte ü`}, txt.Records); diff != "" {
		t.Errorf("TXT (-want +got):\n%s", diff)
	}

	ips, err := c.LookupIP(ctx, "alias.test")
	if err != nil {
		t.Fatal(err)
	}
	wantIPs := dns.Answer[netip.Addr]{
		Records: addrs("192.0.2.10", "192.0.2.11", "2001:db8::10"), Name: "mx1.example.test", TTL: 30 * time.Second,
	}
	if diff := cmp.Diff(wantIPs, ips, compareAddr()); diff != "" {
		t.Errorf("IP through CNAMEs (-want +got):\n%s", diff)
	}

	for network, want := range map[string][]netip.Addr{
		"ip": addrs("2001:db8::6"), "ip6": addrs("2001:db8::6"), "ip4": nil,
	} {
		got, err := c.LookupNetIP(ctx, network, "v6.example.test")
		if diff := cmp.Diff(want, got, compareAddr()); diff != "" || (want == nil) != dns.IsNotFound(err) {
			t.Errorf("LookupNetIP %s: %v (-want +got):\n%s", network, err, diff)
		}
	}
}

func TestLookupFailureIsTold(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{
		"nodata.test":        {"TXT here"},
		"below.parent.test":  {"MX 10 mx.test"},
		"ring1.test":         {"CNAME ring2.test"},
		"ring2.test":         {"CNAME ring1.test"},
		"dangling.test":      {"CNAME nowhere.test"},
		"aliasofnodata.test": {"CNAME nodata.test"},
	})
	srv.Fault("servfail.test", dnstest.ServFail)
	srv.Fault("refused.test", dnstest.Refuse)
	srv.Fault("drop.test", dnstest.Drop)
	srv.Fault("malformed.test", dnstest.Malformed)
	srv.Fault("question.test", dnstest.WrongQuestion)
	srv.Fault("lame.test", dnstest.Lame)
	srv.Fault("cut.test", dnstest.TruncateAll)
	tests := []struct {
		name    string
		failure dns.Failure
	}{
		{"nodata.test", dns.NoData},
		{"parent.test", dns.NoData}, // an empty non-terminal exists (RFC 8020)
		{"aliasofnodata.test", dns.NoData},
		{"unknown.test", dns.NXDomain},
		{"dangling.test", dns.NXDomain},
		{"servfail.test", dns.ServFail},
		{"refused.test", dns.Refused},
		{"drop.test", dns.Timeout},
		{"malformed.test", dns.Malformed},
		{"question.test", dns.Malformed},
		{"lame.test", dns.Lame},
		{"cut.test", dns.Malformed},
		{"ring1.test", dns.Loop},
		{"no name.test", dns.BadName},
		{"", dns.BadName},
		{strings.Repeat("a", 64) + ".test", dns.BadName},
	}
	c := newClient(t, dns.Options{Server: srv.Addr})
	impatient := newClient(t, dns.Options{Server: srv.Addr, Timeout: 100 * time.Millisecond, Tries: 2})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := c
			if tt.failure == dns.Timeout {
				c = impatient
			}
			_, err := c.LookupMX(t.Context(), tt.name)
			var e *dns.Error
			if !errors.As(err, &e) {
				t.Fatalf("error is %v, want *dns.Error", err)
			}
			want := &dns.Error{Name: tt.name, Type: "MX", Failure: tt.failure}
			if diff := cmp.Diff(want, e, cmpopts.IgnoreFields(dns.Error{}, "Server", "Err")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			notFound := tt.failure == dns.NXDomain || tt.failure == dns.NoData
			temporary := !notFound && tt.failure != dns.BadName
			if dns.IsNotFound(err) != notFound || dns.IsTemporary(err) != temporary || !strings.Contains(err.Error(), tt.name) {
				t.Errorf("%v: not found %v, temporary %v", err, dns.IsNotFound(err), dns.IsTemporary(err))
			}
		})
	}
	t.Run("no server", func(t *testing.T) {
		dead := dnstest.Start(t, nil)
		dead.Close()
		_, err := newClient(t, dns.Options{Server: dead.Addr}).LookupMX(t.Context(), "example.test")
		var e *dns.Error
		if !errors.As(err, &e) || e.Failure != dns.Network || !dns.IsTemporary(err) {
			t.Errorf("got %v, want a network failure", err)
		}
	})
}

func TestUnknownErrorIsTemporary(t *testing.T) {
	for err, want := range map[error]bool{
		nil:                       false,
		errors.New("anything"):    true,
		&dns.Error{Failure: "??"}: true,
		fmt.Errorf("wrapped: %w", &dns.Error{Failure: dns.NXDomain}): false,
		fmt.Errorf("wrapped: %w", &dns.DestinationError{}):           false,
	} {
		if got := dns.IsTemporary(err); got != want {
			t.Errorf("IsTemporary(%v) = %v", err, got)
		}
	}
}

func TestOneFamilyIsEnough(t *testing.T) {
	zones := dnstest.Zones{
		"v4.test": {"A 192.0.2.1"},
		"v6.test": {"AAAA 2001:db8::1"},
	}
	for name, fault := range map[string]dnstest.Fault{"none": dnstest.None, "SERVFAIL": dnstest.ServFail, "silence": dnstest.Drop} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := dnstest.Start(t, zones)
			srv.FaultType("v4.test", "AAAA", fault)
			srv.FaultType("v6.test", "A", fault)
			srv.FaultType("none.test", "AAAA", fault)
			c := newClient(t, dns.Options{Server: srv.Addr, Timeout: time.Second, Tries: 1})
			for host, want := range map[string][]netip.Addr{"v4.test": addrs("192.0.2.1"), "v6.test": addrs("2001:db8::1")} {
				got, err := dns.Addresses(t.Context(), c, host)
				if diff := cmp.Diff(want, got, compareAddr()); diff != "" || err != nil {
					t.Errorf("%s: %v\n%s", host, err, diff)
				}
			}
			// Nothing is known for certain while one family has not answered.
			if _, err := dns.Addresses(t.Context(), c, "none.test"); dns.IsTemporary(err) != (fault != dnstest.None) {
				t.Errorf("none.test: %v", err)
			}
		})
	}
}

func TestLocalhostIsNeverAskedFor(t *testing.T) {
	srv := dnstest.Start(t, nil)
	c := newClient(t, dns.Options{Server: srv.Addr})
	for _, host := range []string{"localhost", "LOCALHOST.", "mx.localhost"} {
		got, err := c.LookupIP(t.Context(), host)
		if diff := cmp.Diff(addrs("127.0.0.1", "::1"), got.Records, compareAddr()); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", host, err, diff)
		}
	}
	if n := srv.Count("", ""); n != 0 {
		t.Errorf("%d questions were asked", n)
	}
}

func TestAnswerTooLargeComesOverTCP(t *testing.T) {
	zones := dnstest.Zones{"cut.test": {"MX 10 mx.test"}, "garbled.test": {"MX 10 mx.test"}}
	for i := range 100 {
		zones["large.test"] = append(zones["large.test"], fmt.Sprintf("MX %d mx%d.a-rather-long-name.large.test", i, i))
	}
	srv := dnstest.Start(t, zones)
	srv.Fault("cut.test", dnstest.Truncate)
	srv.Fault("garbled.test", dnstest.MalformedUDP)
	c := newClient(t, dns.Options{Server: srv.Addr})
	for name, want := range map[string]int{"large.test": 100, "cut.test": 1, "garbled.test": 1} {
		mx, err := c.LookupMX(t.Context(), name)
		if err != nil || len(mx.Records) != want {
			t.Errorf("%s: %d records, %v", name, len(mx.Records), err)
		}
		var nets []string
		for _, q := range srv.Queries() {
			if q.Name == name {
				nets = append(nets, q.Net)
			}
		}
		if diff := cmp.Diff([]string{"udp", "tcp"}, nets); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestServerWithoutEDNSIsAskedInTheOldWay(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{"old.test": {"MX 10 mx.test"}})
	srv.Fault("old.test", dnstest.NoEDNS)
	if _, err := newClient(t, dns.Options{Server: srv.Addr}).LookupMX(t.Context(), "old.test"); err != nil {
		t.Fatal(err)
	}
	want := []dnstest.Query{{Name: "old.test", Type: "MX", Net: "udp", EDNS: true}, {Name: "old.test", Type: "MX", Net: "udp"}}
	if diff := cmp.Diff(want, srv.Queries()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnswerWithForeignIDIsIgnored(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{"spoofed.test": {"MX 10 mx.test"}})
	srv.Fault("spoofed.test", dnstest.WrongID)
	mx, err := newClient(t, dns.Options{Server: srv.Addr}).LookupMX(t.Context(), "spoofed.test")
	if err != nil || len(mx.Records) != 1 {
		t.Errorf("%v, %v", mx, err)
	}
}

func TestCNAMEWithoutTargetIsAskedOn(t *testing.T) {
	zones := dnstest.Zones{"a.test": {"CNAME b.test"}, "b.test": {"MX 10 mx.test"}}
	for i := range 20 { // a chain longer than anyone needs
		zones[fmt.Sprintf("link%d.test", i)] = []string{fmt.Sprintf("CNAME link%d.test", i+1)}
	}
	srv := dnstest.Start(t, zones)
	for name := range zones {
		srv.Fault(name, dnstest.Partial)
	}
	c := newClient(t, dns.Options{Server: srv.Addr})
	if mx, err := c.LookupMX(t.Context(), "a.test"); err != nil || mx.Name != "b.test" {
		t.Errorf("%v, %v", mx, err)
	}
	_, err := c.LookupMX(t.Context(), "link0.test")
	var e *dns.Error
	if !errors.As(err, &e) || e.Failure != dns.Loop {
		t.Errorf("long chain: %v", err)
	}
	if n := srv.Count("", ""); n > 12 {
		t.Errorf("%d questions for two names", n)
	}
}

func TestDeadServerIsPassedOver(t *testing.T) {
	dead := dnstest.Start(t, nil)
	dead.Close()
	broken := dnstest.Start(t, nil)
	broken.Fault("one.test", dnstest.ServFail)
	broken.Fault("two.test", dnstest.ServFail)
	zones := dnstest.Zones{"one.test": {"MX 10 mx.test"}, "two.test": {"MX 10 mx.test"}}
	good := dnstest.Start(t, zones)
	c := newClient(t, dns.Options{})
	dns.AskServers(c, dead.Addr, broken.Addr, good.Addr)
	for _, name := range []string{"one.test", "two.test"} {
		if _, err := c.LookupMX(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if n := broken.Count("", ""); n != 1 {
		t.Errorf("the broken server was asked %d times, want once: the good one is asked first afterwards", n)
	}
}

func TestServerThatDeclinesIsNotAskedAgain(t *testing.T) {
	srv := dnstest.Start(t, nil)
	srv.Fault("servfail.test", dnstest.ServFail)
	c := newClient(t, dns.Options{Server: srv.Addr, Tries: 5})
	if _, err := c.LookupMX(t.Context(), "servfail.test"); !dns.IsTemporary(err) {
		t.Error(err)
	}
	if n := srv.Count("servfail.test", "MX"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestTriesAreBounded(t *testing.T) {
	srv := dnstest.Start(t, nil)
	srv.Fault("drop.test", dnstest.Drop)
	c := newClient(t, dns.Options{Server: srv.Addr, Timeout: 300 * time.Millisecond, Tries: 3})
	if _, err := c.LookupMX(t.Context(), "drop.test"); !dns.IsTemporary(err) {
		t.Error(err)
	}
	srv.WaitFor(t, "drop.test", "MX", 3) // the server may be slower than the client's patience
	if n := srv.Count("drop.test", "MX"); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
}

func TestCanceledLookupReturnsAndLeavesNothing(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{"slow.test": {"MX 10 mx.test"}})
	release := srv.Hold("slow.test")
	c := newClient(t, dns.Options{Server: srv.Addr})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := c.LookupMX(ctx, "slow.test")
		failed <- err
	}()
	srv.WaitFor(t, "slow.test", "MX", 1)
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) || !dns.IsTemporary(err) {
		t.Errorf("got %v, want a temporary error that is context.Canceled", err)
	}
	// Nobody's cancellation is kept as an answer for others; goleak sees the rest.
	release()
	if _, err := c.LookupMX(t.Context(), "slow.test"); err != nil {
		t.Error(err)
	}
}

func TestOneOfManyWaitersMayLeave(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{"slow.test": {"MX 10 mx.test"}})
	release := srv.Hold("slow.test")
	c := newClient(t, dns.Options{Server: srv.Addr})
	first, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := c.LookupMX(first, "slow.test")
		left <- err
	}()
	srv.WaitFor(t, "slow.test", "MX", 1)
	const waiters = 50
	results := make(chan error, waiters)
	for range waiters {
		go func() {
			_, err := c.LookupMX(t.Context(), "slow.test")
			results <- err
		}()
	}
	cancel()
	if err := <-left; err == nil {
		t.Error("the one who left got an answer")
	}
	release()
	for range waiters {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestStampedeAsksOnce(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{"busy.test": {"MX 10 mx.test"}})
	release := srv.Hold("busy.test")
	c := newClient(t, dns.Options{Server: srv.Addr})
	const askers = 50
	results := make(chan error, askers)
	for range askers {
		go func() {
			_, err := c.LookupMX(t.Context(), "busy.test")
			results <- err
		}()
	}
	srv.WaitFor(t, "busy.test", "MX", 1)
	release()
	for range askers {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if n := srv.Count("busy.test", "MX"); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

func TestResolvConfIsReadAgainWhenItChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	clk := newClock()
	write := func(text string, modified time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	check := func(list []string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, list); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	list := dns.ReadResolvConf(path, clk.now)
	check(list(), "127.0.0.1:53", "[::1]:53") // no file
	write("search x.test\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n", clk.at)
	clk.add(6 * time.Second)
	check(list(), "192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.3:53")
	write("nameserver 192.0.2.9\n", clk.at)
	clk.add(time.Second)
	check(list(), "192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.3:53") // looked at seconds ago
	clk.add(5 * time.Second)
	check(list(), "192.0.2.9:53")
	write("", clk.at)
	clk.add(6 * time.Second)
	check(list(), "192.0.2.9:53") // half-written: what worked stays
}

func TestServerOption(t *testing.T) {
	for _, server := range []string{"", "127.0.0.1", "127.0.0.1:5353", "::1", "[::1]", "[::1]:5353", "dns.test:53"} {
		if _, err := dns.New(dns.Options{Server: server}); err != nil {
			t.Errorf("%q: %v", server, err)
		}
	}
	for _, server := range []string{":53", "127.0.0.1:"} {
		if _, err := dns.New(dns.Options{Server: server}); err == nil {
			t.Errorf("%q is taken", server)
		}
	}
}
