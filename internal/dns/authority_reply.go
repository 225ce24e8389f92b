package dns

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	mdns "github.com/miekg/dns"
)

// zone is a zone and where to ask about it.
type zone struct {
	apex    string // canonical
	servers []nameServer
	omitted int // servers beyond maxZoneServers
}

type nameServer struct {
	name string       // canonical
	glue []netip.Addr // from a referral; nil: to be looked up
}

// newZone reads the servers of a zone from its NS records. Glue is used for names
// at or below bailiwick only, the zone of who gave it: about others it has no say
// (RFC 2181 section 5.4.1). Without glue bailiwick is "".
func newZone(apex string, records, glue []mdns.RR, bailiwick string) zone {
	var names []string
	for _, rr := range records {
		if ns, ok := rr.(*mdns.NS); ok && owns(rr, apex) {
			names = append(names, mdns.CanonicalName(ns.Ns))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	z := zone{apex: apex, omitted: max(0, len(names)-maxZoneServers)}
	for _, name := range names[:len(names)-z.omitted] {
		server := nameServer{name: name}
		if bailiwick != "" && mdns.IsSubDomain(bailiwick, name) {
			for _, rr := range glue {
				if addr, ok := addrOf(rr); ok && owns(rr, name) {
					server.glue = append(server.glue, addr)
				}
			}
		}
		z.servers = append(z.servers, server)
	}
	return z
}

func owns(rr mdns.RR, name string) bool {
	h := rr.Header()
	return h.Class == mdns.ClassINET && mdns.CanonicalName(h.Name) == name
}

// apexOf reads the zone of a name out of a resolver's answer to the question for
// its SOA record: the owner of the SOA in the answer or, beside a "there is none",
// in the authority section (RFC 2308 section 3). Where a CNAME or DNAME was
// followed, that is about the zone of the target, and nothing is learned.
func apexOf(msg *mdns.Msg, name string) (apex string, ok bool) {
	for _, rr := range msg.Answer {
		if rr.Header().Rrtype == mdns.TypeSOA && owns(rr, name) {
			return name, true
		}
	}
	if len(msg.Answer) > 0 {
		return "", false
	}
	for _, rr := range msg.Ns {
		if apex := mdns.CanonicalName(rr.Header().Name); rr.Header().Rrtype == mdns.TypeSOA && mdns.IsSubDomain(apex, name) {
			return apex, true
		}
	}
	return "", false
}

// said is what one server said about a question.
type said struct {
	failure  Failure   // as ServerAnswer.Failure
	why      string    // for people, what failure alone does not tell
	records  []mdns.RR // of the asked type and name
	texts    []string  // the same, as ServerAnswer.Records
	alias    string    // canonical target of a CNAME that is not what was asked for
	ttl      time.Duration
	referral *zone // deeper than the zone asked, beside Lame
}

func (s *said) answered() bool {
	return s.failure == "" || s.failure == NXDomain || s.failure == NoData
}

// text is the failure in the words of one who asked an authoritative server.
func (s *said) text() string {
	switch {
	case s.why != "":
		return s.why
	case s.failure == Lame:
		return "not authoritative for the zone"
	case s.failure != "":
		return s.failure.text()
	default:
		return ""
	}
}

// readReply reads what a server of the zone at apex replied to q (RFC 1034 section
// 4.3.2, from the other side). It counts only what the reply says about the name
// itself and only with the AA bit: that bit is about the first name of an answer,
// so the records behind a CNAME are not authoritative (RFC 1035 section 4.1.1, RFC
// 2181 section 5.4.1).
func readReply(msg *mdns.Msg, q question, apex string) said {
	switch msg.Rcode {
	case mdns.RcodeSuccess, mdns.RcodeNameError:
	case mdns.RcodeServerFailure:
		return said{failure: ServFail}
	case mdns.RcodeRefused, mdns.RcodeNotAuth:
		return said{failure: Refused}
	default:
		return said{failure: Malformed}
	}
	if msg.Truncated { // over TCP, or it would not have come this far
		return said{failure: Malformed, why: "answer incomplete even over TCP"}
	}
	if deeper, ok := referral(msg, q, apex); ok {
		return said{failure: Lame, why: "refers to the servers of " + plain(deeper.apex), referral: &deeper}
	}
	if !msg.Authoritative {
		return said{failure: Lame}
	}
	s := own(msg.Answer, q)
	switch {
	case len(s.records) > 0 && msg.Rcode == mdns.RcodeSuccess, s.alias != "":
		return s // beside an alias NXDOMAIN is about its target (RFC 6604)
	case len(msg.Answer) > 0:
		return said{failure: Malformed}
	case msg.Rcode == mdns.RcodeNameError:
		return said{failure: NXDomain}
	default:
		return said{failure: NoData}
	}
}

// referral reads a delegation of a zone below apex that holds the name asked for.
// It is the same with the AA bit, which some servers set wrongly; a SOA record
// beside it makes it an ordinary "there is none" (RFC 2308 section 2.2).
func referral(msg *mdns.Msg, q question, apex string) (zone, bool) {
	if len(msg.Answer) > 0 || msg.Rcode != mdns.RcodeSuccess || !isReferral(msg) {
		return zone{}, false
	}
	for _, rr := range msg.Ns {
		owner := mdns.CanonicalName(rr.Header().Name)
		if rr.Header().Rrtype != mdns.TypeNS || owner == apex || !mdns.IsSubDomain(apex, owner) || !mdns.IsSubDomain(owner, q.name) {
			continue
		}
		if z := newZone(owner, msg.Ns, msg.Extra, apex); len(z.servers) > 0 {
			return z, true
		}
	}
	return zone{}, false
}

// own picks the records of the name that was asked for, each once and in an order
// that does not depend on the server.
func own(answer []mdns.RR, q question) said {
	type record struct {
		rr   mdns.RR
		text string
	}
	var records []record
	var s said
	for _, rr := range answer {
		if !owns(rr, q.name) {
			continue
		}
		if rr.Header().Rrtype == q.qtype {
			if text, ok := textOf(rr); ok {
				records = append(records, record{rr, text})
			}
		} else if c, ok := rr.(*mdns.CNAME); ok {
			if target := mdns.CanonicalName(c.Target); s.alias == "" || target < s.alias {
				s.alias, s.ttl = target, ttlOf(c.Hdr.Ttl)
			}
		}
	}
	if len(records) == 0 {
		return s
	}
	// A name with records of its own is no alias, whatever stands beside them (RFC
	// 1034 section 3.6.2).
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.text, b.text) })
	records = slices.CompactFunc(records, func(a, b record) bool { return a.text == b.text })
	s = said{ttl: ttlOf(records[0].rr.Header().Ttl)}
	for _, r := range records {
		s.records = append(s.records, r.rr)
		s.texts = append(s.texts, r.text)
		s.ttl = min(s.ttl, ttlOf(r.rr.Header().Ttl))
	}
	return s
}

// textOf is the form of a record in ServerAnswer.Records. It reports false for a
// record without data and for types an Authority is not asked for.
func textOf(rr mdns.RR) (string, bool) {
	switch rr := rr.(type) {
	case *mdns.TXT:
		return txtOf(rr)
	case *mdns.CNAME:
		return plain(rr.Target), rr.Target != ""
	case *mdns.NS:
		return plain(rr.Ns), rr.Ns != ""
	case *mdns.MX:
		return fmt.Sprintf("%d %s", rr.Preference, plain(rr.Mx)), rr.Mx != ""
	case *mdns.SOA:
		text := fmt.Sprintf("%s %s %d %d %d %d %d", plain(rr.Ns), plain(rr.Mbox), rr.Serial, rr.Refresh, rr.Retry, rr.Expire, rr.Minttl)
		return text, rr.Ns != ""
	default:
		addr, ok := addrOf(rr)
		return addr.String(), ok
	}
}
