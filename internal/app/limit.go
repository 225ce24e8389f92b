package app

import (
	"net"
	"net/netip"
	"sync"

	"github.com/waypost/waypost/internal/waypost"
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
	peers map[netip.Prefix]int
}

func newLimited(l net.Listener, exempt func(netip.Addr) bool) *limited {
	return &limited{
		Listener: l, total: httpConnections, perPeer: httpConnectionsPerPeer, exempt: exempt,
		peers: map[netip.Prefix]int{},
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

// peerOf is the address a connection comes from, the zero Addr if it has none.
func peerOf(conn net.Conn) netip.Addr {
	addr, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr().Unmap()
}

func (l *limited) enter(peer netip.Addr) bool {
	network := waypost.PeerNetwork(peer)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.total || l.peers[network] >= l.perPeer && !l.exempt(peer) {
		return false
	}
	l.open++
	l.peers[network]++
	return true
}

func (l *limited) leave(peer netip.Addr) {
	network := waypost.PeerNetwork(peer)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.peers[network]--; l.peers[network] == 0 {
		delete(l.peers, network)
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
