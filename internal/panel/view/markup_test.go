package view_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

// tags reads HTML as a browser does, and returns its elements with the names of their
// attributes: what text must not be able to change. It complains of elements that are not
// closed in order, and of what runs scripts or brings a style along.
func tags(t *testing.T, text string) []string {
	t.Helper()
	var list, open []string
	for z := html.NewTokenizer(strings.NewReader(text)); ; {
		kind := z.Next()
		token := z.Token()
		switch kind {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("never closed: %v", open)
			}
			return list
		case html.StartTagToken, html.SelfClosingTagToken:
			list = append(list, token.Data+attributes(t, token))
			if kind == html.StartTagToken && !without(token.Data) {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			list = append(list, "/"+token.Data)
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Fatalf("</%s> closes what is not open: %v", token.Data, open)
			}
			open = open[:len(open)-1]
		case html.TextToken:
			if len(open) > 0 && (open[len(open)-1] == "script" || open[len(open)-1] == "style") {
				t.Errorf("<%s> with content: %.80s", open[len(open)-1], token.Data)
			}
		case html.CommentToken:
			t.Errorf("a comment, which text may end: %.80s", token.Data)
		}
	}
}

// attributes are the names of an element's attributes, after a look at what is in them.
func attributes(t *testing.T, e html.Token) string {
	t.Helper()
	names, source := map[string]bool{}, ""
	for _, a := range e.Attr {
		value := strings.ToLower(strings.TrimSpace(a.Val))
		switch {
		case names[a.Key]:
			t.Errorf("<%s> has %s twice", e.Data, a.Key)
		case strings.HasPrefix(a.Key, "on"), strings.HasPrefix(a.Key, "hx-on"), a.Key == "style", a.Key == "srcdoc":
			t.Errorf("<%s> has %s: %.80s", e.Data, a.Key, a.Val)
		case isAddress(a.Key) && strings.HasPrefix(value, "javascript:"):
			t.Errorf("<%s %s> runs a script: %.80s", e.Data, a.Key, a.Val)
		case a.Key == "src":
			source = a.Val
		}
		names[a.Key] = true
	}
	if e.Data == "style" || e.Data == "base" || e.Data == "object" || e.Data == "embed" || e.Data == "script" && !strings.HasPrefix(source, "/static/hash/") {
		t.Errorf("<%s> from elsewhere: %v", e.Data, e.Attr)
	}
	return " " + strings.Join(slices.Sorted(maps.Keys(names)), " ")
}

// whole is a rendering with words without end only named. It complains of one that was cut
// without a sign of that.
func whole(t *testing.T, text string) string {
	t.Helper()
	text = named(text)
	for _, at := range regexp.MustCompile("W{20,}").FindAllStringIndex(text, -1) {
		if !strings.HasPrefix(text[at[1]:], "…") {
			t.Errorf("%d of %d characters are left: %.200s", at[1]-at[0], long, text[max(0, at[0]-100):])
		}
	}
	return text
}

// without reports whether an element has no end (HTML 13.1.2).
func without(name string) bool {
	return slices.Contains([]string{"br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}, name)
}

func isAddress(name string) bool {
	return slices.Contains([]string{"href", "src", "action", "formaction", "data", "poster", "xlink:href"}, name)
}

func TestHostileTextStaysText(t *testing.T) {
	p := frame(t)
	for name := range views() {
		t.Run(name, func(t *testing.T) {
			bad, good := shown(t, p, name, hostileText), shown(t, p, name, tameText)
			for i := range bad {
				got, want := tags(t, whole(t, bad[i])), tags(t, whole(t, good[i]))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("hostile text changes the elements of the page:\n%s", diff)
				}
			}
			for _, text := range shown(t, p, name, realisticText()) {
				tags(t, text)
			}
		})
	}
}

// The paths of links are made by the program, which may put what it likes there. Of what
// comes from elsewhere none may become the address of a link that runs a script.
func TestOnlyPathsOfTheProgramAreTakenAsTheyAre(t *testing.T) {
	ours := regexp.MustCompile(`(^|\.)(Path|OperatorPath|Base|Back|Action|First|Next|FirstKey|NextKey|Continue|CSV|New|NewStaff|Frame|Raw|Fix|More|Message|Image|URI|File|Logo)$|^(A|Act|Confirm|Pager)\.\d$`)
	p, found := frame(t), map[string]bool{}
	for name := range views() {
		for _, text := range shown(t, p, name, scriptAddress) {
			for z := html.NewTokenizer(strings.NewReader(text)); z.Next() != html.ErrorToken; {
				for _, a := range z.Token().Attr {
					if of, ok := strings.CutPrefix(a.Val, "javascript:alert(1)//"); ok && isAddress(a.Key) {
						found[regexp.MustCompile(`[/?#].*`).ReplaceAllString(of, "")] = true
					}
				}
			}
		}
	}
	for of := range found {
		if !ours.MatchString(of) {
			t.Errorf("%s may be a script: give it to href as it is, without templ.SafeURL", of)
		}
	}
}

// What is in no rendering is in no golden file either: a condition that no way leads to, or
// a field that nothing uses.
func TestEveryFieldIsInSomeRendering(t *testing.T) {
	// Some fields only choose between looks, or stand for one among several options.
	chooses := regexp.MustCompile(`^(Audit\.Shown|Badge\.0|MessageLive\.Seen)$|\.(State|Kind|Verdict|Level|Class|Period|ID|Theme|Color)$|` +
		`\..+\.(Value|Type|Auto|Mode|Hint|Error|Options)$|^Option\.|^(Page|Brand|Section|Link)\.`)
	p, all := frame(t), map[string]bool{}
	for name := range views() {
		filled := map[string]bool{}
		text := strings.Join(shown(t, p, name, func(of string, _ int) string {
			filled[of] = true
			return "[" + of + "]"
		}), "")
		for of := range filled {
			all[of] = all[of] || strings.Contains(text, "["+of+"]")
		}
	}
	for _, of := range slices.Sorted(maps.Keys(all)) {
		if !all[of] && !chooses.MatchString(of) {
			t.Errorf("%s is never shown", of)
		}
	}
}

// Right-to-left text turns round what stands beside it, and a word without end widens the
// page: what people, programs and servers write is set apart from other words in its line,
// and broken.
func TestWhatOthersWriteIsSetApartAndBroken(t *testing.T) {
	p := frame(t)
	for name := range views() {
		t.Run(name, func(t *testing.T) {
			for _, text := range shown(t, p, name, hostileText) {
				doc, err := html.Parse(strings.NewReader(named(text)))
				if err != nil {
					t.Fatal(err)
				}
				for n := range doc.Descendants() {
					if n.Type == html.TextNode && strings.Contains(n.Data, "\u202E") && !plain(n.Parent) {
						checkPlace(t, n)
					}
				}
			}
		})
	}
}

// checkPlace looks at where a text stands that others have written.
func checkPlace(t *testing.T, n *html.Node) {
	t.Helper()
	one := regexp.MustCompile(`"' onfocus=.*?exe\.gpj (\S+) \[10000×W\]`)
	found := one.FindAllStringSubmatch(n.Data, -1)
	switch {
	case found == nil:
		t.Errorf("the text is not as it was given: %.200s", n.Data)
		return
	case bounded(found[0][1]):
		return
	}
	of, rest := found[0][1], one.ReplaceAllString(n.Data, "")
	sentence := strings.ContainsFunc(rest, unicode.IsLetter) // which its place cannot set apart from its own words
	if len(found) > 1 || !sentence && (strings.TrimSpace(rest) != "" || hasNeighbor(n)) {
		t.Errorf("%s turns round what stands beside it: put it in <bdi>, or say dir=\"auto\"", of)
	}
	if !broken(n) {
		t.Errorf("%s widens the page: give it the class wp-break", of)
	}
}

// bounded reports whether the words of a field are the program's own, or as short as
// addresses are.
func bounded(of string) bool {
	return regexp.MustCompile(`\.(At|Since|Expires|Size|Took|Phase|Lane|Checked|Right|Label|Title|Hint|About|PathLabel|Short|More|Peer|Link|Product|Gateways|Kind|Summary|FieldLabel)$|` +
		`^(EmailPreset|Rotation|Letter|Brand|Option|LaneRow)\.|^(EmailCheck\.(SPF|DKIM|DMARC|Sentences)|SetupStep\.Name|HistoryEntry\.By|Key\.Hint|A\.1|Act\.1|Badge\.1|Confirm\.2|Error\.3)$`).MatchString(of)
}

// plain reports whether an element shows only text, in a box of its own.
func plain(n *html.Node) bool {
	return slices.Contains([]string{"option", "textarea", "title", "noscript", "iframe"}, n.Data)
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasClass(n *html.Node, names ...string) bool {
	return n != nil && slices.ContainsFunc(strings.Fields(attribute(n, "class")), func(c string) bool { return slices.Contains(names, c) })
}

// inLine reports whether an element's text runs on in the line of what it is in. Others are
// a paragraph of their own to the bidirectional algorithm, as a block, in a flexible box or
// because they say so.
func inLine(n *html.Node) bool {
	inline := slices.Contains([]string{"a", "code", "span", "small", "strong", "time", "label", "b", "em"}, n.Data)
	return inline && attribute(n, "dir") == "" && !hasClass(n, "badge", "btn", "visually-hidden", "wp-clamp", "wp-long") &&
		!hasClass(n.Parent, "d-flex", "wp-actions", "wp-value", "wp-acting", "wp-dns-summary", "wp-brand")
}

// hasNeighbor reports whether something else is in the line of a text.
func hasNeighbor(n *html.Node) bool {
	line := n.Parent
	for inLine(line) {
		line = line.Parent
	}
	var beside func(in *html.Node) bool
	beside = func(in *html.Node) bool {
		for c := range in.ChildNodes() {
			switch {
			case c == n:
			case c.Type == html.TextNode && strings.TrimSpace(c.Data) != "", hasClass(c, "badge", "btn"):
				return true
			case c.Type == html.ElementNode && inLine(c) && beside(c):
				return true
			}
		}
		return false
	}
	return beside(line)
}

// broken reports whether a word without end is broken where a text stands, by the classes
// that do so, by that of cards (but not in the heading of a row, which would widen its
// table), or because its table scrolls.
func broken(n *html.Node) bool {
	heading := false
	for e := n.Parent; e != nil; e = e.Parent {
		switch {
		case hasClass(e, "text-nowrap", "wp-nowrap"):
			return false
		case hasClass(e, "wp-break", "wp-mono", "wp-pre", "wp-long", "wp-clamp", "wp-reply", "wp-title"), e.Data == "td", e.Data == "dd", hasClass(e, "card") && !heading:
			return true
		case e.Data == "th":
			heading = true
		}
	}
	return false
}
