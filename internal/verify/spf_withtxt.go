package verify

import (
	"context"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/dns"
)

// WithTXT returns a resolver in which a name has these TXT records and no others, so that
// a record can be judged before it is published.
func WithTXT(r dns.Resolver, name string, txts ...string) dns.Resolver {
	return withTXT{Resolver: r, name: asciiName(name), txts: txts}
}

type withTXT struct {
	dns.Resolver
	name string
	txts []string
}

// LookupTXT implements dns.Resolver.
func (w withTXT) LookupTXT(ctx context.Context, name string) (dns.Answer[string], error) {
	if asciiName(name) != w.name {
		return w.Resolver.LookupTXT(ctx, name)
	}
	if len(w.txts) == 0 {
		return dns.Answer[string]{}, &dns.Error{Name: name, Type: "TXT", Failure: dns.NoData}
	}
	return dns.Answer[string]{Records: w.txts, Name: w.name, TTL: time.Minute}, nil
}

// asciiName is a name as it is compared.
func asciiName(name string) string {
	if ascii, err := dns.ToASCII(name); err == nil {
		return ascii
	}
	return strings.ToLower(name)
}
