package verify_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"blitiri.com.ar/go/spf"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/verify"
)

// drawRecord draws a valid record of terms that are kept, and terms that are ours.
func drawRecord(t *rapid.T) string {
	term := rapid.Custom(func(t *rapid.T) string {
		qualifier := rapid.SampledFrom([]string{"", "", "+", "-", "~", "?"}).Draw(t, "qualifier")
		return qualifier + rapid.SampledFrom([]string{
			"a", "A:Mail.Test", "a/24//64", "mx", "mx:x.test//64", "ptr", "ptr:x.test", "ip4:203.0.113.0/24", "IP6:2001:DB8:1::/48",
			"include:x.test", "include:%{ir}.%{d2}.x.test", "exists:%{l1r+-}.x.test", "all", "ALL",
			"include:spf.platform.test", "Include:SPF.Platform.Test.", "include:spf.platform.test.other.test",
		}).Draw(t, "mechanism")
	})
	modifier := rapid.SampledFrom([]string{"x=1", "include=spf.platform.test", "ra=%{c}", "all=1"})
	terms := rapid.SliceOfN(rapid.OneOf(term, term, term, modifier), 0, 12).Draw(t, "terms")
	for _, m := range []string{"redirect=x.test", "exp=%{d}.x.test"} {
		if rapid.Bool().Draw(t, m) {
			terms = slices.Insert(terms, rapid.IntRange(0, len(terms)).Draw(t, "place"), m)
		}
	}
	record := rapid.SampledFrom([]string{"v=spf1", "V=SPF1"}).Draw(t, "version")
	for _, term := range terms {
		record += strings.Repeat(" ", rapid.IntRange(1, 3).Draw(t, "spaces")) + term
	}
	return record + strings.Repeat(" ", rapid.IntRange(0, 2).Draw(t, "tail"))
}

// isOurs reports whether a term includes the platform's record.
func isOurs(term verify.SPFTerm) bool {
	return !term.Modifier && term.Name == "include" && strings.TrimSuffix(strings.ToLower(term.Value), ".") == ourInclude
}

// checkMerge checks what a merge promises about the terms.
func checkMerge(t interface{ Fatalf(string, ...any) }, before verify.SPF, m verify.Merged) {
	after, _ := verify.ParseSPF(m.Record)
	text := func(s verify.SPF) (kept []string) {
		for _, term := range s.Terms {
			if !isOurs(term) {
				kept = append(kept, term.Text)
			}
		}
		return kept
	}
	if !slices.Equal(text(before), text(after)) {
		t.Fatalf("%q becomes %q", text(before), text(after))
	}
	ours, all := -1, len(after.Terms)
	for i, term := range after.Terms {
		switch {
		case isOurs(term):
			if ours >= 0 || term.Qualifier != '+' {
				t.Fatalf("%q is not our include, once", m.Record)
			}
			ours = i
		case term.Name == "all" && !term.Modifier && term.Err == nil:
			all = min(all, i)
		}
	}
	if ours < 0 || ours > all {
		t.Fatalf("%q does not include us where it counts", m.Record)
	}
	if again := verify.MergeSPF(after, ourInclude); again.Changed || again.Record != m.Record {
		t.Fatalf("%q merges again into %q", m.Record, again.Record)
	}
}

func TestMergeKeepsEveryTermAndItsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record := drawRecord(t)
		before, err := verify.ParseSPF(record)
		if err != nil {
			t.Fatalf("%q: %v", record, err)
		}
		m := verify.MergeSPF(before, ourInclude)
		if _, err := verify.ParseSPF(m.Record); err != nil {
			t.Fatalf("%q: %v", m.Record, err)
		}
		if m.Changed == (m.Record == record) {
			t.Fatalf("changed: %v, but %q becomes %q", m.Changed, record, m.Record)
		}
		checkMerge(t, before, m)
	})
}

// The merged record is one record that says all that any of several said.
func TestSeveralRecordsBecomeOneWithAllTheyAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var txts []string
		for range rapid.IntRange(2, 4).Draw(t, "records") {
			txts = append(txts, drawRecord(t))
		}
		m := verify.MergeTXT(txts, ourInclude)
		merged, err := verify.ParseSPF(m.Record)
		if err != nil {
			t.Fatalf("%q: %v", m.Record, err)
		}
		if len(m.Delete) != len(txts)-1 || slices.Contains(m.Delete, m.Replaces) && !hasTwice(txts, m.Replaces) || !m.Changed {
			t.Fatalf("of %q one is to be changed and the others deleted: %q, %q", txts, m.Replaces, m.Delete)
		}
		checkMerge(t, merged, m)
		for _, text := range txts {
			s, err := verify.ParseSPF(text)
			if err != nil {
				t.Fatal(err)
			}
			for _, term := range s.Terms {
				if term.Name == "all" && !term.Modifier {
					break
				}
				has := slices.ContainsFunc(merged.Terms, func(have verify.SPFTerm) bool {
					return strings.EqualFold(strings.TrimPrefix(have.Text, "+"), strings.TrimPrefix(term.Text, "+"))
				})
				if !term.Modifier && !isOurs(term) && !has {
					t.Fatalf("%q misses %s of %q", m.Record, term.Text, text)
				}
			}
		}
	})
}

func hasTwice(list []string, s string) bool {
	i := slices.Index(list, s)
	return i >= 0 && slices.Contains(list[i+1:], s)
}

// drawTree draws domains d0.test to d7.test whose records include later ones. What is in
// them matches neither our address nor the stranger's, except includes of ours.
func drawTree(t *rapid.T, faults bool) zones {
	z := zones{
		"host.test": {"A 203.0.113.1", "MX 10 mx.host.test"}, "mx.host.test": {"A 203.0.113.2"}, "six.test": {"AAAA 2001:db8:1::1"},
		"down.test": {"FAIL"}, "silent.test": {"TXT hello"}, "empty.test": {},
	}
	for i := range 12 {
		z["many.test"] = append(z["many.test"], fmt.Sprintf("MX %d mx.host.test", i))
		if i < 10 {
			z["ten.test"] = append(z["ten.test"], fmt.Sprintf("MX %d mx.host.test", i))
		}
	}
	const domains = 8
	for i := range domains {
		terms := []string{
			"a:host.test", "mx:host.test", "mx:ten.test", "a:six.test/24//64", "ip4:203.0.113.0/24", "-ip6:2001:db8:1::/48", "~a:%{d}", "x=1",
			"a:gone.test", "mx:six.test", "exists:gone.test", "exists:_x.%{d}", "a:empty.test",
		}
		for j := i + 1; j < domains; j++ {
			terms = append(terms, fmt.Sprintf("include:d%d.test", j), fmt.Sprintf("?include:D%d.test.", j))
		}
		if faults {
			terms = append(terms, "include:down.test", "a:down.test", "include:silent.test", "include:gone.test", "mx:many.test", "nonsense",
				"include:d0.test", "include:a_b!.test", "redirect=d0.test", "+all", "ip4:192.0.2.0/24", "-ip4:192.0.2.0/24", "a:%{i}.test")
		}
		record := "v=spf1"
		for _, term := range rapid.SliceOfN(rapid.SampledFrom(terms), 0, 6).Draw(t, fmt.Sprintf("terms %d", i)) {
			record += " " + term
		}
		ends := []string{" -all", " ~all", " ?all", ""}
		if i+1 < domains {
			ends = append(ends, fmt.Sprintf(" redirect=d%d.test", i+1))
		}
		z[fmt.Sprintf("d%d.test", i)] = []string{"A 203.0.113.9", "TXT " + record + rapid.SampledFrom(ends).Draw(t, "end")}
	}
	return z
}

// Package spf counts the same lookups: with room for as many it gets through, with room
// for one less it does not.
func TestAuditCountsAsReceiversDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := drawTree(t, false)
		a := verify.AuditSPF(t.Context(), z, "d0.test", "")
		if !a.Exact {
			t.Skip("too many to be followed")
		}
		const many = 1000
		check := func(lookups, voids uint) spf.Result {
			result, asked, _ := judge(z, noAddr, "d0.test", lookups, voids)
			if result != spf.PermError && asked != a.Lookups {
				t.Fatalf("%d lookups in %v, want %d", a.Lookups, z, asked)
			}
			return result
		}
		if r := check(uint(a.Lookups), many); r == spf.PermError {
			t.Fatalf("%d lookups are not enough for %v", a.Lookups, z)
		}
		if r := check(many, uint(a.Voids)); r == spf.PermError {
			t.Fatalf("%d void lookups are not enough for %v", a.Voids, z)
		}
		if a.Lookups > 0 && check(uint(a.Lookups-1), many) != spf.PermError {
			t.Fatalf("%d lookups are too many for %v", a.Lookups, z)
		}
		if a.Voids > 0 && check(many, uint(a.Voids-1)) != spf.PermError {
			t.Fatalf("%d void lookups are too many for %v", a.Voids, z)
		}
		if (check(10, 2) == spf.PermError) != (a.Verdict == verify.Wrong) {
			t.Fatalf("%s: %v", a.Verdict, z)
		}
		sum := 0
		for _, c := range a.Costs {
			sum += c.Lookups
		}
		if sum != a.Lookups {
			t.Fatalf("%+v are not %d", a.Costs, a.Lookups)
		}
	})
}

// Whatever a tree is like, mail that would not pass with the merged record is announced
// by an error, and one that is not said to be uncertain passes.
func TestMergedRecordPassesOrSaysWhyNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := drawTree(t, true).with("")
		v := verify.ReviewSPF(t.Context(), z, "d0.test", ourInclude, []netip.Addr{netip.MustParseAddr(ourAddr)})
		z["d0.test"] = []string{"A 203.0.113.9", "TXT " + v.Merged.Record}
		result, _, why := judge(z, ourAddr, "d0.test", 10, 2)
		hasError := false
		for _, a := range v.Advice {
			changes := []verify.AdviceCode{verify.SPFIncludeMissing, verify.SPFIncludeWeak, verify.SPFIncludeLate}
			hasError = hasError || a.Level == verify.AdviceError && !slices.Contains(changes, a.Code)
		}
		switch got := v.Passing[0].Result; {
		case got == verify.SPFPass && result != spf.Pass:
			t.Fatalf("said to pass, but %s (%v): %v", result, why, z)
		case got == verify.SPFUnsure && result != spf.TempError:
			t.Fatalf("said to be unknown, but %s (%v): %v", result, why, z)
		case got != verify.SPFPass && got != verify.SPFUnsure && !hasError:
			t.Fatalf("%s without an error: %v, %v", got, v.Advice, z)
		case result == spf.TempError && got != verify.SPFUnsure && got != verify.SPFBroken:
			t.Fatalf("%s in spite of trouble: %v", got, z)
		}
		if v.Audit.Verdict == verify.OK && result == spf.PermError && v.Audit.Exact {
			t.Fatalf("the audit finds nothing, but %v: %v", why, z)
		}
	})
}

func TestAuditVerdictIsThatOfReceivers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := drawTree(t, true)
		a := verify.AuditSPF(t.Context(), z, "d0.test", "")
		result, _, why := judge(z, noAddr, "d0.test", 10, 2)
		broken, trouble := result == spf.PermError, result == spf.TempError
		switch {
		case broken && a.Verdict != verify.Wrong && a.Exact:
			t.Fatalf("%s, but %v: %v", a.Verdict, why, z)
		case trouble && a.Verdict == verify.OK:
			t.Fatalf("%s, but %v: %v", a.Verdict, why, z)
		case broken && a.Verdict == verify.Unknown && a.Lookups > 10:
			t.Fatalf("%d lookups are unknown: %v", a.Lookups, z)
		case a.Verdict == verify.Wrong && len(a.Advice) == 0:
			t.Fatalf("wrong without a word: %v", z)
		}
		if wrong := slices.ContainsFunc(a.Advice, func(a verify.Advice) bool { return a.Level == verify.AdviceError }); wrong != (a.Verdict == verify.Wrong) {
			t.Fatalf("%s with %v", a.Verdict, a.Advice)
		}
	})
}
