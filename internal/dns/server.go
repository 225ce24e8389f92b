package dns

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mdns "github.com/miekg/dns"
)

const maxServers = 3 // of resolv.conf, as MAXNS in resolv.conf(5)

// servers are the recursive servers questions go to.
type servers struct {
	exchanger
	list  func() []string
	tries int
	first atomic.Uint32 // index of the server that answered last; it is asked first
}

func newServers(o Options) (*servers, error) {
	s := &servers{exchanger: exchanger{timeout: o.Timeout, recurse: true}, tries: o.Tries}
	if o.Server == "" {
		path := o.ResolvConf
		if path == "" {
			path = "/etc/resolv.conf"
		}
		conf := &resolvConf{path: path, now: o.Now}
		s.list = conf.servers
		return s, nil
	}
	addr := o.Server
	if host, port, err := net.SplitHostPort(addr); err != nil {
		addr = net.JoinHostPort(strings.Trim(addr, "[]"), "53")
	} else if host == "" || port == "" {
		return nil, fmt.Errorf("dns server %q: want host:port", o.Server)
	}
	s.list = func() []string { return []string{addr} }
	return s, nil
}

// exchange asks the servers in turn until one gives an answer that says something:
// NOERROR or NXDOMAIN. A server that was silent or out of reach may be asked
// again, one that declined is not.
func (s *servers) exchange(ctx context.Context, q question) (*mdns.Msg, *Error) {
	list := s.list()
	start := int(s.first.Load())
	declined := make([]bool, len(list))
	var last *Error
	for try := range max(s.tries, len(list)) {
		i := (start + try) % len(list)
		if declined[i] {
			continue
		}
		msg, failure, err := s.ask(ctx, list[i], q)
		if failure == "" {
			failure = judge(msg)
		}
		if failure == "" {
			s.first.Store(uint32(i))
			return msg, nil
		}
		last = &Error{Name: plain(q.name), Type: typeName(q.qtype), Failure: failure, Server: list[i], Err: err}
		if ctxErr := ctx.Err(); ctxErr != nil {
			last.Failure, last.Err = contextFailure(ctxErr), ctxErr
			break
		}
		declined[i] = failure == ServFail || failure == Refused || failure == Lame
	}
	return nil, last
}

// judge tells an answer that says something about the name ("") from one that
// only says something about the server.
func judge(msg *mdns.Msg) Failure {
	switch msg.Rcode {
	case mdns.RcodeSuccess, mdns.RcodeNameError:
	case mdns.RcodeServerFailure:
		return ServFail
	case mdns.RcodeRefused, mdns.RcodeNotAuth:
		return Refused
	default:
		return Malformed
	}
	switch {
	case msg.Truncated:
		return Malformed // over TCP, or it would not have come this far
	case len(msg.Answer) > 0:
		return ""
	case !msg.Authoritative && !msg.RecursionAvailable:
		return Lame
	case msg.Rcode == mdns.RcodeSuccess && isReferral(msg):
		return Lame
	}
	return ""
}

// isReferral reports an empty answer that names other servers instead of a SOA
// (RFC 2308 section 2.2): a recursive server must not stop there.
func isReferral(msg *mdns.Msg) bool {
	referral := false
	for _, rr := range msg.Ns {
		switch rr.Header().Rrtype {
		case mdns.TypeSOA:
			return false
		case mdns.TypeNS:
			referral = true
		}
	}
	return referral
}

// resolvConf reads the servers of resolv.conf(5), again when the file changed: a
// process that runs for months outlives the network it was started in.
type resolvConf struct {
	path string
	now  func() time.Time

	mu       sync.Mutex
	checked  time.Time
	modified time.Time
	list     []string
}

func (r *resolvConf) servers() []string {
	const every = 5 * time.Second
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.list != nil && now.Sub(r.checked) < every {
		return r.list
	}
	r.checked = now
	info, err := os.Stat(r.path)
	if err == nil && r.list != nil && info.ModTime().Equal(r.modified) {
		return r.list
	}
	conf, confErr := mdns.ClientConfigFromFile(r.path)
	if err != nil || confErr != nil || len(conf.Servers) == 0 {
		if r.list == nil {
			r.list = []string{"127.0.0.1:53", "[::1]:53"} // resolv.conf(5): the local machine
		}
		return r.list // what worked before, if anything did
	}
	r.modified = info.ModTime()
	r.list = make([]string, 0, maxServers)
	for _, host := range conf.Servers[:min(len(conf.Servers), maxServers)] {
		r.list = append(r.list, net.JoinHostPort(host, conf.Port))
	}
	return r.list
}
