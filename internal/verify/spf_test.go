package verify_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"blitiri.com.ar/go/spf"
	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/verify"
)

// codes lists the codes of advice as the cases have them.
func codes(lists ...[]verify.Advice) string {
	var all []string
	for _, a := range slices.Concat(lists...) {
		all = append(all, strings.TrimPrefix(string(a.Code), "spf_"))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}

func TestSPFRecordsAreMergedAndAudited(t *testing.T) {
	cases := spfCases()
	if len(cases) < 60 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			m := verify.MergeTXT(tt.txts, ourInclude)
			want := tt.want
			if want == same {
				want = tt.txts[0]
			}
			if m.Record != want || m.Changed != (tt.want != same) {
				t.Errorf("merged into %q (changed: %v), want %q", m.Record, m.Changed, want)
			}
			published := internet().with("shop.test", m.Record)
			a := verify.AuditSPF(t.Context(), published, "shop.test", ourInclude)
			if a.Verdict != tt.verdict || a.Lookups != tt.lookups || a.Voids != tt.voids {
				t.Errorf("%s with %d lookups, %d of them void, want %s with %d and %d",
					a.Verdict, a.Lookups, a.Voids, tt.verdict, tt.lookups, tt.voids)
			}
			inexact := []string{"macro", "loop", "unknown", "endless"}
			if slices.ContainsFunc(strings.Fields(tt.codes), func(c string) bool { return slices.Contains(inexact, c) }) == a.Exact {
				t.Errorf("exact: %v, with %s", a.Exact, tt.codes)
			}
			if got := codes(m.Warnings, a.Advice); got != tt.codes {
				t.Errorf("advice: %s, want %s", got, tt.codes)
			}
			judgeCase(t, published, tt.verdict)
		})
	}
}

// judgeCase compares a verdict with what package spf makes of the record.
func judgeCase(t *testing.T, published zones, verdict verify.Verdict) {
	t.Helper()
	results := map[verify.Verdict]spf.Result{verify.Wrong: spf.PermError, verify.Unknown: spf.TempError, verify.OK: ""}
	result, _, why := judge(published, noAddr, "shop.test", 10, 2)
	if result != spf.PermError && result != spf.TempError {
		result = ""
	}
	if result != results[verdict] {
		t.Errorf("a stranger gets %q (%v), but the verdict is %s", result, why, verdict)
	}
	if result, _, why := judge(published, ourAddr, "shop.test", 10, 2); verdict == verify.OK && result != spf.Pass {
		t.Errorf("our mail gets %s: %v", result, why)
	}
}

func TestMergingAgainChangesNothing(t *testing.T) {
	for _, tt := range spfCases() {
		m := verify.MergeTXT(tt.txts, ourInclude)
		published := []string{m.Record}
		for _, s := range tt.txts {
			if s != m.Replaces && !slices.Contains(m.Delete, s) {
				published = append(published, s)
			}
		}
		again := verify.MergeTXT(published, ourInclude)
		if again.Changed || again.Record != m.Record || len(again.Delete) > 0 {
			t.Errorf("%s: %q becomes %q", tt.name, m.Record, again.Record)
		}
	}
}

func TestOrderOfTXTRecordsDoesNotMatter(t *testing.T) {
	for _, tt := range spfCases() {
		reversed := slices.Clone(tt.txts)
		slices.Reverse(reversed)
		a, b := verify.MergeTXT(tt.txts, ourInclude), verify.MergeTXT(reversed, ourInclude)
		if a.Record != b.Record || a.Replaces != b.Replaces {
			t.Errorf("%s: %q for %q, %q for %q", tt.name, a.Record, a.Replaces, b.Record, b.Replaces)
		}
	}
}

func TestParseSPFKeepsEveryByte(t *testing.T) {
	for _, text := range []string{
		"v=spf1", "v=spf1 ", "V=sPf1  A  MX:Mail.Test/24//64   ?ALL   ", "v=spf1 redirect=a.test exp=%{d}.b.test x-y.z_1=%{l1r+-}",
		"v=spf1 \tfoo \xff \"quoted\" -all", "v=spf1 redirect=a.test redirect=b.test",
	} {
		s, err := verify.ParseSPF(text)
		if errors.Is(err, verify.ErrNoSPF) || s.String() != text {
			t.Errorf("%q comes back as %q (%v)", text, s.String(), err)
		}
	}
}

func TestParseSPFReadsTerms(t *testing.T) {
	s, err := verify.ParseSPF("v=spf1 +A:Mail.Test/24//64 mx//64 ~ip4:192.0.2.0/24 ?ip6:2001:db8::/32 -exists:%{lr/}.x.test ptr include:a.test. REDIRECT=b.test y=%{c} -ALL")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, term := range s.Terms {
		qualifier := "="
		if !term.Modifier {
			qualifier = string(term.Qualifier)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s", qualifier, term.Name, term.Value, term.Prefix))
	}
	want := []string{
		"+ a Mail.Test /24//64", "+ mx  //64", "~ ip4 192.0.2.0 /24", "? ip6 2001:db8:: /32", "- exists %{lr/}.x.test ",
		"+ ptr  ", "+ include a.test. ", "= redirect b.test ", "= y %{c} ", "- all  ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseSPFAcceptsWhatTheGrammarDoes(t *testing.T) {
	for _, term := range []string{
		"all", "-all", "a", "a/0", "a/32//128", "a:x.test", "a:x.test.", "a:foo:bar/baz.x.test", "a:%{d}", "a:%{d2}/24", "a:x.test-1", "a:x.xn--p1ai",
		"mx", "mx:x.test", "ptr", "ptr:x.test", "ip4:0.0.0.0/0", "ip4:192.0.2.1", "ip6:::1", "ip6:::ffff:192.0.2.1/128", "ip6:2001:DB8::/32",
		"include:_spf.x.test", "include:%%%_%-.x.test", "exists:x.%{d}.%-", "exists:%{i}.x.test", "exists:%{ir}.%{v}._spf.%{d2}", "exists:%{l1r-}.%{S}.%{h}.%{p}.x.test",
		"redirect=x.test", "exp=%{d}.x.test", "a.b-c_d=", "unknown=%{c}%{r}%{t}", "match_subdomains=yes",
	} {
		if _, err := verify.ParseSPF("v=spf1 " + term); err != nil {
			t.Error(err)
		}
	}
}

func TestParseSPFRefusesWhatTheGrammarDoes(t *testing.T) {
	for term, instead := range map[string]string{
		"al": "", "all:x.test": "", "-all.": "-all", "all;": "~all", "\u2013all": "-all", "~\"all\"": "~all", "+-all": "~all",
		"include": "", "include:": "", "include:localhost": "", "include:x.test/24": "", "include:192.0.2.1": "ip4:192.0.2.1", "include:x.test,": "include:x.test",
		"a:": "", "a/": "", "a/33": "", "a/024": "", "a//129": "", "a/24/64": "", "a:x.test/24/": "", "a:192.0.2.1": "ip4:192.0.2.1", "a:x.1": "", "a:x.-": "",
		"a:%": "", "a:%x.test": "", "a:%{d": "", "a:%{}.test": "", "a:%{d0}.test": "", "a:%{dd}": "", "a:%{d99999999999999999999}": "", "a:%{c}.test": "", "a:%{d}x": "",
		"mx:2001:db8::1": "ip6:2001:db8::1", "ptr:": "", "-ip:192.0.2.1": "-ip4:192.0.2.1", "ipv6:2001:db8::/32": "ip6:2001:db8::/32",
		"ip4": "", "ip4:": "", "ip4:192.0.2": "", "ip4:192.0.2.1/": "", "ip4:192.0.2.1/33": "", "ip4:192.0.2.1//24": "", "ip4:192.0.2.01": "",
		"ip4:192.0.2.1,": "ip4:192.0.2.1", "ip4:[192.0.2.1]": "ip4:192.0.2.1", "ip4:2001:db8::1": "ip6:2001:db8::1", "ip6:fe80::1%eth0": "", "ip6:192.0.2.1": "ip4:192.0.2.1",
		"192.0.2.0/24": "ip4:192.0.2.0/24", "x.test": "", "exists:": "", "exists": "", "redirect=": "", "redirect=x": "", "exp=": "", "=x": "", "1a=x": "", "x=%": "",
		"-redirect=x.test": "", "-": "", "\x00": "", "a\tmx": "", "ä.test": "",
	} {
		s, err := verify.ParseSPF("v=spf1 " + term + " -all")
		fault, ok := errors.AsType[*verify.SPFSyntaxError](err)
		if !ok {
			t.Errorf("%q is taken", term)
			continue
		}
		if fault.Term != term || fault.Instead != instead || fault.Reason == "" {
			t.Errorf("%q: %v, instead %q, want %q", term, err, fault.Instead, instead)
		}
		if len(s.Terms) != 2 || s.Terms[1].Name != "all" {
			t.Errorf("%q hides what follows it", term)
		}
	}
}

func TestRedirectAndExpMayStandOnce(t *testing.T) {
	for _, text := range []string{"v=spf1 redirect=a.test Redirect=a.test", "v=spf1 exp=a.test -all exp=b.test"} {
		if _, err := verify.ParseSPF(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if _, err := verify.ParseSPF("v=spf1 redirect=a.test exp=a.test x=1 x=1"); err != nil {
		t.Error(err)
	}
}

func TestPickSPFFindsTheOneRecord(t *testing.T) {
	for _, tt := range []struct {
		txts []string
		want string
		err  error
	}{
		{nil, "", verify.ErrNoSPF},
		{[]string{"hello", "v=spf10", "v=spf1\t-all", " v=spf1 -all", "spf2.0/mfrom -all", ""}, "", verify.ErrNoSPF},
		{[]string{"hello", "V=SPF1 -all"}, "V=SPF1 -all", nil},
		{[]string{"v=spf1"}, "v=spf1", nil},
		{[]string{"v=spf1 -all", "v=spf1"}, "", verify.ErrTwoSPF},
		{[]string{"v=spf1 -all", "v=spf1 -all"}, "", verify.ErrTwoSPF},
	} {
		got, err := verify.PickSPF(tt.txts)
		if got.String() != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%q: %q, %v", tt.txts, got, err)
		}
	}
}

func TestMergeOfNothingIsANewRecord(t *testing.T) {
	m := verify.MergeSPF(verify.SPF{}, "spf.platform.test.")
	if m.Record != "v=spf1 include:spf.platform.test -all" || !m.Changed || m.Replaces != "" || len(m.Delete) > 0 {
		t.Errorf("%+v", m)
	}
}

func TestMergeSaysWhatToDeleteAndWhatToChange(t *testing.T) {
	m := verify.MergeTXT([]string{"hello", "v=spf1 a -all", "v=spf1 include:SPF.platform.test ~all", "v=spf1 mx a ?all"}, ourInclude)
	want := verify.Merged{
		Record: "v=spf1 include:SPF.platform.test mx a ?all", Changed: true,
		Replaces: "v=spf1 include:SPF.platform.test ~all", Delete: []string{"v=spf1 mx a ?all", "v=spf1 a -all"},
	}
	m.Warnings = nil
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
}

func TestMergeSPFLeavesFaultsAlone(t *testing.T) {
	s, err := verify.ParseSPF("v=spf1 ip:192.0.2.1  a.test -all;")
	if err == nil {
		t.Fatal("taken")
	}
	if m := verify.MergeSPF(s, ourInclude); m.Record != "v=spf1 ip:192.0.2.1 a.test include:spf.platform.test -all;" {
		t.Error(m.Record)
	}
}
