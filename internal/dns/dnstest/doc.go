// Package dnstest runs DNS servers for tests on loopback addresses, over UDP and
// TCP. A Server looks like a recursive one: it answers for every name, with what it
// was given, NODATA or NXDOMAIN.
//
//	srv := dnstest.Start(t, dnstest.Zones{
//		"example.test":     {"MX 10 mx1.example.test", "TXT \"v=spf1 -all\""},
//		"mx1.example.test": {"A 127.0.0.1", "60 AAAA ::1"},
//		"old.example.test": {"CNAME example.test"},
//	})
//	resolver, err := dns.New(dns.Options{Server: srv.Addr})
//
// Records are written as in a zone file, without their owner; names need no final
// dot. Everything can be changed while it runs, names can be made to fail in many
// ways (Fault), and every question is counted.
//
// A Tree is many of them: authoritative servers, each at a loopback address of its
// own (127.0.0.x, which Linux has without being told), that delegate zones to each
// other, and a recursive one that knows them all.
//
//	tree := dnstest.Plant(t,
//		dnstest.Zone{Name: "test", Servers: []string{"ns.nic.test"}},
//		dnstest.Zone{
//			Name: "example.test", Servers: []string{"ns1.example.test", "ns2.example.test"},
//			Records: dnstest.Zones{"example.test": {"TXT \"v=spf1 -all\""}},
//		},
//	)
//	tree.Server("ns2.example.test").Set("example.test") // has not got it yet
package dnstest
