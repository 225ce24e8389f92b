package verify_test

import (
	"slices"

	"github.com/waypost/waypost/internal/verify"
)

// spfCase is what a domain has, and what is to be made of it.
type spfCase struct {
	name    string
	txts    []string // TXT records of shop.test
	want    string   // the record to publish; same: what is there
	verdict verify.Verdict
	lookups int // exact unless the codes say why not
	voids   int
	codes   string // of all advice, without spf_
}

const same = "same"

func spfCases() []spfCase { return slices.Concat(validCases(), brokenCases()) }

func validCases() []spfCase {
	return []spfCase{
		{
			"none", nil,
			"v=spf1 include:spf.platform.test -all", verify.OK, 1, 0, "missing",
		},
		{
			"unrelated text records",
			[]string{"google-site-verification=abc", "MS=ms12345678"},
			"v=spf1 include:spf.platform.test -all", verify.OK, 1, 0, "missing",
		},
		{
			"nobody sends",
			[]string{"v=spf1 -all"},
			"v=spf1 include:spf.platform.test -all", verify.OK, 1, 0, "include_missing",
		},
		{
			"a and -all",
			[]string{"v=spf1 a -all"},
			"v=spf1 a include:spf.platform.test -all", verify.OK, 2, 0, "include_missing",
		},
		{
			"mx and ~all",
			[]string{"v=spf1 mx ~all"},
			"v=spf1 mx include:spf.platform.test ~all", verify.OK, 2, 0, "all_soft include_missing",
		},
		{
			"mx, a and ?all",
			[]string{"v=spf1 mx a ?all"},
			"v=spf1 mx a include:spf.platform.test ?all", verify.OK, 3, 0, "all_soft include_missing",
		},
		{
			"all without qualifier",
			[]string{"v=spf1 mx all"},
			"v=spf1 mx include:spf.platform.test all", verify.OK, 2, 0, "allows_all include_missing",
		},
		{
			"+all",
			[]string{"v=spf1 a mx +all"},
			"v=spf1 a mx include:spf.platform.test +all", verify.OK, 3, 0, "allows_all include_missing",
		},
		{
			"empty record",
			[]string{"v=spf1"},
			"v=spf1 include:spf.platform.test", verify.OK, 1, 0, "include_missing no_all",
		},
		{
			"no terminator",
			[]string{"v=spf1 a mx"},
			"v=spf1 a mx include:spf.platform.test", verify.OK, 3, 0, "include_missing no_all",
		},
		{
			"google",
			[]string{"v=spf1 include:_spf.google.test ~all"},
			"v=spf1 include:_spf.google.test include:spf.platform.test ~all", verify.OK, 5, 0, "all_soft include_missing",
		},
		{
			"microsoft",
			[]string{"v=spf1 include:spf.protection.outlook.test -all"},
			"v=spf1 include:spf.protection.outlook.test include:spf.platform.test -all", verify.OK, 3, 0, "include_missing",
		},
		{
			"google and mailchimp",
			[]string{"v=spf1 include:_spf.google.test include:servers.mcsv.test ?all"},
			"v=spf1 include:_spf.google.test include:servers.mcsv.test include:spf.platform.test ?all", verify.OK, 6, 0, "all_soft include_missing",
		},
		{
			"microsoft, sendgrid and addresses",
			[]string{"v=spf1 ip4:203.0.113.7 ip4:203.0.113.64/26 include:spf.protection.outlook.test include:sendgrid.test -all"},
			"v=spf1 ip4:203.0.113.7 ip4:203.0.113.64/26 include:spf.protection.outlook.test include:sendgrid.test include:spf.platform.test -all", verify.OK, 5, 0, "include_missing",
		},
		{
			"amazon and mandrill",
			[]string{"v=spf1 include:amazonses.test include:spf.mandrillapp.test ~all"},
			"v=spf1 include:amazonses.test include:spf.mandrillapp.test include:spf.platform.test ~all", verify.OK, 3, 0, "all_soft include_missing",
		},
		{
			"zoho with its own record",
			[]string{"v=spf1 include:one.zoho.test ~all"},
			"v=spf1 include:one.zoho.test include:spf.platform.test ~all", verify.OK, 2, 0, "all_soft include_missing",
		},
		{
			"yandex redirect",
			[]string{"v=spf1 redirect=_spf.yandex.test"},
			"v=spf1 include:spf.platform.test redirect=_spf.yandex.test", verify.OK, 4, 0, "include_missing",
		},
		{
			"redirect with mechanisms",
			[]string{"v=spf1 ip4:203.0.113.9 redirect=_spf.yandex.test"},
			"v=spf1 ip4:203.0.113.9 include:spf.platform.test redirect=_spf.yandex.test", verify.OK, 4, 0, "include_missing",
		},
		{
			"redirect before mechanisms",
			[]string{"v=spf1 redirect=_spf.yandex.test mx"},
			"v=spf1 redirect=_spf.yandex.test mx include:spf.platform.test", verify.OK, 5, 0, "include_missing",
		},
		{
			"redirect beside all",
			[]string{"v=spf1 mx -all redirect=_spf.yandex.test"},
			"v=spf1 mx include:spf.platform.test -all redirect=_spf.yandex.test", verify.OK, 2, 0, "include_missing redirect_ignored",
		},
		{
			"redirect to nothing",
			[]string{"v=spf1 redirect=gone.test"},
			"v=spf1 include:spf.platform.test redirect=gone.test", verify.Wrong, 2, 0, "include_missing no_target",
		},
		{
			"explanation",
			[]string{"v=spf1 mx -all exp=explain._spf.%{d}"},
			"v=spf1 mx include:spf.platform.test -all exp=explain._spf.%{d}", verify.OK, 2, 0, "include_missing",
		},
		{
			"explanation without all",
			[]string{"v=spf1 mx exp=explain._spf.shop.test"},
			"v=spf1 mx include:spf.platform.test exp=explain._spf.shop.test", verify.OK, 2, 0, "include_missing no_all",
		},
		{
			"ip6 and networks",
			[]string{"v=spf1 ip6:2001:db8:1::/48 ip6:2001:db8::25 ip4:203.0.113.0/24 -all"},
			"v=spf1 ip6:2001:db8:1::/48 ip6:2001:db8::25 ip4:203.0.113.0/24 include:spf.platform.test -all", verify.OK, 1, 0, "include_missing",
		},
		{
			"a and mx of others with networks",
			[]string{"v=spf1 a:www.shop.test/28 mx:other.test/24//64 a//64 -all"},
			"v=spf1 a:www.shop.test/28 mx:other.test/24//64 a//64 include:spf.platform.test -all", verify.OK, 4, 0, "include_missing",
		},
		{
			"ptr",
			[]string{"v=spf1 a mx ptr -all"},
			"v=spf1 a mx ptr include:spf.platform.test -all", verify.OK, 4, 0, "include_missing ptr",
		},
		{
			"ptr of a domain",
			[]string{"v=spf1 ptr:shop.test ~all"},
			"v=spf1 ptr:shop.test include:spf.platform.test ~all", verify.OK, 2, 0, "all_soft include_missing ptr",
		},
		{
			"proofpoint macros",
			[]string{"v=spf1 include:%{ir}.%{v}.%{d}.spf.has.pphosted.test ~all"},
			"v=spf1 include:%{ir}.%{v}.%{d}.spf.has.pphosted.test include:spf.platform.test ~all", verify.OK, 2, 0, "all_soft include_missing macro",
		},
		{
			"salesforce, macros one level down",
			[]string{"v=spf1 include:_spf.salesforce.test -all"},
			"v=spf1 include:_spf.salesforce.test include:spf.platform.test -all", verify.OK, 3, 0, "include_missing macro",
		},
		{
			"exists by address and sender",
			[]string{"v=spf1 exists:%{i}._spf.%{d2} exists:%{l1r+-}._users.shop.test -all"},
			"v=spf1 exists:%{i}._spf.%{d2} exists:%{l1r+-}._users.shop.test include:spf.platform.test -all", verify.OK, 3, 0, "include_missing macro",
		},
		{
			"macros that are known",
			[]string{"v=spf1 include:_spf.%{d} a:%{o} -all"},
			"v=spf1 include:_spf.%{d} a:%{o} include:spf.platform.test -all", verify.OK, 3, 0, "include_missing",
		},
		{
			"upper case",
			[]string{"V=SPF1 MX INCLUDE:_SPF.Google.Test -ALL"},
			"V=SPF1 MX INCLUDE:_SPF.Google.Test include:spf.platform.test -ALL", verify.OK, 6, 0, "include_missing",
		},
		{
			"double spaces",
			[]string{"v=spf1  a   mx  -all"},
			"v=spf1 a mx include:spf.platform.test -all", verify.OK, 3, 0, "include_missing",
		},
		{
			"spaces at the end",
			[]string{"v=spf1 a -all  "},
			"v=spf1 a include:spf.platform.test -all", verify.OK, 2, 0, "include_missing",
		},
		{
			"only spaces",
			[]string{"v=spf1   "},
			"v=spf1 include:spf.platform.test", verify.OK, 1, 0, "include_missing no_all",
		},
		{
			"tabs",
			[]string{"v=spf1 a\tmx\t-all"},
			"v=spf1 a mx include:spf.platform.test -all", verify.OK, 3, 0, "include_missing separators",
		},
		{
			"tab behind the version",
			[]string{"v=spf1\ta\tmx\t-all"},
			"v=spf1 a mx include:spf.platform.test -all", verify.OK, 3, 0, "include_missing lookalike",
		},
		{
			"line break",
			[]string{"v=spf1 a mx\r\n -all"},
			"v=spf1 a mx include:spf.platform.test -all", verify.OK, 3, 0, "include_missing separators",
		},
		{
			"no-break space",
			[]string{"v=spf1 a\u00a0mx -all"},
			"v=spf1 a mx include:spf.platform.test -all", verify.OK, 3, 0, "include_missing separators",
		},
		{
			"quoted within",
			[]string{`"v=spf1 a mx -all"`},
			"v=spf1 a mx include:spf.platform.test -all", verify.OK, 3, 0, "include_missing lookalike",
		},
		{
			"strings pasted with quotes",
			[]string{`"v=spf1 a ip4:203.0.113.1 " "mx -all"`},
			"v=spf1 a ip4:203.0.113.1 mx include:spf.platform.test -all", verify.OK, 3, 0, "include_missing lookalike",
		},
		{
			"escaped quotes",
			[]string{`\"v=spf1 a -all\"`},
			"v=spf1 a include:spf.platform.test -all", verify.OK, 2, 0, "include_missing lookalike",
		},
		{
			"space before",
			[]string{" v=spf1 a -all"},
			"v=spf1 a include:spf.platform.test -all", verify.OK, 2, 0, "include_missing lookalike",
		},
		{
			"semicolon behind the version",
			[]string{"v=spf1; a mx -all"},
			"v=spf1 a mx include:spf.platform.test -all", verify.OK, 3, 0, "include_missing lookalike",
		},
		{
			"spaces around the equals sign",
			[]string{"v = spf1 a -all"},
			"v=spf1 a include:spf.platform.test -all", verify.OK, 2, 0, "include_missing lookalike",
		},
		{
			"version alone without v",
			[]string{"spf1 a -all"},
			"v=spf1 a include:spf.platform.test -all", verify.OK, 2, 0, "include_missing lookalike",
		},
		{
			"stuck to the version",
			[]string{"v=spf1include:_spf.google.test -all"},
			"v=spf1 include:_spf.google.test include:spf.platform.test -all", verify.OK, 5, 0, "include_missing lookalike",
		},
		{
			"another version",
			[]string{"v=spf10 a -all"},
			"v=spf1 include:spf.platform.test -all", verify.OK, 1, 0, "missing",
		},
		{
			"sender id",
			[]string{"spf2.0/pra a -all", "v=spf1 a -all"},
			"v=spf1 a include:spf.platform.test -all", verify.OK, 2, 0, "include_missing",
		},
		{
			"already there",
			[]string{"v=spf1 a include:spf.platform.test -all"},
			same, verify.OK, 2, 0, "",
		},
		{
			"already there, other case and dot",
			[]string{"v=spf1 +INCLUDE:SPF.Platform.test. ~all"},
			same, verify.OK, 1, 0, "all_soft",
		},
		{
			"already there, at the front",
			[]string{"v=spf1 include:spf.platform.test include:_spf.google.test  ~all"},
			same, verify.OK, 5, 0, "all_soft",
		},
		{
			"as -include",
			[]string{"v=spf1 a -include:spf.platform.test mx -all"},
			"v=spf1 a include:spf.platform.test mx -all", verify.OK, 3, 0, "include_qualifier",
		},
		{
			"as ~include",
			[]string{"v=spf1 ~include:spf.platform.test ~all"},
			"v=spf1 include:spf.platform.test ~all", verify.OK, 1, 0, "all_soft include_qualifier",
		},
		{
			"as ?include and right",
			[]string{"v=spf1 ?include:spf.platform.test a include:spf.platform.test -all"},
			"v=spf1 include:spf.platform.test a -all", verify.OK, 2, 0, "include_qualifier include_twice",
		},
		{
			"twice",
			[]string{"v=spf1 include:spf.platform.test a include:spf.platform.test -all"},
			"v=spf1 include:spf.platform.test a -all", verify.OK, 2, 0, "include_twice",
		},
		{
			"after all",
			[]string{"v=spf1 a -all include:spf.platform.test"},
			"v=spf1 a include:spf.platform.test -all", verify.OK, 2, 0, "include_after_all",
		},
		{
			"after all, with another",
			[]string{"v=spf1 a -all include:spf.platform.test include:_spf.google.test"},
			"v=spf1 a include:spf.platform.test -all include:_spf.google.test", verify.OK, 2, 0, "after_all include_after_all",
		},
		{
			"others after all",
			[]string{"v=spf1 ~all mx include:_spf.google.test"},
			"v=spf1 include:spf.platform.test ~all mx include:_spf.google.test", verify.OK, 1, 0, "after_all all_soft include_missing",
		},
		{
			"two alls",
			[]string{"v=spf1 a ~all mx -all"},
			"v=spf1 a include:spf.platform.test ~all mx -all", verify.OK, 2, 0, "after_all all_soft include_missing",
		},
		{
			"as a modifier",
			[]string{"v=spf1 a include=spf.platform.test -all"},
			"v=spf1 a include=spf.platform.test include:spf.platform.test -all", verify.OK, 2, 0, "equals_sign include_missing",
		},
		{
			"unknown modifiers",
			[]string{"v=spf1 mx tracking=42 -all ra=postmaster rp=100 op=dkim"},
			"v=spf1 mx tracking=42 include:spf.platform.test -all ra=postmaster rp=100 op=dkim", verify.OK, 2, 0, "include_missing",
		},
		{
			"unknown modifier without all",
			[]string{"v=spf1 mx foo.bar-baz_1=%{d}"},
			"v=spf1 mx include:spf.platform.test foo.bar-baz_1=%{d}", verify.OK, 2, 0, "include_missing no_all",
		},
		{
			"two records",
			[]string{"v=spf1 include:_spf.google.test ~all", "v=spf1 mx -all"},
			"v=spf1 include:_spf.google.test mx include:spf.platform.test ~all", verify.OK, 6, 0, "all_soft include_missing two_records",
		},
		{
			"two records, ours in the second",
			[]string{"v=spf1 a mx ~all", "v=spf1 include:spf.platform.test -all"},
			"v=spf1 include:spf.platform.test a mx ~all", verify.OK, 3, 0, "all_soft two_records",
		},
		{
			"two records, one a redirect",
			[]string{"v=spf1 redirect=_spf.yandex.test", "v=spf1 a -all"},
			"v=spf1 a include:_spf.yandex.test include:spf.platform.test -all", verify.OK, 5, 0, "include_missing two_records",
		},
		{
			"two records, a redirect without effect",
			[]string{"v=spf1 mx -all redirect=_spf.yandex.test", "v=spf1 a -all"},
			"v=spf1 mx a include:spf.platform.test -all", verify.OK, 3, 0, "include_missing two_records",
		},
		{
			"two records, macros that differ by case",
			[]string{"v=spf1 exists:%{l}.x.test -all", "v=spf1 A exists:%{L}.x.test a -all"},
			"v=spf1 A exists:%{L}.x.test exists:%{l}.x.test include:spf.platform.test -all", verify.OK, 4, 0, "include_missing macro two_records",
		},
		{
			"two redirects",
			[]string{"v=spf1 redirect=_spf.yandex.test", "v=spf1 redirect=one.zoho.test exp=why.shop.test"},
			"v=spf1 include:one.zoho.test include:_spf.yandex.test include:spf.platform.test exp=why.shop.test", verify.OK, 5, 0, "include_missing no_all two_records",
		},
		{
			"three records, one open to all",
			[]string{"v=spf1 +all", "v=spf1 a ~all", "v=spf1 MX a -all"},
			"v=spf1 MX a include:spf.platform.test ?all", verify.OK, 3, 0, "all_soft include_missing two_records",
		},
		{
			"two that were meant to be",
			[]string{" v=spf1 a -all", `"v=spf1 mx -all"`},
			"v=spf1 a mx include:spf.platform.test -all", verify.OK, 3, 0, "include_missing lookalike",
		},
		{
			"one and one meant to be",
			[]string{"v=spf1 a -all", `"v=spf1 mx -all"`},
			"v=spf1 a include:spf.platform.test -all", verify.OK, 2, 0, "include_missing lookalike",
		},
	}
}
