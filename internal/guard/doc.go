// Package guard dials addresses that others choose: relay hosts, mail hosts of
// any domain, the URLs of webhooks. Whoever names a host also decides what
// it resolves to, so the name proves nothing and only the address counts, at the
// moment it is dialed.
//
//  1. CheckPort and Check say beforehand whether a port or an address would be
//     refused, for settings pages and for choosing among mail hosts.
//  2. DialContext resolves a host and tries its addresses one after the other;
//     DialAddr dials one address that the caller resolved.
//  3. Both go through a hook between the choice of the address and the connect,
//     which checks the very address the kernel is given. A name that was public
//     when it was checked and is private when it is dialed gains nothing.
//
// Web sends HTTP requests over both, to URLs that others choose.
//
// Refused are addresses outside the public Internet (private, loopback,
// link-local, shared, multicast, documentation and the other special ranges of the
// IANA registries, also when written as an IPv4-mapped or NAT64 address; every
// 6to4 and Teredo address), the public address behind which a cloud keeps its own
// services (Azure), and this machine itself, unless a configured prefix allows them.
package guard
