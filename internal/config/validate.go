package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// Validate checks every setting and how they fit together. The error joins all
// that is wrong, each line naming its setting.
func (c Config) Validate() error { return errors.Join(c.problems(nil)...) }

// rule is a condition on several settings.
type rule struct {
	names   []string // without prefix; the first is the one to blame
	broken  bool
	message string
}

// problems leaves out what concerns a setting that is known to have failed, because
// its value then says nothing.
func (c *Config) problems(failed map[string]bool) []error {
	var errs []error
	for _, s := range Settings() {
		if failed[s.Name] {
			continue
		}
		if err := s.check(c); err != nil {
			errs = append(errs, problem(s.Name, c.origins[s.Name], err))
			if failed == nil {
				failed = map[string]bool{}
			}
			failed[s.Name] = true
		}
	}
	for _, r := range c.rules() {
		if r.broken && !slices.ContainsFunc(r.names, func(name string) bool { return failed[Prefix+name] }) {
			name := Prefix + r.names[0]
			errs = append(errs, problem(name, c.origins[name], errors.New(r.message)))
		}
	}
	return errs
}

func (c *Config) rules() []rule {
	rules := []rule{
		{
			[]string{"TLS_CERT", "TLS_KEY"},
			c.TLSCert != "" && c.TLSKey == "",
			"needs WAYPOST_TLS_KEY",
		},
		{
			[]string{"TLS_KEY", "TLS_CERT"},
			c.TLSKey != "" && c.TLSCert == "",
			"needs WAYPOST_TLS_CERT",
		},
		{
			[]string{"PLATFORM_FROM", "PLATFORM_DOMAIN"},
			c.PlatformFrom.Email != "" && c.PlatformDomain == "",
			"needs WAYPOST_PLATFORM_DOMAIN: without it the built-in gateway is a sandbox",
		},
		{
			[]string{"UPSTREAM_MODE", "UPSTREAM_URL"},
			c.UpstreamMode != UpstreamOff && c.Upstream == nil,
			"needs WAYPOST_UPSTREAM_URL",
		},
		{
			[]string{"UPSTREAM_MODE", "PLATFORM_DOMAIN"},
			c.UpstreamMode != UpstreamOff && c.PlatformDomain == "",
			"needs WAYPOST_PLATFORM_DOMAIN: without it the built-in gateway is a sandbox and no mail leaves",
		},
		{
			[]string{"UPSTREAM_SIGNS", "UPSTREAM_MODE"},
			c.UpstreamSigns && c.UpstreamMode != UpstreamInstead,
			"needs WAYPOST_UPSTREAM_MODE=instead: mail that leaves directly would be unsigned",
		},
		{
			[]string{"RETENTION_METADATA", "RETENTION_CONTENT", "RETENTION_REPORTS"},
			c.RetentionMetadata < max(c.RetentionContent, c.RetentionReports),
			"must be at least WAYPOST_RETENTION_CONTENT and WAYPOST_RETENTION_REPORTS: content without its message cannot be found",
		},
	}
	return append(rules, c.listenerRules()...)
}

// listenerRules finds two listeners on one address. Port 0 never collides.
func (c *Config) listenerRules() []rule {
	listeners := []struct{ name, addr string }{
		{"HTTP_ADDR", c.HTTPAddr},
		{"SMTP_ADDR", c.SMTPAddr},
		{"SMTPS_ADDR", c.SMTPSAddr},
		{"BOUNCE_ADDR", c.BounceAddr},
		{"METRICS_ADDR", c.MetricsAddr},
	}
	var rules []rule
	for i, a := range listeners {
		for _, b := range listeners[:i] {
			rules = append(rules, rule{
				[]string{a.name, b.name},
				collide(a.addr, b.addr),
				fmt.Sprintf("%s is also the address of %s", a.addr, Prefix+b.name),
			})
		}
	}
	return rules
}

func collide(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || strings.Trim(portA, "0") == "" {
		return false
	}
	return hostA == hostB || wildcard(hostA) || wildcard(hostB)
}

func wildcard(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// Warnings returns what is allowed but probably not meant, a sentence each, for the
// log at start and for "waypost check".
func (c Config) Warnings() []string {
	var out []string
	warn := func(when bool, format string, args ...any) {
		if when {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	warn(c.PlatformDomain != "" && !strings.Contains(c.Hostname, "."),
		"WAYPOST_HOSTNAME: %q is not a full domain name; other mail servers may refuse it in EHLO", c.Hostname)
	from := waypost.DomainOf(c.PlatformFrom.Email)
	warn(from != "" && from != c.PlatformDomain && !strings.HasSuffix(from, "."+c.PlatformDomain),
		"WAYPOST_PLATFORM_FROM: %s is not under WAYPOST_PLATFORM_DOMAIN, whose DKIM key signs it", from)
	warn(c.Upstream != nil && c.UpstreamMode == UpstreamOff,
		"WAYPOST_UPSTREAM_URL: not used, because WAYPOST_UPSTREAM_MODE is off")
	warn(c.Upstream != nil && c.Upstream.Security == waypost.SecurityNone && c.Upstream.Username != "",
		"WAYPOST_UPSTREAM_URL: the password is sent without TLS")
	warn(c.Upstream != nil && c.Upstream.TrustAll,
		"WAYPOST_UPSTREAM_URL: any certificate is accepted")
	everyone := func(p netip.Prefix) bool { return p.Bits() == 0 }
	warn(slices.ContainsFunc(c.SMTPCleartextNetworks, everyone),
		"WAYPOST_SMTP_CLEARTEXT_NETWORKS: everyone may log in without TLS")
	warn(slices.ContainsFunc(c.GuardAllow, everyone),
		"WAYPOST_GUARD_ALLOW: every private address may be dialed")
	warn(slices.ContainsFunc(c.TrustedProxies, everyone),
		"WAYPOST_TRUSTED_PROXIES: everyone may claim any client address")
	return out
}
