// Package unsubscribe makes the links by which recipients stop mail of a kind with one
// click (RFC 8058), and reads them again.
//
//  1. A mail is accepted: Links.URL makes the link that its header gets, with a token that
//     names operator, mail, kind and recipient.
//  2. The recipient's mail program posts to the link, or the recipient opens it: Links.Read
//     knows the token by the seal of this installation, and says what may be done with it:
//     to unsubscribe that address from that kind of mail of that operator, and nothing else.
//
// Tokens are sealed, so that an address that stands in the log of some proxy tells nobody
// whose it is, and do not expire: people unsubscribe by mails of years ago. They last as
// long as the instance key they were sealed with is in the ring.
package unsubscribe
