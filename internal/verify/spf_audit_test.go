package verify_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"blitiri.com.ar/go/spf"
	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/verify"
)

func TestAuditSaysWhatEachTermTakes(t *testing.T) {
	z := internet().with("shop.test", "v=spf1 a ip4:203.0.113.0/24 include:_spf.google.test a:gone.test ptr include:%{i}.x.test redirect=sendgrid.test")
	a := verify.AuditSPF(t.Context(), z, "shop.test", "")
	want := []verify.SPFCost{
		{Term: "a", Lookups: 1},
		{Term: "include:_spf.google.test", Lookups: 4},
		{Term: "a:gone.test", Lookups: 1, Voids: 1},
		{Term: "ptr", Lookups: 1},
		{Term: "include:%{i}.x.test", Lookups: 1},
		{Term: "redirect=sendgrid.test", Lookups: 2},
	}
	if diff := cmp.Diff(want, a.Costs); diff != "" {
		t.Error(diff)
	}
}

func TestAuditSaysWhatToDrop(t *testing.T) {
	for record, want := range map[string]string{
		// Of what is left, the cheapest term that is enough by itself.
		"include:_spf.google.test include:mailgun.test include:sendgrid.test include:spf.protection.outlook.test include:spf.platform.test": "drop include:spf.protection.outlook.test or",
		// Never our own, though it would be enough.
		"include:spf.platform.test include:_spf.google.test include:_spf.yandex.test include:mailgun.test": "drop include:mailgun.test or",
		// First what is of no use, then hosts, which can be written as addresses.
		"include:_spf.google.test include:mailgun.test include:sendgrid.test a:gone.test ptr mx": "remove a:gone.test and ptr (there twice, finding nothing, or ptr): that leaves 10.",
		"include:_spf.google.test include:_spf.yandex.test include:sendgrid.test ptr mx a:gone.test include:mailgun.test": "remove ptr and a:gone.test (there twice, finding nothing, or ptr); " +
			"replace mx by the addresses as ip4: and ip6:; drop include:sendgrid.test or others that nothing sends through any more: that leaves 10.",
		"include:_spf.google.test include:_spf.google.test include:_spf.google.test":         "remove include:_spf.google.test (there twice, finding nothing, or ptr): that leaves 8.",
		"include:_spf.google.test include:mailgun.test include:_spf.yandex.test":             "",
		"include:_spf.google.test include:mailgun.test include:_spf.yandex.test a:%{i}.test": "drop a:%{i}.test or",
	} {
		a := verify.AuditSPF(t.Context(), internet().with("shop.test", "v=spf1 "+record+" -all"), "shop.test", ourInclude)
		text := ""
		for _, advice := range a.Advice {
			if advice.Code == verify.SPFLookups {
				text = advice.Text
			}
		}
		if !strings.Contains(text, want) || (a.Lookups > 10) != (text != "") {
			t.Errorf("%s: %d lookups: %q, want %q", record, a.Lookups, text, want)
		}
	}
}

func TestAuditNamesTheRecordThatIsWrong(t *testing.T) {
	z := internet().with("shop.test", "v=spf1 include:middle.test -all")
	z["middle.test"] = []string{"TXT v=spf1 include:broken.test a:gone.test -all"}
	a := verify.AuditSPF(t.Context(), z, "shop.test", "")
	got := map[verify.AdviceCode]string{}
	for _, advice := range a.Advice {
		got[advice.Code] = advice.Domain + " " + advice.Term
		if !strings.Contains(advice.Text, advice.Domain) {
			t.Errorf("%s is not named: %s", advice.Domain, advice.Text)
		}
	}
	want := map[verify.AdviceCode]string{verify.SPFSyntax: "broken.test ipv4:203.0.113.5", verify.SPFVoid: "middle.test a:gone.test"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAuditTellsMissingFromUnknown(t *testing.T) {
	for name, want := range map[string]verify.Verdict{
		"gone.test": verify.Missing, "other.test": verify.Missing, "down.test": verify.Unknown,
		"broken.test": verify.Wrong, "double.test": verify.Wrong, "sendgrid.test": verify.OK, "not a name": verify.Missing,
	} {
		if a := verify.AuditSPF(t.Context(), internet(), name, ""); a.Verdict != want {
			t.Errorf("%s: %s, want %s", name, a.Verdict, want)
		}
	}
}

// A failure that is certain stays one, whatever else cannot be asked.
func TestAuditIsCertainBesideTrouble(t *testing.T) {
	for _, record := range []string{"include:down.test include:gone.test", "include:gone.test include:down.test", "a:down.test nonsense"} {
		z := internet().with("shop.test", "v=spf1 "+record+" -all")
		if a := verify.AuditSPF(t.Context(), z, "shop.test", ""); a.Verdict != verify.Wrong || strings.Contains(codes(a.Advice), "unknown") {
			t.Errorf("%s: %s, %s", record, a.Verdict, codes(a.Advice))
		}
	}
}

func TestAuditEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a := verify.AuditSPF(ctx, internet().with("shop.test", "v=spf1 a -all"), "shop.test", ""); a.Verdict != verify.Unknown {
		t.Error(a.Verdict)
	}
}

func TestHostileRecordsAreNotFollowedForLong(t *testing.T) {
	many := func(term string) string { return "v=spf1" + strings.Repeat(" "+term, 6000) }
	for name, record := range map[string]string{
		"tree": "v=spf1 include:wide.test a mx -all", "hosts": many("a:gone.test"), "pointers": many("ptr"), "macros": many("include:%{i}.test"),
		"alike": many("include:n1.test"), "nonsense": many("nonsense"), "mx": many("mx:manymx.test"), "open": many("+ip4:0.0.0.0/0"),
		"redirect": many("ptr") + " redirect=wide.test", "two levels": many("include:wide.test"), "after all": "v=spf1 all" + many("a")[6:],
	} {
		r := count(internet().with("shop.test", record))
		r.zones["n1.test"] = []string{"TXT " + many("a:gone.test")}
		a := verify.AuditSPF(t.Context(), r, "shop.test", "")
		if n := r.n.Load(); n > 30 || int(n) != a.Queries {
			t.Errorf("%s: %d questions, said to be %d", name, n, a.Queries)
		}
		if a.Lookups > 100 {
			t.Errorf("%s: %d lookups", name, a.Lookups)
		}
		length := 0
		for _, advice := range a.Advice {
			length += len(advice.Text)
		}
		if len(a.Advice) > 100 || length > 50_000 {
			t.Errorf("%s: %d pieces of advice, %d bytes", name, len(a.Advice), length)
		}
		r.n.Store(0)
		addrs := []netip.Addr{netip.MustParseAddr(ourAddr), netip.MustParseAddr(noAddr), netip.MustParseAddr("2001:db8::99")}
		for _, p := range verify.PassesSPF(t.Context(), r, addrs, "shop.test", "") {
			if p.Explanation == "" {
				t.Errorf("%s: no explanation", name)
			}
		}
		if n := r.n.Load(); n > 150 {
			t.Errorf("%s: %d questions for three addresses", name, n)
		}
	}
}

func TestAuditExpandsWhatIsKnown(t *testing.T) {
	z := zones{
		"a-b.c.shop.test":           {"A 203.0.113.1"},
		"c.shop.test":               {"A 203.0.113.2"},
		"test.shop.c.a-b.x.y":       {"A 203.0.113.3"},
		"a-b.x.y":                   {"A 203.0.113.4"},
		"b.c.shop.test.x.y":         {"A 203.0.113.5"},
		"b.c.shop.test.a.x.y":       {"A 203.0.113.6"},
		"other.a-b.c.shop.test.x.y": {"TXT v=spf1 a:%{o} a:%{d1}.%{o1} mx:%{O} -all", "A 203.0.113.7"},
		"y.test":                    {"A 203.0.113.8"},
	}.with("a-b.c.shop.test", "v=spf1 a:%{d} a:%{D3} a:%{dr}.x.y a:%{d1r}.x.y a:%{d1-}.x.y a:%{d2r-}.x.y include:other.%{d}.x.y -all")
	z["a-b.c.shop.test"] = append(z["a-b.c.shop.test"], "MX 10 mx.test")
	a := verify.AuditSPF(t.Context(), z, "A-b.c.shop.test", "")
	if a.Verdict != verify.OK || !a.Exact || a.Lookups != 10 || a.Voids != 0 {
		t.Errorf("%+v", a)
	}
	if result, _, why := judge(z, noAddr, "a-b.c.shop.test", 10, 0); result != spf.Fail {
		t.Errorf("%s: %v", result, why)
	}
}
