package verify

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// The codes about DMARC.
const (
	DMARCMissing    AdviceCode = "dmarc_missing"     // no record, neither here nor at the organizational domain
	DMARCTwoRecords AdviceCode = "dmarc_two_records" // more than one, which receivers take for none
	DMARCInvalid    AdviceCode = "dmarc_invalid"     // one without effect
	DMARCFault      AdviceCode = "dmarc_fault"       // a part of it that receivers pass over
	DMARCLookalike  AdviceCode = "dmarc_lookalike"   // a TXT record that was meant to be DMARC and is not
	DMARCOtherText  AdviceCode = "dmarc_other_text"  // something else answers there, such as a wildcard
	DMARCInherited  AdviceCode = "dmarc_inherited"   // the record is that of the organizational domain
	DMARCEnforced   AdviceCode = "dmarc_enforced"    // p=quarantine or p=reject applies
	DMARCStrictDKIM AdviceCode = "dmarc_strict_dkim" // adkim=s
	DMARCStrictSPF  AdviceCode = "dmarc_strict_spf"  // aspf=s
	DMARCUnknown    AdviceCode = "dmarc_unknown"     // the DNS could not be asked
	dmarcProposal              = "v=DMARC1; p=none;" // observes, and changes nothing
)

// reDMARCLike is how records begin that were meant to be DMARC.
var reDMARCLike = regexp.MustCompile(`(?i)^[\s"'\\]*v?\s*[=:]?\s*DMARC\s*1[\s;:,]*`)

// DMARCReview is what receivers find for a From domain.
type DMARCReview struct {
	Verdict   Verdict     // OK; Missing; Wrong: there is one and it is void; Unknown: the DNS did not tell
	Name      string      // where the record was found, "" if nowhere
	Inherited bool        // that is the organizational domain, not the From domain
	Found     []string    // the TXT records there
	Record    DMARC       // valid if Verdict is OK
	Policy    DMARCPolicy // that applies to the From domain; "" without a valid record
	Propose   Record      // what to publish, zero if nothing has to be
	Advice    []Advice
}

// ReviewDMARC finds the record for a From domain (RFC 7489 section 6.6.3) and judges it:
//
//  1. It asks for TXT records at _dmarc of the From domain. What does not begin as a DMARC
//     record, such as the answer of a wildcard, counts as nothing.
//  2. If nothing is left, it asks at _dmarc of the organizational domain.
//  3. Several records are as good as none, and the search ends.
func ReviewDMARC(ctx context.Context, r dns.Resolver, domain string) DMARCReview {
	domain = asciiName(domain)
	v := DMARCReview{Verdict: Missing}
	var list adviceList
	names := []string{domain}
	if org := organizational(domain); org != domain {
		names = append(names, org)
	}
	for _, name := range names {
		answer, err := r.LookupTXT(ctx, "_dmarc."+name)
		if err != nil && dns.IsTemporary(err) {
			list.add(Advice{Code: DMARCUnknown, Level: AdviceNote, Text: "The DMARC record could not be read now: " + err.Error() + ".", Detail: failureDetail(err)})
			return DMARCReview{Verdict: Unknown, Advice: list}
		}
		records := slices.DeleteFunc(slices.Clone(answer.Records), func(s string) bool { return !isDMARC(s) })
		if len(records) == 0 {
			list.add(notDMARC(name, answer.Records)...)
			if better := repairDMARC(answer.Records); better != "" && v.Propose.Value == "" {
				v.Propose = Record{Type: "TXT", Name: "_dmarc." + name, Value: better}
			}
			continue
		}
		v.Name, v.Inherited, v.Found = "_dmarc."+name, name != domain, records
		break
	}
	v.judge(&list, domain)
	v.Advice = list
	return v
}

func isDMARC(text string) bool {
	_, err := ParseDMARC(text)
	return !errors.Is(err, ErrNotDMARC)
}

// notDMARC explains TXT records that are none.
func notDMARC(name string, txts []string) []Advice {
	var list adviceList
	for _, text := range txts {
		if reDMARCLike.MatchString(text) {
			list.add(Advice{Code: DMARCLookalike, Level: AdviceWarning, Term: text, Text: "The TXT record " + quoted(text) + " at _dmarc." + name +
				" looks like DMARC, but receivers do not take it for that: a record begins with v=DMARC1 and a semicolon, in this spelling."})
			continue
		}
		list.add(Advice{Code: DMARCOtherText, Level: AdviceNote, Term: text, Text: "What answers at _dmarc." + name + " (" + quoted(text) +
			") is not DMARC; probably a wildcard record of the domain answers for every name. Receivers pass it over, and a record at _dmarc takes its place."})
	}
	return list
}

// repairDMARC returns the record that one of txts was meant to be, "" if none was.
func repairDMARC(txts []string) string {
	for _, text := range txts {
		begin := reDMARCLike.FindString(text)
		if begin == "" {
			continue
		}
		rest := strings.Trim(strings.ReplaceAll(text[len(begin):], `"`, ""), ` \'`)
		if d, err := ParseDMARC("v=DMARC1; " + rest); err == nil {
			return d.String()
		}
	}
	return ""
}

func (v *DMARCReview) judge(list *adviceList, domain string) {
	propose := Record{Type: "TXT", Name: "_dmarc." + domain, Value: dmarcProposal}
	add := func(code AdviceCode, level AdviceLevel, text string) {
		list.add(Advice{Code: code, Level: level, Text: sentence(text)})
	}
	switch len(v.Found) {
	case 0:
		if v.Propose.Value == "" {
			v.Propose = propose
		}
		add(DMARCMissing, AdviceWarning, "there is no DMARC record: publish the TXT record "+quoted(v.Propose.Value)+" at "+v.Propose.Name+
			". Large receivers expect one; p=none changes nothing about delivery.")
		return
	case 1:
	default:
		v.Verdict = Wrong
		add(DMARCTwoRecords, AdviceError, v.Name+" has "+times(len(v.Found), "DMARC record")+", and receivers then use none of them "+
			"(RFC 7489 section 6.6.3): keep one and delete the others.")
		return
	}
	d, err := ParseDMARC(v.Found[0])
	if err != nil {
		v.Verdict = Wrong
		v.Propose = Record{Type: "TXT", Name: v.Name, Value: dmarcProposal}
		list.add(Advice{
			Code: DMARCInvalid, Level: AdviceError, Detail: invalidDetail(d, err),
			Text: "The DMARC record at " + v.Name + " has no effect, because " + err.Error() + ": correct it, for instance to " + quoted(dmarcProposal) + ".",
		})
		return
	}
	v.Verdict, v.Record, v.Policy, v.Propose = OK, d, d.Policy, Record{}
	if v.Inherited { // RFC 7489 section 6.3: sp
		v.Policy = d.SubdomainPolicy
		add(DMARCInherited, AdviceNote, "the DMARC record at "+v.Name+" counts for this domain too, with the policy "+string(v.Policy)+".")
	}
	for _, fault := range d.Faults {
		list.add(Advice{
			Code: DMARCFault, Level: AdviceWarning, Detail: fault.Detail,
			Text: "A part of the DMARC record at " + v.Name + " is passed over: " + fault.Text + ".",
		})
	}
	if v.Policy != DMARCNone {
		add(DMARCEnforced, AdviceNote, "the DMARC policy of the domain is "+string(v.Policy)+": mail without a valid DKIM signature of the domain "+
			"may be refused, so publish the DKIM records before sending.")
	}
	if d.StrictDKIM {
		add(DMARCStrictDKIM, AdviceNote, "the tag adkim=s is fine: mail is signed in the name of exactly the domain in From.")
	}
	if d.StrictSPF {
		add(DMARCStrictSPF, AdviceNote, "with aspf=s, SPF does not count for DMARC, because bounces go to "+route.BounceDomain(domain)+
			" and not to "+domain+" itself: mail passes DMARC by its DKIM signature alone. aspf=r would let SPF count as well.")
	}
}

// invalidDetail says why a record has no effect.
func invalidDetail(d DMARC, err error) waypost.Detail {
	switch {
	case errors.Is(err, ErrDMARCDuplicate):
		return waypost.NewDetail(detailTagTwice)
	case errors.Is(err, ErrDMARCPolicy):
		return waypost.NewDetail(detailNoPolicy)
	default:
		return waypost.NewDetail(detailBadSP, "value", quoted(d.value("sp")))
	}
}
