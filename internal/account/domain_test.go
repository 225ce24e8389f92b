package account_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func (w *world) claim(t testing.TB, operatorID, name string) store.CheckedDomain {
	t.Helper()
	d, err := w.ClaimDomain(t.Context(), waypost.Actor{ID: "credential:x"}, operatorID, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// authorize is a check that finds everything in order.
func (w *world) authorize(t testing.TB, d store.CheckedDomain, on bool) store.CheckedDomain {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	c := store.DomainCheck{CheckedDomain: d, Before: d.Checked}
	c.Proven, c.Authorized, c.Checked, c.Next = now, now, now, now.Add(time.Hour)
	if !on {
		c.Authorized = time.Time{}
	}
	if !c.Checked.After(d.Checked) {
		c.Checked = d.Checked.Add(time.Millisecond)
	}
	if _, err := w.system.SaveDomainCheck(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	w.dir.Forget(d.OperatorID)
	return c.CheckedDomain
}

func TestClaimDomainRefusesWhatIsNobodysOwn(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, waypost.ProductServermate)
	for name, says := range map[string]string{
		"":                                       "like example.com",
		" ":                                      "like example.com",
		".":                                      "like example.com",
		"localhost":                              "like example.com",
		"com":                                    "like example.com",
		"com.":                                   "like example.com",
		"exa mple.test":                          "like example.com",
		"a..test":                                "like example.com",
		".sender.test":                           "like example.com",
		"*.sender.test":                          "like example.com",
		"http://sender.test":                     "like example.com",
		"sender.test/path":                       "like example.com",
		"alarm@sender.test":                      "like example.com",
		"sender.test:25":                         "like example.com",
		"sen\x00der.test":                        "like example.com",
		"sender.test\r\nx.test":                  "like example.com",
		"_dmarc.sender.test":                     "like example.com",
		"a_b.sender.test":                        "like example.com",
		"[192.0.2.1]":                            "like example.com",
		"2001:db8::1":                            "like example.com",
		"\xff.test":                              "like example.com",
		strings.Repeat("a", 64) + ".test":        "like example.com",
		strings.Repeat("abcdefgh.", 40) + "test": "like example.com",
		strings.Repeat("b\u00fc.", 100000) + "test": "like example.com",
		"192.0.2.1":               "not an address",
		"1.2":                     "not an address",
		"co.uk":                   "below co.uk",
		"CO.UK.":                  "below co.uk",
		"github.io":               "below github.io",
		"\u9999\u6e2f":            "like example.com",
		"\u516c\u53f8.cn":         "below xn--55qx5d.cn",
		"platform.example":        "platform's own",
		"Platform.Example.":       "platform's own",
		"mail.platform.example":   "platform's own",
		"a.b.platform.example":    "platform's own",
		"bounce.platform.EXAMPLE": "platform's own",
	} {
		_, err := w.ClaimDomain(t.Context(), waypost.Actor{ID: "credential:x"}, op, name)
		if f := fields(err); len(f) != 1 || f[0] != "domain" || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60q: %v, want %q", name, err, says)
		}
	}
	if list, err := w.store.Domains(t.Context(), op); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestClaimDomainRefusesTheDefaultSendersDomain(t *testing.T) {
	w := newWorld(t)
	w.serve(w.ring, route.Platform{Domain: "platform.example", From: waypost.Address{Email: "no-reply@brand.example"}})
	op := w.operator(t, waypost.ProductServermate)
	for _, name := range []string{"brand.example", "mail.brand.example", "platform.example"} {
		if _, err := w.ClaimDomain(t.Context(), waypost.CommandLine(), op, name); fields(err) == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"xbrand.example", "brand.example.test"} {
		w.claim(t, op, name)
	}
}

func TestClaimDomainKeepsOneFormOfAName(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, waypost.ProductServermate)
	for name, want := range map[string]string{
		" Sender.TEST. ":   "sender.test",
		"b\u00fccher.test": "xn--bcher-kva.test",
		"mail.sender.test": "mail.sender.test",
		"a-b.1.test":       "a-b.1.test",
		"\u043f\u043e\u0447\u0442\u0430.\u0440\u0444": "xn--80a1acny.xn--p1ai",
	} {
		d := w.claim(t, op, name)
		if d.Name != want || d.OperatorID != op || len(d.Proof) != 32 || !d.Proven.IsZero() || !d.Authorized.IsZero() {
			t.Errorf("%q: %+v", name, d)
		}
	}
	for _, again := range []string{"sender.test", "SENDER.test", "B\u00dcCHER.test", "xn--bcher-kva.test"} {
		if _, err := w.ClaimDomain(t.Context(), waypost.CommandLine(), op, again); waypost.KindOf(err) != waypost.Conflict {
			t.Errorf("%q: %v", again, err)
		}
	}
}

func TestAKeyIsOfOneOperatorAndDomainAndStaysTheSame(t *testing.T) {
	w := newWorld(t)
	one, two := w.operator(t, waypost.ProductServermate), w.operator(t, waypost.ProductServermate)
	first := w.claim(t, one, "sender.test")
	seen := map[string]bool{first.Proof: true}
	for _, d := range []store.CheckedDomain{w.claim(t, two, "sender.test"), w.claim(t, one, "other.test"), w.claim(t, one, "mail.sender.test")} {
		if seen[d.Proof] {
			t.Errorf("%+v has a key that is used", d)
		}
		seen[d.Proof] = true
	}
	if err := w.RemoveDomain(t.Context(), waypost.CommandLine(), two, first.ID); waypost.KindOf(err) != waypost.NotFound {
		t.Errorf("removed by another: %v", err)
	}
	if err := w.RemoveDomain(t.Context(), waypost.CommandLine(), one, first.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.RemoveDomain(t.Context(), waypost.CommandLine(), one, first.ID); waypost.KindOf(err) != waypost.NotFound {
		t.Errorf("removed twice: %v", err)
	}
	again := w.claim(t, one, "Sender.test")
	if again.Proof != first.Proof || again.ID == first.ID {
		t.Errorf("%+v, was %+v", again, first)
	}
	// Another installation has another key.
	w.serve(newRing(t, 9), route.Platform{Domain: "platform.example"})
	if other := w.claim(t, two, "third.test"); other.Proof == "" {
		t.Error("no key")
	}
	if err := w.RemoveDomain(t.Context(), waypost.CommandLine(), one, again.ID); err != nil {
		t.Fatal(err)
	}
	if other := w.claim(t, one, "sender.test"); other.Proof == first.Proof {
		t.Error("the key does not depend on the instance key")
	}
}

func TestDomainsAreBounded(t *testing.T) {
	w := newWorld(t)
	op, other := w.operator(t, waypost.ProductServermate), w.operator(t, waypost.ProductServermate)
	var last store.CheckedDomain
	for n := range 100 {
		last = w.claim(t, op, fmt.Sprintf("d%d.test", n))
	}
	if _, err := w.ClaimDomain(t.Context(), waypost.CommandLine(), op, "more.test"); waypost.KindOf(err) != waypost.Conflict || waypost.AsError(err).Code != "too_many_domains" {
		t.Errorf("%v", err)
	}
	w.claim(t, other, "more.test")
	if err := w.RemoveDomain(t.Context(), waypost.CommandLine(), op, last.ID); err != nil {
		t.Fatal(err)
	}
	w.claim(t, op, "more.test")
}

func TestASandboxHasNoDomains(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, waypost.ProductServermate)
	w.serve(w.ring, route.Platform{})
	if _, err := w.ClaimDomain(t.Context(), waypost.CommandLine(), op, "sender.test"); waypost.KindOf(err) != waypost.Conflict || waypost.AsError(err).Code != "sandbox" {
		t.Errorf("%v", err)
	}
}

func TestADomainGivenUpIsNotUsedAtOnce(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, waypost.ProductServermate)
	d := w.authorize(t, w.claim(t, op, "sender.test"), true)
	if got, ok := w.get(t, op).DomainFor("a@sender.test"); !ok || got.Authorized.IsZero() {
		t.Fatalf("%+v", got)
	}
	if err := w.RemoveDomain(t.Context(), waypost.CommandLine(), op, d.ID); err != nil {
		t.Fatal(err)
	}
	if got, ok := w.get(t, op).DomainFor("a@sender.test"); ok {
		t.Errorf("%+v", got)
	}
}

func TestClaimDomainTellsACancelledCallFromARefusal(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, waypost.ProductServermate)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.ClaimDomain(ctx, waypost.CommandLine(), op, "sender.test")
	if _, ok := errors.AsType[account.Problems](err); ok || err == nil {
		t.Errorf("%v", err)
	}
}

func TestDomainsGetTheSortOfKeyThatTheSettingsAskFor(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, waypost.ProductServermate)
	own := w.claim(t, op, "own.test")
	upstream := func(signs bool) {
		t.Helper()
		w.Service = account.New(account.Options{
			Store: w.store, System: w.system, Directory: w.dir, Ring: w.ring, Platform: route.Platform{Domain: "platform.example"}, UpstreamSigns: signs,
		})
		if err := w.KeyDomains(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	proof := func(id string) string {
		t.Helper()
		d, err := w.store.Domain(t.Context(), op, id)
		if err != nil {
			t.Fatal(err)
		}
		return d.Proof
	}
	upstream(true)
	foreign, keyless := w.claim(t, op, "foreign.test"), w.claim(t, op, "keyless.test")
	if _, err := w.SetDomainProof(t.Context(), waypost.Actor{ID: "support"}, foreign.ID, "upstream-key"); err != nil {
		t.Fatal(err)
	}
	upstream(true)
	if waiting, err := w.KeyRequests(t.Context(), "", 10); err != nil || len(waiting) != 2 || proof(own.ID) != "" || proof(foreign.ID) != "upstream-key" {
		t.Errorf("%+v, %v", waiting, err)
	}
	upstream(false)
	if proof(own.ID) != own.Proof || proof(foreign.ID) != "upstream-key" || proof(keyless.ID) == "" {
		t.Errorf("%q %q %q", proof(own.ID), proof(foreign.ID), proof(keyless.ID))
	}
}
