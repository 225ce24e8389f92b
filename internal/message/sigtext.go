package message

import (
	"html"
	"strconv"
	"strings"

	nethtml "golang.org/x/net/html"

	"github.com/waypost/waypost/internal/waypost"
)

// signature is an operator's signature ready to append: UTF-8, lines joined by CRLF,
// no line end at the end.
type signature struct{ text, html string }

// newSignature cleans a signature and makes the version that is missing.
func newSignature(s waypost.Signature) signature {
	out := signature{text: cleanSignature(s.Text), html: cleanSignature(s.HTML)}
	// Some write the separator themselves.
	if first, rest, found := strings.Cut(out.text, "\r\n"); found && (first == "-- " || first == "--") {
		out.text = strings.TrimLeft(rest, "\r\n")
	}
	switch {
	case out.text == "" && out.html != "":
		out.text = cleanSignature(textOfHTML(out.html))
	case out.html == "" && out.text != "":
		out.html = htmlOfText(out.text)
	}
	return out
}

func (s signature) empty() bool { return s.text == "" && s.html == "" }

// cleanSignature makes line ends CRLF, and drops what may not be in a mail and the
// empty lines at both ends.
func cleanSignature(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	s = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && isControl(r) {
			return -1
		}
		return r
	}, s)
	s = strings.TrimRight(strings.TrimLeft(s, "\n"), " \t\n")
	return strings.ReplaceAll(s, "\n", "\r\n")
}

// textBlock is what comes after a text: the separator line of RFC 3676 section 4.3
// and the signature. In format=flowed no line may end with a blank, or it would flow
// into the next, and some beginnings are stuffed with one (section 4.4). A text that
// ends with a line end gets an empty line before the separator, one that does not
// gets its line ended.
func (s signature) textBlock(flowed, first bool) string {
	var b strings.Builder
	if !first {
		b.WriteString("\r\n")
	}
	b.WriteString("-- \r\n")
	for line := range strings.SplitSeq(s.text, "\r\n") {
		if flowed {
			line = strings.TrimRight(line, " ")
			if strings.HasPrefix(line, " ") || strings.HasPrefix(line, ">") || strings.HasPrefix(line, "From ") {
				b.WriteByte(' ')
			}
		}
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	return b.String()
}

// htmlBlock is what comes before the end of an HTML document.
func (s signature) htmlBlock() string { return "\r\n" + s.html + "\r\n" }

func htmlOfText(text string) string {
	return "<div>" + strings.ReplaceAll(html.EscapeString(text), "\r\n", "<br>\r\n") + "</div>"
}

// textOfHTML returns the text of an HTML fragment as a reader sees it: blocks and line
// breaks become lines, links show where they go, images their alternative text.
func textOfHTML(fragment string) string {
	w := textWriter{}
	link := ""
	z := nethtml.NewTokenizer(strings.NewReader(fragment))
	for skip := ""; ; {
		kind := z.Next()
		if kind == nethtml.ErrorToken {
			return w.String()
		}
		t := z.Token()
		if skip != "" {
			if kind == nethtml.EndTagToken && t.Data == skip {
				skip = ""
			}
			continue
		}
		switch kind {
		case nethtml.TextToken:
			w.words(t.Data)
		case nethtml.StartTagToken, nethtml.SelfClosingTagToken:
			switch t.Data {
			case "script", "style", "title":
				if kind == nethtml.StartTagToken {
					skip = t.Data
				}
			case "br":
				w.newLine()
			case "img":
				w.words(attribute(t, "alt"))
			case "a":
				link = attribute(t, "href")
			case "td", "th":
				w.words(" ")
			default:
				if isBlock(t.Data) {
					w.endLine()
				}
			}
		case nethtml.EndTagToken:
			switch {
			case t.Data == "a":
				if strings.HasPrefix(link, "http") && !strings.HasSuffix(w.String(), strings.TrimSuffix(link, "/")) {
					w.words(" (" + link + ")")
				}
				link = ""
			case isBlock(t.Data):
				w.endLine()
			}
		}
	}
}

func attribute(t nethtml.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func isBlock(tag string) bool {
	switch tag {
	case "p", "div", "tr", "table", "ul", "ol", "li", "hr", "blockquote", "pre", "section", "footer", "address",
		"h1", "h2", "h3", "h4", "h5", "h6":
		return true
	}
	return false
}

// textWriter collects words, with white space as a browser would show it.
type textWriter struct {
	strings.Builder

	blank, line bool // a blank is due; something is on the line
}

func (w *textWriter) words(s string) {
	for _, r := range s {
		switch r {
		case ' ', '\t', '\r', '\n':
			w.blank = true
			continue
		}
		if w.blank && w.line {
			w.WriteByte(' ')
		}
		w.blank, w.line = false, true
		w.WriteRune(r)
	}
}

func (w *textWriter) newLine() {
	w.WriteByte('\n')
	w.blank, w.line = false, false
}

func (w *textWriter) endLine() {
	if w.line {
		w.newLine()
	}
}

// asciiHTML writes every character outside ASCII as a numeric character reference.
func asciiHTML(s string) string {
	if isASCIIString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r < 0x80 {
			b.WriteRune(r)
			continue
		}
		b.WriteString("&#" + strconv.Itoa(int(r)) + ";")
	}
	return b.String()
}
