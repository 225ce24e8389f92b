package config

import (
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/waypost"
)

// Config is every setting of the server. Sizes are bytes; "" as an address of a
// listener means that it is off. It can be printed: secrets are not shown.
type Config struct {
	DataDir     string
	DatabaseURL secret.Text // postgres://..., empty for SQLite in DataDir
	InstanceKey secret.Text // text for secret.Parse, empty for the file in DataDir

	HTTPAddr    string // host:port; port 0 takes a free one
	SMTPAddr    string // STARTTLS
	SMTPSAddr   string // implicit TLS
	BounceAddr  string // return path
	MetricsAddr string

	Hostname       string   // in EHLO, Received and Message-ID; lower case, A-labels
	PublicURL      *url.URL // nil if not set; without trailing slash
	BrandName      string
	BrandLogo      string   // a file, empty for none
	BrandColor     string   // "#1d4ed8", empty for the usual
	HelpURL        *url.URL // nil for none
	TrustedProxies []netip.Prefix
	TLSCert        string // PEM file; empty for a self-signed certificate
	TLSKey         string

	PlatformDomain   string          // lower case, A-labels; empty: the built-in gateway is a sandbox
	PlatformFrom     waypost.Address // zero if PlatformDomain is empty
	SendingAddresses []netip.Addr    // where direct mail leaves from; for SPF

	VerifyPrefix   string   // of the record that proves a domain: "<prefix>_verify.KEY"
	SPFInclude     string   // what operators' SPF records include; empty if PlatformDomain is
	DKIMSelectors  []string // two, of the CNAME records at operators' domains
	DKIMTargets    []string // two, where they point to; empty if PlatformDomain is
	ApproveSenders bool     // the owner decides about every sender of the built-in gateway
	UpstreamSigns  bool     // the upstream relay signs for operators' domains

	DNSResolver string // host:port, empty for the system's
	DNSPort     int    // of authoritative servers
	MXPort      int
	ReplyRules  string         // TOML file of the owner's rules on replies, empty for none
	GuardAllow  []netip.Prefix // private networks that others' addresses may resolve to
	RelayPorts  []int

	Upstream              *Upstream // nil if there is none
	UpstreamMode          UpstreamMode
	SMTPCleartextNetworks []netip.Prefix // where AUTH is accepted without TLS, besides loopback
	MaxMessageSize        int64
	RetentionContent      time.Duration
	RetentionReports      time.Duration
	RetentionMetadata     time.Duration
	RetentionWebhooks     time.Duration
	DiskReserve           int64
	DeliverySessions      int // outgoing sessions at once
	SiteSessions          int // of them to one site
	RelaySessions         int // of them to one relay
	MemoryBudget          int64
	CredentialRate        int // mails a minute and credential; 0: no limit
	ShutdownGrace         time.Duration
	LogLevel              slog.Level
	LogFormat             LogFormat
	NotifySocket          string // NOTIFY_SOCKET of systemd, empty outside of it; not a setting
	origins               map[string]string
}

// UpstreamMode says when the built-in gateway uses the upstream relay.
type UpstreamMode string

// The modes.
const (
	UpstreamOff      UpstreamMode = "off"
	UpstreamInstead  UpstreamMode = "instead"  // of direct delivery
	UpstreamFallback UpstreamMode = "fallback" // when direct delivery has no way out
)

// LogFormat is how log lines are written.
type LogFormat string

// The formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Default returns the settings of a first start. Hostname is the system's.
func Default() Config {
	var c Config
	for _, s := range Settings() {
		if err := s.set(&c, s.Default); err != nil {
			panic(err) // the table is wrong; a test sets every default
		}
	}
	c.complete()
	return c
}

// complete fills in what depends on the system or on other settings.
func (c *Config) complete() {
	if c.Hostname == "" {
		c.Hostname = systemHostname()
	}
	if c.PlatformFrom.Email == "" && c.PlatformDomain != "" {
		c.PlatformFrom = waypost.Address{Email: "no-reply@" + c.PlatformDomain}
	}
	if c.SPFInclude == "" && c.PlatformDomain != "" {
		c.SPFInclude = "spf." + c.PlatformDomain
	}
	if len(c.DKIMTargets) == 0 && c.PlatformDomain != "" {
		c.DKIMTargets = []string{"dkim1." + c.PlatformDomain, "dkim2." + c.PlatformDomain}
	}
}

// systemHostname returns the system's name for itself, or "localhost" if that is
// not a host name: a first start must not fail for it, and Warnings tells.
func systemHostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	name, err = parseHostname(name)
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}

// Postgres reports whether the database is PostgreSQL and not SQLite.
func (c Config) Postgres() bool { return !c.DatabaseURL.Empty() }

// Row is one setting as it stands.
type Row struct {
	Setting
	Value  string // text form; a secret shows as "[redacted]"
	Origin string // "default", "environment", or the file's line: "line 3"
}

// Rows returns every setting as it stands, in the order of Settings.
func (c Config) Rows() []Row {
	settings := Settings()
	rows := make([]Row, 0, len(settings))
	for _, s := range settings {
		origin := c.origins[s.Name]
		if origin == "" {
			origin = originDefault
		}
		rows = append(rows, Row{Setting: s, Value: s.get(&c), Origin: origin})
	}
	return rows
}

// String returns all settings as lines of NAME=value, without secrets.
func (c Config) String() string {
	var b strings.Builder
	for _, row := range c.Rows() {
		b.WriteString(row.Name + "=" + row.Value + "\n")
	}
	return b.String()
}
