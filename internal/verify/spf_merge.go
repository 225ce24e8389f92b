package verify

import (
	"slices"
	"strings"
)

// Merged is the SPF record to publish so that mail through this gateway passes.
type Merged struct {
	Record   string   // the whole text
	Changed  bool     // it is not what is there
	Replaces string   // the record to edit, "" if there is none yet
	Delete   []string // records to delete besides
	Warnings []Advice
}

// MergeSPF adds include:NAME to a record, right before the mechanism that ends it. Other
// terms are neither changed nor moved, valid or not. Without a record (the zero value)
// the new one lets nobody else send. Merging the result again changes nothing.
func MergeSPF(existing SPF, include string) Merged {
	include = strings.TrimSuffix(include, ".")
	var list adviceList
	if existing.Version == "" {
		m := Merged{Record: spfVersion + " include:" + include + " -all", Changed: true}
		list.add(Advice{Code: SPFMissing, Level: AdviceError, Text: "The domain has no SPF record: publish " + quoted(m.Record) + "."})
		m.Warnings = append(list, lengthAdvice(len(m.Record), len(m.Record))...)
		return m
	}
	merged, changed := existing.withInclude(include, &list)
	if changed {
		merged = merged.tidy()
	}
	m := Merged{Record: merged.String(), Changed: changed, Replaces: existing.String()}
	list.add(lintSPF("", merged)...)
	list.add(lengthAdvice(len(m.Record), len(m.Record))...)
	m.Warnings = list
	return m
}

// withInclude returns the record with exactly one include of the name, where it counts,
// and whether that changed it.
func (s SPF) withInclude(include string, list *adviceList) (SPF, bool) {
	ours := SPFTerm{Text: "include:" + include, Name: "include", Qualifier: '+', Value: include, space: " "}
	end, have, changed := s.all(), false, false
	terms := make([]SPFTerm, 0, len(s.Terms)+1)
	for i, t := range s.Terms {
		warn := func(code AdviceCode, level AdviceLevel, text string) {
			changed = true
			list.add(Advice{Code: code, Level: level, Term: t.Text, Text: text})
		}
		switch {
		case !t.includes(include):
			terms = append(terms, t)
		case i > end:
			warn(SPFIncludeLate, AdviceError, quoted(t.Text)+" stands after "+s.Terms[end].Text+", where nobody reads on: move it before that.")
		case have:
			warn(SPFIncludeTwice, AdviceNote, quoted(t.Text)+" is there more than once, and each costs DNS lookups: once is enough.")
		case t.Qualifier != '+': // RFC 7208 section 4.6.2: a match would be fail, softfail or neutral
			warn(SPFIncludeWeak, AdviceError, quoted(t.Text)+" does not let mail through this gateway pass: write "+ours.Text+".")
			terms = append(terms, ours)
			have = true
		default:
			terms = append(terms, t)
			have = true
		}
	}
	if !have {
		if !changed {
			list.add(Advice{Code: SPFIncludeMissing, Level: AdviceError, Text: "The domain's SPF record does not name this gateway: add " + ours.Text + "."})
		}
		terms = slices.Insert(terms, insertion(terms), ours)
		changed = true
	}
	s.Terms = terms
	return s, changed
}

// insertion is where another mechanism goes: before all, else behind the last mechanism.
func insertion(terms []SPFTerm) int {
	last := 0
	for i, t := range terms {
		if t.Modifier {
			continue
		}
		if t.Name == "all" && t.Err == nil || t.Err != nil && isNearlyAll(t.Text) {
			return i
		}
		last = i + 1
	}
	return last
}

// lengthAdvice is about a record of n bytes in a TXT set of that many bytes in total.
func lengthAdvice(n, total int) []Advice {
	var list adviceList
	if n > 255 { // RFC 7208 section 3.3
		list.add(Advice{Code: SPFSplit, Level: AdviceNote, Text: "The SPF record is longer than 255 bytes and has to be entered as several " +
			"strings; most DNS providers split it themselves, others want each string in quotation marks."})
	}
	if total > 450 { // RFC 7208 section 3.4
		list.add(Advice{Code: SPFLong, Level: AdviceWarning, Text: "The domain's TXT records are " + times(total, "byte") + " long in total; beyond 450 " +
			"the answer may not fit into one DNS packet, and some receivers then find no SPF record: remove what is no longer used."})
	}
	return list
}

// MergeTXT is MergeSPF for all TXT records of a name, as the DNS has them. It makes one
// SPF record of several, and of records that were meant to be SPF. A record that is not
// valid is corrected if there is no doubt how; if there is, its terms stay as they are.
func MergeTXT(txts []string, include string) Merged {
	var list adviceList
	records := slices.DeleteFunc(slices.Clone(txts), func(s string) bool { return !isSPF(s) })
	lookalikes := slices.DeleteFunc(slices.Clone(txts), func(s string) bool {
		_, ok := repairSPF(s)
		return isSPF(s) || !ok
	})
	for _, s := range lookalikes {
		list.add(Advice{Code: SPFLookalike, Level: AdviceWarning, Term: s, Text: "The TXT record " + quoted(s) + " looks like SPF, but receivers do " +
			"not take it for that: a record begins with v=spf1 and a space, without quotation marks. Delete it, or put the record given here in its place."})
	}
	published := records
	if len(records) == 0 {
		published = lookalikes
	}
	var all []SPF
	for _, text := range published {
		s, repaired := readSPF(text)
		if repaired && isSPF(text) {
			list.add(Advice{Code: SPFSeparators, Level: AdviceError, Text: "The domain's SPF record has tabs, line breaks or quotation marks between its " +
				"terms, or spaces within them, which makes it invalid: separate terms by single spaces."})
		}
		if corrected, ok := s.corrected(); ok {
			list.add(faultAdvice("", s)...)
			s = corrected
		}
		all = append(all, s)
	}
	existing, replaces, others := combine(all, published, include)
	m := MergeSPF(existing, include)
	m.Replaces, m.Delete = replaces, others
	m.Changed = m.Changed || m.Record != replaces || len(others) > 0
	if len(records) > 1 {
		list.add(Advice{Code: SPFTwoRecords, Level: AdviceError, Text: "The domain has " + times(len(records), "SPF record") + ", and receivers then use none " +
			"of them (RFC 7208 section 4.5): delete " + and(quotedAll(others)) + " and change " + quoted(replaces) + " to " + quoted(m.Record) + "."})
	}
	total := len(m.Record)
	for _, s := range txts {
		if !slices.Contains(published, s) {
			total += len(s)
		}
	}
	list.add(slices.DeleteFunc(m.Warnings, func(a Advice) bool { return a.Code == SPFLong })...)
	list.add(lengthAdvice(len(m.Record), total)...)
	m.Warnings = list
	return m
}

func quotedAll(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, quoted(s))
	}
	return out
}

// combine makes one record of those that were published: what any of them allows, and
// the mildest end. replaces is the one to edit, others are to go. The order in which a
// server gives records does not matter.
func combine(all []SPF, published []string, include string) (s SPF, replaces string, others []string) {
	if len(all) == 0 {
		return SPF{}, "", nil
	}
	if len(all) == 1 {
		return all[0], published[0], nil
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	has := func(s SPF) int {
		return len(slices.DeleteFunc(slices.Clone(s.Terms), func(t SPFTerm) bool { return !t.includes(include) }))
	}
	slices.SortFunc(order, func(a, b int) int {
		for _, d := range []int{min(1, has(all[b])) - min(1, has(all[a])), len(all[b].Terms) - len(all[a].Terms)} {
			if d != 0 {
				return d
			}
		}
		return strings.Compare(published[a], published[b])
	})
	sorted := make([]SPF, 0, len(all))
	for i, n := range order {
		sorted = append(sorted, all[n])
		if i == 0 {
			replaces = published[n]
		} else {
			others = append(others, published[n])
		}
	}
	return union(sorted), replaces, others
}

// union has every mechanism of the records once, in their order. A redirect stays one if
// it is the only end there is; else it is an include. Of exp= the first stays.
func union(all []SPF) SPF {
	u := SPF{Version: spfVersion}
	var mechanisms, modifiers, ends, redirects []SPFTerm
	seen := map[string]bool{}
	once := func(list []SPFTerm, t SPFTerm) []SPFTerm {
		key := strings.TrimPrefix(t.Text, "+")
		if !strings.Contains(key, "%") { // macros differ by case
			key = strings.ToLower(key)
		}
		if seen[key] {
			return list
		}
		seen[key] = true
		return append(list, t)
	}
	for _, s := range all {
		end := s.all()
		for i, t := range s.Terms {
			switch {
			case i == end:
				ends = append(ends, t)
			case t.Modifier && t.Name == "redirect":
				if end == len(s.Terms) { // RFC 7208 section 6.1: else it is ignored
					redirects = once(redirects, t)
				}
			case t.Modifier && t.Name == "exp":
				if !slices.ContainsFunc(modifiers, func(m SPFTerm) bool { return m.Name == "exp" }) {
					modifiers = append(modifiers, t)
				}
			case t.Modifier:
				modifiers = once(modifiers, t)
			case i < end:
				mechanisms = once(mechanisms, t)
			}
		}
	}
	if len(ends) > 0 || len(redirects) > 1 {
		for _, r := range redirects {
			mechanisms = once(mechanisms, parseSPFTerm("include:"+r.Value))
		}
		redirects = nil
	}
	u.Terms = append(u.Terms, mechanisms...)
	if len(ends) > 0 {
		u.Terms = append(u.Terms, parseSPFTerm(mildest(ends)))
	}
	u.Terms = append(append(u.Terms, modifiers...), redirects...)
	return u.tidy()
}

// mildest is the all mechanism that fails the fewest. None of those that are put together
// was in force, so +all, which opens the domain to everyone, is not proposed anew.
func mildest(ends []SPFTerm) string {
	best := "-all"
	for _, t := range ends {
		switch t.Qualifier {
		case '+', '?':
			return "?all"
		case '~':
			best = "~all"
		}
	}
	return best
}
