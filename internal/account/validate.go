package account

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// Limits of settings.
const (
	maxName      = 200      // characters
	maxUsername  = 500      // bytes
	maxPassword  = 4 << 10  // bytes: some services issue tokens as passwords
	maxSignature = 16 << 10 // bytes of each part
)

func known(g waypost.GatewayType) bool {
	return g == waypost.GatewayBuiltin || g == waypost.GatewaySMTP
}

// badName says what is wrong with the name of somebody or something, "" for nothing.
// Control characters would end up in header fields and on screens.
func badName(name string) string {
	switch {
	case !utf8.ValidString(name):
		return "not valid UTF-8"
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Sprintf("longer than %d characters", maxName)
	case strings.ContainsFunc(name, waypost.Misleading):
		return "control characters are not allowed"
	}
	return ""
}

// checkServer returns the server of an update without its login.
func (s *Service) checkServer(problems *Problems, g *GatewayUpdate) *waypost.Relay {
	r := &waypost.Relay{Port: g.Port, Security: g.Security, TrustAll: g.TrustAll, Guarded: true}
	var ok bool
	if r.Host, ok = parseHost(g.Host); !ok {
		problems.add("gateway.host", "give the name or the IP address of the server, without port or path")
	}
	switch g.Security {
	case waypost.SecurityNone, waypost.SecurityStartTLS, waypost.SecurityTLS:
		if r.Port == 0 {
			r.Port = g.Security.Port()
		}
	default:
		problems.add("gateway.security", "choose none, starttls or tls")
		if r.Port == 0 {
			return r // one problem is enough
		}
	}
	if !slices.Contains(s.o.RelayPorts, r.Port) {
		problems.add("gateway.port", fmt.Sprintf("port %d is not allowed; allowed are %s", r.Port, listPorts(s.o.RelayPorts)))
	}
	return r
}

func listPorts(ports []int) string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(ports)), ", "), "[]")
}

// parseHost returns a host in the one form it is kept, compared and dialed in: an IP
// address, or a domain name in A-labels and lower case.
func parseHost(s string) (string, bool) {
	s = strings.TrimSpace(s)
	literal := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		literal = s[1 : len(s)-1]
	}
	if addr, err := netip.ParseAddr(literal); err == nil {
		return addr.Unmap().String(), addr.Zone() == ""
	}
	host, err := dns.ToASCII(s)
	if err != nil {
		return "", false
	}
	// No top-level domain is a number, but system resolvers take "127.1" for an
	// address.
	last := host[strings.LastIndexByte(host, '.')+1:]
	if strings.Trim(last, "0123456789") == "" {
		return "", false
	}
	return host, true
}

func checkUsername(problems *Problems, name string) {
	const field = "gateway.auth.username"
	switch {
	case name == "":
		problems.add(field, "the user name is missing; without a login, auth is null")
	case len(name) > maxUsername:
		problems.add(field, fmt.Sprintf("longer than %d bytes", maxUsername))
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		problems.add(field, "control characters are not allowed")
	}
}

// checkPassword takes what SASL PLAIN can carry (RFC 4616 section 2).
func checkPassword(problems *Problems, password string) {
	const field = "gateway.auth.password"
	switch {
	case len(password) > maxPassword:
		problems.add(field, fmt.Sprintf("longer than %d bytes", maxPassword))
	case !utf8.ValidString(password) || strings.IndexByte(password, 0) >= 0:
		problems.add(field, "a password cannot have NUL bytes and has to be UTF-8")
	}
}

// checkFrom returns the sender a From names, nil for none.
func checkFrom(problems *Problems, from, operatorID string) *waypost.Sender {
	if strings.TrimSpace(from) == "" {
		return nil
	}
	a, ok := checkMailbox(problems, "from", from)
	if !ok {
		return nil
	}
	if strings.HasPrefix(a.Email, "*@") {
		problems.add("from", "a default sender is one address")
		return nil
	}
	return &waypost.Sender{
		OperatorID: operatorID, Address: store.NormalizeAddress(a.Email), Name: a.Name,
		State: waypost.SenderRequested, Default: true,
	}
}

func checkReplyTo(problems *Problems, replyTo string) string {
	if strings.TrimSpace(replyTo) == "" {
		return ""
	}
	a, ok := checkMailbox(problems, "reply_to", replyTo)
	if !ok {
		return ""
	}
	return Mailbox(a)
}

// maxMailbox bounds a mailbox as typed, in bytes: name, quotes and address.
const maxMailbox = 2048

func checkMailbox(problems *Problems, field, text string) (waypost.Address, bool) {
	const want = "not an e-mail address: write address or Name <address>"
	if len(text) > maxMailbox || !utf8.ValidString(text) || strings.ContainsFunc(text, waypost.Misleading) {
		problems.add(field, want)
		return waypost.Address{}, false
	}
	list, err := message.ParseAddressList(text)
	if err != nil || len(list) != 1 {
		problems.add(field, want)
		return waypost.Address{}, false
	}
	a := list[0]
	a.Name = strings.TrimSpace(a.Name)
	if why := badName(a.Name); why != "" { // encoded words were decoded since
		problems.add(field, why)
		return waypost.Address{}, false
	}
	return a, true
}

// Mailbox writes an address for people, in a form that checkMailbox reads: the name
// is not encoded, and quoted only if it has to be (RFC 5322 section 3.2.3).
func Mailbox(a waypost.Address) string {
	switch {
	case a.Name == "":
		return a.Email
	case strings.ContainsAny(a.Name, `()<>[]:;@\,."`) || strings.Contains(a.Name, "  ") || strings.Contains(a.Name, "=?"):
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a.Name) + `" <` + a.Email + ">"
	default:
		return a.Name + " <" + a.Email + ">"
	}
}

func checkSignature(problems *Problems, field, text string) {
	switch {
	case len(text) > maxSignature:
		problems.add(field, fmt.Sprintf("longer than %d KiB", maxSignature>>10))
	case !utf8.ValidString(text):
		problems.add(field, "not valid UTF-8")
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\r' && r != '\n' }):
		problems.add(field, "control characters are not allowed")
	}
}
