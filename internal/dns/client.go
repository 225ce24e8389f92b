package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	mdns "github.com/miekg/dns"
)

// Bounds on what is kept and for how long.
const (
	maxTTL      = time.Hour       // of anything: a moved MX is noticed within the hour
	minNegative = 5 * time.Second // of "there is none": damps a storm whatever the SOA says
	failureTTL  = 5 * time.Second // of a failure: RFC 9520 section 3.2 asks for 1 s to 5 min
	maxChain    = 8               // CNAMEs followed
)

// Options configure a Client. The zero value asks the system's servers.
type Options struct {
	Server     string           // the only server to ask, "host:port" or "host"; "": those of ResolvConf
	ResolvConf string           // read again when it changes; "": /etc/resolv.conf
	Timeout    time.Duration    // of one try; 0: 5 s. A whole lookup takes at most Timeout x (Tries+1)
	Tries      int              // per question, over all servers; 0: 3
	CacheBytes int              // rough memory the cache may take; 0: 16 MiB; negative: no cache
	Now        func() time.Time // nil: time.Now. The clock of the cache
}

// Client is a caching stub resolver. It is safe for concurrent use and holds no
// goroutine or socket between lookups.
type Client struct {
	servers *servers
	cache   *otter.Cache[question, *reply] // nil: no cache
	flights flights[question, *reply]
	budget  time.Duration
	now     func() time.Time
}

// question is the key of the cache. Its name is canonical: lower case, final dot.
type question struct {
	name  string
	qtype uint16
}

// New returns a Client. It fails only for an Options.Server that is not an address.
func New(o Options) (*Client, error) {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Tries <= 0 {
		o.Tries = 3
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 16 << 20
	}
	srv, err := newServers(o)
	if err != nil {
		return nil, err
	}
	c := &Client{servers: srv, budget: o.Timeout * time.Duration(o.Tries+1), now: o.Now}
	if o.CacheBytes > 0 {
		// The entry knows its own expiry, so the cache needs neither clock nor
		// goroutine; what is stale leaves when it is overwritten or room is needed.
		c.cache, err = otter.New(&otter.Options[question, *reply]{
			MaximumWeight: uint64(o.CacheBytes),
			Weigher:       func(q question, r *reply) uint32 { return r.weight(q) },
		})
		if err != nil {
			return nil, fmt.Errorf("dns cache: %w", err)
		}
	}
	return c, nil
}

// LookupMX implements Resolver.
func (c *Client) LookupMX(ctx context.Context, domain string) (Answer[MX], error) {
	return lookup(ctx, c, domain, mdns.TypeMX, mxOf)
}

// LookupTXT implements Resolver.
func (c *Client) LookupTXT(ctx context.Context, name string) (Answer[string], error) {
	return lookup(ctx, c, name, mdns.TypeTXT, txtOf)
}

// LookupIP implements Resolver. Names under localhost are loopback and never
// asked for (RFC 6761 section 6.3).
func (c *Client) LookupIP(ctx context.Context, host string) (Answer[netip.Addr], error) {
	return lookupIP(host, func(qtype uint16) (Answer[netip.Addr], error) {
		return lookup(ctx, c, host, qtype, addrOf)
	})
}

// lookupIP asks for the addresses of both families at the same time.
func lookupIP(host string, ask func(qtype uint16) (Answer[netip.Addr], error)) (Answer[netip.Addr], error) {
	if name, err := ToASCII(host); err == nil && (name == "localhost" || strings.HasSuffix(name, ".localhost")) {
		loopback := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
		return Answer[netip.Addr]{Records: loopback, Name: name, TTL: maxTTL}, nil
	}
	var (
		wg         sync.WaitGroup
		v4, v6     Answer[netip.Addr]
		err4, err6 error
	)
	wg.Go(func() { v4, err4 = ask(mdns.TypeA) })
	wg.Go(func() { v6, err6 = ask(mdns.TypeAAAA) })
	wg.Wait()
	switch {
	case err4 == nil && err6 == nil:
		v4.Records = append(v4.Records, v6.Records...)
		v4.TTL = min(v4.TTL, v6.TTL)
		return v4, nil
	case err4 == nil:
		return v4, nil
	case err6 == nil:
		return v6, nil
	case IsTemporary(err6):
		return Answer[netip.Addr]{}, err6
	default:
		return Answer[netip.Addr]{}, err4
	}
}

// LookupNetIP is Addresses in the shape of net.Resolver: network is "ip", "ip4" or
// "ip6".
func (c *Client) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	addrs, err := Addresses(ctx, c, host)
	if err != nil || network == "ip" {
		return addrs, err
	}
	wanted := addrs[:0]
	for _, addr := range addrs {
		if addr.Is4() == (network == "ip4") {
			wanted = append(wanted, addr)
		}
	}
	if len(wanted) == 0 {
		return nil, &Error{Name: host, Type: network, Failure: NoData}
	}
	return wanted, nil
}

func mxOf(rr mdns.RR) (MX, bool) {
	mx, ok := rr.(*mdns.MX)
	if !ok {
		return MX{}, false
	}
	return MX{Host: plain(mx.Mx), Preference: mx.Preference}, true
}

func txtOf(rr mdns.RR) (string, bool) {
	txt, ok := rr.(*mdns.TXT)
	if !ok {
		return "", false
	}
	return unescape(strings.Join(txt.Txt, "")), true
}

func addrOf(rr mdns.RR) (netip.Addr, bool) {
	switch rr := rr.(type) {
	case *mdns.A:
		addr, ok := netip.AddrFromSlice(rr.A)
		return addr.Unmap(), ok
	case *mdns.AAAA:
		return netip.AddrFromSlice(rr.AAAA)
	}
	return netip.Addr{}, false
}

// lookup asks one question and turns its records into values.
func lookup[T any](ctx context.Context, c *Client, name string, qtype uint16, value func(mdns.RR) (T, bool)) (Answer[T], error) {
	r := c.reply(ctx, name, qtype)
	if r.err != nil {
		return Answer[T]{}, r.err
	}
	answer := Answer[T]{Records: values(r.records, value), Name: plain(r.name), TTL: max(0, r.expires.Sub(c.now()))}
	if len(answer.Records) == 0 {
		return answer, &Error{Name: name, Type: typeName(qtype), Failure: Malformed}
	}
	return answer, nil
}

func values[T any](records []mdns.RR, value func(mdns.RR) (T, bool)) []T {
	var out []T
	for _, rr := range records {
		if v, ok := value(rr); ok {
			out = append(out, v)
		}
	}
	return out
}

// reply answers a question from the cache, by joining one that is on its way, or
// by asking.
func (c *Client) reply(ctx context.Context, name string, qtype uint16) *reply {
	ascii, err := ToASCII(name)
	if err != nil {
		return &reply{err: &Error{Name: name, Type: typeName(qtype), Failure: BadName}}
	}
	q := question{name: ascii + ".", qtype: qtype}
	if r, ok := c.cached(q); ok {
		return r
	}
	r, err := c.flights.do(ctx, q, c.resolve)
	if err != nil {
		return &reply{err: &Error{Name: ascii, Type: typeName(qtype), Failure: contextFailure(err), Err: err}}
	}
	return r
}

func (c *Client) cached(q question) (*reply, bool) {
	if c.cache == nil {
		return nil, false
	}
	r, ok := c.cache.GetIfPresent(q)
	return r, ok && c.now().Before(r.expires)
}

// resolve asks the servers and keeps what they said.
func (c *Client) resolve(ctx context.Context, q question) *reply {
	if r, ok := c.cached(q); ok { // settled between the caller's look and now
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, c.budget)
	defer cancel()
	r, ttl := c.ask(ctx, q)
	r.expires = c.now().Add(ttl)
	if c.cache != nil && ttl > 0 {
		c.cache.Set(q, r)
	}
	return r
}

// ask follows a question to its end, asking again where a server gave a CNAME
// without what it points to. It returns the reply and how long it may be kept.
func (c *Client) ask(ctx context.Context, q question) (*reply, time.Duration) {
	fail := func(f Failure) *reply {
		return &reply{err: &Error{Name: plain(q.name), Type: typeName(q.qtype), Failure: f}}
	}
	name, ttl := q.name, maxTTL
	for range maxChain {
		msg, err := c.servers.exchange(ctx, question{name, q.qtype})
		if err != nil {
			err.Name = plain(q.name)
			if ctx.Err() != nil && err.Failure == Canceled {
				return &reply{err: err}, 0 // nobody waits for it any more
			}
			return &reply{err: err}, failureTTL
		}
		end := follow(msg, question{name, q.qtype})
		ttl = min(ttl, end.ttl)
		soa, negative := negativeTTL(msg)
		switch {
		case end.loop:
			return fail(Loop), failureTTL
		case len(end.records) > 0 && msg.Rcode == mdns.RcodeSuccess:
			return &reply{records: end.records, name: end.name}, ttl
		case len(end.records) > 0:
			return fail(Malformed), failureTTL // says both yes and NXDOMAIN
		case msg.Rcode == mdns.RcodeNameError:
			// RFC 6604: the code is about the end of the chain.
			return fail(NXDomain), max(minNegative, min(ttl, negative))
		case end.name == name || soa:
			return fail(NoData), max(minNegative, min(ttl, negative))
		}
		name = end.name
	}
	return fail(Loop), failureTTL
}

func typeName(qtype uint16) string { return mdns.TypeToString[qtype] }

func contextFailure(err error) Failure {
	if errors.Is(err, context.DeadlineExceeded) {
		return Timeout
	}
	return Canceled
}
