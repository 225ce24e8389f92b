package message

import (
	"bytes"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/waypost"
)

// AppendSignature adds an operator's signature to the bodies of a mail that a reader
// sees first: at most one text/plain and one text/html part. The text comes after the
// line "-- " (RFC 3676 section 4.3), the HTML before the end of the document body. A
// missing version of the signature is made from the other.
//
// It splices: apart from the inserted bytes everything stays as it is, but a base64
// part is encoded anew, and a part that cannot hold the signature as it is declared
// gets another charset (UTF-8) or transfer encoding (quoted-printable) with the
// header lines that say so. header and body are not changed; what comes back may
// alias them.
//
// changed is false when there is nothing to append or reason says why the mail stays
// untouched: it is signed or encrypted, has no text body, or its MIME structure is
// broken. That is no error; the mail is to be sent as it is.
func AppendSignature(header, body []byte, sig waypost.Signature) (newHeader, newBody []byte, changed bool, reason string) {
	s := newSignature(sig)
	if s.empty() {
		return header, body, false, ""
	}
	root := &entity{header: readHeader(header), end: len(body)}
	found := bodies{body: body}
	if reason = found.find(root, false); reason != "" {
		return header, body, false, reason
	}
	var edits []splice
	newHeader = header
	for _, e := range []*entity{found.text, found.html} {
		if e == nil {
			continue
		}
		edit, reason := s.insert(e, body[e.start:e.end], e == found.html)
		if reason != "" {
			return header, body, false, reason
		}
		if collides(edit.content.with, e.boundaries) {
			return header, body, false, "the signature has a line like a boundary of the mail"
		}
		block, reason := e.relabel(edit)
		if reason != "" {
			return header, body, false, reason
		}
		switch {
		case block == nil:
		case e.root():
			newHeader = block
		default:
			edits = append(edits, splice{e.headerFrom, e.start, block})
		}
		edit.content.from += e.start
		edit.content.to += e.start
		edits = append(edits, edit.content)
	}
	if len(edits) == 0 {
		return header, body, false, "the mail has no text body"
	}
	return newHeader, applySplices(body, edits), true, ""
}

// splice replaces the bytes from..to.
type splice struct {
	from, to int
	with     []byte
}

// insertion is what becomes of one part: a splice into its content, and new values
// for its header where the old ones no longer tell the truth.
type insertion struct {
	content      splice
	charset, cte string // "" keeps what is there
}

func applySplices(body []byte, edits []splice) []byte {
	slices.SortFunc(edits, func(a, b splice) int { return a.from - b.from })
	size := len(body)
	for _, e := range edits {
		size += len(e.with) - (e.to - e.from)
	}
	out := make([]byte, 0, size)
	pos := 0
	for _, e := range edits {
		out = append(out, body[pos:e.from]...)
		out = append(out, e.with...)
		pos = e.to
	}
	return append(out, body[pos:]...)
}

// collides reports whether new bytes hold a delimiter of a multipart around them.
func collides(b []byte, boundaries []string) bool {
	return slices.ContainsFunc(boundaries, func(boundary string) bool {
		return bytes.Contains(b, []byte("--"+boundary))
	})
}

// relabel returns the header block of a part with the new charset and transfer
// encoding, nil if they stay. The other fields keep their bytes.
func (e *entity) relabel(in insertion) (block []byte, reason string) {
	if in.charset == "" && in.cte == "" {
		return nil, ""
	}
	if in.charset != "" {
		params := map[string]string{"charset": in.charset}
		for name, value := range e.params {
			if name != "charset" {
				params[name] = value
			}
		}
		value := mime.FormatMediaType(e.mediaType, params)
		if value == "" || e.header.Set("Content-Type", value) != nil {
			return nil, "a Content-Type cannot be written"
		}
	}
	if in.cte != "" {
		if err := e.header.Set("Content-Transfer-Encoding", in.cte); err != nil {
			return nil, "a transfer encoding cannot be written"
		}
	}
	// Without it the new fields would not count (RFC 2045 section 4).
	if e.root() && !e.header.Has("MIME-Version") {
		if err := e.header.Append("MIME-Version", "1.0"); err != nil {
			return nil, "a MIME-Version cannot be written"
		}
	}
	return e.header.Bytes(), ""
}

// insert plans the insertion of the signature into the content of a text part.
func (s signature) insert(e *entity, content []byte, html bool) (in insertion, reason string) {
	t, ok := transferOf(e.cte)
	if !ok {
		return in, "a text part is in " + clipWord(e.cte)
	}
	data, ok := t.decode(content)
	if !ok {
		return in, "the base64 of a text part is broken"
	}
	block := s.textBlock(strings.EqualFold(e.params["format"], "flowed"), len(data) == 0)
	if html {
		block = s.htmlBlock()
	}
	if t == base64Transfer && bytes.IndexByte(data, '\n') >= 0 && !bytes.Contains(data, []byte("\r\n")) {
		block = strings.ReplaceAll(block, "\r\n", "\n") // a text from Unix stays one
	}
	p := placement{
		content: content, data: data, transfer: t, html: html, block: block,
		cs: lookupCharset(e.params["charset"], data),
	}
	return p.plan()
}

// placement is one block of text on its way into one part.
type placement struct {
	content  []byte // as it stands in the mail
	data     []byte // content without its transfer encoding
	transfer transfer
	cs       charset
	html     bool
	block    string // UTF-8
}

func (p placement) plan() (in insertion, reason string) {
	if p.cs.class == charsetSealed {
		return in, "charset " + p.cs.name + " cannot be written"
	}
	if p.cs.class == charsetOther {
		return p.planWhole()
	}
	var added []byte
	if p.html {
		added = p.cs.encodeHTML(p.block)
	} else {
		var fits bool
		if added, fits = p.cs.encode(p.block); !fits {
			return p.planForeign()
		}
	}
	if p.transfer == sevenBit && !isASCII(added) && isASCII(p.data) {
		if !p.html {
			return p.rewrite(p.data, added, "", quotedPrintable), ""
		}
		added = []byte(asciiHTML(p.block))
	}
	return p.add(added), ""
}

// planForeign handles text that the charset of the part lacks.
func (p placement) planForeign() (in insertion, reason string) {
	block := []byte(p.block)
	switch {
	case isASCII(p.data): // ASCII is UTF-8 already: only the label changes
		if p.transfer == sevenBit {
			return p.rewrite(p.data, block, "utf-8", quotedPrintable), ""
		}
		in = p.add(block)
		in.charset = "utf-8"
		return in, ""
	case p.cs.class == charsetASCII && utf8.Valid(p.data): // unlabelled UTF-8 stays unlabelled
		return p.add(block), ""
	case p.cs.enc == nil:
		return in, "a text part is in an unknown charset"
	}
	text, ok := p.cs.decode(p.data)
	if !ok {
		return in, "a text part is not in charset " + clipWord(p.cs.name)
	}
	p.data = []byte(text)
	return p.rewrite(p.data, block, "utf-8", p.transfer.orQuoted()), ""
}

// planWhole handles charsets in which bytes cannot be appended: the content is
// converted to UTF-8 and back.
func (p placement) planWhole() (in insertion, reason string) {
	text, ok := p.cs.decode(p.data)
	if !ok {
		return in, "a text part is not in charset " + clipWord(p.cs.name)
	}
	block := p.block
	if p.html {
		if _, fits := p.cs.encode(block); !fits {
			block = asciiHTML(block)
		}
	}
	at := len(text)
	if p.html {
		at = htmlEnd([]byte(text))
	}
	whole := text[:at] + block + text[at:]
	encoded, fits := p.cs.encode(whole)
	if !fits {
		return p.replace([]byte(whole), "utf-8", p.transfer.orQuoted()), ""
	}
	if p.transfer <= eightBit && !cleanLines(encoded) {
		return in, "charset " + clipWord(p.cs.name) + " needs base64"
	}
	return p.replace(encoded, "", p.transfer), ""
}

// add puts bytes in the part's charset where they belong, changing as little as the
// transfer encoding allows.
func (p placement) add(added []byte) insertion {
	switch {
	case p.transfer == base64Transfer:
		return p.rewrite(p.data, added, "", base64Transfer)
	case p.transfer == quotedPrintable:
		at := len(p.content)
		if p.html {
			at = quotedOffset(p.content, htmlEnd(p.data))
		}
		return insertion{content: splice{at, at, quotedInsert(p.content[:at], added)}}
	case longestLine(added) > maxLine:
		return p.rewrite(p.data, added, "", quotedPrintable)
	}
	at := len(p.data)
	if p.html {
		at = htmlEnd(p.data)
	}
	return insertion{content: splice{at, at, added}}
}

// rewrite puts bytes into data, which is in the same charset, and encodes all of it.
func (p placement) rewrite(data, added []byte, label string, t transfer) insertion {
	at := len(data)
	if p.html {
		at = htmlEnd(data)
	}
	return p.replace(slices.Concat(data[:at], added, data[at:]), label, t)
}

// replace makes data the part's whole content.
func (p placement) replace(data []byte, label string, t transfer) insertion {
	in := insertion{content: splice{0, len(p.content), t.encode(data)}, charset: label}
	if t != p.transfer {
		in.cte = t.String()
	}
	return in
}
