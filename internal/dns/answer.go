package dns

import (
	"context"
	"net/netip"
	"time"
)

// Resolver looks records up. Names may be written with or without the final dot,
// in A-labels or U-labels, in any case; names in answers are A-labels in lower
// case without the final dot. CNAMEs are followed. Every error is an *Error.
type Resolver interface {
	// LookupMX returns the MX records of a domain, in no particular order.
	LookupMX(ctx context.Context, domain string) (Answer[MX], error)
	// LookupIP returns the A records of a host, then its AAAA records. It fails
	// only when neither family has an address: with a NotFound error if both
	// families said so, with a temporary one otherwise.
	LookupIP(ctx context.Context, host string) (Answer[netip.Addr], error)
	// LookupTXT returns the TXT records of a name, the strings of each record
	// joined (RFC 7208 section 3.3), as the bytes they are.
	LookupTXT(ctx context.Context, name string) (Answer[string], error)
}

// Answer is a set of at least one record.
type Answer[T any] struct {
	Records []T
	Name    string        // the owner of the records: the asked name, or the end of its CNAME chain
	TTL     time.Duration // how long the records may still be used; 0 for this time only
}

// MX is one MX record.
type MX struct {
	Host       string // A-labels in lower case, no final dot; "." for the root (RFC 7505)
	Preference uint16 // lower is tried first
}
