package verify_test

import (
	"fmt"
	"strings"

	"github.com/waypost/waypost/internal/verify"
)

// brokenCases have faults of their own or of others, or come near a limit.
func brokenCases() []spfCase {
	return []spfCase{
		{
			"ip instead of ip4",
			[]string{"v=spf1 ip:203.0.113.5 -all"},
			"v=spf1 ip4:203.0.113.5 include:spf.platform.test -all", verify.OK, 1, 0, "include_missing syntax",
		},
		{
			"bare address",
			[]string{"v=spf1 203.0.113.5 -all"},
			"v=spf1 ip4:203.0.113.5 include:spf.platform.test -all", verify.OK, 1, 0, "include_missing syntax",
		},
		{
			"ipv6 in ip4",
			[]string{"v=spf1 ip4:2001:db8::5 -all"},
			"v=spf1 ip6:2001:db8::5 include:spf.platform.test -all", verify.OK, 1, 0, "include_missing syntax",
		},
		{
			"network too small",
			[]string{"v=spf1 ip4:203.0.113.5/33 -all"},
			"v=spf1 ip4:203.0.113.5/33 include:spf.platform.test -all", verify.Wrong, 1, 0, "include_missing syntax",
		},
		{
			"address in a",
			[]string{"v=spf1 a:203.0.113.5 -all"},
			"v=spf1 ip4:203.0.113.5 include:spf.platform.test -all", verify.OK, 1, 0, "include_missing syntax",
		},
		{
			"address cut short",
			[]string{"v=spf1 ip4:203.0.113 -all"},
			"v=spf1 ip4:203.0.113 include:spf.platform.test -all", verify.Wrong, 1, 0, "include_missing syntax",
		},
		{
			"colon and space",
			[]string{"v=spf1 include: _spf.google.test -all"},
			"v=spf1 include:_spf.google.test include:spf.platform.test -all", verify.OK, 5, 0, "include_missing separators",
		},
		{
			"commas",
			[]string{"v=spf1 a, mx, -all"},
			"v=spf1 a mx include:spf.platform.test -all", verify.OK, 3, 0, "include_missing syntax",
		},
		{
			"semicolon behind all",
			[]string{"v=spf1 mx -all;"},
			"v=spf1 mx include:spf.platform.test -all", verify.OK, 2, 0, "include_missing syntax",
		},
		{
			"en dash",
			[]string{"v=spf1 mx \u2013all"},
			"v=spf1 mx include:spf.platform.test -all", verify.OK, 2, 0, "include_missing syntax",
		},
		{
			"all with a full stop",
			[]string{"v=spf1 mx ~all."},
			"v=spf1 mx include:spf.platform.test ~all", verify.OK, 2, 0, "all_soft include_missing syntax",
		},
		{
			"unknown mechanism",
			[]string{"v=spf1 a sender:shop.test -all"},
			"v=spf1 a sender:shop.test include:spf.platform.test -all", verify.Wrong, 2, 0, "include_missing syntax",
		},
		{
			"qualifier alone",
			[]string{"v=spf1 a - all"},
			"v=spf1 a include:spf.platform.test -all", verify.OK, 2, 0, "include_missing separators",
		},
		{
			"include without name",
			[]string{"v=spf1 include -all"},
			"v=spf1 include include:spf.platform.test -all", verify.Wrong, 1, 0, "include_missing syntax",
		},
		{
			"include of a single label",
			[]string{"v=spf1 include:localhost -all"},
			"v=spf1 include:localhost include:spf.platform.test -all", verify.Wrong, 1, 0, "include_missing syntax",
		},
		{
			"broken macro",
			[]string{"v=spf1 exists:%{x}.shop.test -all"},
			"v=spf1 exists:%{x}.shop.test include:spf.platform.test -all", verify.Wrong, 1, 0, "include_missing syntax",
		},
		{
			"redirect twice",
			[]string{"v=spf1 a redirect=_spf.yandex.test redirect=one.zoho.test"},
			"v=spf1 a include:spf.platform.test redirect=_spf.yandex.test redirect=one.zoho.test", verify.Wrong, 5, 0, "include_missing syntax",
		},
		{
			"space missing between strings",
			[]string{"v=spf1 include:_spf.google.testinclude:servers.mcsv.test -all"},
			"v=spf1 include:_spf.google.testinclude:servers.mcsv.test include:spf.platform.test -all", verify.Wrong, 2, 0, "include_missing no_target",
		},
		{
			"underscores in names",
			[]string{"v=spf1 a:_mail_1.shop.test -all"},
			"v=spf1 a:_mail_1.shop.test include:spf.platform.test -all", verify.OK, 2, 1, "include_missing void",
		},
		{
			"include without record",
			[]string{"v=spf1 include:other.test -all"},
			"v=spf1 include:other.test include:spf.platform.test -all", verify.Wrong, 2, 0, "include_missing no_target",
		},
		{
			"include of a name that is gone",
			[]string{"v=spf1 include:gone.test ~all"},
			"v=spf1 include:gone.test include:spf.platform.test ~all", verify.Wrong, 2, 0, "all_soft include_missing no_target",
		},
		{
			"include of a broken record",
			[]string{"v=spf1 include:broken.test ~all"},
			"v=spf1 include:broken.test include:spf.platform.test ~all", verify.Wrong, 2, 0, "all_soft include_missing syntax",
		},
		{
			"include of two records",
			[]string{"v=spf1 include:double.test ~all"},
			"v=spf1 include:double.test include:spf.platform.test ~all", verify.Wrong, 2, 0, "all_soft include_missing two_records",
		},
		{
			"include with +all",
			[]string{"v=spf1 include:open.test ~all"},
			"v=spf1 include:open.test include:spf.platform.test ~all", verify.OK, 2, 0, "all_soft allows_all include_missing",
		},
		{
			"circle of two",
			[]string{"v=spf1 include:circle1.test ~all"},
			"v=spf1 include:circle1.test include:spf.platform.test ~all", verify.Wrong, 4, 0, "all_soft include_missing loop",
		},
		{
			"itself",
			[]string{"v=spf1 a include:shop.test ~all"},
			"v=spf1 a include:shop.test include:spf.platform.test ~all", verify.Wrong, 3, 0, "all_soft include_missing loop",
		},
		{
			"hosts that are gone",
			[]string{"v=spf1 a:gone.test mx:www.shop.test -all"},
			"v=spf1 a:gone.test mx:www.shop.test include:spf.platform.test -all", verify.OK, 3, 2, "include_missing void",
		},
		{
			"three hosts that are gone",
			[]string{"v=spf1 a:gone.test a:gone2.test mx:gone3.test exists:gone4.test -all"},
			"v=spf1 a:gone.test a:gone2.test mx:gone3.test exists:gone4.test include:spf.platform.test -all", verify.Wrong, 5, 4, "include_missing void voids",
		},
		{
			"mx of a large provider",
			[]string{"v=spf1 mx:manymx.test -all"},
			"v=spf1 mx:manymx.test include:spf.platform.test -all", verify.Wrong, 2, 0, "include_missing many_mx",
		},
		{
			"name server out of order",
			[]string{"v=spf1 a include:down.test -all"},
			"v=spf1 a include:down.test include:spf.platform.test -all", verify.Unknown, 3, 0, "include_missing unknown",
		},
		{
			"exactly ten",
			[]string{"v=spf1 include:_spf.google.test include:sendgrid.test a mx a:www.shop.test -all"},
			"v=spf1 include:_spf.google.test include:sendgrid.test a mx a:www.shop.test include:spf.platform.test -all", verify.OK, 10, 0, "include_missing lookups_near",
		},
		{
			"nine",
			[]string{"v=spf1 include:_spf.google.test include:sendgrid.test a mx -all"},
			"v=spf1 include:_spf.google.test include:sendgrid.test a mx include:spf.platform.test -all", verify.OK, 9, 0, "include_missing lookups_near",
		},
		{
			"too many",
			[]string{"v=spf1 a mx include:_spf.google.test include:spf.protection.outlook.test include:sendgrid.test include:mailgun.test include:amazonses.test -all"},
			"v=spf1 a mx include:_spf.google.test include:spf.protection.outlook.test include:sendgrid.test include:mailgun.test include:amazonses.test include:spf.platform.test -all", verify.Wrong, 15, 0, "include_missing lookups",
		},
		{
			"too many through one",
			[]string{"v=spf1 mx include:twelve.test ptr -all"},
			"v=spf1 mx include:twelve.test ptr include:spf.platform.test -all", verify.Wrong, 15, 0, "include_missing lookups ptr",
		},
		{
			"tree without end",
			[]string{"v=spf1 include:wide.test -all"},
			"v=spf1 include:wide.test include:spf.platform.test -all", verify.Wrong, 30, 0, "endless include_missing lookups no_target",
		},
		{
			"many addresses",
			[]string{"v=spf1 " + addresses(1, 19) + " ~all"},
			"v=spf1 " + addresses(1, 19) + " include:spf.platform.test ~all", verify.OK, 1, 0, "all_soft include_missing split",
		},
		{
			"very many addresses",
			[]string{"v=spf1 " + addresses(100, 129) + " ~all"},
			"v=spf1 " + addresses(100, 129) + " include:spf.platform.test ~all", verify.OK, 1, 0, "all_soft include_missing long split",
		},
		{
			"other long text records",
			[]string{"v=spf1 a -all", strings.Repeat("k", 440)},
			"v=spf1 a include:spf.platform.test -all", verify.OK, 2, 0, "include_missing long",
		},
		{
			"weird bytes",
			[]string{"v=spf1 a \x01\u00ff -all"},
			"v=spf1 a \x01\u00ff include:spf.platform.test -all", verify.Wrong, 2, 0, "include_missing syntax",
		},
		{
			"exists of a name that is always there",
			[]string{"v=spf1 exists:www.shop.test -all"},
			"v=spf1 exists:www.shop.test include:spf.platform.test -all", verify.OK, 2, 0, "allows_all include_missing",
		},
		{
			"every IPv4 address",
			[]string{"v=spf1 ip4:0.0.0.0/0 -all"},
			"v=spf1 ip4:0.0.0.0/0 include:spf.platform.test -all", verify.OK, 1, 0, "allows_all include_missing",
		},
	}
}

// addresses are ip4 terms from 203.0.113.first to 203.0.113.last.
func addresses(first, last int) string {
	var terms []string
	for i := first; i <= last; i++ {
		terms = append(terms, fmt.Sprintf("ip4:203.0.113.%d", i))
	}
	return strings.Join(terms, " ")
}
