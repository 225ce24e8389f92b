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
	Plain         Why = "plain http is allowed in networks of the platform only: use https"
)

// Refused is the guard's answer to a destination. Its text is for whoever named the
// destination, and does not hold the address: it would tell what a name resolves to in
// our network. The owner's log may have Addr.
type Refused struct {
	Addr netip.Addr // the address, as it was to be dialed; invalid if Why is not about one
	Port int        // the port, if Why is Port; else 0
	Why  Why
}

func (r *Refused) Error() string {
	if r.Why == Port {
		return "port " + strconv.Itoa(r.Port) + " refused: " + string(r.Why)
	}
	return "destination refused: " + string(r.Why)
}
