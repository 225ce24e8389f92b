package classify

import "strings"

// pattern is one text of a rule that may be found in a reply.
type pattern struct {
	text string
	id   int
}

// maxPatterns bounds the different texts of all rules.
const maxPatterns = 8192

// found is which patterns a reply has.
type found [maxPatterns / 64]uint64

func (f *found) add(id int)         { f[id/64] |= 1 << (id % 64) }
func (f *found) has(p pattern) bool { return f[p.id/64]&(1<<(p.id%64)) != 0 }

// index finds all patterns of all rules in one pass over a text.
type index struct {
	words map[string]int     // to ids
	sites map[string]int     // to ids
	begin [buckets][]pattern // words by their first bytes
	count int
}

// Words are looked up by a few bits of their first bytes.
const (
	headLength = 3
	buckets    = 1 << 12
)

// head returns the bucket of what text begins with.
func head(text string) uint {
	return (uint(text[0])<<7 ^ uint(text[1])<<3 ^ uint(text[2])) % buckets
}

func newIndex() index { return index{words: map[string]int{}, sites: map[string]int{}} }

// word returns the pattern of a word, which has headLength bytes or more.
func (x *index) word(text string) pattern {
	id, known := x.words[text]
	p := pattern{text: text, id: id}
	if !known {
		p.id = x.count
		x.count++
		x.words[text] = p.id
		x.begin[head(text)] = append(x.begin[head(text)], p)
	}
	return p
}

// site returns the pattern of a host's name.
func (x *index) site(name string) pattern {
	id, known := x.sites[name]
	if !known {
		id = x.count
		x.count++
		x.sites[name] = id
	}
	return pattern{text: name, id: id}
}

// scan returns what is in a text.
func (x *index) scan(p plain) *found {
	f := &found{}
	for text := p.text; len(text) >= headLength; text = text[1:] {
		for _, w := range x.begin[head(text)] {
			if strings.HasPrefix(text, w.text) {
				f.add(w.id)
			}
		}
	}
	for _, host := range p.hosts {
		for name, more := host, true; more; _, name, more = strings.Cut(name, ".") {
			if id, ok := x.sites[name]; ok {
				f.add(id)
			}
		}
	}
	return f
}
