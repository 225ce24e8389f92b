// Package account is the one place that reads and changes operators: their gateways,
// senders, settings and suppressions, and what is found out about their SMTP servers.
//
// Directory is what the hot paths read. It works like this:
//
//  1. Get answers from memory, with a snapshot that is shared and never changed;
//  2. a miss reads operator, relay, senders and suppressions between two equal change
//     numbers, so that they belong together, and opens the relay's password;
//  3. Watch reads the change number again and again; when it moved, all snapshots are
//     dropped and those who registered with OnChange are told;
//  4. RelayFailed and RelayRecovered write a relay's health, if the settings that were
//     tried are still the saved ones, and forget its operator's snapshot, so that this
//     process sees it at once and the others by the number.
//
// Service is what panels and programs change. SaveEmail goes like this:
//
//  1. read what is saved, uncached;
//  2. check every field and gather all problems; a gateway that the product does not
//     include is refused before that;
//  3. decide about the password: a stored one is reused only for the very server it was
//     typed for (promise 7 of the design), else it must be typed again;
//  4. write gateway, relay, default sender, Reply-To and signature in one transaction.
//
// Preview is the same without step 4: the account as it would be, for a test mail.
// Passwords leave this package only inside a waypost.Relay, for the one who dials.
package account
