// Package limit has rate limits by name, bounded in number: so many at once, and then so
// many in a while, for each client, operator, or whatever the name stands for.
package limit

import (
	"net/netip"
	"sync"

	"golang.org/x/time/rate"

	"github.com/waypost/waypost/internal/waypost"
)

// Limits are rate limits by name. They are safe for concurrent use.
type Limits struct {
	every rate.Limit
	burst int

	mu     sync.Mutex
	byName map[string]*rate.Limiter
}

// maxNames bounds how many names are remembered; past it all start afresh.
const maxNames = 10_000

// New returns limits of burst at once, and every a second afterwards.
func New(every rate.Limit, burst int) *Limits {
	return &Limits{every: every, burst: burst, byName: map[string]*rate.Limiter{}}
}

// Allow counts one for a name and reports whether it may be.
func (l *Limits) Allow(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := l.byName[name]
	if limit == nil {
		if len(l.byName) >= maxNames {
			clear(l.byName)
		}
		limit = rate.NewLimiter(l.every, l.burst)
		l.byName[name] = limit
	}
	return limit.Allow()
}

// Spent reports whether a name is at its limit, without counting.
func (l *Limits) Spent(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := l.byName[name]
	return limit != nil && limit.Tokens() < 1
}

// Network is the name of a client by its address: what counts as one where clients are
// limited. What is no address stands for itself.
func Network(peer string) string {
	if addr, err := netip.ParseAddr(peer); err == nil {
		return waypost.PeerNetwork(addr).String()
	}
	return peer
}
