package verify_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/verify"
)

// slow stands for name servers of which each check waits until it is let go. They have no
// records.
type slow struct {
	mu       sync.Mutex
	hold     bool
	stubborn bool                     // a check that is stopped has to be let go as well
	begun    []string                 // domains whose checks began
	gates    map[string]chan struct{} // by domain
}

// slowly runs a test with a world of slow name servers in a bubble.
func slowly(t *testing.T, test func(t *testing.T, w *world, s *slow)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &slow{hold: true, gates: map[string]chan struct{}{}}
		f := &field{checker: &verify.Checker{Settings: setup(), Source: func() verify.Source { return s }}}
		test(t, newWorld(t, f, nil), s)
	})
}

// want waits until nothing moves any more, and compares whose checks have begun so far.
func (s *slow) want(t *testing.T, domains ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := slices.Sorted(slices.Values(s.begun))
	slices.Sort(domains)
	if !slices.Equal(got, domains) {
		t.Fatalf("checks began of %v, want %v", got, domains)
	}
}

// let lets one check of a domain go, once it waits.
func (s *slow) let(domain string) { s.gate(domain) <- struct{}{} }

// mayPass sets whether checks go at once from now on.
func (s *slow) mayPass(pass bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = !pass
}

func (s *slow) gate(domain string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gates[domain] == nil {
		s.gates[domain] = make(chan struct{})
	}
	return s.gates[domain]
}

func (s *slow) begin(domain string) (hold bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = append(s.begun, domain)
	return s.hold
}

// Lookup is the first question of each check when it is about the ownership record.
func (s *slow) Lookup(ctx context.Context, name string, t dns.Type) (dns.Authoritative, error) {
	if t == dns.TypeTXT && !strings.Contains(name, "_") && s.begin(name) {
		select {
		case <-s.gate(name):
		case <-ctx.Done():
			if s.stubborn {
				<-s.gate(name)
			}
		}
	}
	return dns.Authoritative{Name: name, Type: t}, nothing(ctx, name)
}

func (s *slow) LookupMX(ctx context.Context, domain string) (dns.Answer[dns.MX], error) {
	return dns.Answer[dns.MX]{}, nothing(ctx, domain)
}

func (s *slow) LookupIP(ctx context.Context, host string) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{}, nothing(ctx, host)
}

func (s *slow) LookupTXT(ctx context.Context, name string) (dns.Answer[string], error) {
	return dns.Answer[string]{}, nothing(ctx, name)
}

func nothing(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		return &dns.Error{Name: name, Failure: dns.Timeout, Err: ctx.Err()}
	}
	return &dns.Error{Name: name, Failure: dns.NXDomain}
}
