package queue

import (
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// sites knows which domains have the same MX hosts: they are one destination, whose
// window, closures and slow-downs they share. The queue asks no DNS: it learns from the
// attempts, each of which says where its domain's mail goes before it dials. So what is
// forgotten costs a wasted turn, and never a session too many.
type sites struct {
	of      map[string]*membership // by domain
	domains map[string]int         // how many there are of a destination
}

// membership is where a domain's mail goes.
type membership struct {
	name string // of the destination
	seen time.Time
}

// How many domains are known, and how long without being seen.
const (
	maxSites  = 50_000
	sitesKept = 24 * time.Hour
)

func newSites() sites { return sites{of: map[string]*membership{}, domains: map[string]int{}} }

// name is the destination of a domain's mail; a domain of which nothing is known is one
// of its own.
func (s *sites) name(domain string, now time.Time) string {
	if m := s.of[domain]; m != nil {
		if now.Sub(m.seen) < sitesKept {
			return m.name
		}
		s.forget(domain, m)
	}
	return "site " + domain
}

// learn takes in which MX hosts a domain has, by the name that they go by together.
func (s *sites) learn(domain, mx string, now time.Time) {
	m := s.of[domain]
	if m == nil {
		if len(s.of) >= maxSites {
			s.sweep(now)
		}
		m = &membership{}
		s.of[domain] = m
	}
	m.seen = now
	if len(m.name) == len(mxPrefix)+len(mx) && m.name[len(mxPrefix):] == mx {
		return
	}
	s.left(m)
	m.name = mxPrefix + mx
	s.domains[m.name]++
}

const mxPrefix = "mx "

func (s *sites) forget(domain string, m *membership) {
	s.left(m)
	delete(s.of, domain)
}

// left counts a domain out of its destination.
func (s *sites) left(m *membership) {
	if s.domains[m.name]--; s.domains[m.name] <= 0 {
		delete(s.domains, m.name)
	}
}

// sweep makes room: of what was not seen for long, or else of anything.
func (s *sites) sweep(now time.Time) {
	for domain, m := range s.of {
		if now.Sub(m.seen) >= sitesKept {
			s.forget(domain, m)
		}
	}
	for domain, m := range s.of {
		if len(s.of) <= maxSites-maxSites/16 {
			return
		}
		s.forget(domain, m)
	}
}

// destinationName names where a decision leads for mail to a site. q.mu is held.
func (q *Queue) destinationName(operatorID, site string, r waypost.RouteKind, now time.Time) string {
	switch r {
	case waypost.RouteRelay:
		return "relay " + operatorID
	case waypost.RouteUpstream:
		return "upstream"
	case waypost.RouteSandbox:
		return "sandbox"
	default:
		return q.sites.name(site, now)
	}
}

// resolved takes in the MX hosts of a job's domain, before any of them is dialed. If
// they are another destination than the one that gave the job its slot, the job needs one
// there; without one it must not go on.
func (q *Queue) resolved(r *result, mx string) error {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	j, domain := r.j, r.j.key.key.Site
	q.sites.learn(domain, mx, now)
	old, d := j.dest, q.destination(j.key.key.OperatorID, domain, route.Decision{Route: waypost.RouteDirect}, now)
	if d == old {
		return nil
	}
	old.left = true
	err := d.admit(j.lane, now)
	if err == nil {
		old.active--
		d.active++
		d.spend(now)
		j.dest = d
	} else {
		r.giveBackFor(err.Error(), time.Time{})
	}
	q.forsake(old, domain)
	q.serve(old)
	q.dispatch()
	return err
}

// forsake lists the keys of a domain that wait at a destination which is no longer its
// own. q.mu is held.
func (q *Queue) forsake(d *destination, domain string) {
	for lane := range d.waiting {
		for _, k := range d.waiting[lane].take(func(k *keyState) bool { return k.key.Site == domain }) {
			k.listed = nowhere
			q.list(k)
			q.forget(k)
		}
	}
}

// rehome finds the destination of a job anew that waits in memory. q.mu is held.
func (q *Queue) rehome(j *job, now time.Time) {
	old := j.dest
	d := q.destination(j.key.key.OperatorID, j.key.key.Site, route.Decision{Route: j.route}, now)
	if d == old {
		return
	}
	old.jobs--
	d.jobs++
	j.dest = d
	q.serve(old)
}
