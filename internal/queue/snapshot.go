package queue

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// Snapshot is what a node's queue has in its memory at one moment, for people.
type Snapshot struct {
	Node         string
	Incarnation  string
	Cut          bool // the database has not been reached for too long: nothing is started
	Sessions     int  // under way
	MostSessions int
	Deliveries   int            // in memory
	Unsaved      int            // results that could not be recorded yet
	Lanes        []LaneSessions // the most urgent first
	Destinations []Destination  // those that are left alone first, then the busiest
	More         int            // destinations that were left out
	Peers        map[string]time.Duration
}

// LaneSessions is how many sessions carry mail of a lane.
type LaneSessions struct {
	Lane     waypost.Lane
	Sessions int
}

// Destination is where sessions go.
type Destination struct {
	Site       string // of the built-in gateway: a domain; "" if it is a server
	Domains    int    // how many domains have the same MX hosts, Site included; 0 if that is not known
	OperatorID string // whose relay it is; "" if it is none
	Server     string // host of the relay; "upstream" or "sandbox"
	Sessions   int    // under way
	Window     int    // how many there may be now
	Most       int    // how many there may ever be
	InMemory   int    // messages that wait in memory for a session
	PerMinute  float64
	Failures   int // sessions in a row that failed
	Closed     time.Time
	Why        string // what failed last
	Slow       *Slowed
}

// Slowed is what a destination asked for.
type Slowed struct {
	Name      string // for Hurry
	How       waypost.SlowHow
	Since     time.Time // when it was asked for first
	Until     time.Time
	Times     int     // in a row: each time lasts longer
	PerMinute float64 // transactions that may begin, if How is rate
	Words     string  // of the reply
}

// paceOver is the time that PerMinute looks back over: what is older counts ever less.
const paceOver = time.Minute

// count takes in that a session has finished a transaction.
func (d *destination) count(now time.Time) {
	d.pace, d.paced = d.perMinute(now)+1, now
}

// perMinute is how many transactions a destination has finished in the last minute, about.
func (d *destination) perMinute(now time.Time) float64 {
	if d.paced.IsZero() {
		return 0
	}
	return d.pace * math.Exp(-now.Sub(d.paced).Seconds()/paceOver.Seconds())
}

// Snapshot describes what is in memory, with at most so many destinations: those where
// something is happening or should be.
func (q *Queue) Snapshot(most int) Snapshot {
	now := time.Now()
	q.mu.Lock()
	s := Snapshot{
		Node: q.o.Node, Incarnation: q.lease.incarnation, Cut: q.lease.mayTalk() != nil, Sessions: q.busy, MostSessions: q.o.Sessions,
		Deliveries: q.held, Unsaved: len(q.unsaved), Peers: make(map[string]time.Duration, len(q.peers)),
	}
	for rank, n := range q.laneBusy {
		s.Lanes = append(s.Lanes, LaneSessions{Lane: waypost.LaneOfRank(rank), Sessions: n})
	}
	for _, d := range q.dests {
		if _, slow := d.slow.slowest(now); slow == nil && d.idle() && !now.Before(d.closed) && d.perMinute(now) < 0.5 {
			continue
		}
		described := d.describe(now)
		if described.Site != "" {
			described.Domains = q.sites.domains[d.name]
		}
		s.Destinations = append(s.Destinations, described)
	}
	for incarnation, p := range q.peers {
		s.Peers[incarnation] = now.Sub(p.since)
	}
	q.mu.Unlock()
	slices.SortFunc(s.Destinations, func(a, b Destination) int {
		if a.Closed.IsZero() != b.Closed.IsZero() {
			return cmp.Compare(b.Closed.Unix(), a.Closed.Unix())
		}
		if (a.Slow == nil) != (b.Slow == nil) {
			if a.Slow != nil {
				return -1
			}
			return 1
		}
		if n := cmp.Compare(b.Sessions+b.InMemory, a.Sessions+a.InMemory); n != 0 {
			return n
		}
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.OperatorID, b.OperatorID))
	})
	if len(s.Destinations) > most {
		s.More = len(s.Destinations) - most
		s.Destinations = s.Destinations[:most]
	}
	return s
}

// describe says what is known of a destination. q.mu is held.
func (d *destination) describe(now time.Time) Destination {
	out := Destination{
		Sessions: d.active, Window: d.limit(now), Most: d.most, InMemory: d.jobs, PerMinute: d.perMinute(now), Failures: d.failures, Why: d.why,
	}
	if now.Before(d.closed) {
		out.Closed = d.closed
	}
	if how, r := d.slow.slowest(now); r != nil {
		out.Slow = &Slowed{Name: d.name, How: how, Since: r.since, Until: r.until, Times: r.times, Words: r.words}
		if how == waypost.SlowRate {
			out.Slow.PerMinute = d.rateAt(now)
		}
	}
	switch {
	case d.site != "":
		out.Site = d.site
	case d.relay:
		out.OperatorID, out.Server = d.operator, d.server.Host
	default:
		out.Server = d.name
	}
	return out
}
