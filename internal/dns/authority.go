package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	mdns "github.com/miekg/dns"
)

// Bounds on what one name may make us ask: whoever owns it decides where its zone
// and the servers of that zone are.
const (
	maxQuestions        = 40   // of a Lookup, those to the recursive resolver included
	maxSessionQuestions = 1000 // of a Session
	maxCuts             = 8    // SOA questions on the way up to the apex
	maxZoneServers      = 6    // of a zone that are asked, the first by name
	maxReferrals        = 2    // followed below the zone the resolver knows
	serverAddresses     = 2    // of a server that are tried
	serverTries         = 2    // at a server that is silent or out of reach
)

// Type is the type of a record.
type Type uint16

// The types an Authority may be asked for.
const (
	TypeA     = Type(mdns.TypeA)
	TypeNS    = Type(mdns.TypeNS)
	TypeCNAME = Type(mdns.TypeCNAME)
	TypeSOA   = Type(mdns.TypeSOA)
	TypeMX    = Type(mdns.TypeMX)
	TypeTXT   = Type(mdns.TypeTXT)
	TypeAAAA  = Type(mdns.TypeAAAA)
)

func (t Type) String() string { return typeName(uint16(t)) }

// AuthorityOptions configure an Authority.
type AuthorityOptions struct {
	Resolver      *Client                // finds zones and the addresses of their servers; its cache is not used
	Port          int                    // of authoritative servers; 0: 53
	Check         func(netip.Addr) error // refuses addresses that must not be dialed (guard.Guard); nil: dials any
	ServerTimeout time.Duration          // of the questions to one server; 0: 3 s
	Timeout       time.Duration          // of a Lookup as a whole; 0: 10 s
}

// Authority asks the authoritative servers of zones, so that what was published a
// moment ago is seen at once and a server that lags behind is seen as well. It
// keeps nothing between Lookups and is safe for concurrent use.
type Authority struct {
	resolver      *Client
	port          uint16
	check         func(netip.Addr) error
	dialer        *net.Dialer
	serverTimeout time.Duration
	timeout       time.Duration
}

// NewAuthority returns an Authority.
func NewAuthority(o AuthorityOptions) *Authority {
	if o.Port <= 0 {
		o.Port = 53
	}
	if o.Check == nil {
		o.Check = func(netip.Addr) error { return nil }
	}
	if o.ServerTimeout <= 0 {
		o.ServerTimeout = 3 * time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	a := &Authority{
		resolver: o.Resolver, port: uint16(o.Port), check: o.Check, serverTimeout: o.ServerTimeout, timeout: o.Timeout,
	}
	a.dialer = &net.Dialer{ControlContext: a.control}
	return a
}

// errNotAllowed is in the error of a connect that the check stopped.
var errNotAllowed = errors.New("address not allowed")

// control is called with the address the socket is about to connect to: what was
// checked when the server was chosen is checked where it counts.
func (a *Authority) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotAllowed, err)
	}
	if err := a.check(to.Addr()); err != nil {
		return fmt.Errorf("%w: %w", errNotAllowed, err)
	}
	return nil
}

// Authoritative is what the servers of a zone say about a name. It may be shared
// and must not be changed.
type Authoritative struct {
	Name string // the name asked for, as Resolver writes names
	Type Type
	Zone string // the zone that holds the name, "." for the root; "" if it was not found

	// What holds: the records, or the target if the name is an alias and not its
	// CNAME was asked for; neither if there is no record. When servers disagree, what
	// most of those say that have a record at all: a new record counts as soon as one
	// server has it.
	Records []string // in the form of ServerAnswer.Records
	CNAME   string
	TTL     time.Duration // as published, 0 without records

	Servers  []ServerAnswer // all that were asked
	Omitted  int            // servers of the zone that were not asked, being too many
	Disagree bool           // servers that answered have different records
}

// ServerAnswer is what one server says.
type ServerAnswer struct {
	Name    string     // host name of the server, from its NS record
	Address netip.Addr // that was asked last; the zero Addr if none was

	// Records are sorted, each once: TXT as the bytes it is with its strings joined,
	// A and AAAA as addresses, CNAME and NS as names, MX as "10 host", SOA as its
	// seven fields. Names are in lower case without the final dot.
	Records []string
	CNAME   string // target, if the name is an alias and not its CNAME was asked for

	Failure Failure // "" with Records or CNAME; NXDomain and NoData are answers; any other: it did not answer
	Text    string  // Failure for people, without addresses; "" with Records or CNAME
}

// Authoritative reports that the server answered from the zone itself, be it that
// there is no such record.
func (s ServerAnswer) Authoritative() bool {
	return s.Failure == "" || s.Failure == NXDomain || s.Failure == NoData
}

// Lookup asks the servers of the zone that holds a name for records of a type.
// CNAMEs are not followed: Session.Follow does. Every error is an *Error: NotFound
// when no server that answered has such a record, temporary when none answered.
// What the servers said is returned in each case.
func (a *Authority) Lookup(ctx context.Context, name string, t Type) (Authoritative, error) {
	return a.Session().Lookup(ctx, name, t)
}
