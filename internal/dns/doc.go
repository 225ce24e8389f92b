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
// A check of what an operator has just published asks otherwise, since caches would
// show it what was there before. Authority goes, for each name and type:
//
//  1. To the recursive resolver with the name's SOA question and, as long as that
//     tells nothing, with that of the name above. The owner of the SOA record, in the
//     answer or beside a "there is none" (RFC 2308 section 3), is the apex of the zone
//     that holds the name (RFC 2181 section 6). Where the name is an alias the answer
//     is about the zone of the target, so the name above is asked for.
//  2. To the resolver for the NS records of the apex, and for the addresses of at most
//     six of those servers. Who owns a zone chooses them, so each address is checked
//     before it is taken and once more by the socket as it connects.
//  3. To all these servers at the same time, without asking them to ask others
//     (RFC 1034 section 4.3.1), over UDP, then TCP for what does not fit. The algorithm
//     they follow is RFC 1034 section 4.3.2. Only an answer with the AA bit counts,
//     and of that only the records of the name itself: what follows a CNAME is not
//     authoritative (RFC 2181 section 5.4.1).
//  4. Down a delegation that the resolver did not know, when a server refers to a
//     deeper zone (RFC 2308 section 2.2 tells that from "there is none"), at most two
//     times. Glue is taken for names within the zone that gave it, no others.
//  5. To a verdict: the records, if at least one server has them; whether servers
//     disagree; and what each of them said or why it did not answer.
//
// Each step is bounded in time and in questions: 40 for a name, 1,000 for a Session.
// A Session is one consistent reading for one check; it follows aliases from zone to
// zone and is a Resolver, so that what evaluates SPF can read authoritative data.
// Nothing is kept between sessions.
//
// Failures are values of type *Error. Only an answer that says "there is none"
// counts as one; a server that fails, refuses, stays silent or talks nonsense
// tells nothing about the name, so all of that is temporary.
package dns
