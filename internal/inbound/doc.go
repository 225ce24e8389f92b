// Package inbound receives mail at the platform's return path: reports about mail that was
// delivered before, the test mails that operators send to see what a stranger's server makes
// of them, and what people write to postmaster and abuse (RFC 5321 section 4.5.1, RFC 2142).
//
// A report goes like this:
//
//  1. Mailbox.Recipient takes the address if it is a return path that we made: its MAC names
//     the delivery and vouches for it;
//  2. ParseReport says what the mail is: a bounce, a complaint, a warning, an answer;
//  3. Report.about finds what it says about the delivery's recipient, with the rules on
//     replies of package classify;
//  4. the Book records it once, with all that follows from it.
//
// What people write to the platform's default sender is refused at DATA, or Mailbox.forward reads
// it as an answer to a mail of ours and the Forwarder puts it into the queue for the contact of the
// operator whose mail that was.
//
// A test mail that is to be judged goes like this:
//
//  1. Tests.New makes a one-time address at the return path's domain;
//  2. the mail leaves over the operator's real route and comes back through the front
//     door, as any stranger's would;
//  3. Mailbox.Recipient takes the address as long as somebody waits for it, and
//     Mailbox.Receive hands the message to Judge;
//  4. Judge checks SPF, DKIM and DMARC with libraries of others and asks the DNS anew,
//     writes the Authentication-Results line that a receiver would, and says in plain
//     sentences what failed and what to do.
package inbound
