package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/dns/dnstest"
)

func TestHosts(t *testing.T) {
	const (
		isIP    = "the MX record holds an IP address instead of a host name"
		noName  = "the MX record does not hold a host name"
		nullToo = "null MX beside other MX records"
	)
	srv := dnstest.Start(t, dnstest.Zones{
		"plain.test":              {"MX 20 b.test", "MX 10 a.test", "MX 65535 c.test", "MX 0 z.test"},
		"twice.test":              {"MX 20 a.test", "MX 10 a.test", "MX 15 A.test"},
		"implicit.test":           {"A 192.0.2.1"},
		"implicit6.test":          {"AAAA 2001:db8::1"},
		"alias.test":              {"CNAME plain.test"},
		"implicitalias.test":      {"CNAME implicit.test"},
		"null.test":               {"MX 0 ."},
		"null10.test":             {"MX 10 ."},
		"nulltoo.test":            {"MX 0 .", "MX 10 a.test"},
		"ip.test":                 {"MX 10 192.0.2.7", "MX 20 a.test"},
		"onlyip.test":             {"MX 10 192.0.2.7"},
		"garbage.test":            {`MX 10 with\032space.test`, `MX 20 \[192.0.2.1\]`, `MX 30 m\195\188ller.test`, "MX 40 a.test"},
		"nothing.test":            {"TXT x"},
		"xn--bcher-kva.test":      {"MX 10 mx.xn--bcher-kva.test"},
		"under_score.test":        {"MX 10 a.test"},
		"dangling.test":           {"CNAME unknown.test"},
		"servfailaddr.nomx.test":  nil,
		"localhost.pointing.test": {"MX 10 localhost"},
	})
	srv.Fault("servfail.test", dnstest.ServFail)
	srv.Fault("lame.test", dnstest.Lame)
	srv.FaultType("servfailaddr.nomx.test", "A", dnstest.ServFail)
	tests := []struct {
		domain string
		hosts  []dns.Host
		status string      // of the DestinationError
		fails  dns.Failure // temporary
	}{
		{domain: "plain.test", hosts: []dns.Host{{Name: "z.test"}, {Name: "a.test", Preference: 10}, {Name: "b.test", Preference: 20}, {Name: "c.test", Preference: 65535}}},
		{domain: "PLAIN.test.", hosts: []dns.Host{{Name: "z.test"}, {Name: "a.test", Preference: 10}, {Name: "b.test", Preference: 20}, {Name: "c.test", Preference: 65535}}},
		{domain: "alias.test", hosts: []dns.Host{{Name: "z.test"}, {Name: "a.test", Preference: 10}, {Name: "b.test", Preference: 20}, {Name: "c.test", Preference: 65535}}},
		{domain: "twice.test", hosts: []dns.Host{{Name: "a.test", Preference: 10}}},
		{domain: "implicit.test", hosts: []dns.Host{{Name: "implicit.test", Implicit: true}}},
		{domain: "implicit6.test", hosts: []dns.Host{{Name: "implicit6.test", Implicit: true}}},
		{domain: "implicitalias.test", hosts: []dns.Host{{Name: "implicitalias.test", Implicit: true}}},
		{domain: "null.test", status: "5.1.10"},
		{domain: "null10.test", status: "5.1.10"},
		{domain: "nulltoo.test", hosts: []dns.Host{{Name: ".", Unusable: nullToo}, {Name: "a.test", Preference: 10}}},
		{domain: "ip.test", hosts: []dns.Host{{Name: "192.0.2.7", Preference: 10, Unusable: isIP}, {Name: "a.test", Preference: 20}}},
		{domain: "onlyip.test", hosts: []dns.Host{{Name: "192.0.2.7", Preference: 10, Unusable: isIP}}},
		{domain: "garbage.test", hosts: []dns.Host{
			{Name: `with\ space.test`, Preference: 10, Unusable: noName},
			{Name: "[192.0.2.1]", Preference: 20, Unusable: noName},
			{Name: `m\195\188ller.test`, Preference: 30, Unusable: noName},
			{Name: "a.test", Preference: 40},
		}},
		{domain: "bücher.test", hosts: []dns.Host{{Name: "mx.xn--bcher-kva.test", Preference: 10}}},
		{domain: "BÜCHER.test", hosts: []dns.Host{{Name: "mx.xn--bcher-kva.test", Preference: 10}}},
		{domain: "xn--bcher-kva.test", hosts: []dns.Host{{Name: "mx.xn--bcher-kva.test", Preference: 10}}},
		{domain: "under_score.test", hosts: []dns.Host{{Name: "a.test", Preference: 10}}},
		{domain: "localhost.pointing.test", hosts: []dns.Host{{Name: "localhost", Preference: 10}}}, // the guard's business
		{domain: "[192.0.2.1]", hosts: []dns.Host{{Name: "[192.0.2.1]"}}},
		{domain: "[IPv6:2001:db8::1]", hosts: []dns.Host{{Name: "[IPv6:2001:db8::1]"}}},
		{domain: "[192.0.2]", status: "5.1.2"},
		{domain: "[2001:db8::1]", status: "5.1.2"},
		{domain: "[x400:foo]", status: "5.1.2"},
		{domain: "[", status: "5.1.2"},
		{domain: "nothing.test", status: "5.4.4"},
		{domain: "unknown.test", status: "5.1.2"},
		{domain: "dangling.test", status: "5.1.2"},
		{domain: "no domain", status: "5.1.2"},
		{domain: "a..test", status: "5.1.2"},
		{domain: "", status: "5.1.2"},
		{domain: ".", status: "5.1.2"},
		{domain: "servfail.test", fails: dns.ServFail},
		{domain: "lame.test", fails: dns.Lame},
		{domain: "servfailaddr.nomx.test", fails: dns.ServFail},
	}
	c := newClient(t, dns.Options{Server: srv.Addr})
	for _, tt := range tests {
		t.Run(tt.domain, func(t *testing.T) {
			hosts, err := dns.Hosts(t.Context(), c, tt.domain)
			if diff := cmp.Diff(tt.hosts, hosts); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var dest *dns.DestinationError
			var e *dns.Error
			switch {
			case tt.status != "":
				if !errors.As(err, &dest) || dest.Status != tt.status || dns.IsTemporary(err) {
					t.Errorf("got %v, want a permanent error %s", err, tt.status)
				}
			case tt.fails != "":
				if errors.As(err, &dest) || !errors.As(err, &e) || e.Failure != tt.fails || !dns.IsTemporary(err) {
					t.Errorf("got %v, want a temporary %s", err, tt.fails)
				}
			case err != nil:
				t.Error(err)
			}
		})
	}
}

func TestHostsAreBounded(t *testing.T) {
	zones := dnstest.Zones{}
	for i := range 100 {
		zones["many.test"] = append(zones["many.test"], fmt.Sprintf("MX %d mx%d.test", 100-i, i))
	}
	srv := dnstest.Start(t, zones)
	hosts, err := dns.Hosts(t.Context(), newClient(t, dns.Options{Server: srv.Addr}), "many.test")
	if err != nil || len(hosts) != dns.MaxHosts {
		t.Fatalf("%d hosts, %v", len(hosts), err)
	}
	for i, h := range hosts {
		if want := uint16(i + 1); h.Preference != want {
			t.Errorf("host %d has preference %d, want %d: the best are kept", i, h.Preference, want)
		}
	}
}

func TestHostsOfEqualPreferenceTakeTurns(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{"even.test": {"MX 10 a.test", "MX 10 b.test", "MX 10 c.test", "MX 20 d.test"}})
	c := newClient(t, dns.Options{Server: srv.Addr})
	first := map[string]bool{}
	for range 300 { // each misses one host with (2/3)^300
		hosts, err := dns.Hosts(t.Context(), c, "even.test")
		if err != nil || len(hosts) != 4 || hosts[3].Name != "d.test" {
			t.Fatalf("%v, %v", hosts, err)
		}
		first[hosts[0].Name] = true
	}
	if len(first) != 3 {
		t.Errorf("only %v ever came first", first)
	}
	if n := srv.Count("even.test", "MX"); n != 1 {
		t.Errorf("asked %d times: the order must vary although the records are cached", n)
	}
}

func TestOrderKeepsWhatItWasGiven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOf(rapid.Custom(func(t *rapid.T) dns.MX {
			return dns.MX{
				Host:       rapid.StringMatching(`[a-e]{1,2}\.test|\.|192\.0\.2\.[0-9]`).Draw(t, "host"),
				Preference: rapid.Uint16Range(0, 5).Draw(t, "preference"),
			}
		})).Draw(t, "records")
		given := slices.Clone(records)
		reverse := func(n int, swap func(i, j int)) {
			for i := range n / 2 {
				swap(i, n-1-i)
			}
		}
		hosts := dns.Order(records, reverse)
		if diff := cmp.Diff(given, records); diff != "" {
			t.Fatalf("the records were changed:\n%s", diff)
		}
		best := map[string]uint16{}
		for _, mx := range records {
			if p, ok := best[mx.Host]; !ok || mx.Preference < p {
				best[mx.Host] = mx.Preference
			}
		}
		if want := min(len(best), dns.MaxHosts); len(hosts) != want {
			t.Fatalf("%d hosts, want %d", len(hosts), want)
		}
		kept := map[string]bool{}
		for i, h := range hosts {
			if kept[h.Name] || best[h.Name] != h.Preference {
				t.Fatalf("host %v twice or not with its best preference", h)
			}
			kept[h.Name] = true
			if i > 0 && hosts[i-1].Preference > h.Preference {
				t.Fatalf("%v before %v", hosts[i-1], h)
			}
			if (h.Unusable == "") != strings.HasSuffix(h.Name, ".test") {
				t.Fatalf("%v", h)
			}
		}
		for host, preference := range best {
			if !kept[host] && preference < hosts[len(hosts)-1].Preference {
				t.Fatalf("%s (%d) was left out for worse ones", host, preference)
			}
		}
	})
}

func TestOrderFollowsTheShuffleWithinAPreference(t *testing.T) {
	records := []dns.MX{{Host: "a.test", Preference: 1}, {Host: "b.test", Preference: 1}, {Host: "c.test"}}
	names := func(shuffle func(int, func(i, j int))) (names []string) {
		for _, h := range dns.Order(records, shuffle) {
			names = append(names, h.Name)
		}
		return names
	}
	if diff := cmp.Diff([]string{"c.test", "a.test", "b.test"}, names(func(int, func(i, j int)) {})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"c.test", "b.test", "a.test"}, names(func(_ int, swap func(i, j int)) { swap(0, 1) })); diff != "" {
		t.Error(diff)
	}
}

func TestAddresses(t *testing.T) {
	zones := dnstest.Zones{
		"both.test":  {"AAAA 2001:db8::1", "A 192.0.2.1", "A 192.0.2.1"},
		"alias.test": {"CNAME both.test"},
	}
	for i := range 60 {
		zones["many.test"] = append(zones["many.test"], fmt.Sprintf("A 192.0.2.%d", i), fmt.Sprintf("AAAA 2001:db8::%d", i))
	}
	srv := dnstest.Start(t, zones)
	c := newClient(t, dns.Options{Server: srv.Addr})
	for host, want := range map[string][]netip.Addr{
		"both.test":          addrs("192.0.2.1", "2001:db8::1"),
		"alias.test":         addrs("192.0.2.1", "2001:db8::1"),
		"[192.0.2.9]":        addrs("192.0.2.9"),
		"[IPv6:2001:db8::9]": addrs("2001:db8::9"),
		"192.0.2.9":          addrs("192.0.2.9"),
		"2001:db8::9":        addrs("2001:db8::9"),
	} {
		got, err := dns.Addresses(t.Context(), c, host)
		if diff := cmp.Diff(want, got, compareAddr()); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", host, err, diff)
		}
	}
	many, err := dns.Addresses(t.Context(), c, "many.test")
	if err != nil || len(many) != 2*dns.MaxAddresses || !many[0].Is4() || !many[dns.MaxAddresses].Is6() {
		t.Errorf("%v, %v", many, err)
	}
	if _, err := dns.Addresses(t.Context(), c, "unknown.test"); !dns.IsNotFound(err) {
		t.Error(err)
	}
}

// oneHost answers every question that a real server could be asked.
type oneHost struct{ t *testing.T }

func (o oneHost) check(name string) {
	if ascii, err := dns.ToASCII(name); err != nil || ascii != name {
		o.t.Errorf("asked for %q", name)
	}
}

func (o oneHost) LookupMX(_ context.Context, name string) (dns.Answer[dns.MX], error) {
	o.check(name)
	return dns.Answer[dns.MX]{Records: []dns.MX{{Host: name, Preference: 1}}, Name: name, TTL: time.Minute}, nil
}

func (o oneHost) LookupIP(_ context.Context, name string) (dns.Answer[netip.Addr], error) {
	o.check(name)
	return dns.Answer[netip.Addr]{Records: addrs("192.0.2.1"), Name: name}, nil
}

func (o oneHost) LookupTXT(_ context.Context, name string) (dns.Answer[string], error) {
	o.check(name)
	return dns.Answer[string]{Records: []string{"x"}, Name: name}, nil
}

func FuzzHosts(f *testing.F) {
	for _, s := range []string{"example.test", "bücher.test", "[192.0.2.1]", "[IPv6:::1]", "[", "10.0.0.1", ".", "a..b", "\x00", "xn--a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, domain string) {
		hosts, err := dns.Hosts(t.Context(), oneHost{t}, domain)
		if err != nil {
			var dest *dns.DestinationError
			if !errors.As(err, &dest) || dest.Status != "5.1.2" {
				t.Fatalf("%q: %v", domain, err)
			}
			return
		}
		if len(hosts) != 1 {
			t.Fatalf("%q: %v", domain, hosts)
		}
		if hosts[0].Unusable != "" {
			return
		}
		if got, err := dns.Addresses(t.Context(), oneHost{t}, hosts[0].Name); err != nil || len(got) != 1 {
			t.Fatalf("%q: %v, %v", domain, got, err)
		}
	})
}
