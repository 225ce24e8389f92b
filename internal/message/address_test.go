package message_test

import (
	"net/mail"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/waypost"
)

func TestAddressListsOfTheWild(t *testing.T) {
	for _, row := range []struct {
		value string
		want  []waypost.Address
	}{
		{"a@b.example", []waypost.Address{{Email: "a@b.example"}}},
		{"<a@b.example>", []waypost.Address{{Email: "a@b.example"}}},
		{"GPS Alarm <a@B.Example>", []waypost.Address{{Name: "GPS Alarm", Email: "a@b.example"}}},
		{`"GPS, Alarm" <a@b.example>, c@d.example`, []waypost.Address{{Name: "GPS, Alarm", Email: "a@b.example"}, {Email: "c@d.example"}}},
		{"=?utf-8?b?0J/QsNGA0Lo=?= <a@b.example>", []waypost.Address{{Name: "Парк", Email: "a@b.example"}}},
		{"=?koi8-r?b?8NLJ18XU?= <a@b.example>", []waypost.Address{{Name: "Привет", Email: "a@b.example"}}},
		{"Парк <a@b.example>", []waypost.Address{{Name: "Парк", Email: "a@b.example"}}},
		{"\xcf\xe0 <a@b.example>", []waypost.Address{{Name: "\uFFFD", Email: "a@b.example"}}},
		{"Fleet: a@b.example, C <c@d.example>;", []waypost.Address{{Email: "a@b.example"}, {Name: "C", Email: "c@d.example"}}},
		{`"q q"@b.example`, []waypost.Address{{Email: `"q q"@b.example`}}},
		{`"simple"@b.example`, []waypost.Address{{Email: "simple@b.example"}}},
		{"a@b.example (a comment)", []waypost.Address{{Name: "a comment", Email: "a@b.example"}}},
		{"почта@пример.рф", []waypost.Address{{Email: "почта@пример.рф"}}},
		{"John Q. Public <a@b.example>", []waypost.Address{{Name: "John Q. Public", Email: "a@b.example"}}},
		{"a@b.example,\r\n c@d.example", []waypost.Address{{Email: "a@b.example"}, {Email: "c@d.example"}}},
		{"=?utf-8?q?evil=0D=0ABcc=3A_x?= <a@b.example>", []waypost.Address{{Name: "evil Bcc: x", Email: "a@b.example"}}},
	} {
		got, err := message.ParseAddressList(row.value)
		if err != nil {
			t.Errorf("%q: %v", row.value, err)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", row.value, diff)
		}
	}
}

func TestAddressListRefuses(t *testing.T) {
	for _, value := range []string{
		"", " ", "a", "a@", "@b", "a@b@c.example", "a@b.example c@d.example", "<a@b.example", "Fleet:;",
		"a@b.example,,;", "a\x01@b.example", "Name a@b.example", strings.Repeat("x", 300) + "@b.example",
		"<a@b.example> <c@d.example>", `"a@b.example`, "x <a@b.example> y",
	} {
		list, err := message.ParseAddressList(value)
		if err == nil {
			t.Errorf("%q was read as %v", value, list)
			continue
		}
		wantError(t, err, waypost.Invalid, "5.6.0")
	}
}

func TestFormattedAddressIsOneAddressWhateverTheName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(
			rapid.String(),
			rapid.StringMatching(`["\\<>@,;:()= ?a-z\r\n]{0,30}`),
			rapid.SampledFrom([]string{"=?utf-8?q?x?=", `a" <evil@x.example>, "b`, "\r\nBcc: x@y.example", strings.Repeat("long ", 300), strings.Repeat("x", 3000)}),
		).Draw(t, "name")
		in := waypost.Address{Name: name, Email: "a@b.example"}
		value := message.FormatAddress(in)
		h := &message.Header{}
		if err := h.Set("From", value); err != nil {
			t.Fatal(err)
		}
		got, err := h.From()
		if err != nil || got.Email != in.Email {
			t.Fatalf("%q: %+v, %v", value, got, err)
		}
		theirs, err := mail.ParseAddressList(value)
		if err != nil || len(theirs) != 1 || theirs[0].Address != in.Email {
			t.Fatalf("net/mail reads %q as %v, %v", value, theirs, err)
		}
		if clean := strings.Trim(message.DecodeText(name), " "); !strings.Contains(name, "=?") && len(name) < 1000 && clean != got.Name {
			t.Fatalf("name %q came back as %q", clean, got.Name)
		}
	})
}

func TestFormatAddressDropsWhatBreaksOut(t *testing.T) {
	for in, want := range map[waypost.Address]string{
		{Email: "a@b.example"}:                              "a@b.example",
		{Name: "Fleet", Email: "a@b.example"}:               `"Fleet" <a@b.example>`,
		{Name: `a"b\c`, Email: "a@b.example"}:               `"a\"b\\c" <a@b.example>`,
		{Name: "Парк", Email: "a@b.example"}:                "=?utf-8?b?0J/QsNGA0Lo=?= <a@b.example>",
		{Name: "Grüße", Email: "a@b.example"}:               "=?utf-8?b?R3LDvMOfZQ==?= <a@b.example>",
		{Name: "Fleet & Sons Zürich", Email: "a@b.example"}: "=?utf-8?q?Fleet_=26_Sons_Z=C3=BCrich?= <a@b.example>",
		{Email: "a@b.example>\r\nBcc: <x@y.example"}:        "a@b.exampleBccx@y.example",
		{Name: "x", Email: "\"q q\"@b.example"}:             `"x" <"q q"@b.example>`,
	} {
		if got := message.FormatAddress(in); got != want {
			t.Errorf("FormatAddress(%+v) = %q, want %q", in, got, want)
		}
	}
}

func TestFromMustBeOneAddress(t *testing.T) {
	got, err := parse(t, "From: =?utf-8?b?0J/QsNGA0Lo=?=\n <a@b.example>\nTo: x@y.example\n\n").From()
	if err != nil || got != (waypost.Address{Name: "Парк", Email: "a@b.example"}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, header := range []string{
		"To: x@y.example\n\n",
		"From: a@b.example\nFrom: a@b.example\n\n",
		"From: a@b.example\nfrom : c@d.example\n\n",
		"From: a@b.example, c@d.example\n\n",
		"From:\n\n",
		"From: nobody\n\n",
		"From: Fleet:;\n\n",
		"From: <>\n\n",
	} {
		_, err := parse(t, header).From()
		wantError(t, err, waypost.Invalid, "5.6.0")
	}
}

func FuzzParseAddressList(f *testing.F) {
	for _, s := range []string{"a@b.example", "N <a@b.example>", `"x, y" <a@b.example>, G: c@d.example;`, "=?utf-8?q?x?= <a@b>", `"\"q"@b.example`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		list, err := message.ParseAddressList(value)
		if err != nil {
			return
		}
		for _, a := range list {
			if _, _, err := waypost.SplitAddress(a.Email); err != nil {
				t.Fatalf("%q gave %q: %v", value, a.Email, err)
			}
		}
		again, err := message.ParseAddressList(message.FormatAddressList(list))
		if err != nil {
			t.Fatalf("%q gave %v, which cannot be read back: %v", value, list, err)
		}
		if diff := cmp.Diff(list, again); diff != "" {
			t.Fatalf("%q (-once +twice):\n%s", value, diff)
		}
	})
}
