// Package verify judges the SPF and DMARC records of a domain without network of its own:
// everything is asked through the dns.Resolver that is given.
//
// SPF (RFC 7208), as ReviewSPF does it from beginning to end:
//
//  1. MergeTXT takes all TXT records of the domain and makes the one SPF record to publish.
//     ParseSPF has its terms, MergeSPF puts the platform's include right before the end.
//  2. AuditSPF follows that record through all it includes, and counts what receivers
//     count. WithTXT lets it see the record before it is published.
//  3. PassesSPF evaluates it as receivers do, for each address that mail leaves from.
//  4. What was found is Advice: a code that stays, and a sentence that says what to do.
//
// DMARC (RFC 7489): ReviewDMARC finds the record that receivers find, ParseDMARC reads it,
// and Aligned says whether a domain that passed SPF or DKIM counts for a From domain.
//
// Temporary trouble of the DNS makes a verdict Unknown, and never a failure.
package verify
