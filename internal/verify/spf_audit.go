package verify

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/waypost"
)

// Limits of RFC 7208 section 4.6.4 on what one check of one mail may ask.
const (
	spfMostLookups = 10
	spfMostVoids   = 2
	spfMostMX      = 10
)

// Limits on what an audit does with records that others write.
const (
	auditMostQueries = 30 // a record within the limits needs at most 11
	auditMostLookups = 60 // counted without asking: ptr, macros
)

// SPFCost is what a term of the audited record takes, with all that it leads to.
type SPFCost struct {
	Term    string
	Lookups int
	Voids   int
}

// SPFAudit is what an SPF record costs its readers, and what is wrong with it: the worst
// case, an address that no term but the last one matches. Our include is the last one but
// all, so that is what our mail meets.
type SPFAudit struct {
	Record  string    // "" if there is none
	Verdict Verdict   // OK; Missing; Wrong: permerror; Unknown: the DNS did not tell
	Lookups int       // that count: of include, a, mx, ptr, exists, redirect
	Voids   int       // of those, how many find nothing
	Exact   bool      // else they are at least that many
	Costs   []SPFCost // of each term that takes lookups, in order
	Queries int       // that the audit made
	Advice  []Advice
}

// AuditSPF follows the SPF record of a domain to its end, through everything it includes.
// include is the name that must stay in the record, or "". What the record would be worth
// after a change can be seen before it is published, through WithTXT.
func AuditSPF(ctx context.Context, r dns.Resolver, domain, include string) SPFAudit {
	w := &spfWalk{ctx: ctx, r: r, origin: asciiName(domain), include: include, audit: SPFAudit{Exact: true}}
	found := w.follow(w.origin)
	a := &w.audit
	w.sum()
	switch {
	case w.permFail: // for certain, whatever else could not be asked
		a.Verdict = Wrong
	case found == spfNone:
		a.Verdict = Missing
		w.note(SPFMissing, AdviceError, "", "the domain has no SPF record.")
	case w.trouble != nil:
		a.Verdict = Unknown
		w.noteDetail(SPFUnknown, AdviceNote, "", "the SPF record could not be judged now, because the DNS did not answer: "+w.trouble.Error()+".",
			failureDetail(w.trouble))
	default:
		a.Verdict = OK
	}
	a.Advice = w.advice
	return *a
}

// spfFound is what became of the record of a domain.
type spfFound int

const (
	spfRecord  spfFound = iota // there is one, right or wrong
	spfNone                    // there is none, for certain
	spfTrouble                 // there is no telling, or no going on
)

// spfWalk evaluates records as check_host() does (RFC 7208 section 4), for an address
// that nothing matches.
type spfWalk struct {
	ctx      context.Context
	r        dns.Resolver
	origin   string
	include  string
	path     []string // domains whose records are open, outermost first
	audit    SPFAudit
	advice   adviceList
	voids    []string
	stopped  bool  // too much to follow
	trouble  error // the first temporary failure
	permFail bool  // receivers give up
}

// domain is the current one as Advice has it: "" for the audited one.
func (w *spfWalk) domain() string {
	if len(w.path) < 2 {
		return ""
	}
	return w.path[len(w.path)-1]
}

func (w *spfWalk) note(code AdviceCode, level AdviceLevel, term, text string) {
	w.noteDetail(code, level, term, text, "")
}

func (w *spfWalk) noteDetail(code AdviceCode, level AdviceLevel, term, text string, detail waypost.Detail) {
	w.advice.add(Advice{Code: code, Level: level, Domain: w.domain(), Term: term, Text: sentence(text), Detail: detail})
}

// broken notes what makes receivers give up (RFC 7208 section 2.6.7).
func (w *spfWalk) broken(code AdviceCode, term, text string, detail ...waypost.Detail) {
	w.permFail = true
	w.noteDetail(code, AdviceError, term, text, waypost.Details(detail...))
}

// ask reports whether another question may be asked.
func (w *spfWalk) ask() bool {
	if w.audit.Queries == auditMostQueries {
		w.endless()
		return false
	}
	w.audit.Queries++
	return true
}

func (w *spfWalk) endless() {
	w.stopped = true
	w.audit.Exact, w.permFail = false, true
	w.advice.add(Advice{Code: SPFEndless, Level: AdviceError, Text: "The SPF record is too big to be followed to its end; " +
		"receivers give up much earlier. Remove includes."})
}

// failed sorts a failed lookup: it reports whether that is for certain.
func (w *spfWalk) failed(err error) (certain bool) {
	if !dns.IsTemporary(err) {
		return true
	}
	w.audit.Exact = false
	if w.trouble == nil {
		w.trouble = err
	}
	return false
}

// follow evaluates the record of a domain.
func (w *spfWalk) follow(domain string) spfFound {
	if !w.ask() {
		return spfTrouble
	}
	answer, err := w.r.LookupTXT(w.ctx, domain)
	if err != nil {
		if w.failed(err) {
			return spfNone // RFC 7208 sections 4.3 and 4.4
		}
		return spfTrouble
	}
	record, err := PickSPF(answer.Records)
	w.path = append(w.path, asciiName(domain))
	defer func() { w.path = w.path[:len(w.path)-1] }()
	switch {
	case errors.Is(err, ErrNoSPF):
		return spfNone
	case errors.Is(err, ErrTwoSPF):
		w.broken(SPFTwoRecords, "", sentence(ownerOf(w.domain()))+" is there more than once, and receivers then use none of them (RFC 7208 section 4.5)."+repairOf(w.domain()))
		return spfRecord
	case err != nil:
		w.permFail = true // RFC 7208 section 4.6; lintSPF says it
	}
	if len(w.path) == 1 {
		w.audit.Record = record.String()
	}
	w.advice.add(lintSPF(w.domain(), record)...)
	w.terms(record)
	return spfRecord
}

func (w *spfWalk) terms(s SPF) {
	var redirect *SPFTerm
	for i, t := range s.Terms {
		switch {
		case w.stopped:
			return
		case t.Err != nil:
		case t.Modifier:
			if t.Name == "redirect" {
				redirect = &s.Terms[i]
			}
		case t.Name == "all":
			return // RFC 7208 section 5.1: the rest is ignored, and redirect too (section 6.1)
		default:
			w.cost(t, w.mechanism)
		}
	}
	if redirect != nil {
		w.cost(*redirect, w.into)
	}
}

// cost evaluates a term and notes what it took, if it is one of the audited record.
func (w *spfWalk) cost(t SPFTerm, evaluate func(SPFTerm)) {
	if w.audit.Lookups == auditMostLookups {
		w.endless()
		return
	}
	lookups, voids := w.audit.Lookups, w.audit.Voids
	evaluate(t)
	c := SPFCost{Term: t.Text, Lookups: w.audit.Lookups - lookups, Voids: w.audit.Voids - voids}
	if len(w.path) == 1 && c.Lookups > 0 {
		w.audit.Costs = append(w.audit.Costs, c)
	}
}

// mechanism counts the lookup of a mechanism (RFC 7208 section 4.6.4) and makes it.
func (w *spfWalk) mechanism(t SPFTerm) {
	switch t.Name {
	case "include":
		w.into(t)
	case "ptr":
		w.audit.Lookups++ // its question is about the sending address
	case "a", "mx", "exists":
		w.audit.Lookups++
		if name, ok := w.target(t); ok && w.ask() {
			w.find(t, name)
		}
	}
}

// target is the name a term is about, if that can be known before a mail comes.
func (w *spfWalk) target(t SPFTerm) (string, bool) {
	here := w.path[len(w.path)-1]
	if t.Value == "" {
		return here, true
	}
	name, ok := expandName(t.Value, here, w.origin)
	if !ok {
		w.note(SPFMacro, AdviceNote, t.Text, quoted(t.Text)+" in "+ownerOf(w.domain())+" depends on each mail: it is counted as one lookup, "+
			"and may take more or find nothing.")
		w.audit.Exact = false
	}
	return name, ok
}

// find asks what a, mx and exists ask.
func (w *spfWalk) find(t SPFTerm, name string) {
	var err error
	if t.Name == "mx" {
		var answer dns.Answer[dns.MX]
		if answer, err = w.r.LookupMX(w.ctx, name); len(answer.Records) > spfMostMX {
			w.broken(SPFManyMX, t.Text, "the domain "+name+" has "+times(len(answer.Records), "MX record")+", and receivers take mx of at most 10 "+
				"(RFC 7208 section 4.6.4): replace "+quoted(t.Text)+" in "+ownerOf(w.domain())+" by ip4: and ip6:."+repairOf(w.domain()))
		}
	} else {
		_, err = w.r.LookupIP(w.ctx, name)
	}
	if err == nil && t.Name == "exists" && t.Qualifier == '+' { // what does not depend on the mail matches all of them
		w.note(SPFAllowsAll, AdviceWarning, t.Text, quoted(t.Text)+" in "+ownerOf(w.domain())+" allows everyone to send in the name of the domain, "+
			"because "+name+" has an address: remove it."+repairOf(w.domain()))
	}
	if err == nil || !w.failed(err) {
		return
	}
	w.audit.Voids++ // RFC 7208 section 4.6.4: no such name, or no such record
	w.voids = append(w.voids, t.Text)
	if isBadName(err) {
		w.note(SPFBadName, AdviceWarning, t.Text, quoted(t.Text)+" in "+ownerOf(w.domain())+" holds no domain name"+stuck(t)+"; it never matches.")
		return
	}
	level := AdviceWarning
	if w.domain() != "" {
		level = AdviceNote
	}
	w.note(SPFVoid, level, t.Text, quoted(t.Text)+" in "+ownerOf(w.domain())+" finds nothing in the DNS: remove it. Receivers stop after two of that kind.")
}

// into follows include and redirect.
func (w *spfWalk) into(t SPFTerm) {
	w.audit.Lookups++
	name, ok := w.target(t)
	if !ok {
		return
	}
	owner := ownerOf(w.domain())
	if slices.ContainsFunc(w.path, func(open string) bool { return sameName(open, name) }) {
		w.audit.Exact = false
		w.broken(SPFLoop, t.Text, quoted(t.Text)+" in "+owner+" leads back to "+name+", in a circle without end: remove it."+repairOf(w.domain()))
		return
	}
	if w.follow(name) != spfNone {
		return
	}
	// RFC 7208 sections 5.2 and 6.1: no record is permerror there.
	text := quoted(t.Text) + " in " + owner + " leads to " + name + ", which has no SPF record, and receivers then give up"
	details := []waypost.Detail{waypost.NewDetail(detailLeadsTo, "name", name)}
	switch {
	case w.include != "" && sameName(name, w.include):
		text += ". That record is the platform's to publish."
		details = append(details, waypost.NewDetail(detailPlatforms))
	case w.domain() == "":
		text += ": remove it" + stuck(t) + "."
		details = append(details, waypost.NewDetail(detailRemoveIt))
		if stuck(t) != "" {
			details = append(details, waypost.NewDetail(detailSpace))
		}
	default:
		text += "." + repairOf(w.domain())
	}
	w.broken(SPFNoTarget, t.Text, text, details...)
}

func isBadName(err error) bool {
	e, ok := errors.AsType[*dns.Error](err)
	return ok && e.Failure == dns.BadName
}

// stuck is a guess why a name is none.
func stuck(t SPFTerm) string {
	if strings.Contains(t.Value, ":") {
		return " (is a space missing in it?)"
	}
	return ""
}
