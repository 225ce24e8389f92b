package dns

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"

	mdns "github.com/miekg/dns"
)

// Session is one reading of the DNS through authoritative servers: each question
// is asked once, so that all who look get the same answer, and a server that was
// silent is not waited for again. It is for one check and then dropped. It is safe
// for concurrent use.
type Session struct {
	a        *Authority
	left     atomic.Int32              // questions it may still ask
	readings memo[question, *reading]  // by question
	zones    memo[question, foundZone] // SOA: of a name; NS: servers of an apex
	hosts    memo[question, foundAddrs]

	mu          sync.Mutex
	delegations map[string]zone // by apex: those the resolver did not know
	silent      map[netip.Addr]bool
}

type foundZone struct {
	zone zone
	err  *Error
}

type foundAddrs struct {
	addrs []netip.Addr
	err   *Error
}

// lasting reports whether an outcome holds for the rest of a session: it is about
// the DNS, not about who asked.
func lasting(err *Error) bool {
	return err == nil || (err.Failure != Canceled && err.Failure != TooMany)
}

// Session starts a reading.
func (a *Authority) Session() *Session {
	s := &Session{a: a, delegations: make(map[string]zone), silent: make(map[netip.Addr]bool)}
	s.left.Store(maxSessionQuestions)
	return s
}

// Lookup is Authority.Lookup within the session.
func (s *Session) Lookup(ctx context.Context, name string, t Type) (Authoritative, error) {
	ascii, err := ToASCII(name)
	if err != nil {
		return Authoritative{Name: name, Type: t}, &Error{Name: name, Type: t.String(), Failure: BadName}
	}
	r := s.read(ctx, question{ascii + ".", uint16(t)})
	return r.Authoritative, r.failure(name)
}

// failure is the error of a reading for one who asked for name.
func (r *reading) failure(name string) error {
	if r.err == nil {
		return nil
	}
	err := *r.err
	err.Name, err.Type = name, r.Type.String()
	return &err
}

// Follow is Lookup that goes on at the zone of the target while the name is an
// alias. It returns what was said at each step; the last has the records. The
// error is that of the last step, and a circle or a chain of more than 8 aliases
// is one too.
func (s *Session) Follow(ctx context.Context, name string, t Type) ([]Authoritative, error) {
	chain, err := s.follow(ctx, name, t)
	steps := make([]Authoritative, len(chain))
	for i, r := range chain {
		steps[i] = r.Authoritative
	}
	return steps, err
}

func (s *Session) follow(ctx context.Context, name string, t Type) ([]*reading, error) {
	ascii, err := ToASCII(name)
	if err != nil {
		return nil, &Error{Name: name, Type: t.String(), Failure: BadName}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*s.a.timeout)
	defer cancel()
	q := question{ascii + ".", uint16(t)}
	seen := map[string]bool{q.name: true}
	var chain []*reading
	for range maxChain + 1 {
		r := s.read(ctx, q)
		chain = append(chain, r)
		if r.err != nil || r.alias == "" {
			return chain, r.failure(name)
		}
		if q.name = r.alias; seen[q.name] {
			break
		}
		seen[q.name] = true
	}
	return chain, &Error{Name: name, Type: t.String(), Failure: Loop}
}

// LookupMX implements Resolver.
func (s *Session) LookupMX(ctx context.Context, domain string) (Answer[MX], error) {
	return followed(ctx, s, domain, TypeMX, mxOf)
}

// LookupTXT implements Resolver.
func (s *Session) LookupTXT(ctx context.Context, name string) (Answer[string], error) {
	return followed(ctx, s, name, TypeTXT, txtOf)
}

// LookupIP implements Resolver; as with Client, localhost is never asked for.
func (s *Session) LookupIP(ctx context.Context, host string) (Answer[netip.Addr], error) {
	return lookupIP(host, func(qtype uint16) (Answer[netip.Addr], error) {
		return followed(ctx, s, host, Type(qtype), addrOf)
	})
}

func followed[T any](ctx context.Context, s *Session, name string, t Type, value func(mdns.RR) (T, bool)) (Answer[T], error) {
	chain, err := s.follow(ctx, name, t)
	if err != nil {
		return Answer[T]{}, err
	}
	last := chain[len(chain)-1]
	answer := Answer[T]{Records: values(last.records, value), Name: last.Name, TTL: maxTTL}
	for _, r := range chain {
		answer.TTL = min(answer.TTL, r.TTL)
	}
	return answer, nil
}

// read answers a question from what the session knows, or by asking.
func (s *Session) read(ctx context.Context, q question) *reading {
	r, err := s.readings.get(ctx, q, func(ctx context.Context) (*reading, bool) {
		r := s.inquire(ctx, q)
		return &r, ctx.Err() == nil // else nobody waits for it any more
	})
	if err != nil {
		return unread(q, &Error{Failure: contextFailure(err), Err: err})
	}
	return r
}

func unread(q question, err *Error) *reading {
	return &reading{Authoritative: Authoritative{Name: plain(q.name), Type: Type(q.qtype)}, err: err}
}

func (s *Session) inquire(ctx context.Context, q question) reading {
	ctx, cancel := context.WithTimeout(ctx, s.a.timeout)
	defer cancel()
	in := &inquiry{Session: s}
	in.left.Store(maxQuestions)
	z, err := in.find(ctx, q.name)
	if err != nil {
		return *unread(q, err)
	}
	if deeper, ok := s.delegated(q.name, z.apex); ok {
		z = deeper
	}
	return in.put(ctx, z, q)
}

// remember keeps a delegation that a referral gave away.
func (s *Session) remember(z zone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delegations[z.apex] = z
}

// delegated returns the deepest delegation kept that holds name and is below apex.
func (s *Session) delegated(name, apex string) (zone, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := name; at != apex && at != "."; at = parent(at) {
		if z, ok := s.delegations[at]; ok {
			return z, true
		}
	}
	return zone{}, false
}

func (s *Session) isSilent(addr netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silent[addr]
}

func (s *Session) keepSilent(addrs []netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, addr := range addrs {
		s.silent[addr] = true
	}
}

// memo finds each value once and keeps it.
type memo[K comparable, V any] struct {
	flights flights[K, V]

	mu   sync.Mutex
	kept map[K]V
}

// get returns a value that is kept, or what find returns and whether to keep that.
// The error is that of ctx.
func (m *memo[K, V]) get(ctx context.Context, key K, find func(context.Context) (V, bool)) (V, error) {
	if v, ok := m.load(key); ok {
		return v, nil
	}
	return m.flights.do(ctx, key, func(ctx context.Context, key K) V {
		if v, ok := m.load(key); ok { // settled between the caller's look and now
			return v
		}
		v, keep := find(ctx)
		if keep {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.kept == nil {
				m.kept = make(map[K]V)
			}
			m.kept[key] = v
		}
		return v
	})
}

func (m *memo[K, V]) load(key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.kept[key]
	return v, ok
}
