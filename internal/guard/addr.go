package guard

import "net/netip"

// plain is the address itself: without zone, which prefixes never contain, and
// out of its IPv4-mapped form (RFC 4291 section 2.5.5.2), which the kernel dials
// as IPv4.
func plain(addr netip.Addr) netip.Addr { return addr.WithZone("").Unmap() }

func plainPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// nat64 returns the IPv4 address inside an address of the well-known NAT64 prefix
// 64:ff9b::/96 (RFC 6052 section 2.1), and whether there is one.
func nat64(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	if [12]byte(b[:12]) != [12]byte{0x00, 0x64, 0xff, 0x9b} {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(b[12:])), true
}

// kind names what sort of address a refused one is.
func kind(addr netip.Addr) Why {
	switch {
	case addr.IsUnspecified():
		return Unspecified
	case addr.IsLoopback():
		return Loopback
	case addr.IsPrivate():
		return Private
	case addr.IsLinkLocalUnicast():
		return LinkLocal
	case addr.IsMulticast():
		return Multicast
	case within(addr, "100.64.0.0/10"): // RFC 6598
		return Shared
	case within(addr, "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"): // RFC 5737, 3849, 9637
		return Documentation
	default:
		return Special
	}
}

func within(addr netip.Addr, prefixes ...string) bool {
	for _, p := range prefixes {
		if netip.MustParsePrefix(p).Contains(addr) {
			return true
		}
	}
	return false
}
