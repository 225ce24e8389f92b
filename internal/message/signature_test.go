package message_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	gomessage "github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // lets the judge read what is not UTF-8
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/waypost"
)

func updating() bool { return flag.Lookup("update").Value.String() == "true" }

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite golden files and docs/headers.md")
	os.Exit(m.Run())
}

func asciiSignature() waypost.Signature {
	return waypost.Signature{Text: "Fleet Ltd\n+1 555 0100", HTML: "<p>Fleet <b>Ltd</b></p>"}
}

func cyrillicSignature() waypost.Signature {
	return waypost.Signature{Text: "ООО «Парк»", HTML: "<p>ООО «Парк»</p>"}
}

// crlf makes a wire form out of a test's literal.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// part writes a body part; header lines are separated by "|".
func part(header, content string) string {
	return strings.ReplaceAll(header, "|", "\n") + "\n\n" + content
}

// multi writes a multipart of a subtype out of parts.
func multi(subtype, boundary string, parts ...string) string {
	var b strings.Builder
	b.WriteString("Content-Type: multipart/" + subtype + "; boundary=\"" + boundary + "\"\n\n")
	for _, p := range parts {
		b.WriteString("--" + boundary + "\n" + p + "\n")
	}
	b.WriteString("--" + boundary + "--\n")
	return b.String()
}

const (
	top      = "From: a@example.com\nTo: b@example.net\nSubject: x\nMIME-Version: 1.0\n"
	pdfPart  = "Content-Type: application/pdf; name=r.pdf\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=r.pdf\n\nJVBERi0xLjQ="
	htmlBody = "<html><body><p>Hi</p></body></html>"
	plainT   = "Content-Type: text/plain; charset=utf-8"
	htmlT    = "Content-Type: text/html; charset=utf-8"
	qp       = "|Content-Transfer-Encoding: quoted-printable"
	b64T     = "|Content-Transfer-Encoding: base64"
	eight    = "|Content-Transfer-Encoding: 8bit"
)

type signatureRow struct {
	name   string
	mail   string // with \n for line ends
	sig    waypost.Signature
	reason string // "" when the signature is appended
}

func signatureRows() []signatureRow {
	ascii, cyr := asciiSignature(), cyrillicSignature()
	alt := multi("alternative", "alt", part(plainT, "Hi"), part(htmlT, htmlBody))
	koi := string([]byte{0xf0, 0xd2, 0xc9, 0xd7, 0xc5, 0xd4})  // Привет
	latin := string([]byte{'G', 'r', 0xfc, 0xdf, 'e'})         // Grüße
	utf16le := "\xff\xfeH\x00i\x00\r\x00\n\x00"                // Hi
	utf16html := "\xfe\xff\x00<\x00/\x00b\x00o\x00d\x00y\x00>" // </body>
	iso2022 := "\x1b$B$3$s\x1b(B\n"                            // こん
	long := waypost.Signature{HTML: `<img src="data:image/png;base64,` + strings.Repeat("QUFB", 400) + `">`, Text: strings.Repeat("x", 1500)}
	return []signatureRow{
		{"no_mime_at_all", "From: a@example.com\n\nHello\n", ascii, ""},
		{"no_mime_no_final_line_end", "From: a@example.com\n\nHello", ascii, ""},
		{"no_mime_cyrillic_signature", "From: a@example.com\n\nHello\n", cyr, ""},
		{"no_mime_raw_utf8", "From: a@example.com\n\nПривет\n", cyr, ""},
		{"no_mime_raw_koi8", "From: a@example.com\n\n" + koi + "\n", cyr, "a text part is in an unknown charset"},
		{"empty_body", top + "\n", ascii, ""},
		{"text_7bit", top + part(plainT+"|Content-Transfer-Encoding: 7bit", "Hello\n"), ascii, ""},
		{"text_7bit_cyrillic_signature", top + part(plainT+"|Content-Transfer-Encoding: 7bit", "Hello = there\n"), cyr, ""},
		{"text_8bit", top + part(plainT+eight, "Привет\n"), cyr, ""},
		{"text_binary", top + part(plainT+"|Content-Transfer-Encoding: binary", "Привет\n"), cyr, ""},
		{"text_qp", top + part(plainT+qp, "=D0=9F=D1=80\n"), cyr, ""},
		{"text_qp_open_soft_break", top + part(plainT+qp, "Hello=\n"), ascii, ""},
		{"text_qp_bare_equals_at_end", top + part(plainT+qp, "Hello="), ascii, ""},
		{"text_qp_trailing_blank", top + part(plainT+qp, "Hello "), ascii, ""},
		{"text_base64", top + part(plainT+b64T, b64("Привет\r\n")+"\n"), cyr, ""},
		{"text_base64_unix_lines", top + part(plainT+b64T, b64("one\ntwo\n")), ascii, ""},
		{"text_base64_one_long_line", top + part(plainT+b64T, b64(strings.Repeat("Hello world. ", 100))), ascii, ""},
		{"text_base64_broken", top + part(plainT+b64T, "SGVsb@8=\n"), ascii, "the base64 of a text part is broken"},
		{"text_uuencode", top + part(plainT+"|Content-Transfer-Encoding: x-uuencode", "begin\n"), ascii, "a text part is in x-uuencode"},
		{"text_us_ascii_cyrillic_signature", top + part("Content-Type: text/plain; charset=us-ascii; format=flowed", "Hello\n"), cyr, ""},
		{"text_base64_us_ascii_cyrillic", top + part("Content-Type: text/plain; charset=us-ascii"+b64T, b64("Hello")), cyr, ""},
		{"text_flowed", top + part("Content-Type: text/plain; charset=utf-8; format=flowed", "Hello \nworld\n"), waypost.Signature{Text: "From us \n> x\n y"}, ""},
		{"text_koi8_8bit", top + part("Content-Type: text/plain; charset=KOI8-R"+eight, koi+"\n"), waypost.Signature{Text: "Парк"}, ""},
		{"text_koi8_8bit_not_in_charset", top + part("Content-Type: text/plain; charset=KOI8-R"+eight, koi+"\n"), waypost.Signature{Text: "Grüße"}, ""},
		{"text_cp1251_base64", top + part("Content-Type: text/plain; charset=windows-1251"+b64T, b64("\xcf\xf0\xe8\xe2\xe5\xf2\r\n")), cyr, ""},
		{"text_latin1_qp", top + part("Content-Type: text/plain; charset=iso-8859-1"+qp, "Gr=FC=DFe\n"), waypost.Signature{Text: "Schöne Grüße"}, ""},
		{"text_latin1_qp_euro", top + part("Content-Type: text/plain; charset=iso-8859-1"+qp, "Gr=FC=DFe\n"), waypost.Signature{Text: "5 €"}, ""},
		{"text_latin1_7bit_umlaut", top + part("Content-Type: text/plain; charset=iso-8859-1", "Hello\n"), waypost.Signature{Text: "Schöne Grüße"}, ""},
		{"text_utf16_base64", top + part("Content-Type: text/plain; charset=utf-16"+b64T, b64(utf16le)), cyr, ""},
		{"html_utf16_base64", top + part("Content-Type: text/html; charset=utf-16"+b64T, b64(utf16html)), cyr, ""},
		{"text_iso2022jp", top + part("Content-Type: text/plain; charset=iso-2022-jp", iso2022), ascii, ""},
		{"text_iso2022jp_cyrillic", top + part("Content-Type: text/plain; charset=iso-2022-jp", iso2022), waypost.Signature{Text: "Ünlü"}, ""},
		{"text_shift_jis", top + part("Content-Type: text/plain; charset=Shift_JIS"+eight, "\x82\xb1\x82\xf1\n"), waypost.Signature{Text: "こん"}, ""},
		{"text_unknown_charset_ascii", top + part("Content-Type: text/plain; charset=x-own", "Hello\n"), ascii, ""},
		{"text_unknown_charset_8bit", top + part("Content-Type: text/plain; charset=x-own"+eight, "\xe1\xe2\n"), cyr, "a text part is in an unknown charset"},
		{"text_utf7", top + part("Content-Type: text/plain; charset=utf-7", "Hello\n"), ascii, "charset utf-7 cannot be written"},
		{"text_wrong_utf16", top + part("Content-Type: text/plain; charset=utf-16"+b64T, b64("abc")), ascii, "a text part is not in charset utf-16"},
		{"long_signature_lines", top + multi("alternative", "b", part(plainT, "Hi"), part(htmlT, htmlBody)), long, ""},
		{"html_7bit_cyrillic_signature", top + part(htmlT, htmlBody+"\n"), cyr, ""},
		{"html_8bit", top + part(htmlT+eight, "<BODY>Привет</BODY >\n</HTML>\n"), cyr, ""},
		{"html_qp_split_tag", top + part(htmlT+qp, "<html><body>Hi</bo=\ndy=3E</html>\n"), cyr, ""},
		{"html_base64", top + part(htmlT+b64T, b64(htmlBody)), cyr, ""},
		{"html_latin1_cyrillic", top + part("Content-Type: text/html; charset=iso-8859-1"+eight, "<body>"+latin+"</body>\n"), cyr, ""},
		{"html_no_body_tag", top + part(htmlT, "<html><p>Hi</p></html>\n"), ascii, ""},
		{"html_no_tags_at_all", top + part(htmlT, "Hi\n"), ascii, ""},
		{"html_body_in_comment", top + part(htmlT, "<body>Hi<!-- </body> --></body><!--[if mso]></body><![endif]-->\n"), ascii, ""},
		{"html_body_in_script", top + part(htmlT, "<body>Hi</body><script>x='</body>'</script>\n"), ascii, ""},
		{"html_unended_comment", top + part(htmlT, "<p>Hi<!-- </body>\n"), ascii, ""},
		{"html_two_bodies", top + part(htmlT, "<body>old</body><blockquote></blockquote></body>\n"), ascii, ""},
		{"alternative", top + alt, ascii, ""},
		{"alternative_cyrillic", top + alt, cyr, ""},
		{"text_signature_only", top + alt, waypost.Signature{Text: "A & B\n<c>"}, ""},
		{"html_signature_only", top + alt, waypost.Signature{HTML: `<p>Fleet<br>Ltd</p><p><a href="https://fleet.example/">web</a> <img src="cid:x" alt="logo"></p>`}, ""},
		{"signature_with_own_separator", top + alt, waypost.Signature{Text: "-- \nFleet"}, ""},
		{"preamble_and_epilogue", top + "Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b \n" + part(plainT, "Hi") + "\n--b--\t\nepilogue\n--b\n", ascii, ""},
		{"mixed_text_pdf", top + multi("mixed", "b", part(plainT, "Hi\n"), pdfPart), ascii, ""},
		{"mixed_pdf_first", top + multi("mixed", "b", pdfPart, part(plainT, "Hi")), ascii, ""},
		{"mixed_two_texts", top + multi("mixed", "b", part(plainT, "first"), part(plainT, "second")), ascii, ""},
		{"mixed_text_csv_calendar", top + multi("mixed", "b", part("Content-Type: text/csv", "a;b"), part("Content-Type: text/calendar", "BEGIN:VCALENDAR"), part(plainT, "Hi")), ascii, ""},
		{"mixed_named_text_is_a_file", top + multi("mixed", "b", part("Content-Type: text/plain; name=log.txt", "log"), part(plainT+"|Content-Disposition: inline; filename=a.txt", "a"), part(htmlT, htmlBody)), ascii, ""},
		{"mixed_unreadable_type_of_a_file", top + multi("mixed", "b", part("Content-Type: application/pdf; name=Отчёт за день.pdf|Content-Disposition: attachment", "x"), part(plainT, "Hi")), ascii, ""},
		{"only_attachments", top + multi("mixed", "b", pdfPart), ascii, "the mail has no text body"},
		{"attached_mail", top + multi("mixed", "b", part("Content-Type: message/rfc822", "Subject: in\n\ninner"), part(plainT, "Hi")), ascii, ""},
		{"digest", top + multi("digest", "b", part("X: 1", "From: x@example.com\n\ninner")), ascii, "the mail has no text body"},
		{"related", top + multi("related", "r", part(htmlT, htmlBody), part("Content-Type: image/png|Content-ID: <x>"+b64T, "iVBORw==")), ascii, ""},
		{"related_start", top + strings.Replace(multi("related", "r", part("Content-Type: image/png|Content-ID: <x>"+b64T, "iVBORw=="), part(htmlT+"|Content-ID: <root>", htmlBody)), "multipart/related;", `multipart/related; start="<root>";`, 1), ascii, ""},
		{"outlook_tree", top + multi("mixed", "m", multi("related", "r", multi("alternative", "a", part(plainT+qp, "Hi=20"), part(htmlT+qp, "<body>Hi</body>")), part("Content-Type: image/png|Content-ID: <x>"+b64T, "iVBORw==")), pdfPart), cyr, ""},
		{"apple_tree", top + multi("alternative", "a", part(plainT, "Hi"), multi("mixed", "m", part(htmlT, htmlBody), pdfPart, part(htmlT, "<p>tail</p>"))), ascii, ""},
		{"alternative_with_calendar", top + multi("alternative", "a", part(plainT, "Hi"), part(htmlT, htmlBody), part("Content-Type: text/calendar; method=REQUEST", "BEGIN:VCALENDAR")), ascii, ""},
		{"boundary_prefix", top + multi("mixed", "b", multi("alternative", "bb", part(plainT, "Hi"), part(htmlT, htmlBody)), pdfPart), ascii, ""},
		{"part_without_header", top + multi("mixed", "b", "\nHi"), cyr, ""},
		{"signed", top + multi("signed", "s", part(plainT, "Hi"), part("Content-Type: application/pgp-signature", "sig")), ascii, "the mail is signed or encrypted"},
		{"encrypted", top + multi("encrypted", "s", part("Content-Type: application/pgp-encrypted", "Version: 1"), part("Content-Type: application/octet-stream", "x")), ascii, "the mail is signed or encrypted"},
		{"smime", top + part(`Content-Type: application/pkcs7-mime; name="smime.p7m"|Content-Disposition: attachment; filename="smime.p7m"`+b64T, "MIIB"), ascii, "the mail is signed or encrypted"},
		{"signed_inside_mixed", top + multi("mixed", "m", multi("signed", "s", part(plainT, "Hi"), part("Content-Type: application/pgp-signature", "sig")), part(plainT, "list footer")), ascii, "the mail is signed or encrypted"},
		{"text_before_signed", top + multi("mixed", "m", part(plainT, "Hi"), multi("signed", "s", part(plainT, "Hi"), part("Content-Type: application/pgp-signature", "sig"))), ascii, ""},
		{"delivery_report", top + multi("report", "r", part(plainT, "Hi"), part("Content-Type: message/delivery-status", "Reporting-MTA: dns; x")), ascii, "the mail is a report for machines"},
		{"no_boundary", top + "Content-Type: multipart/mixed\n\n--b\n\nHi\n--b--\n", ascii, "a multipart has no boundary"},
		{"no_closing_boundary", top + "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nHi\n", ascii, "a multipart does not end"},
		{"boundary_never_there", top + "Content-Type: multipart/mixed; boundary=b\n\nHi\n", ascii, "a multipart does not end"},
		{"no_parts", top + "Content-Type: multipart/mixed; boundary=b\n\n--b--\n", ascii, "a multipart has no parts"},
		{"unreadable_content_type", top + part(`Content-Type: text/html; charset="utf-8`, "x"), ascii, "a Content-Type cannot be read"},
		{"two_content_types", top + part("Content-Type: text/plain|Content-Type: text/html", "x"), ascii, "a part says twice what it is"},
		{"multipart_in_base64", top + strings.Replace(multi("mixed", "b", part(plainT, "Hi")), "\n\n", "\nContent-Transfer-Encoding: base64\n\n", 1), ascii, "a multipart is in base64"},
		{"signature_like_boundary", top + multi("mixed", "---", part(plainT, "Hi")), waypost.Signature{Text: "-----\nFleet", HTML: "x"}, "the signature has a line like a boundary of the mail"},
		{"alternative_with_broken_html", top + multi("alternative", "a", part(plainT, "Hi"), part(htmlT+b64T, "@@@")), ascii, "the base64 of a text part is broken"},
		{"empty_signature", top + alt, waypost.Signature{Text: " \n", HTML: "\n"}, ""},
	}
}

func TestSignatureGoesIntoEveryMIMEShape(t *testing.T) {
	for _, row := range signatureRows() {
		t.Run(row.name, func(t *testing.T) {
			header, body, err := message.Split([]byte(crlf(row.mail)))
			if err != nil && !strings.Contains(row.name, "unix") {
				t.Fatal(err)
			}
			wasHeader, wasBody := bytes.Clone(header), bytes.Clone(body)
			newHeader, newBody, changed, reason := message.AppendSignature(header, body, row.sig)
			if !bytes.Equal(header, wasHeader) || !bytes.Equal(body, wasBody) {
				t.Fatal("the input was changed")
			}
			if reason != row.reason {
				t.Fatalf("reason %q, want %q", reason, row.reason)
			}
			if row.reason != "" || row.name == "empty_signature" {
				if changed || !bytes.Equal(newHeader, header) || !bytes.Equal(newBody, body) {
					t.Fatal("a mail that must stay was changed")
				}
				return
			}
			if !changed {
				t.Fatal("not changed")
			}
			golden(t, filepath.Join("testdata", "signature", row.name+".eml"), append(bytes.Clone(newHeader), newBody...))
			judge(t, header, body, newHeader, newBody)
			if _, _, err := message.Split(append(bytes.Clone(newHeader), newBody...)); err != nil {
				t.Error(err)
			}
		})
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if updating() {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// leaf is a body part as go-message reads it.
type leaf struct {
	mediaType, text string
	header          string // without the two fields that may change
}

func leaves(t rapid.TB, header, body []byte) []leaf {
	t.Helper()
	e, err := gomessage.Read(io.MultiReader(bytes.NewReader(header), bytes.NewReader(body)))
	if err != nil && !gomessage.IsUnknownCharset(err) {
		t.Fatalf("go-message: %v", err)
	}
	var out []leaf
	var walk func(e *gomessage.Entity)
	walk = func(e *gomessage.Entity) {
		kind, _, _ := e.Header.ContentType()
		if mr := e.MultipartReader(); mr != nil {
			for {
				p, err := mr.NextPart()
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil && !gomessage.IsUnknownCharset(err) {
					t.Fatalf("go-message: %v", err)
				}
				walk(p)
			}
		}
		text, err := io.ReadAll(e.Body)
		if err != nil {
			t.Fatalf("go-message: %v", err)
		}
		for _, name := range []string{"Content-Type", "Content-Transfer-Encoding", "MIME-Version"} {
			e.Header.Del(name)
		}
		var b strings.Builder
		for f := e.Header.Fields(); f.Next(); {
			raw, _ := f.Raw()
			b.Write(raw)
		}
		out = append(out, leaf{kind, string(text), b.String()})
	}
	walk(e)
	return out
}

// judge lets go-message say what the mail was and is: one text and one HTML part at
// most may differ, each by an insertion in one place, and every raw body part but
// those is the same to the byte.
func judge(t rapid.TB, header, body, newHeader, newBody []byte) {
	t.Helper()
	was, is := leaves(t, header, body), leaves(t, newHeader, newBody)
	if len(was) != len(is) {
		t.Fatalf("%d parts became %d", len(was), len(is))
	}
	differ := map[string]int{}
	for i := range was {
		if was[i].header != is[i].header || was[i].mediaType != is[i].mediaType {
			t.Errorf("part %d: header %q became %q", i, was[i], is[i])
		}
		if was[i].text == is[i].text {
			continue
		}
		kind := is[i].mediaType
		differ[kind]++
		before, after := was[i].text, is[i].text
		if kind == "text/plain" {
			if !strings.HasPrefix(after, strings.TrimRight(before, " ")) || strings.Count(after, "-- ") != 1+strings.Count(before, "-- ") {
				t.Errorf("part %d: %q became %q", i, before, after)
			}
			continue
		}
		if !inserted(before, after) {
			t.Errorf("part %d: %q became %q", i, before, after)
		}
	}
	if differ["text/plain"] > 1 || differ["text/html"] > 1 || len(differ) == 0 || len(differ) > differ["text/plain"]+differ["text/html"] {
		t.Errorf("parts that differ: %v", differ)
	}
	a, b := rawParts(body), rawParts(newBody)
	if len(a) != len(b) {
		t.Fatalf("%d raw parts became %d", len(a), len(b))
	}
	changed := 0
	for i := range a {
		if a[i] != b[i] {
			changed++
		}
	}
	if changed > differ["text/plain"]+differ["text/html"] {
		t.Errorf("%d raw parts changed, %v leaves", changed, differ)
	}
}

// inserted reports whether after is before with something put in at one place.
func inserted(before, after string) bool {
	n := len(after) - len(before)
	for i := 0; n > 0 && i <= len(before); i++ {
		if after[:i] == before[:i] && after[i+n:] == before[i:] {
			return true
		}
	}
	return false
}

// rawParts cuts a body at every line that looks like a delimiter of the test mails.
func rawParts(body []byte) []string {
	delimiter := regexp.MustCompile(`^--(=_b[0-9]+_|alt|bb|[abmrs])(--)?[ \t]*\r?\n?$`)
	var parts []string
	var b strings.Builder
	for line := range strings.Lines(string(body)) {
		if delimiter.MatchString(line) {
			parts = append(parts, b.String(), line)
			b.Reset()
			continue
		}
		b.WriteString(line)
	}
	return append(parts, b.String())
}

func TestSignatureStopsAtDeepAndWideTrees(t *testing.T) {
	deep := part(plainT, "Hi")
	for range 30 {
		deep = multi("mixed", "b"+strings.Repeat("x", strings.Count(deep, "boundary")), deep)
	}
	wide := make([]string, 1500)
	for i := range wide {
		wide[i] = part("Content-Type: image/png", "x")
	}
	for want, mail := range map[string]string{
		"the MIME tree is too deep":        top + deep,
		"the MIME tree has too many parts": top + multi("mixed", "w", wide...),
	} {
		header, body, err := message.Split([]byte(crlf(mail)))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, changed, reason := message.AppendSignature(header, body, asciiSignature()); changed || reason != want {
			t.Errorf("changed %v, reason %q, want %q", changed, reason, want)
		}
	}
}

// A part without an empty line is all header; read as fields, its bytes take many times
// their room.
func TestSignatureStopsAtAHugePartHeader(t *testing.T) {
	header := []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n")
	body := []byte("--b\r\n" + strings.Repeat("a:\r\n", 1<<20) + "--b--\r\n")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, changed, reason := message.AppendSignature(header, body, asciiSignature())
	runtime.ReadMemStats(&after)
	if changed || reason != "a part's header is too large" {
		t.Errorf("changed %v, reason %q", changed, reason)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > uint64(len(body)) {
		t.Errorf("%d bytes allocated for a mail of %d", took, len(body))
	}
}
