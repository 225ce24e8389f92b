// Package deliver carries a job over its route: straight to the recipient domain's
// MX hosts, through a relay, or into the sandbox. It keeps sessions open for the next
// mail and turns what servers say, or fail to say, into one attempt per recipient.
// When to try, and what follows from the result, is the queue's business.
//
// An attempt goes like this:
//
//  1. prepare: From is chosen for this route, the header rewritten where it differs,
//     and on the built-in gateway the mail is signed; without a key nothing leaves;
//  2. a kept session is taken, or a new one made: look-up, guarded connect, greeting,
//     EHLO, TLS by the route's policy, login. Which MX hosts a site has is told to the
//     queue before either; domains with the same ones share sessions;
//  3. MayTalk is asked for each recipient right before MAIL, MayDot right before the
//     final dot;
//  4. each recipient's reply is classified and reported.
//
// The built-in gateway uses one transaction per recipient, because each has a return
// path of its own; an own server gets one transaction for all.
//
// Another host, or another session, is tried only while it is certain that nobody has
// the mail: a kept session that was dead before it answered MAIL, an MX host that broke
// off before the final dot or spoke to MAIL about us. Once the dot is sent the attempt
// ends with this host, whatever it says or does not say.
//
// Where the upstream stands behind direct delivery, a mail whose hosts cannot be
// connected to goes there. When nothing can be connected to any more, and no operator
// alone can have staged that, all mail does, but for one now and then that finds out
// when it is over.
//
// Attempts and stages are read by the operator: what others wrote is cut and cleaned
// there, and addresses of our own network are left to the log.
//
// A job that somebody watches (a test mail) has sessions of its own, which are neither
// taken from the kept ones nor kept.
package deliver
