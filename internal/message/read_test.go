package message_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/message"
)

// lines joins the lines of a mail and splits it.
func lines(text ...string) (header, body []byte) {
	return message.SplitClean([]byte(strings.Join(text, "\r\n")))
}

// told is a reading in short.
func told(r *message.Reading) []string {
	var out []string
	part := func(role string, p *message.Part) {
		if p != nil {
			out = append(out, fmt.Sprintf("%s %s %q %q", role, p.Type, p.Name, p.String()))
		}
	}
	part("text", r.Text)
	part("html", r.HTML)
	for _, p := range r.Files {
		part("file", p)
	}
	if r.Cut {
		out = append(out, "cut")
	}
	return out
}

func TestReadFindsWhatPeopleSeeFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		mail []string
		want []string
	}{
		"plain text": {
			[]string{"Subject: a", "", "hello"},
			[]string{`text text/plain "" "hello"`},
		},
		"HTML in quoted-printable and ISO-8859-1": {
			[]string{"Content-Type: text/html; charset=ISO-8859-1", "Content-Transfer-Encoding: quoted-printable", "", "caf=E9 =80"},
			[]string{`html text/html "" "café €"`},
		},
		"alternatives with an inline image, and a file": {
			[]string{
				`Content-Type: multipart/mixed; boundary="a"`, "", "--a", `Content-Type: multipart/alternative; boundary="b"`, "",
				"--b", "", "text", "--b", `Content-Type: multipart/related; boundary="c"`, "", "--c", "Content-Type: text/html", "", "<img src=cid:x>",
				"--c", "Content-Type: image/png", "Content-ID: <x>", "Content-Transfer-Encoding: base64", "", "AAAA", "--c--", "--b--",
				"--a", `Content-Type: application/pdf; name="=?utf-8?q?r=C3=A9sum=C3=A9.pdf?="`, "Content-Transfer-Encoding: base64", "", "QUJD", "--a",
				"", "a footer of the list", "--a--", "after",
			},
			[]string{
				`text text/plain "" "text"`, `html text/html "" "<img src=cid:x>"`, `file image/png "" "\x00\x00\x00"`,
				`file application/pdf "résumé.pdf" "ABC"`, `file text/plain "" "a footer of the list"`,
			},
		},
		"a text that is a file": {
			[]string{
				"Content-Type: multipart/mixed; boundary=a", "", "--a", "Content-Disposition: attachment; filename*=utf-8''%D0%B0.txt", "", "1", "--a", "", "2", "--a--",
			},
			[]string{`text text/plain "" "2"`, `file text/plain "а.txt" "1"`},
		},
		"a multipart that is cut off": {
			[]string{"Content-Type: multipart/mixed; boundary=a", "", "--a", "Content-Type: text/html", "", "<p>half"},
			[]string{`html text/html "" "<p>half"`},
		},
		"a multipart without a boundary": {
			[]string{"Content-Type: multipart/mixed", "", "what is this"},
			[]string{`file multipart/mixed "" "what is this"`},
		},
		"a type nobody can read": {
			[]string{"Content-Type: ;;;\"", "", "x"},
			[]string{`file application/octet-stream "" "x"`},
		},
		"names that lie": {
			[]string{"Content-Type: application/pdf", "Content-Disposition: attachment; filename=\"=?utf-8?q?../..=5Cx=5C=E2=80=AEgnp.exe?=\"", "", "x"},
			[]string{`file application/pdf "gnp.exe" "x"`},
		},
		"broken base64": {
			[]string{"Content-Type: text/plain", "Content-Transfer-Encoding: base64", "", "aGVsb!G8=trailing garbage"},
			[]string{`text text/plain "" "hello"`},
		},
		"bytes that are not what they say": {
			[]string{"Content-Type: text/plain; charset=utf-8", "", "\xff"},
			[]string{`text text/plain "" "` + "\uFFFD" + `"`},
		},
		"no charset named": {
			[]string{"Content-Type: text/plain", "", "caf\xe9"},
			[]string{`text text/plain "" "café"`},
		},
		"a document that names its charset": {
			[]string{"Content-Type: text/html", "", "<meta charset=windows-1251>\xcf\xf0\xe8"},
			[]string{`html text/html "" "<meta charset=windows-1251>При"`},
		},
		"UTF-16": {
			[]string{"Content-Type: text/plain; charset=utf-16", "Content-Transfer-Encoding: base64", "", base64.StdEncoding.EncodeToString([]byte("\xff\xfeh\x00i\x00"))},
			[]string{`text text/plain "" "hi"`},
		},
		"a report": {
			[]string{
				"Content-Type: multipart/report; boundary=a", "", "--a", "", "it bounced", "--a", "Content-Type: text/plain", "", "machine", "--a--",
			},
			[]string{`text text/plain "" "it bounced"`, `file text/plain "" "machine"`},
		},
		"a digest": {
			[]string{"Content-Type: multipart/digest; boundary=a", "", "--a", "", "From: x", "--a--"},
			[]string{`file message/rfc822 "" "From: x"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, told(message.Read(lines(tt.mail...)))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadStopsAtItsLimits(t *testing.T) {
	var deep []string
	for i := range 30 {
		deep = append(deep, fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d", i), "", fmt.Sprintf("--b%d", i))
	}
	if r := message.Read(lines(append(deep, "", "bottom")...)); !r.Cut || r.Text != nil {
		t.Errorf("deep: %v", told(r))
	}
	many := []string{"Content-Type: multipart/mixed; boundary=b", ""}
	for range 2000 {
		many = append(many, "--b", "", "x")
	}
	if r := message.Read(lines(many...)); !r.Cut || len(r.Files) != 999 {
		t.Errorf("many: %d files, cut %t", len(r.Files), r.Cut)
	}
	endless := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: " + strings.Repeat("x", 100<<10)
	if r := message.Read(message.SplitClean([]byte(endless))); len(r.Files) != 1 || r.Files[0].Type != "application/octet-stream" {
		t.Errorf("a part that is all header: %d %v", len(r.Files), r.Text)
	}
}

func TestSizeOfAPartIsAboutItsBytes(t *testing.T) {
	data := bytes.Repeat([]byte{1, 2, 3}, 10000)
	var wrapped strings.Builder
	for text := base64.StdEncoding.EncodeToString(data); text != ""; {
		n := min(76, len(text))
		wrapped.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	r := message.Read(lines("Content-Type: image/png", "Content-Transfer-Encoding: base64", "", wrapped.String()))
	if got := r.Files[0].Size(); got < 29990 || got > 30010 || !bytes.Equal(r.Files[0].Bytes(), data) {
		t.Errorf("%d", got)
	}
}

func TestAgainMakesAMailOfItsOwn(t *testing.T) {
	block, _ := lines(
		"Received: by here; Mon, 2 Mar 2026 10:00:00 +0000", "ARC-Seal: i=1", "DKIM-Signature: v=1", "Message-ID: <a@b>", "Date: Mon, 2 Mar 2026 10:00:00 +0000",
		"From: a@example.test", "To: b@example.test", "Cc: c@example.test", "Subject: =?utf-8?q?=C3=A9?=", "X-Unit:  4711", "", "",
	)
	for to, want := range map[string]string{
		"":               "From: a@example.test\r\nTo: b@example.test\r\nCc: c@example.test\r\nSubject: =?utf-8?q?=C3=A9?=\r\nX-Unit:  4711\r\n\r\n",
		"d@example.test": "From: a@example.test\r\nTo: d@example.test\r\nSubject: =?utf-8?q?=C3=A9?=\r\nX-Unit:  4711\r\n\r\n",
	} {
		got, err := message.Again(block, to)
		if err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", to, got, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: text/html\r\n\r\n<p>\r\n--a--\r\n"))
	f.Add([]byte("Content-Type: multipart/related; boundary=a; start=\"<x>\"\r\n\r\n--a\r\n--a\r\nContent-ID: <x>\r\n\r\n--a"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := message.Read(message.SplitClean(raw))
		parts := r.Files
		if r.Text != nil {
			parts = append(parts, r.Text)
		}
		if r.HTML != nil {
			parts = append(parts, r.HTML)
		}
		if len(parts) > 1000 {
			t.Errorf("%d parts", len(parts))
		}
		total := 0
		for _, p := range parts {
			total += len(p.Bytes())
			_ = p.String()
			if p.Size() < 0 || strings.ContainsAny(p.Name, "/\\\r\n\x00") {
				t.Errorf("%+v", p)
			}
		}
		if total > len(raw) {
			t.Errorf("%d bytes out of %d", total, len(raw))
		}
	})
}
