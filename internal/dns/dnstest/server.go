package dnstest

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

// Zones are records by owner name.
type Zones map[string][]string

// Query is one question the server got.
type Query struct {
	Name string // lower case, no final dot
	Type string // "MX", "A", ...
	Net  string // "udp" or "tcp"
	EDNS bool

	Direct bool // without RD, as an authoritative server is asked
}

// Server is a running DNS server. Its methods may be called at any time.
type Server struct {
	Addr string // host:port, the same for UDP and TCP

	udp     net.PacketConn
	tcp     net.Listener
	servers []*mdns.Server
	closing chan struct{}
	close   sync.Once
	reply   func(s *Server, resp *mdns.Msg, name string, qtype uint16) // called with mu held

	mu       sync.Mutex
	records  map[string][]mdns.RR
	fixed    map[string][]mdns.RR // in a Tree: what Set does not replace
	apexes   map[string]bool      // in a Tree: the zones served
	faults   map[target]Fault
	holds    map[string]chan struct{}
	negative uint32 // TTL of SOA records in negative answers, seconds
	queries  []Query
	watch    chan struct{} // closed and replaced at every query
}

// target is what a fault applies to; qtype 0 is every type.
type target struct {
	name  string
	qtype uint16
}

// Start runs a server until the test ends.
func Start(t testing.TB, zones Zones) *Server {
	t.Helper()
	s, err := New(zones)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// New runs a server until Close, for programs that have no testing.TB.
func New(zones Zones) (*Server, error) {
	s := newServer((*Server).recurse)
	for name, texts := range zones {
		if err := s.set(name, texts); err != nil {
			return nil, err
		}
	}
	if err := s.listen("127.0.0.1", 0); err != nil {
		return nil, err
	}
	s.start()
	return s, nil
}

func newServer(reply func(s *Server, resp *mdns.Msg, name string, qtype uint16)) *Server {
	return &Server{
		closing:  make(chan struct{}),
		reply:    reply,
		records:  make(map[string][]mdns.RR),
		fixed:    make(map[string][]mdns.RR),
		apexes:   make(map[string]bool),
		faults:   make(map[target]Fault),
		holds:    make(map[string]chan struct{}),
		negative: 60,
		watch:    make(chan struct{}),
	}
}

// listen takes a port for UDP and TCP; 0 is one that is free for both.
func (s *Server) listen(host string, port int) error {
	var last error
	for range 20 {
		last = s.bind(host, port)
		if last == nil || port != 0 {
			break
		}
	}
	if last != nil {
		return fmt.Errorf("no port for both UDP and TCP: %w", last)
	}
	return nil
}

func (s *Server) bind(host string, port int) error {
	ctx := context.Background()
	tcp, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	udp, err := new(net.ListenConfig).ListenPacket(ctx, "udp", tcp.Addr().String())
	if err != nil {
		_ = tcp.Close()
		return err
	}
	s.udp, s.tcp, s.Addr = udp, tcp, udp.LocalAddr().String()
	return nil
}

// start answers what arrives.
func (s *Server) start() {
	for _, server := range []*mdns.Server{{PacketConn: s.udp}, {Listener: s.tcp}} {
		server.Handler = mdns.HandlerFunc(s.serve)
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() { _ = server.ActivateAndServe() }() // ends when Close closes its socket
		<-started
		s.servers = append(s.servers, server)
	}
}

// Close stops the server; answers held back are dropped.
func (s *Server) Close() {
	s.close.Do(func() {
		close(s.closing)
		for _, server := range s.servers {
			_ = server.Shutdown()
		}
		if s.udp != nil {
			_, _ = s.udp.Close(), s.tcp.Close() // of a server that was not started
		}
	})
}

// Set replaces all records of a name; without records the name exists and has
// none (NODATA). It panics on a record that does not parse.
func (s *Server) Set(name string, records ...string) {
	if err := s.set(name, records); err != nil {
		panic(err)
	}
}

func (s *Server) set(name string, texts []string) error {
	rrs, err := parse(name, texts)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[mdns.CanonicalName(name)] = rrs
	return nil
}

func parse(name string, texts []string) ([]mdns.RR, error) {
	name = mdns.CanonicalName(name)
	rrs := make([]mdns.RR, 0, len(texts))
	for _, text := range texts {
		if len(strings.Fields(text)) < 2 { // a type alone would parse, as in updates
			return nil, fmt.Errorf("record %q of %s has no data", text, name)
		}
		parser := mdns.NewZoneParser(strings.NewReader(name+" "+text+"\n"), ".", "")
		parser.SetDefaultTTL(300)
		rr, ok := parser.Next()
		if err := parser.Err(); err != nil || !ok {
			return nil, fmt.Errorf("record %q of %s: %w", text, name, err)
		}
		rrs = append(rrs, rr)
	}
	return rrs, nil
}

// Remove makes a name unknown (NXDOMAIN, or NODATA while there are names below).
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, mdns.CanonicalName(name))
}

// SetNegativeTTL sets how long negative answers may be kept, in seconds (60 at
// first); with -1 they come without a SOA record.
func (s *Server) SetNegativeTTL(seconds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.negative = uint32(seconds) // -1 becomes noSOA
}

const noSOA = 1<<32 - 1

// Queries returns all questions so far, in order.
func (s *Server) Queries() []Query {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Query(nil), s.queries...)
}

// Count returns how many questions came for a name and type; "" stands for any.
func (s *Server) Count(name, qtype string) int {
	n := 0
	for _, q := range s.Queries() {
		if (name == "" || mdns.CanonicalName(name) == q.Name+".") && (qtype == "" || qtype == q.Type) {
			n++
		}
	}
	return n
}

// WaitFor blocks until Count(name, qtype) is at least n; after a minute it fails
// the test. It must be called from the test's own goroutine.
func (s *Server) WaitFor(t testing.TB, name, qtype string, n int) {
	t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		s.mu.Lock()
		next := s.watch
		s.mu.Unlock()
		if s.Count(name, qtype) >= n {
			return
		}
		select {
		case <-next:
		case <-limit.C:
			t.Fatalf("fewer than %d questions for %s %s", n, name, qtype)
		}
	}
}

func (s *Server) serve(w mdns.ResponseWriter, req *mdns.Msg) {
	q := req.Question[0]
	name := mdns.CanonicalName(q.Name)
	network := w.LocalAddr().Network()

	s.mu.Lock()
	s.queries = append(s.queries, Query{
		Name: strings.TrimSuffix(name, "."), Type: mdns.TypeToString[q.Qtype], Net: network, EDNS: req.IsEdns0() != nil,
		Direct: !req.RecursionDesired,
	})
	close(s.watch)
	s.watch = make(chan struct{})
	fault, ok := s.faults[target{name, q.Qtype}]
	if !ok {
		fault = s.faults[target{name, 0}]
	}
	hold := s.holds[name]
	s.mu.Unlock()

	if !s.wait(hold) {
		return
	}
	resp := new(mdns.Msg)
	resp.SetReply(req)
	s.mu.Lock()
	s.reply(s, resp, name, q.Qtype)
	s.mu.Unlock()
	size := mdns.MinMsgSize
	if opt := req.IsEdns0(); opt != nil {
		size = int(opt.UDPSize())
		resp.SetEdns0(1232, false)
	}
	if network == "udp" {
		resp.Truncate(size)
	}
	fault.apply(w, req, resp, network)
}

// wait holds an answer back; it reports false when the server closes meanwhile.
func (s *Server) wait(hold chan struct{}) bool {
	if hold != nil {
		select {
		case <-hold:
		case <-s.closing:
			return false
		}
	}
	return true
}

// recurse fills resp as a recursive server would: CNAMEs followed to the end.
func (s *Server) recurse(resp *mdns.Msg, name string, qtype uint16) {
	resp.RecursionAvailable = true
	for range 16 {
		var alias *mdns.CNAME
		found := false
		for _, rr := range s.records[name] {
			if rr.Header().Rrtype == qtype || qtype == mdns.TypeANY {
				resp.Answer = append(resp.Answer, mdns.Copy(rr))
				found = true
			} else if c, ok := rr.(*mdns.CNAME); ok {
				alias = c
			}
		}
		if found {
			return
		}
		if alias == nil {
			break
		}
		resp.Answer = append(resp.Answer, mdns.Copy(alias))
		name = mdns.CanonicalName(alias.Target)
	}
	if !s.exists(name) {
		resp.Rcode = mdns.RcodeNameError
	}
	if s.negative == noSOA {
		return
	}
	labels := mdns.SplitDomainName(name)
	zone := "."
	if len(labels) > 0 {
		zone = labels[len(labels)-1] + "."
	}
	resp.Ns = []mdns.RR{soa(zone, s.negative)}
}

func soa(zone string, ttl uint32) *mdns.SOA {
	return &mdns.SOA{
		Hdr: mdns.RR_Header{Name: zone, Rrtype: mdns.TypeSOA, Class: mdns.ClassINET, Ttl: ttl},
		Ns:  "ns.invalid.", Mbox: "hostmaster.invalid.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: ttl,
	}
}

// exists reports whether a name has records or names below it (RFC 8020).
func (s *Server) exists(name string) bool {
	for _, records := range []map[string][]mdns.RR{s.records, s.fixed} {
		for owner := range records {
			if mdns.IsSubDomain(name, owner) {
				return true
			}
		}
	}
	return false
}
