package verify

import (
	"errors"
	"slices"
	"strings"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/waypost"
)

// What advice says beyond its code, with what it is filled in with: for who says it in
// another language.
const (
	detailFault        waypost.DetailCode = "fault"      // fault: an SPFFault
	detailInstead      waypost.DetailCode = "instead"    // term
	detailDNS          waypost.DetailCode = "dns_failed" // failure: a dns.Failure; type, name
	detailDNSAt        waypost.DetailCode = "dns_failed_at"
	detailTooMany      waypost.DetailCode = "too_many_questions"
	detailPTR          waypost.DetailCode = "ptr_not_evaluated"
	detailLookups      waypost.DetailCode = "lookups" // lookups
	detailLookupsLeast waypost.DetailCode = "lookups_at_least"
	detailCosts        waypost.DetailCode = "costs"        // terms
	detailRemove       waypost.DetailCode = "save_remove"  // terms
	detailReplace      waypost.DetailCode = "save_replace" // terms
	detailDrop         waypost.DetailCode = "save_drop"    // terms
	detailLeaves       waypost.DetailCode = "leaves"       // lookups
	detailVoids        waypost.DetailCode = "voids"        // voids, terms
	detailLeadsTo      waypost.DetailCode = "leads_to"     // name
	detailPlatforms    waypost.DetailCode = "platforms_record"
	detailRemoveIt     waypost.DetailCode = "remove_it"
	detailSpace        waypost.DetailCode = "space_missing"
	detailUnsure       waypost.DetailCode = "unsure"    // address
	detailGivesUp      waypost.DetailCode = "gives_up"  // address; why: an AdviceCode
	detailNoRecord     waypost.DetailCode = "no_record" // address
	detailSays         waypost.DetailCode = "says"      // address, result
	detailInFront      waypost.DetailCode = "in_front"  // record
	detailTagTwice     waypost.DetailCode = "tag_twice"
	detailNoPolicy     waypost.DetailCode = "no_policy"
	detailBadSP        waypost.DetailCode = "bad_sp"         // value
	detailNotNameValue waypost.DetailCode = "not_name_value" // value
	detailPercent      waypost.DetailCode = "percent"        // value
	detailReports      waypost.DetailCode = "reports"        // value
	detailPolicies     waypost.DetailCode = "policies"
	detailAlignment    waypost.DetailCode = "alignment" // tag, value
)

// failureDetail says why there is no answer, "" if there is no code for it.
func failureDetail(err error) waypost.Detail {
	e, ok := errors.AsType[*dns.Error](err)
	switch {
	case errors.Is(err, errTooManyQuestions):
		return waypost.NewDetail(detailTooMany)
	case errors.Is(err, errNoReverse):
		return waypost.NewDetail(detailPTR)
	case !ok:
		return ""
	case e.Server != "":
		return waypost.NewDetail(detailDNSAt, "failure", e.Failure, "type", e.Type, "name", e.Name, "server", e.Server)
	default:
		return waypost.NewDetail(detailDNS, "failure", e.Failure, "type", e.Type, "name", e.Name)
	}
}

// termsDetail lists terms, shortened as in few.
func termsDetail(code waypost.DetailCode, terms []string, pairs ...any) waypost.Detail {
	if len(terms) == 0 {
		return ""
	}
	if len(terms) > mostFew {
		terms = append(slices.Clone(terms[:mostFew]), "…")
	}
	return waypost.NewDetail(code, append(pairs, "terms", strings.Join(terms, ", "))...)
}
