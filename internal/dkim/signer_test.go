package dkim_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/dkim"
)

const (
	testDomain   = "waypost.invalid"
	testSelector = "wp1"
	plainHeader  = "From: Fleet <alerts@waypost.invalid>\r\nTo: bob@example.net\r\nSubject: Unit 7 left the zone\r\n" +
		"Date: Mon, 23 Nov 2026 03:00:00 +0000\r\nMessage-ID: <1@waypost.invalid>\r\n"
)

// shape is a message, header without the empty line.
type shape struct{ name, header, body string }

func shapes() []shape {
	lorem := "Unit 7 left the zone at 03:00 with 61 km/h, the driver was told.\r\n"
	return []shape{
		{"plain", plainHeader, "Hello\r\nthere\r\n"},
		{"empty body", plainHeader, ""},
		{"one CRLF", plainHeader, "\r\n"},
		{"only CRLFs", plainHeader, "\r\n\r\n\r\n"},
		{"only blanks", plainHeader, " \t \r\n\t\r\n  \r\n"},
		{"blanks without CRLF", plainHeader, " \t "},
		{"trailing empty lines", plainHeader, "Hello\r\n\r\n\r\n\r\n"},
		{"trailing blank lines", plainHeader, "Hello\r\n \r\n\t\r\n \t \r\n"},
		{"leading empty lines", plainHeader, "\r\n\r\nHello\r\n"},
		{"no final CRLF", plainHeader, "Hello\r\nthere"},
		{"no final CRLF after blank", plainHeader, "Hello\r\nthere \t "},
		{"trailing spaces", plainHeader, "Hello \r\nthere   \r\nend\r\n"},
		{"trailing tabs", plainHeader, "Hello\t\r\nthere\t\t \r\nend\r\n"},
		{"tabs inside", plainHeader, "a\tb\t\tc \td\t e\r\n"},
		{"indented", plainHeader, strings.Repeat("        <td>  x </td>\r\n", 200)},
		{"text", plainHeader, strings.Repeat(lorem, 80)},
		{"dots", plainHeader, ".\r\n..\r\n.hidden\r\n"},
		{"8bit", "From: a@waypost.invalid\r\nTo: b@example.net\r\nSubject: x\r\n" +
			"Content-Transfer-Encoding: 8bit\r\n", "Грузовик №7  покинул зону \r\n\xa0 \xff\r\n"},
		{"8bit header", "From: a@waypost.invalid\r\nTo: b@example.net\r\nSubject: Зона  покинута\r\n", "x\r\n"},
		{"long line", plainHeader, strings.Repeat("0123456789 ", 90) + "\r\n"},
		{"very long line", plainHeader, strings.Repeat("0123456789abcdef", 8000) + "  y\r\n"},
		{"folded", "From: Fleet\r\n <alerts@waypost.invalid>\r\nTo: a@example.net,\r\n\tb@example.net,\r\n  \t c@example.net\r\n" +
			"Subject: a\r\n very\r\n\tfolded  one \r\nReferences: <1@x.invalid>\r\n <2@x.invalid>\r\n", "x\r\n"},
		{"fold after name", "From:\r\n a@waypost.invalid\r\nTo: b@example.net\r\nSubject:\r\n\tx\r\n", "x\r\n"},
		{"all fields", plainHeader + "Cc: c@example.net\r\nReply-To: r@waypost.invalid\r\nIn-Reply-To: <0@x.invalid>\r\n" +
			"References: <0@x.invalid>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" +
			"Content-Transfer-Encoding: quoted-printable\r\nList-Unsubscribe: <https://waypost.invalid/u>\r\n" +
			"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nAuto-Submitted: auto-generated\r\n", "x=20\r\n"},
		{"duplicates", "Received: from a by b; Mon, 23 Nov 2026 03:00:00 +0000\r\nCc: one@example.net\r\n" + plainHeader +
			"Cc: two@example.net\r\nReferences: <1@x.invalid>\r\nTo: more@example.net\r\nReferences: <2@x.invalid>\r\n", "x\r\n"},
		{"only From", "From: a@waypost.invalid\r\n", "x\r\n"},
		{"odd case", "FROM: a@waypost.invalid\r\ntO: b@example.net\r\nsUBJECT: x\r\nmessage-id: <1@x.invalid>\r\n", "x\r\n"},
		{"odd spaces", "From:a@waypost.invalid\r\nTo:   \t b@example.net \t\r\nSubject:  many   words \r\nDate:\tMon, 23 Nov 2026 03:00:00 +0000\r\n", "x\r\n"},
		{"space before colon", "From : a@waypost.invalid\r\nTo\t: b@example.net\r\nSubject \t : x\r\n", "x\r\n"},
		{"empty fields", "From: a@waypost.invalid\r\nTo:\r\nSubject: \t \r\nCc: \r\n", "x\r\n"},
		{"signed before", "DKIM-Signature: v=1; a=rsa-sha256; d=other.invalid; s=x; bh=; h=From; b=\r\n" + plainHeader, "x\r\n"},
	}
}

func newKey(t testing.TB, engine *dkim.Engine) *dkim.Key {
	t.Helper()
	der, err := dkim.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := dkim.ParseKey(der, engine)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSigner(t testing.TB) dkim.Signer {
	t.Helper()
	return dkim.Signer{Domain: testDomain, Selector: testSelector, Key: newKey(t, dkim.OpenEngine())}
}

func signTime() time.Time { return time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC) }

// verify returns what go-msgauth finds on a message, of the signature of testDomain.
func verify(key *dkim.Key, message []byte) (*msgauth.Verification, error) {
	found, err := msgauth.VerifyWithOptions(bytes.NewReader(message), &msgauth.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			if name != testSelector+"._domainkey."+testDomain {
				return nil, errors.New("no such name: " + name)
			}
			return []string{key.Record()}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	for _, v := range found {
		if v.Domain == testDomain {
			return v, v.Err
		}
	}
	return nil, errors.New("no signature of " + testDomain)
}

func TestSignatureIsAcceptedForEveryShape(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			field, err := signer.Sign([]byte(s.header), []byte(s.body), signTime())
			if err != nil {
				t.Fatal(err)
			}
			message := string(field) + s.header + "\r\n" + s.body
			v, err := verify(signer.Key, []byte(message))
			if err != nil {
				t.Fatalf("%v\n%s", err, field)
			}
			if !v.Time.Equal(signTime()) || !v.Expiration.IsZero() {
				t.Errorf("times %v, %v, want %v and none", v.Time, v.Expiration, signTime())
			}
			// The judge can say no.
			if _, err := verify(signer.Key, []byte(message+"!")); err == nil {
				t.Error("accepted with a changed body")
			}
		})
	}
}

func TestNobodyAddsASecondWayToUnsubscribe(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	const (
		link = "List-Unsubscribe: <https://waypost.invalid/u/1>\r\n"
		post = "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
		evil = "List-Unsubscribe: <https://other.invalid/u/1>\r\n"
	)
	sign := func(header string) string {
		t.Helper()
		field, err := signer.Sign([]byte(header), []byte("x\r\n"), signTime())
		if err != nil {
			t.Fatal(err)
		}
		return string(field)
	}
	with := sign(plainHeader + link + post)
	without := sign(plainHeader)
	for _, tt := range []struct {
		name, message string
		valid         bool
	}{
		{"as signed", with + plainHeader + link + post, true},
		{"another link below", with + plainHeader + link + post + evil, false},
		{"another link above", evil + with + plainHeader + link + post, false},
		{"the link replaced", with + plainHeader + evil + post, false},
		{"another post field", with + plainHeader + link + post + post, false},
		{"no post field", with + plainHeader + link, false},
		{"a list adds its own", evil + without + plainHeader, true},
	} {
		if _, err := verify(signer.Key, []byte(tt.message+"\r\nx\r\n")); (err == nil) != tt.valid {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestSignatureIsAcceptedForRandomMessages(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	line := rapid.StringMatching(`[ \t!-~а-я]{0,90}`)
	name := rapid.SampledFrom([]string{"From", "to", "Cc", "SUBJECT", "Reply-To", "X-Other", "References", "Received", "Date"})
	rapid.Check(t, func(t *rapid.T) {
		header := "From: a@waypost.invalid\r\n"
		for range rapid.IntRange(0, 12).Draw(t, "fields") {
			header += name.Draw(t, "name") + ":" + line.Draw(t, "value") + "\r\n"
			for range rapid.IntRange(0, 2).Draw(t, "folds") {
				header += rapid.SampledFrom([]string{" ", "\t", "  \t"}).Draw(t, "fold") + line.Draw(t, "more") + "x\r\n"
			}
		}
		body := strings.Join(rapid.SliceOfN(line, 0, 10).Draw(t, "body"), "\r\n")
		field, err := signer.Sign([]byte(header), []byte(body), signTime())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verify(signer.Key, []byte(string(field)+header+"\r\n"+body)); err != nil {
			t.Fatalf("%v\n%s%s\r\n%q", err, field, header, body)
		}
	})
}

func TestFieldsAreListedInOrderAndOversigned(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	for _, tt := range []struct {
		name, header string
		want         string
	}{
		{"plain", plainHeader, "From:From:To:To:Subject:Subject:Date:Message-ID"},
		{"optional missing", "From: a@waypost.invalid\r\n", "From:From:To:Subject"},
		{"duplicates", "Cc: a\r\nTo: a\r\nFrom: a\r\nCC: b\r\nto: b\r\n", "From:From:To:To:To:Subject:Cc:Cc"},
		{"not signed", "Received: x\r\nReturn-Path: <x>\r\nFrom: a\r\nX-Mailer: x\r\nBcc: x\r\n", "From:From:To:Subject"},
		{"body not read", "From: a\r\n\r\nTo: b\r\n", "From:From:To:Subject"},
		{"no last CRLF", "From: a\r\nDate: b", "From:From:To:Subject:Date"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			field, err := signer.Sign([]byte(tt.header), nil, signTime())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, tags(t, field)["h"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAddedFieldsBreakTheSignature(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	header := "From: a@waypost.invalid\r\nDate: Mon, 23 Nov 2026 03:00:00 +0000\r\n"
	field, err := signer.Sign([]byte(header), nil, signTime())
	if err != nil {
		t.Fatal(err)
	}
	for _, added := range []string{"From: eve@waypost.invalid\r\n", "To: eve@waypost.invalid\r\n", "Subject: buy\r\n"} {
		for _, message := range []string{string(field) + added + header, added + string(field) + header, string(field) + header + added} {
			if _, err := verify(signer.Key, []byte(message+"\r\n")); err == nil {
				t.Errorf("accepted with %q added:\n%s", added, message)
			}
		}
	}
}

func TestTheEmptyLineAfterTheHeaderMayBeThere(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	without, err := signer.Sign([]byte(plainHeader), nil, signTime())
	if err != nil {
		t.Fatal(err)
	}
	with, err := signer.Sign([]byte(plainHeader+"\r\n"), nil, signTime())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(without), string(with)); diff != "" {
		t.Error(diff)
	}
}

func TestOneBodyHashServesSeveralHeaders(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	body := []byte("Hello  there \r\n\r\n")
	hash := dkim.BodyHash(body)
	for _, to := range []string{"a@example.net", "b@example.net"} {
		header := "From: x@waypost.invalid\r\nTo: " + to + "\r\n"
		field, err := signer.SignWithBodyHash([]byte(header), hash, signTime())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verify(signer.Key, append([]byte(string(field)+header+"\r\n"), body...)); err != nil {
			t.Error(err)
		}
	}
}

func TestFieldFitsTheColumns(t *testing.T) {
	t.Parallel()
	key := newKey(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		signer := dkim.Signer{
			Domain:   rapid.StringMatching(`[a-z]{1,40}\.[a-z]{2,20}`).Draw(t, "domain"),
			Selector: rapid.StringMatching(`[a-z0-9]{1,63}`).Draw(t, "selector"),
			Key:      key,
		}
		header := "From: a\r\n" + strings.Repeat("Cc: b\r\n", rapid.IntRange(0, 30).Draw(t, "cc"))
		field, err := signer.Sign([]byte(header), nil, time.Unix(rapid.Int64Range(0, 1<<40).Draw(t, "time"), 0))
		if err != nil {
			t.Fatal(err)
		}
		text, ended := strings.CutSuffix(string(field), "\r\n")
		if !ended || strings.Contains(text, "\r\n\r\n") {
			t.Fatalf("not one field: %q", field)
		}
		for i, line := range strings.Split(text, "\r\n") {
			if len(line) > 78 || strings.ContainsAny(line, "\r\n\t") || strings.TrimSpace(line) == "" {
				t.Fatalf("line %q of %d columns", line, len(line))
			}
			if (i == 0) != strings.HasPrefix(line, "DKIM-Signature: v=1;") || (i > 0) != strings.HasPrefix(line, " ") {
				t.Fatalf("line %d begins %q", i, line)
			}
		}
	})
}

func TestTagsAreThosePromised(t *testing.T) {
	t.Parallel()
	field, err := newSigner(t).Sign([]byte(plainHeader), nil, signTime())
	if err != nil {
		t.Fatal(err)
	}
	got := tags(t, field)
	if len(got["b"]) != 344 { // 256 bytes in base64
		t.Errorf("b= of %d characters", len(got["b"]))
	}
	delete(got, "b")
	want := map[string]string{
		"v": "1", "a": "rsa-sha256", "c": "relaxed/relaxed", "d": testDomain, "s": testSelector, "t": "1795402800",
		"h":  "From:From:To:To:Subject:Subject:Date:Message-ID",
		"bh": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", // SHA-256 of nothing
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// tags takes a signature field apart.
func tags(t *testing.T, field []byte) map[string]string {
	t.Helper()
	_, value, ok := strings.Cut(strings.NewReplacer("\r\n", "", " ", "").Replace(string(field)), ":")
	if !ok {
		t.Fatalf("not a field: %q", field)
	}
	found := make(map[string]string)
	for tag := range strings.SplitSeq(value, ";") {
		name, value, ok := strings.Cut(tag, "=")
		if _, twice := found[name]; twice || !ok {
			t.Fatalf("tag %q", tag)
		}
		found[name] = value
	}
	return found
}

func TestSignRefusesAHeaderWithoutFrom(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	for _, header := range []string{"", "\r\n", "To: b@example.net\r\n", "X-From: a\r\n", "\r\nFrom: a\r\n", "From\r\n"} {
		if _, err := signer.Sign([]byte(header), nil, signTime()); !errors.Is(err, dkim.ErrNoFrom) {
			t.Errorf("header %q: %v", header, err)
		}
	}
}

func TestSignRefusesNamesThatAreNone(t *testing.T) {
	t.Parallel()
	key := newKey(t, nil)
	for _, name := range []string{
		"", ".", "a.", ".a", "a..b", "a b", "a;b", "a\r\nX: y", "a/b", "bücher.example", strings.Repeat("a", 254),
	} {
		for _, signer := range []dkim.Signer{
			{Domain: name, Selector: testSelector, Key: key},
			{Domain: testDomain, Selector: name, Key: key},
		} {
			if _, err := signer.Sign([]byte(plainHeader), nil, signTime()); !errors.Is(err, dkim.ErrSignerName) {
				t.Errorf("name %q: %v", name, err)
			}
		}
	}
}
