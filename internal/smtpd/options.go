package smtpd

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// Accepter takes a submission. It returns only when the mail is durable, or with
// the reason why it was not taken (a waypost.Error; anything else is answered as
// temporary). The submission, its message and recipients belong to it from then on.
// ctx ends when the server is closed by force, not when the client goes away.
type Accepter interface {
	Accept(ctx context.Context, s waypost.Submission) (waypost.Receipt, error)
}

// Authenticator says who a client is.
type Authenticator interface {
	// Password checks a login. The user name is passed on as typed; it may be empty.
	// A wrong one is a waypost.Error of kind Unauthenticated; any error that is
	// temporary is answered as such and not counted against the client.
	Password(ctx context.Context, peer netip.Addr, user, password string) (waypost.Principal, error)

	// Recognizes reports from memory alone whether a password was right before. Only
	// such a one is checked for a client that failed too often.
	Recognizes(password string) bool

	// Network returns the principal of the credential that is bound to the network
	// of peer, and whether there is one. It is asked at every MAIL of a session
	// without a login, so it has to be cheap and its changes are heeded at once.
	Network(ctx context.Context, peer netip.Addr) (waypost.Principal, bool, error)
}

// Limiter is asked before every mail transaction. It refuses with a waypost.Error:
// RateLimited, or Unauthenticated when the credential was revoked after the login,
// which then counts no more.
type Limiter interface {
	Allow(ctx context.Context, p waypost.Principal) error
}

// Metrics counts what happens. Its methods are called from many sessions at once.
type Metrics interface {
	// Connection counts a connection: "accepted", or why it was turned away,
	// "refused_total" or "refused_peer".
	Connection(result string)
	// Login counts an AUTH: "ok", "refused", "throttled" or "error".
	Login(result string)
	// Message counts a DATA command that was answered 354: "accepted", "refused"
	// (5yz), "deferred" (4yz) or "aborted" (the connection was lost). Size is the
	// bytes received.
	Message(result string, size int64)
}

// Timeouts bound how long a session waits. A zero field means its default.
type Timeouts struct {
	Command   time.Duration // for one whole command line: 5 min (RFC 5321 section 4.5.3.2.7)
	Identify  time.Duration // from the connection to a known principal, or between two messages of a stranger: 10 min
	DataIdle  time.Duration // for the next bytes of a message: 60 s
	Data      time.Duration // for a whole message, on top of a second for each KiB received: 10 min
	Discard   time.Duration // for the rest of a message once it is over the size limit: 60 s
	Handshake time.Duration // for TLS: 30 s
	Write     time.Duration // for the client to take replies: 30 s
}

// Options says what a Server needs. Accepter and Authenticator are required, or Inbound
// instead of both; a zero value elsewhere means the default given with the field.
type Options struct {
	Hostname string      // what the server calls itself: "localhost"
	TLS      *tls.Config // nil: STARTTLS is not offered

	Accepter      Accepter
	Authenticator Authenticator
	Limiter       Limiter // nil: no limit
	Inbound       Inbound // not nil: mail of strangers for it, nobody logs in

	// CleartextNetworks may AUTH without TLS. Loopback always may.
	CleartextNetworks []netip.Prefix
	// ExemptNetworks are free of the limits per address: connections and failed
	// logins. Loopback always is.
	ExemptNetworks []netip.Prefix

	MaxMessageSize        int64 // bytes of a message as accepted, dots unstuffed: 25 MiB
	MaxRecipients         int   // of one transaction: 1000
	MaxConnections        int   // open at once: 1000
	MaxConnectionsPerPeer int   // open at once from one address (IPv6: one /64): 100
	DataBudget            int64 // bytes of memory for messages under way in all sessions: 128 MiB
	// DiscardLimit is how many bytes of a message over the size limit are read and
	// thrown away, so that the client gets to read why, before the connection is
	// closed: 2 GiB.
	DiscardLimit int64

	Timeouts Timeouts

	Logger  *slog.Logger // nil: no log
	Metrics Metrics      // nil: none
	OnPanic func(any)    // called with what a session panicked with; nil: nothing
}

// Limits that are not worth a setting.
const (
	maxLine         = 2048 // octets of a command with CRLF: 512, and room for extensions
	maxAuthLine     = 4096 // the same for AUTH and its responses
	maxBadCommands  = 10   // syntax and order errors between two accepted messages
	maxAuthFailures = 3    // refused logins of one session
	maxAnonymous    = 100  // commands before the principal is known, or between two messages of a stranger
	minDataRate     = 1024 // bytes a second of a message, averaged beyond Timeouts.Data
)

func (o Options) withDefaults() Options {
	setDefault(&o.Hostname, "localhost")
	setDefault(&o.MaxMessageSize, 25<<20)
	setDefault(&o.MaxRecipients, 1000)
	setDefault(&o.MaxConnections, 1000)
	setDefault(&o.MaxConnectionsPerPeer, 100)
	setDefault(&o.DataBudget, 128<<20)
	setDefault(&o.DiscardLimit, 2<<30)
	t := &o.Timeouts
	setDefault(&t.Command, 5*time.Minute)
	setDefault(&t.Identify, 10*time.Minute)
	setDefault(&t.DataIdle, time.Minute)
	setDefault(&t.Data, 10*time.Minute)
	setDefault(&t.Discard, time.Minute)
	setDefault(&t.Handshake, 30*time.Second)
	setDefault(&t.Write, 30*time.Second)
	if o.Limiter == nil {
		o.Limiter = noLimit{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = noMetrics{}
	}
	if o.OnPanic == nil {
		o.OnPanic = func(any) {}
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

type noLimit struct{}

func (noLimit) Allow(context.Context, waypost.Principal) error { return nil }

type noMetrics struct{}

func (noMetrics) Connection(string)     {}
func (noMetrics) Login(string)          {}
func (noMetrics) Message(string, int64) {}
