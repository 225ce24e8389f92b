// Package store is the SQL of one operator: accepting its mail, its settings,
// senders, credentials and suppressions, and reading what became of its messages.
// Every exported query takes an operator id and can reach no other operator's rows;
// what crosses operators is in store/system.
//
// Accepting is the hot path. It goes like this:
//
//  1. submit builds an Accepting: messages, bodies, deliveries, the idempotency row;
//  2. Accept puts it on the committer's accept queue and waits;
//  3. the committer writes the rows of everyone who waits with multi-row inserts,
//     adds up the counters, and commits once;
//  4. Accept returns, and only then may 250 or 202 be said.
package store
