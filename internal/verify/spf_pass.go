package verify

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"

	"blitiri.com.ar/go/spf"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/waypost"
)

// SPFResult is what a receiver makes of a mail from an address (RFC 7208 section 2.6).
type SPFResult string

// The results. SPFUnsure is both temperror and whatever else a later check may find
// otherwise: nothing follows from it.
const (
	SPFPass     SPFResult = "pass"
	SPFFail     SPFResult = "fail"
	SPFSoftFail SPFResult = "softfail"
	SPFNeutral  SPFResult = "neutral"
	SPFNoResult SPFResult = "none"
	SPFBroken   SPFResult = "permerror"
	SPFUnsure   SPFResult = "unknown"
)

// SPFPassing is the result for one address.
type SPFPassing struct {
	Addr        netip.Addr
	Result      SPFResult
	Explanation string // a sentence for people

	Detail waypost.Detail // the same for who says it in another language, "" if only Explanation can
}

// passMostQueries bounds what hostile records can make us ask. The limits of RFC 7208
// section 4.6.4 allow 111 questions for one address: the record, 10 lookups, and the
// hosts of 10 mx.
const passMostQueries = 150

// PassesSPF evaluates the SPF record of a domain for mail from each address, as receivers
// do. sender is the envelope sender, of which only the local part can matter; "" stands
// for postmaster (RFC 7208 section 4.3). A record that is not valid in whole or in part
// passes nobody: some receivers would not read on to the fault, others do. Failures of the
// DNS make a result SPFUnsure, never a failure.
func PassesSPF(ctx context.Context, r dns.Resolver, addrs []netip.Addr, domain, sender string) []SPFPassing {
	name, err := dns.ToASCII(domain)
	if err != nil {
		name = domain
	}
	local := "postmaster"
	if at := strings.LastIndexByte(sender, '@'); at > 0 {
		local = sender[:at]
	}
	asked := &spfAnswers{r: r, txt: map[string]answered[string]{}, mx: map[string]answered[*net.MX]{}, ip: map[string]answered[net.IPAddr]{}}
	results := make([]SPFPassing, 0, len(addrs))
	for _, addr := range addrs {
		asked.trouble = nil
		result, why := spf.CheckHostWithSender(addr.AsSlice(), name, local+"@"+name, spf.WithContext(ctx), spf.WithResolver(asked))
		results = append(results, passing(addr, SPFResult(result), why, asked.trouble))
	}
	return results
}

// passing puts a result into words. why is there for a pass too, and says what matched.
func passing(addr netip.Addr, result SPFResult, why, trouble error) SPFPassing {
	p := SPFPassing{Addr: addr, Result: result}
	unsure := trouble != nil || spf.Result(result) == spf.TempError
	switch {
	case result == SPFPass:
		p.Explanation = "Mail from " + addr.String() + " passes."
	case unsure:
		p.Result = SPFUnsure
		if trouble == nil {
			trouble = why
		}
		p.Explanation = "There is no telling about mail from " + addr.String() + " now: " + trouble.Error() + "."
		if failure := failureDetail(trouble); failure != "" {
			p.Detail = waypost.Details(waypost.NewDetail(detailUnsure, "address", addr.String()), failure)
		}
	case result == SPFBroken:
		code, words := brokenBecause(why)
		p.Explanation = "Mail from " + addr.String() + " does not pass, because receivers give up: " + words + "."
		p.Detail = waypost.NewDetail(detailGivesUp, "address", addr.String(), "why", code)
	case result == SPFNoResult:
		p.Explanation = "Mail from " + addr.String() + " does not pass: there is no SPF record."
		p.Detail = waypost.NewDetail(detailNoRecord, "address", addr.String())
	default:
		p.Explanation = "Mail from " + addr.String() + " does not pass: the record says " + string(result) + " about it."
		p.Detail = waypost.NewDetail(detailSays, "address", addr.String(), "result", result)
	}
	return p
}

// brokenBecause says why receivers give up, and what advice about that is called.
func brokenBecause(why error) (code AdviceCode, words string) {
	switch {
	case errors.Is(why, spf.ErrLookupLimitReached):
		return SPFLookups, "more than 10 DNS lookups come before it"
	case errors.Is(why, spf.ErrVoidLookupLimitReached):
		return SPFVoids, "more than two lookups that find nothing come before it"
	case errors.Is(why, spf.ErrMultipleRecords):
		return SPFTwoRecords, "there is more than one SPF record where one belongs"
	case errors.Is(why, spf.ErrTooManyMXRecords):
		return SPFManyMX, "an mx comes before it that has more than 10 hosts"
	case errors.Is(why, spf.ErrNoResult):
		return SPFNoTarget, "an include leads to a domain without SPF record"
	default:
		return SPFSyntax, "a record is not valid"
	}
}

// spfAnswers gives answers of a dns.Resolver to package spf, which knows failures by
// *net.DNSError only. Each question is asked once for all addresses.
type spfAnswers struct {
	r       dns.Resolver
	txt     map[string]answered[string]
	mx      map[string]answered[*net.MX]
	ip      map[string]answered[net.IPAddr]
	queries int
	trouble error // the last failure that is not certain, since it was cleared
}

type answered[T any] struct {
	values  []T
	failure *net.DNSError
	trouble error
}

// spfAsk asks a question, or gives the answer it had.
func spfAsk[R, T any](a *spfAnswers, known map[string]answered[T], name string, ask func() (dns.Answer[R], error), convert func(R) T) ([]T, error) {
	key := strings.ToLower(strings.TrimSuffix(name, "."))
	got, ok := known[key]
	if !ok {
		got = answered[T]{}
		if a.queries == passMostQueries {
			got.trouble = errTooManyQuestions
		} else {
			a.queries++
			answer, err := ask()
			for _, r := range answer.Records {
				got.values = append(got.values, convert(r))
			}
			switch {
			case err == nil:
			case dns.IsTemporary(err):
				got.trouble = err
			default:
				got.failure = &net.DNSError{Err: err.Error(), Name: name, IsNotFound: true}
			}
		}
		if got.trouble != nil {
			got.failure = &net.DNSError{Err: got.trouble.Error(), Name: name, IsTemporary: true}
		}
		known[key] = got
	}
	if got.trouble != nil {
		a.trouble = got.trouble
	}
	if got.failure != nil {
		return nil, got.failure
	}
	return got.values, nil
}

var (
	errTooManyQuestions = errors.New("the records lead to too many DNS questions")
	errNoReverse        = errors.New("the record uses ptr, which is not evaluated here")
)

// LookupTXT implements spf.DNSResolver. An SPF record with a fault is one that fails at
// once (RFC 7208 section 4.6): package spf would find the fault only when it gets there.
func (a *spfAnswers) LookupTXT(ctx context.Context, name string) ([]string, error) {
	ask := func() (dns.Answer[string], error) { return a.r.LookupTXT(ctx, name) }
	return spfAsk(a, a.txt, name, ask, func(text string) string {
		var fault *SPFSyntaxError
		if _, err := ParseSPF(text); errors.As(err, &fault) {
			return spfVersion + " not-valid"
		}
		return text
	})
}

// LookupMX implements spf.DNSResolver.
func (a *spfAnswers) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	ask := func() (dns.Answer[dns.MX], error) { return a.r.LookupMX(ctx, name) }
	return spfAsk(a, a.mx, name, ask, func(mx dns.MX) *net.MX { return &net.MX{Host: mx.Host, Pref: mx.Preference} })
}

// LookupIPAddr implements spf.DNSResolver.
func (a *spfAnswers) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	ask := func() (dns.Answer[netip.Addr], error) { return a.r.LookupIP(ctx, host) }
	return spfAsk(a, a.ip, host, ask, func(addr netip.Addr) net.IPAddr { return net.IPAddr{IP: addr.AsSlice()} })
}

// LookupAddr implements spf.DNSResolver. What ptr would find is not known here, so it does
// not match, and without a match elsewhere there is no telling.
func (a *spfAnswers) LookupAddr(_ context.Context, addr string) ([]string, error) {
	a.trouble = errNoReverse
	return nil, &net.DNSError{Err: errNoReverse.Error(), Name: addr, IsTemporary: true}
}
