package app

import (
	"net"
	"net/netip"
	"sync"
)

// How many HTTP connections there may be. Each holds a file descriptor, of which SMTP
// and the database need some too.
const (
	httpConnections        = 2000
	httpConnectionsPerPeer = 100
)

// limited is a listener with bounds on its open connections, in all and from one peer.
// What is past them is closed at once: HTTP has no answer before the request.
type limited struct {
	net.Listener
	total, perPeer int
	exempt         func(netip.Addr) bool // no bound per peer

	mu    sync.Mutex
	open  int
	peers map[netip.Addr]int
}

func newLimited(l net.Listener, exempt func(netip.Addr) bool) *limited {
	return &limited{
		Listener: l, total: httpConnections, perPeer: httpConnectionsPerPeer, exempt: exempt,
		peers: map[netip.Addr]int{},
	}
}

// Accept returns the next connection that is within the bounds.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := peerOf(conn)
		if l.enter(peer) {
			return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(peer) })}, nil
		}
		_ = conn.Close()
	}
}

// peerOf is who a connection counts for: an IPv4 address, or an IPv6 network of the size
// one customer gets (RFC 6177).
func peerOf(conn net.Conn) netip.Addr {
	addr, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	peer := addr.Addr().Unmap()
	if peer.Is6() {
		if network, err := peer.WithZone("").Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return peer
}

func (l *limited) enter(peer netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.total || l.peers[peer] >= l.perPeer && !l.exempt(peer) {
		return false
	}
	l.open++
	l.peers[peer]++
	return true
}

func (l *limited) leave(peer netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.peers[peer]--; l.peers[peer] == 0 {
		delete(l.peers, peer)
	}
}

type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}
