package deliver

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"time"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/dkim"
	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

// KeySource finds the key that signs for a domain. An error means that mail which
// must be signed waits.
type KeySource interface {
	Signer(ctx context.Context, domain string) (dkim.Signer, error)
}

// Options make a Deliverer.
type Options struct {
	Platform   route.Platform
	ReturnPath route.ReturnPath
	Keys       KeySource
	Resolver   dns.Resolver
	MX         *guard.Guard // dials MX hosts
	Relays     *guard.Guard // dials operators' relays
	Upstream   *guard.Guard // dials the platform's own upstream: not guarded against private addresses
	HELO       string
	Rules      *classify.Rules // what replies mean; nil: the built-in ones

	// UpstreamSigns says that the upstream signs what goes through it: no signature of ours.
	UpstreamSigns bool

	MXPort   int            // 25
	Roots    *x509.CertPool // for relays; nil: the system's
	Timeouts smtpc.Timeouts // zero fields get smtpc's defaults
	Connect  time.Duration  // TCP connect, per address; 0 means 30 s
	Logins   int            // per minute and relay; 0 means 60
	Mails    int            // per session; 0 means 100 to an MX, 500 to a relay
	Log      *slog.Logger
	Now      func() time.Time // for signatures; nil means time.Now
}

// Deliverer delivers jobs.
type Deliverer struct {
	o          Options
	direct     *pool
	relays     *pool
	blocks     *outage // of direct delivery as a whole
	plain      *memory // hosts whose TLS does not work
	names      *names  // what the hosts of domains go by
	logins     *logins
	signatures *signatures
}

// How many sessions are kept idle, how long, and how many mails each carries.
const (
	directIdle  = 30 * time.Second
	directKept  = 500
	directMails = 100
	relayIdle   = 60 * time.Second
	relayKept   = 500
	relayMails  = 500
)

// namesKept is how long a domain's hosts are taken for what they were when only kept
// sessions are looked for.
const namesKept = 5 * time.Minute

// New returns a Deliverer. Close it after its last job.
func New(o Options) *Deliverer {
	if o.Connect == 0 {
		o.Connect = 30 * time.Second
	}
	if o.MXPort == 0 {
		o.MXPort = 25
	}
	if o.Logins == 0 {
		o.Logins = 60
	}
	if o.Rules == nil {
		o.Rules = classify.BuiltIn()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	mails := func(usual int) int {
		if o.Mails > 0 {
			return o.Mails
		}
		return usual
	}
	return &Deliverer{
		o:          o,
		direct:     newPool(directIdle, directKept, mails(directMails)),
		relays:     newPool(relayIdle, relayKept, mails(relayMails)),
		blocks:     &outage{},
		plain:      newMemory(time.Hour, 10000),
		names:      newNames(namesKept, 10000),
		logins:     newLogins(o.Logins),
		signatures: newSignatures(),
	}
}

// Close ends the kept sessions.
func (d *Deliverer) Close() {
	d.direct.close()
	d.relays.close()
}

// Deliver tries a job and reports each recipient. Deliveries it does not report were
// not tried.
func (d *Deliverer) Deliver(ctx context.Context, j *waypost.Job) {
	t := &try{d: d, job: j, route: j.Route, started: time.Now(), done: make([]bool, len(j.Deliveries))}
	if j.Route == waypost.RouteSandbox {
		t.sandbox()
		return
	}
	if !t.prepare(ctx) {
		return
	}
	switch j.Route {
	case waypost.RouteDirect:
		t.toMX(ctx)
	case waypost.RouteRelay:
		t.toRelay(ctx)
	case waypost.RouteUpstream:
		t.toUpstream(ctx)
	default:
		t.failAll(waypost.PhaseRoute, errors.New("unknown route "+string(j.Route)))
	}
}
