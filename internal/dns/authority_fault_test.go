package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/guard"
)

func TestFaultyServerIsToldAndTheOthersCount(t *testing.T) {
	for name, tt := range map[string]struct {
		fault   dnstest.Fault
		failure dns.Failure
	}{
		"SERVFAIL":                  {dnstest.ServFail, dns.ServFail},
		"REFUSED":                   {dnstest.Refuse, dns.Refused},
		"silence":                   {dnstest.Drop, dns.Timeout},
		"garbage":                   {dnstest.Malformed, dns.Malformed},
		"another question":          {dnstest.WrongQuestion, dns.Malformed},
		"another ID":                {dnstest.OnlyWrongID, dns.Timeout},
		"cut short over TCP too":    {dnstest.TruncateAll, dns.Malformed},
		"TC without TCP":            {dnstest.NoTCP, dns.Network},
		"garbage without TCP":       {dnstest.MalformedNoTCP, dns.Malformed},
		"no AA bit":                 {dnstest.NotAuthoritative, dns.Lame},
		"referral to the root":      {dnstest.Upward, dns.Lame},
		"referral to the name":      {dnstest.Lame, dns.Lame},
		"garbage over UDP only":     {dnstest.MalformedUDP, ""},
		"TC":                        {dnstest.Truncate, ""},
		"no EDNS":                   {dnstest.NoEDNS, ""},
		"first another ID":          {dnstest.WrongID, ""},
		"an empty answer is NODATA": {dnstest.Empty, dns.NoData},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := plant(t, example(dnstest.Zones{"example.test": {"TXT here"}}, ns1, ns2))
			a := newAuthority(t, tree)
			if tt.failure == dns.Timeout {
				a = newAuthority(t, tree, within(2*time.Second, 20*time.Second))
			}
			tree.Server(ns1).FaultType("example.test", "TXT", tt.fault)
			got, err := a.Lookup(t.Context(), "example.test", dns.TypeTXT)
			if err != nil || !slices.Equal(got.Records, []string{"here"}) || got.Disagree != (tt.failure == dns.NoData) {
				t.Errorf("%v, %+v", err, got)
			}
			first := dns.ServerAnswer{Name: ns1, Failure: tt.failure}
			if tt.failure == "" {
				first.Records = []string{"here"}
			}
			said(t, got, first, dns.ServerAnswer{Name: ns2, Records: []string{"here"}})
			tooLarge := tt.fault == dnstest.TruncateAll || tt.fault == dnstest.NoTCP
			if text := got.Servers[0].Text; strings.Contains(text, "TCP") != tooLarge {
				t.Errorf("text %q", text)
			}
			if n := asked(tree, ns1); n > 2 {
				t.Errorf("the server was asked %d times", n)
			}

			tree.Server(ns2).FaultType("example.test", "TXT", tt.fault)
			got, err = a.Lookup(t.Context(), "example.test", dns.TypeTXT)
			temporary := tt.failure != "" && tt.failure != dns.NoData
			if failureOf(err) != tt.failure || dns.IsTemporary(err) != temporary || len(got.Servers) != 2 || got.Zone != "example.test" {
				t.Errorf("alone: %v, %+v", err, got)
			}
		})
	}
}

func TestAnswersAreBounded(t *testing.T) {
	big := make([]string, 300)
	for i := range big {
		big[i] = fmt.Sprintf(`TXT "%d %s"`, i, strings.Repeat("x", 180))
	}
	tree := plant(t, example(dnstest.Zones{"big.example.test": big}, ns1))
	got, err := newAuthority(t, tree).Lookup(t.Context(), "big.example.test", dns.TypeTXT)
	if err != nil || len(got.Records) != 300 {
		t.Errorf("%d records, %v", len(got.Records), err)
	}
	var nets []string
	for _, q := range tree.Server(ns1).Queries() {
		nets = append(nets, q.Net)
	}
	if diff := cmp.Diff([]string{"udp", "tcp"}, nets); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestThousandServersAreBounded(t *testing.T) {
	records := dnstest.Zones{"many.example.test": {"TXT here"}}
	for i := range 1000 {
		records["example.test"] = append(records["example.test"], fmt.Sprintf("NS n%03d.example.test", i))
	}
	tree := plant(t, example(records, ns1))
	for i := range 3 {
		tree.Set(fmt.Sprintf("n%03d.example.test", i), "A "+tree.Address(ns1).String())
	}
	got, err := newAuthority(t, tree).Lookup(t.Context(), "many.example.test", dns.TypeTXT)
	if err != nil || got.Omitted != 995 {
		t.Errorf("%v, %d servers omitted", err, got.Omitted)
	}
	said(t, got,
		dns.ServerAnswer{Name: "n000.example.test", Records: []string{"here"}},
		dns.ServerAnswer{Name: "n001.example.test", Records: []string{"here"}},
		dns.ServerAnswer{Name: "n002.example.test", Records: []string{"here"}},
		dns.ServerAnswer{Name: "n003.example.test", Failure: dns.NoAddress},
		dns.ServerAnswer{Name: "n004.example.test", Failure: dns.NoAddress},
		dns.ServerAnswer{Name: "n005.example.test", Failure: dns.NoAddress})
}

// Every zone of a hostile tree refers on, each of its servers is silent at first,
// and nothing has an address but through the resolver.
func TestQuestionsOfALookupAreBounded(t *testing.T) {
	servers := func(zone string) []string {
		var names []string
		for i := range 6 {
			names = append(names, fmt.Sprintf("ns%d.%s", i, zone))
		}
		return names
	}
	hostile := []dnstest.Zone{
		{Name: "h.test", Servers: servers("one.test")},
		{Name: "a.h.test", Servers: servers("two.test"), Hidden: true},
		{Name: "b.a.h.test", Servers: servers("three.test"), Hidden: true},
	}
	tree := plant(t, hostile...)
	name := "l.o.n.g.n.a.m.e.b.a.h.test"
	tree.Resolver.FaultType(name, "SOA", dnstest.ServFail)
	tree.Resolver.SetNegativeTTL(-1)
	for _, z := range hostile[1:] {
		for _, server := range z.Servers {
			tree.Server(server).Fault(name, dnstest.Truncate)
		}
	}
	_, err := newAuthority(t, tree).Lookup(t.Context(), name, dns.TypeTXT)
	if err == nil {
		t.Error("a record was found")
	}
	total := tree.Resolver.Count("", "")
	for _, z := range hostile {
		total += asked(tree, z.Servers...)
	}
	if total += asked(tree, "ns.nic.test", "a.root.test"); total > 40 {
		t.Errorf("%d questions", total)
	}
}

func TestSessionIsBounded(t *testing.T) {
	tree := plant(t, example(nil, ns1))
	s := newAuthority(t, tree).Session()
	var last error
	for i := range 1000 {
		if _, last = s.Lookup(t.Context(), fmt.Sprintf("n%d.example.test", i), dns.TypeTXT); dns.IsTemporary(last) {
			break
		}
	}
	if failureOf(last) != dns.TooMany {
		t.Errorf("after 1,000 lookups: %v", last)
	}
	if n := tree.Resolver.Count("", "") + asked(tree, ns1); n > 1000 {
		t.Errorf("%d questions", n)
	}
}

func TestServerAtAForbiddenAddressIsNotAsked(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"example.test": {"TXT here", "NS ns4.example.test"}}, ns1, ns2, ns3))
	victim := dnstest.Start(t, nil)
	tree.Resolver.Set(ns1, "A "+netip.MustParseAddrPort(victim.Addr).Addr().String(), "A 10.1.2.3", "AAAA ::1")
	tree.Resolver.Set(ns2, "AAAA ::ffff:127.0.0.1", "AAAA fd00::1")
	tree.Resolver.Set("ns4.example.test", "A 169.254.169.254")
	g, err := guard.New(guard.Options{
		Interfaces: func() ([]netip.Addr, error) { return nil, nil },
		Allow:      []netip.Prefix{netip.PrefixFrom(tree.Address(ns3), 32)},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t, tree, func(o *dns.AuthorityOptions) { o.Check = g.Check })
	got, err := a.Lookup(t.Context(), "example.test", dns.TypeTXT)
	if err != nil || !slices.Equal(got.Records, []string{"here"}) || got.Disagree {
		t.Errorf("%v, %+v", err, got)
	}
	said(t, got,
		dns.ServerAnswer{Name: ns1, Failure: dns.NotAllowed}, dns.ServerAnswer{Name: ns2, Failure: dns.NotAllowed},
		dns.ServerAnswer{Name: ns3, Records: []string{"here"}}, dns.ServerAnswer{Name: "ns4.example.test", Failure: dns.NotAllowed})
	for _, s := range got.Servers {
		if s.Failure != "" && (s.Address.IsValid() || strings.ContainsAny(s.Text, "0123456789")) {
			t.Errorf("%s tells an address of our network: %v, %q", s.Name, s.Address, s.Text)
		}
	}
	tree.Resolver.Set(ns3, "A 192.168.0.1")
	got, err = a.Lookup(t.Context(), "example.test", dns.TypeTXT)
	if failureOf(err) != dns.NotAllowed || !dns.IsTemporary(err) || len(got.Servers) != 4 {
		t.Errorf("all forbidden: %v, %+v", err, got)
	}
}

func TestGlueAtAForbiddenAddressIsNotAsked(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"sub.example.test": {"NS ns.sub.example.test"}, "ns.sub.example.test": {"A 10.0.0.1"}}, ns1))
	a := newAuthority(t, tree, func(o *dns.AuthorityOptions) {
		o.Check = func(addr netip.Addr) error {
			if addr.IsPrivate() {
				return errors.New("private")
			}
			return nil
		}
	})
	got, err := a.Lookup(t.Context(), "sub.example.test", dns.TypeTXT)
	if failureOf(err) != dns.NotAllowed || got.Zone != "sub.example.test" {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestAddressIsCheckedAsItIsDialed(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"example.test": {"TXT here"}}, ns1))
	for _, fault := range []dnstest.Fault{dnstest.None, dnstest.Truncate} {
		tree.Server(ns1).Fault("example.test", fault)
		before := asked(tree, ns1)
		var mu sync.Mutex
		checks := 0
		last := map[dnstest.Fault]int{dnstest.None: 1, dnstest.Truncate: 2}[fault] // then UDP, or TCP, is forbidden
		a := newAuthority(t, tree, func(o *dns.AuthorityOptions) {
			o.Check = func(netip.Addr) error {
				mu.Lock()
				defer mu.Unlock()
				if checks++; checks > last {
					return errors.New("meanwhile forbidden")
				}
				return nil
			}
		})
		got, err := a.Lookup(t.Context(), "example.test", dns.TypeTXT)
		if failureOf(err) != dns.NotAllowed || got.Servers[0].Address.IsValid() || asked(tree, ns1)-before != last-1 {
			t.Errorf("fault %d: %v after %d questions", fault, err, asked(tree, ns1)-before)
		}
	}
}

func TestServerWhoseAddressIsNotFoundIsTold(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"example.test": {"TXT here"}}, ns1, ns2, ns3))
	tree.Resolver.Set(ns1)
	tree.Resolver.Fault(ns2, dnstest.ServFail)
	got, err := newAuthority(t, tree).Lookup(t.Context(), "example.test", dns.TypeTXT)
	if err != nil {
		t.Fatal(err)
	}
	said(t, got,
		dns.ServerAnswer{Name: ns1, Failure: dns.NoAddress}, dns.ServerAnswer{Name: ns2, Failure: dns.NoAddress},
		dns.ServerAnswer{Name: ns3, Records: []string{"here"}})
	if a, b := got.Servers[0].Text, got.Servers[1].Text; a != "server name without address" || b != "address not found: server failure" {
		t.Errorf("%q, %q", a, b)
	}
}

func TestServerWithIPv6AddressesOnlyIsAsked(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"example.test": {"TXT here"}}, ns1))
	tree.Resolver.Set(ns1, "AAAA ::ffff:"+tree.Address(ns1).String())
	if got, err := newAuthority(t, tree).Lookup(t.Context(), "example.test", dns.TypeTXT); err != nil || len(got.Records) != 1 {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestNextAddressIsTriedWhenOneIsOutOfReach(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"example.test": {"TXT here"}}, ns2, ns1)) // ns2 first: the lower address
	tree.Server(ns2).Close()
	for name, records := range map[string][]string{
		"both IPv4":  {"A " + tree.Address(ns1).String(), "A " + tree.Address(ns2).String()},
		"IPv4, IPv6": {"A " + tree.Address(ns2).String(), "AAAA ::ffff:" + tree.Address(ns1).String()},
	} {
		tree.Resolver.Set(ns1, records...)
		got, err := newAuthority(t, tree).Lookup(t.Context(), "example.test", dns.TypeTXT)
		if err != nil || got.Servers[0].Address.Unmap() != tree.Address(ns1) {
			t.Errorf("%s: %v, %+v", name, err, got)
			continue
		}
		said(t, got, dns.ServerAnswer{Name: ns1, Records: []string{"here"}}, dns.ServerAnswer{Name: ns2, Failure: dns.Network})
	}
}

func TestServerOutOfReachIsAskedOnce(t *testing.T) {
	tree := plant(t, example(nil, ns1))
	tree.Server(ns1).Close()
	var checks atomic.Int32
	a := newAuthority(t, tree, func(o *dns.AuthorityOptions) {
		o.Check = func(netip.Addr) error { checks.Add(1); return nil }
	})
	if _, err := a.Lookup(t.Context(), "example.test", dns.TypeTXT); failureOf(err) != dns.Network {
		t.Error(err)
	}
	if n := checks.Load(); n != 2 {
		t.Errorf("%d checks, want one as it is chosen and one as it is dialed", n)
	}
}

func TestSameAddressIsAskedWhateverTheResolversOrder(t *testing.T) {
	tree := plant(t, example(nil, ns1, ns2))
	one, two := "A "+tree.Address(ns1).String(), "A "+tree.Address(ns2).String()
	for _, records := range [][]string{{one, two}, {two, one}} {
		tree.Resolver.Set(ns1, records...)
		got, err := newAuthority(t, tree).Lookup(t.Context(), "example.test", dns.TypeSOA)
		if err != nil || got.Servers[0].Address != tree.Address(ns1) {
			t.Errorf("%v: %v, %+v", records, err, got)
		}
	}
}

func TestSilentServerIsAskedAgainButNotForever(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"example.test": {"TXT here"}, "_dmarc.example.test": {"TXT too"}}, ns1, ns2))
	tree.Server(ns1).Fault("example.test", dnstest.Drop)
	s := newAuthority(t, tree, within(time.Second, 20*time.Second)).Session()
	if _, err := s.Lookup(t.Context(), "example.test", dns.TypeTXT); err != nil {
		t.Error(err)
	}
	tree.Server(ns1).WaitFor(t, "example.test", "TXT", 2)
	got, err := s.Lookup(t.Context(), "_dmarc.example.test", dns.TypeTXT)
	if err != nil || got.Servers[0].Failure != dns.Timeout || got.Servers[0].Address != tree.Address(ns1) {
		t.Errorf("%v, %+v", err, got)
	}
	if n := asked(tree, ns1); n != 2 {
		t.Errorf("the silent server was asked %d times, want twice in the whole session", n)
	}
}

func TestLookupEndsInTime(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"example.test": {"TXT here"}}, ns1, ns2))
	tree.Server(ns1).Fault("example.test", dnstest.Drop)
	start := time.Now()
	got, err := newAuthority(t, tree, within(time.Hour, 2*time.Second)).Lookup(t.Context(), "example.test", dns.TypeTXT)
	if err != nil {
		t.Errorf("what was said in time is lost: %v", err)
	}
	said(t, got, dns.ServerAnswer{Name: ns1, Failure: dns.Timeout}, dns.ServerAnswer{Name: ns2, Records: []string{"here"}})
	tree.Resolver.Fault("example.test", dnstest.Drop)
	_, err = newAuthority(t, tree, within(time.Hour, 100*time.Millisecond)).Lookup(t.Context(), "example.test", dns.TypeTXT)
	if failureOf(err) != dns.Timeout || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silent resolver: %v", err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestCanceledAuthorityLookupReturnsAndLeavesNothing(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"example.test": {"TXT here"}}, ns1))
	for _, held := range []*dnstest.Server{tree.Server(ns1), tree.Resolver} {
		others := goleak.IgnoreCurrent()
		release := held.Hold("example.test")
		s := newAuthority(t, tree).Session()
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		before := held.Count("example.test", "")
		go func() {
			_, err := s.Lookup(ctx, "example.test", dns.TypeTXT)
			failed <- err
		}()
		held.WaitFor(t, "example.test", "", before+1)
		cancel()
		if err := <-failed; failureOf(err) != dns.Canceled || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		release()
		_ = goleak.Find(others) // waits until what was given up has ended
		if _, err := s.Lookup(t.Context(), "example.test", dns.TypeTXT); err != nil {
			t.Errorf("the cancellation was kept: %v", err)
		}
	}
}
