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
	MXPort     int            // 25
	Roots      *x509.CertPool // for relays; nil: the system's
	Timeouts   smtpc.Timeouts // zero fields get smtpc's defaults
	Connect    time.Duration  // TCP connect, per address; 0 means 30 s
	Logins     int            // per minute and relay; 0 means 60
	Log        *slog.Logger
	Now        func() time.Time // for signatures; nil means time.Now

	// Authorized tells whether an assigned sender's domain is authorized now. Nil: none is.
	Authorized func(waypost.Sender) bool
}

// Deliverer delivers jobs.
type Deliverer struct {
	o      Options
	direct *pool
	relays *pool
	blocks *outage // of direct delivery as a whole
	plain  *memory // hosts whose TLS does not work
	logins *logins
}

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
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Deliverer{
		o:      o,
		direct: newPool(30*time.Second, 100),
		relays: newPool(60*time.Second, 500),
		blocks: &outage{},
		plain:  newMemory(time.Hour, 10000),
		logins: newLogins(o.Logins),
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
	t := &try{d: d, job: j, route: j.Route, started: time.Now()}
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
		t.toRelay(ctx, d.o.Relays)
	case waypost.RouteUpstream:
		t.toUpstream(ctx)
	default:
		t.failAll(waypost.PhaseRoute, errors.New("unknown route "+string(j.Route)))
	}
}

// try is one job under way.
type try struct {
	d       *Deliverer
	job     *waypost.Job
	route   waypost.RouteKind // what attempts are recorded under: a fallback changes it
	started time.Time
	from    waypost.Address
	pieces  [][]byte // the message as it leaves: signature, header, body
	host    string   // last host tried
	address string   // last address tried
	tls     string
	done    []bool // reported, by delivery
}

// sandbox ends a mail in the local mailbox, which the queue writes.
func (t *try) sandbox() {
	for i := range t.job.Deliveries {
		if t.job.MayTalk(&t.job.Deliveries[i]) != nil {
			continue
		}
		t.step(waypost.PhaseData, t.started, true, "sandbox: kept in the local mailbox, nothing leaves", "")
		t.job.Report(i, waypost.Attempt{
			Route: waypost.RouteSandbox, Host: "sandbox", Phase: waypost.PhaseDot, Outcome: waypost.OutcomeDelivered,
			Reply: waypost.Reply{Code: 250, Enhanced: "2.0.0", Text: "kept in the sandbox"}, Started: t.started,
		})
	}
}

// report records what a server, or the lack of one, said about delivery i.
func (t *try) report(i int, in classify.Input) {
	if t.reported(i) {
		return
	}
	in.Route = t.route
	v := classify.Classify(in)
	reply := in.Reply
	if reply.Code == 0 && in.Err != nil {
		reply.Text = in.Err.Error()
	}
	t.done[i] = true
	t.job.Report(i, waypost.Attempt{
		Route: t.route, Host: t.host, Address: t.address, TLS: t.tls, Phase: in.Phase, Outcome: v.Outcome,
		Cause: string(v.Cause), Reply: reply, Started: t.started, Took: time.Since(t.started),
	})
}

func (t *try) reported(i int) bool {
	if t.done == nil {
		t.done = make([]bool, len(t.job.Deliveries))
	}
	return t.done[i]
}

// open lists the deliveries that are not reported and may be tried now.
func (t *try) open() []int {
	var open []int
	for i := range t.job.Deliveries {
		if !t.reported(i) && t.job.MayTalk(&t.job.Deliveries[i]) == nil {
			open = append(open, i)
		}
	}
	return open
}

// left reports whether anything is still to be said.
func (t *try) left() bool {
	for i := range t.job.Deliveries {
		if !t.reported(i) {
			return true
		}
	}
	return false
}

// failAll reports the same failure for everything that is still open.
func (t *try) failAll(phase waypost.Phase, err error) {
	t.fail(classify.Input{Phase: phase, Err: err})
}

func (t *try) fail(in classify.Input) {
	for i := range t.job.Deliveries {
		t.report(i, in)
	}
}

// inputOf reads an error of a session.
func inputOf(phase waypost.Phase, err error) classify.Input {
	var e *smtpc.Error
	if errors.As(err, &e) {
		return classify.Input{Phase: e.Phase, Reply: e.Reply, Err: e.Err}
	}
	return classify.Input{Phase: phase, Err: err}
}

// step tells whoever watches.
func (t *try) step(phase waypost.Phase, started time.Time, ok bool, detail, reply string) {
	if t.job.Step != nil {
		t.job.Step(waypost.Step{
			Phase: phase, Started: started, Millis: time.Since(started).Milliseconds(), OK: ok, Detail: detail, Reply: reply,
		})
	}
}

// trace passes the exchanges of a session on to whoever watches.
func (t *try) trace() func(smtpc.Step) {
	if t.job.Step == nil {
		return nil
	}
	return func(s smtpc.Step) {
		detail := s.Command
		if s.Err != nil {
			detail = s.Err.Error()
		}
		t.job.Step(waypost.Step{
			Phase: s.Phase, Started: s.Started, Millis: s.Took.Milliseconds(),
			OK: s.Err == nil && (s.Reply.Code == 0 || s.Reply.Positive()), Detail: detail, Reply: s.Reply.String(),
		})
	}
}
