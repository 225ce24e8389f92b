package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/waypost/waypost/internal/web"
)

func TestAProxyThatNobodyNamedIsNoticedAndNotBelieved(t *testing.T) {
	front := web.Front{Proxies: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}}
	for name, c := range map[string]struct {
		remote, header, value string
		noticed               string
	}{
		"on this machine":           {"127.0.0.1:5", "X-Forwarded-For", "192.0.2.7", "127.0.0.1"},
		"on this machine, IPv6":     {"[::1]:5", "X-Forwarded-For", "192.0.2.7", "::1"},
		"in the network":            {"10.1.2.3:5", "X-Forwarded-For", "192.0.2.7", "10.1.2.3"},
		"mapped":                    {"[::ffff:172.17.0.1]:5", "X-Forwarded-For", "192.0.2.7", "172.17.0.1"},
		"with the standard's words": {"127.0.0.1:5", "Forwarded", "for=192.0.2.7", "127.0.0.1"},
		"trusted":                   {"10.9.2.3:5", "X-Forwarded-For", "192.0.2.7", ""},
		"no proxy":                  {"127.0.0.1:5", "X-Other", "192.0.2.7", ""},
		"a stranger":                {"198.51.100.9:5", "X-Forwarded-For", "192.0.2.7", ""},
		"no address":                {"@", "X-Forwarded-For", "192.0.2.7", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var found []string
			u := web.NewUnnamed(front, func(peer netip.Addr) { found = append(found, peer.String()) })
			served := 0
			h := u.Watch(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
			for range 2 {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.RemoteAddr = c.remote
				r.Header.Set(c.header, c.value)
				if c.noticed != "" && front.Peer(r) != c.noticed {
					t.Errorf("it is believed: %s", front.Peer(r))
				}
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
			peer, at := u.Last()
			switch {
			case served != 2:
				t.Errorf("%d requests were served", served)
			case c.noticed == "" && (len(found) > 0 || peer.IsValid()):
				t.Errorf("%v, %v", found, peer)
			case c.noticed != "" && (len(found) != 1 || found[0] != c.noticed || peer.String() != c.noticed || at.IsZero()):
				t.Errorf("%v, %v, %v", found, peer, at)
			}
		})
	}
}
