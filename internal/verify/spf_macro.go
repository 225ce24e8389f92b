package verify

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// reMacro is the inside of %{...} (RFC 7208 section 7.1): letter, transformers,
// delimiters. A number of parts must not be 0 (section 7.3).
var reMacro = regexp.MustCompile(`^([slodiphcrtvSLODIPHCRTV])([0-9]*[1-9][0-9]*)?([rR])?([-.+,/_=]*)$`)

// piece is a part of a macro-string.
type piece struct {
	text       string // as it stands, or what an escape means
	escape     bool   // %%, %_ or %-
	letter     byte   // of a macro, in lower case; 0 for text
	parts      int    // right-hand parts to keep, 0 for all
	reverse    bool
	delimiters string
}

// macros takes a macro-string apart (RFC 7208 section 7.1). Without a fault an empty string
// is the only one without pieces.
func macros(s string) (pieces []piece, fault SPFFault) {
	for s != "" {
		percent := strings.IndexByte(s, '%')
		if percent < 0 {
			return append(pieces, piece{text: s}), ""
		}
		if percent > 0 {
			pieces = append(pieces, piece{text: s[:percent]})
		}
		s = s[percent+1:]
		if s == "" {
			return nil, faultPercent
		}
		switch s[0] {
		case '%', '_', '-':
			pieces = append(pieces, piece{text: map[byte]string{'%': "%", '_': " ", '-': "%20"}[s[0]], escape: true})
			s = s[1:]
			continue
		case '{':
		default:
			return nil, faultPercent
		}
		inside, rest, closed := strings.Cut(s[1:], "}")
		m := reMacro.FindStringSubmatch(inside)
		if !closed || m == nil {
			return nil, faultMacro
		}
		parts, err := strconv.Atoi(m[2])
		if m[2] != "" && err != nil {
			return nil, faultMacro // a number of more digits than fit
		}
		pieces = append(pieces, piece{letter: strings.ToLower(m[1])[0], parts: parts, reverse: m[3] != "", delimiters: m[4]})
		s = rest
	}
	return pieces, ""
}

// expandName expands a valid domain-spec as far as that is possible before a mail comes:
// domain is the one whose record it is in (%{d}), origin the sender's (%{o}). It reports
// false where something depends on the mail.
func expandName(spec, domain, origin string) (string, bool) {
	pieces, _ := macros(spec)
	var b strings.Builder
	for _, p := range pieces {
		switch p.letter {
		case 0:
			b.WriteString(p.text)
		case 'd':
			b.WriteString(p.transform(domain))
		case 'o':
			b.WriteString(p.transform(origin))
		default:
			return "", false
		}
	}
	return b.String(), true
}

// transform is RFC 7208 section 7.3: split, reverse, keep the right-hand parts, join
// with dots.
func (p piece) transform(value string) string {
	delimiters := p.delimiters
	if delimiters == "" {
		delimiters = "."
	}
	parts := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(delimiters, r) })
	if p.reverse {
		slices.Reverse(parts)
	}
	if p.parts > 0 && p.parts < len(parts) {
		parts = parts[len(parts)-p.parts:]
	}
	return strings.Join(parts, ".")
}
