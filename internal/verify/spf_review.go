package verify

import (
	"context"
	"net/netip"
	"slices"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/waypost"
)

// SPFReview is the whole judgement of a domain's SPF.
type SPFReview struct {
	Verdict Verdict      // OK: mail from every address passes. Unknown: nothing follows, and Merged is empty
	Found   []string     // SPF records, and TXT records that were meant to be some
	Merged  Merged       // what to publish
	Audit   SPFAudit     // of that
	Passing []SPFPassing // with that
	Advice  []Advice     // about all of it, errors first
}

// ReviewSPF judges whether a domain authorizes this gateway, and what to publish so that
// it does:
//
//  1. It reads the TXT records of the domain. Without an answer it says nothing: a record
//     proposed now could overwrite one that could not be seen.
//  2. MergeTXT makes the record to publish, which is the one there is if that is right.
//  3. AuditSPF and PassesSPF judge that record as if it were published.
//
// include is the name of the platform's record, addrs are the addresses mail leaves from;
// without any, the audit alone decides.
func ReviewSPF(ctx context.Context, r dns.Resolver, domain, include string, addrs []netip.Addr) SPFReview {
	answer, err := r.LookupTXT(ctx, domain)
	if err != nil && dns.IsTemporary(err) {
		return SPFReview{Verdict: Unknown, Audit: SPFAudit{Verdict: Unknown}, Advice: []Advice{{
			Code: SPFUnknown, Level: AdviceNote, Text: "The domain's TXT records could not be read now: " + err.Error() + ".", Detail: failureDetail(err),
		}}}
	}
	v := SPFReview{Merged: MergeTXT(answer.Records, include)}
	for _, text := range answer.Records {
		if _, lookalike := repairSPF(text); lookalike || isSPF(text) {
			v.Found = append(v.Found, text)
		}
	}
	list := adviceList(v.Merged.Warnings)
	if v.Merged.Replaces == "" {
		list.add(othersBlocked(ctx, r, domain)...)
	}
	then := WithTXT(r, domain, v.Merged.Record)
	v.Audit = AuditSPF(ctx, then, domain, include)
	list.add(v.Audit.Advice...)
	v.Passing = PassesSPF(ctx, then, addrs, domain, "")
	list.add(v.notPassing(ctx, then, domain, include)...)
	slices.SortStableFunc(list, func(a, b Advice) int { return a.Level.rank() - b.Level.rank() })
	v.Advice = list

	fails := slices.ContainsFunc(v.Passing, func(p SPFPassing) bool { return p.Result != SPFPass && p.Result != SPFUnsure })
	unsure := slices.ContainsFunc(v.Passing, func(p SPFPassing) bool { return p.Result == SPFUnsure })
	switch {
	case len(v.Found) == 0:
		v.Verdict = Missing
	case v.Merged.Changed || fails:
		v.Verdict = Wrong
	case unsure:
		v.Verdict = Unknown
	case len(addrs) == 0:
		v.Verdict = v.Audit.Verdict
	default:
		// The audit may still find fault: with what comes after our addresses.
		v.Verdict = OK
	}
	return v
}

func (l AdviceLevel) rank() int {
	return slices.Index([]AdviceLevel{AdviceError, AdviceWarning, AdviceNote}, l)
}

// othersBlocked warns that the first SPF record of a domain is about all mail from it. A
// domain that receives mail probably sends it too.
func othersBlocked(ctx context.Context, r dns.Resolver, domain string) []Advice {
	answer, err := r.LookupMX(ctx, domain)
	switch {
	case err != nil && !dns.IsTemporary(err):
		return nil
	case err == nil && len(answer.Records) == 1 && answer.Records[0].Host == ".":
		return nil // RFC 7505: it takes no mail
	}
	text := "The domain receives mail (it has MX records) and has had no SPF record yet. With -all only this gateway can send in its name: " +
		"add the servers of its mailboxes first (their provider names an include, often mx is enough), or write ~all instead."
	if err != nil {
		text = "If others send in the name of the domain, -all blocks them: add their includes first, or write ~all instead."
	}
	return []Advice{{Code: SPFAllBlocks, Level: AdviceWarning, Text: text}}
}

// notPassing says why addresses would not pass.
func (v *SPFReview) notPassing(ctx context.Context, r dns.Resolver, domain, include string) []Advice {
	var list adviceList
	for _, p := range v.Passing {
		addr := []netip.Addr{p.Addr}
		switch p.Result {
		case SPFPass:
		case SPFUnsure:
			list.add(Advice{Code: SPFUnknown, Level: AdviceNote, Text: p.Explanation, Detail: p.Detail})
		case SPFBroken:
			text, detail := p.Explanation, p.Detail
			front := v.Merged.inFront(include)
			if PassesSPF(ctx, WithTXT(r, domain, front), addr, domain, "")[0].Result == SPFPass {
				text += " Until that is mended, the record passes it with the include in front: " + quoted(front) + "."
				detail = waypost.Details(detail, waypost.NewDetail(detailInFront, "record", front))
			}
			list.add(Advice{Code: SPFPermError, Level: AdviceError, Text: text, Detail: detail})
		default:
			if PassesSPF(ctx, r, addr, include, "")[0].Result == SPFPass {
				list.add(Advice{Code: SPFBlocked, Level: AdviceError, Text: "A term that stands before include:" + include + " decides about " +
					p.Addr.String() + " already (" + string(p.Result) + "): remove that term, or move it behind the include."})
				continue
			}
			list.add(Advice{Code: SPFNotListed, Level: AdviceError, Text: "The platform's record " + include + " does not list " + p.Addr.String() +
				": that is the platform's to mend."})
		}
	}
	return list
}

// inFront is the record with our include before everything else, where receivers come to
// it before any limit (RFC 7208 section 4.6.2: the first match ends the evaluation).
func (m Merged) inFront(include string) string {
	s, _ := ParseSPF(m.Record) // a fault in it stays one
	i := slices.IndexFunc(s.Terms, func(t SPFTerm) bool { return t.includes(include) })
	if i < 0 {
		return m.Record
	}
	ours := s.Terms[i]
	s.Terms = slices.Insert(slices.Delete(s.Terms, i, i+1), 0, ours)
	return s.tidy().String()
}
