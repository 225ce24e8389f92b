package classify

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/waypost/waypost/internal/waypost"
)

// Bounds of an owner's file.
const (
	maxFile     = 256 << 10 // bytes
	maxRows     = 500
	maxRowWords = 200 // of each list

	maxOwnPatterns = maxPatterns / 2 // words and sites; the rest is for the built-in ones
	maxWord        = 200             // bytes
	longestSlow    = 7 * 24 * time.Hour
)

// row is a rule as it stands in a file.
type row struct {
	Name    string   `toml:"name"`
	Code    int      `toml:"code"`
	Status  string   `toml:"status"`
	Phase   string   `toml:"phase"`
	Words   []string `toml:"words"`
	Sites   []string `toml:"sites"`
	All     []string `toml:"all"`
	Without []string `toml:"without"`
	Cause   string   `toml:"cause"`
	Us      bool     `toml:"us"`
	NotNow  bool     `toml:"not_now"`
	Slow    string   `toml:"slow"`
	How     string   `toml:"how"`
}

// Open returns the rules of an owner's file before the built-in ones, or only these if
// no file is named.
func Open(file string) (*Rules, error) {
	if file == "" {
		return BuiltIn(), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	r, err := newRules(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

// newRules reads an owner's rules and has the built-in ones follow. The error joins
// everything that is wrong with the owner's.
func newRules(own []byte) (*Rules, error) {
	if len(own) > maxFile {
		return nil, fmt.Errorf("more than %d bytes", maxFile)
	}
	r := &Rules{index: newIndex()}
	rows, err := readRows(own)
	if err != nil {
		return nil, err
	}
	if len(rows) > maxRows {
		return nil, fmt.Errorf("%d rules; at most %d may be", len(rows), maxRows)
	}
	if err := r.add(rows); err != nil {
		return nil, err
	}
	if r.index.count > maxOwnPatterns {
		return nil, fmt.Errorf("%d words and sites; at most %d may be", r.index.count, maxOwnPatterns)
	}
	for i := range r.rules {
		r.rules[i].own = true
	}
	if rows, err = readRows(builtIn); err == nil {
		err = r.add(rows)
	}
	if err != nil {
		return nil, fmt.Errorf("built-in: %w", err)
	}
	return r, nil
}

// readRows parses a file.
func readRows(text []byte) ([]row, error) {
	var file struct {
		Rule []row `toml:"rule"`
	}
	meta, err := toml.Decode(string(text), &file)
	if err != nil {
		return nil, err // it names the line
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, unknownKey(text, unknown[0])
	}
	return file.Rule, nil
}

// unknownKey says in which row a key stands, which the parser does not.
func unknownKey(text []byte, key toml.Key) error {
	var file struct {
		Rule []map[string]any `toml:"rule"`
	}
	if _, err := toml.Decode(string(text), &file); err == nil && len(key) > 1 {
		for i, r := range file.Rule {
			if _, ok := r[key[1]]; ok {
				name, _ := r["name"].(string)
				return fmt.Errorf("%s: no such key: %q", rowName(i, name), key[1])
			}
		}
	}
	return fmt.Errorf("no such key: %q; every rule begins with [[rule]]", key.String())
}

// rowName names a row for people.
func rowName(i int, name string) string {
	if name == "" {
		return fmt.Sprintf("rule %d", i+1)
	}
	return fmt.Sprintf("rule %d (%q)", i+1, name)
}

// add checks rows and appends them.
func (r *Rules) add(rows []row) error {
	var errs []error
	names := map[string]bool{}
	for i, from := range rows {
		to, err := r.index.rule(from)
		if err == nil && names[to.name] {
			err = errors.New("the name is taken by a rule above")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", rowName(i, from.Name), err))
			continue
		}
		names[to.name] = true
		r.rules = append(r.rules, to)
	}
	return errors.Join(errs...)
}

// statusPattern is what rule.status may look like.
func statusPattern() *regexp.Regexp {
	return regexp.MustCompile(`^[45*]\.\d{1,3}\.(\d{1,3})?$`)
}

// rule checks a row.
func (x *index) rule(from row) (rule, error) {
	to := rule{
		name: strings.TrimSpace(from.Name), code: from.Code, status: from.Status, phase: waypost.Phase(from.Phase),
		cause: Cause(from.Cause), us: from.Us, notNow: from.NotNow,
	}
	switch {
	case to.name == "" || len(to.name) > maxWord:
		return to, fmt.Errorf("it needs a name of at most %d bytes", maxWord)
	case to.code != 0 && (to.code < 400 || to.code > 599):
		return to, fmt.Errorf("code %d is not from 400 to 599", to.code)
	case to.status != "" && !statusPattern().MatchString(to.status):
		return to, fmt.Errorf(`status %q is none of the form "5.7.1", "*.7.1" (4 or 5) or "5.7." (any that begins so)`, to.status)
	case to.phase != "" && !slices.Contains(sayings(), to.phase):
		return to, fmt.Errorf("phase %q is none of %q", to.phase, sayings())
	case !slices.Contains(Causes(), to.cause):
		return to, fmt.Errorf("cause %q is none of %q", to.cause, Causes())
	}
	var errs []error
	list := func(key string, texts []string, read func(string) (pattern, error)) (patterns []pattern) {
		if len(texts) > maxRowWords {
			errs = append(errs, fmt.Errorf("%s: %d of them; at most %d may be", key, len(texts), maxRowWords))
			return nil
		}
		for _, text := range texts {
			p, err := read(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", key, err))
			}
			patterns = append(patterns, p)
		}
		return patterns
	}
	to.any = append(list("words", from.Words, x.readWord), list("sites", from.Sites, x.readSite)...)
	to.all = list("all", from.All, x.readWord)
	to.none = list("without", from.Without, x.readWord)
	if len(to.any)+len(to.all) == 0 && to.code == 0 && to.status == "" {
		errs = append(errs, errors.New("without code, status, words, sites or all it would hold for every reply"))
	}
	var err error
	if to.slow, err = readSlow(from.Slow, from.How); err != nil {
		errs = append(errs, err)
	}
	return to, errors.Join(errs...)
}

// sayings lists the phases in which something is said.
func sayings() []waypost.Phase {
	return []waypost.Phase{
		waypost.PhaseDNS, waypost.PhaseConnect, waypost.PhaseGreet, waypost.PhaseHello, waypost.PhaseTLS, waypost.PhaseAuth,
		waypost.PhaseMail, waypost.PhaseRcpt, waypost.PhaseData, waypost.PhaseDot,
	}
}

// readWord checks a word, which may be several, and brings it into the form of a plain
// text. A blank at either end is kept: " rbl" is not found in "marbles".
func (x *index) readWord(text string) (pattern, error) {
	if len(text) > maxWord {
		return pattern{}, fmt.Errorf("%.20q ... has more than %d bytes", text, maxWord)
	}
	plain := plainOf(text)
	word := strings.TrimSpace(plain.text)
	switch {
	case len(plain.hosts) > 0 || word != strings.ToLower(strings.Join(strings.Fields(text), " ")):
		return pattern{}, fmt.Errorf("%q is never found: names of hosts, addresses and <...> are no words; list hosts as sites", text)
	case len(word) < headLength:
		return pattern{}, fmt.Errorf("%q is too short; %d letters or more", text, headLength)
	}
	if strings.HasPrefix(text, " ") {
		word = " " + word
	}
	if strings.HasSuffix(text, " ") {
		word += " "
	}
	return x.word(word), nil
}

// readSite checks the name of a host.
func (x *index) readSite(name string) (pattern, error) {
	if len(name) > maxWord || hostLength(name) != len(name) || name == "" {
		return pattern{}, fmt.Errorf(`%.40q is not the name of a host, such as "spamhaus.org"`, name)
	}
	return x.site(strings.ToLower(name)), nil
}

func readSlow(text, how string) (waypost.Slow, error) {
	if text == "" && how == "" {
		return waypost.Slow{}, nil
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil || d <= 0 || d > longestSlow:
		return waypost.Slow{}, fmt.Errorf(`slow %q is not a time such as "15m" or "2h", of at most %s`, text, longestSlow)
	case !slices.Contains(waypost.SlowHows(), waypost.SlowHow(how)):
		return waypost.Slow{}, fmt.Errorf("how %q is none of %q", how, waypost.SlowHows())
	}
	return waypost.Slow{How: waypost.SlowHow(how), For: d}, nil
}
