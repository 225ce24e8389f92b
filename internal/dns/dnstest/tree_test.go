package dnstest_test

import (
	"net"
	"strconv"
	"testing"

	mdns "github.com/miekg/dns"

	"github.com/waypost/waypost/internal/dns/dnstest"
)

func TestTreeDelegates(t *testing.T) {
	tree := dnstest.Plant(t,
		dnstest.Zone{Name: ".", Servers: []string{"a.root.test"}},
		dnstest.Zone{Name: "test", Servers: []string{"ns.nic.test"}},
		dnstest.Zone{Name: "example.test", Servers: []string{"ns1.example.test", "ns2.example.test"}, Records: dnstest.Zones{
			"example.test":        {"TXT hello"},
			"alias.example.test":  {"CNAME www.other.test"},
			"*.wild.example.test": {"TXT any"},
		}},
		dnstest.Zone{Name: "other.test", Servers: []string{"ns.nic.test"}, Records: dnstest.Zones{"www.other.test": {"TXT there"}}},
		dnstest.Zone{Name: "new.test", Servers: []string{"ns.new.test"}, Records: dnstest.Zones{"new.test": {"TXT fresh"}}, Hidden: true})
	const parent, child = "ns.nic.test", "ns1.example.test"
	for _, tt := range []struct {
		server, name      string // server "": the resolver
		qtype             uint16
		rcode             int
		authority         bool
		answer, ns, extra int
	}{
		{"a.root.test", "example.test", mdns.TypeTXT, mdns.RcodeSuccess, false, 0, 1, 1},
		{parent, "x.example.test", mdns.TypeTXT, mdns.RcodeSuccess, false, 0, 2, 2},
		{parent, "www.other.test", mdns.TypeTXT, mdns.RcodeSuccess, true, 1, 0, 0},
		{parent, "nobody.test", mdns.TypeTXT, mdns.RcodeNameError, true, 0, 1, 0},
		{parent, "new.test", mdns.TypeTXT, mdns.RcodeSuccess, false, 0, 1, 1},
		{child, "example.test", mdns.TypeTXT, mdns.RcodeSuccess, true, 1, 0, 0},
		{child, "example.test", mdns.TypeNS, mdns.RcodeSuccess, true, 2, 0, 0},
		{child, "example.test", mdns.TypeSOA, mdns.RcodeSuccess, true, 1, 0, 0},
		{child, "ns2.example.test", mdns.TypeA, mdns.RcodeSuccess, true, 1, 0, 0},
		{child, "alias.example.test", mdns.TypeTXT, mdns.RcodeSuccess, true, 1, 0, 0},
		{child, "a.b.wild.example.test", mdns.TypeTXT, mdns.RcodeSuccess, true, 1, 0, 0},
		{child, "other.test", mdns.TypeTXT, mdns.RcodeRefused, false, 0, 0, 0},
		{"", "alias.example.test", mdns.TypeTXT, mdns.RcodeSuccess, false, 2, 0, 0},
		{"", "x.example.test", mdns.TypeTXT, mdns.RcodeNameError, false, 0, 1, 0},
		{"", "ns1.example.test", mdns.TypeA, mdns.RcodeSuccess, false, 1, 0, 0},
		{"", "new.test", mdns.TypeTXT, mdns.RcodeNameError, false, 0, 1, 0},
	} {
		addr := tree.Resolver.Addr
		if tt.server != "" {
			addr = net.JoinHostPort(tree.Address(tt.server).String(), strconv.Itoa(tree.Port))
		}
		resp := ask(t, "udp", addr, tt.name, tt.qtype)
		if resp.Rcode != tt.rcode || resp.Authoritative != tt.authority || resp.RecursionAvailable != (tt.server == "") ||
			len(resp.Answer) != tt.answer || len(resp.Ns) != tt.ns || len(resp.Extra) != tt.extra {
			t.Errorf("%s asked for %s:\n%v", tt.server, tt.name, resp)
		}
	}
}

func TestServersOfATreeChangeApart(t *testing.T) {
	tree := dnstest.Plant(t, dnstest.Zone{Name: "test", Servers: []string{"ns1.test", "ns2.test"}, Records: dnstest.Zones{"a.test": {"TXT old"}}})
	tree.Set("a.test", "TXT new", "TXT newer")
	tree.Server("ns2.test").Remove("a.test")
	for server, want := range map[string]int{"ns1.test": 2, "ns2.test": 0} {
		if resp := ask(t, "tcp", tree.Server(server).Addr, "a.test", mdns.TypeTXT); len(resp.Answer) != want {
			t.Errorf("%s:\n%v", server, resp)
		}
	}
	tree.Resolver.Set("a.test")
	if resp := ask(t, "udp", tree.Resolver.Addr, "a.test", mdns.TypeTXT); len(resp.Answer) != 0 || resp.Rcode != mdns.RcodeSuccess {
		t.Errorf("the resolver does not keep what it has:\n%v", resp)
	}
}
