package guard_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/guard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script answers lookups with the next of its answers, the last one for ever.
type script struct {
	mu      sync.Mutex
	answers [][]netip.Addr
	err     error
	asked   []string
}

func (s *script) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, network+" "+host)
	if s.err != nil || len(s.answers) == 0 {
		return nil, s.err
	}
	answer := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	return answer, nil
}

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func newGuard(t testing.TB, o guard.Options) *guard.Guard {
	t.Helper()
	if o.Interfaces == nil {
		o.Interfaces = func() ([]netip.Addr, error) {
			return addrs("127.0.0.1", "::1", "10.1.2.3", "8.8.4.4", "2a00:1::1"), nil
		}
	}
	g, err := guard.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// listen accepts and closes connections on 127.0.0.1, and counts them.
func listen(t *testing.T) (netip.AddrPort, func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	n := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			n++
			mu.Unlock()
			_, _ = io.WriteString(conn, "220 hello\r\n")
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return netip.MustParseAddrPort(l.Addr().String()), func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// greeted reads what listen says and closes the connection.
func greeted(t *testing.T, conn net.Conn, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if line, err := io.ReadAll(conn); err != nil || string(line) != "220 hello\r\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// wantRefused checks that err is a refusal for a reason.
func wantRefused(t *testing.T, what string, err error, why guard.Why) {
	t.Helper()
	var r *guard.Refused
	if !errors.As(err, &r) || r.Why != why {
		t.Errorf("%s: %v, want it refused: %s", what, err, why)
	}
}

// destinations are addresses with the reason each is refused for, "" if it is not.
func destinations() map[string]guard.Why {
	return map[string]guard.Why{
		"8.8.8.8":              "",
		"1.1.1.1":              "",
		"100.63.255.255":       "",
		"100.128.0.1":          "",
		"172.15.255.255":       "",
		"172.32.0.1":           "",
		"192.167.255.255":      "",
		"223.255.255.255":      "",
		"2606:4700::1111":      "",
		"2a00:1450:4001::1":    "",
		"::ffff:8.8.8.8":       "",
		"64:ff9b::8.8.8.8":     "",
		"0.0.0.0":              guard.Unspecified,
		"0.1.2.3":              guard.Special,
		"10.0.0.1":             guard.Private,
		"10.255.255.255":       guard.Private,
		"172.16.0.1":           guard.Private,
		"172.31.255.255":       guard.Private,
		"192.168.1.1":          guard.Private,
		"127.0.0.2":            guard.Loopback,
		"127.255.255.255":      guard.Loopback,
		"169.254.169.254":      guard.LinkLocal,
		"100.64.0.1":           guard.Shared,
		"100.127.255.255":      guard.Shared,
		"192.0.0.8":            guard.Special,
		"192.0.2.1":            guard.Documentation,
		"198.51.100.1":         guard.Documentation,
		"203.0.113.1":          guard.Documentation,
		"192.88.99.1":          guard.Special,
		"198.18.0.1":           guard.Special,
		"198.19.255.255":       guard.Special,
		"224.0.0.1":            guard.Multicast,
		"239.255.255.255":      guard.Multicast,
		"240.0.0.1":            guard.Special,
		"255.255.255.255":      guard.Special,
		"::":                   guard.Unspecified,
		"fe80::1":              guard.LinkLocal,
		"fe80::1%eth0":         guard.LinkLocal,
		"fec0::1":              guard.Special,
		"fc00::1":              guard.Private,
		"fd12:3456::1":         guard.Private,
		"ff02::1":              guard.Multicast,
		"2001:db8::1":          guard.Documentation,
		"2001:db8::1%eth0":     guard.Documentation,
		"3fff::1":              guard.Documentation,
		"100::1":               guard.Special, // discard-only (RFC 6666)
		"2001::1":              guard.Special, // Teredo
		"2001:20::1":           guard.Special, // ORCHIDv2
		"5f00::1":              guard.Special, // SRv6 SIDs
		"4000::1":              guard.Special, // not assigned
		"::ffff:10.0.0.1":      guard.Private,
		"::ffff:127.0.0.2":     guard.Loopback,
		"::ffff:169.254.1.1":   guard.LinkLocal,
		"::ffff:0.0.0.0":       guard.Unspecified,
		"::ffff:192.0.2.1":     guard.Documentation,
		"::10.0.0.1":           guard.Special, // IPv4-compatible
		"64:ff9b::10.0.0.1":    guard.Private,
		"64:ff9b::127.0.0.1":   guard.Self,
		"64:ff9b::127.0.0.2":   guard.Loopback,
		"64:ff9b::a9fe:a9fe":   guard.LinkLocal,
		"64:ff9b:1::10.0.0.1":  guard.Special, // local-use NAT64 (RFC 8215)
		"64:ff9b::1:8.8.8.8":   guard.Special, // not in the /96
		"2002:0a00:0001::1":    guard.Special, // 6to4 of 10.0.0.1
		"2002:7f00:0001::1":    guard.Special, // 6to4 of 127.0.0.1
		"2002:0808:0808::1":    guard.Special, // 6to4 is gone, public or not
		"127.0.0.1":            guard.Self,
		"::1":                  guard.Self,
		"::ffff:127.0.0.1":     guard.Self,
		"10.1.2.3":             guard.Self,
		"8.8.4.4":              guard.Self, // public, on an interface
		"::ffff:8.8.4.4":       guard.Self,
		"64:ff9b::8.8.4.4":     guard.Self,
		"2a00:1::1":            guard.Self,
		"9.9.9.9":              guard.Self, // configured
		"2a00:1::2":            "",
		"192.0.0.1":            guard.Special,
		"2001:db8:ffff::ffff":  guard.Documentation,
		"2620:4f:8000::1":      guard.Special,
		"192.175.48.1":         guard.Special,
		"168.63.129.15":        "",
		"168.63.129.16":        guard.Special, // Azure's own services
		"168.63.129.17":        "",
		"::ffff:168.63.129.16": guard.Special,
		"64:ff9b::a83f:8110":   guard.Special,
		"fdff:ffff:ffff::ffff": guard.Private,
	}
}

func TestCheckRefusesWhatIsNotPublic(t *testing.T) {
	g := newGuard(t, guard.Options{Own: addrs("9.9.9.9")})
	for text, why := range destinations() {
		err := g.Check(netip.MustParseAddr(text))
		if why == "" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		wantRefused(t, text, err, why)
		// Whoever named the destination reads this: not a word about where it leads.
		if want := "destination refused: " + string(why); err != nil && err.Error() != want {
			t.Errorf("text is %q, want %q", err, want)
		}
		var r *guard.Refused
		if errors.As(err, &r) && r.Addr != netip.MustParseAddr(text) {
			t.Errorf("%s: the log gets %v", text, r.Addr)
		}
	}
	wantRefused(t, "zero address", g.Check(netip.Addr{}), guard.Invalid)
}

func TestAllowedPrefixesPass(t *testing.T) {
	g := newGuard(t, guard.Options{Allow: prefixes("127.0.0.0/8", "10.0.0.7/24", "fd00::/8", "fe80::/10", "::ffff:192.168.0.0/112")})
	for text, want := range map[string]bool{
		"127.0.0.1": true, // although it is ourselves: allowed is allowed
		"127.9.9.9": true, "::ffff:127.0.0.1": true, "::1": false,
		"10.0.0.1": true, "10.0.1.1": false, "fd01::1": true, "fc01::1": false, "fe80::1%eth0": true,
		"192.168.255.1": true, "192.169.0.1": true, "172.16.0.1": false,
		"64:ff9b::10.0.0.1": false, // another network's 10.0.0.1
		"8.8.8.8":           true,
	} {
		if err := g.Check(netip.MustParseAddr(text)); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWithSelfAllowsExactlyOurselves(t *testing.T) {
	g := newGuard(t, guard.Options{Own: addrs("9.9.9.9")})
	self := g.WithSelf()
	for text, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "10.1.2.3": true, "8.8.4.4": true, "9.9.9.9": true,
		"127.0.0.2": false, "10.1.2.4": false, "64:ff9b::8.8.4.4": false, "8.8.8.8": true,
	} {
		if err := self.Check(netip.MustParseAddr(text)); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	wantRefused(t, "the guard it came from", g.Check(netip.MustParseAddr("8.8.4.4")), guard.Self)
}

func TestRefreshSeesNewAddressesAndKeepsOldOnesOnError(t *testing.T) {
	current, failure := addrs("8.8.4.4"), error(nil)
	g := newGuard(t, guard.Options{Interfaces: func() ([]netip.Addr, error) { return current, failure }, Own: addrs("9.9.9.9")})
	self := g.WithSelf()
	moved := netip.MustParseAddr("8.8.4.5")
	if err := g.Check(moved); err != nil {
		t.Fatal(err)
	}
	current = addrs("8.8.4.5")
	if err := g.Refresh(); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "new address", g.Check(moved), guard.Self)
	wantRefused(t, "configured address", g.Check(netip.MustParseAddr("9.9.9.9")), guard.Self)
	if err := g.Check(netip.MustParseAddr("8.8.4.4")); err != nil {
		t.Errorf("old address: %v", err)
	}
	if err := self.Check(moved); err != nil {
		t.Errorf("WithSelf did not see the change: %v", err)
	}
	failure = errors.New("no netlink")
	if err := g.Refresh(); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	wantRefused(t, "after a failed refresh", g.Check(moved), guard.Self)
	if _, err := guard.New(guard.Options{Interfaces: func() ([]netip.Addr, error) { return nil, failure }}); !errors.Is(err, failure) {
		t.Errorf("New: %v", err)
	}
}

func TestSystemInterfacesAreOurselves(t *testing.T) {
	g, err := guard.New(guard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "127.0.0.1", g.Check(netip.MustParseAddr("127.0.0.1")), guard.Self)
}

func TestCheckPort(t *testing.T) {
	g := newGuard(t, guard.Options{Ports: []int{25, 587}})
	for port, want := range map[int]bool{25: true, 587: true, 22: false, 0: false, -1: false, 65536: false, 65536 + 25: false} {
		err := g.CheckPort(port)
		if (err == nil) != want {
			t.Errorf("%d: %v", port, err)
		}
		if err != nil {
			wantRefused(t, "port", err, guard.Port)
		}
	}
	for port, want := range map[int]bool{1: true, 22: true, 65535: true, 0: false, 65536: false} {
		if err := newGuard(t, guard.Options{}).CheckPort(port); (err == nil) != want {
			t.Errorf("any port, %d: %v", port, err)
		}
	}
}

func TestDialReachesWhatIsAllowed(t *testing.T) {
	to, _ := listen(t)
	port := to.String()[strings.LastIndexByte(to.String(), ':'):]
	resolver := &script{answers: [][]netip.Addr{addrs("127.0.0.1")}}
	g := newGuard(t, guard.Options{Allow: prefixes("127.0.0.1/32"), Resolver: resolver, Ports: []int{int(to.Port())}})
	ctx := t.Context()
	for _, address := range []string{"relay.test" + port, "127.0.0.1" + port, "[::ffff:127.0.0.1]" + port} {
		conn, err := g.DialContext(ctx, "tcp", address)
		greeted(t, conn, err)
	}
	conn, err := g.DialContext(ctx, "tcp4", "relay.test"+port)
	greeted(t, conn, err)
	conn, err = g.DialAddr(ctx, to)
	greeted(t, conn, err)
	conn, err = g.DialFrom(ctx, netip.MustParseAddr("127.0.0.5"), to)
	if err == nil && !strings.HasPrefix(conn.LocalAddr().String(), "127.0.0.5:") {
		t.Errorf("dialed from %v", conn.LocalAddr())
	}
	greeted(t, conn, err)
	if diff := cmp.Diff([]string{"ip relay.test", "ip4 relay.test"}, resolver.asked); diff != "" {
		t.Errorf("lookups (-want +got):\n%s", diff)
	}
}

func TestDialRefuses(t *testing.T) {
	to, accepted := listen(t)
	port := to.String()[strings.LastIndexByte(to.String(), ':'):]
	ctx := t.Context()
	loopback := &script{answers: [][]netip.Addr{addrs("127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0")}}
	g := newGuard(t, guard.Options{Resolver: loopback})
	for _, address := range []string{"127.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "relay.test", "localhost"} {
		_, err := g.DialContext(ctx, "tcp", address+port)
		wantRefused(t, address, err, guard.Self)
	}
	_, err := g.DialAddr(ctx, to)
	wantRefused(t, "DialAddr", err, guard.Self)
	_, err = g.DialAddr(ctx, netip.AddrPort{})
	wantRefused(t, "no address", err, guard.Invalid)
	for _, network := range []string{"udp", "unix", "ip4", "", "tcp5"} {
		_, err = g.DialContext(ctx, network, "127.0.0.1"+port)
		wantRefused(t, "network "+network, err, guard.Network)
	}
	ports := newGuard(t, guard.Options{Allow: prefixes("127.0.0.0/8"), Ports: []int{25}})
	_, err = ports.DialContext(ctx, "tcp", to.String())
	wantRefused(t, "port by name", err, guard.Port)
	_, err = ports.DialAddr(ctx, to)
	wantRefused(t, "port by address", err, guard.Port)
	for _, address := range []string{"", "relay.test", "relay.test:", "relay.test:smtp", "relay.test:99999", "relay.test:-1"} {
		if _, err := g.DialContext(ctx, "tcp", address); err == nil {
			t.Errorf("dialed %q", address)
		}
	}
	if n := accepted(); n != 0 {
		t.Errorf("%d connections came through", n)
	}
}

func TestRebindingGainsNothing(t *testing.T) {
	to, accepted := listen(t)
	address := "rebind.test" + to.String()[strings.LastIndexByte(to.String(), ':'):]
	ctx := t.Context()
	resolver := &script{answers: [][]netip.Addr{addrs("8.8.8.8"), addrs("127.0.0.1")}}
	g := newGuard(t, guard.Options{Resolver: resolver})

	// Whoever saves the settings sees a public address ...
	first, err := resolver.LookupNetIP(ctx, "ip", "rebind.test")
	if err != nil || g.Check(first[0]) != nil {
		t.Fatalf("%v, %v", first, err)
	}
	// ... and the dial, which resolves again, gets a private one.
	_, err = g.DialContext(ctx, "tcp", address)
	wantRefused(t, "second answer", err, guard.Self)
	if n := accepted(); n != 0 {
		t.Errorf("%d connections came through", n)
	}
}

func TestHookChecksTheAddressOfTheSocket(t *testing.T) {
	to, _ := listen(t)
	g := newGuard(t, guard.Options{Ports: []int{25}})
	for address, why := range map[string]guard.Why{
		to.String():        guard.Port,
		"127.0.0.1:25":     guard.Self,
		"10.0.0.1:25":      guard.Private,
		"[fe80::1%lo]:25":  guard.LinkLocal,
		"relay.test:25":    guard.Invalid,
		"/run/socket:none": guard.Invalid,
	} {
		wantRefused(t, address, guard.Control(t.Context(), g, "tcp4", address), why)
	}
	wantRefused(t, "udp", guard.Control(t.Context(), g, "udp4", "8.8.8.8:25"), guard.Network)
	if err := guard.Control(t.Context(), g, "tcp6", "[2a00:2::1]:25"); err != nil {
		t.Error(err)
	}
}

func TestDialTriesTheNextAddress(t *testing.T) {
	to, _ := listen(t)
	address := "relay.test" + to.String()[strings.LastIndexByte(to.String(), ':'):]
	allow := prefixes("127.0.0.0/8")
	// 127.0.0.9 has no listener, 10.0.0.1 is refused.
	g := newGuard(t, guard.Options{Allow: allow, Resolver: &script{answers: [][]netip.Addr{addrs("10.0.0.1", "127.0.0.9", "127.0.0.1")}}})
	conn, err := g.DialContext(t.Context(), "tcp", address)
	greeted(t, conn, err)

	g = newGuard(t, guard.Options{Allow: allow, Resolver: &script{answers: [][]netip.Addr{addrs("10.0.0.1", "127.0.0.9")}}})
	var r *guard.Refused
	if _, err := g.DialContext(t.Context(), "tcp", address); err == nil || errors.As(err, &r) {
		t.Errorf("got %v, want the failure to connect, which may pass", err)
	}
}

func TestDialTellsWhyNothingWasTried(t *testing.T) {
	failure := errors.New("SERVFAIL")
	g := newGuard(t, guard.Options{Resolver: &script{err: failure}})
	if _, err := g.DialContext(t.Context(), "tcp", "relay.test:25"); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	g = newGuard(t, guard.Options{Resolver: &script{}})
	var dnsErr *net.DNSError
	if _, err := g.DialContext(t.Context(), "tcp", "relay.test:25"); !errors.As(err, &dnsErr) || !dnsErr.IsNotFound {
		t.Errorf("got %v", err)
	}
}

func TestDialStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g := newGuard(t, guard.Options{Resolver: &script{answers: [][]netip.Addr{addrs("8.8.8.8", "1.1.1.1")}}})
	if _, err := g.DialContext(ctx, "tcp", "relay.test:25"); !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), "canceled") {
		t.Errorf("got %v", err)
	}
}

func TestEveryWayToWriteAnIPv4AddressIsJudgedAlike(t *testing.T) {
	g := newGuard(t, guard.Options{Own: addrs("9.9.9.9")})
	rapid.Check(t, func(t *rapid.T) {
		v4 := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")))
		refused := g.Check(v4) != nil
		b := v4.As4()
		mapped := netip.AddrFrom16(v4.As16())
		nat64 := netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b, 12: b[0], 13: b[1], 14: b[2], 15: b[3]})
		sixToFour := netip.AddrFrom16([16]byte{0x20, 0x02, b[0], b[1], b[2], b[3], 15: 1})
		for _, addr := range []netip.Addr{mapped, mapped.WithZone("eth0"), nat64} {
			if got := g.Check(addr) != nil; got != refused {
				t.Fatalf("%v refused: %v, %v refused: %v", v4, refused, addr, got)
			}
		}
		if g.Check(sixToFour) == nil {
			t.Fatalf("%v passed", sixToFour)
		}
		if !refused && (v4.IsPrivate() || v4.IsLoopback() || !v4.IsGlobalUnicast()) {
			t.Fatalf("%v passed", v4)
		}
	})
}
