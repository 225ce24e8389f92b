package verify

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// reLookalike is how records begin that were meant to be SPF: "v=spf1;", "v = spf1",
// "spf1", "v=spf1" with the first term stuck to it.
var reLookalike = regexp.MustCompile(`(?i)^(?:v *[=:] *spf *1[;,]?(?: +|$)|v=spf1[;,]?([a-z+~?-])|spf1[;,]? +([a-z+~?-]))`)

// repairSPF returns the record that a TXT record was meant to be, and whether it was. Only
// the beginning and what stands between terms changes.
func repairSPF(text string) (string, bool) {
	if !utf8.ValidString(text) {
		return "", false
	}
	s := strings.Map(func(r rune) rune {
		switch {
		case r == '\u200b' || r == '\ufeff': // zero width space, byte order mark
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, text)
	s = strings.ReplaceAll(s, `\"`, `"`)
	s = strings.ReplaceAll(s, `" "`, "") // the strings of a record as they stand in zone files
	s = strings.ReplaceAll(s, `"`, "")
	s = strings.Trim(s, " ")
	m := reLookalike.FindStringSubmatchIndex(s)
	if m == nil {
		return "", false
	}
	rest := s[m[1]:]
	for _, group := range []int{2, 4} {
		if m[group] >= 0 {
			rest = s[m[group]:]
		}
	}
	words := strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' })
	return strings.Join(append([]string{spfVersion}, mendTorn(words)...), " "), true
}

// mendTorn joins terms that a space tears apart: "include: x.test", "- all". What is a term
// by itself is never joined to another.
func mendTorn(words []string) []string {
	var mended []string
	for i := 0; i < len(words); i++ {
		word := words[i]
		if i+1 < len(words) {
			next := words[i+1]
			name, ends := strings.CutSuffix(strings.ToLower(strings.TrimLeft(word, "+-~?")), ":")
			colon := ends && isMechanism(name) && parseSPFTerm(next).Err != nil
			qualifier := len(word) == 1 && strings.Contains("+-~?", word) && strings.EqualFold(next, "all")
			if colon || qualifier {
				word += next
				i++
			}
		}
		mended = append(mended, word)
	}
	return mended
}

// corrected returns the record with what was probably meant for its invalid terms. It
// reports false unless that makes a valid record of one that was none.
func (s SPF) corrected() (SPF, bool) {
	c := s
	c.Terms = slices.Clone(s.Terms)
	for i, t := range c.Terms {
		if t.Err != nil && t.Err.Instead != "" {
			c.Terms[i] = parseSPFTerm(t.Err.Instead)
			c.Terms[i].space = " "
		}
	}
	return c, len(s.faults(1)) > 0 && len(c.faults(1)) == 0
}

// readSPF parses a record, repaired if only that makes it valid, or a record at all.
func readSPF(text string) (s SPF, repaired bool) {
	s, err := ParseSPF(text)
	if _, ok := s.corrected(); ok || err == nil {
		return s, false
	}
	mended, ok := repairSPF(text)
	if !ok {
		return s, false
	}
	m, mendedErr := ParseSPF(mended)
	if _, ok := m.corrected(); isSPF(text) && mendedErr != nil && !ok {
		return s, false
	}
	return m, true
}
