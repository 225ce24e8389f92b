package dns_test

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mdns "github.com/miekg/dns"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/dns/dnstest"
)

func TestFollowGoesOnAtTheZoneOfTheTarget(t *testing.T) {
	tree := plant(t,
		example(dnstest.Zones{"example.test": {"60 CNAME a.other.test"}}, ns1),
		sub("other.test", dnstest.Zones{"a.other.test": {"30 CNAME b.other.test"}, "b.other.test": {"CNAME c.third.test"}}),
		sub("third.test", dnstest.Zones{"c.third.test": {"90 TXT end"}}))
	tree.Resolver.Set("c.third.test", "TXT stale")
	s := newAuthority(t, tree).Session()
	chain, err := s.Follow(t.Context(), "Example.test", dns.TypeTXT)
	if err != nil {
		t.Fatal(err)
	}
	type step struct{ Name, Zone, CNAME, Record string }
	var got []step
	for _, a := range chain {
		got = append(got, step{a.Name, a.Zone, a.CNAME, fmt.Sprint(a.Records)})
	}
	want := []step{
		{"example.test", "example.test", "a.other.test", "[]"},
		{"a.other.test", "other.test", "b.other.test", "[]"},
		{"b.other.test", "other.test", "c.third.test", "[]"},
		{"c.third.test", "third.test", "", "[end]"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	answer, err := s.LookupTXT(t.Context(), "example.test")
	if diff := cmp.Diff(dns.Answer[string]{Records: []string{"end"}, Name: "c.third.test", TTL: 30 * time.Second}, answer); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestFollowEnds(t *testing.T) {
	records := dnstest.Zones{
		"ring1.example.test":    {"CNAME ring2.example.test"},
		"ring2.example.test":    {"CNAME ring1.example.test"},
		"self.example.test":     {"CNAME self.example.test"},
		"dangling.example.test": {"CNAME nowhere.example.test"},
		"root.example.test":     {"CNAME ."},
		"odd.example.test":      {`CNAME a\032b.example.test`},
		"end.example.test":      {"TXT end"},
	}
	for i := range 20 {
		records[fmt.Sprintf("link%d.example.test", i)] = []string{fmt.Sprintf("CNAME link%d.example.test", i+1)}
	}
	records["link20.example.test"] = []string{"TXT end"}
	tree := plant(t, example(records, ns1))
	s := newAuthority(t, tree).Session()
	for name, want := range map[string]struct {
		failure dns.Failure
		steps   int
	}{
		"ring1.example.test":    {dns.Loop, 2},
		"self.example.test":     {dns.Loop, 1},
		"link0.example.test":    {dns.Loop, 9},
		"link12.example.test":   {"", 9}, // eight aliases and the end of them
		"dangling.example.test": {dns.NXDomain, 2},
		"root.example.test":     {dns.NoData, 2},
		"odd.example.test":      {dns.NXDomain, 2}, // asked for, not refused
		"end.example.test":      {"", 1},
		"no name":               {dns.BadName, 0},
	} {
		chain, err := s.Follow(t.Context(), name, dns.TypeTXT)
		if failureOf(err) != want.failure || len(chain) != want.steps {
			t.Errorf("%s: %v after %d steps", name, err, len(chain))
		}
		if _, err := s.LookupTXT(t.Context(), name); failureOf(err) != want.failure {
			t.Errorf("%s as a Resolver: %v", name, err)
		}
	}
}

func TestSessionIsAResolver(t *testing.T) {
	tree := plant(t,
		example(dnstest.Zones{
			"example.test":     {"40 MX 10 MX.Other.test", "MX 20 mx.example.test"},
			"mx.example.test":  {"50 A 192.0.2.1", "20 AAAA 2001:db8::1"},
			"v6.example.test":  {"AAAA 2001:db8::2"},
			"web.example.test": {"CNAME v4.other.test"},
		}, ns1),
		sub("other.test", dnstest.Zones{"v4.other.test": {"86400 A 192.0.2.9"}}))
	var s dns.Resolver = newAuthority(t, tree).Session()
	mx, err := s.LookupMX(t.Context(), "example.test")
	wantMX := dns.Answer[dns.MX]{
		Records: []dns.MX{{Host: "mx.other.test", Preference: 10}, {Host: "mx.example.test", Preference: 20}},
		Name:    "example.test", TTL: 40 * time.Second,
	}
	if diff := cmp.Diff(wantMX, mx); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for host, want := range map[string]dns.Answer[netip.Addr]{
		"mx.example.test":  {Records: addrs("192.0.2.1", "2001:db8::1"), Name: "mx.example.test", TTL: 20 * time.Second},
		"v6.example.test":  {Records: addrs("2001:db8::2"), Name: "v6.example.test", TTL: 5 * time.Minute},
		"web.example.test": {Records: addrs("192.0.2.9"), Name: "v4.other.test", TTL: 5 * time.Minute},
		"localhost":        {Records: addrs("127.0.0.1", "::1"), Name: "localhost", TTL: time.Hour},
	} {
		got, err := s.LookupIP(t.Context(), host)
		if diff := cmp.Diff(want, got, compareAddr()); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", host, err, diff)
		}
	}
	if _, err := s.LookupIP(t.Context(), "gone.example.test"); !dns.IsNotFound(err) {
		t.Errorf("gone: %v", err)
	}
	tree.Server(ns1).FaultType("none.example.test", "AAAA", dnstest.Refuse)
	if _, err := s.LookupIP(t.Context(), "none.example.test"); !dns.IsTemporary(err) {
		t.Errorf("one family unknown: %v", err)
	}
}

func TestSessionIsOneReading(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"example.test": {"TXT old"}}, ns1))
	a := newAuthority(t, tree)
	s := a.Session()
	look := func(s *dns.Session, want string) {
		t.Helper()
		if got, err := s.Lookup(t.Context(), "example.test", dns.TypeTXT); err != nil || !slices.Equal(got.Records, []string{want}) {
			t.Errorf("%v, %q, want %q", err, got.Records, want)
		}
	}
	look(s, "old")
	tree.Set("example.test", "TXT new")
	look(s, "old")
	if n := asked(tree, ns1); n != 1 {
		t.Errorf("%d questions for one reading", n)
	}
	look(a.Session(), "new")
}

func TestLookupsOfASessionMayRunTogether(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"*.example.test": {"TXT any"}, "alias.example.test": {"CNAME x.example.test"}}, ns1, ns2))
	release := tree.Resolver.Hold("example.test")
	s := newAuthority(t, tree).Session()
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			name := []string{"x.example.test", "y.example.test", "alias.example.test", "example.test"}[i%4]
			if _, err := s.LookupTXT(t.Context(), name); err != nil && name != "example.test" {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	tree.Resolver.WaitFor(t, "example.test", "NS", 1)
	release()
	wg.Wait()
	for _, q := range []struct{ name, qtype string }{{"example.test", "NS"}, {ns1, "A"}, {"x.example.test", "SOA"}} {
		if n := tree.Resolver.Count(q.name, q.qtype); n != 1 {
			t.Errorf("the resolver was asked %d times for %s %s", n, q.name, q.qtype)
		}
	}
	if n := tree.Server(ns1).Count("x.example.test", "TXT"); n != 1 {
		t.Errorf("x.example.test was asked for %d times", n)
	}
}

// FuzzAuthorityReply feeds any message a server could send to what reads replies.
func FuzzAuthorityReply(f *testing.F) {
	add := func(change func(*mdns.Msg), records ...string) {
		msg := new(mdns.Msg)
		msg.SetQuestion("a.sub.example.test.", mdns.TypeTXT)
		msg.Response, msg.Authoritative = true, true
		for i, text := range records {
			rr, err := mdns.NewRR(text)
			if err != nil {
				f.Fatal(err)
			}
			switch section := []*[]mdns.RR{&msg.Answer, &msg.Ns, &msg.Extra}[i%3]; {
			case text != "":
				*section = append(*section, rr)
			}
		}
		change(msg)
		wire, err := msg.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	as := func(*mdns.Msg) {}
	add(as, "a.sub.example.test. 60 IN TXT x", "", "", "A.sub.example.test. 4294967295 IN TXT x", "", "", "a.sub.example.test. 1 IN CNAME b.test.")
	add(as, "", "sub.example.test. 60 IN NS ns.sub.example.test.", "ns.sub.example.test. 60 IN A 127.0.0.1", "", "sub.example.test. 60 IN NS ns.other.test.", "ns.other.test. 60 IN AAAA ::1")
	add(as, "", "example.test. 60 IN SOA ns. host. 1 2 3 4 5")
	add(as, "", "other.example.test. 60 IN SOA ns. host. 1 2 3 4 5")
	add(as, "", "other.example.test. 60 IN NS ns.other.example.test.")
	add(func(m *mdns.Msg) { m.Authoritative = false }, "", ". 60 IN NS a.root.test.")
	add(func(m *mdns.Msg) { m.Rcode = mdns.RcodeNameError }, "a.sub.example.test. 60 IN CNAME a.sub.example.test.")
	add(func(m *mdns.Msg) { m.Truncated = true })
	f.Fuzz(func(t *testing.T, wire []byte) {
		msg := new(mdns.Msg)
		if msg.Unpack(wire) != nil {
			return
		}
		const name, apex = "a.sub.example.test.", "example.test."
		for _, qtype := range []dns.Type{dns.TypeTXT, dns.TypeCNAME, dns.TypeMX, dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeSOA} {
			r := dns.ReadReply(msg, name, qtype, apex)
			if found := len(r.Records) > 0 || r.CNAME != ""; found != (r.Failure == "") || (found && !msg.Authoritative) {
				t.Fatalf("%s: %+v from\n%v", qtype, r, msg)
			}
			if r.Authoritative() && (!msg.Authoritative || msg.Truncated) {
				t.Fatalf("%s: %+v counts as authoritative:\n%v", qtype, r, msg)
			}
			if len(r.Records) > len(msg.Answer) || (len(r.Records) > 0 && r.CNAME != "") || !slices.IsSorted(r.Records) || r.TTL < 0 {
				t.Fatalf("%s: %+v", qtype, r)
			}
			if r.Referral == "" {
				continue
			}
			if r.Authoritative() || r.Referral == apex || !mdns.IsSubDomain(apex, r.Referral) || !mdns.IsSubDomain(r.Referral, name) {
				t.Fatalf("%s: referral to %s", qtype, r.Referral)
			}
			if len(r.Servers) == 0 || len(r.Servers) > 6 {
				t.Fatalf("%s: referral to %d servers", qtype, len(r.Servers))
			}
			for _, server := range r.Glued {
				if !mdns.IsSubDomain(apex, server) {
					t.Fatalf("%s: glue for %s", qtype, server)
				}
			}
		}
		if zone, ok := dns.ApexOf(msg, name); ok && !mdns.IsSubDomain(zone, name) {
			t.Fatalf("zone %s", zone)
		}
	})
}
