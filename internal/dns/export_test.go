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

// Reply is what readReply makes of a message.
type Reply struct {
	ServerAnswer
	TTL      time.Duration
	Referral string   // apex
	Servers  []string // of the referral
	Glued    []string // those that came with addresses
}

// ReadReply exposes readReply.
func ReadReply(msg *mdns.Msg, name string, t Type, apex string) Reply {
	s := told{said: readReply(msg, question{name, uint16(t)}, apex)}
	r := Reply{ServerAnswer: s.public(), TTL: s.ttl}
	if s.referral == nil {
		return r
	}
	r.Referral = s.referral.apex
	for _, server := range s.referral.servers {
		r.Servers = append(r.Servers, server.name)
		if len(server.glue) > 0 {
			r.Glued = append(r.Glued, server.name)
		}
	}
	return r
}

// ApexOf exposes apexOf.
func ApexOf(msg *mdns.Msg, name string) (string, bool) { return apexOf(msg, name) }
