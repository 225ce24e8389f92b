package dnstest

import (
	"sync"

	mdns "github.com/miekg/dns"
)

// Fault is a way to answer wrong.
type Fault int

// The faults.
const (
	None             Fault = iota
	ServFail               // SERVFAIL
	Refuse                 // REFUSED
	Drop                   // no answer at all: the client times out
	Truncate               // over UDP an empty answer with TC set; over TCP the whole one
	TruncateAll            // TC over TCP too
	Malformed              // a header followed by bytes that are no message, over UDP and TCP
	MalformedUDP           // the same over UDP only
	WrongQuestion          // the answer repeats another question
	WrongID                // an answer with another ID, then the right one
	Lame                   // a referral instead of an answer, recursion not available
	NoEDNS                 // FORMERR to a question with EDNS, the answer to one without
	Partial                // only the first record of the answer: a CNAME without its target
	OnlyWrongID            // an answer with another ID, and no other
	NoTCP                  // TC over UDP, and over TCP a connection that ends without an answer
	MalformedNoTCP         // as MalformedUDP, and over TCP as NoTCP
	Empty                  // no records of any kind: NODATA without a SOA record
	NotAuthoritative       // the answer without the AA bit, as from a cache
	Upward                 // a referral to the root, as from a server that never heard of the zone
)

// Fault makes every question for a name fail in a way, until None is set.
func (s *Server) Fault(name string, f Fault) { s.setFault(target{name: mdns.CanonicalName(name)}, f) }

// FaultType is Fault for the questions of one type ("MX", "A", ...).
func (s *Server) FaultType(name, qtype string, f Fault) {
	s.setFault(target{mdns.CanonicalName(name), mdns.StringToType[qtype]}, f)
}

func (s *Server) setFault(t target, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == None {
		delete(s.faults, t)
		return
	}
	s.faults[t] = f
}

// Hold keeps answers for a name back until release is called.
func (s *Server) Hold(name string) (release func()) {
	name = mdns.CanonicalName(name)
	hold := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds[name] = hold
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.holds[name] == hold {
			delete(s.holds, name)
		}
		close(hold)
	})
}

// apply writes resp to w, spoiled.
func (f Fault) apply(w mdns.ResponseWriter, req, resp *mdns.Msg, network string) {
	code := func(rcode int) {
		resp.Rcode = rcode
		resp.Answer, resp.Ns = nil, nil
	}
	switch f {
	case ServFail:
		code(mdns.RcodeServerFailure)
	case Refuse:
		code(mdns.RcodeRefused)
	case Drop:
		return
	case Truncate, TruncateAll:
		if network == "udp" || f == TruncateAll {
			resp.Truncated = true
			resp.Answer = nil
		}
	case Malformed, MalformedUDP, MalformedNoTCP:
		if network != "udp" && f == MalformedNoTCP {
			_ = w.Close()
			return
		}
		if network == "udp" || f == Malformed {
			wire, err := resp.Pack()
			if err != nil {
				return
			}
			wire[5]++ // QDCOUNT: one more question than there is
			wire = append(wire[:12], 0xc0, 0xff)
			_, _ = w.Write(wire)
			return
		}
	case WrongQuestion:
		resp.Question[0].Name = "other.invalid."
	case WrongID:
		wrong := resp.Copy()
		wrong.Id++
		wrong.Answer = nil
		_ = w.WriteMsg(wrong)
	case Lame:
		code(mdns.RcodeSuccess)
		resp.Authoritative, resp.RecursionAvailable = false, false
		resp.Ns = []mdns.RR{&mdns.NS{
			Hdr: mdns.RR_Header{Name: req.Question[0].Name, Rrtype: mdns.TypeNS, Class: mdns.ClassINET, Ttl: 60},
			Ns:  "ns.invalid.",
		}}
	case NoEDNS:
		if req.IsEdns0() != nil {
			code(mdns.RcodeFormatError)
			resp.Extra = nil
		}
	case Partial:
		resp.Rcode = mdns.RcodeSuccess
		resp.Ns = nil
		if len(resp.Answer) > 1 {
			resp.Answer = resp.Answer[:1]
		}
	case OnlyWrongID:
		resp.Id++
	case NoTCP:
		if network != "udp" {
			_ = w.Close()
			return
		}
		resp.Truncated = true
		resp.Answer = nil
	case Empty:
		code(mdns.RcodeSuccess)
	case NotAuthoritative:
		resp.Authoritative = false
	case Upward:
		code(mdns.RcodeSuccess)
		resp.Authoritative = false
		resp.Ns = []mdns.RR{&mdns.NS{Hdr: mdns.RR_Header{Name: ".", Rrtype: mdns.TypeNS, Class: mdns.ClassINET, Ttl: 60}, Ns: "a.root.invalid."}}
	case None:
	}
	_ = w.WriteMsg(resp)
}
