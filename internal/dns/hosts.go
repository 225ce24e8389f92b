package dns

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// Bounds on what one domain may make us try (RFC 5321 section 5.1 allows a limit
// on alternate addresses).
const (
	MaxHosts     = 20 // mail hosts of a domain, the most preferred kept
	MaxAddresses = 16 // addresses of a host, per family
)

// Host is one mail host of a domain.
type Host struct {
	Name       string // A-labels in lower case, or an address literal with its brackets: what Addresses takes
	Preference uint16 // of its MX record, 0 without one
	Implicit   bool   // the domain itself, which has no MX record (RFC 5321 section 5.1)
	Unusable   string // why it cannot be tried, for people; "" if it can
}

// DestinationError says that a domain takes no mail, for certain: retrying does
// not help until its owner changes something.
type DestinationError struct {
	Domain string
	Status string // RFC 3463: "5.1.2" no such domain, "5.1.10" null MX, "5.4.4" neither MX nor address
	Reason string // for people, without the domain
	Err    error  // the *Error behind it, or nil
}

func (e *DestinationError) Error() string { return e.Domain + ": " + e.Reason }

func (e *DestinationError) Unwrap() error { return e.Err }

// Hosts returns the mail hosts of a domain in the order to try them: by
// preference, hosts of equal preference in random order, at most MaxHosts. A
// domain without MX records is its own only host. Hosts that cannot be tried stay
// in the list with the reason; if that is all of them the list says so and there
// is no error, as a broken MX record is often repaired.
//
// The error is a *DestinationError when the domain takes no mail for certain, and
// a temporary *Error otherwise.
func Hosts(ctx context.Context, r Resolver, domain string) ([]Host, error) {
	if len(domain) > 0 && domain[0] == '[' {
		if _, ok := ParseLiteral(domain); !ok {
			return nil, &DestinationError{Domain: domain, Status: "5.1.2", Reason: "not an address literal"}
		}
		return []Host{{Name: domain}}, nil
	}
	name, err := ToASCII(domain)
	if err != nil {
		return nil, &DestinationError{Domain: domain, Status: "5.1.2", Reason: "not a domain name", Err: err}
	}
	answer, err := r.LookupMX(ctx, name)
	switch failure := failureOf(err); {
	case err == nil:
	case failure == NoData:
		return implicitHost(ctx, r, name)
	case failure == NXDomain:
		return nil, &DestinationError{Domain: name, Status: "5.1.2", Reason: "the domain does not exist", Err: err}
	default:
		return nil, err
	}
	// RFC 7505 section 3: one record whose target is the root. Its preference is 0
	// on paper; with another one it can mean nothing else.
	if len(answer.Records) == 1 && answer.Records[0].Host == "." {
		return nil, &DestinationError{Domain: name, Status: "5.1.10", Reason: "the domain accepts no mail (null MX)"}
	}
	return order(answer.Records, rand.Shuffle), nil
}

// implicitHost is RFC 5321 section 5.1: without MX records the domain is treated
// as if it had one, of preference 0, pointing to itself. It must have an address
// for that: a name with neither is the example RFC 3463 gives for X.4.4.
func implicitHost(ctx context.Context, r Resolver, name string) ([]Host, error) {
	_, err := r.LookupIP(ctx, name)
	if IsNotFound(err) {
		return nil, &DestinationError{Domain: name, Status: "5.4.4", Reason: "the domain has neither a mail host nor an address", Err: err}
	}
	if err != nil {
		return nil, err
	}
	return []Host{{Name: name, Implicit: true}}, nil
}

func failureOf(err error) Failure {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Failure
	}
	return ""
}

// order sorts MX records into hosts. shuffle is rand.Shuffle: RFC 5321 section
// 5.1 demands that equal preferences are randomized to spread the load.
func order(records []MX, shuffle func(n int, swap func(i, j int))) []Host {
	records = slices.Clone(records)
	shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	slices.SortStableFunc(records, func(a, b MX) int { return int(a.Preference) - int(b.Preference) })
	hosts := make([]Host, 0, min(len(records), MaxHosts))
	seen := make(map[string]bool, len(records))
	for _, mx := range records {
		if seen[mx.Host] {
			continue
		}
		seen[mx.Host] = true
		hosts = append(hosts, Host{Name: mx.Host, Preference: mx.Preference, Unusable: unusable(mx.Host)})
		if len(hosts) == MaxHosts {
			break
		}
	}
	return hosts
}

// unusable says why the target of an MX record cannot be a mail host.
func unusable(host string) string {
	if host == "" || host == "." {
		// RFC 7505 section 3: no other MX may stand beside a null MX. The others
		// are what the owner uses, so only this one is left out.
		return "null MX beside other MX records"
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return "the MX record holds an IP address instead of a host name"
	}
	if _, err := ToASCII(host); err != nil {
		return "the MX record does not hold a host name"
	}
	return ""
}

// Addresses returns the addresses of a host: IPv4 first, then IPv6, each family
// in random order because a cache would always give the same first one, and at
// most MaxAddresses of each. IPv4 leads because it is where sending hosts have
// their name and reputation. A host that is an address, with or without the
// brackets of a literal, is its own only one. The error is an *Error.
func Addresses(ctx context.Context, r Resolver, host string) ([]netip.Addr, error) {
	if addr, ok := ParseLiteral(host); ok {
		return []netip.Addr{addr}, nil
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	answer, err := r.LookupIP(ctx, host)
	if err != nil {
		return nil, err
	}
	var v4, v6 []netip.Addr
	for _, addr := range answer.Records {
		if addr.Is4() {
			v4 = append(v4, addr)
		} else {
			v6 = append(v6, addr)
		}
	}
	return append(sample(v4), sample(v6)...), nil
}

func sample(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] }) //nolint:gosec // spreads load, hides nothing
	return addrs[:min(len(addrs), MaxAddresses)]
}
