package api

import (
	"net/netip"
	"sync"

	"golang.org/x/time/rate"

	"github.com/waypost/waypost/internal/waypost"
)

// limiters are rate limits by name, bounded in number.
type limiters struct {
	every rate.Limit
	burst int

	mu     sync.Mutex
	byName map[string]*rate.Limiter
}

// maxLimiters bounds how many names are remembered; past it all start afresh.
const maxLimiters = 10000

func newLimiters(every rate.Limit, burst int) *limiters {
	return &limiters{every: every, burst: burst, byName: map[string]*rate.Limiter{}}
}

func (l *limiters) allow(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := l.byName[name]
	if limit == nil {
		if len(l.byName) >= maxLimiters {
			clear(l.byName)
		}
		limit = rate.NewLimiter(l.every, l.burst)
		l.byName[name] = limit
	}
	return limit.Allow()
}

// spent reports whether a name is at its limit, without counting.
func (l *limiters) spent(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := l.byName[name]
	return limit != nil && limit.Tokens() < 1
}

// failures limit wrong keys per client address: 20 at once, 20 a minute.
type failures struct {
	*limiters
}

func newFailures() *failures { return &failures{newLimiters(20.0/60, 20)} }

// allow counts a failure of a client and reports whether it is still to be told that
// the key is wrong.
func (f *failures) allow(peer string) bool { return f.limiters.allow(network(peer)) }

// spent reports whether a client failed too often.
func (f *failures) spent(peer string) bool { return f.limiters.spent(network(peer)) }

// network is who a client is.
func network(peer string) string {
	if addr, err := netip.ParseAddr(peer); err == nil {
		return waypost.PeerNetwork(addr).String()
	}
	return peer
}
