// Package smtpd is the SMTP submission server (RFC 6409): programs hand over
// mail here. It speaks the protocol and decides nothing about mail; what is
// accepted, and who may send, it asks through the small interfaces it declares.
//
// A connection goes through these steps:
//
//  1. [Server.Serve] takes it from the listener, or answers 421 when there are
//     too many, in total or from its address;
//  2. a session greets, does TLS (at once, or on STARTTLS) and reads commands
//     line by line (session.run). Replies are buffered and leave when the client has
//     nothing more under way (RFC 2920);
//  3. AUTH asks the [Authenticator] for a Principal. Without a login, MAIL asks
//     it whether the client's network is bound to a credential;
//  4. MAIL and RCPT collect the envelope;
//  5. DATA collects the message in bulk (message), refuses what could be read
//     differently by the next server (bare CR, bare LF, NUL) and hands the
//     submission to the [Accepter], which returns when it is durable;
//  6. its answer becomes the reply to the final dot: 250 with the id, or what
//     replyFor makes of the error, which is the only place that maps error kinds
//     to replies.
//
// A server with an [Inbound] takes mail of strangers instead: nobody logs in, each
// recipient is asked for at RCPT and the whole envelope at DATA, and commands and time
// between two messages are limited.
//
// A session handles one command at a time. Everything it holds is bounded: the
// command line, the recipients, the time (see [Timeouts]), the errors, and the
// memory of messages under way, which all sessions share ([Options.DataBudget]).
//
// Lines of a message may be longer than the 998 characters of RFC 5321 section
// 4.5.3.1.6: legacy software writes such lines, and the bytes are kept as they are.
package smtpd
