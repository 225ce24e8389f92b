// Package dnstest runs a DNS server for tests on 127.0.0.1, over UDP and TCP. It
// looks like a recursive server: it answers for every name, with what it was
// given, NODATA or NXDOMAIN.
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
package dnstest
