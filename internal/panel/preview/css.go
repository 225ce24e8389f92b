package preview

import (
	"regexp"
	"slices"
	"strings"
)

var (
	reAtRule   = regexp.MustCompile(`(?i)@(?:import|charset|namespace)[^;{}]*;?`)
	reAt       = regexp.MustCompile(`(?i)@(?:media\b)?`)
	reFunction = regexp.MustCompile(`[-_a-zA-Z0-9\x{80}-\x{10FFFF}]*\(`)
	reURL      = regexp.MustCompile(`(?i)\b(?:url|src)\(([^)]*)\)`)
)

// css cleans a style sheet, or the value of a style attribute. It does not parse it: the
// words that load something are taken out wherever they stand, in strings and comments too,
// and escapes, with which they could be spelled otherwise.
func (c *cleaner) css(text string) string {
	text = strings.NewReplacer(`\`, "", "<", "", "\x00", "").Replace(text)
	text = reAtRule.ReplaceAllStringFunc(text, func(string) string { c.blocked++; return "" })
	text = reAt.ReplaceAllStringFunc(text, func(word string) string {
		if word == "@" {
			return "x"
		}
		return word
	})
	text = reURL.ReplaceAllStringFunc(text, func(word string) string {
		if strings.Contains(word, "//") {
			c.blocked++
		}
		return "x()"
	})
	return reFunction.ReplaceAllStringFunc(text, func(word string) string {
		if word == "(" || harmless(strings.ToLower(strings.TrimSuffix(word, "("))) {
			return word
		}
		return "x("
	})
}

// harmless reports functions that only compute something.
func harmless(name string) bool {
	return slices.Contains([]string{
		"rgb", "rgba", "hsl", "hsla", "calc", "min", "max", "clamp", "var", "linear-gradient", "radial-gradient", "repeating-linear-gradient",
		"translate", "translatex", "translatey", "scale", "rotate", "not", "nth-child", "nth-of-type", "nth-last-child", "lang",
		"media", "and", "or", "only", "x",
	}, name)
}
