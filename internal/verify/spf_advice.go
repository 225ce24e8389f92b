package verify

import (
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// Advice is one thing found about a domain's SPF or DMARC, with what to do about it.
type Advice struct {
	Code   AdviceCode  `json:"code"`
	Level  AdviceLevel `json:"level"`
	Domain string      `json:"domain,omitempty"` // whose record it is about; "": the domain that was asked about
	Term   string      `json:"term,omitempty"`   // of that record, as written; "": the whole of it
	Text   string      `json:"text"`             // one or two sentences for people

	// Detail is what Text says beyond Code, for who says it in another language; "" for
	// nothing, or what only Text can say.
	Detail waypost.Detail `json:"-"`
}

// AdviceLevel says how much an Advice matters.
type AdviceLevel string

// The levels.
const (
	AdviceError   AdviceLevel = "error"   // receivers cannot use the record, or our mail does not pass
	AdviceWarning AdviceLevel = "warning" // it works, and does not do what its owner wants
	AdviceNote    AdviceLevel = "note"    // good to know
)

// AdviceCode names what was found. Codes stay; sentences may change.
type AdviceCode string

// The codes about SPF.
const (
	SPFMissing         AdviceCode = "spf_missing"           // no record
	SPFTwoRecords      AdviceCode = "spf_two_records"       // more than one, which receivers take for none that is valid
	SPFLookalike       AdviceCode = "spf_lookalike"         // a TXT record that was meant to be SPF and is not
	SPFSyntax          AdviceCode = "spf_syntax"            // a term that is not valid
	SPFSeparators      AdviceCode = "spf_separators"        // tabs, line breaks or quotes between terms
	SPFIncludeMissing  AdviceCode = "spf_include_missing"   // our include is not there
	SPFIncludeWeak     AdviceCode = "spf_include_qualifier" // it is there, but as -include, ~include or ?include
	SPFIncludeLate     AdviceCode = "spf_include_after_all" // it is there, where nobody reads on
	SPFIncludeTwice    AdviceCode = "spf_include_twice"     // it is there more than once
	SPFAllBlocks       AdviceCode = "spf_all_blocks"        // the first record of a domain that others may send for
	SPFAllSoft         AdviceCode = "spf_all_soft"          // ~all or ?all
	SPFAllowsAll       AdviceCode = "spf_allows_all"        // +all and the like
	SPFNoAll           AdviceCode = "spf_no_all"            // neither all nor redirect
	SPFAfterAll        AdviceCode = "spf_after_all"         // terms that nobody reads
	SPFRedirectIgnored AdviceCode = "spf_redirect_ignored"  // redirect beside all
	SPFEquals          AdviceCode = "spf_equals_sign"       // include=x where include:x was meant
	SPFPTR             AdviceCode = "spf_ptr"               // the mechanism not to be used any more
	SPFSplit           AdviceCode = "spf_split"             // longer than one string of a TXT record
	SPFLong            AdviceCode = "spf_long"              // longer than a DNS packet likes
	SPFLookups         AdviceCode = "spf_lookups"           // more than 10
	SPFLookupsNear     AdviceCode = "spf_lookups_near"      // 9 or 10
	SPFVoid            AdviceCode = "spf_void"              // a name that does not exist
	SPFVoids           AdviceCode = "spf_voids"             // more than 2 of them
	SPFBadName         AdviceCode = "spf_bad_name"          // what cannot be a domain name
	SPFLoop            AdviceCode = "spf_loop"              // a record that includes itself
	SPFNoTarget        AdviceCode = "spf_no_target"         // include or redirect of a domain without SPF
	SPFManyMX          AdviceCode = "spf_many_mx"           // mx of a domain with more than 10
	SPFMacro           AdviceCode = "spf_macro"             // costs that depend on the mail
	SPFEndless         AdviceCode = "spf_endless"           // too big to be followed to its end
	SPFUnknown         AdviceCode = "spf_unknown"           // the DNS could not be asked
	SPFBlocked         AdviceCode = "spf_blocked"           // an earlier term decides about our addresses
	SPFNotListed       AdviceCode = "spf_not_listed"        // the platform's own record misses an address
	SPFPermError       AdviceCode = "spf_permerror"         // receivers give up before they come to our addresses
)

// adviceList collects advice, each once.
type adviceList []Advice

func (l *adviceList) add(more ...Advice) {
	for _, a := range more {
		if !slices.Contains(*l, a) {
			*l = append(*l, a)
		}
	}
}

// ownerOf names a domain's SPF record within a sentence.
func ownerOf(domain string) string {
	if domain == "" {
		return "the domain's SPF record"
	}
	return "the SPF record of " + domain
}

// repairOf says who has to mend it.
func repairOf(domain string) string {
	if domain == "" {
		return ""
	}
	return " Whoever runs " + domain + " has to repair it; until then remove what leads there."
}

// sentence begins with a capital letter.
func sentence(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

// times writes "1 lookup", "2 lookups".
func times(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// and joins for reading: "a, b and c".
func and(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:len(items)-1], ", ") + " and " + items[len(items)-1]
}

// quoted shows text of others: visible, and not longer than a line.
func quoted(s string) string {
	const most = 200
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

// faultAdvice is about the terms of a record that are not valid.
func faultAdvice(domain string, s SPF) []Advice {
	var list adviceList
	for _, err := range s.faults(5) {
		detail := waypost.NewDetail(detailFault, "fault", err.Reason)
		text := ownerOf(domain) + " has a term that is not valid, " + err.Error() + ". Receivers ignore the whole record until it is corrected"
		if err.Instead != "" {
			text += ": write " + err.Instead
			detail = waypost.Details(detail, waypost.NewDetail(detailInstead, "term", err.Instead))
		}
		list.add(Advice{
			Code: SPFSyntax, Level: AdviceError, Domain: domain, Term: err.Term, Text: sentence(text) + "." + repairOf(domain), Detail: detail,
		})
	}
	return list
}

// lintSPF says what can be seen from a record alone.
func lintSPF(domain string, s SPF) []Advice {
	list := adviceList(faultAdvice(domain, s))
	add := func(code AdviceCode, level AdviceLevel, term, text string) {
		list.add(Advice{Code: code, Level: level, Domain: domain, Term: term, Text: sentence(text)})
	}
	own := ownerOf(domain)
	end := s.all()
	for i, t := range s.Terms {
		switch {
		case t.Err != nil || t.Modifier || i > end:
		case t.Name == "ptr" && domain == "":
			add(SPFPTR, AdviceWarning, t.Text, own+" uses ptr, which is slow, unreliable and not to be used any more "+
				"(RFC 7208 section 5.5): name the addresses with ip4: and ip6: instead.")
		case t.Name == "ptr":
			add(SPFPTR, AdviceNote, t.Text, own+" uses ptr, which is not to be used any more (RFC 7208 section 5.5).")
		case t.Qualifier == '+' && t.matchesEveryone():
			add(SPFAllowsAll, AdviceWarning, t.Text, quoted(t.Text)+" in "+own+" allows everyone to send in the name of the domain: write ~all or -all instead."+
				repairOf(domain))
		}
	}
	if domain == "" {
		list.add(lintOwnSPF(s, end)...)
	}
	return list
}

// lintOwnSPF says what is for the owner of a record only. end is the place of all.
func lintOwnSPF(s SPF, end int) []Advice {
	var list adviceList
	add := func(code AdviceCode, level AdviceLevel, term, text string) {
		list.add(Advice{Code: code, Level: level, Term: term, Text: text})
	}
	redirect := ""
	var after []string
	for i, t := range s.Terms {
		switch {
		case t.Err != nil:
		case t.Modifier && t.Name == "redirect":
			redirect = t.Text
		case t.Modifier && isMechanism(t.Name):
			add(SPFEquals, AdviceWarning, t.Text, quoted(t.Text)+" in the domain's SPF record has no effect: a mechanism is written with a colon, "+
				quoted(t.Name+":"+t.Value)+".")
		case !t.Modifier && i > end && len(after) < 5:
			after = append(after, t.Text)
		}
	}
	if len(after) > 0 {
		add(SPFAfterAll, AdviceWarning, after[0], "Nothing after "+s.Terms[end].Text+" in the domain's SPF record has any effect: move "+
			and(after)+" before it, or remove it.")
	}
	switch hasAll := end < len(s.Terms); {
	case hasAll && redirect != "":
		add(SPFRedirectIgnored, AdviceWarning, redirect, quoted(redirect)+" in the domain's SPF record has no effect beside "+s.Terms[end].Text+
			": remove one of the two (RFC 7208 section 6.1).")
	case !hasAll && redirect == "" && len(s.faults(1)) == 0:
		add(SPFNoAll, AdviceNote, "", "The domain's SPF record says nothing about all other senders. Mail through this "+
			"gateway passes; ~all or -all at the end would keep others from using the name.")
	case hasAll && (s.Terms[end].Qualifier == '~' || s.Terms[end].Qualifier == '?'):
		add(SPFAllSoft, AdviceNote, s.Terms[end].Text, s.Terms[end].Text+" is fine: mail through this gateway passes before it is reached.")
	}
	return list
}
