package message_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/waypost"
)

// drawPart makes a MIME part of any shape down to a depth.
func drawPart(t *rapid.T, depth int, next *int) string {
	if depth > 0 && rapid.Bool().Draw(t, "nest") {
		*next++
		boundary := "=_b" + strconv.Itoa(*next) + "_"
		parts := make([]string, rapid.IntRange(1, 3).Draw(t, "parts"))
		for i := range parts {
			parts[i] = drawPart(t, depth-1, next)
		}
		return multi(rapid.SampledFrom([]string{"mixed", "alternative", "related"}).Draw(t, "subtype"), boundary, parts...)
	}
	kind := rapid.SampledFrom([]string{
		plainT, htmlT, "Content-Type: text/plain", "Content-Type: text/html; charset=iso-8859-1", "Content-Type: image/png",
		"Content-Type: text/plain; charset=windows-1251", plainT + "|Content-Disposition: attachment",
	}).Draw(t, "kind")
	text := rapid.StringMatching(`([a-z <>/=.!-]{0,80}\n){0,4}(</body>|</BODY >)?(</html>)?\n?`).Draw(t, "text")
	switch rapid.IntRange(0, 3).Draw(t, "encoding") {
	case 0:
		return part(kind, text)
	case 1:
		return part(kind+eight, text)
	case 2:
		return part(kind+b64T, b64(crlf(text)))
	default:
		return part(kind+qp, strings.NewReplacer("=", "=3D", "<", "=3C", " \n", "=20\n", "b", "=\nb").Replace(text))
	}
}

func TestSignatureChangesNothingElseInAnyTree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mail := top + drawPart(rt, 4, new(int))
		sig := rapid.SampledFrom([]waypost.Signature{
			asciiSignature(), cyrillicSignature(), {Text: "only text ü"}, {HTML: "<p>only html €</p>"},
		}).Draw(rt, "signature")
		header, body, err := message.Split([]byte(crlf(mail)))
		if err != nil {
			rt.Fatal(err)
		}
		newHeader, newBody, changed, reason := message.AppendSignature(header, body, sig)
		if changed == (reason != "") {
			rt.Fatalf("changed %v, reason %q", changed, reason)
		}
		if !changed {
			if !bytes.Equal(header, newHeader) || !bytes.Equal(body, newBody) {
				rt.Fatal("a mail that must stay was changed")
			}
			return
		}
		judge(rt, header, body, newHeader, newBody)
	})
}

func FuzzAppendSignature(f *testing.F) {
	for _, row := range signatureRows() {
		f.Add([]byte(crlf(row.mail)), row.sig.Text, row.sig.HTML)
	}
	f.Fuzz(func(t *testing.T, mail []byte, text, html string) {
		header, body, err := message.Split(mail)
		if err != nil {
			return
		}
		wasHeader, wasBody := bytes.Clone(header), bytes.Clone(body)
		newHeader, newBody, changed, reason := message.AppendSignature(header, body, waypost.Signature{Text: text, HTML: html})
		if !bytes.Equal(header, wasHeader) || !bytes.Equal(body, wasBody) {
			t.Fatal("the input was changed")
		}
		if changed && reason != "" || !changed && (!bytes.Equal(header, newHeader) || !bytes.Equal(body, newBody)) {
			t.Fatalf("changed %v, reason %q, but the bytes say otherwise", changed, reason)
		}
		// What was safe to send must stay so.
		if _, _, err := message.Split(append(bytes.Clone(newHeader), newBody...)); err != nil {
			t.Fatal(err)
		}
		if h, b, err := message.Split(append(bytes.Clone(newHeader), newBody...)); err != nil || !bytes.Equal(h, newHeader) || !bytes.Equal(b, newBody) {
			t.Fatalf("the header block does not end where the body begins: %v", err)
		}
	})
}
