package inbound

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/dkim"
)

// zones is a Resolver: "TXT name", "A name" or "MX name" to values. A value "fail" is a
// server that does not answer, "hang" one that never does.
type zones map[string][]string

func (z zones) look(ctx context.Context, kind, name string) ([]string, error) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	list, ok := z[kind+" "+name]
	switch {
	case !ok:
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case list[0] == "fail":
		return nil, &net.DNSError{Err: "server misbehaving", Name: name}
	case list[0] == "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return list, nil
}

func (z zones) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return z.look(ctx, "TXT", name)
}

func (z zones) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	list, err := z.look(ctx, "MX", name)
	out := make([]*net.MX, 0, len(list))
	for _, host := range list {
		out = append(out, &net.MX{Host: host, Pref: 10})
	}
	return out, err
}

func (z zones) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	list, err := z.look(ctx, "A", host)
	out := make([]net.IPAddr, 0, len(list))
	for _, a := range list {
		out = append(out, net.IPAddr{IP: net.ParseIP(a)})
	}
	return out, err
}

func (z zones) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	return z.look(ctx, "PTR", addr)
}

// with is a copy with other records; none removes.
func (z zones) with(name string, values ...string) zones {
	out := maps.Clone(z)
	if out[name] = values; len(values) == 0 {
		delete(out, name)
	}
	return out
}

func newKey(t testing.TB) *dkim.Key {
	t.Helper()
	der, err := dkim.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := dkim.ParseKey(der, dkim.GoEngine())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signed puts a signature of a domain before a message.
func signed(t testing.TB, key *dkim.Key, selector, domain, message string) string {
	t.Helper()
	header, body, _ := strings.Cut(message, "\r\n\r\n")
	field, err := dkim.Signer{Domain: domain, Selector: selector, Key: key}.Sign([]byte(header+"\r\n"), []byte(body), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return string(field) + message
}

func peer() netip.Addr { return netip.MustParseAddr("192.0.2.1") }

// arrival is a message as our own servers bring it.
func arrival(data string) Arrival {
	return Arrival{
		Peer: peer(), Hello: "gw.platform.test", MailFrom: "b-1@bounce.sender.test", TLS: "TLS 1.3 TLS_AES_128_GCM_SHA256",
		Data: []byte(data), At: time.Now(),
	}
}

// counter counts the TXT questions.
type counter struct {
	zones
	asked *atomic.Int64
}

func (c counter) LookupTXT(ctx context.Context, name string) ([]string, error) {
	c.asked.Add(1)
	return c.zones.LookupTXT(ctx, name)
}

const plainMail = "From: Alarm <alarm@sender.test>\r\nSubject: hello\r\n\r\nA body.\r\n"

func publish(key *dkim.Key) zones {
	return zones{
		"TXT bounce.sender.test":         {"v=spf1 ip4:192.0.2.1 -all"},
		"TXT wp1._domainkey.sender.test": {key.Record()},
		"TXT wp2._domainkey.sender.test": {key.Record()},
		"TXT wp1._domainkey.other.test":  {key.Record()},
		"TXT _dmarc.sender.test":         {"v=DMARC1; p=reject; sp=quarantine"},
		"TXT gw.platform.test":           {"v=spf1 ip4:192.0.2.1 -all"},
		"TXT other.test":                 {"v=spf1 ip4:192.0.2.1 -all"},
	}
}
