package message

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"mime"
	"path"
	"strings"
	"unicode/utf8"

	htmlcharset "golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

// Reading is a mail taken apart for people to look at. Other than for AppendSignature,
// what is broken is read as well as it can be: somebody wants to see what is there.
type Reading struct {
	Header *Header
	Text   *Part   // what a reader without HTML shows; nil for none
	HTML   *Part   // what a reader with HTML shows; nil for none
	Files  []*Part // all other parts, in the mail's order
	Cut    bool    // the MIME tree is deeper or larger than is looked at
}

// Part is a part of a mail that has no parts.
type Part struct {
	Type      string // media type in lower case
	Name      string // file name, safe to show and for a disk; "" for none
	ContentID string // without brackets; "" for none
	Attached  bool   // it says that it is a file

	charset  string
	transfer transfer
	content  []byte
}

// Read takes a mail apart. It aliases header and body, and costs at most a look at each
// byte for every level of the MIME tree.
func Read(header, body []byte) *Reading {
	root := &entity{header: readHeader(header), end: len(body)}
	r := &reader{body: body, out: &Reading{Header: root.header}}
	r.read(root, 0, true, false)
	return r.out
}

type reader struct {
	body  []byte
	parts int
	out   *Reading
}

// read sorts an entity in. A part that may be shown becomes the text or the HTML if it is
// the first of its sort.
func (r *reader) read(e *entity, depth int, shown, inDigest bool) {
	e.readLoosely(inDigest)
	if strings.HasPrefix(e.mediaType, "multipart/") && !e.attached() {
		if depth == maxDepth {
			r.out.Cut = true
			return
		}
		if children := r.children(e); len(children) > 0 {
			r.readAll(e, children, depth, shown)
			return
		}
	}
	p := e.leaf(r.body)
	switch {
	case shown && !p.Attached && p.Type == "text/plain" && r.out.Text == nil:
		r.out.Text = p
	case shown && !p.Attached && p.Type == "text/html" && r.out.HTML == nil:
		r.out.HTML = p
	default:
		r.out.Files = append(r.out.Files, p)
	}
}

func (r *reader) readAll(e *entity, children []*entity, depth int, shown bool) {
	var root *entity
	switch e.mediaType {
	case "multipart/related": // RFC 2387: one root, the rest is what it refers to
		root = relatedRoot(e, children)
	case "multipart/report": // RFC 6522: the first part is for people
		root = children[0]
	}
	text, html := r.out.Text, r.out.HTML
	for _, child := range children {
		// In a multipart/mixed the first body is the mail's, what follows a footer or a file.
		first := e.mediaType == "multipart/alternative" || r.out.Text == text && r.out.HTML == html
		r.read(child, depth+1, shown && first && (root == nil || root == child), e.mediaType == "multipart/digest")
	}
}

// children cuts a multipart at its delimiter lines. One that does not end, ends with what
// it is in.
func (r *reader) children(e *entity) (children []*entity) {
	boundary := e.params["boundary"]
	if boundary == "" || len(boundary) > maxBoundary {
		return nil
	}
	parse := bodies{body: r.body}
	add := func(from, end int) bool {
		if r.parts++; r.parts > maxParts {
			r.out.Cut = true
			return false
		}
		children = append(children, parse.part(from, max(from, end), []string{boundary}))
		return true
	}
	delimiter, from := []byte("--"+boundary), -1
	for pos := e.start; ; {
		i := bytes.Index(r.body[pos:e.end], delimiter)
		if i < 0 {
			break
		}
		at := pos + i
		pos = at + len(delimiter)
		if at > e.start && r.body[at-1] != '\n' {
			continue
		}
		after, last, ok := delimiterEnd(r.body[:e.end], pos)
		if !ok {
			continue
		}
		if from >= 0 && !add(from, at-2) {
			return children
		}
		if last {
			return children
		}
		from, pos = after, after
	}
	if from >= 0 {
		add(from, e.end)
	}
	return children
}

// readLoosely reads what the content is, taking the first of two answers, and what there
// is of one that cannot be read.
func (e *entity) readLoosely(inDigest bool) {
	e.cte = strings.ToLower(e.header.Get("Content-Transfer-Encoding"))
	value := e.header.Get("Content-Type")
	var err error
	if e.mediaType, e.params, err = mime.ParseMediaType(value); err != nil {
		kind, _, _ := strings.Cut(value, ";")
		e.mediaType, e.params = strings.ToLower(strings.TrimSpace(kind)), nil
	}
	switch {
	case value == "" && inDigest: // RFC 2046 section 5.1.5
		e.mediaType = "message/rfc822"
	case value == "": // RFC 2045 section 5.2
		e.mediaType = "text/plain"
	case strings.Count(e.mediaType, "/") != 1 || !plain(e.mediaType):
		e.mediaType = "application/octet-stream"
	}
	if e.oversized { // nobody knows where it ends
		e.mediaType = "application/octet-stream"
	}
}

// leaf is an entity as a part without parts.
func (e *entity) leaf(body []byte) *Part {
	p := &Part{
		Type: e.mediaType, ContentID: strings.Trim(e.header.Get("Content-ID"), "<>"), Attached: e.attached(), charset: e.params["charset"],
		content: body[e.start:e.end],
	}
	p.transfer, _ = transferOf(e.cte) // of one that is not known the bytes stand for themselves
	_, params, err := mime.ParseMediaType(e.header.Get("Content-Disposition"))
	if err != nil {
		params = nil
	}
	if name := cmp.Or(params["filename"], e.params["name"]); name != "" {
		p.Name = fileName(withoutDirections(path.Base(strings.ReplaceAll(DecodeText(name), `\`, "/"))))
	}
	return p
}

// withoutDirections removes the characters that turn the direction of writing around: with
// them "gnp.exe" looks like "exe.png".
func withoutDirections(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\u200e' || r == '\u200f' || r == '\u061c' {
			return -1
		}
		return r
	}, s)
}

// Bytes is the content without its transfer encoding. In base64 everything foreign is
// skipped, and it ends where it breaks off.
func (p *Part) Bytes() []byte {
	if p.transfer == base64Transfer {
		return looseBase64(p.content)
	}
	data, _ := p.transfer.decode(p.content) // only base64 can be broken
	return data
}

// Size is about how many bytes Bytes has; it decodes nothing.
func (p *Part) Size() int64 {
	if p.transfer == base64Transfer {
		lines := bytes.Count(p.content, []byte{'\n'})
		return int64(max(0, len(p.content)-2*lines) / 4 * 3)
	}
	return int64(len(p.content))
}

// String is a text part in UTF-8.
func (p *Part) String() string {
	data := p.Bytes()
	var enc encoding.Encoding
	switch cs := lookupCharset(p.charset, data); {
	case cs.class == charsetASCII && utf8.Valid(data), cs.class == charsetUTF8, cs.class == charsetUnknown, cs.class == charsetSealed:
	case cs.class == charsetASCII && p.Type == "text/html": // the document may say it itself
		enc, _, _ = htmlcharset.DetermineEncoding(data[:min(len(data), 1024)], p.Type)
	case cs.class == charsetASCII:
		enc, _ = htmlindex.Get("windows-1252")
	default:
		enc = cs.enc
		if known, err := htmlindex.Get(cs.name); err == nil && cs.name != "utf-16" {
			enc = known // to read with: ISO-8859-1 is Windows-1252 in the wild
		}
	}
	if enc != nil {
		if text, err := enc.NewDecoder().Bytes(data); err == nil {
			data = text
		}
	}
	return strings.ToValidUTF8(string(data), "\uFFFD")
}

// looseBase64 decodes what there is.
func looseBase64(content []byte) []byte {
	if i := bytes.IndexByte(content, '='); i >= 0 {
		content = content[:i]
	}
	clean := make([]byte, 0, len(content))
	for _, c := range content {
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/' {
			clean = append(clean, c)
		}
	}
	if len(clean)%4 == 1 { // half a byte
		clean = clean[:len(clean)-1]
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(clean)))
	n, _ := base64.RawStdEncoding.Decode(out, clean) // cannot fail: all of it is of the alphabet
	return out[:n]
}
