// Package web has what every HTTP surface needs to know of a request: who asks, under
// which address this server was reached, and which status an error is; and the memory that
// they share for the content of mail.
package web

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// Front is what stands between this server and its clients.
type Front struct {
	URL     string         // where clients reach this server; "" goes by the request
	Proxies []netip.Prefix // whose X-Forwarded headers are believed
}

// Peer returns the address of the client, "" if the connection has none. Behind proxies
// that are trusted it is the last address of X-Forwarded-For that is not one of them:
// what stands before it was written by the client.
func (f Front) Peer(r *http.Request) string {
	addr, ok := remote(r)
	if !ok {
		return ""
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && f.trusted(addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap().WithZone("")
	}
	return addr.String()
}

// Base returns where the client reached this server, as far as the owner or the request
// says, without a slash at the end. What a proxy says counts only if it is trusted.
func (f Front) Base(r *http.Request) string {
	if f.URL != "" {
		return strings.TrimSuffix(f.URL, "/")
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if addr, ok := remote(r); ok && f.trusted(addr) {
		if r.Header.Get("X-Forwarded-Proto") == "https" {
			scheme = "https"
		}
		if forwarded := r.Header.Get("X-Forwarded-Host"); forwarded != "" {
			host = forwarded
		}
	}
	return scheme + "://" + host
}

func remote(r *http.Request) (netip.Addr, bool) {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	return remote.Addr().Unmap().WithZone(""), err == nil
}

func (f Front) trusted(addr netip.Addr) bool {
	for _, p := range f.Proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Status is the status of a kind of error, and after how many seconds to try again, 0 if
// that would not help.
func Status(kind waypost.ErrorKind) (status, retryAfter int) {
	switch kind {
	case waypost.Invalid:
		return http.StatusUnprocessableEntity, 0
	case waypost.Unauthenticated:
		return http.StatusUnauthorized, 0
	case waypost.Forbidden:
		return http.StatusForbidden, 0
	case waypost.NotFound:
		return http.StatusNotFound, 0
	case waypost.Conflict, waypost.NoGateway:
		return http.StatusConflict, 0
	case waypost.TooLarge:
		return http.StatusRequestEntityTooLarge, 0
	case waypost.RateLimited:
		return http.StatusTooManyRequests, 30
	case waypost.StorageFull:
		return http.StatusInsufficientStorage, 60
	case waypost.Unavailable:
		return http.StatusServiceUnavailable, 5
	case waypost.Internal:
	}
	return http.StatusInternalServerError, 0
}
