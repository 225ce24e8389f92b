package guard

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// WebOptions configure a Web.
type WebOptions struct {
	Options
	Roots *x509.CertPool // whom certificates are believed from; nil: whom the system believes
}

// Web sends HTTP requests to URLs that others choose: https to where the guard lets it,
// plain http only into the networks that the configuration allows. It follows no redirect,
// uses no proxy, keeps no cookies, unpacks nothing and speaks HTTP/1.1. It is safe for
// concurrent use.
type Web struct {
	guard  *Guard // of https
	plain  *Guard // of http
	https  *http.Transport
	http   *http.Transport
	anyone bool // there is a network for plain http
}

// Bounds of requests. The context of a request has the last word about time.
const (
	webHeader  = 32 << 10 // bytes of an answer's header
	webIdle    = 512      // kept connections in all
	webPerHost = 8
	webIdleFor = 30 * time.Second
	webTLS     = 10 * time.Second
	maxURL     = 2000 // bytes
)

// NewWeb returns a Web. Ports of the options are not used: those below 1024 are refused,
// except 443, and 80 for plain http.
func NewWeb(o WebOptions) (*Web, error) {
	o.Ports = nil
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	secure, err := New(o.Options)
	if err != nil {
		return nil, err
	}
	plain := *secure
	plain.allowedOnly = true
	w := &Web{guard: secure, plain: &plain, anyone: len(o.Allow) > 0}
	w.https = transport(secure)
	w.https.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots}
	w.http = transport(&plain)
	return w, nil
}

func transport(g *Guard) *http.Transport {
	return &http.Transport{
		DialContext:            g.DialContext,
		TLSHandshakeTimeout:    webTLS,
		DisableCompression:     true, // a few bytes may unpack to any number
		MaxIdleConns:           webIdle,
		MaxIdleConnsPerHost:    webPerHost,
		IdleConnTimeout:        webIdleFor,
		MaxResponseHeaderBytes: webHeader,
	}
}

// Guards are what decides about addresses, to be refreshed.
func (w *Web) Guards() []*Guard { return []*Guard{w.guard} }

// CheckURL takes a URL apart if requests may be sent to it, as far as can be said without
// asking the DNS. Its errors are for whoever typed it.
func (w *Web) CheckURL(text string) (*url.URL, error) {
	if len(text) > maxURL {
		return nil, errors.New("this URL is too long")
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Host == "" || u.Hostname() == "" || !printable(text) {
		return nil, errors.New("give a whole URL: https://host/path")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the URL must begin with https://")
	case u.User != nil:
		return nil, errors.New("a URL with a user name or password is not taken: the signature tells who calls")
	case u.Fragment != "" || strings.HasSuffix(text, "#"):
		return nil, errors.New("leave out what follows the #: it is never sent")
	case u.Scheme == "http" && !w.anyone:
		return nil, errors.New("the URL must begin with https://: plain http is for networks that the platform's owner allows")
	}
	g, usual := w.guard, 443
	if u.Scheme == "http" {
		g, usual = w.plain, 80
	}
	port, err := strconv.Atoi(cmp.Or(u.Port(), strconv.Itoa(usual)))
	if err != nil || !webPort(port, usual) {
		return nil, errors.New("this port is not allowed: leave it out, or give one from 1024")
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := g.Check(addr); err != nil {
			return nil, err
		}
	}
	return u, nil
}

func webPort(port, usual int) bool { return port == usual || port >= 1024 && port <= 65535 }

// printable keeps what has no place in a URL out of logs and headers.
func printable(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f {
			return false
		}
	}
	return true
}

// Do sends a request, whose context must have a deadline, and returns the answer, whatever
// its status. The caller closes its body.
func (w *Web) Do(req *http.Request) (*http.Response, error) {
	u, err := w.CheckURL(req.URL.String())
	if err != nil {
		return nil, err
	}
	if u.Scheme == "http" {
		return w.http.RoundTrip(req)
	}
	return w.https.RoundTrip(req)
}

// Close closes the connections that are kept.
func (w *Web) Close() {
	w.https.CloseIdleConnections()
	w.http.CloseIdleConnections()
}
