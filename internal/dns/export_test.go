package dns

import (
	"time"

	mdns "github.com/miekg/dns"
)

// Order exposes order.
func Order(records []MX, shuffle func(n int, swap func(i, j int))) []Host {
	return order(records, shuffle)
}

// Unescape exposes unescape.
func Unescape(s string) string { return unescape(s) }

// AskServers makes c ask several servers, as resolv.conf would, on any port.
func AskServers(c *Client, addrs ...string) { c.servers.list = func() []string { return addrs } }

// ReadResolvConf exposes the list of a resolv.conf file.
func ReadResolvConf(path string, now func() time.Time) func() []string {
	return (&resolvConf{path: path, now: now}).servers
}

// Digest runs a message through everything that reads answers.
func Digest(msg *mdns.Msg, name string, qtype uint16) (records int, ttl time.Duration) {
	query := new(mdns.Msg)
	query.SetQuestion(name, qtype)
	_ = answers(msg, query)
	_ = judge(msg)
	_, _ = negativeTTL(msg)
	end := follow(msg, question{name, qtype})
	return len(end.records), end.ttl
}
