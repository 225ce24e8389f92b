package preview

import (
	"encoding/base64"
	"html"
	"net/url"
	"slices"
	"strings"

	nethtml "golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/waypost/waypost/internal/message"
)

// cleaner writes the parts of an HTML document that may stay. It goes by tokens: what is
// let through has no elements in which a browser would read text by other rules than ours
// (scripts, SVG, MathML, text areas), so the browser sees the same tokens.
type cleaner struct {
	links   bool
	images  map[string]*message.Part // by content id
	room    int                      // bytes of images so far
	used    map[*message.Part]bool
	blocked int

	styles strings.Builder
	out    strings.Builder
}

func (c *cleaner) clean(source string) {
	z := nethtml.NewTokenizer(strings.NewReader(source))
	skip, depth, style := atom.Atom(0), 0, false
	for {
		kind := z.Next()
		if kind == nethtml.ErrorToken {
			return
		}
		t := z.Token()
		switch {
		case skip != 0:
			switch {
			case t.DataAtom != skip:
			case kind == nethtml.StartTagToken:
				depth++
			case kind == nethtml.EndTagToken:
				if depth--; depth == 0 {
					skip = 0
				}
			}
		case kind == nethtml.TextToken && style:
			c.styles.WriteString(c.css(t.Data) + "\n")
		case kind == nethtml.TextToken:
			c.out.WriteString(html.EscapeString(t.Data))
		case t.DataAtom == atom.Style:
			style = kind != nethtml.EndTagToken
		case kind == nethtml.StartTagToken && hides(t.DataAtom), kind == nethtml.SelfClosingTagToken && rawText(t.DataAtom):
			skip, depth = t.DataAtom, 1
		case kind == nethtml.StartTagToken, kind == nethtml.SelfClosingTagToken:
			c.open(t)
		case kind == nethtml.EndTagToken && shows(t.DataAtom) && t.DataAtom != atom.Body && !void(t.DataAtom):
			c.out.WriteString("</" + t.DataAtom.String() + ">")
		}
	}
}

// hides reports elements of which nothing is shown, not even what is in them.
func hides(a atom.Atom) bool {
	switch a {
	case atom.Script, atom.Title, atom.Iframe, atom.Object, atom.Applet, atom.Noscript, atom.Noembed, atom.Noframes, atom.Template,
		atom.Textarea, atom.Select, atom.Svg, atom.Math, atom.Xmp, atom.Plaintext, atom.Frameset, atom.Audio, atom.Video, atom.Canvas, atom.Datalist:
		return true
	default:
		return false
	}
}

// rawText reports elements that begin with a self-closing tag too.
func rawText(a atom.Atom) bool {
	switch a {
	case atom.Script, atom.Title, atom.Iframe, atom.Noscript, atom.Noembed, atom.Noframes, atom.Textarea, atom.Xmp, atom.Plaintext:
		return true
	default:
		return false
	}
}

// shows reports elements that stay. Of others their content does.
func shows(a atom.Atom) bool {
	switch a {
	case atom.A, atom.Abbr, atom.Address, atom.Article, atom.Aside, atom.B, atom.Bdi, atom.Bdo, atom.Big, atom.Blockquote, atom.Body, atom.Br,
		atom.Caption, atom.Center, atom.Cite, atom.Code, atom.Col, atom.Colgroup, atom.Dd, atom.Del, atom.Details, atom.Dfn, atom.Div, atom.Dl,
		atom.Dt, atom.Em, atom.Figcaption, atom.Figure, atom.Font, atom.Footer, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Header,
		atom.Hr, atom.I, atom.Img, atom.Ins, atom.Kbd, atom.Li, atom.Main, atom.Mark, atom.Nav, atom.Ol, atom.P, atom.Pre, atom.Q, atom.S,
		atom.Samp, atom.Section, atom.Small, atom.Span, atom.Strike, atom.Strong, atom.Sub, atom.Summary, atom.Sup, atom.Table, atom.Tbody,
		atom.Td, atom.Tfoot, atom.Th, atom.Thead, atom.Time, atom.Tr, atom.Tt, atom.U, atom.Ul, atom.Var, atom.Wbr:
		return true
	default:
		return false
	}
}

func void(a atom.Atom) bool {
	return a == atom.Br || a == atom.Col || a == atom.Hr || a == atom.Img || a == atom.Wbr
}

// keeps reports attributes that stay as they are: none of them loads or does anything.
func keeps(name string) bool {
	switch name {
	case "class", "title", "dir", "lang", "align", "valign", "width", "height", "bgcolor", "color", "border", "cellpadding", "cellspacing",
		"colspan", "rowspan", "face", "size", "alt", "type", "start", "value", "nowrap", "hspace", "vspace", "scope", "span", "open", "role",
		"aria-label", "aria-hidden":
		return true
	default:
		return false
	}
}

// open writes a start tag.
func (c *cleaner) open(t nethtml.Token) {
	if !shows(t.DataAtom) {
		if t.DataAtom == atom.Link || t.DataAtom == atom.Embed || t.DataAtom == atom.Source {
			c.blocked++
		}
		return
	}
	name := t.DataAtom.String()
	if t.DataAtom == atom.Body {
		name = "div" // in the body of ours, and never ended
	}
	c.out.WriteString("<" + name)
	for _, a := range t.Attr {
		switch {
		case a.Namespace != "":
		case keeps(a.Key):
			c.attribute(a.Key, a.Val)
		case a.Key == "style":
			c.attribute("style", c.css(a.Val))
		case a.Key == "href" && t.DataAtom == atom.A:
			c.link(a.Val)
		case a.Key == "src" && t.DataAtom == atom.Img:
			if data := c.image(a.Val); data != "" {
				c.attribute("src", data)
			}
		case a.Key == "background":
			c.blocked++
		}
	}
	c.out.WriteString(">")
}

func (c *cleaner) attribute(name, value string) {
	c.out.WriteString(" " + name + `="` + html.EscapeString(value) + `"`)
}

// link writes where a link leads.
func (c *cleaner) link(target string) {
	target = strings.TrimSpace(target)
	u, err := url.Parse(target)
	if err != nil {
		return
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
		if u.Host == "" { // browsers take it for a page of ours
			return
		}
		if c.links {
			c.attribute("href", target)
			c.out.WriteString(" " + outward)
		}
	case "mailto", "tel":
	default:
		return
	}
	c.attribute("title", target)
}

// image returns an image of the mail as a data URL; "" for one from elsewhere.
func (c *cleaner) image(source string) string {
	source = strings.TrimSpace(source)
	scheme, rest, _ := strings.Cut(source, ":")
	switch strings.ToLower(scheme) {
	case "cid":
		id, err := url.PathUnescape(rest)
		if err != nil {
			id = rest
		}
		p := c.images[id]
		if p == nil {
			return ""
		}
		c.used[p] = true
		if c.room += int(p.Size()) * 4 / 3; c.room > maxImages {
			return ""
		}
		return "data:" + p.Type + ";base64," + base64.StdEncoding.EncodeToString(p.Bytes())
	case "data":
		kind, data, ok := strings.Cut(rest, ";base64,")
		if c.room += len(data); ok && picture(strings.ToLower(kind)) && c.room <= maxImages && base64Text(data) {
			return "data:" + strings.ToLower(kind) + ";base64," + data
		}
		return ""
	}
	c.blocked++
	return ""
}

func base64Text(s string) bool {
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") == ""
}

// picture reports the types of images that are nothing but images.
func picture(kind string) bool {
	return slices.Contains([]string{"image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp", "image/bmp"}, kind)
}

// images are those that the HTML can refer to.
func images(r *message.Reading) map[string]*message.Part {
	found := map[string]*message.Part{}
	for _, p := range r.Files {
		if p.ContentID != "" && picture(p.Type) && found[p.ContentID] == nil {
			found[p.ContentID] = p
		}
	}
	return found
}
