package verify_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/verify"
)

func passing(t *testing.T, r dns.Resolver, domain string, addrs ...string) []verify.SPFResult {
	t.Helper()
	var list []netip.Addr
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	var results []verify.SPFResult
	for i, p := range verify.PassesSPF(t.Context(), r, list, domain, "") {
		if p.Addr != list[i] || p.Explanation == "" {
			t.Errorf("%+v", p)
		}
		results = append(results, p.Result)
	}
	return results
}

func TestPassesSPFJudgesEachAddress(t *testing.T) {
	z := internet().with("shop.test", "v=spf1 ~ip4:198.51.100.0/24 ?ip4:198.51.101.0/24 include:spf.platform.test -all")
	got := passing(t, z, "Shop.test", ourAddr, "::ffff:192.0.2.10", "2001:db8::10", "192.0.2.11", noAddr, "198.51.101.1")
	want := []verify.SPFResult{verify.SPFPass, verify.SPFPass, verify.SPFPass, verify.SPFFail, verify.SPFSoftFail, verify.SPFNeutral}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := passing(t, z, "gone.test", ourAddr); got[0] != verify.SPFNoResult {
		t.Error(got)
	}
	if got := passing(t, z, "double.test", ourAddr); got[0] != verify.SPFBroken {
		t.Error(got)
	}
}

func TestPassesSPFExpandsTheSender(t *testing.T) {
	z := zones{"shop.test": {"TXT v=spf1 exists:%{l}.%{o}.%{d}.test -all"}, "jane.shop.test.shop.test.test": {"A 127.0.0.2"}}
	addrs := []netip.Addr{netip.MustParseAddr(ourAddr)}
	for sender, want := range map[string]verify.SPFResult{
		"jane@elsewhere.test": verify.SPFPass, "john@shop.test": verify.SPFFail, "": verify.SPFFail, "@shop.test": verify.SPFFail,
	} {
		if got := verify.PassesSPF(t.Context(), z, addrs, "shop.test", sender)[0]; got.Result != want {
			t.Errorf("%s: %+v", sender, got)
		}
	}
}

// Some receivers find a fault only when they come to it, others at once.
func TestPassesSPFDoesNotPassRecordsWithFaults(t *testing.T) {
	for _, record := range []string{"v=spf1 include:spf.platform.test nonsense -all", "v=spf1 include:spf.platform.test -all nonsense"} {
		if got := passing(t, internet().with("shop.test", record), "shop.test", ourAddr); got[0] != verify.SPFBroken {
			t.Errorf("%s: %s", record, got)
		}
	}
}

func TestTroubleIsNeverAFailure(t *testing.T) {
	for _, record := range []string{"include:down.test -all", "a:down.test -all", "mx:down.test -all", "mx:half.test -all", "exists:down.test -all", "redirect=down.test", "ptr -all"} {
		z := internet().with("shop.test", "v=spf1 "+record)
		z["half.test"] = []string{"MX 10 gone.test", "MX 20 down.test"}
		if got := passing(t, z, "shop.test", ourAddr); got[0] != verify.SPFUnsure {
			t.Errorf("%s: %s", record, got)
		}
		z = z.with("good.test", "v=spf1 include:spf.platform.test "+record)
		if got := passing(t, z, "good.test", ourAddr, noAddr); !slices.Equal(got, []verify.SPFResult{verify.SPFPass, verify.SPFUnsure}) {
			t.Errorf("%s: trouble of one address is another's: %s", record, got)
		}
	}
	if got := passing(t, internet(), "down.test", ourAddr); got[0] != verify.SPFUnsure {
		t.Error(got)
	}
}

func TestTroubleOfOneAddressIsNotAnothers(t *testing.T) {
	z := internet().with("shop.test", "v=spf1 -ip4:198.51.101.1 a:down.test -all")
	want := []verify.SPFResult{verify.SPFUnsure, verify.SPFFail}
	if got := passing(t, z, "shop.test", noAddr, "198.51.101.1"); !slices.Equal(got, want) {
		t.Error(got)
	}
}

// What is not asked any more is not known.
func TestManyAddressesDoNotAskWithoutEnd(t *testing.T) {
	z := internet().with("shop.test", "v=spf1"+strings.Repeat(" exists:%{i}.n1.test", 2)+" exists:%{ir}.n1.test -all")
	r := count(z)
	var addrs []string
	for i := range 100 {
		addrs = append(addrs, fmt.Sprintf("198.51.100.%d", i))
		z[addrs[i]+".n1.test"] = []string{"AAAA 2001:db8::1"}
	}
	got := passing(t, r, "shop.test", addrs...)
	if n := r.n.Load(); n != 150 || got[0] != verify.SPFFail || got[99] != verify.SPFUnsure {
		t.Errorf("%d questions, %s", n, got)
	}
}

// odd answers as no resolver of ours would.
type odd struct{ zones }

func (odd) LookupIP(context.Context, string) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{}, errors.New("out of order")
}

func TestErrorsOfUnknownKindAreTrouble(t *testing.T) {
	r := odd{internet().with("shop.test", "v=spf1 a -all")}
	if got := passing(t, r, "shop.test", ourAddr); got[0] != verify.SPFUnsure {
		t.Error(got)
	}
	if a := verify.AuditSPF(t.Context(), r, "shop.test", ""); a.Verdict != verify.Unknown {
		t.Error(a.Verdict)
	}
}

func TestEachQuestionIsAskedOnce(t *testing.T) {
	r := count(internet().with("shop.test", "v=spf1 a mx include:spf.platform.test -all"))
	passing(t, r, "shop.test", noAddr, "198.51.100.98", "198.51.100.97")
	if n := r.n.Load(); n != 5 { // record, a, mx, its host, our record
		t.Errorf("%d questions", n)
	}
}

func TestWithTXTReplacesOneName(t *testing.T) {
	r := verify.WithTXT(internet(), "Shop.test.", "v=spf1 -all", "hello")
	for name, want := range map[string][]string{"shop.test": {"v=spf1 -all", "hello"}, "SHOP.TEST.": {"v=spf1 -all", "hello"}, "open.test": {"v=spf1 +all"}} {
		if got, err := r.LookupTXT(t.Context(), name); err != nil || !slices.Equal(got.Records, want) {
			t.Errorf("%s: %q, %v", name, got.Records, err)
		}
	}
	if got, err := r.LookupMX(t.Context(), "shop.test"); err != nil || len(got.Records) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := verify.WithTXT(r, "shop.test").LookupTXT(t.Context(), "shop.test"); !dns.IsNotFound(err) {
		t.Errorf("no records are %v", err)
	}
}

// The same over the wire: split strings, CNAMEs, servers that fail.
func TestSPFOverRealDNS(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{
		"shop.test":         {"MX 10 mail.shop.test", `TXT "v=spf1 mx a:old.shop" ".test inclu" "de:spf.vendor.test -all"`, `TXT "other"`},
		"mail.shop.test":    {"A 203.0.113.2"},
		"spf.vendor.test":   {"CNAME spf.cdn.test"},
		"spf.cdn.test":      {`TXT "v=spf1 ip4:203.0.113.77 -all"`},
		"spf.platform.test": {`TXT "v=spf1 ip4:192.0.2.10 -all"`},
	})
	r, err := dns.New(dns.Options{Server: srv.Addr, CacheBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	addrs := []netip.Addr{netip.MustParseAddr(ourAddr)}
	v := verify.ReviewSPF(t.Context(), r, "shop.test", ourInclude, addrs)
	if v.Merged.Record != "v=spf1 mx a:old.shop.test include:spf.vendor.test include:spf.platform.test -all" || v.Verdict != verify.Wrong {
		t.Errorf("%s: %q", v.Verdict, v.Merged.Record)
	}
	if v.Audit.Verdict != verify.OK || v.Audit.Lookups != 4 || v.Audit.Voids != 1 || v.Passing[0].Result != verify.SPFPass {
		t.Errorf("%+v, %+v", v.Audit, v.Passing)
	}
	srv.Set("shop.test", "TXT "+fmt.Sprintf("%q", v.Merged.Record))
	if v := verify.ReviewSPF(t.Context(), r, "shop.test", ourInclude, addrs); v.Verdict != verify.OK || v.Merged.Changed {
		t.Errorf("published: %s, %+v", v.Verdict, v.Merged)
	}
	srv.Fault("spf.cdn.test", dnstest.ServFail)
	srv.Fault("spf.vendor.test", dnstest.ServFail)
	if v := verify.ReviewSPF(t.Context(), r, "shop.test", ourInclude, addrs); v.Verdict != verify.Unknown || v.Passing[0].Result != verify.SPFUnsure {
		t.Errorf("an include fails: %s, %+v", v.Verdict, v.Passing)
	}
	srv.Fault("shop.test", dnstest.ServFail)
	if v := verify.ReviewSPF(t.Context(), r, "shop.test", ourInclude, addrs); v.Verdict != verify.Unknown || v.Merged.Record != "" {
		t.Errorf("the domain fails: %s, %+v", v.Verdict, v.Merged)
	}
}
