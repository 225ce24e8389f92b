package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/waypost"
)

// Prefix starts the name of every setting in the environment.
const Prefix = "WAYPOST_"

// Setting describes one setting.
type Setting struct {
	Name    string // in the environment: "WAYPOST_HTTP_ADDR"
	Key     string // in the YAML file: "http_addr"
	Default string // text form, empty for none
	Doc     string // one line for people
	Secret  bool   // never shown; Name+"_FILE" and Key+"_file" name a file that holds it

	list     bool // may be a YAML sequence; commas in the text form
	emptyOff bool // an empty value is a value of its own and not the default
	set      func(*Config, string) error
	get      func(*Config) string
	check    func(*Config) error
}

// kind is how values of one type are read, written and checked.
type kind[T any] struct {
	parse    func(string) (T, error)
	format   func(T) string
	check    func(T) error // nil: whatever parses is right
	list     bool
	emptyOff bool
	secret   bool
}

func setting[T any](name, def string, k kind[T], field func(*Config) *T, doc string) Setting {
	return Setting{
		Name: Prefix + name, Key: strings.ToLower(name), Default: def, Doc: doc,
		Secret: k.secret, list: k.list, emptyOff: k.emptyOff,
		set: func(c *Config, text string) error {
			v, err := k.parse(text)
			if err == nil {
				*field(c) = v
			}
			return err
		},
		get: func(c *Config) string { return k.format(*field(c)) },
		check: func(c *Config) error {
			if k.check == nil {
				return nil
			}
			return k.check(*field(c))
		},
	}
}

// Settings returns the table of all settings. Names, defaults and explanations
// everywhere else (documentation, "waypost check", suggestions) come from it.
func Settings() []Setting {
	return []Setting{
		setting("DATA_DIR", "./waypost-data", path(true), func(c *Config) *string { return &c.DataDir },
			"Directory of the database, the instance key and the self-signed certificate."),
		setting("DATABASE_URL", "", databaseURL(), func(c *Config) *secret.Text { return &c.DatabaseURL },
			"postgres://user:password@host:port/database; empty for SQLite in the data directory."),
		setting("INSTANCE_KEY", "", instanceKey(), func(c *Config) *secret.Text { return &c.InstanceKey },
			"32 bytes in base64 or hex that seal stored secrets; after a rotation the older keys follow, with commas. Empty: the file in the data directory, made for a new SQLite database."),

		setting("HTTP_ADDR", "127.0.0.1:8080", listener(), func(c *Config) *string { return &c.HTTPAddr },
			"Listener of the API. host:port, port 0 for any free one, off for none; the same for all listeners."),
		setting("SMTP_ADDR", "127.0.0.1:2587", listener(), func(c *Config) *string { return &c.SMTPAddr },
			"Listener for submission with STARTTLS."),
		setting("SMTPS_ADDR", "off", listener(), func(c *Config) *string { return &c.SMTPSAddr },
			"Listener for submission with implicit TLS."),
		setting("BOUNCE_ADDR", "off", listener(), func(c *Config) *string { return &c.BounceAddr },
			"Listener of the return path: bounces and complaints."),
		setting("METRICS_ADDR", "127.0.0.1:9100", listener(), func(c *Config) *string { return &c.MetricsAddr },
			"Listener of /metrics, /healthz and /readyz."),

		setting("HOSTNAME", "", hostname(), func(c *Config) *string { return &c.Hostname },
			"Name of this host in EHLO, Received and Message-ID; empty for the system's."),
		setting("PUBLIC_URL", "", originURL(), func(c *Config) **url.URL { return &c.PublicURL },
			"Where people reach the HTTP listener: https://host or https://host:port, without a path."),
		setting("BRAND_NAME", "Waypost", text(60), func(c *Config) *string { return &c.BrandName },
			"Name of the platform in the panel and in the mails that it writes."),
		setting("BRAND_LOGO", "", path(false), func(c *Config) *string { return &c.BrandLogo },
			"PNG, JPEG, WebP or SVG file shown instead of the name; best 200 x 40 pixels, at most 512 KiB."),
		setting("BRAND_COLOR", "", color(), func(c *Config) *string { return &c.BrandColor },
			"Color of buttons and links in the panel, #1d4ed8; empty for the usual blue."),
		setting("HELP_URL", "", webURL(), func(c *Config) **url.URL { return &c.HelpURL },
			"Where the panel's link to help leads; empty for none."),
		setting("TRUSTED_PROXIES", "", prefixes(), func(c *Config) *[]netip.Prefix { return &c.TrustedProxies },
			"Addresses or networks of the proxies before the HTTP listener: their X-Forwarded-For is believed."),
		setting("TLS_CERT", "", path(false), func(c *Config) *string { return &c.TLSCert },
			"PEM file with the certificate chain of the listeners; empty for a self-signed one."),
		setting("TLS_KEY", "", path(false), func(c *Config) *string { return &c.TLSKey },
			"PEM file with the private key of the certificate."),
		setting("SMTP_CLEARTEXT_NETWORKS", "", prefixes(), func(c *Config) *[]netip.Prefix { return &c.SMTPCleartextNetworks },
			"Networks, besides loopback, that may log in over SMTP without TLS."),

		setting("PLATFORM_DOMAIN", "", mailDomain(), func(c *Config) *string { return &c.PlatformDomain },
			"Domain of the built-in gateway. Empty: the built-in gateway is a sandbox and no mail leaves."),
		setting("PLATFORM_FROM", "", mailbox(), func(c *Config) *waypost.Address { return &c.PlatformFrom },
			"Default sender of the built-in gateway, address or Name <address>; empty for no-reply@ the platform domain."),
		setting("SENDING_ADDRESSES", "", addresses(), func(c *Config) *[]netip.Addr { return &c.SendingAddresses },
			"IP addresses that direct mail leaves from, for the SPF record."),
		setting("UPSTREAM_URL", "", upstreamURL(), func(c *Config) **Upstream { return &c.Upstream },
			"Relay of the built-in gateway: smtp+starttls://user:password@host:port, smtps:// for implicit TLS, smtp:// for none; ?trust_all=true accepts any certificate."),
		setting("UPSTREAM_MODE", "off", choice(UpstreamOff, UpstreamInstead, UpstreamFallback), func(c *Config) *UpstreamMode { return &c.UpstreamMode },
			"off; instead: the built-in gateway sends everything through the relay; fallback: only what cannot leave directly."),

		setting("VERIFY_PREFIX", "waypost", label(), func(c *Config) *string { return &c.VerifyPrefix },
			"Beginning of the TXT record that proves an operator's domain: <prefix>_verify.KEY."),
		setting("SPF_INCLUDE", "", mailDomain(), func(c *Config) *string { return &c.SPFInclude },
			"What operators include in their SPF records; empty for spf. and the platform domain."),
		setting("DKIM_SELECTORS", "wp1,wp2", pair(label()), func(c *Config) *[]string { return &c.DKIMSelectors },
			"The two selectors of the DKIM CNAME records that operators publish."),
		setting("DKIM_TARGETS", "", pair(mailDomain()), func(c *Config) *[]string { return &c.DKIMTargets },
			"Where these records point to; empty for dkim1. and dkim2. and the platform domain."),
		setting("APPROVE_SENDERS", "false", yesNo(), func(c *Config) *bool { return &c.ApproveSenders },
			"true: the platform's support decides about every sender of the built-in gateway; false: an authorized domain is enough."),
		setting("UPSTREAM_SIGNS", "false", yesNo(), func(c *Config) *bool { return &c.UpstreamSigns },
			"true: the upstream relay adds the DKIM signatures of operators' domains and proves domains with keys of its own. Only with WAYPOST_UPSTREAM_MODE=instead."),

		setting("DNS_RESOLVER", "", hostPort(), func(c *Config) *string { return &c.DNSResolver },
			"Resolver to ask, host:port; empty for the system's."),
		setting("DNS_PORT", "53", between(1, 65535), func(c *Config) *int { return &c.DNSPort },
			"Port of authoritative name servers."),
		setting("MX_PORT", "25", between(1, 65535), func(c *Config) *int { return &c.MXPort },
			"Port of mail exchangers."),
		setting("REPLY_RULES", "", path(false), func(c *Config) *string { return &c.ReplyRules },
			"TOML file with rules on what servers reply; they come before the built-in ones."),
		setting("GUARD_ALLOW", "", prefixes(), func(c *Config) *[]netip.Prefix { return &c.GuardAllow },
			"Networks that relays, webhooks and mail exchangers may be in although they are private."),
		setting("RELAY_PORTS", "25,465,587,2525", ports(), func(c *Config) *[]int { return &c.RelayPorts },
			"Ports where operators' own SMTP servers may listen."),

		setting("MAX_MESSAGE_SIZE", "25MiB", size(1<<10, 256<<20), func(c *Config) *int64 { return &c.MaxMessageSize },
			"Largest message accepted, 1KiB to 256MiB."),
		setting("RETENTION_CONTENT", "168h", duration(time.Hour, maxRetention), func(c *Config) *time.Duration { return &c.RetentionContent },
			"How long the content of finished messages is kept."),
		setting("RETENTION_REPORTS", "72h", duration(time.Hour, maxRetention), func(c *Config) *time.Duration { return &c.RetentionReports },
			"The same for messages of kind report."),
		setting("RETENTION_METADATA", "2160h", duration(time.Hour, maxRetention), func(c *Config) *time.Duration { return &c.RetentionMetadata },
			"How long finished messages, their deliveries, attempts and events are kept."),
		setting("RETENTION_WEBHOOKS", "168h", duration(time.Hour, maxRetention), func(c *Config) *time.Duration { return &c.RetentionWebhooks },
			"How long finished calls of webhooks are kept, with what was sent and answered; at most as long as metadata."),
		setting("DISK_RESERVE", "256MiB", size(0, 1<<50), func(c *Config) *int64 { return &c.DiskReserve },
			"Free space on the data directory's disk below which no mail is accepted."),

		setting("DELIVERY_SESSIONS", "200", between(1, 10_000), func(c *Config) *int { return &c.DeliverySessions },
			"Outgoing SMTP sessions at once."),
		setting("SITE_SESSIONS", "20", between(1, 1000), func(c *Config) *int { return &c.SiteSessions },
			"Of them to one recipient domain."),
		setting("RELAY_SESSIONS", "20", between(1, 1000), func(c *Config) *int { return &c.RelaySessions },
			"Of them to one SMTP server of an operator."),
		setting("MEMORY_BUDGET", "64MiB", size(0, 1<<40), func(c *Config) *int64 { return &c.MemoryBudget },
			"Bodies handed from accept to delivery in memory; beyond it they are read from the database again."),

		setting("CREDENTIAL_RATE", "0", between(0, 10_000_000), func(c *Config) *int { return &c.CredentialRate },
			"Mails a minute that one credential may submit; more is answered 451 or 429. 0 for no limit."),

		setting("SHUTDOWN_GRACE", "30s", duration(0, time.Hour), func(c *Config) *time.Duration { return &c.ShutdownGrace },
			"How long a shutdown waits for the replies to mail already sent."),
		setting("LOG_LEVEL", "info", logLevel(), func(c *Config) *slog.Level { return &c.LogLevel },
			"debug, info, warn or error."),
		setting("LOG_FORMAT", "text", choice(LogText, LogJSON), func(c *Config) *LogFormat { return &c.LogFormat },
			"text or json."),
	}
}

// maxRetention keeps a duration typed in the wrong unit from meaning "for ever".
const maxRetention = 20 * 365 * 24 * time.Hour

// Table returns Settings as a Markdown table for the documentation.
func Table() string {
	var b strings.Builder
	b.WriteString("| Setting | Default | Meaning |\n|---|---|---|\n")
	for _, s := range Settings() {
		def, doc := "", s.Doc
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		if s.Secret {
			doc += " Secret: `" + s.Name + "_FILE` names a file that holds it."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Name, def, doc)
	}
	return b.String()
}

// nearest returns the candidate with the smallest edit distance to name.
func nearest(name string, candidates []string) string {
	name = name[:min(len(name), 100)] // the work grows with its length
	best, least := "", -1
	for _, candidate := range candidates {
		if d := distance(name, candidate); least < 0 || d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

var errEmpty = errors.New("must not be empty")
