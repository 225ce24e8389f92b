package guard_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/guard"
)

func newWeb(t testing.TB, o guard.Options) *guard.Web {
	t.Helper()
	web, err := guard.NewWeb(guard.WebOptions{Options: o})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(web.Close)
	return web
}

func TestURLsThatMayBeCalled(t *testing.T) {
	public, private := newWeb(t, guard.Options{}), newWeb(t, guard.Options{Allow: prefixes("10.0.0.0/8")})
	for url, want := range map[string]struct{ public, private bool }{
		"https://example.com/hook?x=y":         {true, true},
		"https://example.com:443/":             {true, true},
		"https://example.com:8443":             {true, true},
		"https://example.com:25/":              {false, false},
		"https://example.com:0/":               {false, false},
		"https://example.com:65536/":           {false, false},
		"http://example.com/":                  {false, true}, // decided when it is dialed
		"http://10.0.0.1/":                     {false, true},
		"http://8.8.8.8/":                      {false, false},
		"https://10.0.0.1/":                    {false, true},
		"https://127.0.0.1/":                   {false, false},
		"https://[::1]/":                       {false, false},
		"https://[::ffff:169.254.169.254]/":    {false, false},
		"https://8.8.8.8/":                     {true, true},
		"https://user:password@example.com/":   {false, false},
		"https://example.com/#x":               {false, false},
		"https://example.com/a b":              {false, false},
		"https://example.com/\r\nX: y":         {false, false},
		"ftp://example.com/":                   {false, false},
		"https:example.com":                    {false, false},
		"//example.com/":                       {false, false},
		"https:///x":                           {false, false},
		"":                                     {false, false},
		"https://" + strings.Repeat("x", 3000): {false, false},
	} {
		if _, err := public.CheckURL(url); (err == nil) != want.public {
			t.Errorf("%q: %v", url, err)
		}
		if _, err := private.CheckURL(url); (err == nil) != want.private {
			t.Errorf("%q where 10/8 is allowed: %v", url, err)
		}
	}
}

func TestPlainHTTPStaysInNetworksThatAreAllowed(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	defer server.Close()
	get := func(web *guard.Web, url string) (*http.Response, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		t.Cleanup(cancel)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		return web.Do(req)
	}
	res, err := get(newWeb(t, guard.Options{Allow: prefixes("127.0.0.0/8")}), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusFound {
		t.Errorf("answered %d: a redirect was followed", res.StatusCode)
	}
	// A name that leads out of what is allowed is refused though its address is public.
	web := newWeb(t, guard.Options{Allow: prefixes("10.0.0.0/8"), Resolver: &script{answers: [][]netip.Addr{addrs("8.8.8.8")}}})
	res, err = get(web, "http://example.com/")
	if err == nil {
		_ = res.Body.Close()
	}
	if refused, ok := errors.AsType[*guard.Refused](err); !ok || refused.Why != guard.Plain {
		t.Errorf("%v", err)
	}
}
