package config

import (
	"errors"
	"net"
	"net/url"
	"strconv"

	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/waypost"
)

// Upstream is the relay that the built-in gateway may send through.
type Upstream struct {
	Host     string
	Port     int
	Security waypost.Security
	TrustAll bool   // accept any certificate
	Username string // empty for no login
	Password secret.Text
}

// Relay returns the upstream as a relay, its password in clear.
func (u Upstream) Relay() waypost.Relay {
	return waypost.Relay{
		Host: u.Host, Port: u.Port, Security: u.Security, TrustAll: u.TrustAll,
		Username: u.Username, Password: u.Password.Reveal(),
	}
}

// String returns the URL of the upstream without its user name and password.
func (u *Upstream) String() string {
	if u == nil {
		return ""
	}
	scheme := "smtp"
	switch u.Security {
	case waypost.SecurityStartTLS:
		scheme = "smtp+starttls"
	case waypost.SecurityTLS:
		scheme = "smtps"
	case waypost.SecurityNone:
	}
	login := ""
	if u.Username != "" {
		login = "[redacted]@"
	}
	query := ""
	if u.TrustAll {
		query = "?trust_all=true"
	}
	return scheme + "://" + login + net.JoinHostPort(u.Host, strconv.Itoa(u.Port)) + query
}

// Errors of a URL that may hold a password never quote it, nor what net/url says:
// a password with a "/" or "?" in it that is not percent-encoded spills into every
// other part.
var (
	errUpstream = errors.New("not smtp://, smtp+starttls:// or smtps:// with [user:password@]host[:port]; " +
		"special characters in user name and password must be percent-encoded")
	errUpstreamQuery = errors.New("after ? only security=none|starttls|tls (with smtp://) and trust_all=true|false may follow, each once; " +
		"special characters in user name and password must be percent-encoded")
)

// parseUpstream reads smtp://, smtp+starttls:// and smtps:// URLs. smtp:// is plain
// text unless ?security= says otherwise; the default port is that of the security.
func parseUpstream(text string) (*Upstream, error) {
	if text == "" {
		return nil, nil // no upstream is a value
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || (u.Path != "" && u.Path != "/") || u.Fragment != "" {
		return nil, errUpstream
	}
	up := &Upstream{Username: u.User.Username()}
	password, _ := u.User.Password()
	up.Password = secret.NewText(password)
	if (up.Username == "") != up.Password.Empty() {
		return nil, errors.New("user name and password belong together")
	}
	if up.Security, up.TrustAll, err = upstreamOptions(u); err != nil {
		return nil, err
	}
	if up.Host, err = parseHost(u.Hostname()); err != nil || up.Host == "" {
		return nil, errUpstream
	}
	up.Port = up.Security.Port()
	if p := u.Port(); p != "" {
		if up.Port, err = parsePort(p); err != nil || up.Port == 0 {
			return nil, errUpstream
		}
	}
	return up, nil
}

func upstreamOptions(u *url.URL) (security waypost.Security, trustAll bool, err error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", false, errUpstreamQuery
	}
	switch u.Scheme {
	case "smtp":
		security = waypost.SecurityNone
	case "smtp+starttls":
		security = waypost.SecurityStartTLS
	case "smtps":
		security = waypost.SecurityTLS
	default:
		return "", false, errUpstream
	}
	for name, values := range query {
		if len(values) != 1 {
			return "", false, errUpstreamQuery
		}
		switch value := values[0]; {
		case name == "security" && u.Scheme == "smtp":
			security = waypost.Security(value)
			if _, err := choice(waypost.SecurityNone, waypost.SecurityStartTLS, waypost.SecurityTLS).parse(value); err != nil {
				return "", false, errUpstreamQuery
			}
		case name == "trust_all" && (value == "true" || value == "false"):
			trustAll = value == "true"
		default:
			return "", false, errUpstreamQuery
		}
	}
	return security, trustAll, nil
}
