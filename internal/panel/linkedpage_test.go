package panel_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// behindProxy is a world whose clients say who they are.
func behindProxy(t testing.TB, keys ...string) *world {
	t.Helper()
	return newWorld(t, func(o *panel.Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		if keys != nil {
			o.LinkKeys = nil
		}
		for _, key := range keys {
			o.LinkKeys = append(o.LinkKeys, []byte(key))
		}
	})
}

// token is that of a link which works for so long.
func (w *world) token(t testing.TB, operatorID, domainID string, left time.Duration) string {
	t.Helper()
	token, ok := w.options.LinkKeys.Token(verify.Link{OperatorID: operatorID, DomainID: domainID, Expires: time.Now().Add(left)})
	if !ok {
		t.Fatal("no token")
	}
	return token
}

func TestTheLinkedPageShowsOneDomainAndNothingElseOfTheOperator(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Secretive Fleet Ltd")
	d := w.claim(t, op, "shop.example")
	w.claim(t, op, "third.example")
	w.sender(t, op, account.NewSender{Address: "alarm@shop.example", Default: true})
	path := "/dns/" + w.token(t, op, d.ID, time.Hour)
	v := w.stranger(t)
	v.open(path).wants("shop.example", "The records are being looked up.")

	w.checked(t, d.ID, false, findings()...)
	page := v.open(path)
	page.wants("DNS records of shop.example", "waypost_verify.abc", "wp1._domainkey.shop.example", "dkim1.platform.example.", "1 of 4 required records are right",
		"wp1._domainkey.shop.example. 3600 IN CNAME dkim1.platform.example.", "English · Español")
	for _, who := range []*visitor{v, w.visitor(t, op, waypost.RoleAdmin)} { // nor does it who is signed in
		page := who.open(path)
		page.lacks("Secretive", "third.example", "alarm@", d.ID, op, "<script>alert", "/sign-out", "<form", "style=")
	}
	if !strings.Contains(page.body, `http-equiv="refresh" content="60"`) {
		t.Error("without scripts it never changes")
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow, noarchive", "X-Content-Type-Options": "nosniff",
	} {
		if got := page.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	policy := page.header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'", "script-src 'self'", "style-src 'self'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("%s is not in %s", part, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Error(policy)
	}
}

func TestTheLinkedPageSpeaksTheLanguageOfWhoReads(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "shop.example")
	w.checked(t, d.ID, false, findings()...)
	path := "/dns/" + w.token(t, op, d.ID, time.Hour)
	w.stranger(t).do(http.MethodGet, path, nil, "Accept-Language", "pt-BR").wants("Registros DNS de shop.example", "Comprovação de propriedade Encontrado")
	v := w.stranger(t)
	v.get(path+"?lang=ru").wants("Записи DNS домена shop.example", "Отсутствует")
	v.part(v.get(path).seen()).wants("обязательных записей")
	// Who is signed in in another language chooses all the same.
	w.visitor(t, op, waypost.RoleAdmin).get(path + "?lang=es").wants("Registros DNS de shop.example")
	w.stranger(t).do(http.MethodGet, "/dns/none", nil, "Accept-Language", "es").wants("Este enlace no funciona")
}

func TestTheLinkedPageLives(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "shop.example")
	w.checked(t, d.ID, false, findings()...)
	v := w.stranger(t)
	began := time.Now().Truncate(time.Millisecond)
	path := v.open("/dns/" + w.token(t, op, d.ID, time.Hour)).seen()
	got, err := w.db.Store.Domain(t.Context(), op, d.ID)
	if err != nil || got.Next.Sub(got.Checked) != time.Minute || got.Looked.Before(began) {
		t.Errorf("checked %s, looked %s, next %s, %v", got.Checked, got.Looked, got.Next, err)
	}
	w.checked(t, d.ID, true, allRight()...)
	part := v.part(path)
	part.wants("Everything is right.")
	part.lacks("<html", d.ID)
	if err := w.accounts.RemoveDomain(t.Context(), waypost.CommandLine(), op, d.ID); err != nil {
		t.Fatal(err)
	}
	if part = v.part(path); part.status != http.StatusNotFound || part.header.Get("HX-Refresh") != "true" {
		t.Errorf("after the domain was given up: %d", part.status)
	}
}

func TestALinkThatIsWrongInAnyWayIsNotFound(t *testing.T) {
	w := behindProxy(t)
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "shop.example")
	token := w.token(t, op, d.ID, time.Hour)
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	v, peer, gone := w.stranger(t), 0, ""
	status := func(token string) int {
		peer++ // each from an address of its own: they are limited
		got := v.do(http.MethodGet, "/dns/"+token, nil, "X-Forwarded-For", fmt.Sprintf("192.0.2.%d", peer))
		if got.status == http.StatusNotFound {
			if gone == "" {
				gone = got.body
			}
			if got.body != gone {
				t.Errorf("it can be told why:\n%s", got.body)
			}
		}
		return got.status
	}
	for i := range raw {
		raw[i] ^= 1
		if got := status(base64.RawURLEncoding.EncodeToString(raw)); got != http.StatusNotFound {
			t.Errorf("byte %d changed: %d", i, got)
		}
		raw[i] ^= 1
	}
	for _, wrong := range []string{
		"x", token[:len(token)-1], token + "A", token + "=", strings.Repeat("A", len(token)), w.token(t, op, d.ID, 0), w.token(t, op, d.ID, -time.Minute),
		w.token(t, w.operator(t, "Bravo"), d.ID, time.Minute), // a right signature does not make it another operator's
	} {
		if got := status(wrong); got != http.StatusNotFound {
			t.Errorf("%q: %d", wrong, got)
		}
	}
	other := behindProxy(t, "of another installation")
	if got := other.stranger(t).get("/dns/" + token); got.status != http.StatusNotFound {
		t.Errorf("at another server: %d", got.status)
	}
	if got := status(token); got != http.StatusOK {
		t.Fatalf("the right one: %d", got)
	}
	if err := w.accounts.RemoveDomain(t.Context(), waypost.CommandLine(), op, d.ID); err != nil {
		t.Fatal(err)
	}
	if got := status(token); got != http.StatusNotFound {
		t.Errorf("after the domain was given up: %d", got)
	}
}

func TestALinkWorksWithAnyKeyThatIsKnown(t *testing.T) {
	w := behindProxy(t, "newer", "older")
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "shop.example")
	old, _ := verify.LinkKeys{[]byte("older")}.Token(verify.Link{OperatorID: op, DomainID: d.ID, Expires: time.Now().Add(time.Minute)})
	if got := w.stranger(t).get("/dns/" + old); got.status != http.StatusOK {
		t.Errorf("%d", got.status)
	}
}

func TestGuessesOfLinksAreLimited(t *testing.T) {
	w := behindProxy(t)
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "shop.example")
	right := "/dns/" + w.token(t, op, d.ID, time.Hour)
	v := w.stranger(t)
	get := func(path, peer string) answer { return v.do(http.MethodGet, path, nil, "X-Forwarded-For", peer) }
	var last answer
	for range 25 {
		last = get("/dns/guess", "192.0.2.1")
	}
	last.wants("There were too many requests from your network.")
	if last.status != http.StatusTooManyRequests || last.header.Get("Retry-After") == "" {
		t.Errorf("25 guesses: %d", last.status)
	}
	if got := get(right, "192.0.2.1"); got.status != http.StatusOK {
		t.Errorf("a right link from there: %d", got.status)
	}
	for range 65 {
		last = get(right, "192.0.2.2")
	}
	if last.status != http.StatusTooManyRequests {
		t.Errorf("65 looks within seconds: %d", last.status)
	}
}
