package waypost

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Address is a mailbox with an optional display name.
type Address struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email"`
}

// Limits of RFC 5321 section 4.5.3.1, in octets.
const (
	maxLocalPart = 64
	maxDomain    = 255
	maxPath      = 254
)

// Address errors, matched with errors.Is.
var (
	ErrAddressSyntax  = errors.New("not an e-mail address")
	ErrAddressControl = errors.New("control character in e-mail address")
	ErrAddressLength  = errors.New("e-mail address too long")
)

// SplitAddress checks the addr-spec of an envelope (RFC 5321 section 4.1.2
// Mailbox, RFC 6531 section 3.3 with UTF-8) and returns its local part as written,
// quotes kept, and its domain in lower case. Control characters are refused even
// inside quotes, because what follows us may not expect them.
func SplitAddress(addr string) (local, domain string, err error) {
	if len(addr) > maxPath {
		return "", "", ErrAddressLength
	}
	for _, r := range addr {
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return "", "", ErrAddressControl
		}
	}
	if !utf8.ValidString(addr) {
		return "", "", ErrAddressSyntax
	}
	at := strings.LastIndexByte(addr, '@')
	if at <= 0 || at == len(addr)-1 {
		return "", "", ErrAddressSyntax
	}
	local, domain = addr[:at], addr[at+1:]
	if len(local) > maxLocalPart || len(domain) > maxDomain {
		return "", "", ErrAddressLength
	}
	if !validLocal(local) || !validDomain(domain) {
		return "", "", ErrAddressSyntax
	}
	return local, strings.ToLower(domain), nil
}

func validLocal(s string) bool {
	if s[0] == '"' {
		if len(s) < 2 || s[len(s)-1] != '"' {
			return false
		}
		inner := s[1 : len(s)-1]
		for i := 0; i < len(inner); i++ {
			switch inner[i] {
			case '\\':
				i++
				if i == len(inner) {
					return false
				}
			case '"':
				return false
			}
		}
		return true
	}
	// Dot-atom (RFC 5322 section 3.2.3). Empty atoms are refused: no server we
	// could hand them to has to take them.
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for i := range len(atom) {
			if !isAtext(atom[i]) {
				return false
			}
		}
	}
	return true
}

func isAtext(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= 0x80:
		return true
	}
	return strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func validDomain(s string) bool {
	if s[0] == '[' { // address literal (RFC 5321 section 4.1.3)
		return len(s) > 2 && s[len(s)-1] == ']' && !strings.ContainsAny(s[1:len(s)-1], "[]<>() @\\\"")
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if c != '-' && c != '_' && c < 0x80 && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
				return false
			}
		}
	}
	return true
}

// NormalizeAddress returns the form under which an address is searched and
// suppressed: all lower case. Local parts are case-sensitive on paper (RFC 5321
// section 2.4) and nowhere else, so a suppression must not be dodged by case.
func NormalizeAddress(addr string) string { return strings.ToLower(addr) }

// DomainOf returns the lower-case domain of an address, or "" if it has none.
func DomainOf(addr string) string {
	at := strings.LastIndexByte(addr, '@')
	if at < 0 {
		return ""
	}
	return strings.ToLower(addr[at+1:])
}

// NeedsSMTPUTF8 reports whether an address can only travel with SMTPUTF8
// (RFC 6531): its local part has a byte outside ASCII. A domain outside ASCII
// can be written as A-labels instead.
func NeedsSMTPUTF8(addr string) bool {
	at := strings.LastIndexByte(addr, '@')
	for i := range max(at, 0) {
		if addr[i] >= 0x80 {
			return true
		}
	}
	return false
}
