package auth

import (
	"context"
	"net/netip"
	"slices"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// Network returns the principal of the credential that is bound to the network of a
// client, and whether there is one. The longest prefix wins; of credentials with the
// same network, the oldest.
func (a *Auth) Network(ctx context.Context, peer netip.Addr) (waypost.Principal, bool, error) {
	table, ok, generation := a.networks.get(struct{}{})
	if !ok {
		credentials, err := a.store.NetworkCredentials(ctx)
		if err != nil {
			return waypost.Principal{}, false, err
		}
		table = newNetworkTable(credentials)
		a.networks.put(generation, struct{}{}, table)
	}
	p, ok := table.find(peer)
	if ok {
		a.used.mark(p.CredentialID, a.now())
	}
	return p, ok, nil
}

// networkTable finds the longest prefix with one look for each length in use.
type networkTable struct {
	lengths  [2][]int // in use, the longest first; IPv4, IPv6
	prefixes map[netip.Prefix]waypost.Principal
}

// newNetworkTable makes the table of valid credentials, the oldest first.
func newNetworkTable(credentials []store.Credential) *networkTable {
	t := &networkTable{prefixes: map[netip.Prefix]waypost.Principal{}}
	for i := range credentials {
		c := &credentials[i]
		if c.OperatorID == "" || !c.Revoked.IsZero() { // a network names exactly one operator
			continue
		}
		for _, n := range c.Networks {
			n = plain(n)
			if _, taken := t.prefixes[n]; taken {
				continue
			}
			t.prefixes[n] = principal(c)
			family := &t.lengths[familyOf(n.Addr())]
			if !slices.Contains(*family, n.Bits()) {
				*family = append(*family, n.Bits())
			}
		}
	}
	for i := range t.lengths {
		slices.Sort(t.lengths[i])
		slices.Reverse(t.lengths[i])
	}
	return t
}

func (t *networkTable) find(peer netip.Addr) (waypost.Principal, bool) {
	// Out of its IPv4-mapped form (RFC 4291 section 2.5.5.2), which a listener on both
	// families sees, and without a zone, which prefixes never contain.
	peer = peer.Unmap().WithZone("")
	if !peer.IsValid() {
		return waypost.Principal{}, false
	}
	for _, bits := range t.lengths[familyOf(peer)] {
		prefix, err := peer.Prefix(bits)
		if err != nil {
			continue
		}
		if p, ok := t.prefixes[prefix]; ok {
			return p, true
		}
	}
	return waypost.Principal{}, false
}

func familyOf(addr netip.Addr) int {
	if addr.Is4() {
		return 0
	}
	return 1
}

// plain is a prefix without host bits, out of the IPv4-mapped form.
func plain(n netip.Prefix) netip.Prefix {
	if n.Addr().Is4In6() && n.Bits() >= 96 {
		n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
	}
	return n.Masked()
}
