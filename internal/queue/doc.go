// Package queue decides when which delivery is tried and what follows from the
// result. It knows no SMTP: a Deliverer does the talking.
//
// A delivery goes through it like this:
//
//  1. Reserve: an accept asks whether its mail may be tried at once from memory. If
//     so its deliveries are written leased to this node and Start brings them in; if
//     not they are ordinary due rows;
//  2. the scan finds the keys (lane, operator, site) that have due rows; the timers
//     remember when known keys fall due;
//  3. dispatch picks the next key: the most urgent lane that its reserved shares
//     allow, operators in turn and each within its share of the sessions, destinations
//     with a free slot; rows are claimed for one key at a time (a short transaction that
//     also counts the attempt);
//  4. run reads the content within the memory budget, picks the route anew, and lets
//     the Deliverer talk. Before that dials it tells which MX hosts the site has: domains
//     with the same ones are one destination, and the job needs a slot there;
//  5. settle turns each attempt into the delivery's next state, and the store's
//     Finish records it, fenced by lease and epoch, in a group-committed transaction;
//  6. the destination opens or closes its window, or slows down as the reply asked, and
//     dispatch goes on.
//
// Every delivery in memory ends in exactly one Finish, whatever happens to its job:
// what the Deliverer does not report is given back, untried and a little later. What
// cannot be recorded is kept and retried, and nothing new is dialed meanwhile.
//
// A key that cannot go now is always somewhere that brings it back: in the timers, at
// a destination that wakes it, or parked until something changes. The scan finds
// again what memory does not keep, so nothing in memory is a promise: what is lost
// with the process is a lease, and the next incarnation takes it back.
package queue
