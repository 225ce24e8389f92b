package verify_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/verify"
)

// ours is the platform of an owner in the DNS.
type ours struct {
	*dnstest.Tree
	checker *verify.PlatformChecker
}

func newOurs(t *testing.T) *ours {
	t.Helper()
	o := &ours{Tree: dnstest.Plant(t,
		dnstest.Zone{Name: ".", Servers: []string{"a.root-servers.test"}},
		dnstest.Zone{Name: "platform.test", Servers: []string{"ns1.platform.test", "ns2.platform.test"}},
		dnstest.Zone{Name: "2.0.192.in-addr.arpa", Servers: []string{"ns.isp.test"}},
	)}
	// No cache, so that each look sees what is there now.
	resolver, err := dns.New(dns.Options{Server: o.Resolver.Addr, CacheBytes: -1, Timeout: time.Second, Tries: 1})
	if err != nil {
		t.Fatal(err)
	}
	authority := dns.NewAuthority(dns.AuthorityOptions{Resolver: resolver, Port: o.Port, ServerTimeout: time.Second})
	o.checker = &verify.PlatformChecker{
		Platform: verify.Platform{
			Domain: "platform.test", From: "platform.test", Hostname: "mx.platform.test",
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")},
			Keys: []verify.Key{
				{Number: 1, Selector: "wp1", Record: "v=DKIM1; k=rsa; p=AAAA"}, {Number: 2, Selector: "wp2", Record: "v=DKIM1; k=rsa; p=BBBB"},
			},
		},
		Replies: true, Source: func() verify.Source { return authority.Session() }, Caches: resolver,
	}
	return o
}

// publish enters everything.
func (o *ours) publish() {
	zone := map[string][]string{"mx.platform.test": {"A 192.0.2.1"}}
	for _, r := range append(verify.Records(o.checker.Platform), verify.Record{Type: "MX", Name: "platform.test", Value: "10 mx.platform.test."}) {
		value := r.Value
		if r.Type == "TXT" {
			value = `"` + value + `"`
		}
		zone[r.Name] = append(zone[r.Name], "60 "+r.Type+" "+value)
	}
	for name, records := range zone {
		o.Set(name, records...)
	}
	o.Set("1.2.0.192.in-addr.arpa", "PTR mx.platform.test.")
	o.Set("2.2.0.192.in-addr.arpa", "PTR other.isp.test.", "PTR mx2.platform.test.")
	o.Set("mx2.platform.test", "A 192.0.2.2")
}

func (o *ours) items(t *testing.T, p verify.Part) []verify.Item {
	t.Helper()
	return slices.DeleteFunc(o.checker.Check(t.Context(), time.Now()).Items, func(i verify.Item) bool { return i.Part != p })
}

func TestThePlatformsRecordsAreRightAsPrinted(t *testing.T) {
	o := newOurs(t)
	before := o.checker.Check(t.Context(), time.Now())
	for _, i := range before.Items {
		if i.Verdict != verify.Missing || len(i.Advice) == 0 {
			t.Errorf("with nothing there: %+v", i)
		}
	}
	o.publish()
	r := o.checker.Check(t.Context(), time.Now())
	for _, i := range r.Items {
		if i.Verdict != verify.OK {
			t.Errorf("%+v", i)
		}
	}
	if !r.Ready() || len(r.Items) != len(verify.Records(o.checker.Platform))+4 { // replies, two names, HELO
		t.Errorf("%d items", len(r.Items))
	}
}

func TestEachFaultOfThePlatformsRecordsIsExplained(t *testing.T) {
	o := newOurs(t)
	for name, tt := range map[string]struct {
		owner   string
		records []string
		part    verify.Part
		verdict verify.Verdict
		code    string
	}{
		"another key":             {"dkim1.platform.test", []string{`TXT "v=DKIM1; k=rsa; p=CCCC"`}, verify.DKIM1, verify.Wrong, "key_wrong"},
		"two keys":                {"dkim2.platform.test", []string{`TXT "v=DKIM1; k=rsa; p=BBBB"`, `TXT "v=DKIM1; k=rsa; p=CCCC"`}, verify.DKIM2, verify.Wrong, "key_wrong"},
		"a selector as text":      {"wp1._domainkey.platform.test", []string{`TXT "v=DKIM1; k=rsa; p=AAAA"`}, verify.Selector1, verify.Missing, "selector_missing"},
		"a selector elsewhere":    {"wp2._domainkey.platform.test", []string{"CNAME dkim1.platform.test."}, verify.Selector2, verify.Wrong, "selector_wrong"},
		"an address missing":      {"spf.platform.test", []string{`TXT "v=spf1 ip4:192.0.2.1 -all"`}, verify.Addresses, verify.Wrong, "spf_not_passing"},
		"no SPF at the return":    {"bounce.platform.test", []string{"MX 10 mx.platform.test."}, verify.ReturnSPF, verify.Missing, "spf_missing"},
		"bounces elsewhere":       {"bounce.platform.test", []string{"MX 10 mx.other.test.", `TXT "v=spf1 include:spf.platform.test -all"`}, verify.ReturnMX, verify.Wrong, "return_mx_wrong"},
		"no replies":              {"platform.test", []string{"MX 0 .", `TXT "v=spf1 include:spf.platform.test -all"`}, verify.ReplyMX, verify.Wrong, "reply_mx_null"},
		"no DMARC":                {"_dmarc.platform.test", nil, verify.DMARCPart, verify.Missing, "dmarc_missing"},
		"no name":                 {"1.2.0.192.in-addr.arpa", nil, verify.ReversePTR, verify.Missing, "ptr_missing"},
		"a name of others":        {"1.2.0.192.in-addr.arpa", []string{"PTR mx2.platform.test."}, verify.ReversePTR, verify.Wrong, "ptr_unconfirmed"},
		"HELO of another machine": {"mx.platform.test", []string{"A 198.51.100.1"}, verify.HELO, verify.Wrong, "helo_wrong"},
		"HELO unknown":            {"mx.platform.test", nil, verify.HELO, verify.Missing, "helo_missing"},
	} {
		o.publish()
		o.Set(tt.owner, tt.records...)
		found := slices.ContainsFunc(o.items(t, tt.part), func(i verify.Item) bool {
			return i.Verdict == tt.verdict && slices.Contains(advised(i), tt.code)
		})
		if !found {
			t.Errorf("%s: %+v", name, o.items(t, tt.part))
		}
	}
}

func TestWhatOthersNeedStaysInTheSPFRecord(t *testing.T) {
	o := newOurs(t)
	o.publish()
	o.Set("platform.test", `TXT "v=spf1 ip4:198.51.100.7 -all"`, "MX 10 mx.platform.test.")
	got := o.items(t, verify.SPFPart)[0]
	if got.Verdict != verify.Wrong || !strings.Contains(got.Record.Value, "198.51.100.7") || !strings.Contains(got.Record.Value, "include:spf.platform.test") {
		t.Errorf("%+v", got)
	}
	// Another way to let the addresses pass will do.
	o.Set("platform.test", `TXT "v=spf1 ip4:192.0.2.0/24 -all"`, "MX 10 mx.platform.test.")
	if got := o.items(t, verify.SPFPart)[0]; got.Verdict != verify.OK {
		t.Errorf("%+v", got)
	}
}

func TestAKeyIsSeenWhenAllServersAndCachesHaveIt(t *testing.T) {
	o := newOurs(t)
	look := func() verify.Sight { return o.checker.Look(t.Context(), o.checker.Platform.Keys[1]) }
	want := func(what string, authoritative, recursive verify.Verdict) {
		t.Helper()
		if got := look(); got.Authoritative != authoritative || got.Recursive != recursive {
			t.Errorf("%s: %+v", what, got)
		}
	}
	want("nothing", verify.Missing, verify.Missing)
	o.publish()
	want("all", verify.OK, verify.OK)
	if ttl := look().TTL; ttl != time.Minute {
		t.Errorf("TTL %s", ttl)
	}
	o.Set("dkim2.platform.test", `TXT "v=DKIM1;k=rsa;" "p=BBBB;"`)
	want("other spaces", verify.OK, verify.OK)
	o.Set("dkim2.platform.test", `700000 TXT "v=DKIM1; k=rsa; p=BBBB"`)
	if ttl := look().TTL; ttl != 7*24*time.Hour {
		t.Errorf("TTL %s", ttl)
	}
	o.Set("dkim2.platform.test", "CNAME keys.platform.test.")
	o.Set("keys.platform.test", `TXT "v=DKIM1; k=rsa; p=BBBB"`)
	want("elsewhere", verify.OK, verify.OK)

	o.publish()
	o.Server("ns2.platform.test").Set("dkim2.platform.test")
	want("one server is behind", verify.Missing, verify.OK)
	o.publish()
	o.Server("ns2.platform.test").Set("dkim2.platform.test", `TXT "v=DKIM1; k=rsa; p=OLD"`)
	want("one server has the one before", verify.Missing, verify.OK)
	o.publish()
	o.Resolver.Set("dkim2.platform.test", `TXT "v=DKIM1; k=rsa; p=OLD"`)
	want("a cache has the one before", verify.OK, verify.Wrong)
	o.Resolver.Remove("dkim2.platform.test")
	o.Set("wp2._domainkey.platform.test")
	want("no selector", verify.Missing, verify.Missing)
	o.publish()
	for _, name := range []string{"ns1.platform.test", "ns2.platform.test"} {
		o.Server(name).Fault("dkim2.platform.test", dnstest.ServFail)
	}
	if got := look(); got.Authoritative != verify.Unknown {
		t.Errorf("no answer: %+v", got)
	}
}
