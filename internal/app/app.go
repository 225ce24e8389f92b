package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/config"
	"github.com/waypost/waypost/internal/deliver"
	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/inbound"
	"github.com/waypost/waypost/internal/obs"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/smtpd"
	"github.com/waypost/waypost/internal/submit"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/web"
	"github.com/waypost/waypost/internal/webhook"
)

// Options make an App.
type Options struct {
	Config  config.Config
	Log     *slog.Logger
	Version string

	// For tests.
	Timeouts deliver.Options // Timeouts, Connect, Roots and Logins are used, if set
}

// App is the server.
type App struct {
	*Base
	Metrics  *obs.Metrics
	Queue    *queue.Queue
	Submit   *submit.Pipeline
	Tests    *inbound.Tests  // nil without a return path of our own
	rules    *classify.Rules // what replies mean
	Domains  *verify.Watcher // nil while the built-in gateway is a sandbox
	Users    *auth.Users
	Webhooks *webhook.Webhooks

	rotation *rotation      // nil if no key of ours signs
	resolver *dns.Client    // one cache for delivery and checks
	guards   []*guard.Guard // to be told when this machine's addresses change
	health   *obs.Health
	disk     *disk
	audited  atomic.Pointer[audited] // nil before the first audit here
	version  string
	started  time.Time

	listeners atomic.Pointer[[]panel.Listener] // nil until all of them listen
	unnamed   *web.Unnamed                     // nil without an HTTP listener

	smtp     *smtpd.Server
	cert     *certificate
	tls      *tls.Config
	cleanups []cleanup
	loops    sync.WaitGroup
	stopOnce sync.Once
	stopErr  error
	failed   chan error // a part that cannot go on
	addrs    map[string]net.Addr
}

type cleanup struct {
	name string
	run  func(context.Context) error
}

// Names of the listeners, as the log and Addr use them.
const (
	ListenHTTP    = "http"
	ListenSMTP    = "smtp"
	ListenSMTPS   = "smtps"
	ListenMetrics = "metrics"
)

// New makes a server that has its database and its listeners and does nothing yet.
// After an error everything is undone.
func New(ctx context.Context, o Options) (a *App, err error) {
	c := o.Config
	a = &App{failed: make(chan error, 8), addrs: map[string]net.Addr{}, version: o.Version, started: time.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.drain(context.WithoutCancel(ctx)))
			a = nil
		}
	}()

	unlock, err := Lock(c.DataDir)
	if err != nil {
		return a, err
	}
	a.later("data directory lock", func(context.Context) error { return unlock() })

	node, err := nodeName(c.DataDir)
	if err != nil {
		return a, err
	}
	a.Metrics = obs.NewMetrics(o.Version)
	if a.Base, err = OpenBase(ctx, c, o.Log, node, groups{a.Metrics}); err != nil {
		return a, err
	}
	a.later("database", func(context.Context) error { return a.Base.Close() })
	a.later("use of keys", func(ctx context.Context) error {
		if err := a.Auth.FlushAllUsed(ctx); err != nil { // nothing depends on it
			a.Log.Debug("cannot note when keys were last used", "error", err)
		}
		return nil
	})
	a.later("loops", func(context.Context) error { a.loops.Wait(); return nil })

	if a.cert, err = openCertificate(c); err != nil {
		return a, err
	}
	a.tls = a.cert.config()

	deliverer, err := a.newDeliverer(o)
	if err != nil {
		return a, err
	}
	a.later("kept sessions", func(context.Context) error { deliverer.Close(); return nil })

	a.Users = a.NewUsers()
	a.later("users", func(context.Context) error { a.Users.Wait(); return nil })

	notices := &notices{app: a}
	a.Queue = queue.New(queue.Options{
		Store: a.System, Deliverer: deliverer, Accounts: a.Directory, Platform: a.Platform,
		Observe: deliveries{a.Metrics}, Log: a.Log, Node: node, Alone: !c.Postgres(),
		Sessions: c.DeliverySessions, SiteSessions: c.SiteSessions, RelaySessions: c.RelaySessions, Budget: c.MemoryBudget,
		OnRelayFailing: notices.relayFailing,
	})
	if err = a.Queue.Start(ctx); err != nil {
		return a, fmt.Errorf("queue: %w", err)
	}
	a.later("queue", a.Queue.Stop)

	if err = a.startWebhooks(notices); err != nil {
		return a, err
	}

	disk := newDisk(c.DataDir, c.DiskReserve)
	a.disk = disk
	a.Submit = submit.New(submit.Options{
		Store: a.Store, Accounts: a.Directory, Queue: a.Queue, Platform: a.Platform, Links: a.unsubscribeLinks(), Hostname: c.Hostname,
		Limits:    submit.Limits{Size: c.MaxMessageSize, PerMinute: c.CredentialRate, LongestLife: longestLife},
		Retention: submit.Retention{Content: c.RetentionContent, Reports: c.RetentionReports},
		Full:      disk.full, Observe: a.Metrics, Log: a.Log,
	})

	if !a.Platform.Sandbox() {
		if err = a.Accounts.KeyDomains(ctx); err != nil {
			return a, fmt.Errorf("ownership keys: %w", err)
		}
		if a.Domains, err = a.newWatcher(notices); err != nil {
			return a, err
		}
		if !c.UpstreamSigns {
			a.rotation = &rotation{app: a, notices: notices}
		}
	}

	a.health = obs.NewHealth(a.Log)
	a.health.Add("database", a.System.Ping)
	a.health.Add("disk", disk.check)

	if err = a.listenSMTP(); err != nil {
		return a, err
	}
	a.Tests = a.newTests()
	if err = a.listenBounce(); err != nil {
		return a, err
	}
	if err = a.listenHTTP(); err != nil {
		return a, err
	}
	if err = a.listenMetrics(); err != nil {
		return a, err
	}
	a.noteListeners()
	a.startLoops(disk)
	return a, nil
}

func (a *App) newDeliverer(o Options) (*deliver.Deliverer, error) {
	c := o.Config
	resolver, err := dns.New(dns.Options{Server: c.DNSResolver})
	if err != nil {
		return nil, fmt.Errorf("resolver: %w", err)
	}
	a.resolver = resolver
	common := guard.Options{Allow: c.GuardAllow, Own: c.SendingAddresses}
	if c.DNSResolver != "" { // else the system's, which knows /etc/hosts too
		common.Resolver = resolver
	}
	mx, err := guard.New(common)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	relays := common
	relays.Ports = c.RelayPorts
	relayGuard, err := guard.New(relays)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	// The platform's own upstream is the owner's choice: any address will do.
	open := common
	open.Allow = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	upstream, err := guard.New(open)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	a.guards = []*guard.Guard{mx, relayGuard, upstream}
	if a.rules, err = classify.Open(c.ReplyRules); err != nil {
		return nil, fmt.Errorf("%sREPLY_RULES: %w", config.Prefix, err)
	}
	engine, reason := a.Keys.Engine()
	a.Log.Info("DKIM signatures", "engine", engine, "reason", reason)
	return deliver.New(deliver.Options{
		Platform: a.Platform, Keys: a.Keys, Resolver: resolver, MX: mx, Relays: relayGuard, Upstream: upstream,
		ReturnPath: a.returnPath(),
		Rules:      a.rules,
		HELO:       c.Hostname, UpstreamSigns: c.UpstreamSigns, MXPort: c.MXPort, Roots: o.Timeouts.Roots, Timeouts: o.Timeouts.Timeouts,
		Connect: o.Timeouts.Connect, Logins: o.Timeouts.Logins, Log: a.Log,
	}), nil
}

// Addr is where a listener listens, nil if it is off.
func (a *App) Addr(listener string) net.Addr { return a.addrs[listener] }

// Failed yields the error of a part that cannot go on; the program then stops.
func (a *App) Failed() <-chan error { return a.failed }

// Stop ends the server: listeners close, sessions before DATA are released, those
// after the final dot may finish until ctx ends, leases are handed back. It may be
// called more than once.
func (a *App) Stop(ctx context.Context) error {
	a.stopOnce.Do(func() { a.stopErr = a.drain(ctx) })
	return a.stopErr
}

// later registers what undoes the step just made.
func (a *App) later(name string, run func(context.Context) error) {
	a.cleanups = append(a.cleanups, cleanup{name, run})
}

func (a *App) drain(ctx context.Context) error {
	var errs []error
	for _, c := range slices.Backward(a.cleanups) {
		if err := c.run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", c.name, err))
		}
	}
	a.cleanups = nil
	return errors.Join(errs...)
}

// share gives a listener a part of the grace only: a slow client must not use up what
// deliveries after their final dot need.
func share(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if deadline, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/4)
			defer cancel()
		}
		return run(ctx)
	}
}

// fail reports a part that cannot go on.
func (a *App) fail(err error) {
	select {
	case a.failed <- err:
	default:
	}
}

// listen opens a listener and names its port; "" is off.
func (a *App) listen(name, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr) //nolint:noctx // returns at once
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", name, err)
	}
	a.addrs[name] = l.Addr()
	a.Log.Info("listening", "listener", name, "addr", l.Addr().String())
	return l, nil
}

func (a *App) listenSMTP() error {
	c := a.Config
	a.smtp = smtpd.New(smtpd.Options{
		Hostname: c.Hostname, TLS: a.tls, Accepter: a.Submit, Authenticator: a.Auth, Limiter: revoked{a.Auth},
		CleartextNetworks: c.SMTPCleartextNetworks, ExemptNetworks: c.SMTPCleartextNetworks,
		MaxMessageSize: c.MaxMessageSize, Logger: a.Log, Metrics: a.Metrics, OnPanic: func(any) { a.Metrics.Panicked() },
	})
	// Registered before the first listener, so that it ends whatever was opened.
	a.later("SMTP server", share(a.smtp.Shutdown))
	for _, l := range []struct {
		name, addr string
		implicit   bool
	}{{ListenSMTP, c.SMTPAddr, false}, {ListenSMTPS, c.SMTPSAddr, true}} {
		listener, err := a.listen(l.name, l.addr)
		if err != nil {
			return err
		}
		if listener == nil {
			continue
		}
		a.loops.Go(func() {
			if err := a.smtp.Serve(context.Background(), listener, smtpd.ListenerOptions{ImplicitTLS: l.implicit}); err != nil {
				a.fail(fmt.Errorf("%s listener: %w", l.name, err))
			}
		})
	}
	return nil
}

func (a *App) listenMetrics() error {
	listener, err := a.listen(ListenMetrics, a.Config.MetricsAddr)
	if err != nil || listener == nil {
		return err
	}
	a.serveHTTP(ListenMetrics, listener, obs.Handler(a.Metrics, a.health))
	return nil
}

// exempt says which peers stand for many clients.
func (a *App) exempt(peer netip.Addr) bool {
	return peer.IsLoopback() || slices.ContainsFunc(a.Config.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(peer) })
}

// serveHTTP serves a handler with deadlines on everything that talks.
func (a *App) serveHTTP(name string, l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 5 * time.Minute,
		WriteTimeout: 5 * time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug),
	}
	a.later(name+" server", share(func(ctx context.Context) error {
		if server.Shutdown(ctx) != nil {
			return server.Close() // whoever still talks is cut off
		}
		return nil
	}))
	a.loops.Go(func() {
		if err := server.Serve(newLimited(l, a.exempt)); !errors.Is(err, http.ErrServerClosed) {
			a.fail(fmt.Errorf("%s listener: %w", name, err))
		}
	})
}
