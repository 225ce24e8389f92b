package dns

import (
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

// reply is the settled answer to a question. It is shared and never changed.
type reply struct {
	records []mdns.RR // of the asked type, with owner name
	name    string    // end of the CNAME chain, canonical
	expires time.Time
	err     *Error // nil exactly when there are records
}

// chain is where the CNAMEs of one message lead.
type chain struct {
	name    string
	records []mdns.RR
	ttl     time.Duration // the least of all that was used
	loop    bool
}

func follow(msg *mdns.Msg, q question) chain {
	aliases := make(map[string]*mdns.CNAME)
	for _, rr := range msg.Answer {
		if alias, ok := rr.(*mdns.CNAME); ok {
			aliases[mdns.CanonicalName(alias.Hdr.Name)] = alias
		}
	}
	end := chain{name: q.name, ttl: maxTTL}
	for links := 0; aliases[end.name] != nil; links++ {
		if links == maxChain {
			end.loop = true
			return end
		}
		alias := aliases[end.name]
		end.ttl = min(end.ttl, ttlOf(alias.Hdr.Ttl))
		end.name = mdns.CanonicalName(alias.Target)
	}
	for _, rr := range msg.Answer {
		h := rr.Header()
		if h.Rrtype == q.qtype && h.Class == mdns.ClassINET && mdns.CanonicalName(h.Name) == end.name {
			end.records = append(end.records, rr)
			end.ttl = min(end.ttl, ttlOf(h.Ttl))
		}
	}
	return end
}

// negativeTTL is RFC 2308 section 5: the lesser of the SOA's own TTL and its
// MINIMUM field. Without a SOA nothing says how long, so as short as may be.
func negativeTTL(msg *mdns.Msg) (soa bool, ttl time.Duration) {
	for _, rr := range msg.Ns {
		if s, ok := rr.(*mdns.SOA); ok {
			return true, min(ttlOf(s.Hdr.Ttl), ttlOf(s.Minttl))
		}
	}
	return false, minNegative
}

// ttlOf reads a TTL; one with the top bit set counts as 0 (RFC 2181 section 8).
func ttlOf(seconds uint32) time.Duration {
	if seconds > 1<<31-1 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// weight estimates the memory an entry takes, in bytes.
func (r *reply) weight(q question) uint32 {
	n := 256 + 2*len(q.name)
	for _, rr := range r.records {
		n += 160 + mdns.Len(rr)
	}
	return uint32(n) // a message has at most 64 KiB, so this is a few MiB
}

// plain is a name of an answer without its final dot, in lower case.
func plain(name string) string {
	name = strings.ToLower(name)
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

// unescape undoes the presentation form the library gives TXT strings in
// (RFC 1035 section 5.1: \X and \DDD).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			b = append(b, s[i])
		case i+3 < len(s) && digit(s[i+1]) && digit(s[i+2]) && digit(s[i+3]):
			b = append(b, (s[i+1]-'0')*100+(s[i+2]-'0')*10+(s[i+3]-'0'))
			i += 3
		default:
			i++
			b = append(b, s[i])
		}
	}
	return string(b)
}
