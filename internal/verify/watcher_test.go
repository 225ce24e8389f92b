package verify_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

func TestTickChecksWhatIsDueAndOnlyThat(t *testing.T) {
	names := []string{"a.test", "b.test", "c.test", "d.test", "e.test", "f.test"}
	w := newWorld(t, newField(t, names...), nil)
	ids := map[string]string{}
	for _, name := range names {
		w.publish(name, "key-of-one")
		ids[name] = w.claim("one", name).ID
	}
	w.set(w.clock().Add(-time.Second))
	w.tick()
	for name, id := range ids {
		if !w.read(id).Checked.IsZero() {
			t.Errorf("%s was checked before it was due", name)
		}
	}
	w.set(w.clock().Add(time.Second))
	w.tick() // more than are checked at once
	first := map[string]store.CheckedDomain{}
	for name, id := range ids {
		d := w.read(id)
		if d.Authorized.IsZero() || !d.Checked.Equal(w.clock()) || !d.Next.After(w.clock()) {
			t.Errorf("%s: %+v", name, d)
		}
		first[id] = d
	}
	if err := w.Store.LookAtDomain(t.Context(), "one", ids["c.test"], w.clock(), w.clock()); err != nil {
		t.Fatal(err)
	}
	w.set(w.clock().Add(time.Second))
	w.tick()
	for name, id := range ids {
		if again := w.read(id).Checked.After(first[id].Checked); again != (name == "c.test") {
			t.Errorf("%s was checked again: %v", name, again)
		}
	}
	if next := w.read(ids["c.test"]).Next.Sub(w.clock()); next > time.Minute {
		t.Errorf("while somebody looks it is checked after %v", next)
	}
}

func TestTheSigningKeyLostAndFound(t *testing.T) {
	w, d := ready(t, nil)
	w.sender("one", "alarm@sender.test")
	w.sender("one", "*@sender.test")
	w.sender("one", "x@other.test")
	want := map[string]waypost.SenderState{"alarm@sender.test": "assigned", "*@sender.test": "assigned", "x@other.test": "requested"}
	w.next(d.ID)
	if diff := cmp.Diff(want, w.senderStates("one")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"one: *@sender.test alarm@sender.test"}, w.post.assigned); diff != "" {
		t.Error(diff)
	}
	w.post.want(t)

	w.Set("wp1._domainkey.sender.test")
	gone := w.next(d.ID)
	lost := w.clock()
	w.authorized(d.ID, true)
	if wait := gone.Next.Sub(lost); wait > 5*time.Minute {
		t.Errorf("looks again after %v", wait)
	}
	for w.read(d.ID).Next.Sub(lost) < 15*time.Minute {
		w.next(d.ID)
		w.authorized(d.ID, true)
	}
	w.post.want(t)
	w.next(d.ID)
	w.authorized(d.ID, false)
	w.post.want(t, "one: drifted lapsed")
	if took := w.clock().Sub(lost); took < 15*time.Minute || took > 25*time.Minute {
		t.Errorf("it lapsed after %v", took)
	}
	w.over(d.ID, 3*24*time.Hour)
	w.authorized(d.ID, false)
	w.post.want(t)
	if w.read(d.ID).Proven.IsZero() {
		t.Error("it is not proven any more")
	}

	w.Set("wp1._domainkey.sender.test", "CNAME dkim1.platform.test.")
	w.next(d.ID)
	w.authorized(d.ID, true)
	w.post.want(t, "one: mended authorized")
	if diff := cmp.Diff(want, w.senderStates("one")); diff != "" {
		t.Error(diff)
	}
	if len(w.post.assigned) != 1 {
		t.Errorf("senders are told of again: %v", w.post.assigned)
	}
	w.history("one", "sender.test", "claimed", "proven", "authorized", "sender_added", "sender_added", "sender_assigned", "sender_assigned",
		"drifted", "lapsed", "mended", "authorized")
	if n := w.over(d.ID, 7*24*time.Hour); n > 8 {
		t.Errorf("%d checks in a settled week", n)
	}
	w.post.want(t)
}

func TestAKeyThatDoesNotSignOnlyWarns(t *testing.T) {
	w, d := ready(t, func(o *verify.WatcherOptions) { o.Signing = func() string { return "wp2" } })
	w.Set("wp1._domainkey.sender.test", "CNAME elsewhere.test.")
	w.over(d.ID, 3*24*time.Hour)
	w.authorized(d.ID, true)
	w.post.want(t, "one: drifted")
	w.Set("wp2._domainkey.sender.test")
	w.over(d.ID, 3*24*time.Hour)
	w.authorized(d.ID, false)
	w.post.want(t, "one: drifted lapsed")
}

func TestNameServersThatAreAwayForAWeekChangeNothing(t *testing.T) {
	for name, fault := range map[string]dnstest.Fault{"SERVFAIL": dnstest.ServFail, "REFUSED": dnstest.Refuse} {
		t.Run(name, func(t *testing.T) {
			w, d := ready(t, nil)
			w.away("sender.test", fault)
			if n := w.over(d.ID, 7*24*time.Hour); n < 5 || n > 200 {
				t.Errorf("%d checks", n)
			}
			w.authorized(d.ID, true)
			if got := w.read(d.ID); got.Proven.IsZero() || !got.ReturnPath || !strings.Contains(got.Report, "dns_unknown") {
				t.Errorf("%+v", got)
			}
			w.away("sender.test", dnstest.None)
			w.over(d.ID, 2*24*time.Hour)
			w.authorized(d.ID, true)
			w.post.want(t)
		})
	}
}

// A record that comes and goes with name servers that fail in between is no drift.
func TestDoubtsAreNotConfirmedByServersThatAreAway(t *testing.T) {
	w, d := ready(t, nil)
	w.Set("wp1._domainkey.sender.test")
	w.next(d.ID)
	w.away("sender.test", dnstest.ServFail)
	w.over(d.ID, 24*time.Hour)
	w.authorized(d.ID, true)
	w.away("sender.test", dnstest.None)
	w.next(d.ID) // the second that sees it gone, a day after the first
	w.authorized(d.ID, true)
	w.Set("wp1._domainkey.sender.test", "CNAME dkim1.platform.test.")
	w.over(d.ID, 24*time.Hour)
	w.authorized(d.ID, true)
	w.post.want(t)
}

func TestSPFAndDMARCDriftOnlyWarn(t *testing.T) {
	for name, broken := range map[string]struct{ owner, record string }{
		"SPF":   {"sender.test", `TXT "v=spf1 mx -all"`},
		"DMARC": {"_dmarc.sender.test", `TXT "nothing"`},
	} {
		t.Run(name, func(t *testing.T) {
			w, d := ready(t, nil)
			records := []string{broken.record}
			if name == "SPF" {
				records = append(records, `TXT "waypost_verify.key-of-one"`)
			}
			w.Set(broken.owner, records...)
			w.over(d.ID, 3*24*time.Hour)
			w.authorized(d.ID, true)
			w.post.want(t, "one: drifted")
			w.publish("sender.test", "key-of-one")
			w.next(d.ID)
			w.post.want(t, "one: mended")
			w.authorized(d.ID, true)
		})
	}
}

func TestTheReturnPathIsUsedWhileItIsThere(t *testing.T) {
	w, d := ready(t, nil)
	if !w.read(d.ID).ReturnPath {
		t.Error("not used")
	}
	w.Set("bounce.sender.test")
	w.next(d.ID)
	if w.read(d.ID).ReturnPath {
		t.Error("used though it is gone")
	}
	w.authorized(d.ID, true)
	w.post.want(t)
}

func TestOwnershipLostIsLostAfterAWhile(t *testing.T) {
	w, d := ready(t, nil)
	w.Set("sender.test", `TXT "v=spf1 include:spf.platform.test -all"`)
	w.next(d.ID)
	w.authorized(d.ID, true)
	w.over(d.ID, 30*time.Minute)
	if got := w.read(d.ID); !got.Proven.IsZero() || !got.Authorized.IsZero() {
		t.Errorf("%+v", got)
	}
	w.over(d.ID, 2*24*time.Hour)
	w.post.want(t, "one: drifted lapsed")
	w.publish("sender.test", "key-of-one")
	w.over(d.ID, 2*24*time.Hour)
	w.authorized(d.ID, true)
	w.post.want(t, "one: mended proven authorized")
}

func TestOfTwoOperatorsOneHasTheDomainAndEachIsToldItsOwn(t *testing.T) {
	w, first := ready(t, nil)
	w.sender("one", "a@sender.test")
	w.next(first.ID)
	second := w.claim("two", "sender.test")
	w.sender("two", "a@sender.test")
	w.tick()
	w.authorized(second.ID, false)
	w.post.want(t)

	// Both keys are there: who has it keeps it.
	w.Set("sender.test", `TXT "waypost_verify.key-of-one"`, `TXT "waypost_verify.key-of-two"`, `TXT "v=spf1 include:spf.platform.test -all"`)
	w.next(second.ID)
	w.authorized(first.ID, true)
	w.authorized(second.ID, false)
	if report := w.read(second.ID).Report; !strings.Contains(report, "ownership_other") {
		t.Error(report)
	}
	w.post.want(t)

	w.post.changed = nil
	w.publish("sender.test", "key-of-two")
	got, err := w.CheckNow(t.Context(), "two", second.ID)
	if err != nil || got.Authorized.IsZero() {
		t.Fatalf("%+v, %v", got, err)
	}
	w.authorized(first.ID, false)
	if !w.read(first.ID).Proven.IsZero() {
		t.Error("two have proven one domain")
	}
	w.post.want(t, "one: taken", "two: proven authorized")
	if slices.Sort(w.post.changed); !slices.Contains(w.post.changed, "one") || !slices.Contains(w.post.changed, "two") {
		t.Errorf("changed: %v", w.post.changed)
	}
	if diff := cmp.Diff([]string{"one: a@sender.test", "two: a@sender.test"}, w.post.assigned); diff != "" {
		t.Error(diff)
	}
	w.history("one", "sender.test", "claimed", "proven", "authorized", "sender_added", "sender_assigned", "taken")
	w.over(first.ID, 2*24*time.Hour)
	w.authorized(first.ID, false)
	w.authorized(second.ID, true)
	w.post.want(t)
}

// The new key at all name servers and the old one at none is what the zone's holder says;
// one server that still has the old one, or is silent, may be all that is left of the owner.
func TestOneNameServerThatLagsHoldsATakeoverUp(t *testing.T) {
	w, first := ready(t, nil)
	second := w.claim("two", "sender.test")
	w.publish("sender.test", "key-of-two")
	lagging := w.Server("ns2.sender.test")
	kept := func() {
		t.Helper()
		w.next(second.ID)
		w.authorized(first.ID, true)
		if got := w.read(second.ID); !got.Proven.IsZero() {
			t.Errorf("proven at %v\n%s", got.Proven, got.Report)
		}
		w.post.want(t)
	}
	lagging.Set("sender.test", `TXT "waypost_verify.key-of-one"`, `TXT "v=spf1 include:spf.platform.test -all"`)
	kept()
	kept()
	lagging.Fault("sender.test", dnstest.ServFail)
	kept()
	w.publish("sender.test", "key-of-two")
	lagging.Fault("sender.test", dnstest.None)
	w.next(second.ID)
	w.authorized(first.ID, false)
	w.authorized(second.ID, true)
	w.post.want(t, "one: taken", "two: proven authorized")

	// What was taken over at once is lost as slowly as anything.
	w.Set("sender.test", `TXT "v=spf1 include:spf.platform.test -all"`)
	gone := w.clock()
	for range 3 {
		w.authorized(second.ID, true)
		w.next(second.ID)
	}
	w.over(second.ID, 30*time.Minute)
	w.authorized(second.ID, false)
	w.post.want(t, "two: drifted lapsed")
	if took := w.clock().Sub(gone); took < 15*time.Minute {
		t.Errorf("it lapsed after %v", took)
	}
}

func TestTheOwnerMayDecideAboutSenders(t *testing.T) {
	w := newWorld(t, newField(t, "sender.test"), func(o *verify.WatcherOptions) { o.Approve = true })
	w.publish("sender.test", "key-of-one")
	w.sender("one", "a@sender.test")
	d := w.claim("one", "sender.test")
	w.tick()
	w.authorized(d.ID, true)
	if state := w.senderStates("one")["a@sender.test"]; state != waypost.SenderRequested || len(w.post.assigned) != 0 {
		t.Errorf("%s, %v", state, w.post.assigned)
	}
}

// overtaken is a world whose next check is interrupted while it asks the DNS.
func overtaken(t *testing.T) (w *world, d store.CheckedDomain, interrupt func(func())) {
	t.Helper()
	w = newWorld(t, newField(t, "sender.test"), nil)
	w.publish("sender.test", "key-of-one")
	source, during := w.checker.Source, func() {}
	var once *sync.Once
	w.checker.Source = func() verify.Source {
		if once != nil {
			once.Do(during)
		}
		return source()
	}
	return w, w.claim("one", "sender.test"), func(f func()) { during, once = f, new(sync.Once) }
}

func TestACheckOvertakenByARemovalLeavesNothing(t *testing.T) {
	for _, way := range []string{"tick", "now"} {
		t.Run(way, func(t *testing.T) {
			w, d, interrupt := overtaken(t)
			interrupt(func() {
				if err := w.Store.RemoveDomain(t.Context(), waypost.CommandLine(), "one", d.ID); err != nil {
					t.Error(err)
				}
			})
			if way == "tick" {
				w.tick()
			} else if _, err := w.CheckNow(t.Context(), "one", d.ID); waypost.KindOf(err) != waypost.NotFound {
				t.Errorf("%v", err)
			}
			if list, err := w.Store.Domains(t.Context(), "one"); err != nil || len(list) != 0 {
				t.Errorf("%v, %v", list, err)
			}
			w.post.want(t)
			w.history("one", "sender.test", "claimed", "removed")
		})
	}
}

func TestOfTheChecksOfTwoNodesOneIsSaved(t *testing.T) {
	w, d, interrupt := overtaken(t)
	interrupt(func() {
		w.checker.Source = w.inner() // asks without interruption
		if got, err := verify.NewWatcher(w.options).CheckNow(t.Context(), "one", d.ID); err != nil || got.Authorized.IsZero() {
			t.Errorf("%+v, %v", got, err)
		}
	})
	got, err := w.CheckNow(t.Context(), "one", d.ID)
	if err != nil || got.Authorized.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	w.post.want(t, "one: proven authorized")
	w.history("one", "sender.test", "claimed", "proven", "authorized")
}

// inner is a source of its own over the same name servers.
func (w *world) inner() func() verify.Source {
	resolver, err := dns.New(dns.Options{Server: w.Resolver.Addr, CacheBytes: -1})
	if err != nil {
		w.t.Fatal(err)
	}
	authority := dns.NewAuthority(dns.AuthorityOptions{Resolver: resolver, Port: w.Port})
	return func() verify.Source { return authority.Session() }
}

func TestAChangedKeyWinsOverACheckUnderWay(t *testing.T) {
	w, d, interrupt := overtaken(t)
	interrupt(func() {
		if err := w.Store.SetDomainProof(t.Context(), waypost.CommandLine(), "one", d.ID, "another", w.clock()); err != nil {
			t.Error(err)
		}
	})
	got, err := w.CheckNow(t.Context(), "one", d.ID)
	if err != nil || !got.Proven.IsZero() || got.Proof != "another" {
		t.Errorf("%+v, %v", got, err)
	}
	w.post.want(t)
}

func TestCheckNowIsForTheDomainsOperatorOnly(t *testing.T) {
	w, d := ready(t, nil)
	for _, c := range []struct{ operator, id string }{{"two", d.ID}, {"one", "unknown"}, {"", d.ID}} {
		if _, err := w.CheckNow(t.Context(), c.operator, c.id); waypost.KindOf(err) != waypost.NotFound {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if !w.read(d.ID).Checked.Equal(d.Checked) {
		t.Error("it was checked")
	}
}

func TestAStoppedCheckIsMadeAgain(t *testing.T) {
	w, d, interrupt := overtaken(t)
	ctx, cancel := context.WithCancel(t.Context())
	interrupt(cancel)
	if err := w.Tick(ctx); err != nil {
		t.Error(err)
	}
	w.Wait()
	got := w.read(d.ID)
	if !got.Checked.IsZero() || got.Next.Sub(w.clock()) > 5*time.Minute {
		t.Errorf("%+v", got)
	}
	w.next(d.ID)
	w.authorized(d.ID, true)
}

func TestWhatIsRememberedMayBeUnreadable(t *testing.T) {
	w, d := ready(t, nil)
	check := store.DomainCheck{CheckedDomain: d, Before: d.Checked}
	check.Watch, check.Checked, check.Next = "{not JSON", d.Checked.Add(time.Second), w.clock()
	if _, err := w.System.SaveDomainCheck(t.Context(), check); err != nil {
		t.Fatal(err)
	}
	w.set(w.clock().Add(time.Minute))
	w.tick()
	w.authorized(d.ID, true)
	w.post.want(t)
}
