package verify

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/route"
)

// The parts of the platform's own set-up, beside those of a domain. They have no type, since
// who goes through the parts of a domain need not name them.
const (
	Selector1  = "selector1" // CNAME at the default sender's domain
	Selector2  = "selector2"
	Addresses  = "addresses" // SPF of the sending addresses
	ReturnMX   = "return_path_mx"
	ReturnSPF  = "return_path_spf"
	ReplyMX    = "reply_mx"
	ReversePTR = "ptr"
	HELO       = "helo"
)

// spfNotPassing: mail from a sending address does not pass with what is published.
const spfNotPassing AdviceCode = "spf_not_passing"

// Caches is a recursive resolver that knows names of addresses; *dns.Client is one.
type Caches interface {
	dns.Resolver
	LookupPTR(ctx context.Context, addr netip.Addr) (dns.Answer[string], error)
}

// PlatformChecker looks at the platform's own records.
type PlatformChecker struct {
	Platform Platform
	Replies  bool          // mail to the default sender is read by somebody
	Source   func() Source // a new reading for each check
	Caches   Caches
}

// Check looks at everything the owner has to publish.
func (c *PlatformChecker) Check(ctx context.Context, now time.Time) Report {
	source, p := c.Source(), c.Platform
	r := Report{At: now}
	for _, k := range p.Keys {
		r.Items = append(r.Items, c.key(ctx, source, k))
	}
	for _, k := range p.Keys {
		r.Items = append(r.Items, c.selector(ctx, source, k))
	}
	r.Items = append(r.Items,
		c.spf(ctx, source, Addresses, Record{"TXT", SPFName(p.Domain), addressSPF(p.Addresses)}),
		c.spf(ctx, source, SPFPart, includingSPF(p.From, p.Domain)),
		c.dmarc(ctx, source),
		c.returnMX(ctx, source),
		c.spf(ctx, source, ReturnSPF, includingSPF(route.BounceDomain(p.Domain), p.Domain)),
	)
	if c.Replies {
		r.Items = append(r.Items, c.replyMX(ctx, source))
	}
	for _, addr := range p.Addresses {
		r.Items = append(r.Items, c.ptr(ctx, addr))
	}
	if len(p.Addresses) > 0 {
		r.Items = append(r.Items, c.helo(ctx))
	}
	return r
}

// Look looks at the record of one key where receivers find it: at the platform's domain,
// and through the selector at the default sender's.
func (c *PlatformChecker) Look(ctx context.Context, k Key) Sight {
	source := c.Source()
	at, through := c.key(ctx, source, k), c.selector(ctx, source, k)
	s := Sight{Authoritative: worse(at.Verdict, through.Verdict), Recursive: OK}
	if at.Servers != "" || through.Servers != "" { // some have it, and not all
		s.Authoritative = worse(s.Authoritative, Missing)
	}
	for _, q := range []struct {
		name string
		t    dns.Type
	}{{at.Record.Name, dns.TypeTXT}, {through.Record.Name, dns.TypeCNAME}} {
		if found, err := source.Lookup(ctx, q.name, q.t); err == nil {
			s.TTL = max(s.TTL, min(found.TTL, longestTTL))
		}
	}
	for _, name := range []string{at.Record.Name, through.Record.Name} {
		answer, err := c.Caches.LookupTXT(ctx, name)
		s.Recursive = worse(s.Recursive, keyVerdict(answer.Records, k, err))
	}
	return s
}

// longestTTL is how long caches keep a record at most, whatever it says (RFC 8767 section 4).
const longestTTL = 7 * 24 * time.Hour

// worse is what holds for two records of which both are needed: what is known to be not
// right counts more than what is not known.
func worse(a, b Verdict) Verdict {
	for _, v := range []Verdict{Wrong, Missing, Unknown} {
		if a == v || b == v {
			return v
		}
	}
	return OK
}

func keyVerdict(found []string, k Key, err error) Verdict {
	switch {
	case err != nil && !dns.IsNotFound(err):
		return Unknown
	case err != nil || len(found) == 0:
		return Missing
	case len(found) == 1 && sameKey(found[0], k.Record):
		return OK
	default:
		return Wrong // another one, or several, of which receivers take any (RFC 6376 section 3.6.2.2)
	}
}

// sameKey reports whether a record publishes a key as it should. White space may have come
// in between (RFC 6376 section 3.2).
func sameKey(found, want string) bool {
	return tagList(found) == tagList(want)
}

func tagList(record string) string {
	return strings.TrimSuffix(strings.Join(strings.Fields(record), ""), ";")
}

func (c *PlatformChecker) key(ctx context.Context, source Source, k Key) Item {
	item := Item{
		Part: []Part{DKIM1, DKIM2}[(k.Number+1)%2], Required: true,
		Record: KeyRecords(c.Platform, k)[0],
	}
	found, ok := item.look(ctx, source, item.Record.Name, dns.TypeTXT)
	if !ok {
		return item
	}
	item.Found = found.Records
	var err error
	if found.CNAME != "" { // a way to have the key in another zone
		var answer dns.Answer[string]
		answer, err = source.LookupTXT(ctx, item.Record.Name)
		item.Found = answer.Records
	}
	item.Verdict = keyVerdict(item.Found, k, err)
	switch item.Verdict {
	case Missing:
		item.advise("key_missing", AdviceError, "Publish this TXT record. Operators' domains point to it.")
	case Wrong:
		item.advise("key_wrong", AdviceError, "There is another key, or more than one. Replace what is there by this one TXT record.")
	case Unknown:
		item.unknown()
	case OK:
	}
	return item
}

func (c *PlatformChecker) selector(ctx context.Context, source Source, k Key) Item {
	item := Item{
		Part: []Part{Selector1, Selector2}[(k.Number+1)%2], Required: true,
		Record: KeyRecords(c.Platform, k)[1],
	}
	found, ok := item.look(ctx, source, item.Record.Name, dns.TypeCNAME)
	if !ok {
		return item
	}
	item.Found = found.Records
	switch {
	case len(found.Records) == 1 && strings.EqualFold(found.Records[0]+".", item.Record.Value):
		item.Verdict = OK
	case len(found.Records) > 0:
		item.Verdict = Wrong
		item.advise("selector_wrong", AdviceError, "The record points elsewhere. Replace it by this one.")
	default:
		item.Verdict = Missing
		item.advise("selector_missing", AdviceError, "Publish this CNAME record; a TXT record at this name would not follow when the key is changed.")
	}
	return item
}

func includingSPF(name, platform string) Record {
	return Record{"TXT", name, "v=spf1 include:" + SPFName(platform) + " -all"}
}

// spf judges a record by what it does: whether mail from all addresses passes.
func (c *PlatformChecker) spf(ctx context.Context, source Source, part Part, record Record) Item {
	item := Item{Part: part, Required: true, Record: record}
	answer, err := source.LookupTXT(ctx, record.Name)
	if err != nil && !dns.IsNotFound(err) {
		item.unknown()
		return item
	}
	for _, text := range answer.Records {
		if isSPF(text) {
			item.Found = append(item.Found, text)
		}
	}
	switch {
	case len(item.Found) == 0:
		item.Verdict = Missing
		item.advise("spf_missing", AdviceError, "Publish this TXT record.")
		return item
	case len(c.Platform.Addresses) == 0 && len(item.Found) == 1:
		item.Verdict = OK
		if part == Addresses {
			item.advise("addresses_unknown", AdviceNote, "No sending addresses are set (WAYPOST_SENDING_ADDRESSES), so there is no telling whether mail passes.")
		}
		return item
	}
	item.Verdict = OK
	for _, p := range PassesSPF(ctx, source, c.Platform.Addresses, record.Name, "") {
		switch p.Result {
		case SPFPass:
		case SPFUnsure:
			item.Verdict = worse(item.Verdict, Unknown)
			item.Advice = append(item.Advice, Advice{Code: SPFUnknown, Level: AdviceWarning, Text: p.Explanation, Detail: p.Detail})
		default:
			item.Verdict = Wrong
			item.Advice = append(item.Advice, Advice{Code: spfNotPassing, Level: AdviceError, Text: p.Explanation, Detail: p.Detail})
		}
	}
	if item.Verdict == Wrong && part == SPFPart && len(item.Found) == 1 {
		if merged := MergeTXT(answer.Records, SPFName(c.Platform.Domain)).Record; merged != "" {
			item.Record.Value = merged // what others need stays
		}
	}
	return item
}

func (c *PlatformChecker) dmarc(ctx context.Context, source Source) Item {
	review := ReviewDMARC(ctx, source, c.Platform.From)
	item := Item{
		Part: DMARCPart, Required: true, Record: Record{"TXT", "_dmarc." + c.Platform.From, dmarcProposal},
		Found: review.Found, Verdict: review.Verdict, Advice: review.Advice,
	}
	if review.Propose != (Record{}) {
		item.Record = review.Propose
	}
	return item
}

func (c *PlatformChecker) returnMX(ctx context.Context, source Source) Item {
	item := Item{Part: ReturnMX, Required: true, Record: Record{"MX", route.BounceDomain(c.Platform.Domain), "10 " + c.Platform.Hostname + "."}}
	answer, err := source.LookupMX(ctx, item.Record.Name)
	hosts := item.exchangers(answer, err)
	switch {
	case item.Verdict == Unknown:
	case slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, c.Platform.Hostname) }):
		item.Verdict = OK
	case len(hosts) > 0:
		item.Verdict = Wrong
		item.advise("return_mx_wrong", AdviceError, "Bounces go to another host. Publish this MX record instead.")
	default:
		item.Verdict = Missing
		item.advise("return_mx_missing", AdviceError, "Publish this MX record: without it bounces do not arrive, and some receivers refuse the mail itself.")
	}
	return item
}

func (c *PlatformChecker) replyMX(ctx context.Context, source Source) Item {
	item := Item{Part: ReplyMX, Record: Record{Type: "MX", Name: c.Platform.From}}
	answer, err := source.LookupMX(ctx, c.Platform.From)
	hosts := item.exchangers(answer, err)
	switch {
	case item.Verdict == Unknown:
	case slices.Contains(hosts, "."):
		item.Verdict = Wrong
		item.advise("reply_mx_null", AdviceWarning, "The domain of the default sender says that it takes no mail, so replies are refused.")
	case len(hosts) > 0:
		item.Verdict = OK
	default:
		item.Verdict = Missing
		item.advise("reply_mx_missing", AdviceWarning, "The domain of the default sender has no MX record: replies do not arrive, and some receivers mistrust such a sender.")
	}
	return item
}

// exchangers notes what is found; nothing is to be concluded if the verdict is Unknown.
func (i *Item) exchangers(answer dns.Answer[dns.MX], err error) []string {
	if err != nil && !dns.IsNotFound(err) {
		i.unknown()
	}
	var hosts []string
	for _, mx := range answer.Records {
		hosts = append(hosts, mx.Host)
		i.Found = append(i.Found, fmt.Sprintf("%d %s", mx.Preference, mx.Host))
	}
	return hosts
}

func (c *PlatformChecker) ptr(ctx context.Context, addr netip.Addr) Item {
	item := Item{Part: ReversePTR, Required: true, Record: Record{"PTR", addr.String(), c.Platform.Hostname + "."}}
	names, err := c.Caches.LookupPTR(ctx, addr)
	switch {
	case dns.IsNotFound(err):
		item.Verdict = Missing
		item.advise("ptr_missing", AdviceError, fmt.Sprintf("The address %s has no name. Whoever gave you the address can set it; large receivers refuse mail without.", addr))
		return item
	case err != nil:
		item.unknown()
		return item
	}
	item.Found, item.Verdict = names.Records, Wrong
	for _, name := range names.Records {
		switch v := c.leads(ctx, name, addr); v {
		case OK:
			item.Verdict = OK
			return item
		case Unknown:
			item.Verdict = Unknown
		case Missing, Wrong:
		}
	}
	if item.Verdict == Unknown {
		item.unknown()
	} else {
		item.advise("ptr_unconfirmed", AdviceError, fmt.Sprintf("The name of %s does not lead back to it, so receivers do not believe it.", addr))
	}
	return item
}

func (c *PlatformChecker) helo(ctx context.Context) Item {
	addrs := c.Platform.Addresses
	kind := "A"
	if !addrs[0].Unmap().Is4() {
		kind = "AAAA"
	}
	item := Item{Part: HELO, Required: true, Record: Record{kind, c.Platform.Hostname, addrs[0].Unmap().String()}}
	answer, err := c.Caches.LookupIP(ctx, c.Platform.Hostname)
	for _, a := range answer.Records {
		item.Found = append(item.Found, a.String())
	}
	switch v := c.leads(ctx, c.Platform.Hostname, addrs...); {
	case v == OK:
		item.Verdict = OK
	case dns.IsNotFound(err):
		item.Verdict = Missing
		item.advise("helo_missing", AdviceError, "The name this server greets with (WAYPOST_HOSTNAME) does not exist.")
	case err != nil || v == Unknown:
		item.unknown()
	default:
		item.Verdict = Wrong
		item.advise("helo_wrong", AdviceError, "The name this server greets with (WAYPOST_HOSTNAME) leads to none of its sending addresses.")
	}
	return item
}

// leads tells whether a name has one of some addresses.
func (c *PlatformChecker) leads(ctx context.Context, name string, to ...netip.Addr) Verdict {
	answer, err := c.Caches.LookupIP(ctx, name)
	switch {
	case err != nil && !dns.IsNotFound(err):
		return Unknown
	case slices.ContainsFunc(answer.Records, func(a netip.Addr) bool {
		return slices.ContainsFunc(to, func(b netip.Addr) bool { return a.Unmap() == b.Unmap() })
	}):
		return OK
	default:
		return Wrong
	}
}
