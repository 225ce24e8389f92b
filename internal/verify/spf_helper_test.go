package verify_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"blitiri.com.ar/go/spf"

	"github.com/waypost/waypost/internal/dns"
)

// zones answers from records such as "TXT v=spf1 -all", "MX 10 mx.test", "A 192.0.2.1" and
// "FAIL", which makes every question for the name fail for now.
type zones map[string][]string

// counted is a resolver that counts its questions.
type counted struct {
	zones
	n *atomic.Int32
}

func count(z zones) counted { return counted{z, new(atomic.Int32)} }

func (c counted) LookupTXT(ctx context.Context, name string) (dns.Answer[string], error) {
	c.n.Add(1)
	return c.zones.LookupTXT(ctx, name)
}

func (c counted) LookupMX(ctx context.Context, name string) (dns.Answer[dns.MX], error) {
	c.n.Add(1)
	return c.zones.LookupMX(ctx, name)
}

func (c counted) LookupIP(ctx context.Context, name string) (dns.Answer[netip.Addr], error) {
	c.n.Add(1)
	return c.zones.LookupIP(ctx, name)
}

func (z zones) LookupTXT(ctx context.Context, name string) (dns.Answer[string], error) {
	return find(ctx, z, name, "TXT", func(_, data string) (string, bool) { return data, true })
}

func (z zones) LookupMX(ctx context.Context, name string) (dns.Answer[dns.MX], error) {
	return find(ctx, z, name, "MX", func(_, data string) (mx dns.MX, ok bool) {
		_, err := fmt.Sscan(data, &mx.Preference, &mx.Host)
		return mx, err == nil
	})
}

func (z zones) LookupIP(ctx context.Context, name string) (dns.Answer[netip.Addr], error) {
	return find(ctx, z, name, "A AAAA", func(_, data string) (netip.Addr, bool) {
		addr, err := netip.ParseAddr(data)
		return addr, err == nil
	})
}

func find[T any](ctx context.Context, z zones, name, types string, read func(kind, data string) (T, bool)) (dns.Answer[T], error) {
	fail := func(f dns.Failure) (dns.Answer[T], error) {
		return dns.Answer[T]{}, &dns.Error{Name: name, Type: types, Failure: f}
	}
	if ctx.Err() != nil {
		return fail(dns.Canceled)
	}
	ascii, err := dns.ToASCII(name)
	if err != nil {
		return fail(dns.BadName)
	}
	records, ok := z[ascii]
	if !ok {
		return fail(dns.NXDomain)
	}
	answer := dns.Answer[T]{Name: ascii}
	for _, r := range records {
		kind, data, _ := strings.Cut(r, " ")
		if kind == "FAIL" {
			return fail(dns.ServFail)
		}
		if v, ok := read(kind, data); ok && strings.Contains(types, kind) {
			answer.Records = append(answer.Records, v)
		}
	}
	if len(answer.Records) == 0 {
		return fail(dns.NoData)
	}
	return answer, nil
}

// judgeDNS shows zones to package spf without any code of ours between them, and counts
// what RFC 7208 section 4.6.4 counts: it is asked for a record, and for each lookup.
type judgeDNS struct {
	zones zones
	asked int // TXT, MX and addresses, but not of MX hosts
	hosts map[string]bool
}

func (j *judgeDNS) err(err error) error {
	if err == nil {
		return nil
	}
	certain := dns.IsNotFound(err) || !dns.IsTemporary(err)
	return &net.DNSError{Err: err.Error(), IsNotFound: certain, IsTemporary: !certain}
}

func (j *judgeDNS) LookupTXT(ctx context.Context, name string) ([]string, error) {
	j.asked++
	a, err := j.zones.LookupTXT(ctx, name)
	return a.Records, j.err(err)
}

func (j *judgeDNS) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	j.asked++
	a, err := j.zones.LookupMX(ctx, name)
	var list []*net.MX
	for _, mx := range a.Records {
		list = append(list, &net.MX{Host: mx.Host, Pref: mx.Preference})
		j.hosts[mx.Host] = true
	}
	return list, j.err(err)
}

func (j *judgeDNS) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	if !j.hosts[name] {
		j.asked++
	}
	a, err := j.zones.LookupIP(ctx, name)
	var list []net.IPAddr
	for _, addr := range a.Records {
		list = append(list, net.IPAddr{IP: addr.AsSlice()})
	}
	return list, j.err(err)
}

func (j *judgeDNS) LookupAddr(context.Context, string) ([]string, error) {
	return nil, &net.DNSError{IsNotFound: true}
}

// judge evaluates a domain's record as package spf does, with room for so many lookups
// and void ones. It returns the lookups that counted.
func judge(z zones, addr, domain string, lookups, voids uint) (result spf.Result, asked int, why error) {
	j := &judgeDNS{zones: z, hosts: map[string]bool{}}
	result, why = spf.CheckHostWithSender(net.ParseIP(addr), domain, "postmaster@"+domain,
		spf.WithResolver(j), spf.OverrideLookupLimit(lookups), spf.OverrideVoidLookupLimit(voids))
	return result, j.asked - 1, why
}

// The platform of the tests, and an address nobody lists.
const (
	ourInclude = "spf.platform.test"
	ourAddr    = "192.0.2.10"
	noAddr     = "198.51.100.99"
)

// with adds the platform's own record to zones, and a domain's TXT records.
func (z zones) with(domain string, txts ...string) zones {
	all := zones{ourInclude: {"TXT v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 -all"}}
	maps.Copy(all, z)
	for _, t := range txts {
		all[domain] = append(slices.Clip(all[domain]), "TXT "+t)
	}
	return all
}
