package verify_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dmarc"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/verify"
)

func TestParseDMARCReadsRecords(t *testing.T) {
	for text, want := range map[string]verify.DMARC{
		"v=DMARC1; p=none": {Policy: "none", SubdomainPolicy: "none", Percent: 100},
		"v=DMARC1;p=reject;sp=quarantine;adkim=s;aspf=s;pct=20;rua=mailto:a@x.test,mailto:b@y.test!10m;ruf=mailto:c@x.test;fo=1;ri=86400;": {
			Policy: "reject", SubdomainPolicy: "quarantine", StrictDKIM: true, StrictSPF: true, Percent: 20,
			Reports: []string{"mailto:a@x.test", "mailto:b@y.test!10m"},
		},
		"V = DMARC1 ;\t P = Reject ; ADKIM=R; aspf=S ;; np=reject; t=y; unknown=": {
			Policy: "reject", SubdomainPolicy: "reject", StrictSPF: true, Percent: 100,
		},
		"v=DMARC1; rua=mailto:a@x.test; p=quarantine": { // p is to be second, and nobody minds
			Policy: "quarantine", SubdomainPolicy: "quarantine", Percent: 100, Reports: []string{"mailto:a@x.test"},
		},
		// RFC 7489 section 6.6.3, step 6: faults elsewhere are passed over.
		"v=DMARC1; p=reject; adkim=strict; aspf=x; pct=150; rua=a@x.test,https://x.test/,mailto:a@x.test; loose; =x": {
			Policy: "reject", SubdomainPolicy: "reject", Percent: 100, Reports: []string{"mailto:a@x.test"},
			Faults: make([]verify.DMARCFlaw, 7),
		},
		"v=DMARC1; rua=mailto:a@x.test":                       {Policy: "none", SubdomainPolicy: "none", Percent: 100, Reports: []string{"mailto:a@x.test"}, Faults: make([]verify.DMARCFlaw, 1)},
		"v=DMARC1; p=reject; sp=all; rua=mailto:a%2Bb@x.test": {Policy: "none", SubdomainPolicy: "none", Percent: 100, Reports: []string{"mailto:a%2Bb@x.test"}, Faults: make([]verify.DMARCFlaw, 1)},
	} {
		got, err := verify.ParseDMARC(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		again, err := verify.ParseDMARC(got.String())
		again.Faults, again.Reports = got.Faults, got.Reports
		if err != nil || !cmp.Equal(again, got) {
			t.Errorf("%q becomes %q (%v)", text, got, err)
		}
		if len(got.Faults) != len(want.Faults) {
			t.Errorf("%q: faults %q", text, got.Faults)
		}
		got.Tags, got.Faults, want.Faults = nil, nil, nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestParseDMARCRefusesWhatReceiversDo(t *testing.T) {
	errAny := errors.New("any")
	for text, want := range map[string]error{
		"": verify.ErrNotDMARC, "hello": verify.ErrNotDMARC, "v=spf1 -all": verify.ErrNotDMARC, "v=DMARC1 p=none": verify.ErrNotDMARC,
		"v=DMARC10; p=none": verify.ErrNotDMARC, "v=dmarc1; p=none": verify.ErrNotDMARC, "p=none; v=DMARC1": verify.ErrNotDMARC, "DMARC1; p=none": verify.ErrNotDMARC,
		";v=DMARC1; p=none": verify.ErrNotDMARC, "\u00a0v=DMARC1; p=none": verify.ErrNotDMARC, "\"v=DMARC1; p=none\"": verify.ErrNotDMARC,
		"v=DMARC1": verify.ErrDMARCPolicy, "v=DMARC1;": verify.ErrDMARCPolicy, "v=DMARC1; p=": verify.ErrDMARCPolicy, "v=DMARC1; p=monitor": verify.ErrDMARCPolicy,
		"v=DMARC1; p none": verify.ErrDMARCPolicy, "v=DMARC1; rua=a@x.test": verify.ErrDMARCPolicy, "v=DMARC1; rua=mailto:": verify.ErrDMARCPolicy,
		"v=DMARC1; p=none; p=reject": verify.ErrDMARCDuplicate, "v=DMARC1; p=none; V=DMARC1": verify.ErrDMARCDuplicate, "v=DMARC1; p=none; sp=x": errAny,
	} {
		_, err := verify.ParseDMARC(text)
		if err == nil || !errors.Is(want, errAny) && !errors.Is(err, want) || errors.Is(want, errAny) && errors.Is(err, verify.ErrNotDMARC) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// Why the parser is our own: what the library makes of records on which RFC 7489 is clear.
func TestLibraryParsesDMARCDifferently(t *testing.T) {
	for text, strict := range map[string]bool{
		"v=DMARC1; p=Reject":                      true, // section 6.4: ABNF strings have no case
		"v=DMARC1; p=reject; pct=150":             true, // section 6.6.3: faults in the remainder are passed over
		"v=DMARC1; p=reject; loose":               true,
		"v=DMARC1; rua=mailto:a@x.test":           true,  // section 6.6.3: counts as p=none
		"p=none; v=DMARC1":                        false, // section 6.3: v comes first
		"v=DMARC1; p=none; p=reject":              false, // RFC 6376 section 3.2
		"v=DMARC1; p=none; rua=nobody, somewhere": false,
	} {
		_, err := dmarc.Parse(text)
		d, ours := verify.ParseDMARC(text)
		if strict && (err == nil || ours != nil) || !strict && (err != nil || ours == nil && len(d.Faults) == 0) {
			t.Errorf("%q: %v, and %v", text, err, ours)
		}
	}
}

// Where records have no faults, both agree.
func TestDMARCParsersAgreeOnValidRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string, values ...string) string { return rapid.SampledFrom(values).Draw(t, name) }
		text := "v=DMARC1" + pick("separator", ";", " ; ") + "p=" + pick("p", "none", "quarantine", "reject") + pick("sp", "", ";sp=none", "; sp=reject") +
			pick("adkim", "", ";adkim=r", ";adkim=s") + pick("aspf", "", "; aspf = r", ";aspf=s ") + pick("pct", "", ";pct=0", "; pct=42") +
			pick("rua", "", ";rua=mailto:a@x.test", "; rua=mailto:a@x.test , mailto:b@y.test!50k") + pick("other", "", ";fo=1:d:s", "; x=y", ";")
		theirs, err := dmarc.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := verify.ParseDMARC(text)
		if err != nil || len(ours.Faults) > 0 {
			t.Fatalf("%q: %v %q", text, err, ours.Faults)
		}
		percent, sub := 100, theirs.SubdomainPolicy
		if theirs.Percent != nil {
			percent = *theirs.Percent
		}
		if sub == "" {
			sub = theirs.Policy
		}
		if string(ours.Policy) != string(theirs.Policy) || string(ours.SubdomainPolicy) != string(sub) || ours.Percent != percent ||
			ours.StrictDKIM != (theirs.DKIMAlignment == dmarc.AlignmentStrict) || ours.StrictSPF != (theirs.SPFAlignment == dmarc.AlignmentStrict) ||
			!slices.Equal(ours.Reports, theirs.ReportURIAggregate) {
			t.Fatalf("%q: %+v, and %+v", text, ours, theirs)
		}
	})
}

func TestAligned(t *testing.T) {
	for _, tt := range []struct {
		from, other     string
		relaxed, strict bool
	}{
		{"shop.test", "shop.test", true, true},
		{"Shop.test.", "SHOP.TEST", true, true},
		{"shop.test", "bounce.shop.test", true, false},
		{"mail.shop.test", "bounce.shop.test", true, false},
		{"mail.shop.test", "shop.test", true, false},
		{"shop.test", "shop.example", false, false},
		{"shop.test", "workshop.test", false, false},
		{"shop.co.uk", "bounce.shop.co.uk", true, false},
		{"shop.co.uk", "other.co.uk", false, false},
		{"shop.co.uk", "co.uk", false, false},
		{"co.uk", "co.uk", true, true},
		{"shop.github.io", "other.github.io", false, false},
		{"münchen.test", "mail.xn--mnchen-3ya.test", true, false},
		{"shop.рф", "a.shop.xn--p1ai", true, false},
		{"", "", false, false},
		{"not a name", "not a name", false, false},
	} {
		for _, pair := range [][2]string{{tt.from, tt.other}, {tt.other, tt.from}} {
			if got := verify.Aligned(pair[0], pair[1], false); got != tt.relaxed {
				t.Errorf("%q relaxed: %v", pair, got)
			}
			if got := verify.Aligned(pair[0], pair[1], true); got != tt.strict {
				t.Errorf("%q strict: %v", pair, got)
			}
		}
	}
}

type dmarcCase struct {
	name    string
	zones   zones
	domain  string
	verdict verify.Verdict
	at      string // where it was found
	policy  verify.DMARCPolicy
	propose string // name and text to publish
	codes   string
}

func dmarcCases() []dmarcCase {
	one := func(name string, txts ...string) zones { return zones{}.with(name, txts...) }
	const ours, plain = "_dmarc.mail.shop.test", "v=DMARC1; p=none;"
	both := func(own, org string) zones { return one(ours, own).with("_dmarc.shop.test", org) }
	return []dmarcCase{
		{"nothing", zones{}, "mail.shop.test", verify.Missing, "", "", ours + " " + plain, "missing"},
		{"its own", one(ours, "v=DMARC1; p=none;"), "Mail.Shop.Test.", verify.OK, ours, "none", "", ""},
		{"its own before the organization's", both("v=DMARC1; p=none", "v=DMARC1; p=reject"), "mail.shop.test", verify.OK, ours, "none", "", ""},
		{"the organization's", one("_dmarc.shop.test", "v=DMARC1; p=quarantine"), "mail.shop.test", verify.OK, "_dmarc.shop.test", "quarantine", "", "enforced inherited"},
		{"the organization's for subdomains", one("_dmarc.shop.test", "v=DMARC1; p=reject; sp=none"), "mail.shop.test", verify.OK, "_dmarc.shop.test", "none", "", "inherited"},
		{"nothing in between", one("_dmarc.mail.shop.test", "v=DMARC1; p=none"), "a.mail.shop.test", verify.Missing, "", "", "_dmarc.a.mail.shop.test " + plain, "missing"},
		{"policy of the domain itself", one("_dmarc.shop.test", "v=DMARC1; p=reject; sp=none"), "shop.test", verify.OK, "_dmarc.shop.test", "reject", "", "enforced"},
		{"strict", one(ours, "v=DMARC1; p=reject; adkim=s; aspf=s"), "mail.shop.test", verify.OK, ours, "reject", "", "enforced strict_dkim strict_spf"},
		{"faults", one(ours, "v=DMARC1; p=none; pct=many"), "mail.shop.test", verify.OK, ours, "none", "", "fault"},
		{"several", one(ours, "v=DMARC1; p=none", "v=DMARC1; p=reject"), "mail.shop.test", verify.Wrong, ours, "", "", "two_records"},
		{"several, one of them void", one(ours, "v=DMARC1; p=none", "v=DMARC1"), "mail.shop.test", verify.Wrong, ours, "", "", "two_records"},
		{"several, and the organization's", one(ours, "v=DMARC1; p=none", "v=DMARC1; p=reject").with("_dmarc.shop.test", "v=DMARC1; p=none"), "mail.shop.test", verify.Wrong, ours, "", "", "two_records"},
		{"void", one(ours, "v=DMARC1; p=monitor"), "mail.shop.test", verify.Wrong, ours, "", ours + " " + plain, "invalid"},
		{"void, and the organization's", both("v=DMARC1; p=monitor", "v=DMARC1; p=none"), "mail.shop.test", verify.Wrong, ours, "", ours + " " + plain, "invalid"},
		{"tag twice", one(ours, "v=DMARC1; p=none; p=none"), "mail.shop.test", verify.Wrong, ours, "", ours + " " + plain, "invalid"},
		{"bad sp", one(ours, "v=DMARC1; p=none; sp=some"), "mail.shop.test", verify.Wrong, ours, "", ours + " " + plain, "invalid"},
		{"a wildcard", one(ours, "v=spf1 -all"), "mail.shop.test", verify.Missing, "", "", ours + " " + plain, "missing other_text"},
		{"a wildcard, and the organization's", both("v=spf1 -all", "v=DMARC1; p=none"), "mail.shop.test", verify.OK, "_dmarc.shop.test", "none", "", "inherited other_text"},
		{"a wildcard beside the record", one(ours, "v=spf1 -all", "v=DMARC1; p=none"), "mail.shop.test", verify.OK, ours, "none", "", ""},
		{"semicolon missing", one(ours, "v=DMARC1 p=reject; rua=mailto:a@x.test"), "mail.shop.test", verify.Missing, "", "", ours + " v=DMARC1; p=reject; rua=mailto:a@x.test", "lookalike missing"},
		{"wrong case", one(ours, "v=dmarc1; p=none"), "mail.shop.test", verify.Missing, "", "", ours + " v=DMARC1; p=none", "lookalike missing"},
		{"quoted within", one(ours, `"v=DMARC1; p=none"`), "mail.shop.test", verify.Missing, "", "", ours + " v=DMARC1; p=none", "lookalike missing"},
		{"beyond repair", one(ours, "DMARC1 none"), "mail.shop.test", verify.Missing, "", "", ours + " " + plain, "lookalike missing"},
		{"meant to be, at the organization's", one("_dmarc.shop.test", "v=DMARC1, p=none"), "mail.shop.test", verify.Missing, "", "", "_dmarc.shop.test v=DMARC1; p=none", "lookalike missing"},
		{"trouble", zones{ours: {"FAIL"}}.with("_dmarc.shop.test", "v=DMARC1; p=none"), "mail.shop.test", verify.Unknown, "", "", "", "unknown"},
		{"trouble at the organization's", zones{"_dmarc.shop.test": {"FAIL"}}, "mail.shop.test", verify.Unknown, "", "", "", "unknown"},
		{"trouble that does not matter", zones{"_dmarc.shop.test": {"FAIL"}}.with(ours, "v=DMARC1; p=none"), "mail.shop.test", verify.OK, ours, "none", "", ""},
		{"a name too long to ask below", zones{}.with("_dmarc.long.test", "v=DMARC1; p=none"), strings.Repeat("a.", 122) + "long.test", verify.OK, "_dmarc.long.test", "none", "", "inherited"},
	}
}

func TestReviewDMARCFindsWhatReceiversFind(t *testing.T) {
	for _, tt := range dmarcCases() {
		v := verify.ReviewDMARC(t.Context(), tt.zones, tt.domain)
		propose := strings.TrimPrefix(v.Propose.Name+" "+v.Propose.Value, " ")
		if v.Verdict != tt.verdict || v.Name != tt.at || v.Policy != tt.policy || propose != tt.propose {
			t.Errorf("%s: %s at %q, %q, propose %q", tt.name, v.Verdict, v.Name, v.Policy, propose)
		}
		if got := strings.ReplaceAll(codes(v.Advice), "dmarc_", ""); got != tt.codes {
			t.Errorf("%s: advice %q, want %q", tt.name, got, tt.codes)
		}
		if v.Propose.Value != "" {
			if d, err := verify.ParseDMARC(v.Propose.Value); err != nil || len(d.Faults) > 0 {
				t.Errorf("%s: %q is proposed: %v %q", tt.name, v.Propose.Value, err, d.Faults)
			}
		}
	}
}
