// Package waypost holds the nouns of the system and the rules that need nothing
// but themselves: who sends (Platform, Operator, Credential), how mail leaves
// (Gateway, Route), what is sent (Submission, Message, Delivery), what became of
// it (Attempt, Event), and the errors everyone speaks.
//
// It imports the standard library only and does no I/O, so every other package
// may import it. A mail goes through these nouns in this order:
//
//  1. a Principal hands over a Submission;
//  2. accepting it makes one Message and one Delivery per recipient, and answers
//     with a Receipt;
//  3. each try of a Delivery over a Route is an Attempt whose Outcome moves the
//     Delivery's State (see State.CanBecome);
//  4. every change leaves an Event.
//
// All instants are unix milliseconds (Millis) at the edges of storage and
// time.Time elsewhere; sizes are bytes.
package waypost
