// Package smtpc speaks the client side of one SMTP session over a connection that
// somebody else dialed. It has no policy: it does not choose hosts, does not fall
// back to plaintext, does not retry, and does not decide what a reply means (see
// package classify). A session goes through these calls in this order:
//
//  1. New wraps the connection; ImplicitTLS for port 465;
//  2. Greet reads the 220; Hello says EHLO (HELO where EHLO is unknown) and parses
//     the Extensions;
//  3. StartTLS and Auth, as the route wants it;
//  4. Send, as often as the peer allows: MAIL, RCPT and DATA in one write where
//     PIPELINING is offered (RFC 2920), then the message and its final dot in as
//     few writes as possible, with one Reply per recipient as the result;
//  5. Noop and Reset in between if wanted, Quit or Close at the end.
//
// Every wait has a deadline (Timeouts), and so has the message as a whole; what a peer
// may ask in a login is counted, every reply is bounded before it is kept, and a
// context that ends closes the session promptly. An error is always an *Error that
// says in which phase the session broke; only one in waypost.PhaseDot with no reply
// leaves open whether the peer took the mail.
//
// A Session belongs to one goroutine at a time; only Close may be called from
// another one.
package smtpc
