package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/waypost"
)

// Source is one consistent reading of authoritative name servers; *dns.Session is one.
type Source interface {
	dns.Resolver
	Lookup(ctx context.Context, name string, t dns.Type) (dns.Authoritative, error)
}

// Checker looks at the records of domains.
type Checker struct {
	Settings Settings
	Source   func() Source // a new reading for each check
	Caches   dns.Resolver  // a recursive resolver, as receivers have one
}

// Check looks at all records of a domain. rivals are the proofs of other operators that
// have proven it: while one of them is still published, this operator's proof does not
// count.
func (c *Checker) Check(ctx context.Context, d waypost.Domain, rivals []string, now time.Time) Report {
	source := c.Source()
	r := Report{At: now}
	r.Items = append(r.Items, c.ownership(ctx, source, d, rivals))
	for i := range c.Settings.Selectors {
		r.Items = append(r.Items, c.dkim(ctx, source, d, i))
	}
	r.Items = append(r.Items, c.spf(ctx, source, d), c.dmarc(ctx, source, d))
	if !c.Settings.UpstreamSigns {
		r.Items = append(r.Items, c.returnPath(ctx, source, d))
	}
	return r
}

func (c *Checker) ownership(ctx context.Context, source Source, d waypost.Domain, rivals []string) Item {
	item := Item{Part: Ownership, Required: true, Record: c.Settings.ownership(d)}
	if item.Record.Value == "" {
		item.Verdict = Missing
		item.advise("ownership_key_awaited", AdviceError, "The key of this record comes from the platform's support. Ask for it.")
		return item
	}
	found, ok := item.look(ctx, source, d.Name, dns.TypeTXT)
	if !ok {
		return item
	}
	prefix := strings.ToLower(c.Settings.Prefix + "_verify.")
	keys := found.Records
	if found.CNAME != "" {
		item.Verdict = Wrong
		item.advise("ownership_alias", AdviceError,
			fmt.Sprintf("%s is an alias (CNAME) of %s, and beside an alias there can be no other record. Replace it by A and AAAA records, or use another domain.", d.Name, found.CNAME))
		return item
	}
	for _, text := range keys {
		if strings.HasPrefix(strings.ToLower(text), prefix) {
			item.Found = append(item.Found, text)
		}
	}
	rival, all := c.rival(found, d, rivals)
	switch {
	case rival:
		item.Verdict = Wrong
		item.advise("ownership_other", AdviceError,
			"Another operator of this platform has proven this domain, and its record is still published. Remove the "+prefix+" records that are not yours; then yours counts.")
	case slices.Contains(keys, item.Record.Value) && len(rivals) > 0 && found.Omitted > 0:
		item.Verdict = Unknown
		item.advise("ownership_servers", AdviceWarning, "Another operator of this platform has proven this domain, and it has more name servers than are asked. Tell the platform's support, which can end the other claim.")
	case slices.Contains(keys, item.Record.Value) && len(rivals) > 0 && !all:
		item.Verdict = Unknown
		item.advise("ownership_unsure", AdviceWarning, "Another operator of this platform has proven this domain, and not all of its name servers answer now. Your record counts once all of them say that the other one is gone.")
	case slices.Contains(keys, item.Record.Value):
		item.Verdict = OK
	case len(item.Found) > 0:
		item.Verdict = Wrong
		item.advise("ownership_wrong", AdviceError, "There is an ownership record with another key. Add this one; the other may stay if another service needs it.")
	default:
		item.Verdict = Missing
		item.advise("ownership_missing", AdviceError, "Add this TXT record at the domain itself (some panels call that name @). Other TXT records stay.")
	}
	return item
}

// rival reports whether any name server still has the record of another operator, and
// whether all of them were heard: a domain is not taken from its owner because one server
// lags behind or is silent.
func (c *Checker) rival(found dns.Authoritative, d waypost.Domain, rivals []string) (seen, all bool) {
	all = found.Omitted == 0
	for _, server := range found.Servers {
		all = all && server.Authoritative()
		for _, rival := range rivals {
			seen = seen || slices.Contains(server.Records, c.Settings.ownership(waypost.Domain{Name: d.Name, Proof: rival}).Value)
		}
	}
	return seen, all
}

func (c *Checker) dkim(ctx context.Context, source Source, d waypost.Domain, i int) Item {
	item := Item{Part: []Part{DKIM1, DKIM2}[i], Required: true, Record: c.Settings.dkim(d, i)}
	want := strings.TrimSuffix(item.Record.Value, ".")
	name := item.Record.Name
	found, ok := item.look(ctx, source, name, dns.TypeCNAME)
	if !ok {
		return item
	}
	item.Found = append(item.Found, found.Records...)
	switch {
	case len(found.Records) == 1 && strings.EqualFold(found.Records[0], want):
		item.Verdict = OK
		if c.Settings.UpstreamSigns {
			c.keyBehind(ctx, source, &item)
		}
	case len(found.Records) > 0:
		item.Verdict = Wrong
		text := fmt.Sprintf("The record points to %s. It has to point to %s.", strings.Join(found.Records, ", "), want)
		if len(found.Records) == 1 && strings.EqualFold(found.Records[0], want+"."+d.Name) {
			text += " The panel has appended your domain: write the value with a dot at its end."
		}
		item.advise("dkim_wrong", AdviceError, text)
	default:
		item.Verdict = Missing
		c.explainMissing(ctx, source, &item, d)
	}
	if item.Verdict == OK {
		c.cached(ctx, &item, name)
	}
	return item
}

// explainMissing finds out what happened to a CNAME record that is not there: the usual
// mistakes of panels have signs of their own.
func (c *Checker) explainMissing(ctx context.Context, source Source, item *Item, d waypost.Domain) {
	name := item.Record.Name
	if text, err := source.Lookup(ctx, name, dns.TypeTXT); err == nil && len(text.Records) > 0 {
		item.Verdict = Wrong
		item.Found = text.Records
		item.advise("dkim_text", AdviceError,
			"There is a TXT record at this name instead of a CNAME. It may work now, and stops when the platform changes its key. Replace it by the CNAME (if your provider \"flattens\" or \"proxies\" CNAME records, switch that off for this one).")
		return
	}
	doubled := name + "." + d.Name
	if twice, err := source.Lookup(ctx, doubled, dns.TypeCNAME); err == nil && len(twice.Records) > 0 {
		item.advise("dkim_name_doubled", AdviceError,
			fmt.Sprintf("The record is at %s. The panel appends your domain by itself: enter the name without it, as %s.", doubled, strings.TrimSuffix(name, "."+d.Name)))
		return
	}
	item.advise("dkim_missing", AdviceError, fmt.Sprintf("Add this CNAME record. In panels that append your domain, the name is %s.", strings.TrimSuffix(name, "."+d.Name)))
}

// keyBehind looks whether the upstream has published a key at the end of the CNAME.
func (c *Checker) keyBehind(ctx context.Context, source Source, item *Item) {
	key, err := source.LookupTXT(ctx, item.Record.Name)
	switch {
	case err == nil && slices.ContainsFunc(key.Records, func(text string) bool { return strings.Contains(text, "p=") }):
	case err == nil || dns.IsNotFound(err):
		item.Verdict = Wrong
		item.advise("dkim_no_key", AdviceError, "The record is right, but there is no key behind it yet. That is the platform's to mend: tell its support.")
	default:
		item.Verdict = Unknown
		item.advise("dkim_key_unknown", AdviceWarning, "The record is right. The key behind it, which is the platform's, could not be looked up just now.")
	}
}

func (c *Checker) spf(ctx context.Context, source Source, d waypost.Domain) Item {
	review := ReviewSPF(ctx, source, d.Name, c.Settings.Include, c.Settings.Addresses)
	item := Item{
		Part: SPFPart, Required: true, Record: Record{Type: "TXT", Name: d.Name, Value: review.Merged.Record},
		Found: review.Found, Verdict: review.Verdict, Advice: review.Advice,
	}
	// Our addresses may pass in another way than by our include, and that will do.
	if item.Verdict == Wrong && !c.Settings.UpstreamSigns && len(c.Settings.Addresses) > 0 {
		passing := PassesSPF(ctx, source, c.Settings.Addresses, d.Name, "")
		if !slices.ContainsFunc(passing, func(p SPFPassing) bool { return p.Result != SPFPass }) {
			item.Verdict = OK
			for i := range item.Advice { // it is good to do, and does not have to be
				if item.Advice[i].Level == AdviceError {
					item.Advice[i].Level = AdviceNote
				}
			}
		}
	}
	return item
}

func (c *Checker) dmarc(ctx context.Context, source Source, d waypost.Domain) Item {
	review := ReviewDMARC(ctx, source, d.Name)
	item := Item{
		Part: DMARCPart, Required: true, Record: review.Propose, Found: review.Found, Verdict: review.Verdict, Advice: review.Advice,
	}
	if item.Record == (Record{}) && len(review.Found) > 0 {
		item.Record = Record{Type: "TXT", Name: review.Name, Value: review.Found[0]}
	}
	return item
}

func (c *Checker) returnPath(ctx context.Context, source Source, d waypost.Domain) Item {
	item := Item{Part: ReturnPath, Record: c.Settings.returnPath(d)}
	want := strings.TrimSuffix(item.Record.Value, ".")
	found, ok := item.look(ctx, source, item.Record.Name, dns.TypeCNAME)
	if !ok {
		return item
	}
	item.Found = append(item.Found, found.Records...)
	switch {
	case len(found.Records) == 1 && strings.EqualFold(found.Records[0], want):
		item.Verdict = OK
	case len(found.Records) > 0:
		item.Verdict = Wrong
		item.advise("return_path_wrong", AdviceWarning, fmt.Sprintf("The record points to %s. Until it points to %s, bounces come back through the platform's domain.", strings.Join(found.Records, ", "), want))
	default:
		item.Verdict = Missing
		item.advise("return_path_missing", AdviceNote,
			"Recommended. With it SPF passes for your own domain too; without it DMARC passes by DKIM alone, which is enough.")
	}
	return item
}

// look asks the authoritative servers. It reports whether there is an answer to judge;
// else the verdict is set.
func (i *Item) look(ctx context.Context, source Source, name string, t dns.Type) (dns.Authoritative, bool) {
	found, err := source.Lookup(ctx, name, t)
	if err != nil && !dns.IsNotFound(err) {
		i.unknown()
		return found, false
	}
	if found.Disagree {
		var without []string
		for _, s := range found.Servers {
			if s.Authoritative() && !slices.Equal(s.Records, found.Records) {
				without = append(without, s.Name)
			}
		}
		if len(without) > 0 {
			i.Servers = serversDiffer + strings.Join(without, ", ") + "."
		}
	}
	return found, true
}

// unknown says that nothing can be said.
func (i *Item) unknown() {
	i.Verdict = Unknown
	i.advise("dns_unknown", AdviceWarning, "The name servers of the domain did not answer just now. Nothing changes until they do.")
}

// cached notes when resolvers do not see yet what is published.
func (c *Checker) cached(ctx context.Context, item *Item, name string) {
	if c.Caches == nil || item.Servers != "" {
		return
	}
	if _, err := c.Caches.LookupTXT(ctx, name); dns.IsNotFound(err) {
		item.Servers = serversCached
	}
}

func (i *Item) advise(code AdviceCode, level AdviceLevel, text string) {
	i.Advice = append(i.Advice, Advice{Code: code, Level: level, Text: text})
}
