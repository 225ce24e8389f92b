package preview

import (
	"html"
	"regexp"
	"strings"

	"github.com/waypost/waypost/internal/message"
)

// Bounds of one document, in bytes.
const (
	maxText   = 2 << 20
	maxImages = 12 << 20 // of images, encoded
)

// Document is a page about one mail.
type Document struct {
	HTML    string
	Blocked int  // things from elsewhere that were left out: images, fonts, styles
	Cut     bool // the mail has more than is shown
	Used    map[*message.Part]bool
}

// Policy is the content security policy that documents are served with. links lets a link
// open a page of its own.
func Policy(links bool) string {
	return "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox" +
		strings.TrimSuffix(" "+Sandbox(links), " ")
}

// Sandbox is the value of a frame's sandbox attribute.
func Sandbox(links bool) string {
	if links {
		return "allow-popups allow-popups-to-escape-sandbox"
	}
	return ""
}

// HTML shows the HTML of a mail, with its own images. Without links no link works: one of
// them may confirm or cancel something in the recipient's name.
func HTML(r *message.Reading, links bool) Document {
	if r.HTML == nil {
		return Document{HTML: page("", "")}
	}
	source, cut := clip(r.HTML.String())
	c := cleaner{links: links, images: images(r), used: map[*message.Part]bool{}}
	c.clean(source)
	return Document{HTML: page(c.styles.String(), c.out.String()), Blocked: c.blocked, Cut: cut, Used: c.used}
}

// Text shows a text as it is.
func Text(text string, links bool) Document {
	text, cut := clip(text)
	return Document{HTML: page("", "<pre>"+linked(text, links)+"</pre>"), Cut: cut}
}

// base is the look of what says nothing itself.
const base = "body{margin:16px;font:14px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;color:#1d2939;background:#fff;overflow-wrap:anywhere}" +
	"img{max-width:100%;height:auto}pre{white-space:pre-wrap;font:13px/1.5 ui-monospace,Consolas,monospace;margin:0}a{color:#0b5cad;text-decoration:underline}"

func page(styles, body string) string {
	var b strings.Builder
	b.Grow(len(styles) + len(body) + 1000)
	b.WriteString(`<!DOCTYPE html><html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer"><title></title><style>` + base + "</style>")
	if styles != "" {
		b.WriteString("<style>" + styles + "</style>")
	}
	b.WriteString("</head><body>" + body + "</body></html>")
	return b.String()
}

func clip(s string) (string, bool) {
	if len(s) <= maxText {
		return s, false
	}
	return strings.ToValidUTF8(s[:maxText], ""), true
}

var reLink = regexp.MustCompile(`https?://[^\s<>"]+[^\s<>".,;:!?'()\[\]]`)

// linked escapes a text and makes its addresses links.
func linked(text string, links bool) string {
	if !links {
		return html.EscapeString(text)
	}
	var b strings.Builder
	pos := 0
	for _, at := range reLink.FindAllStringIndex(text, -1) {
		b.WriteString(html.EscapeString(text[pos:at[0]]))
		address := html.EscapeString(text[at[0]:at[1]])
		b.WriteString(`<a href="` + address + `" ` + outward + `>` + address + `</a>`)
		pos = at[1]
	}
	b.WriteString(html.EscapeString(text[pos:]))
	return b.String()
}

// outward are the attributes of a link that leaves.
const outward = `target="_blank" rel="noopener noreferrer nofollow"`
