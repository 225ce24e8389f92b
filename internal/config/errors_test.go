package config_test

import (
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/config"
	"github.com/waypost/waypost/internal/secret"
)

// refused parses and returns the error text, which must have every word in want.
func refused(t *testing.T, yaml string, environ []string, want ...string) string {
	t.Helper()
	_, err := config.Parse([]byte(yaml), environ)
	if err == nil {
		t.Errorf("accepted: %q %q", yaml, environ)
		return ""
	}
	for _, word := range want {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q %q: the error lacks %q:\n%v", yaml, environ, word, err)
		}
	}
	return err.Error()
}

func TestBadValuesAreRefusedByName(t *testing.T) {
	for name, values := range map[string][]string{
		"DATA_DIR":                {"a\x00b"},
		"DATABASE_URL":            {"sqlite:x.db", "file:x.db", "mysql://u:hunter2@h/d", "host=h password=hunter2", "postgres:hunter2", "postgres://u:hunter2%@h/d", "postgres://u:hunter2/x@h/d"},
		"INSTANCE_KEY":            {"hunter2", keyText[:40], keyText + "," + keyText},
		"HTTP_ADDR":               {"8080", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:65536", "a b:80", "::1:80", "127.0.0.1:-1", "OFF"},
		"SMTP_ADDR":               {"x"},
		"SMTPS_ADDR":              {"x"},
		"BOUNCE_ADDR":             {"x"},
		"METRICS_ADDR":            {"x", ":9100:1"},
		"HOSTNAME":                {"a b", "-a.example", "a..b", "a_b", "192.0.2.1", "[192.0.2.1]", "example.1", strings.Repeat("a", 64), strings.Repeat("a.", 130) + "example", "a\r\nQUIT", "ex\u202eample"},
		"BRAND_NAME":              {"a\nb", "\u202eabc", strings.Repeat("x", 61)},
		"BRAND_LOGO":              {"a\x00b"},
		"BRAND_COLOR":             {"blue", "#12345", "#12345g", "1d4ed8"},
		"HELP_URL":                {"help.example.com", "ftp://x"},
		"PUBLIC_URL":              {"mail.example.com", "ftp://x", "https://", "https://u:hunter2@x", "https://x?y", "https://x/#y", "https:x", "https://x:a", "https://a b"},
		"TRUSTED_PROXIES":         {"10.0.0.0/33", "10.0.0.1/8", "x", "::ffff:10.0.0.0/104", "fe80::1%eth0", "10.0.0.0/8,x"},
		"PLATFORM_DOMAIN":         {"localhost", "a b.example", "192.0.2.1", "a@example.com"},
		"PLATFORM_FROM":           {"x", "a@", "<a@b", "a@b, c@d", "a@b\r\nBcc: c@d"},
		"SENDING_ADDRESSES":       {"192.0.2.0/24", "x", "0.0.0.0", "ff02::1"},
		"UPSTREAM_MODE":           {"on", "Instead"},
		"DNS_RESOLVER":            {"127.0.0.1", ":53", "127.0.0.1:0", "dns:domain"},
		"DNS_PORT":                {"0", "65536", "dns", "0x35", "5 3"},
		"MX_PORT":                 {"-25"},
		"REPLY_RULES":             {"a\x00b"},
		"GUARD_ALLOW":             {"private"},
		"RELAY_PORTS":             {"0", "25;26", "25,smtp", ","},
		"SMTP_CLEARTEXT_NETWORKS": {"all"},
		"MAX_MESSAGE_SIZE":        {"25M", "-1", "1GiB", "10", "MiB", "1.5MiB", "99999999999999999999", "9223372036854775807GiB"},
		"RETENTION_CONTENT":       {"7", "1s", "-1h", "1000y", "99999d", "d"},
		"RETENTION_REPORTS":       {"week"},
		"RETENTION_METADATA":      {"0"},
		"DISK_RESERVE":            {"10%"},
		"DELIVERY_SESSIONS":       {"0", "many", "1e3"},
		"SITE_SESSIONS":           {"0"},
		"RELAY_SESSIONS":          {"0"},
		"MEMORY_BUDGET":           {"-1"},
		"SHUTDOWN_GRACE":          {"30", "2h"},
		"LOG_LEVEL":               {"info+2", "INFO", "trace"},
		"LOG_FORMAT":              {"logfmt"},
	} {
		for _, v := range values {
			environ := []string{"WAYPOST_" + name + "=" + v}
			if text := refused(t, "", environ, "WAYPOST_"+name+":"); strings.Contains(text, "hunter2") {
				t.Errorf("%s=%s: the error quotes the password:\n%s", name, v, text)
			}
		}
	}
}

func TestAPathBelowWhichThePanelCannotLiveIsRefused(t *testing.T) {
	for _, address := range []string{"https://example.net/mail", "https://example.net/mail/", "https://example.net/%2F"} {
		refused(t, "", []string{"WAYPOST_PUBLIC_URL=" + address}, "WAYPOST_PUBLIC_URL: ", "has a path", "https://mail.example.net")
	}
	if c := parse(t, "", "WAYPOST_PUBLIC_URL=https://example.net/"); c.PublicURL.String() != "https://example.net" {
		t.Error(c.PublicURL)
	}
}

func TestBadUpstreamsAreRefusedWithoutQuotingThem(t *testing.T) {
	for _, text := range []string{
		"relay.example", "relay.example:25", "http://relay.example", "smtp:relay.example", "smtp://", "smtp://relay.example:0",
		"smtp://relay.example:99999", "smtp://relay.example/x", "smtp://relay.example#x", "smtp://a b",
		"smtp://u:hunter2/x@relay.example", "smtp://u:25/hunter2@relay.example", "smtp://u:25?hunter2@relay.example",
		"smtp://u:25#hunter2@relay.example", "smtp://u:hunter2%zz@relay.example", "smtp://hunter2@relay.example",
		"smtp://:hunter2@relay.example", "smtp://relay.example?security=ssl", "smtps://relay.example?security=none",
		"smtp://relay.example?trust_all=yes", "smtp://relay.example?trust_all=true&trust_all=false", "smtp://relay.example?hunter2",
		"smtp://relay.example?security=hunter2", "smtp://u:hunter2@relay_example.1",
	} {
		for yaml, environ := range map[string][]string{
			"":                             {"WAYPOST_UPSTREAM_URL=" + text},
			"upstream_url: '" + text + "'": nil,
		} {
			if got := refused(t, yaml, environ, "WAYPOST_UPSTREAM_URL"); strings.Contains(got, "hunter2") {
				t.Errorf("%s: the error quotes the password:\n%s", text, got)
			}
		}
	}
}

func TestSettingsThatDoNotFitTogetherAreRefused(t *testing.T) {
	for want, environ := range map[string][]string{
		"WAYPOST_TLS_CERT: needs WAYPOST_TLS_KEY":              {"WAYPOST_TLS_CERT=c.pem"},
		"WAYPOST_TLS_KEY: needs WAYPOST_TLS_CERT":              {"WAYPOST_TLS_KEY=k.pem"},
		"WAYPOST_PLATFORM_FROM: needs WAYPOST_PLATFORM_DOMAIN": {"WAYPOST_PLATFORM_FROM=a@example.com"},
		"WAYPOST_UPSTREAM_MODE: needs WAYPOST_UPSTREAM_URL":    {"WAYPOST_UPSTREAM_MODE=instead", "WAYPOST_PLATFORM_DOMAIN=example.com"},
		"WAYPOST_UPSTREAM_MODE: needs WAYPOST_PLATFORM_DOMAIN": {"WAYPOST_UPSTREAM_MODE=fallback", "WAYPOST_UPSTREAM_URL=smtp://h"},
		"WAYPOST_RETENTION_METADATA: must be at least":         {"WAYPOST_RETENTION_METADATA=100h"},
		"WAYPOST_SMTP_ADDR: 127.0.0.1:8080 is also":            {"WAYPOST_SMTP_ADDR=127.0.0.1:8080"},
		"WAYPOST_BOUNCE_ADDR: :2587 is also":                   {"WAYPOST_BOUNCE_ADDR=:2587"},
	} {
		text := refused(t, "", environ, want)
		if strings.Contains(text, "\n") {
			t.Errorf("%s: more than one error:\n%s", want, text)
		}
	}
}

func TestAFailedSettingCausesNoSecondError(t *testing.T) {
	text := refused(t, "", []string{"WAYPOST_UPSTREAM_MODE=instead", "WAYPOST_UPSTREAM_URL=x", "WAYPOST_PLATFORM_DOMAIN=example.com"}, "WAYPOST_UPSTREAM_URL: ")
	if strings.Contains(text, "\n") {
		t.Errorf("more than one error:\n%s", text)
	}
}

func TestListenersOnFreePortsDoNotCollide(t *testing.T) {
	parse(t, "", "WAYPOST_HTTP_ADDR=127.0.0.1:0", "WAYPOST_SMTP_ADDR=127.0.0.1:0", "WAYPOST_SMTPS_ADDR=:0", "WAYPOST_METRICS_ADDR=127.0.0.2:2526", "WAYPOST_BOUNCE_ADDR=127.0.0.1:2526")
}

func TestAllErrorsAreReportedAtOnce(t *testing.T) {
	text := refused(t, "mx_port: x\nsmtp_adr: off\n", []string{"WAYPOST_DNS_PORT=y", "WAYPOST_TLS_CERT=c", "WAYPOST_HTTP_ADR=off"},
		"WAYPOST_MX_PORT (line 1): ", `line 2: "smtp_adr"`, "WAYPOST_DNS_PORT: ", "WAYPOST_TLS_CERT: ", "WAYPOST_HTTP_ADR: ")
	if got := strings.Count(text, "\n"); got != 4 {
		t.Errorf("%d lines, want 5:\n%s", got+1, text)
	}
}

func TestTypingErrorsNameTheNearestSetting(t *testing.T) {
	for typed, want := range map[string]string{
		"WAYPOST_HTTP_ADRR":         "WAYPOST_HTTP_ADDR",
		"WAYPOST_INSTANCE_KEYFILE":  "WAYPOST_INSTANCE_KEY_FILE",
		"WAYPOST_MAX_MESSAGESIZE":   "WAYPOST_MAX_MESSAGE_SIZE",
		"WAYPOST_HTTP_ADDR_FILE":    "WAYPOST_HTTP_ADDR",
		"WAYPOST_":                  "WAYPOST_",
		"WAYPOST_http_addr":         "WAYPOST_",
		"WAYPOST_RETENTION_CONTETN": "WAYPOST_RETENTION_CONTENT",
	} {
		refused(t, "", []string{typed + "=1"}, typed+": ", "did you mean "+want)
	}
	refused(t, "htp_addr: off", nil, `line 1: "htp_addr"`, "did you mean http_addr?")
	refused(t, "\nHTTP_ADDR: off", nil, "line 2", "did you mean ")
	refused(t, "WAYPOST_HTTP_ADDR: off", nil, "line 1", "did you mean ")
}

func TestSecretFilesThatCannotBeReadAreRefusedWithoutTheirPath(t *testing.T) {
	empty, dir := writeFile(t, "empty", " \n"), t.TempDir()
	large := writeFile(t, "large", strings.Repeat("hunter2\n", 10_000))
	for path, why := range map[string]string{
		"/hunter2/missing": "no such file",
		empty:              "empty",
		dir:                "regular file",
		large:              "too large",
		"/dev/zero":        "regular file",
	} {
		text := refused(t, "", []string{"WAYPOST_INSTANCE_KEY_FILE=" + path}, "WAYPOST_INSTANCE_KEY_FILE: ", why)
		if strings.Contains(text, "hunter2") || strings.Contains(text, path) {
			t.Errorf("the error quotes the path or the content:\n%s", text)
		}
	}
	refused(t, "upstream_url_file: /none", nil, "WAYPOST_UPSTREAM_URL_FILE (line 1): ")
}

func TestASecretIsGivenOnlyOnce(t *testing.T) {
	key := writeFile(t, "key", keyText)
	refused(t, "", []string{"WAYPOST_INSTANCE_KEY=" + keyText, "WAYPOST_INSTANCE_KEY_FILE=" + key},
		"WAYPOST_INSTANCE_KEY: ", "WAYPOST_INSTANCE_KEY_FILE is given too")
}

func TestFilesThatAreNotAFlatMappingAreRefused(t *testing.T) {
	for yaml, want := range map[string]string{
		"mx_port":                             "not a YAML mapping",
		"- mx_port: 25":                       "not a YAML mapping",
		"mx_port: 25\n---\nmx_port: 26":       "more than one YAML document",
		"mx_port: 25\nmx_port: 26":            "WAYPOST_MX_PORT (line 2): given twice",
		"mx_port: [25, 26]":                   "WAYPOST_MX_PORT (line 1): takes one value",
		"mx_port: {a: b}":                     "WAYPOST_MX_PORT (line 1): not a plain value",
		"relay_ports: [[25]]":                 "WAYPOST_RELAY_PORTS (line 1): not a list of plain values",
		"mx_port: &a 25\ndns_port: *a":        "WAYPOST_DNS_PORT (line 2): not a plain value",
		"? [a]\n: b":                          "line 1",
		"<<: {mx_port: 25}":                   "line 1",
		"\tmx_port: 25":                       "yaml: ",
		"instance_key: *hunter2":              "yaml: ",
		"upstream_url: \"smtp://u:hunter2":    "yaml: ",
		"upstream_url: smtp://u:hunter2@h: x": "yaml: ",
		"mx_port: 0x19":                       "not a whole number",
	} {
		if text := refused(t, yaml, nil, want); strings.Contains(text, "hunter2") {
			t.Errorf("the error quotes the secret:\n%s", text)
		}
	}
}

func TestValidateChecksValuesMadeInCode(t *testing.T) {
	for name, spoil := range map[string]func(*config.Config){
		"DATA_DIR":         func(c *config.Config) { c.DataDir = "" },
		"HTTP_ADDR":        func(c *config.Config) { c.HTTPAddr = "x" },
		"MX_PORT":          func(c *config.Config) { c.MXPort = 0 },
		"RELAY_PORTS":      func(c *config.Config) { c.RelayPorts = []int{70_000} },
		"UPSTREAM_MODE":    func(c *config.Config) { c.UpstreamMode = "" },
		"INSTANCE_KEY":     func(c *config.Config) { c.InstanceKey = secret.NewText("x") },
		"MAX_MESSAGE_SIZE": func(c *config.Config) { c.MaxMessageSize = 0 },
		"PLATFORM_FROM":    func(c *config.Config) { c.PlatformDomain, c.PlatformFrom.Email = "example.com", "a b" },
		"UPSTREAM_URL":     func(c *config.Config) { c.Upstream = &config.Upstream{} },
		"TLS_CERT":         func(c *config.Config) { c.TLSCert = "c.pem" },
	} {
		c := config.Default()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "WAYPOST_"+name+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("mx_port: 2525\nrelay_ports: [25]\n", "WAYPOST_HTTP_ADDR", "off")
	f.Add("upstream_url: smtp://u:p@h?security=tls\n", "WAYPOST_PLATFORM_FROM", "A <a@example.com>")
	f.Add("a: &a [*a]\n", "WAYPOST_PUBLIC_URL", "https://[::1]:1/%zz")
	f.Fuzz(func(t *testing.T, yaml, name, text string) {
		c, err := config.Parse([]byte(yaml), []string{name + "=" + text, "WAYPOST_DATABASE_URL=postgres://u:hunter2-hunter2@h/d"})
		if err != nil {
			if strings.Contains(err.Error(), "hunter2-hunter2") && !strings.Contains(yaml+name+text, "hunter2-hunter2") {
				t.Fatalf("the error shows a secret: %v", err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("Parse accepts what Validate refuses: %v", err)
		}
		// What is printed must mean the same when it is read again.
		var environ []string
		for _, row := range c.Rows() {
			if !row.Secret && row.Name != "WAYPOST_UPSTREAM_MODE" {
				environ = append(environ, row.Name+"="+row.Value)
			}
		}
		again, err := config.Parse(nil, environ)
		if err != nil {
			t.Fatalf("what is printed is refused: %v", err)
		}
		again.DatabaseURL, again.InstanceKey, again.Upstream, again.UpstreamMode = c.DatabaseURL, c.InstanceKey, c.Upstream, c.UpstreamMode
		if got, want := again.String(), c.String(); got != want {
			t.Fatalf("printed and read again:\n%s\nwant:\n%s", got, want)
		}
	})
}
