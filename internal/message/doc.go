// Package message does everything that touches the bytes of a mail: it reads and
// edits header blocks, appends an operator's signature inside MIME, and composes
// new mails. It does no I/O and keeps no state.
//
// A submitted mail goes through it in this order:
//
//  1. Split cuts the mail into header block and body, and refuses line ends that
//     other servers read differently (bare CR, bare LF, NUL);
//  2. ParseHeader indexes the header block without copying it;
//  3. ReadControls reads the X-Waypost fields, Header.From the author;
//  4. Header.Accept executes the rows of Edits for accepting: nothing else in the
//     header changes;
//  5. Header.Bytes rebuilds the block once;
//  6. AppendSignature splices the operator's signature into the text bodies;
//  7. Scan says which SMTP extensions the result needs;
//  8. at each attempt ForAttempt executes the rows of Edits for the attempt on the
//     stored header block.
//
// A mail that comes as data instead (REST, notices, reports) is made by Compose and
// then goes the same way.
//
// Header blocks end with the empty line, all line ends are CRLF, and nothing here
// is dot-stuffed. What cannot be sent as it is, is a waypost.Error; what cannot be
// signed is sent unsigned, with the reason.
package message
