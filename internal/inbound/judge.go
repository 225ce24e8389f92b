package inbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/textproto"
	"strings"
	"time"

	"blitiri.com.ar/go/spf"
	"github.com/emersion/go-msgauth/authres"
	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-msgauth/dmarc"
	"golang.org/x/net/publicsuffix"
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

// Verdict is what a receiver makes of a message.
type Verdict struct {
	From     string        // address in the From field
	Peer     string        // who brought it
	TLS      string        // "" if it came in the clear
	Size     int           // bytes
	Latency  time.Duration // from its acceptance by us to its arrival
	SPF      SPF
	DKIM     []DKIM
	DMARC    DMARC
	Results  string   // the value of an Authentication-Results field (RFC 8601)
	Problems []string // what failed and what to do; empty if nothing did
}

// SPF is the result for the envelope sender.
type SPF struct {
	Result  string // "pass", "fail" ... (RFC 7208 section 2.6)
	Domain  string
	Aligned bool // with From, as its DMARC record wants it
	Reason  string
}

// DKIM is the result for one signature.
type DKIM struct {
	Result   string // "pass", "fail", "temperror" ... (RFC 8601 section 2.7.1)
	Domain   string
	Selector string
	Aligned  bool
	Reason   string
}

// DMARC is the result for the From domain.
type DMARC struct {
	Result string // "pass", "fail", "none", "temperror" (RFC 7489 section 11.2)
	Domain string
	Policy string // p= of the record, "" without one
	Reason string
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

// maxSignatures bounds how many signatures of one message are checked.
const maxSignatures = 8

// Judge judges one message. It never fails: what cannot be checked says so.
func (j *Judge) Judge(ctx context.Context, a Arrival) Verdict {
	v := Verdict{Peer: a.Peer.String(), TLS: a.TLS, Size: len(a.Data)}
	fromDomain := ""
	if from, err := fromOf(a.Data); err == nil {
		v.From = from
		fromDomain = strings.ToLower(from[strings.LastIndexByte(from, '@')+1:])
	}
	record, org, recordErr := j.dmarcRecord(ctx, fromDomain)
	strictSPF := record != nil && record.SPFAlignment == dmarc.AlignmentStrict
	strictDKIM := record != nil && record.DKIMAlignment == dmarc.AlignmentStrict
	v.SPF = j.spf(ctx, a)
	v.SPF.Aligned = v.SPF.Result == string(spf.Pass) && aligned(fromDomain, v.SPF.Domain, strictSPF)
	v.DKIM = j.dkim(ctx, a.Data)
	pass := v.SPF.Aligned
	for i := range v.DKIM {
		s := &v.DKIM[i]
		s.Aligned = s.Result == "pass" && aligned(fromDomain, s.Domain, strictDKIM)
		pass = pass || s.Aligned
	}
	v.DMARC = DMARC{Domain: fromDomain}
	switch {
	case fromDomain == "":
		v.DMARC.Result, v.DMARC.Reason = "permerror", "there is no From with a domain"
	case recordErr != nil:
		v.DMARC.Result, v.DMARC.Reason = "temperror", "the DMARC record could not be read"
	case record == nil:
		v.DMARC.Result, v.DMARC.Reason = "none", "there is no DMARC record at _dmarc."+fromDomain+orAt(org, fromDomain)
	case pass:
		v.DMARC.Result = "pass"
	default:
		v.DMARC.Result = "fail"
	}
	if record != nil {
		v.DMARC.Policy = string(record.Policy)
	}
	v.Results = j.results(v, a)
	v.Problems = problems(v)
	return v
}

func orAt(org, domain string) string {
	if org == "" || org == domain {
		return ""
	}
	return " or _dmarc." + org
}

func fromOf(data []byte) (string, error) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		return "", errors.New("no header")
	}
	m, err := mail.ReadMessage(bytes.NewReader(data[:end+4]))
	if err != nil {
		return "", err
	}
	if len(m.Header[textproto.CanonicalMIMEHeaderKey("From")]) != 1 {
		return "", errors.New("not one From")
	}
	list, err := m.Header.AddressList("From")
	if err != nil || len(list) != 1 {
		return "", errors.New("not one address in From")
	}
	return list[0].Address, nil
}

func (j *Judge) spf(ctx context.Context, a Arrival) SPF {
	sender, domain := a.MailFrom, strings.ToLower(a.Hello) // RFC 7208 section 2.4: so is the null sender judged
	if at := strings.LastIndexByte(sender, '@'); at >= 0 {
		domain = strings.ToLower(sender[at+1:])
	}
	if !a.Peer.IsValid() {
		return SPF{Result: string(spf.None), Domain: domain, Reason: "who brought the mail is unknown"}
	}
	result, err := spf.CheckHostWithSender(net.IP(a.Peer.AsSlice()), a.Hello, sender, spf.WithResolver(j.Resolver), spf.WithContext(ctx))
	out := SPF{Result: string(result), Domain: domain}
	if err != nil && result != spf.Pass {
		out.Reason = err.Error()
	}
	return out
}

func (j *Judge) dkim(ctx context.Context, data []byte) []DKIM {
	found, err := dkim.VerifyWithOptions(bytes.NewReader(data), &dkim.VerifyOptions{
		LookupTXT:        func(name string) ([]string, error) { return j.Resolver.LookupTXT(ctx, name) },
		MaxVerifications: maxSignatures,
	})
	out := make([]DKIM, 0, len(found))
	for i, f := range found {
		d := DKIM{Result: "pass", Domain: strings.ToLower(f.Domain), Selector: selector(data, i)}
		if f.Err != nil {
			d.Reason = f.Err.Error()
			switch {
			case dkim.IsTempFail(f.Err):
				d.Result = "temperror"
			case dkim.IsPermFail(f.Err):
				d.Result = "permerror"
			default:
				d.Result = "fail"
			}
		}
		out = append(out, d)
	}
	if err != nil && len(out) == 0 && !errors.Is(err, dkim.ErrTooManySignatures) {
		out = append(out, DKIM{Result: "neutral", Reason: "the message cannot be read: " + err.Error()})
	}
	return out
}

// selector is the s= of the n-th signature.
func selector(data []byte, n int) string {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		return ""
	}
	m, err := mail.ReadMessage(bytes.NewReader(data[:end+4]))
	if err != nil {
		return ""
	}
	fields := m.Header["Dkim-Signature"]
	if n >= len(fields) {
		return ""
	}
	for tag := range strings.SplitSeq(fields[n], ";") {
		if name, value, ok := strings.Cut(tag, "="); ok && strings.TrimSpace(name) == "s" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// dmarcRecord finds the record of a From domain (RFC 7489 section 6.6.3), nil if there is
// none, and the organizational domain.
func (j *Judge) dmarcRecord(ctx context.Context, domain string) (*dmarc.Record, string, error) {
	if domain == "" {
		return nil, "", nil
	}
	lookup := &dmarc.LookupOptions{LookupTXT: func(name string) ([]string, error) { return j.Resolver.LookupTXT(ctx, name) }}
	org := organizational(domain)
	record, err := dmarc.LookupWithOptions(domain, lookup)
	if err == nil {
		return record, org, nil
	}
	if dmarc.IsTempFail(err) {
		return nil, org, err
	}
	if org == domain {
		return nil, org, nil
	}
	record, err = dmarc.LookupWithOptions(org, lookup)
	switch {
	case err == nil:
		return record, org, nil
	case dmarc.IsTempFail(err):
		return nil, org, err
	}
	return nil, org, nil
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
func (j *Judge) results(v Verdict, a Arrival) string {
	list := []authres.Result{&authres.SPFResult{Value: authres.ResultValue(v.SPF.Result), From: a.MailFrom, Helo: a.Hello}}
	for _, d := range v.DKIM {
		list = append(list, &authres.DKIMResult{Value: authres.ResultValue(d.Result), Domain: d.Domain, Reason: d.Reason})
	}
	if len(v.DKIM) == 0 {
		list = append(list, &authres.DKIMResult{Value: authres.ResultNone})
	}
	list = append(list, &authres.DMARCResult{Value: authres.ResultValue(v.DMARC.Result), From: v.DMARC.Domain})
	return authres.Format(j.Hostname, list)
}

// problems says in plain sentences what failed and what to do.
func problems(v Verdict) []string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	switch v.SPF.Result {
	case string(spf.Pass):
	case string(spf.None):
		add("SPF: %s has no SPF record, so nobody knows which servers may send for it. Publish one.", v.SPF.Domain)
	case string(spf.Fail), string(spf.SoftFail), string(spf.Neutral):
		add("SPF: %s does not allow %s to send for it. Add that server to its SPF record.", v.SPF.Domain, v.Peer)
	case string(spf.TempError):
		add("SPF: the DNS did not answer for %s. Try again.", v.SPF.Domain)
	default:
		add("SPF: the record of %s is broken (%s). Correct it.", v.SPF.Domain, v.SPF.Reason)
	}
	good := false
	for _, d := range v.DKIM {
		good = good || d.Aligned
		switch d.Result {
		case "pass":
		case "temperror":
			add("DKIM: the key %s._domainkey.%s could not be read now. Try again.", d.Selector, d.Domain)
		default:
			add("DKIM: the signature of %s is not valid (%s). If its DNS record is right, something on the way changed the mail.", d.Domain, d.Reason)
		}
	}
	switch {
	case len(v.DKIM) == 0:
		add("DKIM: the mail has no signature. The server that sends it has to sign it with a key of %s.", v.DMARC.Domain)
	case !good && len(list) == 0:
		add("DKIM: the signature is valid, but not of the domain in From (%s).", v.DMARC.Domain)
	}
	switch v.DMARC.Result {
	case "pass":
		if !v.SPF.Aligned {
			add("Note: DMARC passes by DKIM alone, because bounces go to %s and not to a name of %s. That is enough.", v.SPF.Domain, v.DMARC.Domain)
		}
	case "none":
		add("DMARC: %s. Publish \"v=DMARC1; p=none;\" there.", v.DMARC.Reason)
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
