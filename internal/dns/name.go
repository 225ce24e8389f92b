package dns

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/waypost/waypost/internal/waypost"
)

// ErrName is returned by ToASCII for what cannot be a domain name.
var ErrName = errors.New("not a domain name")

// Limits of RFC 1035 section 2.3.4, in octets of the written form without the
// final dot.
const (
	maxLabel = 63
	maxName  = 253
)

// ToASCII returns a domain name as it is asked in the DNS: A-labels (RFC 5890) in
// lower case without the final dot. It follows the lookup profile of UTS 46, but
// takes what mail meets and the profile forbids: underscores and hyphens in any
// place. A name that is ASCII already is only checked and lowered. The result is
// at most 253 octets of letters, digits, '-', '_' and dots between labels of 1 to
// 63 octets. The error is ErrName.
func ToASCII(domain string) (string, error) {
	// Mapping may shorten a name but not from this far; do not map megabytes.
	if len(domain) > 4*maxName {
		return "", ErrName
	}
	ascii := domain
	if !isASCII(domain) {
		if !utf8.ValidString(domain) {
			return "", ErrName // the profile would map U+FFFD
		}
		// The later options loosen what MapForLookup sets.
		profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false), idna.CheckHyphens(false))
		var err error
		if ascii, err = profile.ToASCII(domain); err != nil {
			return "", ErrName
		}
	}
	ascii = strings.ToLower(strings.TrimSuffix(ascii, "."))
	if !validName(ascii) {
		return "", ErrName
	}
	return ascii, nil
}

// AddressToASCII writes the domain of an address in A-labels, as header fields have it,
// unless the local part needs SMTPUTF8 (RFC 6531) anyway. Anything else stays as it is.
func AddressToASCII(addr string) string {
	local, domain, err := waypost.SplitAddress(addr)
	if err != nil || isASCII(domain) || waypost.NeedsSMTPUTF8(addr) {
		return addr
	}
	ascii, err := ToASCII(domain)
	if err != nil {
		return addr
	}
	return local + "@" + ascii
}

func validName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel {
			return false
		}
		for i := range len(label) {
			switch c := label[i]; {
			case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
			default:
				return false
			}
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// ParseLiteral returns the address of an address literal (RFC 5321 section
// 4.1.3), "[192.0.2.1]" or "[IPv6:2001:db8::1]", and whether s is one.
func ParseLiteral(s string) (netip.Addr, bool) {
	inner, ok := strings.CutPrefix(s, "[")
	if !ok {
		return netip.Addr{}, false
	}
	if inner, ok = strings.CutSuffix(inner, "]"); !ok {
		return netip.Addr{}, false
	}
	const tag = "ipv6:"
	wantV6 := len(inner) > len(tag) && strings.EqualFold(inner[:len(tag)], tag)
	if wantV6 {
		inner = inner[len(tag):]
	}
	addr, err := netip.ParseAddr(inner)
	if err != nil || addr.Is6() != wantV6 || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	return addr, true
}
