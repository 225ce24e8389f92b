package unsubscribe_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/unsubscribe"
	"github.com/waypost/waypost/internal/waypost"
)

func ring(t testing.TB, current byte, older ...byte) *secret.Ring {
	t.Helper()
	key := func(n byte) []byte { return []byte(strings.Repeat("0123456", 4) + "abc" + string('A'+rune(n))) }
	var rest [][]byte
	for _, n := range older {
		rest = append(rest, key(n))
	}
	r, err := secret.NewRing(key(current), rest...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func links(t testing.TB) unsubscribe.Links {
	return unsubscribe.Links{Base: "https://mail.example.com", Sealer: ring(t, 1)}
}

func someLink() unsubscribe.Link {
	return unsubscribe.Link{OperatorID: waypost.NewID(), MessageID: waypost.NewID(), Kind: waypost.KindEvent, Address: "driver@example.net"}
}

func TestATokenSaysWhatItWasMadeFor(t *testing.T) {
	l := links(t)
	rapid.Check(t, func(t *rapid.T) {
		want := unsubscribe.Link{
			OperatorID: waypost.NewID(), MessageID: waypost.NewID(), Kind: rapid.SampledFrom([]waypost.Kind{"event", "report", "other"}).Draw(t, "kind"),
			Address: rapid.StringMatching(`[a-zа-я=+'.]{1,64}@[a-z]{1,60}\.example`).Draw(t, "address"), Test: rapid.Bool().Draw(t, "test"),
		}
		token := l.Token(want)
		if got, ok := l.Read(token); !ok || got != want {
			t.Fatalf("%+v, %v, want %+v", got, ok, want)
		}
		if strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("%s does not fit a path", token)
		}
		if l.Token(want) == token {
			t.Fatal("two tokens are equal: who compares them learns who got both")
		}
	})
	if token := l.Token(someLink()); len(token) > 150 {
		t.Errorf("a usual token has %d characters", len(token))
	}
}

func TestATokenWithAnyOtherByteIsNone(t *testing.T) {
	l := links(t)
	token := l.Token(someLink())
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			bad := append([]byte(nil), raw...)
			bad[i] ^= 1 << bit
			if got, ok := l.Read(base64.RawURLEncoding.EncodeToString(bad)); ok {
				t.Fatalf("byte %d bit %d: %+v", i, bit, got)
			}
		}
	}
	for _, bad := range []string{"", "x", token[1:], token[:len(token)-1], token + "A", token + "=", token + "\n", token[:8] + "\r\n" + token[8:], strings.Repeat("A", 1<<20)} {
		if got, ok := l.Read(bad); ok {
			t.Errorf("%.40q: %+v", bad, got)
		}
	}
}

func TestTokensAreOfOneInstallationAndOfThisUseOnly(t *testing.T) {
	token := links(t).Token(someLink())
	if _, ok := (unsubscribe.Links{Sealer: ring(t, 2)}).Read(token); ok {
		t.Error("another key reads it")
	}
	if _, ok := (unsubscribe.Links{Sealer: ring(t, 2, 1)}).Read(token); !ok {
		t.Error("after a rotation it is lost")
	}
	other := base64.RawURLEncoding.EncodeToString(ring(t, 1).Seal("relay.password/1", make([]byte, 60)))
	if _, ok := links(t).Read(other); ok {
		t.Error("what was sealed for something else is a token")
	}
}

func TestLinksAreMadeOnlyForWhatOneUnsubscribesFrom(t *testing.T) {
	l := links(t)
	for _, kind := range []waypost.Kind{waypost.KindSecurity, waypost.KindBalance, waypost.KindTest, ""} {
		to := someLink()
		to.Kind = kind
		if can, _ := kind.Unsubscribable(); can || l.URL(to) != "" {
			t.Errorf("%q: %v %q", kind, can, l.URL(to))
		}
	}
	bad := someLink()
	bad.OperatorID = "op"
	if l.URL(bad) != "" {
		t.Error("without an operator")
	}
	url := l.URL(someLink())
	if !strings.HasPrefix(url, "https://mail.example.com/u/") || !l.Made("<mailto:x@y.example>, <"+url+">") {
		t.Errorf("URL %q is not seen as ours", url)
	}
	for _, field := range []string{"", "<https://mail.example.com/u/x>", "<https://other.example/u/" + strings.TrimPrefix(url, "https://mail.example.com/u/") + ">", "<mailto:x@y.example>"} {
		if l.Made(field) {
			t.Errorf("%q is seen as ours", field)
		}
	}
	for _, base := range []string{"", "http://mail.example.com"} {
		if got := (unsubscribe.Links{Base: base, Sealer: ring(t, 1)}).URL(someLink()); got != "" {
			t.Errorf("with base %q: %s", base, got)
		}
	}
	if got := (unsubscribe.Links{Base: "https://mail.example.com"}).URL(someLink()); got != "" {
		t.Errorf("without a key: %s", got)
	}
}

func FuzzToken(f *testing.F) {
	l := links(f)
	f.Add(l.Token(someLink()))
	f.Add("AQ")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		if got, ok := l.Read(token); ok { // a token that is read says nothing that could not be written
			if _, again := l.Read(l.Token(got)); !again {
				t.Errorf("%q reads as %+v, which has no token", token, got)
			}
		}
	})
}
