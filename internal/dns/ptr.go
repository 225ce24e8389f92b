package dns

import (
	"context"
	"net/netip"

	mdns "github.com/miekg/dns"
)

// LookupPTR returns the names of an address (RFC 1035 section 3.5). Anyone can claim any
// name there; what it is worth shows when the name is looked up.
func (c *Client) LookupPTR(ctx context.Context, addr netip.Addr) (Answer[string], error) {
	name, err := mdns.ReverseAddr(addr.Unmap().WithZone("").String())
	if err != nil {
		return Answer[string]{}, &Error{Name: addr.String(), Type: typeName(mdns.TypePTR), Failure: BadName}
	}
	return lookup(ctx, c, name, mdns.TypePTR, func(rr mdns.RR) (string, bool) {
		ptr, ok := rr.(*mdns.PTR)
		if !ok {
			return "", false
		}
		return plain(ptr.Ptr), true
	})
}
