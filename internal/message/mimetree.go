package message

import (
	"bytes"
	"mime"
	"slices"
	"strings"
)

// Limits of the MIME tree.
const (
	maxDepth    = 20
	maxParts    = 1000
	maxBoundary = 200 // RFC 2046 section 5.1.1 says 70
)

// entity is one node of the MIME tree: the mail itself or a body part. Offsets count
// from the start of the mail's body.
type entity struct {
	header     *Header
	headerFrom int // header block with its empty line; empty span for the mail itself
	start, end int // content, without the CRLF that belongs to the next delimiter
	boundaries []string

	mediaType string
	params    map[string]string
	cte       string
	oversized bool // its header is, and was not read
}

// maxPartHeader bounds the header of a body part, in bytes: parsed fields take many
// times the room of their bytes, and a part without an empty line is all header.
const maxPartHeader = 64 << 10

func (e *entity) root() bool { return e.boundaries == nil }

// bodies finds the text bodies that a reader sees first: at most one text/plain and
// one text/html, from the first part of the tree that is a body at all.
type bodies struct {
	body       []byte
	parts      int
	text, html *entity
}

// find looks through an entity. It returns why the mail must stay as it is, or ""; the
// fields text and html tell what was found.
func (b *bodies) find(e *entity, inDigest bool) (reason string) {
	if reason = e.readType(inDigest); reason != "" {
		if !e.root() && e.attached() {
			return "" // legacy software writes raw file names into it
		}
		return reason
	}
	switch e.mediaType {
	case "multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime",
		"application/pgp-encrypted":
		return "the mail is signed or encrypted" // RFC 1847 section 2.1: not a byte may change
	case "multipart/report":
		return "the mail is a report for machines" // RFC 6522
	}
	if e.attached() {
		return ""
	}
	switch {
	case e.mediaType == "text/plain":
		if b.text == nil {
			b.text = e
		}
	case e.mediaType == "text/html":
		if b.html == nil {
			b.html = e
		}
	case strings.HasPrefix(e.mediaType, "multipart/"):
		return b.findIn(e)
	}
	return ""
}

// findIn looks through the children of a multipart.
func (b *bodies) findIn(e *entity) (reason string) {
	switch e.cte {
	case "", "7bit", "8bit", "binary":
	default:
		return "a multipart is in " + clipWord(e.cte) // RFC 2045 section 6.4
	}
	children, reason := b.children(e)
	if reason != "" {
		return reason
	}
	switch e.mediaType {
	case "multipart/related": // RFC 2387: one root, the rest is what it refers to
		return b.find(relatedRoot(e, children), false)
	case "multipart/alternative": // RFC 2046 section 5.1.4: the same in several forms
		for _, child := range children {
			if reason := b.find(child, false); reason != "" {
				return reason
			}
		}
	default: // mixed, and what we do not know (RFC 2046 section 5.1.7): the first body
		for _, child := range children {
			if reason := b.find(child, e.mediaType == "multipart/digest"); reason != "" {
				return reason
			}
			if b.text != nil || b.html != nil {
				return ""
			}
		}
	}
	return ""
}

// relatedRoot returns the root of a multipart/related: the part that "start" names,
// or the first one.
func relatedRoot(e *entity, children []*entity) *entity {
	if start := e.params["start"]; start != "" {
		for _, child := range children {
			if strings.Trim(child.header.Get("Content-ID"), "<>") == strings.Trim(start, "<>") {
				return child
			}
		}
	}
	return children[0]
}

// children cuts a multipart at its delimiter lines (RFC 2046 section 5.1.1). Each
// level is searched once from front to back, so a mail costs its size times its depth
// at most.
func (b *bodies) children(e *entity) (children []*entity, reason string) {
	boundary := e.params["boundary"]
	if boundary == "" || len(boundary) > maxBoundary {
		return nil, "a multipart has no boundary"
	}
	if len(e.boundaries) == maxDepth {
		return nil, "the MIME tree is too deep"
	}
	boundaries := append(slices.Clip(e.boundaries), boundary)
	delimiter := []byte("--" + boundary)
	from := -1 // start of the part being read
	for pos := e.start; ; {
		i := bytes.Index(b.body[pos:e.end], delimiter)
		if i < 0 {
			return nil, "a multipart does not end" // cut off, or not made by the rules
		}
		at := pos + i
		pos = at + len(delimiter)
		if at > e.start && b.body[at-1] != '\n' {
			continue
		}
		after, last, ok := delimiterEnd(b.body[:e.end], pos)
		if !ok {
			continue
		}
		if from >= 0 {
			if b.parts++; b.parts > maxParts {
				return nil, "the MIME tree has too many parts"
			}
			children = append(children, b.part(from, max(from, at-2), boundaries))
		}
		if last && from < 0 {
			return nil, "a multipart has no parts"
		}
		if last {
			return children, ""
		}
		from, pos = after, after
	}
}

// delimiterEnd reads what follows a boundary on its line: "--" if it is the last,
// blanks, and the CRLF, which may be missing at the end of the content.
func delimiterEnd(b []byte, pos int) (after int, last, ok bool) {
	if last = bytes.HasPrefix(b[pos:], []byte("--")); last {
		pos += 2
	}
	for pos < len(b) && (b[pos] == ' ' || b[pos] == '\t') {
		pos++
	}
	switch {
	case bytes.HasPrefix(b[pos:], []byte("\r\n")):
		return pos + 2, last, true
	case pos == len(b):
		return pos, last, last
	}
	return 0, false, false
}

// part reads a body part from its span. One without an empty line is all header.
func (b *bodies) part(from, end int, boundaries []string) *entity {
	span := b.body[from:end]
	block := len(span)
	if bytes.HasPrefix(span, []byte("\r\n")) {
		block = 2
	} else if i := bytes.Index(span, []byte("\r\n\r\n")); i >= 0 {
		block = i + 4
	}
	e := &entity{
		headerFrom: from,
		start:      from + block,
		end:        end,
		boundaries: boundaries,
	}
	if e.oversized = block > maxPartHeader; e.oversized {
		block = 0
	}
	e.header = readHeader(span[:block])
	return e
}

// readType reads the fields that say what the content is. Two fields of one name, or
// one that cannot be read, would mean different things to different readers.
func (e *entity) readType(inDigest bool) (reason string) {
	if e.oversized {
		return "a part's header is too large"
	}
	if e.header.Count("Content-Type") > 1 || e.header.Count("Content-Transfer-Encoding") > 1 {
		return "a part says twice what it is"
	}
	e.cte = strings.ToLower(e.header.Get("Content-Transfer-Encoding"))
	value := e.header.Get("Content-Type")
	switch {
	case value == "" && inDigest: // RFC 2046 section 5.1.5
		e.mediaType = "message/rfc822"
	case value == "": // RFC 2045 section 5.2
		e.mediaType = "text/plain"
	default:
		var err error
		if e.mediaType, e.params, err = mime.ParseMediaType(value); err != nil {
			return "a Content-Type cannot be read"
		}
	}
	return ""
}

// attached reports a part that is a file, not something to read in place: it says so,
// or it has a name.
func (e *entity) attached() bool {
	disposition := strings.ToLower(e.header.Get("Content-Disposition"))
	return strings.HasPrefix(disposition, "attachment") || strings.Contains(disposition, "filename") ||
		e.params["name"] != "" && strings.HasPrefix(e.mediaType, "text/")
}

func clipWord(s string) string {
	if len(s) > 30 || !plain(s) {
		return "an unknown encoding"
	}
	return s
}
