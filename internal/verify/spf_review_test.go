package verify_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"blitiri.com.ar/go/spf"
	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/verify"
)

func review(t *testing.T, z zones, domain string, addrs ...string) verify.SPFReview {
	t.Helper()
	var list []netip.Addr
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	v := verify.ReviewSPF(t.Context(), z, domain, ourInclude, list)
	rank := map[verify.AdviceLevel]int{verify.AdviceError: 0, verify.AdviceWarning: 1, verify.AdviceNote: 2}
	if !slices.IsSortedFunc(v.Advice, func(a, b verify.Advice) int { return rank[a.Level] - rank[b.Level] }) {
		t.Errorf("errors do not come first: %v", v.Advice)
	}
	for i, a := range v.Advice {
		if slices.Contains(v.Advice[:i], a) {
			t.Errorf("said twice: %v", a)
		}
	}
	return v
}

func TestReviewGivesAVerdict(t *testing.T) {
	tooMany := "include:_spf.google.test include:_spf.yandex.test include:mailgun.test"
	for _, tt := range []struct {
		name    string
		record  string // of shop.test, "" for none
		addrs   []string
		verdict verify.Verdict
		codes   string
	}{
		{"nothing there", "", []string{ourAddr}, verify.Missing, "all_blocks missing"},
		{"not included", "v=spf1 mx -all", []string{ourAddr}, verify.Wrong, "include_missing"},
		{"included", "v=spf1 mx include:spf.platform.test -all", []string{ourAddr, "2001:db8::10"}, verify.OK, ""},
		{"included, softly", "v=spf1 mx include:spf.platform.test ~all", []string{ourAddr}, verify.OK, "all_soft"},
		{"open to everyone, us too", "v=spf1 +all", []string{ourAddr}, verify.Wrong, "allows_all include_missing"},
		{"one address is not listed", "v=spf1 include:spf.platform.test -all", []string{ourAddr, "192.0.2.11"}, verify.Wrong, "not_listed"},
		{"a term before ours decides", "v=spf1 -ip4:192.0.2.0/24 include:spf.platform.test -all", []string{ourAddr}, verify.Wrong, "blocked"},
		{"too many before ours", "v=spf1 " + tooMany + " include:spf.platform.test -all", []string{ourAddr}, verify.Wrong, "lookups permerror"},
		{"too many after ours", "v=spf1 include:spf.platform.test " + tooMany + " -all", []string{ourAddr}, verify.OK, "lookups"},
		{"too many after ours, no address to judge by", "v=spf1 include:spf.platform.test " + tooMany + " -all", nil, verify.Wrong, "lookups"},
		{"no address to judge by", "v=spf1 include:spf.platform.test -all", nil, verify.OK, ""},
		{"trouble before ours", "v=spf1 include:down.test include:spf.platform.test -all", []string{ourAddr}, verify.Unknown, "unknown"},
		{"trouble after ours", "v=spf1 include:spf.platform.test include:down.test -all", []string{ourAddr}, verify.OK, "unknown"},
		{"trouble, and not included", "v=spf1 include:down.test -all", []string{ourAddr}, verify.Wrong, "include_missing unknown"},
		{"a fault", "v=spf1 include:spf.platform.test -all ip4:1.2.3", []string{ourAddr}, verify.Wrong, "permerror syntax"},
		{"pointers", "v=spf1 ptr include:spf.platform.test -all", []string{ourAddr}, verify.OK, "ptr"},
	} {
		z := internet().with("")
		if tt.record != "" {
			z = z.with("shop.test", tt.record)
		}
		v := review(t, z, "shop.test", tt.addrs...)
		got := slices.DeleteFunc(strings.Fields(codes(v.Advice)), func(c string) bool { return c == "after_all" })
		if v.Verdict != tt.verdict || strings.Join(got, " ") != tt.codes {
			t.Errorf("%s: %s with %q, want %s with %q", tt.name, v.Verdict, got, tt.verdict, tt.codes)
		}
		if len(v.Passing) != len(tt.addrs) {
			t.Errorf("%s: %d addresses judged", tt.name, len(v.Passing))
		}
	}
}

// What could not be read must not be overwritten.
func TestReviewProposesNothingWhenTheRecordCannotBeRead(t *testing.T) {
	v := review(t, internet(), "down.test", ourAddr)
	if v.Verdict != verify.Unknown || v.Merged.Record != "" || len(v.Advice) != 1 {
		t.Errorf("%+v", v)
	}
}

func TestReviewShowsWhatIsThere(t *testing.T) {
	v := review(t, internet().with("shop.test", "hello", "v=spf1 a -all", `"v=spf1 mx -all"`), "shop.test", ourAddr)
	if diff := cmp.Diff([]string{"v=spf1 a -all", `"v=spf1 mx -all"`}, v.Found); diff != "" {
		t.Error(diff)
	}
}

func TestFirstRecordWarnsOfOtherSenders(t *testing.T) {
	for _, tt := range []struct {
		records []string
		want    bool
	}{
		{[]string{"MX 10 mail.shop.test"}, true},
		{[]string{"A 203.0.113.1"}, false},
		{[]string{"MX 0 ."}, false},
		{nil, false},
		{[]string{"MX 10 mail.shop.test", "TXT v=spf1 mx -all"}, false},
		{[]string{"MX 10 mail.shop.test", "TXT \"v=spf1 mx -all\""}, false},
	} {
		z := internet().with("")
		z["first.test"] = tt.records
		if tt.records == nil {
			delete(z, "first.test")
		}
		if got := strings.Contains(codes(review(t, z, "first.test", ourAddr).Advice), "all_blocks"); got != tt.want {
			t.Errorf("%q: %v", tt.records, got)
		}
	}
}

// noMX cannot find MX records just now.
type noMX struct{ zones }

func (noMX) LookupMX(context.Context, string) (dns.Answer[dns.MX], error) {
	return dns.Answer[dns.MX]{}, &dns.Error{Failure: dns.Timeout}
}

func TestFirstRecordWarnsWhenMXCannotBeRead(t *testing.T) {
	v := verify.ReviewSPF(t.Context(), noMX{internet().with("first.test", "hello")}, "first.test", ourInclude, nil)
	if !strings.Contains(codes(v.Advice), "all_blocks") {
		t.Error(v.Advice)
	}
}

func TestIncludeInFrontPassesWhileTheRestIsTooMuch(t *testing.T) {
	z := internet().with("shop.test", "v=spf1 include:twelve.test -all")
	v := review(t, z, "shop.test", ourAddr)
	const front = "v=spf1 include:spf.platform.test include:twelve.test -all"
	if !slices.ContainsFunc(v.Advice, func(a verify.Advice) bool {
		return a.Code == verify.SPFPermError && strings.Contains(a.Text, front)
	}) {
		t.Error(v.Advice)
	}
	z = internet().with("shop.test", front)
	if result, _, _ := judge(z, ourAddr, "shop.test", 10, 2); result != spf.Pass {
		t.Error(result)
	}
	if v := review(t, z, "shop.test", ourAddr); v.Verdict != verify.OK || v.Merged.Changed {
		t.Errorf("%s: %+v", v.Verdict, v.Merged)
	}
}

func TestMissingPlatformRecordIsThePlatformsToMend(t *testing.T) {
	z := internet().with("shop.test", "v=spf1 include:spf.platform.test -all")
	delete(z, ourInclude)
	v := review(t, z, "shop.test", ourAddr)
	if v.Verdict != verify.Wrong || !strings.Contains(v.Advice[0].Text, "the platform's to publish") {
		t.Errorf("%s: %v", v.Verdict, v.Advice)
	}
}

func TestInternationalDomainsAreReviewed(t *testing.T) {
	z := zones{"xn--mnchen-3ya.test": {"TXT v=spf1 include:%{d}.x.test a -all", "A 203.0.113.1"}, "xn--mnchen-3ya.test.x.test": {"TXT v=spf1 -all"}}.with("")
	v := review(t, z, "München.test", ourAddr)
	if v.Audit.Verdict != verify.OK || v.Passing[0].Result != verify.SPFPass || v.Merged.Record != "v=spf1 include:%{d}.x.test a include:spf.platform.test -all" {
		t.Errorf("%+v", v)
	}
}

// allAdvice is what is said about all cases.
func allAdvice(t *testing.T) []verify.Advice {
	t.Helper()
	var all []verify.Advice
	for _, tt := range spfCases() {
		all = append(all, review(t, internet().with("shop.test", tt.txts...), "shop.test", ourAddr, "192.0.2.11").Advice...)
	}
	all = append(all, review(t, internet().with("shop.test", "v=spf1 -ip4:192.0.2.0/24 a:x_y!.test -all"), "shop.test", ourAddr).Advice...)
	for _, tt := range dmarcCases() {
		all = append(all, verify.ReviewDMARC(t.Context(), tt.zones, tt.domain).Advice...)
	}
	return all
}

// The sentences, one of each code and level, for people to read.
func TestAdviceReadsWell(t *testing.T) {
	all := allAdvice(t)
	slices.SortStableFunc(all, func(a, b verify.Advice) int { return strings.Compare(string(a.Code), string(b.Code)) })
	var text strings.Builder
	seen := map[string]bool{}
	for _, a := range all {
		key := fmt.Sprint(a.Code, " ", a.Level, a.Domain == "")
		if !seen[key] {
			fmt.Fprintf(&text, "%s (%s)\n%s\n\n", a.Code, a.Level, a.Text)
		}
		seen[key] = true
		if a.Text == "" || !strings.HasSuffix(a.Text, ".") || strings.Contains(a.Text, "..") && !strings.Contains(a.Text, "...") || strings.Contains(a.Text, "  ") {
			t.Errorf("%s: %q", a.Code, a.Text)
		}
	}
	const golden = "testdata/advice.txt"
	if update() {
		if err := os.WriteFile(golden, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("run with -update if this is meant:\n%s", diff)
	}
}
