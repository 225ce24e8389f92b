// Package preview makes documents out of mails, for showing them in a frame.
//
// A mail is written by anybody. What comes out of here has only elements and attributes
// that are listed (clean.go), style sheets without anything that loads something (css.go),
// and images out of the mail itself. The frame is sandboxed and the document's content
// security policy (Policy) loads nothing either: each of the three is enough alone.
package preview
