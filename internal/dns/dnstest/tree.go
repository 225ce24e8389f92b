package dnstest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"
)

// Zone is a zone of a Tree.
type Zone struct {
	Name    string   // apex; "." is the root
	Servers []string // host names of its servers. Each runs; a name in several zones is one server
	Records Zones    // by full owner name; what all its servers hold at first
	Hidden  bool     // delegated, but the resolver asked before that was so
}

// Tree is a DNS tree: a root, zones that delegate to each other, each server at an
// address of its own on the same port, and a recursive server that knows them all.
// Servers and resolver are *Server, so that each can be changed and made to fail.
//
// SOA and NS records of apexes, delegations and the addresses of the servers come
// by themselves and are not touched by Set. Records that are set on the resolver
// stand for what it has in its cache; for names outside of all zones it fails.
type Tree struct {
	Resolver *Server
	Port     int // of all servers

	zones   []Zone // with canonical names
	servers map[string]*Server
}

// Plant runs a tree until the test ends.
func Plant(t testing.TB, zones ...Zone) *Tree {
	t.Helper()
	var last error
	for range 20 { // the port may be taken at one of the addresses
		tree, err := plant(zones)
		if err == nil {
			t.Cleanup(tree.close)
			return tree
		}
		last = err
	}
	t.Fatal(last)
	return nil
}

func plant(zones []Zone) (*Tree, error) {
	tree := &Tree{servers: make(map[string]*Server)}
	tree.Resolver = newServer(tree.resolve)
	if err := tree.Resolver.listen("127.0.0.1", 0); err != nil {
		return nil, err
	}
	addr := netip.MustParseAddrPort(tree.Resolver.Addr)
	tree.Port = int(addr.Port())
	next := addr.Addr().Next()
	for _, zone := range zones {
		zone.Name = mdns.CanonicalName(zone.Name)
		tree.zones = append(tree.zones, zone)
		for _, name := range zone.Servers {
			if tree.servers[mdns.CanonicalName(name)] != nil {
				continue
			}
			server := newServer((*Server).serveZone)
			if err := server.listen(next.String(), tree.Port); err != nil {
				tree.close()
				return nil, err
			}
			tree.servers[mdns.CanonicalName(name)] = server
			next = next.Next()
		}
	}
	if err := tree.fill(); err != nil {
		tree.close()
		return nil, err
	}
	tree.Resolver.start()
	for _, server := range tree.servers {
		server.start()
	}
	return tree, nil
}

func (t *Tree) close() {
	t.Resolver.Close()
	for _, server := range t.servers {
		server.Close()
	}
}

// fill gives the servers their zones, the delegations below them, and everyone the
// addresses of all servers: what is not in a zone of theirs is glue or unused.
func (t *Tree) fill() error {
	for _, zone := range t.zones {
		ns := make([]string, 0, len(zone.Servers))
		for _, name := range zone.Servers {
			ns = append(ns, "NS "+mdns.Fqdn(name))
		}
		records, err := parse(zone.Name, ns)
		if err != nil {
			return err
		}
		holders := zone.Servers
		if parent, ok := t.zoneOf(zone.Name, func(z Zone) bool { return z.Name != zone.Name }); ok {
			holders = append(append([]string{}, holders...), parent.Servers...)
		}
		for _, name := range holders {
			t.Server(name).fixed[zone.Name] = records
		}
		for _, name := range zone.Servers {
			server := t.Server(name)
			server.apexes[zone.Name] = true
			for owner, texts := range zone.Records {
				if err := server.set(owner, texts); err != nil {
					return err
				}
			}
		}
	}
	for name := range t.servers {
		address, err := parse(name, []string{"A " + t.Address(name).String()})
		if err != nil {
			return err
		}
		for _, server := range t.servers {
			server.fixed[name] = address
		}
	}
	return nil
}

// Forget drops the delegation of a zone, as a server that has not got it yet.
func (s *Server) Forget(zone string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.fixed, mdns.CanonicalName(zone))
}

// Server returns the server with a host name; it panics if there is none.
func (t *Tree) Server(name string) *Server {
	server := t.servers[mdns.CanonicalName(name)]
	if server == nil {
		panic(fmt.Sprintf("no server %s in the tree", name))
	}
	return server
}

// Address returns the address of a server.
func (t *Tree) Address(name string) netip.Addr {
	return netip.MustParseAddrPort(t.Server(name).Addr).Addr()
}

// Set is Server.Set on all servers of the zone that holds a name.
func (t *Tree) Set(name string, records ...string) {
	zone, ok := t.zoneOf(mdns.CanonicalName(name), nil)
	if !ok {
		panic(fmt.Sprintf("no zone in the tree holds %s", name))
	}
	for _, server := range zone.Servers {
		t.Server(server).Set(name, records...)
	}
}

// zoneOf returns the deepest zone that holds a name, of those that pass.
func (t *Tree) zoneOf(name string, pass func(Zone) bool) (zone Zone, ok bool) {
	for _, z := range t.zones {
		if mdns.IsSubDomain(z.Name, name) && (pass == nil || pass(z)) && (!ok || mdns.IsSubDomain(zone.Name, z.Name)) {
			zone, ok = z, true
		}
	}
	return zone, ok
}

// resolve fills resp as a recursive server would that has just asked the first
// server of each zone.
func (t *Tree) resolve(s *Server, resp *mdns.Msg, name string, qtype uint16) {
	resp.RecursionAvailable = true
	for range 16 {
		zone, ok := t.zoneOf(name, func(z Zone) bool { return !z.Hidden })
		if !ok || len(zone.Servers) == 0 {
			resp.Rcode = mdns.RcodeServerFailure
			return
		}
		part := new(mdns.Msg)
		if _, cached := s.records[name]; cached {
			s.fromZone(part, zone.Name, name, qtype)
		} else if deepest, _ := t.zoneOf(name, nil); deepest.Hidden {
			part.Rcode = mdns.RcodeNameError
			part.Ns = []mdns.RR{soa(zone.Name, s.negative)}
		} else {
			server := t.Server(zone.Servers[0])
			server.mu.Lock()
			server.fromZone(part, zone.Name, name, qtype)
			server.mu.Unlock()
		}
		resp.Rcode, resp.Ns = part.Rcode, part.Ns
		if s.negative == noSOA {
			resp.Ns = nil
		}
		resp.Answer = append(resp.Answer, part.Answer...)
		if len(part.Answer) == 0 {
			return
		}
		alias, ok := part.Answer[0].(*mdns.CNAME)
		if !ok || qtype == mdns.TypeCNAME {
			return
		}
		name = mdns.CanonicalName(alias.Target)
	}
}

// serveZone fills resp as an authoritative server does (RFC 1034 section 4.3.2).
func (s *Server) serveZone(resp *mdns.Msg, name string, qtype uint16) {
	for first := true; ; first = false {
		apex := ""
		for zone := range s.apexes {
			if mdns.IsSubDomain(zone, name) && len(zone) > len(apex) {
				apex = zone
			}
		}
		switch {
		case apex == "" && first:
			resp.Rcode = mdns.RcodeRefused
			return
		case apex == "":
			return // the target of a CNAME is for others to find
		}
		part := new(mdns.Msg)
		if cut := s.cut(apex, name); cut != "" {
			s.delegate(part, cut)
		} else {
			s.fromZone(part, apex, name, qtype)
		}
		if first {
			resp.Authoritative = part.Authoritative
		}
		resp.Rcode, resp.Ns, resp.Extra = part.Rcode, part.Ns, append(resp.Extra, part.Extra...)
		resp.Answer = append(resp.Answer, part.Answer...)
		if len(part.Answer) == 0 || len(resp.Answer) > 16 {
			return
		}
		alias, ok := part.Answer[0].(*mdns.CNAME)
		if !ok || qtype == mdns.TypeCNAME {
			return
		}
		name = mdns.CanonicalName(alias.Target)
	}
}

// cut returns the highest delegation between apex and name, "" if there is none.
func (s *Server) cut(apex, name string) string {
	found := ""
	for at := name; at != apex; {
		for _, rr := range s.at(at) {
			if rr.Header().Rrtype == mdns.TypeNS {
				found = at
			}
		}
		next, end := mdns.NextLabel(at, 0)
		if end {
			break
		}
		at = at[next:]
	}
	return found
}

// at returns all records of a name.
func (s *Server) at(name string) []mdns.RR {
	return append(append([]mdns.RR(nil), s.fixed[name]...), s.records[name]...)
}

// delegate fills resp with a referral and its glue.
func (s *Server) delegate(resp *mdns.Msg, cut string) {
	for _, rr := range s.at(cut) {
		ns, ok := rr.(*mdns.NS)
		if !ok {
			continue
		}
		resp.Ns = append(resp.Ns, mdns.Copy(rr))
		for _, glue := range s.at(mdns.CanonicalName(ns.Ns)) {
			if t := glue.Header().Rrtype; t == mdns.TypeA || t == mdns.TypeAAAA {
				resp.Extra = append(resp.Extra, mdns.Copy(glue))
			}
		}
	}
}

// fromZone answers for one name out of the zone at apex.
func (s *Server) fromZone(resp *mdns.Msg, apex, name string, qtype uint16) {
	resp.Authoritative = true
	records := s.at(name)
	if name == apex {
		records = append(records, soa(apex, 60))
		for _, rr := range s.records[name] {
			if rr.Header().Rrtype == mdns.TypeCNAME {
				records = s.records[name] // forbidden, and it hides what makes a zone
			}
		}
	}
	exists := len(records) > 0 || s.exists(name)
	for at := name; !exists && at != apex; { // RFC 4592: the closest name that exists may have a wildcard below it
		next, end := mdns.NextLabel(at, 0)
		if end {
			break
		}
		at = at[next:]
		if wild := s.at("*." + strings.TrimPrefix(at, ".")); len(wild) > 0 {
			for _, rr := range wild {
				rr = mdns.Copy(rr)
				rr.Header().Name = name
				records = append(records, rr)
			}
			exists = true
		}
		if s.exists(at) {
			break
		}
	}
	var alias mdns.RR
	for _, rr := range records {
		switch rr.Header().Rrtype {
		case qtype:
			resp.Answer = append(resp.Answer, mdns.Copy(rr))
		case mdns.TypeCNAME:
			alias = mdns.Copy(rr)
		}
	}
	switch {
	case len(resp.Answer) > 0:
		return
	case alias != nil:
		resp.Answer = []mdns.RR{alias}
		return
	case !exists:
		resp.Rcode = mdns.RcodeNameError
	}
	if s.negative != noSOA {
		resp.Ns = []mdns.RR{soa(apex, s.negative)}
	}
}
