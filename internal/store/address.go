package store

import (
	"strings"

	"golang.org/x/net/idna"

	"github.com/waypost/waypost/internal/waypost"
)

// NormalizeAddress is the form under which addresses are searched and suppressed:
// waypost.NormalizeAddress with the domain in A-labels, so that both spellings of an
// internationalized domain (RFC 5890 section 2.3.2.1) are one address.
func NormalizeAddress(addr string) string {
	addr = waypost.NormalizeAddress(addr)
	at := strings.LastIndexByte(addr, '@')
	if at < 0 {
		return addr // part of one
	}
	return addr[:at+1] + siteOf(addr[at+1:])
}

// siteOf writes a domain as deliveries keep it, in A-labels. What is no domain stays as
// it is.
func siteOf(domain string) string {
	for i := range len(domain) {
		if domain[i] >= 0x80 {
			if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
				return ascii
			}
			break
		}
	}
	return domain
}
