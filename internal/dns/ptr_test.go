package dns_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/dns/dnstest"
)

func TestLookupPTR(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{
		"1.2.0.192.in-addr.arpa":       {"CNAME 1.0-127.2.0.192.in-addr.arpa"}, // RFC 2317
		"1.0-127.2.0.192.in-addr.arpa": {"PTR MX1.Example.Test."},
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa": {"PTR six.example.test."},
	})
	resolver, err := dns.New(dns.Options{Server: srv.Addr})
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		"192.0.2.1": "mx1.example.test", "::ffff:192.0.2.1": "mx1.example.test", "2001:db8::1": "six.example.test",
	} {
		got, err := resolver.LookupPTR(t.Context(), netip.MustParseAddr(addr))
		if err != nil {
			t.Fatalf("%s: %v", addr, err)
		}
		if diff := cmp.Diff([]string{want}, got.Records); diff != "" {
			t.Errorf("%s: %s", addr, diff)
		}
	}
	if _, err := resolver.LookupPTR(t.Context(), netip.MustParseAddr("192.0.2.2")); !dns.IsNotFound(err) {
		t.Errorf("an address without a name: %v", err)
	}
	if _, err := resolver.LookupPTR(t.Context(), netip.Addr{}); err == nil {
		t.Error("no address has a name")
	}
}
