package verify

import (
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// sum judges the counts of an audit that is done.
func (w *spfWalk) sum() {
	a := &w.audit
	if a.Voids > spfMostVoids {
		voids := slices.Compact(slices.Sorted(slices.Values(w.voids)))
		w.broken(SPFVoids, "", "receivers give up after two lookups that find nothing (RFC 7208 section 4.6.4), and "+ownerOf("")+
			" leads to "+strconv.Itoa(a.Voids)+": remove "+and(few(voids))+".", termsDetail(detailVoids, voids, "voids", a.Voids))
	}
	switch {
	case a.Lookups > spfMostLookups:
		text, detail := w.tooMany()
		w.broken(SPFLookups, "", text, detail)
	case a.Lookups >= spfMostLookups-1:
		w.note(SPFLookupsNear, AdviceNote, "", ownerOf("")+" takes "+strconv.Itoa(a.Lookups)+
			" of the 10 DNS lookups that receivers make, and an include of others that grows can break it.")
	}
}

// tooMany says what each term costs and what to do about it.
func (w *spfWalk) tooMany() (text string, detail waypost.Detail) {
	a := &w.audit
	atLeast, takes := "", detailLookups
	if !a.Exact {
		atLeast, takes = "at least ", detailLookupsLeast
	}
	costs := slices.Clone(a.Costs)
	slices.SortStableFunc(costs, func(x, y SPFCost) int { return y.Lookups - x.Lookups })
	var shown, each []string
	for _, c := range costs {
		shown = append(shown, c.Term+" takes "+strconv.Itoa(c.Lookups))
		each = append(each, c.Term+" ("+strconv.Itoa(c.Lookups)+")")
	}
	text = ownerOf("") + " takes " + atLeast + strconv.Itoa(a.Lookups) + " DNS lookups, and receivers give up after 10 " +
		"(RFC 7208 section 4.6.4): " + and(few(shown)) + "."
	s := w.savings(costs, a.Lookups-spfMostLookups)
	var steps []string
	if len(s.remove) > 0 {
		steps = append(steps, "remove "+and(few(s.remove))+" (there twice, finding nothing, or ptr)")
	}
	if len(s.replace) > 0 {
		steps = append(steps, "replace "+and(few(s.replace))+" by the addresses as ip4: and ip6:")
	}
	if len(s.drop) > 0 {
		steps = append(steps, "drop "+and(few(s.drop))+" or others that nothing sends through any more")
	}
	detail = waypost.Details(
		waypost.NewDetail(takes, "lookups", a.Lookups), termsDetail(detailCosts, each),
		termsDetail(detailRemove, s.remove), termsDetail(detailReplace, s.replace), termsDetail(detailDrop, s.drop),
	)
	if len(steps) == 0 {
		return text, detail
	}
	text += " To save enough, " + strings.Join(steps, "; ")
	if a.Exact {
		text += ": that leaves " + strconv.Itoa(a.Lookups-s.saved)
		detail = waypost.Details(detail, waypost.NewDetail(detailLeaves, "lookups", a.Lookups-s.saved))
	}
	return text + ".", detail
}

// mostFew is how many items of a list are read.
const mostFew = 12

// few shortens a list that is too long to be read.
func few(items []string) []string {
	if len(items) <= mostFew {
		return items
	}
	return append(slices.Clone(items[:mostFew]), strconv.Itoa(len(items)-mostFew)+" more")
}

// savings are terms that together take enough lookups.
type savings struct {
	remove  []string // there twice, finds nothing, or ptr
	replace []string // hosts, which can be written as addresses
	drop    []string // others
	saved   int
}

// savings picks what saves so many lookups, from what is missed least: of what remains in
// the end the cheapest term that is enough by itself, else the most expensive one. costs
// are in descending order.
func (w *spfWalk) savings(costs []SPFCost, excess int) savings {
	var s savings
	costs = slices.DeleteFunc(slices.Clone(costs), func(c SPFCost) bool {
		return w.include != "" && parseSPFTerm(c.Term).includes(w.include)
	})
	take := func(list *[]string, from func([]SPFCost) int) {
		for s.saved < excess {
			i := from(costs)
			if i < 0 {
				return
			}
			*list, s.saved = append(*list, costs[i].Term), s.saved+costs[i].Lookups
			costs = slices.Delete(costs, i, i+1)
		}
	}
	first := func(f func(SPFCost, SPFTerm) bool) func([]SPFCost) int {
		return func(costs []SPFCost) int {
			return slices.IndexFunc(costs, func(c SPFCost) bool { return f(c, parseSPFTerm(c.Term)) })
		}
	}
	take(&s.remove, func(costs []SPFCost) int {
		for i, c := range costs {
			if slices.ContainsFunc(costs[:i], func(d SPFCost) bool { return d.Term == c.Term }) {
				return i
			}
		}
		return -1
	})
	take(&s.remove, first(func(c SPFCost, t SPFTerm) bool { return c.Voids == c.Lookups || t.Name == "ptr" }))
	take(&s.replace, first(func(_ SPFCost, t SPFTerm) bool {
		return (t.Name == "a" || t.Name == "mx") && !strings.Contains(t.Value, "%")
	}))
	take(&s.drop, func(costs []SPFCost) int {
		best := min(0, len(costs)-1)
		for i, c := range costs {
			if c.Lookups >= excess-s.saved {
				best = i
			}
		}
		return best
	})
	return s
}
