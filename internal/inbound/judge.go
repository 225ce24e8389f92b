package inbound

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/netip"
	"strings"
	"time"

	"blitiri.com.ar/go/spf"
	"github.com/emersion/go-msgauth/authres"
	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-msgauth/dmarc"
	"golang.org/x/net/publicsuffix"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/waypost"
)

// Arrival is a message as it came in.
type Arrival struct {
	Peer     netip.Addr
	Hello    string
	MailFrom string
	TLS      string // version and cipher, "" without
	Data     []byte
	At       time.Time
}

// Resolver is what judging asks the DNS; *net.Resolver is one.
type Resolver interface {
	spf.DNSResolver
}

// Judge judges messages as a receiver does.
type Judge struct {
	Hostname string // the receiver's, for Authentication-Results
	Resolver Resolver
}

// Bounds of what is judged. The libraries that check signatures take time and memory that
// grow faster than a header, or a body of empty lines, does.
const (
	maxSignatures = 8
	maxHeader     = 64 << 10
	maxJudged     = 512 << 10
)

// Judge judges one message. It never fails: what cannot be checked says so. All texts it
// returns are of one printable line and bounded, whatever the message says.
func (j *Judge) Judge(ctx context.Context, a Arrival) waypost.Reception {
	v := waypost.Reception{TLS: a.TLS, Size: len(a.Data)}
	if a.Peer.IsValid() {
		v.Peer = a.Peer.String()
	}
	header := headerOf(a.Data)
	from, fromDomain, noFrom := fromOf(header)
	v.From = plain(from)
	policy := j.policy(ctx, fromDomain)
	v.SPF = j.spf(ctx, a)
	v.SPF.Aligned = v.SPF.Result == string(spf.Pass) && aligned(fromDomain, v.SPF.Domain, policy.strictSPF)
	v.DKIM = j.dkim(ctx, header, a.Data)
	pass := v.SPF.Aligned
	for i := range v.DKIM {
		s := &v.DKIM[i]
		s.Aligned = s.Result == resultPass && aligned(fromDomain, s.Domain, policy.strictDKIM)
		pass = pass || s.Aligned
	}
	v.DMARC = waypost.DMARCResult{Result: policy.failure, Domain: fromDomain, Policy: policy.policy, Reason: policy.reason}
	switch {
	case noFrom != "":
		v.DMARC.Result, v.DMARC.Reason = resultPermError, noFrom
	case policy.failure != "":
	case pass:
		v.DMARC.Result = resultPass
	default:
		v.DMARC.Result = "fail"
	}
	v.Results = j.results(v, a)
	v.Problems = problems(v)
	return v
}

// Results that several methods have (RFC 8601 section 2.7).
const (
	resultPass      = "pass"
	resultTempError = "temperror"
	resultPermError = "permerror"
)

func orAt(org, domain string) string {
	if org == "" || org == domain {
		return ""
	}
	return " or _dmarc." + org
}

// headerOf is the header of a message without the empty line behind it. There may be
// nothing behind the header (RFC 5322 section 3.5).
func headerOf(data []byte) []byte {
	if bytes.HasPrefix(data, []byte("\r\n")) {
		return nil
	}
	if end := bytes.Index(data, []byte("\r\n\r\n")); end >= 0 {
		return data[:end+2]
	}
	return data
}

// fromOf is the address in From and its domain in A-labels, or why there is none.
func fromOf(header []byte) (address, domain, problem string) {
	if len(header) > maxHeader {
		return "", "", "the header is too large to be read"
	}
	m, err := mail.ReadMessage(io.MultiReader(bytes.NewReader(header), strings.NewReader("\r\n")))
	if err != nil {
		return "", "", "the header cannot be read"
	}
	if n := len(m.Header["From"]); n != 1 {
		return "", "", fmt.Sprintf("there are %d From fields and has to be one", n)
	}
	list, err := m.Header.AddressList("From")
	if err != nil || len(list) != 1 {
		return "", "", "there is not one address in From"
	}
	address = list[0].Address
	domain, err = dns.ToASCII(address[strings.LastIndexByte(address, '@')+1:])
	if err != nil || domain == "" {
		return address, "", "the address in From has no domain"
	}
	return address, domain, ""
}

func (j *Judge) spf(ctx context.Context, a Arrival) waypost.SPFResult {
	sender, domain := a.MailFrom, a.Hello // RFC 7208 section 2.4: so is the null sender judged
	if at := strings.LastIndexByte(sender, '@'); at >= 0 {
		domain = sender[at+1:]
	}
	if ascii, err := dns.ToASCII(domain); err == nil {
		domain = ascii
	}
	domain = plain(domain)
	if !a.Peer.IsValid() {
		return waypost.SPFResult{Result: string(spf.None), Domain: domain, Reason: "who brought the mail is unknown"}
	}
	result, err := spf.CheckHostWithSender(net.IP(a.Peer.AsSlice()), a.Hello, sender,
		spf.WithResolver(honest{j.Resolver}), spf.WithContext(ctx))
	out := waypost.SPFResult{Result: string(result), Domain: domain}
	if err != nil && result != spf.Pass {
		out.Reason = plain(err.Error())
	}
	return out
}

func (j *Judge) dkim(ctx context.Context, header, data []byte) []waypost.DKIMResult {
	if len(header) > maxHeader || len(data) > maxJudged {
		return []waypost.DKIMResult{{Result: "neutral", Reason: "the message is too large to be checked here"}}
	}
	r := io.Reader(bytes.NewReader(data))
	if len(header) == len(data) { // without the empty line
		r = io.MultiReader(r, strings.NewReader("\r\n"))
	}
	found, err := dkim.VerifyWithOptions(r, &dkim.VerifyOptions{
		LookupTXT:        func(name string) ([]string, error) { return honest{j.Resolver}.LookupTXT(ctx, name) },
		MaxVerifications: maxSignatures,
	})
	if err != nil && !errors.Is(err, dkim.ErrTooManySignatures) {
		return []waypost.DKIMResult{{Result: "neutral", Reason: plain("the message cannot be read: " + err.Error())}}
	}
	names := selectors(header)
	out := make([]waypost.DKIMResult, 0, len(found))
	for i, f := range found {
		d := waypost.DKIMResult{Result: resultPass, Domain: plain(strings.ToLower(f.Domain))}
		if i < len(names) {
			d.Selector = plain(names[i])
		}
		if f.Err != nil {
			d.Reason = plain(f.Err.Error())
			switch {
			case dkim.IsTempFail(f.Err):
				d.Result = resultTempError
			case dkim.IsPermFail(f.Err):
				d.Result = resultPermError
			default:
				d.Result = "fail"
			}
		}
		out = append(out, d)
	}
	return out
}

// selectors lists the s= of all signatures from the top, "" where there is none. It finds
// the fields just as the library does that verifies them, so that both count alike.
func selectors(header []byte) []string {
	var fields []string // unfolded
	for line := range strings.SplitSeq(strings.TrimSuffix(string(header), "\r\n"), "\r\n") {
		if len(fields) > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') {
			fields[len(fields)-1] += line
			continue
		}
		fields = append(fields, line)
	}
	var list []string
	for _, field := range fields {
		name, tags, _ := strings.Cut(field, ":")
		if !strings.EqualFold(strings.TrimSpace(name), "DKIM-Signature") {
			continue
		}
		selector := ""
		for tag := range strings.SplitSeq(tags, ";") {
			if name, value, ok := strings.Cut(tag, "="); ok && strings.TrimSpace(name) == "s" {
				selector = strings.Join(strings.Fields(value), "")
			}
		}
		list = append(list, selector)
	}
	return list
}

// policy is what the DMARC record of a From domain asks for.
type policy struct {
	policy                string // p= or sp=, "" without a record
	strictSPF, strictDKIM bool

	failure string // "none", "permerror" or "temperror" if there is no record to go by
	reason  string // of failure
}

// policy finds the record of a From domain (RFC 7489 section 6.6.3).
func (j *Judge) policy(ctx context.Context, domain string) policy {
	if domain == "" {
		return policy{}
	}
	org := organizational(domain)
	for _, at := range []string{domain, org} {
		texts, err := honest{j.Resolver}.LookupTXT(ctx, "_dmarc."+at)
		if err != nil && !isNotFound(err) {
			return policy{failure: resultTempError, reason: "the DMARC record could not be read"}
		}
		var found []string
		for _, text := range texts {
			if version, rest, _ := strings.Cut(text, ";"); strings.Join(strings.Fields(version), "") == "v=DMARC1" {
				found = append(found, "v=DMARC1;"+strings.ToLower(rest)) // values are not case-sensitive
			}
		}
		switch len(found) {
		case 0:
		case 1:
			r, err := dmarc.Parse(found[0])
			if err != nil {
				return policy{failure: resultPermError, reason: "the DMARC record at _dmarc." + at + " is broken"}
			}
			p := policy{
				policy: string(r.Policy), strictSPF: r.SPFAlignment == dmarc.AlignmentStrict, strictDKIM: r.DKIMAlignment == dmarc.AlignmentStrict,
			}
			if at != domain && r.SubdomainPolicy != "" {
				p.policy = string(r.SubdomainPolicy)
			}
			return p
		default:
			return policy{failure: "none", reason: "there are several DMARC records at _dmarc." + at + ", so none counts"}
		}
		if at == org {
			break
		}
	}
	return policy{failure: "none", reason: "there is no DMARC record at _dmarc." + domain + orAt(org, domain)}
}

func organizational(domain string) string {
	if org, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return org
	}
	return domain
}

// aligned is RFC 7489 section 3.1.
func aligned(from, other string, strict bool) bool {
	if from == "" || other == "" {
		return false
	}
	if strict {
		return from == other
	}
	return organizational(from) == organizational(other)
}

// results is what a receiver writes into Authentication-Results.
func (j *Judge) results(v waypost.Reception, a Arrival) string {
	list := []authres.Result{&authres.SPFResult{Value: authres.ResultValue(v.SPF.Result), From: quotable(a.MailFrom), Helo: quotable(a.Hello)}}
	for _, d := range v.DKIM {
		list = append(list, &authres.DKIMResult{Value: authres.ResultValue(d.Result), Domain: quotable(d.Domain), Reason: quotable(d.Reason)})
	}
	if len(v.DKIM) == 0 {
		list = append(list, &authres.DKIMResult{Value: authres.ResultNone})
	}
	list = append(list, &authres.DMARCResult{Value: authres.ResultValue(v.DMARC.Result), From: quotable(v.DMARC.Domain)})
	return strings.TrimSpace(strings.ReplaceAll(authres.Format(j.Hostname, list), " ;", ";"))
}

// problems says in plain sentences what failed and what to do.
func problems(v waypost.Reception) []string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	switch v.SPF.Result {
	case string(spf.Pass):
	case string(spf.None):
		if v.Peer == "" {
			add("SPF: %s.", v.SPF.Reason)
			break
		}
		add("SPF: %s has no SPF record, so nobody knows which servers may send for it. Publish one.", v.SPF.Domain)
	case string(spf.Fail), string(spf.SoftFail), string(spf.Neutral):
		add("SPF: %s does not allow %s to send for it. Add that server to its SPF record.", v.SPF.Domain, v.Peer)
	case string(spf.TempError):
		add("SPF: the DNS did not answer for %s. Try again.", v.SPF.Domain)
	default:
		add("SPF: the record of %s is broken (%s). Correct it.", v.SPF.Domain, v.SPF.Reason)
	}
	good, passed := false, 0
	for _, d := range v.DKIM {
		good = good || d.Aligned
		switch d.Result {
		case resultPass:
			passed++
		case "neutral":
			add("DKIM: %s.", d.Reason)
		case resultTempError:
			add("DKIM: the key %s._domainkey.%s could not be read now. Try again.", d.Selector, d.Domain)
		default:
			add("DKIM: the signature of %s is not valid (%s). If its DNS record is right, something on the way changed the mail.", cmp.Or(d.Domain, "an unknown domain"), d.Reason)
		}
	}
	switch {
	case len(v.DKIM) == 0:
		add("DKIM: the mail has no signature. The server that sends it has to sign it with a key of %s.", cmp.Or(v.DMARC.Domain, "the domain in From"))
	case !good && passed == len(v.DKIM) && v.DMARC.Domain != "":
		add("DKIM: the signature is valid, but not of the domain in From (%s).", v.DMARC.Domain)
	}
	switch v.DMARC.Result {
	case resultPass:
		if v.SPF.Result == string(spf.Pass) && !v.SPF.Aligned {
			add("Note: DMARC passes by DKIM alone, because bounces go to %s and not to a name of %s. That is enough.", v.SPF.Domain, v.DMARC.Domain)
		}
	case "none":
		add("DMARC: %s. Publish one record: \"v=DMARC1; p=none;\".", v.DMARC.Reason)
	case "fail":
		add("DMARC: neither SPF nor DKIM passes for the domain in From (%s); with the policy %q receivers may refuse such mail.", v.DMARC.Domain, v.DMARC.Policy)
	default:
		add("DMARC: %s.", v.DMARC.Reason)
	}
	if v.TLS == "" {
		add("The mail came without TLS, so it could be read on its way.")
	}
	return list
}
