// Package route decides how a delivery leaves, with nothing but what it is given:
// Pick chooses the route of an attempt or says why there is none now, From chooses
// the address in the From field for that route, EnvelopeFrom the return path of the
// operator's own server. Nothing is decided earlier than at the attempt, so a
// gateway switch, a suspension or a lost sender between accept and attempt is
// always handled.
package route
