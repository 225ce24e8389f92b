package guard

import (
	"net/netip"
	"strconv"
)

// Why is a reason to refuse, for people.
type Why string

// The reasons.
const (
	Loopback      Why = "loopback address"
	Private       Why = "private address"
	LinkLocal     Why = "link-local address"
	Shared        Why = "shared address space of a provider"
	Multicast     Why = "multicast address"
	Unspecified   Why = "unspecified address"
	Documentation Why = "documentation address"
	Special       Why = "special-purpose address"
	Self          Why = "address of this server itself"
	Invalid       Why = "not an address"
	Port          Why = "port not allowed"
	Network       Why = "only TCP is allowed"
)

// Refused is the guard's answer to a destination. Its text holds the address or
// port that was refused and nothing else about this machine or its network.
type Refused struct {
	Addr netip.Addr // the address, as it was to be dialed; invalid if Why is not about one
	Port int        // the port, if Why is Port; else 0
	Why  Why
}

func (r *Refused) Error() string {
	switch {
	case r.Why == Port:
		return "port " + strconv.Itoa(r.Port) + " refused: " + string(r.Why)
	case r.Addr.IsValid():
		return "address " + r.Addr.String() + " refused: " + string(r.Why)
	default:
		return "destination refused: " + string(r.Why)
	}
}
