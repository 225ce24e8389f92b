package inbound

import (
	"context"
	"errors"
	"net"
	"strings"
	"unicode"
)

// maxText bounds each text that comes from outside, in characters.
const maxText = 300

// plain makes a text that comes from outside fit to be shown: one line, printable, bounded.
func plain(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > maxText {
			b.WriteString("...")
			break
		}
		if r == unicode.ReplacementChar || r != ' ' && !unicode.IsPrint(r) { // which bidirectional marks are not
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// quotable is plain for a value that may be put between quotes.
func quotable(s string) string {
	return strings.NewReplacer(`"`, "'", `\`, "/").Replace(plain(s))
}

// honest is a resolver whose failures are temporary unless the DNS said that there is
// nothing: the libraries take other errors for such an answer.
type honest struct{ Resolver }

func isNotFound(err error) bool {
	e, ok := errors.AsType[*net.DNSError](err)
	return ok && e.IsNotFound
}

// temporary returns an error as the libraries understand it.
func temporary(err error, name string) error {
	switch {
	case err == nil:
		return nil
	case isNotFound(err):
		return &net.DNSError{UnwrapErr: err, Err: "there is nothing", Name: name, IsNotFound: true}
	}
	return &net.DNSError{UnwrapErr: err, Err: "no answer", Name: name, IsTemporary: true}
}

func (h honest) LookupTXT(ctx context.Context, name string) ([]string, error) {
	list, err := h.Resolver.LookupTXT(ctx, name)
	return list, temporary(err, name)
}

func (h honest) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	list, err := h.Resolver.LookupMX(ctx, name)
	return list, temporary(err, name)
}

func (h honest) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	list, err := h.Resolver.LookupIPAddr(ctx, host)
	return list, temporary(err, host)
}

func (h honest) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	list, err := h.Resolver.LookupAddr(ctx, addr)
	return list, temporary(err, addr)
}
