package verify_test

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// setup is what the platform of these tests asks for.
func setup() verify.Settings {
	return verify.Settings{
		Platform: "platform.test", Prefix: "waypost", Include: "spf.platform.test",
		Selectors: [2]string{"wp1", "wp2"}, Targets: [2]string{"dkim1.platform.test", "dkim2.platform.test"},
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")},
	}
}

// field is a tree of name servers with the platform's zone and those of operators, each
// on two servers, and a checker that asks it.
type field struct {
	*dnstest.Tree
	checker *verify.Checker
}

func newField(t testing.TB, domains ...string) *field {
	t.Helper()
	zones := []dnstest.Zone{
		{Name: ".", Servers: []string{"a.root.test"}},
		{Name: "platform.test", Servers: []string{"ns.platform.test"}, Records: dnstest.Zones{
			"spf.platform.test": {`TXT "v=spf1 ip4:192.0.2.1 -all"`}, "dkim1.platform.test": {`TXT "v=DKIM1; p=AAAA"`}, "dkim2.platform.test": {`TXT "v=DKIM1; p=AAAA"`},
		}},
	}
	for _, d := range domains {
		zones = append(zones, dnstest.Zone{Name: d, Servers: []string{"ns1." + d, "ns2." + d}})
	}
	tree := dnstest.Plant(t, zones...)
	resolver, err := dns.New(dns.Options{Server: tree.Resolver.Addr, CacheBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	authority := dns.NewAuthority(dns.AuthorityOptions{Resolver: resolver, Port: tree.Port})
	return &field{tree, &verify.Checker{Settings: setup(), Source: func() verify.Source { return authority.Session() }}}
}

// publish enters everything that a domain needs.
func (f *field) publish(name, proof string) {
	f.Set(name, `TXT "waypost_verify.`+proof+`"`, `TXT "v=spf1 include:spf.platform.test -all"`)
	f.Set("wp1._domainkey."+name, "CNAME dkim1.platform.test.")
	f.Set("wp2._domainkey."+name, "CNAME dkim2.platform.test.")
	f.Set("_dmarc."+name, `TXT "v=DMARC1; p=none;"`)
	f.Set("bounce."+name, "CNAME bounce.platform.test.")
}

// away makes the servers of a domain fail.
func (f *field) away(name string, fault dnstest.Fault) {
	for _, server := range []string{"ns1.", "ns2."} {
		for _, owner := range []string{"", "wp1._domainkey.", "wp2._domainkey.", "_dmarc.", "bounce."} {
			f.Server(server+name).Fault(owner+name, fault)
		}
	}
}

// post is the Notices of tests.
type post struct {
	mu       sync.Mutex
	events   []string // "operator: type type"
	assigned []string // "operator: address address"
	changed  []string
}

func (p *post) DomainChanged(_ context.Context, operatorID string, events []waypost.DomainEvent) {
	words := make([]string, 0, len(events))
	for _, e := range events {
		if e.OperatorID != operatorID || e.Name == "" || e.DomainID == "" {
			words = append(words, "FOREIGN")
		}
		words = append(words, string(e.Type))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, operatorID+": "+strings.Join(words, " "))
}

func (p *post) SendersAssigned(_ context.Context, operatorID string, senders []waypost.Sender) {
	words := make([]string, 0, len(senders))
	for _, s := range senders {
		words = append(words, s.Address)
	}
	slices.Sort(words)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.assigned = append(p.assigned, operatorID+": "+strings.Join(words, " "))
}

func (p *post) forget(operatorID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed = append(p.changed, operatorID)
}

// want takes the notices since the last call, in any order.
func (p *post) want(t testing.TB, events ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.Sort(p.events)
	slices.Sort(events)
	if diff := cmp.Diff(events, p.events); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
	p.events = nil
}

// world is a watcher over a real database and real name servers, on a simulated clock.
type world struct {
	*verify.Watcher
	*field
	*storetest.DB
	t       testing.TB
	post    *post
	options verify.WatcherOptions // for the watchers of other nodes

	mu  sync.Mutex
	now time.Time
}

func newWorld(t testing.TB, f *field, mod func(*verify.WatcherOptions)) *world {
	t.Helper()
	w := &world{field: f, DB: storetest.OpenSQLite(t), t: t, post: &post{}, now: time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)}
	for _, id := range []string{"one", "two"} {
		if _, err := w.System.CreateOperator(t.Context(), waypost.CommandLine(), waypost.Operator{ID: id, Name: id, Product: waypost.ProductServermate, Created: w.now}); err != nil {
			t.Fatal(err)
		}
	}
	o := verify.WatcherOptions{
		System: w.System, Checker: f.checker, Signing: func() string { return "wp1" }, Changed: w.post.forget,
		Notices: w.post, Now: w.clock, Log: slog.New(slog.DiscardHandler),
	}
	if mod != nil {
		mod(&o)
	}
	w.Watcher, w.options = verify.NewWatcher(o), o
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) set(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = now
}

func (w *world) claim(operatorID, name string) store.CheckedDomain {
	w.t.Helper()
	d := waypost.Domain{ID: waypost.NewID(), OperatorID: operatorID, Name: name, Proof: "key-of-" + operatorID, Created: w.clock()}
	if err := w.Store.ClaimDomain(w.t.Context(), waypost.CommandLine(), operatorID, d, 100); err != nil {
		w.t.Fatal(err)
	}
	return w.read(d.ID)
}

func (w *world) sender(operatorID, address string) {
	w.t.Helper()
	err := w.Store.AddSender(w.t.Context(), waypost.CommandLine(), operatorID, waypost.Sender{
		ID: waypost.NewID(), OperatorID: operatorID, Address: address, State: waypost.SenderRequested, Created: w.clock(),
	}, 100)
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) senderStates(operatorID string) map[string]waypost.SenderState {
	w.t.Helper()
	list, err := w.Store.Senders(w.t.Context(), operatorID)
	if err != nil {
		w.t.Fatal(err)
	}
	states := map[string]waypost.SenderState{}
	for _, s := range list {
		states[s.Address] = s.State
	}
	return states
}

func (w *world) read(id string) store.CheckedDomain {
	w.t.Helper()
	d, err := w.System.AnyDomain(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) tick() {
	w.t.Helper()
	if err := w.Tick(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.Wait()
}

// next puts the clock to where a domain is due, and checks it.
func (w *world) next(id string) store.CheckedDomain {
	w.t.Helper()
	w.set(w.read(id).Next)
	w.tick()
	return w.read(id)
}

// over checks a domain whenever it is due until a time has passed, and counts.
func (w *world) over(id string, span time.Duration) int {
	w.t.Helper()
	end, n := w.clock().Add(span), 0
	for !w.read(id).Next.After(end) {
		w.next(id)
		n++
	}
	w.set(end)
	return n
}

func (w *world) authorized(id string, want bool) {
	w.t.Helper()
	if d := w.read(id); d.Authorized.IsZero() == want {
		w.t.Errorf("at %v: proven %v, authorized %v\n%s", w.clock(), d.Proven, d.Authorized, d.Report)
	}
}

// history compares the events of a domain. Those of one check have no order.
func (w *world) history(operatorID, name string, want ...waypost.DomainEventType) {
	w.t.Helper()
	list, err := w.Store.DomainEvents(w.t.Context(), operatorID, name, "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	types := make([]waypost.DomainEventType, 0, len(list))
	for _, e := range list {
		types = append(types, e.Type)
	}
	slices.Sort(types)
	slices.Sort(want)
	if diff := cmp.Diff(want, types); diff != "" {
		w.t.Errorf("events of %s at %s (-want +got):\n%s", name, operatorID, diff)
	}
}

// ready is a world with one authorized domain of operator one and its notices read.
func ready(t testing.TB, mod func(*verify.WatcherOptions)) (*world, store.CheckedDomain) {
	t.Helper()
	w := newWorld(t, newField(t, "sender.test"), mod)
	w.publish("sender.test", "key-of-one")
	d := w.claim("one", "sender.test")
	w.tick()
	w.authorized(d.ID, true)
	w.post.want(t, "one: proven authorized")
	return w, w.read(d.ID)
}
