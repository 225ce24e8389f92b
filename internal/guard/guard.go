package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// maxTried bounds the addresses of one host that DialContext tries.
const maxTried = 8

// Resolver finds the addresses of a host; *net.Resolver and *dns.Client do.
type Resolver interface {
	// LookupNetIP returns addresses in the order to try them. network is "ip",
	// "ip4" or "ip6".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options configure a Guard. The zero value allows the public Internet only.
type Options struct {
	Allow      []netip.Prefix               // destinations allowed whatever they are, this machine included
	Ports      []int                        // destination ports allowed; empty: any
	Own        []netip.Addr                 // addresses of this machine that no interface shows (behind NAT)
	Interfaces func() ([]netip.Addr, error) // this machine's addresses; nil: ask the system
	Resolver   Resolver                     // nil: the system's, hosts file included
	Timeout    time.Duration                // for connecting to one address; 0: 30 s (RFC 5321 leaves it open)
}

// Guard dials only what it allows. It is safe for concurrent use.
type Guard struct {
	allow       []netip.Prefix
	ports       []int
	configured  []netip.Addr
	interfaces  func() ([]netip.Addr, error)
	own         *atomic.Pointer[map[netip.Addr]bool] // shared with what WithSelf returns
	selfToo     bool
	allowedOnly bool // of a Web, for plain http
	resolver    Resolver
	timeout     time.Duration
	public      *ssrf.Guardian
}

// New returns a Guard. It fails when the addresses of this machine cannot be
// read.
func New(o Options) (*Guard, error) {
	g := &Guard{
		ports:      slices.Clone(o.Ports),
		configured: slices.Clone(o.Own),
		interfaces: o.Interfaces,
		own:        new(atomic.Pointer[map[netip.Addr]bool]),
		resolver:   o.Resolver,
		timeout:    o.Timeout,
		public:     ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(azureWire())),
	}
	for _, p := range o.Allow {
		g.allow = append(g.allow, plainPrefix(p))
	}
	if g.interfaces == nil {
		g.interfaces = interfaceAddrs
	}
	if g.resolver == nil {
		g.resolver = new(net.Resolver)
	}
	if g.timeout <= 0 {
		g.timeout = 30 * time.Second
	}
	if err := g.Refresh(); err != nil {
		return nil, err
	}
	return g, nil
}

// azureWire is the host of an Azure virtual machine, at the same public-looking address
// from every one of them: it hands out the machine's certificates and settings, and the
// resolver of the virtual network is there (Microsoft Learn, Azure Virtual Network, "What
// is IP address 168.63.129.16?"). No registry of special addresses has it.
func azureWire() netip.Prefix { return netip.MustParsePrefix("168.63.129.16/32") }

// WithSelf returns a Guard that also dials addresses of this machine, exactly
// those and not their networks: for mail to a domain that this machine serves.
func (g *Guard) WithSelf() *Guard {
	self := *g
	self.selfToo = true
	return &self
}

// Refresh reads the addresses of this machine again. On error the old ones stay.
func (g *Guard) Refresh() error {
	addrs, err := g.interfaces()
	if err != nil {
		return fmt.Errorf("addresses of this machine: %w", err)
	}
	own := make(map[netip.Addr]bool, len(addrs)+len(g.configured))
	for _, addr := range slices.Concat(addrs, g.configured) {
		own[plain(addr)] = true
	}
	g.own.Store(&own)
	return nil
}

// Check returns a *Refused if addr must not be dialed, else nil.
func (g *Guard) Check(addr netip.Addr) error {
	if why := g.why(addr); why != "" {
		return &Refused{Addr: addr, Why: why}
	}
	return nil
}

// why returns the reason to refuse addr, "" if there is none. What is allowed by
// configuration goes first: tests and private installations live on 127.0.0.1.
func (g *Guard) why(addr netip.Addr) Why {
	if !addr.IsValid() {
		return Invalid
	}
	addr = plain(addr)
	for _, p := range g.allow {
		if p.Contains(addr) {
			return ""
		}
	}
	if g.allowedOnly {
		return Plain
	}
	if (*g.own.Load())[addr] {
		if g.selfToo {
			return ""
		}
		return Self
	}
	if inner, ok := nat64(addr); ok {
		// RFC 6052: the way to IPv4 on a host that has IPv6 only, so public targets
		// pass. Configuration does not reach inside: what the translator calls
		// 10.0.0.1 is not what we call so.
		if (*g.own.Load())[inner] {
			return Self
		}
		addr = inner
	}
	if g.public.SafeAddr(addr) != nil {
		return kind(addr)
	}
	return ""
}

// CheckPort returns a *Refused if port must not be dialed, else nil.
func (g *Guard) CheckPort(port int) error {
	if port < 1 || port > 65535 || (len(g.ports) > 0 && !slices.Contains(g.ports, port)) {
		return &Refused{Port: port, Why: Port}
	}
	return nil
}

// DialContext connects to "host:port" over "tcp", "tcp4" or "tcp6". A host name
// is resolved and its addresses are tried one after the other, at most 8; the
// error is that of the first, a *Refused only if the guard refused them all. It
// has the shape of net.Dialer.DialContext.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	family, ok := strings.CutPrefix(network, "tcp")
	if !ok || (family != "" && family != "4" && family != "6") {
		return nil, &Refused{Why: Network}
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, &net.AddrError{Err: "invalid port", Addr: address}
	}
	if err := g.CheckPort(int(port)); err != nil {
		return nil, err
	}
	addrs, err := g.resolve(ctx, "ip"+family, host)
	if err != nil {
		return nil, err
	}
	var failed, refused error
	for _, addr := range addrs[:min(len(addrs), maxTried)] {
		conn, err := g.DialAddr(ctx, netip.AddrPortFrom(addr, uint16(port)))
		if err == nil {
			return conn, nil
		}
		switch _, isRefused := errors.AsType[*Refused](err); {
		case isRefused && refused == nil:
			refused = err
		case !isRefused && failed == nil:
			failed = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	if failed != nil {
		return nil, failed
	}
	return nil, refused
}

func (g *Guard) resolve(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	addrs, err := g.resolver.LookupNetIP(ctx, network, host)
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	return addrs, err
}

// DialAddr connects to one address over TCP.
func (g *Guard) DialAddr(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return g.DialFrom(ctx, netip.Addr{}, to)
}

// DialFrom is DialAddr from an address of this machine; the zero Addr leaves the
// choice to the system.
func (g *Guard) DialFrom(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	// The hook decides; asking first spares refused addresses a socket.
	if err := g.Check(to.Addr()); err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: g.timeout, ControlContext: g.control}
	if from.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	return dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(to.Addr().Unmap(), to.Port()).String())
}

// control is called with the address the socket is about to connect to.
func (g *Guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return &Refused{Why: Network}
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return &Refused{Why: Invalid}
	}
	if err := g.CheckPort(int(to.Port())); err != nil {
		return err
	}
	return g.Check(to.Addr())
}

// interfaceAddrs returns the addresses of the machine's network interfaces.
func interfaceAddrs() ([]netip.Addr, error) {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	addrs := make([]netip.Addr, 0, len(nets))
	for _, n := range nets {
		if p, err := netip.ParsePrefix(n.String()); err == nil {
			addrs = append(addrs, p.Addr())
		}
	}
	return addrs, nil
}
