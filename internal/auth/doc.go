// Package auth turns what a client shows into a waypost.Principal.
//
// A key is "wp_live_" or "wp_test_" and 32 characters of base32 in lower case, which
// hold 160 random bits. Only the SHA-256 of the whole key is stored: with that much
// chance in it there is nothing to guess, so a slow hash would cost and protect nothing.
// Authenticating goes like this:
//
//  1. what does not look like a key is refused without asking anybody;
//  2. its hash is looked up, first in memory, unknown keys too but briefly;
//  3. an unknown key and a revoked one get the same answer.
//
// Over SMTP the password is the key. The user name is free, but for a credential of the
// platform it may name the operator by id; a name that is no operator's leaves the
// choice to the X-Waypost-Operator header of each mail. A client in a network that a
// credential is bound to needs no login: the longest prefix decides. Networks restrict
// nothing: with a login the key counts, wherever the client is.
//
// What is in memory is dropped by Changed, which has to be called whenever credentials
// may have changed. Only which keys were valid once is kept: who limits wrong keys per
// client asks Recognizes before it lets one past the limit be looked up. A suspended operator authenticates as ever, for reading and for
// mail of kind security; what it may send is decided where mail is accepted.
package auth
