// Package dns answers the questions mail delivery asks the DNS: where does mail
// for a domain go, which addresses has a host, what does a TXT record say.
//
// A delivery asks in this order:
//
//  1. Hosts turns the recipient domain into mail hosts in the order to try them
//     (RFC 5321 section 5.1): address literal, MX, or the domain itself. A domain
//     that takes no mail for certain is a *DestinationError; every other error is
//     for now.
//  2. Addresses turns one host into the addresses to dial, when its turn comes.
//
// Both stand on Resolver, which Client implements: it looks into its cache, joins
// a question that is already on its way, and otherwise asks the configured server
// or those of resolv.conf over UDP, then TCP when the answer does not fit. An
// answer lives in the cache as long as its TTL says, a "there is none" as long as
// its SOA says, a failure for seconds.
//
// Failures are values of type *Error. Only an answer that says "there is none"
// counts as one; a server that fails, refuses, stays silent or talks nonsense
// tells nothing about the name, so all of that is temporary.
package dns
