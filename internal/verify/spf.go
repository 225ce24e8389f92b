package verify

import (
	"errors"
	"slices"
	"strings"
)

// SPF is one SPF record (RFC 7208) as its terms in order. No byte of it is lost:
// String returns the text that was parsed. The zero value stands for no record.
type SPF struct {
	Version string // "v=spf1" as it is written
	Terms   []SPFTerm
	tail    string // spaces behind the last term
}

// SPFTerm is a mechanism with its qualifier, or a modifier.
type SPFTerm struct {
	Text      string          // every byte of it
	Modifier  bool            // name=value, else a mechanism
	Name      string          // in lower case: "include", "all", "redirect"
	Qualifier byte            // of a mechanism: '-', '~', '?', or '+' also when none is written
	Value     string          // what follows ':' or '=', without a prefix length
	Prefix    string          // "/24", "//64", "/24//64", or ""
	Err       *SPFSyntaxError // why the term is not valid, nil if it is
	space     string          // spaces before it
}

// SPFSyntaxError is a term that is not valid, which makes receivers ignore the whole
// record (RFC 7208 section 4.6).
type SPFSyntaxError struct {
	Term    string // as written
	Reason  SPFFault
	Instead string // what was probably meant, "" if there is no telling
}

func (e *SPFSyntaxError) Error() string { return quoted(e.Term) + ": " + e.Reason.String() }

// The ways in which TXT records are not one SPF record.
var (
	ErrNoSPF  = errors.New("no SPF record")
	ErrTwoSPF = errors.New("more than one SPF record")
)

// ParseSPF reads a record. What does not begin as one is ErrNoSPF. The error is an
// *SPFSyntaxError for the first term that is not valid; all terms are there even so.
func ParseSPF(text string) (SPF, error) {
	if !isSPF(text) {
		return SPF{}, ErrNoSPF
	}
	s := SPF{Version: text[:len(spfVersion)]}
	seen := map[string]bool{}
	for rest := text[len(spfVersion):]; rest != ""; {
		words := strings.TrimLeft(rest, " ")
		space := rest[:len(rest)-len(words)]
		if words == "" {
			s.tail = space
			break
		}
		var word string
		word, rest = words, ""
		if i := strings.IndexByte(words, ' '); i >= 0 {
			word, rest = words[:i], words[i:]
		}
		t := parseSPFTerm(word)
		t.space = space
		if t.Modifier && (t.Name == "redirect" || t.Name == "exp") {
			if seen[t.Name] && t.Err == nil { // RFC 7208 section 6
				t.Err = &SPFSyntaxError{Term: word, Reason: faultTwice}
			}
			seen[t.Name] = true
		}
		s.Terms = append(s.Terms, t)
	}
	if faults := s.faults(1); len(faults) > 0 {
		return s, faults[0]
	}
	return s, nil
}

const spfVersion = "v=spf1"

// isSPF is RFC 7208 section 4.5: the version ends with a space or with the record.
func isSPF(text string) bool {
	n := len(spfVersion)
	return len(text) >= n && strings.EqualFold(text[:n], spfVersion) && (len(text) == n || text[n] == ' ')
}

// PickSPF parses the SPF record among the TXT records of a name. The error is ErrNoSPF,
// ErrTwoSPF (receivers treat that as a broken record: RFC 7208 section 4.5) or what
// ParseSPF returns.
func PickSPF(txts []string) (SPF, error) {
	records := slices.DeleteFunc(slices.Clone(txts), func(s string) bool { return !isSPF(s) })
	switch len(records) {
	case 0:
		return SPF{}, ErrNoSPF
	case 1:
		return ParseSPF(records[0])
	default:
		return SPF{}, ErrTwoSPF
	}
}

// String returns the text of the record.
func (s SPF) String() string {
	var b strings.Builder
	b.WriteString(s.Version)
	for _, t := range s.Terms {
		b.WriteString(t.space + t.Text)
	}
	b.WriteString(s.tail)
	return b.String()
}

// tidy puts one space between the terms.
func (s SPF) tidy() SPF {
	s.tail = ""
	s.Terms = slices.Clone(s.Terms)
	for i := range s.Terms {
		s.Terms[i].space = " "
	}
	return s
}

// all returns the index of the first all mechanism, behind which nothing is read
// (RFC 7208 section 5.1), or the number of terms.
func (s SPF) all() int {
	for i, t := range s.Terms {
		if t.Err == nil && !t.Modifier && t.Name == "all" {
			return i
		}
	}
	return len(s.Terms)
}

// faults returns the first errors of the terms.
func (s SPF) faults(most int) []*SPFSyntaxError {
	var list []*SPFSyntaxError
	for _, t := range s.Terms {
		if t.Err != nil && len(list) < most {
			list = append(list, t.Err)
		}
	}
	return list
}

// includes reports whether the term includes that name, with whatever qualifier.
func (t SPFTerm) includes(name string) bool {
	return t.Err == nil && !t.Modifier && t.Name == "include" && sameName(t.Value, name)
}

func sameName(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// matchesEveryone reports whether no address can fail to match.
func (t SPFTerm) matchesEveryone() bool {
	return t.Name == "all" || (t.Name == "ip4" || t.Name == "ip6") && t.Prefix == "/0"
}
