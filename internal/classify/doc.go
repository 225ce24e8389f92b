// Package classify says what an SMTP reply, or the lack of one, means: should the
// mail be tried again, whose fault was it, and what shall people be told.
//
// Classify works in this order:
//
//  1. a 2yz to the final dot is delivered; no reply after the dot is uncertain;
//  2. the first row of the rules that holds names the cause; without one, the phase does;
//  3. the outcome follows from the class of the reply, the phase and, on a relay,
//     whether the row speaks of our login, permission or quota there.
//
// The rules are data: rules.toml, and before it a file of the owner's. They look at what
// a server says, not at the names it says it about (plainOf).
//
// Whatever nobody foresaw is temporary. Permanent is only what a peer said about the
// recipient or the message: a 5yz to RCPT, to DATA or to the final dot, and to MAIL
// when it is about the message. All other 5yz are about us, and so is, from a relay,
// one at any stage that a row marks with us: the route is down and the mail waits.
//
// The outcome says what to do with the mail. Whether an address may be suppressed
// is another question: only where Verdict.Suppress says so, because a peer
// that blocks our address answers 5yz to RCPT as well.
package classify
