package inbound

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How much one network may write to postmaster and abuse: ten mails at once and then ten
// an hour, so never more than 20 within an hour.
const (
	networkBurst = 10
	networkEvery = 6 * time.Minute
	maxNetworks  = 10_000 // remembered; past it all start afresh
)

// networks counts the mail of networks. The zero value has seen none.
type networks struct {
	mu     sync.Mutex
	limits map[netip.Prefix]*rate.Limiter
}

// allow counts a mail and reports whether it is within the limit.
func (n *networks) allow(peer netip.Addr, now time.Time) bool {
	network := networkOf(peer)
	n.mu.Lock()
	defer n.mu.Unlock()
	limit := n.limits[network]
	if limit == nil {
		if n.limits == nil || len(n.limits) >= maxNetworks {
			n.limits = map[netip.Prefix]*rate.Limiter{}
		}
		limit = rate.NewLimiter(rate.Every(networkEvery), networkBurst)
		n.limits[network] = limit
	}
	return limit.AllowN(now, 1)
}

// networkOf is an IPv4 /24 or an IPv6 /48, the zero Prefix for the zero Addr: so many
// addresses one hand can have for little, unlike those of waypost.PeerNetwork.
func networkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
