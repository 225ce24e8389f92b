package verify_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// Who says it in another language takes the sentences apart that are written here.
func TestTheDetailsOfDriftCanBeReadAgain(t *testing.T) {
	now := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	d := waypost.Domain{ID: "d", OperatorID: "o", Name: "a.test", Proven: now.Add(-time.Hour), Authorized: now.Add(-time.Hour)}
	parts := []verify.Part{verify.Ownership, verify.SPFPart, verify.DKIM1, verify.DKIM2, verify.DMARCPart, verify.ReturnPath}
	for _, part := range parts {
		for _, want := range []verify.Verdict{verify.Missing, verify.Wrong, verify.OK} {
			doubt := verify.Doubt{Since: now.Add(-time.Hour), Checks: 5, Told: want == verify.OK}
			c := verify.Judge(d, verify.Watch{Doubts: map[verify.Part]verify.Doubt{part: doubt}},
				verify.Report{Items: []verify.Item{{Part: part, Required: true, Verdict: want}}}, verify.DKIM1, time.Time{}, now)
			if len(c.Events) == 0 {
				t.Errorf("%s %s: no event", part, want)
				continue
			}
			if p, v, ok := verify.ReadDrift(c.Events[0].Detail); !ok || p != part || v != want {
				t.Errorf("%q is read as %s %s, want %s %s", c.Events[0].Detail, p, v, part, want)
			}
		}
	}
	for _, other := range []string{"", "its ownership key was changed"} {
		if p, v, ok := verify.ReadDrift(other); ok {
			t.Errorf("%q is read as %s %s", other, p, v)
		}
	}
}

func TestWhatAdviceSaysBeyondItsCodeCanBeSaidInOtherLanguages(t *testing.T) {
	more := []verify.AdviceCode{
		verify.DMARCInvalid, verify.DMARCFault, verify.DMARCUnknown, verify.SPFSyntax, verify.SPFLookups, verify.SPFVoids, verify.SPFNoTarget,
		verify.SPFUnknown, verify.SPFPermError,
	}
	all := allAdvice(t)
	seen := map[verify.AdviceCode]bool{}
	for _, a := range all {
		if facts := a.Detail.Facts(); (len(facts) > 0) != slices.Contains(more, a.Code) {
			t.Errorf("%s: %s\n%+v", a.Code, a.Text, facts)
		}
		seen[a.Code] = true
	}
	for _, code := range more {
		if !seen[code] {
			t.Errorf("no case is about %s", code)
		}
	}
	said := verify.Report{At: time.Unix(1, 0).UTC(), Items: []verify.Item{{Part: verify.Ownership, Advice: all[:2]}, {Part: verify.SPFPart, Advice: all}}}
	text, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	var read verify.Report
	if err := json.Unmarshal(text, &read); err != nil || !cmp.Equal(read, said) {
		t.Errorf("%v: %s", err, cmp.Diff(said, read))
	}
	if shown, err := json.Marshal(read.Items); err != nil || strings.Contains(string(shown), "detail") {
		t.Errorf("%v: programs see %s", err, shown)
	}
	if err := json.Unmarshal([]byte("[]"), &read); err == nil {
		t.Error("a list is read as a report")
	}
}

func TestWhatOnlySomeNameServersSeeCanBeReadAgain(t *testing.T) {
	f := newField(t, "a.test")
	f.publish("a.test", "key")
	f.Server("ns2.a.test").Set("wp1._domainkey.a.test")
	r := f.checker.Check(t.Context(), waypost.Domain{Name: "a.test", Proof: "key"}, nil, time.Now())
	item := r.Item(verify.DKIM1)
	if servers, cached := item.Behind(); servers != "ns2.a.test" && servers != "ns1.a.test" || cached {
		t.Errorf("%q is read as %q, %v", item.Servers, servers, cached)
	}
	if servers, cached := r.Item(verify.DKIM2).Behind(); servers != "" || cached {
		t.Errorf("%q, %v", servers, cached)
	}
	f.Server("ns2.a.test").Set("wp1._domainkey.a.test", "CNAME dkim1.platform.test.")
	cold := dnstest.Start(t, dnstest.Zones{}) // a resolver that knows nothing of it yet
	f.checker.Caches = resolverAt(t, cold.Addr)
	r = f.checker.Check(t.Context(), waypost.Domain{Name: "a.test", Proof: "key"}, nil, time.Now())
	if servers, cached := r.Item(verify.DKIM1).Behind(); servers != "" || !cached {
		t.Errorf("%q is read as %q, %v", r.Item(verify.DKIM1).Servers, servers, cached)
	}
}

func TestEachOperatorMayAskForSoManyChecks(t *testing.T) {
	a := verify.NewAsks()
	var err error
	for range 40 {
		if err = a.Allow("one"); err != nil {
			break
		}
	}
	if waypost.KindOf(err) != waypost.RateLimited {
		t.Errorf("%v", err)
	}
	if err := a.Allow("two"); err != nil {
		t.Errorf("another operator pays for it: %v", err)
	}
}

func resolverAt(t testing.TB, addr string) dns.Resolver {
	t.Helper()
	r, err := dns.New(dns.Options{Server: addr, CacheBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
