package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/waypost"
)

func asIs(s string) (string, error) { return s, nil }

func same(s string) string { return s }

// path is a file or directory name.
func path(required bool) kind[string] {
	return kind[string]{parse: asIs, format: same, check: func(s string) error {
		if required && s == "" {
			return errEmpty
		}
		if strings.ContainsFunc(s, unicode.IsControl) {
			return errors.New("control character in a path")
		}
		return nil
	}}
}

// text is a name that people read, at most so many characters.
func text(most int) kind[string] {
	return kind[string]{parse: asIs, format: same, check: func(s string) error {
		if s == "" || utf8.RuneCountInString(s) > most || strings.ContainsFunc(s, waypost.Misleading) {
			return fmt.Errorf("1 to %d characters", most)
		}
		return nil
	}}
}

// color is "#" and six hexadecimal digits, or "".
func color() kind[string] {
	return kind[string]{parse: asIs, format: same, check: func(s string) error {
		if s != "" && (len(s) != 7 || s[0] != '#' || strings.Trim(strings.ToLower(s[1:]), "0123456789abcdef") != "") {
			return errors.New("write it as #1d4ed8")
		}
		return nil
	}}
}

// choice is one of a few words.
func choice[T ~string](words ...T) kind[T] {
	check := func(v T) error {
		if slices.Contains(words, v) {
			return nil
		}
		return fmt.Errorf("%q is none of %q", string(v), words)
	}
	return kind[T]{
		parse:  func(s string) (T, error) { return T(s), check(T(s)) },
		format: func(v T) string { return string(v) },
		check:  check,
	}
}

func within[T cmp.Ordered](v, least, most T, show func(T) string) error {
	if v < least || v > most {
		return fmt.Errorf("%s is not between %s and %s", show(v), show(least), show(most))
	}
	return nil
}

// between is a whole number.
func between(least, most int) kind[int] {
	return kind[int]{
		parse: func(s string) (int, error) {
			n, err := strconv.Atoi(s)
			if err != nil {
				return 0, fmt.Errorf("%q is not a whole number", s)
			}
			return n, nil
		},
		format: strconv.Itoa,
		check:  func(n int) error { return within(n, least, most, strconv.Itoa) },
	}
}

// size is a number of bytes: "26214400", "25MiB", "25 MB".
func size(least, most int64) kind[int64] {
	return kind[int64]{
		parse: parseSize, format: formatSize,
		check: func(n int64) error { return within(n, least, most, formatSize) },
	}
}

type unit struct {
	name  string
	bytes int64
}

// units are ordered so that no name is the end of one before it.
func units() []unit {
	return []unit{
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"GB", 1e9},
		{"MB", 1e6},
		{"KB", 1e3},
		{"B", 1},
	}
}

func parseSize(s string) (int64, error) {
	digits, factor := s, int64(1)
	for _, u := range units() {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			digits, factor = strings.TrimRight(rest, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return 0, fmt.Errorf("%q is not a size such as 25MiB, 500KB or 26214400", s)
	}
	return n * factor, nil
}

func formatSize(n int64) string {
	for _, u := range units()[:3] {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// duration is what time.ParseDuration reads, or whole days: "30s", "168h", "7d".
func duration(least, most time.Duration) kind[time.Duration] {
	return kind[time.Duration]{
		parse: parseDuration, format: time.Duration.String,
		check: func(d time.Duration) error { return within(d, least, most, time.Duration.String) },
	}
}

func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	return 0, fmt.Errorf("%q is not a duration such as 30s, 72h or 7d", s)
}

func logLevel() kind[slog.Level] {
	words := choice("debug", "info", "warn", "error")
	return kind[slog.Level]{
		parse: func(s string) (level slog.Level, err error) {
			if _, err := words.parse(s); err != nil {
				return 0, err
			}
			return level, level.UnmarshalText([]byte(s))
		},
		format: func(l slog.Level) string { return strings.ToLower(l.String()) },
	}
}

// list is several values with commas or white space between them.
func list[T any](one func(string) (T, error), format func(T) string) kind[[]T] {
	return kind[[]T]{
		list: true,
		parse: func(s string) ([]T, error) {
			var out []T
			var errs []error
			for _, field := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
				v, err := one(field)
				out, errs = append(out, v), append(errs, err)
			}
			return out, errors.Join(errs...)
		},
		format: func(vs []T) string {
			texts := make([]string, 0, len(vs))
			for _, v := range vs {
				texts = append(texts, format(v))
			}
			return strings.Join(texts, ",")
		},
	}
}

// prefixes are networks; an address stands for the network of itself alone.
func prefixes() kind[[]netip.Prefix] { return list(parsePrefix, netip.Prefix.String) }

func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		addr, err := parseAddr(s)
		if err != nil {
			return p, fmt.Errorf("%q is not a network such as 10.0.0.0/8", s)
		}
		p = netip.PrefixFrom(addr, addr.BitLen())
	}
	if p.Addr().Is4In6() { // would never contain the IPv4 address that is meant
		return p, fmt.Errorf("%q: write an IPv4 network as one", s)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("%q has bits set after its length; %s is meant?", s, p.Masked())
	}
	return p, nil
}

// addresses are IP addresses that a socket can leave from.
func addresses() kind[[]netip.Addr] { return list(parseAddr, netip.Addr.String) }

func parseAddr(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" || addr.Is4In6() {
		return addr, fmt.Errorf("%q is not an IP address", s)
	}
	if addr.IsUnspecified() || addr.IsMulticast() {
		return addr, fmt.Errorf("%q is not the address of one host", s)
	}
	return addr, nil
}

// ports is a list of port numbers.
func ports() kind[[]int] {
	k := list(func(s string) (int, error) {
		n, err := parsePort(s)
		if err == nil && n == 0 {
			err = errors.New("port 0 is not a port to connect to")
		}
		return n, err
	}, strconv.Itoa)
	k.check = func(ports []int) error {
		if len(ports) == 0 {
			return errEmpty
		}
		for _, p := range ports {
			if err := within(p, 1, 65535, strconv.Itoa); err != nil {
				return err
			}
		}
		return nil
	}
	return k
}

// parsePort takes decimal digits only: no sign, no service names.
func parsePort(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port number", s)
	}
	return int(n), nil
}

// listener is host:port to listen on, or "" for off.
func listener() kind[string] {
	return kind[string]{
		emptyOff: true,
		parse: func(s string) (string, error) {
			if s == "off" {
				return "", nil
			}
			return s, nil
		},
		format: func(s string) string {
			if s == "" {
				return "off"
			}
			return s
		},
		check: func(s string) error { return checkHostPort(s, true) },
	}
}

// hostPort is host:port to connect to, or "".
func hostPort() kind[string] {
	return kind[string]{parse: asIs, format: same, check: func(s string) error { return checkHostPort(s, false) }}
}

// checkHostPort allows an empty host and port 0 in an address to listen on only.
func checkHostPort(s string, listen bool) error {
	if s == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not host:port", s)
	}
	n, err := parsePort(port)
	if err == nil && n == 0 && !listen {
		err = errors.New("port 0 is not a port to connect to")
	}
	if err != nil {
		return fmt.Errorf("%q: %w", s, err)
	}
	if host == "" && listen {
		return nil
	}
	if _, err := parseHost(host); err != nil {
		return fmt.Errorf("%q: %w", s, err)
	}
	return nil
}

// parseHost takes an IP address or a name to look up, which may have underscores:
// names of containers do.
func parseHost(s string) (string, error) {
	if _, err := netip.ParseAddr(s); err == nil {
		return s, nil
	}
	return parseName(s, "-_")
}

// hostname is a name to call ourselves by (RFC 5321 section 2.3.5), or "".
func hostname() kind[string] {
	return kind[string]{parse: parseHostname, format: same, check: func(s string) error {
		_, err := parseHostname(s)
		return err
	}}
}

func parseHostname(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	return parseName(s, "-")
}

// mailDomain is a domain to send from, or "".
func mailDomain() kind[string] {
	parse := func(s string) (string, error) {
		name, err := parseHostname(s)
		if err == nil && name != "" && !strings.Contains(name, ".") {
			err = fmt.Errorf("%q is not a full domain name", s)
		}
		return name, err
	}
	return kind[string]{parse: parse, format: same, check: func(s string) error {
		_, err := parse(s)
		return err
	}}
}

// label is one label of a domain name, in lower case.
func label() kind[string] {
	parse := func(s string) (string, error) {
		s = strings.ToLower(s)
		if s == "" || len(s) > 63 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return "", fmt.Errorf("%q: letters, digits and hyphens, at most 63", s)
		}
		return s, nil
	}
	return kind[string]{parse: parse, format: same, check: func(s string) error {
		_, err := parse(s)
		return err
	}}
}

// pair is two different values, or none.
func pair(of kind[string]) kind[[]string] {
	k := list(of.parse, same)
	k.check = func(values []string) error {
		switch {
		case len(values) == 0:
			return nil
		case len(values) != 2 || values[0] == values[1]:
			return errors.New("give two different ones, with a comma between them")
		}
		return errors.Join(of.check(values[0]), of.check(values[1]))
	}
	return k
}

// yesNo is true or false.
func yesNo() kind[bool] {
	return kind[bool]{
		parse: func(s string) (bool, error) {
			switch strings.ToLower(s) {
			case "true", "yes", "on", "1":
				return true, nil
			case "false", "no", "off", "0":
				return false, nil
			}
			return false, fmt.Errorf("%q is neither true nor false", s)
		},
		format: strconv.FormatBool,
		check:  func(bool) error { return nil },
	}
}

// parseName returns a host name in lower case and as A-labels (RFC 5891). A last
// label of digits only is an IPv4 address or a typing error (RFC 1123 section 2.1).
func parseName(s, punctuation string) (string, error) {
	bad := fmt.Errorf("%q is not a host name", s)
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	if strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }) {
		var err error
		if name, err = idna.Lookup.ToASCII(name); err != nil {
			return "", bad
		}
	}
	if len(name) > 253 {
		return "", bad
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", bad
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(punctuation, r) {
				return "", bad
			}
		}
		last = label
	}
	if strings.Trim(last, "0123456789") == "" {
		return "", bad
	}
	return name, nil
}

// mailbox is addr or Name <addr>, or "".
func mailbox() kind[waypost.Address] {
	return kind[waypost.Address]{
		parse: func(s string) (waypost.Address, error) {
			if s == "" {
				return waypost.Address{}, nil
			}
			a, err := mail.ParseAddress(s)
			if err != nil {
				return waypost.Address{}, fmt.Errorf("%q is not an address or Name <address>", s)
			}
			return waypost.Address{Name: a.Name, Email: a.Address}, nil
		},
		format: func(a waypost.Address) string {
			if a.Name == "" {
				return a.Email
			}
			return (&mail.Address{Name: a.Name, Address: a.Email}).String()
		},
		check: func(a waypost.Address) error {
			if a == (waypost.Address{}) {
				return nil
			}
			if strings.ContainsFunc(a.Name, unicode.IsControl) {
				return errors.New("control character in the name")
			}
			if _, _, err := waypost.SplitAddress(a.Email); err != nil {
				return fmt.Errorf("%q: %w", a.Email, err)
			}
			return nil
		},
	}
}

var (
	errWebURL = errors.New("not http:// or https:// with host[:port][/path]")
	errOrigin = errors.New("has a path, and pages live at the root of a host only; give them one of their own, such as https://mail.example.net")
)

// originURL is the address of a host. Pages, forms and cookies are at its root, so below a
// path they would lead to the neighbors there.
func originURL() kind[*url.URL] {
	k := webURL()
	of := k.check
	k.check = func(u *url.URL) error {
		if err := of(u); err != nil || u == nil || u.Path == "" {
			return err
		}
		return errOrigin
	}
	return k
}

// publicURL is where others reach us, without a trailing slash, or nil.
func webURL() kind[*url.URL] {
	return kind[*url.URL]{
		parse: func(s string) (*url.URL, error) {
			if s == "" {
				return nil, nil // not set is a value
			}
			u, err := url.Parse(strings.TrimRight(s, "/"))
			if err != nil {
				return nil, errWebURL
			}
			return u, nil
		},
		format: func(u *url.URL) string {
			if u == nil {
				return ""
			}
			return u.Redacted()
		},
		check: func(u *url.URL) error {
			if u == nil {
				return nil
			}
			if (u.Scheme != "https" && u.Scheme != "http") || u.Opaque != "" || u.User != nil ||
				u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
				return errWebURL
			}
			if _, err := parseHost(u.Hostname()); err != nil {
				return errWebURL
			}
			return nil
		},
	}
}

func upstreamURL() kind[*Upstream] {
	return kind[*Upstream]{secret: true, parse: parseUpstream, format: (*Upstream).String, check: func(u *Upstream) error {
		if u == nil {
			return nil
		}
		if _, err := parseHost(u.Host); err != nil {
			return err
		}
		return within(u.Port, 1, 65535, strconv.Itoa)
	}}
}

func parseSecret(s string) (secret.Text, error) { return secret.NewText(s), nil }

// databaseURL never quotes the value: it may hold a password.
func databaseURL() kind[secret.Text] {
	return kind[secret.Text]{secret: true, parse: parseSecret, format: secret.Text.String, check: func(t secret.Text) error {
		if t.Empty() {
			return nil
		}
		scheme, _, _ := strings.Cut(t.Reveal(), ":")
		switch strings.ToLower(scheme) {
		case "sqlite", "sqlite3", "file":
			return errors.New("leave it empty for SQLite; the database is in " + Prefix + "DATA_DIR")
		}
		u, err := url.Parse(t.Reveal())
		if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.Opaque != "" {
			return errors.New("not postgres://user:password@host:port/database; special characters in user name and password must be percent-encoded")
		}
		return nil
	}}
}

// instanceKey never quotes the value; neither do the errors of secret.Parse.
func instanceKey() kind[secret.Text] {
	return kind[secret.Text]{secret: true, parse: parseSecret, format: secret.Text.String, check: func(t secret.Text) error {
		if t.Empty() {
			return nil
		}
		_, err := secret.Parse(t.Reveal())
		return err
	}}
}
