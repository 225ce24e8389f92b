package panel

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/verify"
)

// reportOf is what the last check of a domain found; without one, or if it cannot be read
// any more, it is empty.
func reportOf(d store.CheckedDomain) verify.Report {
	var r verify.Report
	if json.Unmarshal([]byte(d.Report), &r) != nil {
		return verify.Report{}
	}
	return r
}

// count tells how many of the required records are right.
func count(r verify.Report) (right, required int) {
	for _, item := range r.Items {
		if item.Required {
			required++
			if item.Verdict == verify.OK {
				right++
			}
		}
	}
	return right, required
}

// records are those of a report about a domain.
func (q *request) records(domain string, r verify.Report) view.Records {
	var out view.Records
	for i, item := range r.Items {
		out.HasCNAME = out.HasCNAME || item.Record.Type == "CNAME"
		out.List = append(out.List, q.record(domain, "record-"+strconv.Itoa(i+1), item))
	}
	return out
}

func (q *request) record(domain, id string, item verify.Item) view.Record {
	r := view.Record{
		ID: id, Title: q.Label("record_title", string(item.Part)), Why: q.Label("record_why", string(item.Part)),
		Type: item.Record.Type, Name: item.Record.Name, Short: shortName(item.Record), Value: item.Record.Value,
		Verdict: string(item.Verdict), Label: q.Label("verdict", string(item.Verdict)), Required: item.Required, Found: item.Found,
	}
	if slices.ContainsFunc(item.Advice, func(a verify.Advice) bool { return a.Code == "dkim_name_doubled" }) {
		r.Short = strings.TrimSuffix(r.Name, "."+domain) // here the panel's zone is known
	}
	for _, a := range item.Advice {
		r.Advice = append(r.Advice, q.advice(r, a))
	}
	switch servers, cached := item.Behind(); {
	case cached:
		r.Servers = q.T("record.cached")
	case servers != "":
		r.Servers = q.T("record.differ", "Servers", servers)
	default:
		r.Servers = item.Servers
	}
	return r
}

// advice says what to do in the reader's language. Where only the check's own words say
// all, they stand below; a code that is not known here has only these.
func (q *request) advice(r view.Record, a verify.Advice) view.RecordAdvice {
	out := view.RecordAdvice{Level: string(a.Level), Text: a.Text}
	key := "domain_advice." + string(a.Code)
	saysMore := a.Detail != "" || slices.Contains(wordy(), a.Code)
	if !q.Has(key) || saysMore && q.Code == "en" {
		return out
	}
	out.Text = q.T(key, "Name", r.Name, "Short", r.Short, "Target", strings.TrimSuffix(r.Value, "."), "Found", strings.Join(r.Found, ", "),
		"Term", a.Term)
	more, ok := q.detail("record_detail", a.Detail)
	if ok {
		out.Text += " " + strings.Join(more, " ")
	} else if saysMore {
		out.Original = a.Text
	}
	if a.Domain != "" {
		out.Text += " " + q.T("record.elsewhere", "Domain", a.Domain)
	}
	return out
}

// wordy are the codes whose sentences say more than their translation: what a parser did not
// understand, which terms cost how much, what went wrong in the DNS. Usually the detail of
// the advice has it; a report of an older version has none, and a failure without a code
// neither.
func wordy() []verify.AdviceCode {
	return []verify.AdviceCode{
		verify.DMARCInvalid, verify.DMARCFault, verify.DMARCUnknown, verify.SPFSyntax, verify.SPFLookups, verify.SPFVoids,
		verify.SPFNoTarget, verify.SPFUnknown, verify.SPFPermError, "spf_not_passing",
	}
}

// shortName is the part of a record's name that most DNS panels want, which append the
// domain that was registered: "@" for that domain itself. What is no name of a domain, such
// as the address of a PTR record, stays.
func shortName(r verify.Record) string {
	if r.Type == "PTR" {
		return r.Name
	}
	zone, err := publicsuffix.EffectiveTLDPlusOne(r.Name)
	switch {
	case err != nil:
		return r.Name
	case zone == r.Name:
		return "@"
	default:
		return strings.TrimSuffix(r.Name, "."+zone)
	}
}
