package preview_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/panel/preview"
)

// ofHTML is a mail of one HTML part.
func ofHTML(source string) *message.Reading {
	return message.Read(message.SplitClean([]byte("Content-Type: text/html; charset=utf-8\r\n\r\n" + source)))
}

// body is what a document has between its body tags.
func body(d preview.Document) string {
	_, rest, _ := strings.Cut(d.HTML, "<body>")
	return strings.TrimSuffix(rest, "</body></html>")
}

func TestOnlyWhatIsListedStays(t *testing.T) {
	for source, want := range map[string]string{
		`<p class="x" onclick="alert(1)">a</p>`:                                 `<p class="x">a</p>`,
		`a<script>alert(1)</script>b`:                                           `ab`,
		`a<script/>alert(1)</script>b`:                                          `ab`,
		`<img src=x onerror=alert(1)>`:                                          `<img>`,
		`<svg><script>alert(1)</script></svg>b`:                                 `b`,
		`<math><mtext><style><img src=x onerror=alert(1)></style></math>b`:      `b`,
		`<form action=//evil><input><button>Send</button></form>`:               `Send`,
		`<body bgcolor="#eee" onload=x><b>a</b></body>`:                         `<div bgcolor="#eee"><b>a</b>`,
		`<a href="javascript:alert(1)">a</a>`:                                   `<a>a</a>`,
		`<a href=" JaVa&#10;Script:alert(1)">a</a>`:                             `<a>a</a>`,
		`<a href="https://x.test/?a=1&amp;b=2">a</a>`:                           `<a title="https://x.test/?a=1&amp;b=2">a</a>`,
		`<!--[if mso]><p>Outlook</p><![endif]-->a`:                              `a`,
		`<base href="https://evil.test/"><meta http-equiv=refresh content=0>a`:  `a`,
		`<iframe src="https://evil.test/">x</iframe>a`:                          `a`,
		`<iframe srcdoc="<script>">`:                                            ``,
		`<p style="color:red;background:url(https://x.test/a)">a</p>`:           `<p style="color:red;background:x()">a</p>`,
		`<td background="https://x.test/a.png">`:                                `<td>`,
		`<img src="data:image/svg+xml;base64,PHN2Zz4=">`:                        `<img>`,
		`<img alt=x src="DATA:image/png;base64,AAAA">`:                          `<img alt="x" src="data:image/png;base64,AAAA">`,
		`<img srcset="https://x.test/a 2x" src="https://x.test/b.png" width=1>`: `<img width="1">`,
		`<title>t</title><p>a`:                                                  `<p>a`,
		`&lt;script&gt;`:                                                        `&lt;script&gt;`,
	} {
		if got := body(preview.HTML(ofHTML(source), false)); got != want {
			t.Errorf("%s\n got %s\nwant %s", source, got, want)
		}
	}
}

func TestALinkOpensAPageOfItsOwnOrNone(t *testing.T) {
	const source = `<a href="https://x.test/">a</a> <a href="mailto:a@x.test">b</a> <a href="/relative">c</a>`
	want := `<a href="https://x.test/" target="_blank" rel="noopener noreferrer nofollow" title="https://x.test/">a</a> <a title="mailto:a@x.test">b</a> <a>c</a>`
	if got := body(preview.HTML(ofHTML(source), true)); got != want {
		t.Error(got)
	}
	text := preview.Text("see https://x.test/?a=1&b=2. <b>", true)
	want = `<pre>see <a href="https://x.test/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer nofollow">https://x.test/?a=1&amp;b=2</a>. &lt;b&gt;</pre>`
	if got := body(text); got != want {
		t.Error(got)
	}
	if got := body(preview.Text("https://x.test/", false)); got != "<pre>https://x.test/</pre>" {
		t.Error(got)
	}
	if p := preview.Policy(true); !strings.HasSuffix(p, "sandbox allow-popups allow-popups-to-escape-sandbox") {
		t.Error(p)
	}
	if p := preview.Policy(false); !strings.HasSuffix(p, "; sandbox") || strings.Contains(p, "script-src") {
		t.Error(p)
	}
}

func TestImagesOfTheMailAreShownAndOthersAreCounted(t *testing.T) {
	mail := strings.Join([]string{
		"Content-Type: multipart/related; boundary=b", "", "--b", "Content-Type: text/html", "",
		`<img src="cid:logo@x"><img src="cid:none"><img src="cid:page"><img src="https://x.test/pixel"><link rel=stylesheet href=https://x.test/a>`,
		"--b", "Content-Type: image/png", "Content-ID: <logo@x>", "Content-Transfer-Encoding: base64", "", "AAAA",
		"--b", "Content-Type: text/html", "Content-ID: <page>", "", "<script>", "--b--",
	}, "\r\n")
	r := message.Read(message.SplitClean([]byte(mail)))
	d := preview.HTML(r, false)
	if got := body(d); got != `<img src="data:image/png;base64,AAAA"><img><img><img>` {
		t.Error(got)
	}
	if d.Blocked != 2 || len(d.Used) != 1 || !d.Used[r.Files[0]] {
		t.Errorf("%d blocked, used %v", d.Blocked, d.Used)
	}
}

func TestStyleSheetsLoadNothing(t *testing.T) {
	for css, want := range map[string]string{
		"p{color:red}": "p{color:red}",
		"@media (max-width:600px){p>b{width:100% !important}}": "@media (max-width:600px){p>b{width:100% !important}}",
		"@media only screen and (max-width:600px){}":           "@media only screen and (max-width:600px){}",
		`@import "https://x.test/a.css";p{color:red}`:          "p{color:red}",
		`@\69mport "https://x.test/a.css";p{}`:                 `x69mport "https://x.test/a.css";p{}`,
		`@@import "a";p{}`:                                     "xp{}",
		`@media@import "a";p{}`:                                "xmediap{}",
		"@font-face{src:url('https://x.test/f')}":              "xfont-face{src:x()}",
		`p{background:u\72l(https://x.test/a)}`:                "p{background:x(https://x.test/a)}",
		"p{background:URL ( 'a' )}":                            "p{background:URL ( 'a' )}",
		`p{background:image-set("https://x.test/a" 1x)}`:       `p{background:x("https://x.test/a" 1x)}`,
		"p{background:-webkit-image-set(url(a) 1x)}":           "p{background:x(x() 1x)}",
		"p{width:expression(alert(1))}":                        "p{width:x(x(1))}",
		"p{color:rgba(1,2,3,.5);width:calc(100% - (2px))}":     "p{color:rgba(1,2,3,.5);width:calc(100% - (2px))}",
		"p{}</style><script>alert(1)</script>":                 "p{}",
		"p{content:'</sty<le><script>'}":                       "p{content:'/style>script>'}",
	} {
		d := preview.HTML(ofHTML("<style>"+css+"</style>"), false)
		_, rest, _ := strings.Cut(d.HTML, "<style>")
		_, rest, _ = strings.Cut(rest, "<style>")
		got, _, _ := strings.Cut(rest, "\n</style>")
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", css, got, want)
		}
	}
}

func TestHugeMailsAreCut(t *testing.T) {
	d := preview.HTML(ofHTML(strings.Repeat("<b>é</b>", 1<<20)), false)
	if !d.Cut || len(d.HTML) > 3<<20 {
		t.Errorf("%d bytes, cut %t", len(d.HTML), d.Cut)
	}
	if d = preview.Text(strings.Repeat("é", 2<<20), false); !d.Cut || strings.Contains(d.HTML, "\uFFFD") {
		t.Error("a character is cut in two")
	}
	var many strings.Builder
	many.WriteString("Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n" + strings.Repeat("<img src=cid:a>", 100))
	many.WriteString("\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <a>\r\n\r\n" + strings.Repeat("x", 1<<20) + "\r\n--b--")
	d = preview.HTML(message.Read(message.SplitClean([]byte(many.String()))), false)
	if len(d.HTML) > 13<<20 {
		t.Errorf("one picture a hundred times: %d bytes", len(d.HTML))
	}
}

var (
	reLoads  = regexp.MustCompile(`(?i)(?:url|src|image|image-set|cross-fade|element|expression)\(|@(?:import|font-face|namespace)`)
	reEscape = regexp.MustCompile(`\\`)
)

// harmful finds what a document must not have.
func harmful(document string) (found []string) {
	root, err := html.Parse(strings.NewReader(document))
	if err != nil {
		return nil // deeper than the parser goes; a browser cuts it flat
	}
	allowed := strings.Fields("html head body meta title style a abbr address article aside b bdi bdo big blockquote br caption center cite code col colgroup " +
		"dd del details dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark nav ol p pre q s samp section " +
		"small span strike strong sub summary sup table tbody td tfoot th thead time tr tt u ul var wbr")
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			if !slices.Contains(allowed, n.Data) || n.Namespace != "" {
				found = append(found, "element "+n.Data)
			}
			for _, a := range n.Attr {
				switch {
				case strings.HasPrefix(a.Key, "on"), a.Key == "srcset", a.Key == "background", a.Key == "action":
					found = append(found, a.Key)
				case a.Key == "src" && !strings.HasPrefix(a.Val, "data:image/"):
					found = append(found, "src "+a.Val)
				case a.Key == "href":
					if lower := strings.ToLower(a.Val); !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://") {
						found = append(found, "href "+a.Val)
					}
				case a.Key == "style" && (reLoads.MatchString(a.Val) || reEscape.MatchString(a.Val)):
					found = append(found, "style "+a.Val)
				case a.Key == "http-equiv":
					found = append(found, a.Key)
				}
			}
			if n.Data == "style" && n.FirstChild != nil && (reLoads.MatchString(n.FirstChild.Data) || reEscape.MatchString(n.FirstChild.Data)) {
				found = append(found, "style "+n.FirstChild.Data)
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(root)
	if strings.Contains(strings.ToLower(document), "<script") {
		found = append(found, "script")
	}
	return found
}

func FuzzPreview(f *testing.F) {
	for _, seed := range []string{
		`<p onclick=x>a<script>b</script><img src=x onerror=y>`,
		`<style>@import "a";p{background:url(https://x)}</style><p style="background:u\72l(x)">`,
		`<svg><style><img src=x onerror=y></style></svg><math><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">`,
		`<noscript><p title="</noscript><img src=x onerror=alert(1)>">`,
		`<a href="java&#9;script:x"><a href="https://x"><img src="cid:a"><img src="data:image/png;base64,AA&quot;x">`,
		`<table><td><form><table></form><select><template><style>`,
	} {
		f.Add([]byte("Content-Type: text/html\r\n\r\n"+seed), true)
	}
	f.Add([]byte("Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<img src=cid:a>\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <a>\r\n\r\nx\r\n--b--"), false)
	f.Fuzz(func(t *testing.T, raw []byte, links bool) {
		r := message.Read(message.SplitClean(raw))
		documents := []string{preview.HTML(r, links).HTML}
		if r.Text != nil {
			documents = append(documents, preview.Text(r.Text.String(), links).HTML)
		}
		for _, d := range documents {
			if found := harmful(d); len(found) > 0 {
				t.Errorf("%s\n%s", strings.Join(found, "\n"), d)
			}
		}
	})
}

func ExamplePolicy() {
	fmt.Println(preview.Policy(false))
	// Output: default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox
}
