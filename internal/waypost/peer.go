package waypost

import "net/netip"

// PeerNetwork is what counts as one client where clients are limited: an IPv4 address, or
// an IPv6 /64, which is the least a site is given (RFC 6177). It is the zero Prefix for
// the zero Addr.
func PeerNetwork(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// PeerSite is the network around a PeerNetwork that one holder may have all of: an IPv6 /48,
// the most that a site is usually given (RFC 6177). It is the zero Prefix for IPv4, where an
// address is all that is known of its holder.
func PeerSite(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return netip.Prefix{}
	}
	p, err := a.Prefix(48)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
