package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/waypost/waypost/internal/config"
	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/waypost"
)

const keyText = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func parse(t *testing.T, yaml string, environ ...string) config.Config {
	t.Helper()
	c, err := config.Parse([]byte(yaml), environ)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func diff(want, got config.Config) string {
	return cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{}), cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}),
		cmp.Comparer(func(a, b *url.URL) bool { return fmt.Sprint(a) == fmt.Sprint(b) }))
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNothingSetGivesTheDefaults(t *testing.T) {
	c := parse(t, "")
	if d := diff(config.Default(), c); d != "" {
		t.Errorf("Parse of nothing is not Default (-want +got):\n%s", d)
	}
	if c.Hostname == "" {
		t.Error("no host name")
	}
	c.Hostname = ""
	want := config.Config{
		DataDir:           "./waypost-data",
		HTTPAddr:          "127.0.0.1:8080",
		BrandName:         "Waypost",
		SMTPAddr:          "127.0.0.1:2587",
		MetricsAddr:       "127.0.0.1:9100",
		DNSPort:           53,
		MXPort:            25,
		RelayPorts:        []int{25, 465, 587, 2525},
		UpstreamMode:      config.UpstreamOff,
		VerifyPrefix:      "waypost",
		DKIMSelectors:     []string{"wp1", "wp2"},
		MaxMessageSize:    25 << 20,
		RetentionContent:  7 * 24 * time.Hour,
		RetentionReports:  3 * 24 * time.Hour,
		RetentionMetadata: 90 * 24 * time.Hour, RetentionWebhooks: 168 * time.Hour,
		DiskReserve:      256 << 20,
		DeliverySessions: 200,
		SiteSessions:     20,
		RelaySessions:    20,
		MemoryBudget:     64 << 20,
		ShutdownGrace:    30 * time.Second,
		LogFormat:        config.LogText,
	}
	if d := diff(want, c); d != "" {
		t.Errorf("defaults (-want +got):\n%s", d)
	}
	if err := config.Default().Validate(); err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
}

// everySetting has a value for each setting that is not its default.
func everySetting() (environ []string, want config.Config) {
	environ = []string{
		"WAYPOST_DATA_DIR=/var/lib/waypost",
		"WAYPOST_DATABASE_URL=postgres://waypost:hunter2@db.example/waypost",
		"WAYPOST_INSTANCE_KEY=" + keyText,
		"WAYPOST_HTTP_ADDR=:80",
		"WAYPOST_SMTP_ADDR=off",
		"WAYPOST_SMTPS_ADDR=[::1]:465",
		"WAYPOST_BOUNCE_ADDR=0.0.0.0:0",
		"WAYPOST_METRICS_ADDR=",
		"WAYPOST_HOSTNAME=Mail.Example.COM.",
		"WAYPOST_PUBLIC_URL=https://mail.example.com:8443/",
		"WAYPOST_BRAND_NAME=Fleetmail",
		"WAYPOST_BRAND_LOGO=/etc/waypost/logo.svg",
		"WAYPOST_BRAND_COLOR=#1d4ed8",
		"WAYPOST_HELP_URL=https://help.example.com/mail/",
		"WAYPOST_TRUSTED_PROXIES=10.0.0.0/8, 2001:db8::/32 192.0.2.1",
		"WAYPOST_TLS_CERT=/etc/cert.pem",
		"WAYPOST_TLS_KEY=/etc/key.pem",
		"WAYPOST_SMTP_CLEARTEXT_NETWORKS=10.1.0.0/16",
		"WAYPOST_PLATFORM_DOMAIN=bücher.example",
		"WAYPOST_PLATFORM_FROM=Fleet Alerts <alerts@xn--bcher-kva.example>",
		"WAYPOST_SENDING_ADDRESSES=192.0.2.1,2001:db8::1",
		"WAYPOST_UPSTREAM_URL=smtp+starttls://user:p%40ss@relay.example",
		"WAYPOST_UPSTREAM_MODE=instead",
		"WAYPOST_VERIFY_PREFIX=Mandrill",
		"WAYPOST_SPF_INCLUDE=spf.relay.example",
		"WAYPOST_DKIM_SELECTORS=mte1, mte2",
		"WAYPOST_DKIM_TARGETS=dkim1.relay.example,dkim2.relay.example",
		"WAYPOST_APPROVE_SENDERS=yes",
		"WAYPOST_UPSTREAM_SIGNS=true",
		"WAYPOST_DNS_RESOLVER=127.0.0.1:5353",
		"WAYPOST_DNS_PORT=5300",
		"WAYPOST_MX_PORT=2525",
		"WAYPOST_REPLY_RULES=/etc/waypost/rules.toml",
		"WAYPOST_GUARD_ALLOW=127.0.0.0/8",
		"WAYPOST_RELAY_PORTS=25,26",
		"WAYPOST_MAX_MESSAGE_SIZE=10 MB",
		"WAYPOST_RETENTION_CONTENT=2d",
		"WAYPOST_RETENTION_REPORTS=36h",
		"WAYPOST_RETENTION_METADATA=30d",
		"WAYPOST_RETENTION_WEBHOOKS=48h",
		"WAYPOST_DISK_RESERVE=1GiB",
		"WAYPOST_DELIVERY_SESSIONS=50",
		"WAYPOST_SITE_SESSIONS=5",
		"WAYPOST_RELAY_SESSIONS=6",
		"WAYPOST_MEMORY_BUDGET=0",
		"WAYPOST_CREDENTIAL_RATE=600",
		"WAYPOST_SHUTDOWN_GRACE=1m30s",
		"WAYPOST_LOG_LEVEL=warn",
		"WAYPOST_LOG_FORMAT=json",
	}
	prefix := netip.MustParsePrefix
	return environ, config.Config{
		DataDir:               "/var/lib/waypost",
		DatabaseURL:           secret.NewText("postgres://waypost:hunter2@db.example/waypost"),
		InstanceKey:           secret.NewText(keyText),
		HTTPAddr:              ":80",
		SMTPSAddr:             "[::1]:465",
		BounceAddr:            "0.0.0.0:0",
		Hostname:              "mail.example.com",
		PublicURL:             &url.URL{Scheme: "https", Host: "mail.example.com:8443"},
		BrandName:             "Fleetmail",
		BrandLogo:             "/etc/waypost/logo.svg",
		BrandColor:            "#1d4ed8",
		HelpURL:               &url.URL{Scheme: "https", Host: "help.example.com", Path: "/mail"},
		TrustedProxies:        []netip.Prefix{prefix("10.0.0.0/8"), prefix("2001:db8::/32"), prefix("192.0.2.1/32")},
		TLSCert:               "/etc/cert.pem",
		TLSKey:                "/etc/key.pem",
		SMTPCleartextNetworks: []netip.Prefix{prefix("10.1.0.0/16")},
		PlatformDomain:        "xn--bcher-kva.example",
		PlatformFrom:          waypost.Address{Name: "Fleet Alerts", Email: "alerts@xn--bcher-kva.example"},
		SendingAddresses:      []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
		Upstream: &config.Upstream{
			Host: "relay.example", Port: 587, Security: waypost.SecurityStartTLS,
			Username: "user", Password: secret.NewText("p@ss"),
		},
		UpstreamMode:      config.UpstreamInstead,
		VerifyPrefix:      "mandrill",
		SPFInclude:        "spf.relay.example",
		DKIMSelectors:     []string{"mte1", "mte2"},
		DKIMTargets:       []string{"dkim1.relay.example", "dkim2.relay.example"},
		ApproveSenders:    true,
		UpstreamSigns:     true,
		DNSResolver:       "127.0.0.1:5353",
		DNSPort:           5300,
		MXPort:            2525,
		ReplyRules:        "/etc/waypost/rules.toml",
		GuardAllow:        []netip.Prefix{prefix("127.0.0.0/8")},
		RelayPorts:        []int{25, 26},
		MaxMessageSize:    10_000_000,
		RetentionContent:  48 * time.Hour,
		RetentionReports:  36 * time.Hour,
		RetentionMetadata: 720 * time.Hour, RetentionWebhooks: 48 * time.Hour,
		DiskReserve:      1 << 30,
		DeliverySessions: 50,
		SiteSessions:     5,
		RelaySessions:    6,
		CredentialRate:   600,
		ShutdownGrace:    90 * time.Second,
		LogLevel:         slog.LevelWarn,
		LogFormat:        config.LogJSON,
	}
}

func TestEverySettingIsReadFromTheEnvironment(t *testing.T) {
	environ, want := everySetting()
	if len(environ) != len(config.Settings()) {
		t.Fatalf("the test sets %d of %d settings", len(environ), len(config.Settings()))
	}
	if d := diff(want, parse(t, "", environ...)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestEverySettingIsReadFromTheFile(t *testing.T) {
	environ, want := everySetting()
	var yaml strings.Builder
	for _, entry := range environ {
		name, text, _ := strings.Cut(strings.TrimPrefix(entry, config.Prefix), "=")
		fmt.Fprintf(&yaml, "%s: %q\n", strings.ToLower(name), text)
	}
	if d := diff(want, parse(t, yaml.String())); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestWhatIsPrintedReadsBackTheSame(t *testing.T) {
	environ, want := everySetting()
	var again []string
	for _, row := range parse(t, "", environ...).Rows() {
		if !row.Secret {
			again = append(again, row.Name+"="+row.Value)
		}
	}
	want.DatabaseURL, want.InstanceKey, want.Upstream, want.UpstreamMode = secret.Text{}, secret.Text{}, nil, config.UpstreamOff
	want.UpstreamSigns = false
	again = append(again, "WAYPOST_UPSTREAM_MODE=off", "WAYPOST_UPSTREAM_SIGNS=false")
	if d := diff(want, parse(t, "", again...)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestFileTakesPlainYAML(t *testing.T) {
	c := parse(t, `
# comment
mx_port: 2525          # a number
shutdown_grace: 10s
relay_ports: [25, 587] # a list
guard_allow:
  - 10.0.0.0/8
  - 127.0.0.1
sending_addresses: 192.0.2.1, 192.0.2.2
smtp_addr: off         # not a boolean
hostname: ~
metrics_addr:
`)
	if c.MXPort != 2525 || c.ShutdownGrace != 10*time.Second || c.SMTPAddr != "" || c.Hostname == "" || c.MetricsAddr != "" {
		t.Errorf("got %v", c)
	}
	if got := fmt.Sprint(c.RelayPorts, c.GuardAllow, c.SendingAddresses); got != "[25 587] [10.0.0.0/8 127.0.0.1/32] [192.0.2.1 192.0.2.2]" {
		t.Errorf("lists: %s", got)
	}
}

func TestEnvironmentWinsOverFileOverDefault(t *testing.T) {
	c := parse(t, "mx_port: 2525\ndns_port: 5300\n", "WAYPOST_MX_PORT=2626")
	origins := map[string]string{}
	for _, row := range c.Rows() {
		origins[row.Key] = row.Value + " " + row.Origin
	}
	for key, want := range map[string]string{
		"mx_port":   "2626 environment",
		"dns_port":  "5300 line 2",
		"http_addr": "127.0.0.1:8080 default",
	} {
		if origins[key] != want {
			t.Errorf("%s: %s, want %s", key, origins[key], want)
		}
	}
}

func TestEmptyMeansTheDefaultAndOffForListeners(t *testing.T) {
	c := parse(t, "mx_port: 2525\nhttp_addr: :80\nplatform_domain: example.com\n",
		"WAYPOST_MX_PORT=", "WAYPOST_HTTP_ADDR=", "WAYPOST_PLATFORM_DOMAIN= ")
	if c.MXPort != 25 || c.HTTPAddr != "" || c.PlatformDomain != "" {
		t.Errorf("mx_port %d, http_addr %q, platform_domain %q", c.MXPort, c.HTTPAddr, c.PlatformDomain)
	}
}

func TestSecretsMayStandInFilesOfTheirOwn(t *testing.T) {
	key := writeFile(t, "key", keyText+"\n")
	upstream := writeFile(t, "upstream", "smtps://u:p@relay.example\n")
	c := parse(t, "upstream_url_file: "+upstream, "WAYPOST_INSTANCE_KEY_FILE="+key, "WAYPOST_INSTANCE_KEY=")
	if c.InstanceKey.Reveal() != keyText || c.Upstream == nil || c.Upstream.Port != 465 {
		t.Errorf("got %v", c)
	}
	c = parse(t, "upstream_url_file: /does/not/exist", "WAYPOST_UPSTREAM_URL=smtps://u:p@other.example")
	if c.Upstream.Host != "other.example" {
		t.Errorf("the environment does not win over a _file: %v", c.Upstream)
	}
}

func TestDefaultSenderIsMadeOfThePlatformDomain(t *testing.T) {
	c := parse(t, "", "WAYPOST_PLATFORM_DOMAIN=Example.com")
	if want := (waypost.Address{Email: "no-reply@example.com"}); c.PlatformFrom != want {
		t.Errorf("PlatformFrom = %v, want %v", c.PlatformFrom, want)
	}
}

func TestUpstreamURL(t *testing.T) {
	up := func(host string, port int, s waypost.Security, trustAll bool, user, password string) waypost.Relay {
		return waypost.Relay{Host: host, Port: port, Security: s, TrustAll: trustAll, Username: user, Password: password}
	}
	for text, want := range map[string]waypost.Relay{
		"smtp://relay.example":                          up("relay.example", 25, waypost.SecurityNone, false, "", ""),
		"smtp://127.0.0.1:2525/":                        up("127.0.0.1", 2525, waypost.SecurityNone, false, "", ""),
		"smtp://relay.example?security=starttls":        up("relay.example", 587, waypost.SecurityStartTLS, false, "", ""),
		"smtp+starttls://a%40b:c%2Fd@relay.example":     up("relay.example", 587, waypost.SecurityStartTLS, false, "a@b", "c/d"),
		"smtps://u:p@[2001:db8::1]:4650?trust_all=true": up("2001:db8::1", 4650, waypost.SecurityTLS, true, "u", "p"),
	} {
		c := parse(t, "", "WAYPOST_UPSTREAM_URL="+text)
		if d := cmp.Diff(want, c.Upstream.Relay()); d != "" {
			t.Errorf("%s (-want +got):\n%s", text, d)
		}
	}
}

func TestDatabaseURLChoosesTheEngine(t *testing.T) {
	if config.Default().Postgres() || !parse(t, "", "WAYPOST_DATABASE_URL=postgresql:///waypost?host=/run").Postgres() {
		t.Error("Postgres() is wrong")
	}
}

func TestServiceLinksOfKubernetesAreNoTypingErrors(t *testing.T) {
	parse(t, "", "WAYPOST_SERVICE_HOST=10.0.0.1", "WAYPOST_SERVICE_PORT=8080", "WAYPOST_SERVICE_PORT_HTTP=8080",
		"WAYPOST_PORT=tcp://10.0.0.1:8080", "WAYPOST_PORT_8080_TCP=tcp://10.0.0.1:8080", "WAYPOST_PORT_8080_TCP_ADDR=10.0.0.1",
		"WAYPOST_SMTP_SERVICE_HOST=10.0.0.2", "WAYPOST_SMTP_PORT=tcp://10.0.0.2:25", "PATH=/bin", "WAYPOSTER=1")
}

func TestNotifySocketComesFromTheEnvironment(t *testing.T) {
	if c := parse(t, "", "NOTIFY_SOCKET=@x"); c.NotifySocket != "@x" {
		t.Errorf("NotifySocket = %q", c.NotifySocket)
	}
}

func TestLoadReadsTheFileAndNamesItInErrors(t *testing.T) {
	good := writeFile(t, "good.yaml", "mx_port: 2525\n")
	c, err := config.Load(good, nil)
	if err != nil || c.MXPort != 2525 {
		t.Errorf("Load = %d, %v", c.MXPort, err)
	}
	if _, err := config.Load("", []string{"WAYPOST_MX_PORT=26"}); err != nil {
		t.Errorf("without a file: %v", err)
	}
	for name, path := range map[string]string{
		"missing":   filepath.Join(t.TempDir(), "none.yaml"),
		"bad":       writeFile(t, "bad.yaml", "mx_port: x\n"),
		"too large": writeFile(t, "large.yaml", strings.Repeat("#", 2<<20)),
	} {
		if _, err := config.Load(path, nil); err == nil || (name != "too large" && !strings.Contains(err.Error(), path)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecretsNeverShow(t *testing.T) {
	c := parse(t, "", "WAYPOST_DATABASE_URL=postgres://waypost:hunter2@db.example/x", "WAYPOST_INSTANCE_KEY="+keyText,
		"WAYPOST_UPSTREAM_URL=smtps://user:hunter3@relay.example", "WAYPOST_PLATFORM_DOMAIN=example.com", "WAYPOST_UPSTREAM_MODE=instead")
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{"String": c.String(), "JSON": string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		shown[verb] = fmt.Sprintf(verb+verb+verb, c, &c, struct{ c config.Config }{c})
		shown[verb+" of the upstream"] = fmt.Sprintf(verb+verb, c.Upstream, *c.Upstream)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "c", c, "p", &c)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "c", c, "p", &c)
	shown["slog"] = log.String()
	for how, text := range shown {
		for _, leak := range []string{"hunter", keyText} {
			if strings.Contains(text, leak) {
				t.Errorf("%s shows %s:\n%s", how, leak, text)
			}
		}
	}
	for _, line := range []string{"WAYPOST_UPSTREAM_URL=smtps://[redacted]@relay.example:465\n", "WAYPOST_DATABASE_URL=[redacted]\n", "WAYPOST_MX_PORT=25\n"} {
		if !strings.Contains(c.String(), line) {
			t.Errorf("String() lacks %q:\n%s", line, c)
		}
	}
}

func TestWarningsTellWhatIsProbablyNotMeant(t *testing.T) {
	if got := parse(t, "", "WAYPOST_HOSTNAME=mail.example.com", "WAYPOST_PLATFORM_DOMAIN=example.com").Warnings(); len(got) > 0 {
		t.Errorf("a good configuration: %q", got)
	}
	c := parse(t, "", "WAYPOST_HOSTNAME=box", "WAYPOST_PLATFORM_DOMAIN=example.com", "WAYPOST_PLATFORM_FROM=a@example.net",
		"WAYPOST_UPSTREAM_URL=smtp://u:hunter2@relay.example?trust_all=true", "WAYPOST_SMTP_CLEARTEXT_NETWORKS=0.0.0.0/0",
		"WAYPOST_GUARD_ALLOW=::/0", "WAYPOST_TRUSTED_PROXIES=0.0.0.0/0")
	got := c.Warnings()
	var names []string
	for _, w := range got {
		name, _, _ := strings.Cut(w, ":")
		names = append(names, strings.TrimPrefix(name, config.Prefix))
	}
	want := []string{
		"HOSTNAME", "PLATFORM_FROM", "UPSTREAM_URL", "UPSTREAM_URL", "UPSTREAM_URL",
		"SMTP_CLEARTEXT_NETWORKS", "GUARD_ALLOW", "TRUSTED_PROXIES",
	}
	if !slices.Equal(names, want) || strings.Contains(strings.Join(got, ""), "hunter2") {
		t.Errorf("got %q", got)
	}
}

func TestTableDocumentsEverySetting(t *testing.T) {
	table := config.Table()
	for _, s := range config.Settings() {
		if !strings.Contains(table, "| `"+s.Name+"` |") || !strings.HasSuffix(s.Doc, ".") || strings.Contains(s.Doc, "|") {
			t.Errorf("%s is not documented", s.Name)
		}
		if s.Name != config.Prefix+strings.ToUpper(s.Key) {
			t.Errorf("%s has key %s", s.Name, s.Key)
		}
	}
	if got := strings.Count(table, "\n"); got != len(config.Settings())+2 {
		t.Errorf("%d lines:\n%s", got, table)
	}
}
