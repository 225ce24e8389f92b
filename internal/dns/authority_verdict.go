package dns

import (
	"context"
	"errors"
	"slices"
	"strings"

	mdns "github.com/miekg/dns"
)

// reading is what the servers of a zone said, and what follows from it.
type reading struct {
	Authoritative
	err      *Error    // nil exactly when there are records or an alias
	records  []mdns.RR // behind Records
	alias    string    // behind CNAME, canonical
	answered []told    // by servers that answered
	referral *zone     // given by a server that did not
}

// put asks the servers of a zone and follows their referrals.
func (in *inquiry) put(ctx context.Context, z zone, q question) reading {
	r := settle(q, z, in.askZone(ctx, z, q), nil)
	for range maxReferrals {
		if r.referral == nil {
			break
		}
		deeper := settle(q, *r.referral, in.askZone(ctx, *r.referral, q), r.answered)
		switch {
		case deeper.err == nil || deeper.err.NotFound():
			in.remember(*r.referral)
		case len(r.answered) > 0:
			return r // one server refers to where nobody answers, others do answer
		}
		r = deeper
	}
	return r
}

// settle puts together what the servers of a zone said. above are servers of the
// zone above it that answered instead of referring to this one: they lag behind,
// but others ask them too.
func settle(q question, z zone, all, above []told) reading {
	r := reading{
		Authoritative: Authoritative{Name: plain(q.name), Type: Type(q.qtype), Zone: plain(z.apex), Omitted: z.omitted},
	}
	votes := make(map[string]int)
	for _, t := range all {
		if r.referral == nil {
			r.referral = t.referral
		}
		if t.answered() {
			r.answered = append(r.answered, t)
			votes[t.key()]++
		}
	}
	var best *told
	for i := range r.answered {
		t := &r.answered[i]
		if best == nil || t.beats(best, votes) {
			best = t
		}
	}
	for _, t := range slices.Concat(all, above) {
		r.Servers = append(r.Servers, t.public())
		if best != nil && t.answered() && t.key() != best.key() {
			r.Disagree = true
		}
	}
	switch {
	case best == nil:
		r.err = &Error{Name: r.Name, Type: r.Type.String(), Failure: all[0].failure, Server: plain(all[0].server.name)}
		if all[0].why != "" {
			r.err.Err = errors.New(all[0].why)
		}
	case best.failure != "":
		r.err = &Error{Name: r.Name, Type: r.Type.String(), Failure: best.failure}
	default:
		r.Records, r.TTL, r.records = best.texts, best.ttl, best.records
		if r.alias = best.alias; r.alias != "" {
			r.CNAME = plain(r.alias)
		}
	}
	return r
}

// beats reports whether t rather than u is what holds: what is there rather than
// what is not, then what more servers say, then what was said first.
func (t *told) beats(u *told, votes map[string]int) bool {
	if (t.failure == "") != (u.failure == "") {
		return t.failure == ""
	}
	if t.failure != "" {
		return t.failure == NoData && u.failure == NXDomain // the name exists for one
	}
	return votes[t.key()] > votes[u.key()]
}

// key is the same for answers with the same records.
func (t *told) key() string { return t.alias + "\x00" + strings.Join(t.texts, "\x00") }

func (t *told) public() ServerAnswer {
	s := ServerAnswer{
		Name: plain(t.server.name), Address: t.address, Records: t.texts, Failure: t.failure, Text: t.text(),
	}
	if t.alias != "" {
		s.CNAME = plain(t.alias)
	}
	return s
}
