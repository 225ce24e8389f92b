package verify

import (
	"golang.org/x/net/publicsuffix"

	"github.com/waypost/waypost/internal/dns"
)

// Aligned reports whether a domain that was authenticated, by SPF or DKIM, speaks for the
// From domain (RFC 7489 section 3.1): strictly if it is the same, relaxed if both have the
// same organizational domain.
func Aligned(fromDomain, other string, strict bool) bool {
	from, err := dns.ToASCII(fromDomain)
	if err != nil {
		return false
	}
	authenticated, err := dns.ToASCII(other)
	if err != nil {
		return false
	}
	return from == authenticated || !strict && organizational(from) == organizational(authenticated)
}

// organizational is RFC 7489 section 3.2. A public suffix has none and stands for itself,
// so that it is not aligned with what is registered below it.
func organizational(domain string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return domain
	}
	return org
}
