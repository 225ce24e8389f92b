package dns

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	mdns "github.com/miekg/dns"
)

// inquiry is the work for one Lookup.
type inquiry struct {
	*Session
	left atomic.Int32 // questions it may still ask
}

var errTooMany = errors.New("too many questions")

// spend counts a question that is about to be asked.
func (in *inquiry) spend() error {
	if in.left.Add(-1) < 0 || in.Session.left.Add(-1) < 0 {
		return errTooMany
	}
	return nil
}

// resolve asks the recursive resolver.
func (in *inquiry) resolve(ctx context.Context, q question) (*mdns.Msg, *Error) {
	if err := in.spend(); err != nil {
		return nil, &Error{Name: plain(q.name), Type: typeName(q.qtype), Failure: TooMany}
	}
	return in.a.resolver.servers.exchange(ctx, q)
}

// find returns the zone that holds a name, as far as the resolver knows it.
func (in *inquiry) find(ctx context.Context, name string) (zone, *Error) {
	f, err := in.zones.get(ctx, question{name, mdns.TypeSOA}, func(ctx context.Context) (foundZone, bool) {
		z, err := in.climb(ctx, name)
		return foundZone{z, err}, lasting(err)
	})
	if err != nil {
		return zone{}, &Error{Failure: contextFailure(err), Err: err}
	}
	return f.zone, f.err
}

// climb goes from a name towards the root until the resolver tells the apex of a
// zone and its servers. A resolver that cannot answer for one name may for its
// parent, whose servers then refer to the right ones.
func (in *inquiry) climb(ctx context.Context, name string) (zone, *Error) {
	last := &Error{Failure: NoZone}
	for at, step := name, 0; step < maxCuts; step++ {
		msg, err := in.resolve(ctx, question{at, mdns.TypeSOA})
		if err == nil {
			if apex, ok := apexOf(msg, at); ok {
				z, nsErr := in.serversOf(ctx, apex)
				if nsErr == nil {
					return z, nil
				}
				at, err = apex, nsErr
			}
		}
		if err != nil {
			last = err
		}
		if at == "." || ctx.Err() != nil || last.Failure == TooMany {
			break
		}
		at = parent(at)
	}
	return zone{}, last
}

func parent(name string) string {
	if next, end := mdns.NextLabel(name, 0); !end {
		return name[next:]
	}
	return "."
}

// serversOf asks the resolver for the NS records of a zone.
func (in *inquiry) serversOf(ctx context.Context, apex string) (zone, *Error) {
	f, err := in.zones.get(ctx, question{apex, mdns.TypeNS}, func(ctx context.Context) (foundZone, bool) {
		msg, err := in.resolve(ctx, question{apex, mdns.TypeNS})
		if err != nil {
			return foundZone{err: err}, lasting(err)
		}
		z := newZone(apex, msg.Answer, nil, "")
		if len(z.servers) == 0 {
			return foundZone{err: &Error{Failure: NoZone}}, true
		}
		return foundZone{zone: z}, true
	})
	if err != nil {
		return zone{}, &Error{Failure: contextFailure(err), Err: err}
	}
	return f.zone, f.err
}

// told is what one server said, and who it is.
type told struct {
	said
	server  nameServer
	address netip.Addr
}

// askZone asks the servers of a zone at the same time.
func (in *inquiry) askZone(ctx context.Context, z zone, q question) []told {
	answers := make([]told, len(z.servers))
	var wg sync.WaitGroup
	for i, server := range z.servers {
		wg.Go(func() { answers[i] = in.askServer(ctx, server, q, z.apex) })
	}
	wg.Wait()
	return answers
}

// askServer asks a server at its IPv4 addresses, and at its IPv6 addresses if it
// has no other or none can be reached from here.
func (in *inquiry) askServer(ctx context.Context, server nameServer, q question, apex string) told {
	answer := told{server: server, said: said{failure: NoAddress}}
	for _, family := range []uint16{mdns.TypeA, mdns.TypeAAAA} {
		addrs, err := in.addresses(ctx, server, family)
		if err != nil && answer.failure == NoAddress {
			answer.why = "address not found: " + err.Failure.text()
		}
		allowed, refusal := in.allowed(addrs)
		if refusal != nil && answer.failure == NoAddress {
			answer.said = said{failure: NotAllowed, why: refusal.Error()}
		}
		if len(allowed) == 0 {
			continue
		}
		answer.said, answer.address = in.askAddresses(ctx, allowed, q, apex)
		if answer.failure != Network {
			break
		}
	}
	return answer
}

// addresses returns the addresses of a server in one family.
func (in *inquiry) addresses(ctx context.Context, server nameServer, family uint16) ([]netip.Addr, *Error) {
	addrs := server.glue
	if len(addrs) == 0 {
		f, err := in.hosts.get(ctx, question{server.name, family}, func(ctx context.Context) (foundAddrs, bool) {
			q := question{server.name, family}
			msg, err := in.resolve(ctx, q)
			if err != nil {
				return foundAddrs{err: err}, lasting(err)
			}
			// A CNAME is forbidden here (RFC 2181 section 10.3), but works for others.
			return foundAddrs{addrs: values(follow(msg, q).records, addrOf)}, true
		})
		if err != nil {
			return nil, &Error{Failure: contextFailure(err), Err: err}
		}
		if f.err != nil {
			return nil, f.err
		}
		addrs = f.addrs
	}
	var wanted []netip.Addr
	for _, addr := range addrs {
		if addr.Is4() == (family == mdns.TypeA) {
			wanted = append(wanted, addr)
		}
	}
	slices.SortFunc(wanted, netip.Addr.Compare) // resolvers turn them round
	return slices.Compact(wanted), nil
}

// allowed returns the first addresses that may be dialed, or why there is none.
func (in *inquiry) allowed(addrs []netip.Addr) (allowed []netip.Addr, refusal error) {
	for _, addr := range addrs[:min(len(addrs), MaxAddresses)] {
		if err := in.a.check(addr); err != nil {
			refusal = err
		} else if allowed = append(allowed, addr); len(allowed) == serverAddresses {
			break
		}
	}
	if len(allowed) > 0 {
		refusal = nil
	}
	return allowed, refusal
}

// askAddresses asks one server, again if it is silent, at its next address if it
// is out of reach. What it says, even nonsense, is what it says.
func (in *inquiry) askAddresses(ctx context.Context, addrs []netip.Addr, q question, apex string) (said, netip.Addr) {
	awake := slices.DeleteFunc(slices.Clone(addrs), in.isSilent)
	if len(awake) == 0 {
		return said{failure: Timeout}, addrs[0]
	}
	limited, cancel := context.WithTimeout(ctx, in.a.serverTimeout)
	defer cancel()
	x := exchanger{timeout: in.a.serverTimeout / serverTries, dialer: in.a.dialer, spend: in.spend}
	var result said
	var addr netip.Addr
	for try := range serverTries {
		if result.failure == Network && try >= len(awake) {
			break // it was reached: it sent word that nobody listens
		}
		addr = awake[try%len(awake)]
		msg, failure, err := x.ask(limited, netip.AddrPortFrom(addr.Unmap(), in.a.port).String(), q)
		if failure == "" {
			return readReply(msg, q, apex), addr
		}
		result = said{failure: failure}
		if errors.Is(err, errNoTCP) {
			result.why = "answer too large for UDP, and over TCP: " + failure.text()
		}
		if failure != Timeout && failure != Network {
			break
		}
	}
	switch {
	case result.failure == Timeout && ctx.Err() == nil:
		in.keepSilent(awake)
	case result.failure == NotAllowed:
		addr = netip.Addr{} // it would tell what a name resolves to in our network
	}
	return result, addr
}
