package message

import "bytes"

// htmlEnd returns where in an HTML document something is added at its end: before
// the last </body>, else before the last </html>, else at the end. Tags inside
// comments, scripts and styles do not count; a comment that never ends hides all that
// follows, so the place is before it. One pass from front to back.
func htmlEnd(b []byte) int {
	body, html, end := -1, -1, len(b)
	for pos := 0; pos < len(b); {
		i := bytes.IndexByte(b[pos:], '<')
		if i < 0 {
			break
		}
		at := pos + i
		pos = at + 1
		switch rest := b[at:]; {
		case bytes.HasPrefix(rest, []byte("<!--")):
			// "<!-->" is a whole comment too (HTML, section 13.2.5.43).
			n := bytes.Index(rest[2:], []byte("-->"))
			if n < 0 {
				end, pos = at, len(b)
				break
			}
			pos = at + 2 + n + 3
		case isTag(rest, "</body"):
			body = at
		case isTag(rest, "</html"):
			html = at
		case isTag(rest, "<script"):
			pos = afterRaw(b, at, "</script")
		case isTag(rest, "<style"):
			pos = afterRaw(b, at, "</style")
		}
	}
	switch {
	case body >= 0:
		return body
	case html >= 0:
		return html
	}
	return end
}

// isTag reports whether b begins with the tag that begins with s.
func isTag(b []byte, s string) bool {
	if !hasPrefixFold(b, s) {
		return false
	}
	if len(b) == len(s) {
		return true
	}
	switch b[len(s)] {
	case '>', '/', ' ', '\t', '\r', '\n', '\f':
		return true
	}
	return false
}

// afterRaw returns the offset of the end tag of raw text that begins at pos, or the
// end of b.
func afterRaw(b []byte, pos int, tag string) int {
	for {
		i := bytes.Index(b[pos:], []byte("</"))
		if i < 0 {
			return len(b)
		}
		if pos += i; isTag(b[pos:], tag) {
			return pos
		}
		pos += 2
	}
}
