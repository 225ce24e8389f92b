package verify_test

import "fmt"

// internet is how the records of large providers look, at the time of writing, under names
// that nobody has.
func internet() zones {
	z := zones{
		"shop.test":      {"MX 10 mail.shop.test", "A 203.0.113.1"},
		"mail.shop.test": {"A 203.0.113.2"},
		"www.shop.test":  {"A 203.0.113.3"},
		"_spf.shop.test": {"TXT v=spf1 ip4:203.0.113.4 -all"},
		"other.test":     {"MX 10 mx.other.test", "TXT hello"},

		"_spf.google.test":        {"TXT v=spf1 include:_netblocks.google.test include:_netblocks2.google.test include:_netblocks3.google.test ~all"},
		"_netblocks.google.test":  {"TXT v=spf1 ip4:35.190.247.0/24 ip4:64.233.160.0/19 ip4:66.102.0.0/20 ~all"},
		"_netblocks2.google.test": {"TXT v=spf1 ip6:2001:4860:4000::/36 ip6:2404:6800:4000::/36 ~all"},
		"_netblocks3.google.test": {"TXT v=spf1 ip4:172.217.0.0/19 ip4:172.217.32.0/20 ~all"},

		"spf.protection.outlook.test":  {"TXT v=spf1 ip4:40.92.0.0/15 ip4:40.107.0.0/16 ip6:2a01:111:f400::/48 include:spfd.protection.outlook.test -all"},
		"spfd.protection.outlook.test": {"TXT v=spf1 ip4:51.4.72.0/24 ip6:2a01:4180:4050:0400::/64 -all"},

		"servers.mcsv.test":      {"TXT v=spf1 ip4:205.201.128.0/20 ip4:198.2.128.0/18 ip4:148.105.0.0/16 ?all"},
		"spf.mandrillapp.test":   {"TXT v=spf1 ip4:198.2.128.0/24 ip4:198.2.132.0/22 ?all"},
		"sendgrid.test":          {"TXT v=spf1 ip4:167.89.0.0/17 ip4:208.117.48.0/20 include:ab.sendgrid.test ~all"},
		"ab.sendgrid.test":       {"TXT v=spf1 ip4:223.165.113.0/24 ~all"},
		"amazonses.test":         {"TXT v=spf1 ip4:199.255.192.0/22 ip4:54.240.0.0/18 -all"},
		"mailgun.test":           {"TXT v=spf1 include:_spf.mailgun.test include:_spf.eu.mailgun.test -all"},
		"_spf.mailgun.test":      {"TXT v=spf1 ip4:209.61.151.0/24 ~all"},
		"_spf.eu.mailgun.test":   {"TXT v=spf1 ip4:141.193.32.0/23 ~all"},
		"one.zoho.test":          {"TXT v=spf1 ip4:136.143.160.0/24 ip4:135.84.80.0/24 ~all"},
		"_spf.yandex.test":       {"TXT v=spf1 include:_spf-ipv4.yandex.test include:_spf-ipv6.yandex.test ~all"},
		"_spf-ipv4.yandex.test":  {"TXT v=spf1 ip4:213.180.192.0/19 ip4:77.88.0.0/18 ~all"},
		"_spf-ipv6.yandex.test":  {"TXT v=spf1 ip6:2a02:6b8:0::/52 ~all"},
		"_spf.salesforce.test":   {"TXT v=spf1 exists:%{i}._spf.mta.salesforce.test -all"},
		"broken.test":            {"TXT v=spf1 ipv4:203.0.113.5 -all"},
		"double.test":            {"TXT v=spf1 a -all", "TXT v=spf1 mx -all"},
		"open.test":              {"TXT v=spf1 +all"},
		"circle1.test":           {"TXT v=spf1 include:circle2.test -all"},
		"circle2.test":           {"TXT v=spf1 include:Circle1.test -all"},
		"down.test":              {"FAIL"},
		"twelve.test":            {"TXT v=spf1 include:n1.test include:n2.test include:n3.test include:n4.test include:n5.test include:n6.test include:n7.test include:n8.test include:n9.test include:n10.test include:n11.test -all"},
		"explain._spf.shop.test": {"TXT see our web site"},

		// What %{ir}.%{v} makes of the addresses of the tests.
		"10.2.0.192.in-addr.shop.test.spf.has.pphosted.test":    {"TXT v=spf1 -all"},
		"99.100.51.198.in-addr.shop.test.spf.has.pphosted.test": {"TXT v=spf1 -all"},
	}
	for i := range 12 {
		z[fmt.Sprintf("n%d.test", i)] = []string{fmt.Sprintf("TXT v=spf1 ip4:203.0.113.%d -all", i)}
		z["manymx.test"] = append(z["manymx.test"], fmt.Sprintf("MX %d mx%d.manymx.test", i, i))
	}
	// Each of these leads to ten more of the same kind.
	branches := ""
	for i := range 10 {
		branches += fmt.Sprintf(" include:%d.%%{d}", i)
	}
	z["wide.test"] = []string{"TXT v=spf1" + branches + " -all"}
	for i := range 10 {
		z[fmt.Sprintf("%d.wide.test", i)] = z["wide.test"]
		for j := range 10 {
			z[fmt.Sprintf("%d.%d.wide.test", j, i)] = z["wide.test"]
		}
	}
	return z
}
