package classify

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is how much of a text is read; no server needs more to say why.
const maxText = 8 << 10

// maxHost is how long the name of a host may be (RFC 1035 section 2.3.4).
const maxHost = 255

// What stands in a plain text where a name was.
const (
	wasBracket = "<>"
	wasAddress = "@"
	wasHost    = "~"
)

// plain is a text as rules see it.
type plain struct {
	text  string   // lower case, one blank between words, before the first and after the last
	hosts []string // names of hosts, those in URLs too, in lower case
}

// plainOf leaves of a text what a server says, and takes out whom it says it about:
// what stands in angle brackets, addresses, names of hosts, URLs. Recipients choose
// their domains and we ours, and neither must make "user unknown" an accusation of
// spam. Only the sites of rules look at the names.
func plainOf(text string) plain {
	if len(text) > maxText {
		text = text[:maxText]
	}
	p := plainer{in: text, out: append(make([]byte, 0, len(text)+2), ' ')}
	for p.at < len(p.in) {
		p.next()
	}
	p.blank()
	return plain{text: string(p.out), hosts: p.hosts}
}

// plainer is a plainOf under way.
type plainer struct {
	in    string
	at    int
	out   []byte
	hosts []string
}

// next reads one character, or one name.
func (p *plainer) next() {
	rest := p.in[p.at:]
	c := rest[0]
	switch {
	case c == ' ' || c == '\n' || c == '\r' || c == '\t':
		p.blank()
		p.at++
	case c == '<' && p.bracket(rest):
	case isAtom(c) && (p.at == 0 || !isAtom(p.in[p.at-1])) && (p.url(rest) || p.name(rest)):
	case c < utf8.RuneSelf:
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		p.out = append(p.out, c)
		p.at++
	default:
		r, n := utf8.DecodeRuneInString(rest)
		if unicode.IsSpace(r) {
			p.blank()
		} else {
			p.out = utf8.AppendRune(p.out, unicode.ToLower(r))
		}
		p.at += n
	}
}

func (p *plainer) blank() {
	if p.out[len(p.out)-1] != ' ' {
		p.out = append(p.out, ' ')
	}
}

// skip goes on behind n bytes that were a name; mark stands for it.
func (p *plainer) skip(n int, mark string) bool {
	p.out = append(p.out, mark...)
	p.at += n
	return true
}

// bracket reads "<...>" without a blank in it: an address, a host, what a client said.
func (p *plainer) bracket(rest string) bool {
	end := strings.IndexAny(rest[1:], "<> \t\r\n") + 1
	if end == 0 || rest[end] != '>' {
		return false
	}
	p.urlHost(rest[1:end])
	return p.skip(end+1, wasBracket)
}

// url reads a URL. Its path may hold anything, also the recipient's domain.
func (p *plainer) url(rest string) bool {
	if !p.urlHost(rest) {
		return false
	}
	end := strings.IndexAny(rest, "<>\" \t\r\n")
	if end < 0 {
		end = len(rest)
	}
	return p.skip(end, wasHost)
}

// urlHost notes the host of a URL that text begins with.
func (p *plainer) urlHost(text string) bool {
	scheme, _, ok := strings.Cut(text[:min(len(text), len("https://"))], "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return false
	}
	host := text[len(scheme)+len("://"):]
	host = strings.ToLower(host[:min(len(host), maxHost)])
	if n := hostLength(host); n > 0 {
		p.hosts = append(p.hosts, host[:n])
	}
	return true
}

// name reads an address or the name of a host.
func (p *plainer) name(rest string) bool {
	run := 1
	for run < len(rest) && isAtom(rest[run]) {
		run++
	}
	if run+1 < len(rest) && rest[run] == '@' && isLabel(rest[run+1]) {
		end := run + 1
		for end < len(rest) && (isLabel(rest[end]) || rest[end] == '.' && end+1 < len(rest) && isLabel(rest[end+1])) {
			end++
		}
		return p.skip(end, wasAddress)
	}
	n := hostLength(rest[:run])
	if n == 0 {
		return false
	}
	p.hosts = append(p.hosts, strings.ToLower(rest[:n]))
	if n < run && rest[n] == '/' {
		n = run // a URL without its scheme
	}
	return p.skip(n, wasHost)
}

// hostLength returns how much of the beginning of text is the name of a host, 0 for
// none: two or more labels, of which the last has two or more letters of one case. So
// "unknown.Please" is none, nor Exchange's "RESOLVER.ADR.RecipNotFound".
func hostLength(text string) int {
	end, last, labels := 0, 0, 0
	for i := 0; ; i++ {
		if i < len(text) && isLabel(text[i]) {
			continue
		}
		if i > last {
			end = i
			labels++
		}
		if i == last || i+1 >= len(text) || text[i] != '.' || !isLabel(text[i+1]) {
			break
		}
		last = i + 1
	}
	top := text[last:max(last, end)]
	if labels < 2 || len(top) < 2 || strings.ContainsAny(top, "0123456789-") ||
		top != strings.ToLower(top) && top != strings.ToUpper(top) {
		return 0
	}
	return end
}

// isLabel reports a byte of a host's name.
func isLabel(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-'
}

// isAtom reports a byte of a name or of what stands before the @ of an address
// (RFC 5322 section 3.2.3).
func isAtom(c byte) bool {
	return isLabel(c) || c == '.' || strings.IndexByte("!#$%&'*+/=?^_`{|}~", c) >= 0
}
