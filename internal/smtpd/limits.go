package smtpd

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/waypost/waypost/internal/waypost"
)

// Results of peerLimits.enter, also the labels of Metrics.Connection.
const (
	connAccepted     = "accepted"
	connRefusedTotal = "refused_total"
	connRefusedPeer  = "refused_peer"
)

// peerLimits counts open connections. Its map has at most one entry per open
// connection.
type peerLimits struct {
	maxTotal, maxPeer int

	mu    sync.Mutex
	total int
	peers map[netip.Prefix]int
}

func newPeerLimits(maxTotal, maxPeer int) *peerLimits {
	return &peerLimits{maxTotal: maxTotal, maxPeer: maxPeer, peers: make(map[netip.Prefix]int)}
}

// enter counts a connection in if there is room for it. Each one that was accepted
// must leave.
func (l *peerLimits) enter(peer netip.Addr, exempt bool) string {
	key := waypost.PeerNetwork(peer)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.total >= l.maxTotal:
		return connRefusedTotal
	case !exempt && l.peers[key] >= l.maxPeer:
		return connRefusedPeer
	}
	l.total++
	l.peers[key]++
	return connAccepted
}

func (l *peerLimits) leave(peer netip.Addr) {
	key := waypost.PeerNetwork(peer)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.peers[key]--; l.peers[key] <= 0 {
		delete(l.peers, key)
	}
}

const (
	loginBurst   = 10               // failed logins of one client at once
	loginEvery   = 10 * time.Second // then one for each
	loginClients = 10_000           // clients remembered
)

// loginLimits slows down guessing. Only failures count, and past the limit a password
// that was right before still is checked: one server submits for many operators, and
// one stale key there must not stop the others.
type loginLimits struct {
	mu      sync.Mutex
	clients map[netip.Prefix]*rate.Limiter // of failures
}

func newLoginLimits() *loginLimits {
	return &loginLimits{clients: make(map[netip.Prefix]*rate.Limiter)}
}

// spent reports whether peer has failed too often for any password to be looked up.
func (l *loginLimits) spent(peer netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	failures := l.clients[waypost.PeerNetwork(peer)]
	return failures != nil && failures.TokensAt(now) < 1
}

func (l *loginLimits) failed(peer netip.Addr, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := waypost.PeerNetwork(peer)
	failures := l.clients[key]
	if failures == nil {
		if len(l.clients) >= loginClients {
			l.forget(now)
		}
		failures = rate.NewLimiter(rate.Every(loginEvery), loginBurst)
		l.clients[key] = failures
	}
	failures.AllowN(now, 1)
}

// forget makes room: clients about whom nothing is left to know go first, and
// when there are none anyone (map order is random) goes.
func (l *loginLimits) forget(now time.Time) {
	seen := 0
	for key, failures := range l.clients {
		if failures.TokensAt(now) >= loginBurst {
			delete(l.clients, key)
		}
		if seen++; seen == 100 { // an attack must not make every login scan the whole map
			break
		}
	}
	for key := range l.clients {
		if len(l.clients) < loginClients {
			return
		}
		delete(l.clients, key)
	}
}

// budget is memory shared by all sessions, in bytes.
type budget struct {
	limit int64
	used  atomic.Int64
}

// reserve takes n bytes, or nothing when they are not there. It does not wait:
// who cannot have memory now tells the client to come back.
func (b *budget) reserve(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) release(n int64) { b.used.Add(-n) }
