package classify

import (
	_ "embed"
	"slices"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

//go:embed rules.toml
var builtIn []byte

// Rules say what replies mean. They do not change once they are loaded, so any number of
// goroutines may use them.
type Rules struct {
	rules []rule
	index index
}

// rule is one row: all conditions that are set must hold, the first row that matches
// names the cause.
type rule struct {
	name   string
	code   int           // reply code, 0: any
	status string        // enhanced code: "5.7.1"; "*.2.2" of class 4 or 5; "*.6." any that begins so
	phase  waypost.Phase // "": any
	any    []pattern     // at least one of them is in the text
	all    []pattern     // every one of them is
	none   []pattern     // none of them is
	cause  Cause
	us     bool // from a relay: about our login, permission or quota there
	notNow bool // temporary when said to RCPT, even as a 5yz
	slow   waypost.Slow
	own    bool // of the owner's file
}

// BuiltIn returns the rules that come with the program.
func BuiltIn() *Rules {
	r, err := newRules(nil)
	if err != nil {
		panic(err) // the file is wrong; a test loads it
	}
	return r
}

// lookUp returns the first row that matches, or one made of the phase alone, and the
// words that it found.
func (r *Rules) lookUp(in Input) (*rule, string) {
	found := r.index.scan(plainOf(in.Reply.Text))
	status := in.Reply.Enhanced
	if status == "" {
		status = statusInText(in.Reply)
	}
	for i := range r.rules {
		if row := &r.rules[i]; row.fits(in, status) {
			if words, ok := row.finds(found); ok {
				return row, words
			}
		}
	}
	switch in.Phase {
	case waypost.PhaseDNS:
		return &rule{name: "phase dns", cause: BadDomain}, ""
	case waypost.PhaseTLS:
		return &rule{name: "phase tls", cause: TLS}, ""
	case waypost.PhaseAuth:
		return &rule{name: "phase auth", cause: Auth, us: true}, ""
	}
	return &rule{name: "no rule", cause: Unknown}, ""
}

// fits reports whether the codes and the phase are those of the row.
func (r *rule) fits(in Input, status string) bool {
	return (r.code == 0 || r.code == in.Reply.Code) && (r.phase == "" || r.phase == in.Phase) &&
		(r.status == "" || statusMatches(r.status, status))
}

// finds reports whether the words are those of the row, and which.
func (r *rule) finds(found *found) (string, bool) {
	if slices.ContainsFunc(r.none, found.has) {
		return "", false
	}
	var words []string
	for _, p := range r.all {
		if !found.has(p) {
			return "", false
		}
		words = append(words, p.text)
	}
	if len(r.any) == 0 {
		return strings.Join(words, ", "), true
	}
	for _, p := range r.any {
		if found.has(p) {
			return strings.Join(append(words, p.text), ", "), true
		}
	}
	return "", false
}

// statusMatches compares an enhanced code with a pattern as in rule.status.
func statusMatches(pattern, status string) bool {
	if status == "" {
		return false
	}
	if pattern[0] == '*' {
		pattern, status = pattern[1:], status[1:]
	}
	if strings.HasSuffix(pattern, ".") {
		return strings.HasPrefix(status, pattern)
	}
	return pattern == status
}

// statusInText finds the enhanced code of servers that write it "(#5.1.1)", as qmail
// does. Without the # it may be a version of something.
func statusInText(r waypost.Reply) string {
	_, rest, ok := strings.Cut(r.Text, "#")
	if !ok {
		return ""
	}
	if status := leadingStatus(rest); status != "" && int(status[0]-'0') == r.Code/100 {
		return status
	}
	return ""
}

// leadingStatus returns the enhanced code that text begins with (RFC 3463 section 2).
func leadingStatus(text string) string {
	end := 0
	for end < len(text) && ('0' <= text[end] && text[end] <= '9' || text[end] == '.') {
		end++
	}
	parts := strings.Split(text[:end], ".")
	if len(parts) != 3 || parts[0] != "4" && parts[0] != "5" {
		return ""
	}
	for _, p := range parts[1:] {
		if p == "" || len(p) > 3 {
			return ""
		}
	}
	return text[:end]
}
