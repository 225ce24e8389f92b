package verify_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

func (f *field) check(t testing.TB, rivals ...string) verify.Report {
	t.Helper()
	return f.checker.Check(t.Context(), waypost.Domain{ID: "d", OperatorID: "one", Name: "sender.test", Proof: "key"}, rivals, time.Now())
}

func advised(i verify.Item) []string {
	list := make([]string, 0, len(i.Advice))
	for _, a := range i.Advice {
		list = append(list, string(a.Code))
	}
	return list
}

func TestWhatIsPublishedAsAskedIsRight(t *testing.T) {
	f := newField(t, "sender.test")
	r := f.check(t)
	if r.Ready() || len(r.Items) != 6 {
		t.Errorf("%+v", r)
	}
	for _, i := range r.Items { // the report itself says what to publish
		if i.Verdict != verify.Missing || len(i.Advice) == 0 || i.Record.Value == "" {
			t.Errorf("with nothing there: %+v", i)
		}
		value := i.Record.Value
		if i.Record.Type == "TXT" {
			value = `"` + value + `"`
		}
		record := i.Record.Type + " " + value
		if i.Part == verify.SPFPart { // at the same name as the ownership record
			f.Set("sender.test", record, `TXT "waypost_verify.key"`, `TXT "another=service"`)
			continue
		}
		f.Set(i.Record.Name, record)
	}
	r = f.check(t)
	if !r.Ready() {
		t.Errorf("%+v", r)
	}
	for _, i := range r.Items {
		if i.Verdict != verify.OK || i.Servers != "" {
			t.Errorf("%+v", i)
		}
	}
	if zone := verify.Zone(r); zone != "" {
		t.Errorf("still to publish: %s", zone)
	}
}

func TestEachMistakeOfPanelsIsRecognized(t *testing.T) {
	const key1 = "wp1._domainkey.sender.test"
	for name, tc := range map[string]struct {
		spoil   func(f *field)
		part    verify.Part
		verdict verify.Verdict
		code    string
		says    string
	}{
		"name doubled": {func(f *field) {
			f.Set(key1)
			f.Set(key1+".sender.test", "CNAME dkim1.platform.test.")
		}, verify.DKIM1, verify.Missing, "dkim_name_doubled", "enter the name without it, as wp1._domainkey."},
		"value doubled": {func(f *field) {
			f.Set(key1, "CNAME dkim1.platform.test.sender.test.")
		}, verify.DKIM1, verify.Wrong, "dkim_wrong", "with a dot at its end"},
		"elsewhere": {func(f *field) {
			f.Set(key1, "CNAME dkim.other.test.")
		}, verify.DKIM1, verify.Wrong, "dkim_wrong", "points to dkim.other.test. It has to point to dkim1.platform.test"},
		"the two exchanged": {func(f *field) {
			f.Set(key1, "CNAME dkim2.platform.test.")
		}, verify.DKIM1, verify.Wrong, "dkim_wrong", "points to dkim2.platform.test"},
		"flattened": {func(f *field) {
			f.Set(key1, `TXT "v=DKIM1; p=AAAA"`)
		}, verify.DKIM1, verify.Wrong, "dkim_text", "TXT record at this name instead of a CNAME"},
		"second missing": {func(f *field) {
			f.Set("wp2._domainkey.sender.test")
		}, verify.DKIM2, verify.Missing, "dkim_missing", "the name is wp2._domainkey."},
		"another key": {func(f *field) {
			f.Set("sender.test", `TXT "waypost_verify.other"`, `TXT "v=spf1 include:spf.platform.test -all"`)
		}, verify.Ownership, verify.Wrong, "ownership_wrong", "another key"},
		"no key": {func(f *field) {
			f.Set("sender.test", `TXT "v=spf1 include:spf.platform.test -all"`)
		}, verify.Ownership, verify.Missing, "ownership_missing", "some panels call that name @"},
		"return path elsewhere": {func(f *field) {
			f.Set("bounce.sender.test", "CNAME mail.sender.test.")
		}, verify.ReturnPath, verify.Wrong, "return_path_wrong", "come back through the platform's domain"},
		"return path missing": {func(f *field) {
			f.Set("bounce.sender.test")
		}, verify.ReturnPath, verify.Missing, "return_path_missing", "Recommended"},
		"DMARC missing": {func(f *field) {
			f.Set("_dmarc.sender.test")
		}, verify.DMARCPart, verify.Missing, "dmarc_missing", ""},
		"SPF missing": {func(f *field) {
			f.Set("sender.test", `TXT "waypost_verify.key"`)
		}, verify.SPFPart, verify.Missing, "spf_missing", ""},
		"include missing": {func(f *field) {
			f.Set("sender.test", `TXT "waypost_verify.key"`, `TXT "v=spf1 a -all"`)
		}, verify.SPFPart, verify.Wrong, "spf_include_missing", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newField(t, "sender.test")
			f.publish("sender.test", "key")
			tc.spoil(f)
			r := f.check(t)
			i := r.Item(tc.part)
			n := slices.Index(advised(i), tc.code)
			if i.Verdict != tc.verdict || n < 0 || !strings.Contains(i.Advice[n].Text, tc.says) {
				t.Errorf("%s: %+v", i.Verdict, i)
			}
			if r.Ready() != (tc.part == verify.ReturnPath) {
				t.Errorf("ready: %v", r.Ready())
			}
			for _, other := range r.Items {
				if other.Part != tc.part && other.Verdict != verify.OK {
					t.Errorf("%s is %s too", other.Part, other.Verdict)
				}
			}
		})
	}
}

func TestAnAliasAtTheApexIsExplained(t *testing.T) {
	f := newField(t, "sender.test")
	f.publish("sender.test", "key")
	f.Set("sender.test", "CNAME www.hoster.test.")
	i := f.check(t).Item(verify.Ownership)
	if i.Verdict != verify.Wrong || !slices.Equal(advised(i), []string{"ownership_alias"}) || !strings.Contains(i.Advice[0].Text, "www.hoster.test") {
		t.Errorf("%+v", i)
	}
}

func TestARecordThatOnlyOneServerHasCountsAndSaysSo(t *testing.T) {
	f := newField(t, "sender.test")
	f.publish("sender.test", "key")
	f.Server("ns2.sender.test").Set("wp1._domainkey.sender.test")
	f.Server("ns2.sender.test").Set("sender.test", `TXT "v=spf1 include:spf.platform.test -all"`)
	r := f.check(t)
	for _, part := range []verify.Part{verify.DKIM1, verify.Ownership} {
		i := r.Item(part)
		if i.Verdict == verify.Missing || !strings.Contains(i.Servers, "ns2.sender.test") || strings.Contains(i.Servers, "ns1.") {
			t.Errorf("%+v", i)
		}
	}
	if i := r.Item(verify.DKIM1); i.Verdict != verify.OK {
		t.Errorf("%+v", i)
	}
	if i := r.Item(verify.DKIM2); i.Servers != "" {
		t.Errorf("%+v", i)
	}
	// One that does not answer is no other opinion.
	f.publish("sender.test", "key")
	for _, name := range []string{"sender.test", "wp1._domainkey.sender.test"} {
		f.Server("ns2.sender.test").Fault(name, dnstest.ServFail)
	}
	for _, i := range f.check(t).Items {
		if i.Verdict != verify.OK || i.Servers != "" {
			t.Errorf("%+v", i)
		}
	}
}

func TestServersThatDoNotAnswerSayNothing(t *testing.T) {
	f := newField(t, "sender.test")
	f.publish("sender.test", "key")
	f.away("sender.test", dnstest.ServFail)
	r := f.check(t)
	for _, i := range r.Items {
		if i.Verdict != verify.Unknown || len(i.Advice) == 0 || i.Advice[0].Level == verify.AdviceError {
			t.Errorf("%+v", i)
		}
	}
	if r.Ready() {
		t.Error("ready")
	}
}

func TestCachesThatRememberNothingAreToldOf(t *testing.T) {
	f := newField(t, "sender.test")
	f.publish("sender.test", "key")
	caches, err := dns.New(dns.Options{Server: f.Resolver.Addr, CacheBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	f.checker.Caches = caches
	f.Resolver.Set("wp1._domainkey.sender.test")
	r := f.check(t)
	if i := r.Item(verify.DKIM1); i.Verdict != verify.OK || !strings.Contains(i.Servers, "passes within hours") {
		t.Errorf("%+v", i)
	}
	if i := r.Item(verify.DKIM2); i.Verdict != verify.OK || i.Servers != "" {
		t.Errorf("%+v", i)
	}
}

func TestARivalsKeyBlocksOneOfOurs(t *testing.T) {
	f := newField(t, "sender.test")
	f.publish("sender.test", "key")
	f.Set("sender.test", `TXT "waypost_verify.key"`, `TXT "waypost_verify.rival"`, `TXT "v=spf1 include:spf.platform.test -all"`)
	if i := f.check(t).Item(verify.Ownership); i.Verdict != verify.OK {
		t.Errorf("a key of nobody counts: %+v", i)
	}
	if i := f.check(t, "rival").Item(verify.Ownership); i.Verdict != verify.Wrong || advised(i)[0] != "ownership_other" {
		t.Errorf("%+v", i)
	}
	if i := f.check(t, "gone").Item(verify.Ownership); i.Verdict != verify.OK {
		t.Errorf("%+v", i)
	}
}

func TestWhereTheUpstreamSignsAKeyHasToBeBehindTheCNAME(t *testing.T) {
	f := newField(t, "sender.test")
	f.checker.Settings.UpstreamSigns = true
	f.publish("sender.test", "key")
	r := f.check(t)
	if !r.Ready() || len(r.Items) != 5 || r.Item(verify.ReturnPath).Part != "" {
		t.Errorf("%+v", r)
	}
	f.Set("dkim1.platform.test")
	f.Set("dkim2.platform.test", `TXT "not a key"`)
	r = f.check(t)
	for _, part := range []verify.Part{verify.DKIM1, verify.DKIM2} {
		if i := r.Item(part); i.Verdict != verify.Wrong || !slices.Contains(advised(i), "dkim_no_key") {
			t.Errorf("%+v", i)
		}
	}
	f.Server("ns.platform.test").Fault("dkim1.platform.test", dnstest.ServFail)
	if i := f.check(t).Item(verify.DKIM1); i.Verdict != verify.Unknown {
		t.Errorf("%+v", i)
	}
	r = f.checker.Check(t.Context(), waypost.Domain{Name: "sender.test"}, nil, time.Now())
	if i := r.Item(verify.Ownership); i.Verdict != verify.Missing || advised(i)[0] != "ownership_key_awaited" || i.Record.Value != "" {
		t.Errorf("without a key: %+v", i)
	}
}

// A domain is not taken from its owner because one of its name servers lags behind, or
// is silent.
func TestADomainIsTakenOverOnlyWhenAllItsServersSaySo(t *testing.T) {
	const mine, theirs = `TXT "waypost_verify.key"`, `TXT "waypost_verify.rival"`
	for name, c := range map[string]struct {
		ns1, ns2 []string
		silent   bool
		want     verify.Verdict
	}{
		"both let go":        {[]string{mine}, []string{mine}, false, verify.OK},
		"one lags behind":    {[]string{mine}, []string{mine, theirs}, false, verify.Wrong},
		"the other lags":     {[]string{mine, theirs}, []string{mine}, false, verify.Wrong},
		"one has theirs":     {[]string{mine}, []string{theirs}, false, verify.Wrong},
		"one does not speak": {[]string{mine}, []string{mine}, true, verify.Unknown},
	} {
		f := newField(t, "sender.test")
		f.Server("ns1.sender.test").Set("sender.test", c.ns1...)
		f.Server("ns2.sender.test").Set("sender.test", c.ns2...)
		if c.silent {
			f.Server("ns2.sender.test").Fault("sender.test", dnstest.ServFail)
		}
		if got := f.check(t, "rival").Item(verify.Ownership); got.Verdict != c.want {
			t.Errorf("%s: %s, want %s (%v)", name, got.Verdict, c.want, advised(got))
		}
	}
}
