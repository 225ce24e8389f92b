// Package submit is the accept pipeline. There is one: SMTP, HTTP, the test mail and
// our own notices all come through Accept.
//
//  1. the header is parsed within limits, and the controls in it are read;
//  2. the operator is found, the credential's or the one a platform credential names,
//     and its account is read;
//  3. an idempotency key that was used gives the original answer, whatever has changed
//     since;
//  4. kind, lane, times, recipients and sizes are checked against limits and scopes;
//  5. From is checked against the operator's senders, replaced or refused;
//  6. the header edits of docs/headers.md are made, among them the link by which its one
//     recipient unsubscribes, and the signature is appended, unless the mail was accepted
//     before (Submission.Again) and has it;
//  7. suppressed recipients are set apart;
//  8. the queue is asked whether it takes the mail from memory;
//  9. everything is written in one group-committed transaction; then, and only then,
//     the caller has a receipt.
//
// Nothing is written before step 9, so a refusal leaves nothing behind.
package submit
