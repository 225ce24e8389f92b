package verify_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/verify"
)

// mandrill is the set-up of a platform whose upstream relay is Mandrill, which signs, as
// docs/operate.md has it, and a domain that has published all it asks for.
func mandrill(t *testing.T) *field {
	t.Helper()
	f := newField(t, "sender.test", "mandrillapp.com")
	f.checker.Settings = verify.Settings{
		Platform: "platform.test", Prefix: "mandrill", Include: "spf.mandrillapp.com",
		Selectors: [2]string{"mte1", "mte2"}, Targets: [2]string{"dkim1.mandrillapp.com", "dkim2.mandrillapp.com"},
		UpstreamSigns: true,
	}
	f.Set("spf.mandrillapp.com", `TXT "v=spf1 ip4:198.2.128.0/24 ip4:198.2.132.0/22 ?all"`)
	f.Set("dkim1.mandrillapp.com", `TXT "v=DKIM1; k=rsa; p=AAAA"`)
	f.Set("dkim2.mandrillapp.com", `TXT "v=DKIM1; k=rsa; p=AAAA"`)
	f.Set("sender.test", `TXT "mandrill_verify.key"`, `TXT "v=spf1 include:spf.mandrillapp.com -all"`)
	f.Set("mte1._domainkey.sender.test", "CNAME dkim1.mandrillapp.com.")
	f.Set("mte2._domainkey.sender.test", "CNAME dkim2.mandrillapp.com.")
	f.Set("_dmarc.sender.test", `TXT "v=DMARC1; p=none;"`)
	return f
}

func TestADomainIsReadyForMandrillWithTheRecordsItAsksFor(t *testing.T) {
	r := mandrill(t).check(t)
	want := map[verify.Part]verify.Record{
		verify.Ownership: {Type: "TXT", Name: "sender.test", Value: "mandrill_verify.key"},
		verify.DKIM1:     {Type: "CNAME", Name: "mte1._domainkey.sender.test", Value: "dkim1.mandrillapp.com."},
		verify.DKIM2:     {Type: "CNAME", Name: "mte2._domainkey.sender.test", Value: "dkim2.mandrillapp.com."},
		verify.SPFPart:   {Type: "TXT", Name: "sender.test", Value: "v=spf1 include:spf.mandrillapp.com -all"},
		verify.DMARCPart: {Type: "TXT", Name: "_dmarc.sender.test", Value: "v=DMARC1; p=none;"},
	}
	if !r.Ready() || len(r.Items) != len(want) { // none about a return path, which is the upstream's
		t.Errorf("ready %v: %+v", r.Ready(), r.Items)
	}
	for _, i := range r.Items {
		if i.Verdict != verify.OK || !i.Required || i.Record != want[i.Part] {
			t.Errorf("%+v", i)
		}
	}
}

func TestWhatMandrillNeedsAndIsBrokenIsExplained(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil   func(f *field)
		part    verify.Part
		verdict verify.Verdict
		code    verify.AdviceCode // "" where nobody is to do anything
		says    string
	}{
		"no ownership record": {func(f *field) {
			f.Set("sender.test", `TXT "v=spf1 include:spf.mandrillapp.com -all"`)
		}, verify.Ownership, verify.Missing, "ownership_missing", "Add this TXT record"},
		"the key of another account": {func(f *field) {
			f.Set("sender.test", `TXT "mandrill_verify.other"`, `TXT "v=spf1 include:spf.mandrillapp.com -all"`)
		}, verify.Ownership, verify.Wrong, "ownership_wrong", "another key"},
		"the prefix of our own": {func(f *field) {
			f.Set("sender.test", `TXT "waypost_verify.key"`, `TXT "v=spf1 include:spf.mandrillapp.com -all"`)
		}, verify.Ownership, verify.Missing, "ownership_missing", ""},
		"no first CNAME": {func(f *field) {
			f.Set("mte1._domainkey.sender.test")
		}, verify.DKIM1, verify.Missing, "dkim_missing", "the name is mte1._domainkey."},
		"no second CNAME": {func(f *field) {
			f.Set("mte2._domainkey.sender.test")
		}, verify.DKIM2, verify.Missing, "dkim_missing", "the name is mte2._domainkey."},
		"the CNAME of a domain that signs itself": {func(f *field) {
			f.Set("mte1._domainkey.sender.test", "CNAME dkim1.platform.test.")
		}, verify.DKIM1, verify.Wrong, "dkim_wrong", "It has to point to dkim1.mandrillapp.com."},
		"the key itself instead of a CNAME": {func(f *field) {
			f.Set("mte2._domainkey.sender.test", `TXT "v=DKIM1; k=rsa; p=AAAA"`)
		}, verify.DKIM2, verify.Wrong, "dkim_text", "TXT record at this name"},
		"no first key": {func(f *field) {
			f.Set("dkim1.mandrillapp.com")
		}, verify.DKIM1, verify.Wrong, "dkim_no_key", "the platform's to mend"},
		"no second key": {func(f *field) {
			f.Set("dkim2.mandrillapp.com", `TXT "under construction"`)
		}, verify.DKIM2, verify.Wrong, "dkim_no_key", "the platform's to mend"},
		"a key that cannot be asked for": {func(f *field) {
			for _, server := range []string{"ns1.mandrillapp.com", "ns2.mandrillapp.com"} {
				f.Server(server).Fault("dkim1.mandrillapp.com", dnstest.ServFail)
			}
		}, verify.DKIM1, verify.Unknown, "", ""},
		"no SPF": {func(f *field) {
			f.Set("sender.test", `TXT "mandrill_verify.key"`)
		}, verify.SPFPart, verify.Missing, "spf_missing", ""},
		"the include of a platform that sends itself": {func(f *field) {
			f.Set("sender.test", `TXT "mandrill_verify.key"`, `TXT "v=spf1 include:spf.platform.test -all"`)
		}, verify.SPFPart, verify.Wrong, "spf_include_missing", "spf.mandrillapp.com"},
		"no DMARC": {func(f *field) {
			f.Set("_dmarc.sender.test")
		}, verify.DMARCPart, verify.Missing, "dmarc_missing", ""},
		"a DMARC record that is none": {func(f *field) {
			f.Set("_dmarc.sender.test", `TXT "v=DMARC1; p=maybe;"`)
		}, verify.DMARCPart, verify.Wrong, "dmarc_invalid", "p=none"},
	} {
		t.Run(name, func(t *testing.T) {
			f := mandrill(t)
			tc.spoil(f)
			r := f.check(t)
			i := r.Item(tc.part)
			n := slices.IndexFunc(i.Advice, func(a verify.Advice) bool { return a.Code == tc.code })
			if i.Verdict != tc.verdict || tc.code != "" && (n < 0 || !strings.Contains(i.Advice[n].Text, tc.says)) {
				t.Errorf("%+v", i)
			}
			if r.Ready() {
				t.Error("ready all the same")
			}
			for _, other := range r.Items {
				if other.Part != tc.part && other.Verdict != verify.OK {
					t.Errorf("%s is %s too", other.Part, other.Verdict)
				}
			}
		})
	}
}
