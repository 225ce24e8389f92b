package panel

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/limit"
	"github.com/waypost/waypost/internal/panel/locale"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/testmail"
	"github.com/waypost/waypost/internal/unsubscribe"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/web"
)

// Domains checks domains; *verify.Watcher does.
type Domains interface {
	CheckNow(ctx context.Context, operatorID, id string) (store.CheckedDomain, error)
}

// Notices tells operators what the platform's support decided.
type Notices interface {
	SendersAssigned(ctx context.Context, operatorID string, senders []waypost.Sender)
	SenderRejected(ctx context.Context, s waypost.Sender)
}

// Accepter is the accept pipeline; *submit.Pipeline is one.
type Accepter interface {
	Accept(ctx context.Context, s waypost.Submission) (waypost.Receipt, error)
}

// First lets the owner of a new installation in; *app.FirstLogin does.
type First interface {
	Valid(ctx context.Context, token string) (bool, error)
	CreateOwner(ctx context.Context, token string, n auth.NewUser, password, peer string) (waypost.User, error)
}

// System is what the platform's staff sees across operators; *system.System has it.
type System interface {
	Sandbox
	AuditLog(ctx context.Context, cursor string, limit int) ([]waypost.AuditEntry, error)
	CredentialName(ctx context.Context, id string) (operatorID, name string, err error)
	AnyDomain(ctx context.Context, id string) (store.CheckedDomain, error)

	AllTotals(ctx context.Context) (store.Counts, error)
	Traffic(ctx context.Context, operatorIDs []string, since time.Time) (map[string]store.Counts, error)
	FindOperators(ctx context.Context, f waypost.OperatorFilter, cursor string, limit int) ([]waypost.OperatorEntry, string, error)
	OperatorNames(ctx context.Context, ids []string) (map[string]string, error)
	RemovedOperator(ctx context.Context, operatorID string) (waypost.RemovedOperator, error)
	Removals(ctx context.Context) ([]waypost.RemovedOperator, error)
	Entitlements(ctx context.Context) ([]waypost.Entitlement, error)
	SaveEntitlements(ctx context.Context, by waypost.Actor, list []waypost.Entitlement) error
	PlatformSettings(ctx context.Context) (waypost.PlatformSettings, error)
	ChangePlatformSettings(ctx context.Context, by waypost.Actor, change func(*waypost.PlatformSettings) error) (waypost.PlatformSettings, error)
	SendersWaitingCount(ctx context.Context) (int64, error)
	Held(ctx context.Context, operatorID string) (int64, error)
	QueueDepth(ctx context.Context) (map[waypost.Lane]int64, error)
	QueueSizes(ctx context.Context, limit int) ([]waypost.QueueSize, error)
	QueueList(ctx context.Context, f waypost.QueueFilter, cursor string, limit int) ([]waypost.Delivery, string, error)
	Backlogs(ctx context.Context, f waypost.QueueFilter, cursor string, limit int) ([]waypost.Backlog, string, error)
	ControlWhere(ctx context.Context, by waypost.Actor, w waypost.QueueWhere, action store.ControlAction, now time.Time) (done, pending, skipped int, err error)
	Nodes(ctx context.Context) ([]waypost.Node, error)
}

// Queue is told of deliveries that may go now, and knows what they wait for; *queue.Queue
// is one.
type Queue interface {
	Wake()
	Waits(a *waypost.Account, d *waypost.Delivery) waypost.Wait
	Snapshot(most int) queue.Snapshot
	Hurry(name string) bool
}

// Process tells what this process knows about itself; *app.App does.
type Process interface {
	Machine(ctx context.Context) Machine
}

// Machine is the process that answers, and what it runs on.
type Machine struct {
	Version   string
	Started   time.Time
	Listeners []Listener
	Signer    string // the engine that makes DKIM signatures, "" if none are made here
	SignerWhy string // why it is not the fast one, "" if it is

	Database     string // "sqlite", "postgres"
	DatabaseDown bool   // it did not answer
	DatabaseTook time.Duration
	DatabaseSize int64 // bytes; 0 for unknown
	DiskFree     int64 // bytes where the data directory is; 0 for unknown
	DiskReserve  int64
	DiskShort    bool // less than the reserve is free, and nothing is accepted

	UnnamedProxy string // address of a proxy that requests come through and that is not trusted, "" for none

	AuditAt       time.Time // of the last audit by this process; zero for none yet
	AuditFindings int
}

// Listener is where the process listens.
type Listener struct{ Name, Addr string }

// PlatformDNS looks at the platform's own records and keys; *app.Base does.
type PlatformDNS interface {
	CheckPlatform(ctx context.Context) (verify.Report, error)
	KeyRotation(ctx context.Context) (verify.RotationStatus, error)
	RotateKeys(ctx context.Context, by waypost.Actor) (verify.RotationStatus, error)
}

// Logo is the platform's own image; its zero value is none.
type Logo struct {
	Kind string // media type
	Text []byte
}

// Options make the handler.
type Options struct {
	Store     *store.Store
	Accounts  *account.Service
	Directory *account.Directory
	Auth      *auth.Auth
	Users     *auth.Users
	First     First // nil: nobody can make the owner here
	Accepter  Accepter
	Tester    *testmail.Tester
	System    System
	Queue     Queue
	Process   Process // nil: nothing is known of it
	Domains   Domains
	Asks      *verify.Asks // for checks of domains; nil: a count of its own
	Notices   Notices      // nil: nobody is told
	Memory    *web.Memory  // for the content of mail; nil: one of its own
	Platform  route.Platform

	PlatformDNS   PlatformDNS
	WebhookTests  Webhooks
	Approve       bool // support decides about senders
	UpstreamSigns bool // mail is signed by the platform's upstream relay, whose keys are its own

	Logo           Logo
	Brand          view.Brand
	PublicURL      string          // where people reach this server; "" goes by the request
	LinkKeys       verify.LinkKeys // links to domains' pages are signed with the first and known by any; nil: they end with the process
	Unsubscribe    unsubscribe.Links
	TrustedProxies []netip.Prefix  // whose X-Forwarded headers are believed
	LocalURL       string          // where this server itself listens: links in mails lead there without a PublicURL
	MailFrom       waypost.Address // who writes mails to users; zero for the platform's default sender
	Submission     Submission
	Go             func(func()) // runs what goes on after the answer; nil for a goroutine
	Now            func() time.Time
	Log            *slog.Logger
}

// Submission is where programs hand their mail over by SMTP.
type Submission struct {
	Host          string // "" for nowhere
	StartTLS, TLS int    // ports, 0 for none
	SelfSigned    bool   // the certificate proves nothing to who does not know it
}

// panel is the handler's parts.
type panel struct {
	Options

	front  web.Front
	texts  *locale.Bundle
	assets *assets

	writes  writes        // forms of people who are signed in
	guesses *limit.Limits // wrong links, per client address
	looks   *limit.Limits // at domains' pages behind links, per client address
	letters letterLimits
	optOuts *limit.Limits // requests with links to unsubscribe, per client address: of large mail providers there are few
	words   *limit.Limits // what recipients say there, per address
}

// New returns the handler of all pages. The error is that of an asset or a text that
// cannot be read.
func New(o Options) (http.Handler, error) {
	texts, err := locale.Load()
	if err != nil {
		return nil, err
	}
	files, err := loadAssets()
	if err != nil {
		return nil, err
	}
	if len(o.LinkKeys) == 0 {
		o.LinkKeys = verify.LinkKeys{[]byte(rand.Text())}
	}
	if o.Asks == nil {
		o.Asks = verify.NewAsks()
	}
	if o.Memory == nil {
		o.Memory = web.NewMemory(web.MemoryOptions{})
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Go == nil {
		o.Go = func(f func()) { go f() }
	}
	if o.Logo.Text != nil {
		o.Brand.Logo = "/brand/logo"
	}
	p := &panel{Options: o, front: web.Front{URL: o.PublicURL, Proxies: o.TrustedProxies}, texts: texts, assets: files}
	p.writes = newWrites()
	p.guesses, p.looks = limit.New(20.0/60, 20), limit.New(1, 60)
	p.letters = newLetterLimits()
	p.optOuts, p.words = limit.New(20, 300), limit.New(1.0/60, 10)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /static/{hash}/{name...}", files.serve)
	for _, r := range p.routes() {
		mux.Handle(r.pattern, p.page(r))
	}
	mux.HandleFunc("GET /brand.css", p.brandCSS)
	mux.HandleFunc("GET /brand/logo", p.brandLogo)
	mux.Handle("/", p.page(page{access: anybody, run: p.notFound}))
	// No form of ours is sent from another site.
	guard := http.NewCrossOriginProtection()
	for _, pattern := range secretForms() {
		guard.AddInsecureBypassPattern(pattern)
	}
	guard.SetDenyHandler(p.page(page{access: anybody, run: p.crossOrigin}))
	return p.headers(guard.Handler(mux)), nil
}

// tlsFor is for how long browsers come by TLS only, in seconds: a month, so that a
// certificate that cannot be had any more does not lock people out for a year.
const tlsFor = 30 * 24 * 3600

// headers are what every answer has.
func (p *panel) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "+
			"font-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if strings.HasPrefix(p.PublicURL, "https://") {
			// Of this host only: what else there is below the domain is not ours to decide (RFC 6797
			// section 6.1.2).
			h.Set("Strict-Transport-Security", "max-age="+strconv.Itoa(tlsFor))
		}
		next.ServeHTTP(w, r)
	})
}
