package dns_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/dns/dnstest"
)

const (
	ns1 = "ns1.example.test"
	ns2 = "ns2.example.test"
	ns3 = "ns3.example.test"
)

// plant runs a tree of the root, test and the given zones.
func plant(t *testing.T, zones ...dnstest.Zone) *dnstest.Tree {
	t.Helper()
	return dnstest.Plant(t, append([]dnstest.Zone{
		{Name: ".", Servers: []string{"a.root.test"}},
		{Name: "test", Servers: []string{"ns.nic.test"}},
	}, zones...)...)
}

// example is example.test with the given servers.
func example(records dnstest.Zones, servers ...string) dnstest.Zone {
	return dnstest.Zone{Name: "example.test", Servers: servers, Records: records}
}

// sub is the zone of a name, with one server in it.
func sub(name string, records dnstest.Zones) dnstest.Zone {
	return dnstest.Zone{Name: name, Servers: []string{"ns." + name}, Records: records}
}

func newAuthority(t *testing.T, tree *dnstest.Tree, change ...func(*dns.AuthorityOptions)) *dns.Authority {
	t.Helper()
	o := dns.AuthorityOptions{Resolver: newClient(t, dns.Options{Server: tree.Resolver.Addr}), Port: tree.Port}
	for _, f := range change {
		f(&o)
	}
	return dns.NewAuthority(o)
}

func within(server, whole time.Duration) func(*dns.AuthorityOptions) {
	return func(o *dns.AuthorityOptions) { o.ServerTimeout, o.Timeout = server, whole }
}

// said compares what servers said, by name, leaving out addresses and texts.
func said(t *testing.T, got dns.Authoritative, want ...dns.ServerAnswer) {
	t.Helper()
	if diff := cmp.Diff(want, got.Servers, cmpopts.IgnoreFields(dns.ServerAnswer{}, "Address", "Text")); diff != "" {
		t.Errorf("servers of %s %s (-want +got):\n%s", got.Name, got.Type, diff)
	}
	for _, s := range got.Servers {
		if (s.Text == "") != (s.Failure == "") {
			t.Errorf("%s: failure %q, text %q", s.Name, s.Failure, s.Text)
		}
	}
}

func failureOf(err error) dns.Failure {
	if e, ok := errors.AsType[*dns.Error](err); ok {
		return e.Failure
	}
	return ""
}

// asked is how many questions reached the authoritative servers named.
func asked(tree *dnstest.Tree, servers ...string) int {
	n := 0
	for _, name := range servers {
		n += tree.Server(name).Count("", "")
	}
	return n
}

func TestFreshRecordShowsWhileTheResolverStillSaysNo(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"_waypost.example.test": {`60 TXT "proof"`}}, ns1, ns2))
	tree.Resolver.Set("_waypost.example.test")
	client := newClient(t, dns.Options{Server: tree.Resolver.Addr})
	if _, err := client.LookupTXT(t.Context(), "_waypost.example.test"); !dns.IsNotFound(err) {
		t.Fatalf("the resolver has it already: %v", err)
	}
	got, err := newAuthority(t, tree).Lookup(t.Context(), "_Waypost.Example.Test.", dns.TypeTXT)
	if err != nil {
		t.Fatal(err)
	}
	want := dns.Authoritative{
		Name: "_waypost.example.test", Type: dns.TypeTXT, Zone: "example.test", Records: []string{"proof"}, TTL: time.Minute,
		Servers: []dns.ServerAnswer{
			{Name: ns1, Address: tree.Address(ns1), Records: []string{"proof"}},
			{Name: ns2, Address: tree.Address(ns2), Records: []string{"proof"}},
		},
	}
	if diff := cmp.Diff(want, got, compareAddr()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLookupGivesRecordsOfEachType(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{
		"example.test": {
			`TXT "v=spf1 " "-all"`, `TXT "quote \" byte \195\188"`, `TXT "v=spf1 " "-all"`,
			"MX 20 MX2.example.test", "MX 10 mx.example.test", "A 192.0.2.2", "A 192.0.2.1", "AAAA 2001:db8::1",
		},
		"alias.example.test": {"CNAME Target.Other.test"},
	}, ns1))
	a := newAuthority(t, tree)
	for _, tt := range []struct {
		name string
		t    dns.Type
		want []string
	}{
		{"example.test", dns.TypeTXT, []string{`quote " byte ü`, "v=spf1 -all"}},
		{"example.test", dns.TypeMX, []string{"10 mx.example.test", "20 mx2.example.test"}},
		{"example.test", dns.TypeA, []string{"192.0.2.1", "192.0.2.2"}},
		{"example.test", dns.TypeAAAA, []string{"2001:db8::1"}},
		{"example.test", dns.TypeNS, []string{ns1}},
		{"example.test", dns.TypeSOA, []string{"ns.invalid hostmaster.invalid 1 3600 600 86400 60"}},
		{"alias.example.test", dns.TypeCNAME, []string{"target.other.test"}},
	} {
		got, err := a.Lookup(t.Context(), tt.name, tt.t)
		if diff := cmp.Diff(tt.want, got.Records); diff != "" || err != nil || got.CNAME != "" || got.Zone != "example.test" {
			t.Errorf("%s %s: %v in %q (-want +got):\n%s", tt.name, tt.t, err, got.Zone, diff)
		}
	}
}

func TestServersAreAskedDirectly(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"example.test": {"TXT here"}}, ns1))
	if _, err := newAuthority(t, tree).Lookup(t.Context(), "example.test", dns.TypeTXT); err != nil {
		t.Fatal(err)
	}
	want := []dnstest.Query{{Name: "example.test", Type: "TXT", Net: "udp", EDNS: true, Direct: true}}
	if diff := cmp.Diff(want, tree.Server(ns1).Queries()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want = []dnstest.Query{
		{Name: "example.test", Type: "SOA", Net: "udp", EDNS: true},
		{Name: "example.test", Type: "NS", Net: "udp", EDNS: true},
		{Name: ns1, Type: "A", Net: "udp", EDNS: true},
	}
	if diff := cmp.Diff(want, tree.Resolver.Queries()); diff != "" {
		t.Errorf("resolver (-want +got):\n%s", diff)
	}
}

func TestServerThatLagsBehindIsTold(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"new.example.test": {"TXT proof"}}, ns1, ns2, ns3))
	tree.Server(ns2).Remove("new.example.test")
	tree.Server(ns3).Set("new.example.test", "A 192.0.2.1")
	got, err := newAuthority(t, tree).Lookup(t.Context(), "new.example.test", dns.TypeTXT)
	if err != nil || !got.Disagree || !slices.Equal(got.Records, []string{"proof"}) {
		t.Errorf("%v, %+v", err, got)
	}
	said(t, got,
		dns.ServerAnswer{Name: ns1, Records: []string{"proof"}},
		dns.ServerAnswer{Name: ns2, Failure: dns.NXDomain},
		dns.ServerAnswer{Name: ns3, Failure: dns.NoData})
}

func TestWhatHoldsWhenServersDisagree(t *testing.T) {
	for name, tt := range map[string]struct {
		records  [3]string // of ns1, ns2 and ns3; "": none, "-": no such name
		want     string
		failure  dns.Failure
		disagree bool
	}{
		"all agree":                       {[3]string{"a", "a", "a"}, "a", "", false},
		"most have the new one":           {[3]string{"old", "new", "new"}, "new", "", true},
		"a record counts more than none":  {[3]string{"-", "", "new"}, "new", "", true},
		"all have another":                {[3]string{"c", "b", "a"}, "c", "", true},
		"the name exists for one of them": {[3]string{"-", "", "-"}, "", dns.NoData, false},
		"none has the name":               {[3]string{"-", "-", "-"}, "", dns.NXDomain, false},
	} {
		t.Run(name, func(t *testing.T) {
			tree := plant(t, example(nil, ns1, ns2, ns3))
			for i, server := range []string{ns1, ns2, ns3} {
				switch text := tt.records[i]; text {
				case "-":
				case "":
					tree.Server(server).Set("x.example.test", "A 192.0.2.1")
				default:
					tree.Server(server).Set("x.example.test", "TXT "+text)
				}
			}
			got, err := newAuthority(t, tree).Lookup(t.Context(), "x.example.test", dns.TypeTXT)
			if strings.Join(got.Records, ",") != tt.want || failureOf(err) != tt.failure || got.Disagree != tt.disagree {
				t.Errorf("%q, %v, disagree %v", got.Records, err, got.Disagree)
			}
		})
	}
}

func TestNameWithoutRecordIsNotFound(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"a.b.example.test": {"TXT x"}}, ns1))
	a := newAuthority(t, tree)
	for name, want := range map[string]struct {
		failure dns.Failure
		zone    string
	}{
		"example.test":                       {dns.NoData, "example.test"},
		"b.example.test":                     {dns.NoData, "example.test"}, // an empty non-terminal
		"gone.example.test":                  {dns.NXDomain, "example.test"},
		"deep.down.gone.example.test":        {dns.NXDomain, "example.test"},
		"_dmarc.unregistered.test":           {dns.NXDomain, "test"},
		"wp1._domainkey.no-such-tld":         {dns.NXDomain, "."},
		"no name.test":                       {dns.BadName, ""},
		strings.Repeat("a", 64) + ".test":    {dns.BadName, ""},
		strings.Repeat("x.", 100) + "x.test": {dns.NXDomain, "test"},
	} {
		got, err := a.Lookup(t.Context(), name, dns.TypeMX)
		if failureOf(err) != want.failure || dns.IsTemporary(err) || got.Zone != want.zone || got.Records != nil {
			t.Errorf("%s: %v in %q, want %s in %q", name, err, got.Zone, want.failure, want.zone)
		}
	}
}

func TestZoneOfTheOwnerIsAskedNotOfTheTarget(t *testing.T) {
	tree := plant(t,
		example(dnstest.Zones{"target.example.test": {"TXT target"}}, ns1),
		sub("sub.example.test", dnstest.Zones{
			"up.sub.example.test":   {"CNAME target.example.test"},
			"out.sub.example.test":  {"CNAME other.test"},
			"gone.sub.example.test": {"CNAME nowhere.example.test"},
			"x.up.sub.example.test": {"CNAME target.example.test"}, // below an alias
		}),
		sub("other.test", dnstest.Zones{"other.test": {"TXT other"}}),
	)
	a := newAuthority(t, tree)
	for name, target := range map[string]string{
		"up.sub.example.test":   "target.example.test",
		"out.sub.example.test":  "other.test",
		"gone.sub.example.test": "nowhere.example.test",
		"x.up.sub.example.test": "target.example.test",
	} {
		got, err := a.Lookup(t.Context(), name, dns.TypeTXT)
		if err != nil || got.Zone != "sub.example.test" || got.CNAME != target || got.Records != nil {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
		got, err = a.Lookup(t.Context(), name, dns.TypeCNAME)
		if err != nil || got.CNAME != "" || !slices.Equal(got.Records, []string{target}) {
			t.Errorf("CNAME of %s: %v, %+v", name, err, got)
		}
	}
	if n := asked(tree, ns1, "ns.other.test"); n != 0 {
		t.Errorf("%d questions went to the targets' zones", n)
	}
}

func TestDelegationTheResolverDoesNotKnowIsFollowed(t *testing.T) {
	hidden := func(name string, records dnstest.Zones) dnstest.Zone {
		z := sub(name, records)
		z.Hidden = true
		return z
	}
	tree := plant(t,
		hidden("fresh.test", dnstest.Zones{"fresh.test": {"TXT one"}}),
		hidden("b.fresh.test", dnstest.Zones{"x.b.fresh.test": {"TXT two"}}),
		hidden("c.b.fresh.test", dnstest.Zones{"x.c.b.fresh.test": {"TXT three"}}),
	)
	a := newAuthority(t, tree)
	for name, want := range map[string]struct{ zone, record string }{
		"fresh.test":     {"fresh.test", "one"},
		"x.b.fresh.test": {"b.fresh.test", "two"},
	} {
		got, err := a.Lookup(t.Context(), name, dns.TypeTXT)
		if err != nil || got.Zone != want.zone || !slices.Equal(got.Records, []string{want.record}) {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
	}
	// The servers are in their own zones, which the resolver denies: it was the glue
	// that led there.
	if n := tree.Resolver.Count("ns.fresh.test", ""); n != 0 {
		t.Errorf("the resolver was asked for a server with glue")
	}
	got, err := a.Lookup(t.Context(), "x.c.b.fresh.test", dns.TypeTXT)
	if failureOf(err) != dns.Lame || !dns.IsTemporary(err) {
		t.Errorf("a third referral: %v, %+v", err, got)
	}
	// Within a session the way is known.
	s := a.Session()
	for _, name := range []string{"fresh.test", "a.fresh.test", "b.c.fresh.test"} {
		before := asked(tree, "ns.nic.test")
		if got, err := s.Lookup(t.Context(), name, dns.TypeTXT); dns.IsTemporary(err) || got.Zone != "fresh.test" {
			t.Errorf("%s: %v in %q", name, err, got.Zone)
		}
		if n := asked(tree, "ns.nic.test") - before; name != "fresh.test" && n != 0 {
			t.Errorf("%s: the parent's server was asked again", name)
		}
	}
}

func TestServerOfTheParentThatLagsBehindIsTold(t *testing.T) {
	tree := plant(t, example(nil, ns1, ns2), dnstest.Zone{
		Name: "fresh.example.test", Servers: []string{"ns.other.test"}, Records: dnstest.Zones{"fresh.example.test": {"TXT here"}}, Hidden: true,
	})
	tree.Server(ns2).Forget("fresh.example.test")
	got, err := newAuthority(t, tree).Lookup(t.Context(), "fresh.example.test", dns.TypeTXT)
	if err != nil || got.Zone != "fresh.example.test" || !slices.Equal(got.Records, []string{"here"}) || !got.Disagree {
		t.Errorf("%v, %+v", err, got)
	}
	said(t, got,
		dns.ServerAnswer{Name: "ns.other.test", Records: []string{"here"}},
		dns.ServerAnswer{Name: ns2, Failure: dns.NXDomain})
}

func TestGlueForForeignNamesIsNotUsed(t *testing.T) {
	tree := plant(t,
		example(dnstest.Zones{"sub.example.test": {"NS ns.victim.test"}}, ns1),
		sub("victim.test", nil), sub("decoy.test", nil),
	)
	tree.Server("ns.victim.test").Set("victim.test", "TXT x")
	tree.Server(ns1).Set("ns.victim.test", "A "+tree.Address("ns.decoy.test").String())
	_, err := newAuthority(t, tree).Lookup(t.Context(), "sub.example.test", dns.TypeTXT)
	if failureOf(err) != dns.Refused {
		t.Errorf("got %v, want a refusal: the server has another zone", err)
	}
	if asked(tree, "ns.decoy.test") != 0 || asked(tree, "ns.victim.test") != 1 {
		t.Error("the glue of a zone was believed about a name outside of it")
	}
}

func TestReferralIntoNowhereDoesNotHideAnAnswer(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"x.example.test": {"TXT here"}}, ns1, ns2))
	tree.Server(ns1).Set("x.example.test", "NS ns.nowhere.test")
	got, err := newAuthority(t, tree).Lookup(t.Context(), "x.example.test", dns.TypeTXT)
	if err != nil || !slices.Equal(got.Records, []string{"here"}) || got.Zone != "example.test" {
		t.Errorf("%v, %+v", err, got)
	}
	said(t, got, dns.ServerAnswer{Name: ns1, Failure: dns.Lame}, dns.ServerAnswer{Name: ns2, Records: []string{"here"}})
	if !strings.Contains(got.Servers[0].Text, "x.example.test") {
		t.Errorf("text %q does not say where it refers to", got.Servers[0].Text)
	}
}

func TestZoneIsFoundThroughPoorResolvers(t *testing.T) {
	for name, spoil := range map[string]func(*dnstest.Server){
		"fails for the name":       func(r *dnstest.Server) { r.Fault("wp1._domainkey.example.test", dnstest.ServFail) },
		"refuses SOA for the name": func(r *dnstest.Server) { r.FaultType("wp1._domainkey.example.test", "SOA", dnstest.Refuse) },
		"gives no SOA with NODATA": func(r *dnstest.Server) { r.SetNegativeTTL(-1) },
		"has no NS of the zone":    func(r *dnstest.Server) { r.FaultType("example.test", "NS", dnstest.Empty) },
		"fails for NS of the zone": func(r *dnstest.Server) { r.FaultType("example.test", "NS", dnstest.ServFail) },
	} {
		t.Run(name, func(t *testing.T) {
			tree := plant(t, example(dnstest.Zones{"wp1._domainkey.example.test": {"TXT key"}}, ns1))
			spoil(tree.Resolver)
			got, err := newAuthority(t, tree).Lookup(t.Context(), "wp1._domainkey.example.test", dns.TypeTXT)
			if err != nil || got.Zone != "example.test" || !slices.Equal(got.Records, []string{"key"}) {
				t.Errorf("%v, %+v", err, got)
			}
		})
	}
}

func TestZoneThatIsNotFoundIsTemporary(t *testing.T) {
	tree := plant(t, example(nil, ns1))
	for _, zone := range []string{"example.test", "test", "."} {
		tree.Resolver.FaultType(zone, "NS", dnstest.Empty)
	}
	a := newAuthority(t, tree)
	if got, err := a.Lookup(t.Context(), "x.example.test", dns.TypeTXT); failureOf(err) != dns.NoZone || !dns.IsTemporary(err) || got.Zone != "" {
		t.Errorf("no servers: %v, %+v", err, got)
	}
	tree.Resolver.SetNegativeTTL(-1)
	long := "l.o.n.g.n.a.m.e.x.example.test"
	if _, err := a.Lookup(t.Context(), long, dns.TypeTXT); failureOf(err) != dns.NoZone {
		t.Errorf("a long name and no SOA: %v", err)
	}
	if n := tree.Resolver.Count("", "SOA"); n > 5+8 {
		t.Errorf("%d questions for SOA", n)
	}
	tree.Resolver.Close()
	_, err := a.Lookup(t.Context(), "x.example.test", dns.TypeTXT)
	var e *dns.Error
	if !errors.As(err, &e) || e.Failure != dns.Network || e.Type != "TXT" || e.Name != "x.example.test" {
		t.Errorf("no resolver: %v", err)
	}
}

func TestAliasAtTheApexIsTold(t *testing.T) {
	tree := plant(t,
		example(dnstest.Zones{"example.test": {"CNAME other.test"}, "_dmarc.example.test": {"TXT policy"}}, ns1),
		sub("other.test", dnstest.Zones{"other.test": {"TXT other"}}))
	a := newAuthority(t, tree)
	got, err := a.Lookup(t.Context(), "example.test", dns.TypeTXT)
	if err != nil || got.Zone != "example.test" || got.CNAME != "other.test" {
		t.Errorf("%v, %+v", err, got)
	}
	got, err = a.Lookup(t.Context(), "_dmarc.example.test", dns.TypeTXT)
	if err != nil || got.Zone != "example.test" || !slices.Equal(got.Records, []string{"policy"}) {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestRecordBesideAnAliasCounts(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"x.example.test": {"CNAME other.test", "TXT own"}}, ns1))
	got, err := newAuthority(t, tree).Lookup(t.Context(), "x.example.test", dns.TypeTXT)
	if err != nil || got.CNAME != "" || !slices.Equal(got.Records, []string{"own"}) {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestWildcardAnswersForTheName(t *testing.T) {
	tree := plant(t, example(dnstest.Zones{"*.example.test": {"TXT any"}, "there.example.test": {"A 192.0.2.1"}}, ns1))
	a := newAuthority(t, tree)
	for name, want := range map[string]string{"x.example.test": "any", "a.b.example.test": "any", "there.example.test": ""} {
		got, err := a.Lookup(t.Context(), name, dns.TypeTXT)
		if strings.Join(got.Records, "") != want || dns.IsNotFound(err) != (want == "") || got.Zone != "example.test" {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
	}
}

func TestServerOfParentAndChildAnswersForTheChild(t *testing.T) {
	shared := []string{"ns.shared.test"}
	tree := plant(t,
		dnstest.Zone{Name: "example.test", Servers: shared},
		dnstest.Zone{Name: "sub.example.test", Servers: shared, Records: dnstest.Zones{"sub.example.test": {"TXT child"}}, Hidden: true})
	got, err := newAuthority(t, tree).Lookup(t.Context(), "sub.example.test", dns.TypeTXT)
	if err != nil || !slices.Equal(got.Records, []string{"child"}) {
		t.Errorf("%v, %+v", err, got)
	}
}
