package smtpc

import (
	"bytes"
	"strings"
	"unicode"

	"github.com/waypost/waypost/internal/waypost"
)

// replyParser puts one reply together from what ReadSlice returns: whole lines,
// or fragments of a line too long for the buffer. It keeps the first keptReply
// bytes of text and reads on within its limits, so that a reply costs the same
// memory however long it is.
type replyParser struct {
	text  []byte // lines joined by "\n", without codes
	limit int    // bytes left to read
	lines int
	code  int
	last  bool // the current line ends the reply
	inner bool // the next fragment continues a line
	cut   bool // text was shortened
}

// feed takes the next fragment and reports whether the reply is complete.
func (p *replyParser) feed(fragment []byte) (done bool, err error) {
	if p.limit -= len(fragment); p.limit < 0 {
		return false, ErrReplyLength
	}
	body := fragment
	if !p.inner {
		if p.lines++; p.lines > maxReplyLines {
			return false, ErrReplyLength
		}
		if body, err = p.start(fragment); err != nil {
			return false, err
		}
		if p.lines > 1 {
			p.keep([]byte{'\n'})
		}
	}
	// A line ends in CRLF; a bare LF is taken too, since only we would suffer.
	body, ended := bytes.CutSuffix(body, []byte{'\n'})
	if ended {
		body = bytes.TrimSuffix(body, []byte{'\r'})
	}
	p.keep(body)
	p.inner = !ended
	return ended && p.last, nil
}

// start reads the code and the separator of a line (RFC 5321 section 4.2) and
// returns what follows.
func (p *replyParser) start(line []byte) ([]byte, error) {
	if len(line) < 4 || line[0] < '2' || line[0] > '5' || !digit(line[1]) || !digit(line[2]) {
		return nil, ErrProtocol
	}
	code := int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if p.lines > 1 && code != p.code {
		return nil, ErrProtocol
	}
	p.code = code
	switch line[3] {
	case '-':
		return line[4:], nil
	case ' ', '\t':
		p.last = true
		return line[4:], nil
	case '\r', '\n': // a code with no text at all
		p.last = true
		return line[3:], nil
	}
	return nil, ErrProtocol
}

func (p *replyParser) keep(b []byte) {
	if room := keptReply - len(p.text); len(b) > room {
		b = b[:room]
		p.cut = true
	}
	p.text = append(p.text, b...)
}

// reply returns the finished reply. Secrets are looked for in what people will see, and
// again when the codes that may have stood between their pieces are gone.
func (p *replyParser) reply(hide secrets) waypost.Reply {
	text := hide.redact(Printable(string(p.text)))
	if p.cut {
		text = hide.trim(text)
	}
	reply := waypost.Reply{Code: p.code, Text: text}
	if code := enhanced(p.code, reply.Text); code != "" {
		reply.Enhanced = code
		reply.Text = strings.TrimPrefix(reply.Text[len(code):], " ")
		if strings.Contains(reply.Text, "\n"+code) {
			reply.Text = hide.redact(strings.ReplaceAll(reply.Text, "\n"+code+" ", "\n"))
		}
	}
	return reply
}

// enhanced returns the enhanced status code text begins with, "" if there is none
// or its class contradicts the reply code (RFC 2034 section 4).
func enhanced(code int, text string) string {
	if len(text) < 5 || int(text[0]-'0') != code/100 || text[1] != '.' {
		return ""
	}
	i := 2
	for part := range 2 {
		start := i
		for i < len(text) && digit(text[i]) {
			i++
		}
		if i == start || i-start > 3 {
			return ""
		}
		if part == 0 {
			if i == len(text) || text[i] != '.' {
				return ""
			}
			i++
		}
	}
	if i < len(text) && text[i] != ' ' && text[i] != '\n' {
		return ""
	}
	return text[:i]
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// Printable makes text that others wrote safe to store and show: valid UTF-8, no control
// or format characters but the line feeds between lines.
func Printable(text string) string {
	plain := true
	for i := range len(text) {
		if c := text[i]; (c < ' ' && c != '\n') || c >= 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return text
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case unprintable(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

func unprintable(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }
