package waypost

import (
	"net"
	"strconv"
	"time"
)

// GatewayType is how an operator's mail leaves.
type GatewayType string

// The gateway types; "" stands for none bound.
const (
	GatewayBuiltin GatewayType = "builtin"
	GatewaySMTP    GatewayType = "smtp"
)

// Security is how a relay connection is protected.
type Security string

// The securities. Once chosen, TLS is required: nothing falls back to plaintext.
const (
	SecurityNone     Security = "none"
	SecurityStartTLS Security = "starttls"
	SecurityTLS      Security = "tls"
)

// Port is the default port of a security: 25, 587 (RFC 6409), 465 (RFC 8314).
func (s Security) Port() int {
	switch s {
	case SecurityStartTLS:
		return 587
	case SecurityTLS:
		return 465
	default:
		return 25
	}
}

// Strength orders securities by what they protect: a stored password is not
// reused when it drops.
func (s Security) Strength() int {
	switch s {
	case SecurityStartTLS:
		return 1
	case SecurityTLS:
		return 2
	default:
		return 0
	}
}

// Relay is an SMTP server that mail is handed to: an operator's own or the
// platform's upstream. Password is clear text in memory only.
type Relay struct {
	Host     string
	Port     int
	Security Security
	TrustAll bool // accept any certificate
	Username string
	Password string `json:"-"`
	Guarded  bool   // dial through the guard: others chose the host
}

// String describes the relay without its password.
func (r Relay) String() string {
	return string(r.Security) + "://" + r.Username + "@" + net.JoinHostPort(r.Host, strconv.Itoa(r.Port))
}

// GoString is String: no verb of fmt prints the password.
func (r Relay) GoString() string { return r.String() }

// SameServer reports whether a secret stored for r may be reused for next:
// host, port, user name and certificate checking unchanged, security not lowered
// (promise 7 of the design).
func (r Relay) SameServer(next Relay) bool {
	return r.Host == next.Host && r.Port == next.Port && r.Username == next.Username &&
		r.TrustAll == next.TrustAll && next.Security.Strength() >= r.Security.Strength()
}

// RouteKind is what an attempt uses.
type RouteKind string

// The route kinds.
const (
	RouteDirect   RouteKind = "direct"   // built-in: straight to MX
	RouteUpstream RouteKind = "upstream" // built-in: through the platform's upstream relay
	RouteRelay    RouteKind = "relay"    // the operator's own SMTP server
	RouteSandbox  RouteKind = "sandbox"  // nowhere: a local mailbox
)

// RelayHealth is what is known about an operator's relay.
type RelayHealth struct {
	OperatorID   string
	FailingSince time.Time // zero: healthy
	Reason       string    // the server's words, or what failed
	NextProbe    time.Time // nothing is tried before
	Probes       int       // failed probes in a row
	NoticeSent   time.Time
}

// Failing reports whether the relay's mail waits.
func (h RelayHealth) Failing() bool { return !h.FailingSince.IsZero() }
