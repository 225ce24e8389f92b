package waypost

import "unicode"

// Misleading reports runes that have no place in a name people read: control characters,
// line separators, and the marks that make text read otherwise than it runs (Unicode UAX
// #9).
func Misleading(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}
