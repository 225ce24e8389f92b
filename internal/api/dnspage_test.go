package api_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/api"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// checked saves what a check of a domain found.
func (w *world) checked(t testing.TB, id string, authorized bool, items ...verify.Item) store.CheckedDomain {
	t.Helper()
	d, err := w.db.System.AnyDomain(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(verify.Report{Items: items})
	if err != nil {
		t.Fatal(err)
	}
	now := waypost.FromMillis(time.Now().UnixMilli())
	save := store.DomainCheck{CheckedDomain: d, Before: d.Checked}
	save.Report, save.Checked, save.Next = string(text), now, now.Add(24*time.Hour)
	if authorized {
		save.Proven, save.Authorized = now, now
	}
	if _, err := w.db.System.SaveDomainCheck(t.Context(), save); err != nil {
		t.Fatal(err)
	}
	w.dir.Forget(d.OperatorID)
	return d
}

func items() []verify.Item {
	return []verify.Item{
		{
			Part: verify.Ownership, Required: true, Verdict: verify.OK, Found: []string{"waypost_verify.abc"},
			Record: verify.Record{Type: "TXT", Name: "shop.example", Value: "waypost_verify.abc"},
		},
		{
			Part: verify.DKIM1, Required: true, Verdict: verify.Wrong, Found: []string{`"><script>alert(1)</script>`},
			Record: verify.Record{Type: "CNAME", Name: "wp1._domainkey.shop.example", Value: "dkim1.platform.example."},
			Advice: []verify.Advice{{Code: "dkim_wrong", Level: verify.AdviceError, Text: "The record points elsewhere."}},
		},
	}
}

func TestTheLinkedPageShowsOneDomainAndNothingElseOfTheOperator(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Secretive Fleet Ltd")
	d, err := c.ClaimDomain(t.Context(), "shop.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ClaimDomain(t.Context(), "other.example"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AddSender(t.Context(), "alarm@shop.example", "", true); err != nil {
		t.Fatal(err)
	}
	link, err := c.LinkDomain(t.Context(), d.ID, 3)
	if err != nil || !strings.HasPrefix(link.URL, w.url+"/dns/") || time.Until(link.ExpiresAt) > 72*time.Hour || time.Until(link.ExpiresAt) < 71*time.Hour {
		t.Fatalf("%+v, %v", link, err)
	}
	res, text := request(t, "GET", link.URL, "", nil)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", res.StatusCode, text)
	}
	contains(t, text, "shop.example", "are being looked up")

	w.checked(t, d.ID, false, items()...)
	res, text = request(t, "GET", link.URL, "", nil)
	contains(t, text, "waypost_verify.abc", "wp1._domainkey.shop.example", "dkim1.platform.example.", "The record points elsewhere.", "1 of 2 required",
		"wp1._domainkey.shop.example. 3600 IN CNAME dkim1.platform.example.", `http-equiv="refresh" content="60"`, "&lt;script&gt;alert(1)")
	for _, secret := range []string{"Secretive", "other.example", "alarm@", d.ID, c.id, c.Key, "<script>alert"} {
		if strings.Contains(text, secret) {
			t.Errorf("the page shows %q", secret)
		}
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow, noarchive", "X-Content-Type-Options": "nosniff",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	policy := res.Header.Get("Content-Security-Policy")
	contains(t, policy, "default-src 'none'", "frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'")
	for _, tag := range []string{"style", "script"} {
		inline := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(text, -1)
		if len(inline) != 1 {
			t.Fatalf("%d times %s", len(inline), tag)
		}
		sum := sha256.Sum256([]byte(inline[0][1]))
		contains(t, policy, tag+"-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	if strings.Contains(policy, "unsafe") {
		t.Error(policy)
	}
}

func TestLookingAtTheLinkedPageHasTheDomainChecked(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	d, err := c.ClaimDomain(t.Context(), "shop.example")
	if err != nil {
		t.Fatal(err)
	}
	w.checked(t, d.ID, false, items()...)
	link, err := c.LinkDomain(t.Context(), d.ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	request(t, "GET", link.URL, "", nil)
	got, err := w.db.Store.Domain(t.Context(), c.id, d.ID)
	if err != nil || got.Next.Sub(got.Checked) != time.Minute || got.Looked.Before(began.Truncate(time.Millisecond)) {
		t.Errorf("checked %s, looked %s, next %s, %v", got.Checked, got.Looked, got.Next, err)
	}
}

func TestALinkThatIsWrongInAnyWayIsNotFound(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	d, err := c.ClaimDomain(t.Context(), "shop.example")
	if err != nil {
		t.Fatal(err)
	}
	link, err := c.LinkDomain(t.Context(), d.ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimPrefix(link.URL, w.url+"/dns/")
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	peer := 0
	status := func(token string) int {
		peer++ // each from an address of its own: they are limited
		res, text := request(t, "GET", w.url+"/dns/"+token, "", nil, "X-Forwarded-For", fmt.Sprintf("192.0.2.%d", peer))
		if strings.Contains(text, "shop.example") != (res.StatusCode == http.StatusOK) {
			t.Errorf("%d: %s", res.StatusCode, text)
		}
		return res.StatusCode
	}
	for i := range raw {
		raw[i] ^= 1
		if got := status(base64.RawURLEncoding.EncodeToString(raw)); got != http.StatusNotFound {
			t.Errorf("byte %d changed: %d", i, got)
		}
		raw[i] ^= 1
	}
	for _, wrong := range []string{"x", token[:len(token)-1], token + "A", token + "=", strings.Repeat("A", len(token))} {
		if got := status(wrong); got != http.StatusNotFound {
			t.Errorf("%q: %d", wrong, got)
		}
	}
	for _, days := range []int{0, -1, 31} {
		_, err := c.LinkDomain(t.Context(), d.ID, days)
		wantRefusal(t, err, 422, "invalid", "body.days")
	}
	other := newWorld(t) // the key of another installation
	if res, _ := request(t, "GET", other.url+"/dns/"+token, "", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("at another server: %d", res.StatusCode)
	}
	if got := status(token); got != http.StatusOK {
		t.Fatalf("the right one: %d", got)
	}
	if err := c.RemoveDomain(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	if got := status(token); got != http.StatusNotFound {
		t.Errorf("after the domain was given up: %d", got)
	}
}

func TestALinkEnds(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	d, err := c.ClaimDomain(t.Context(), "shop.example")
	if err != nil {
		t.Fatal(err)
	}
	key := []byte("key of links")
	url := serve(t, api.New(func() api.Options { o := w.options; o.LinkKeys = [][]byte{[]byte("newer"), key}; return o }()))
	for wait, want := range map[time.Duration]int{time.Minute: http.StatusOK, 0: http.StatusNotFound, -time.Minute: http.StatusNotFound} {
		token := api.LinkToken(key, c.id, d.ID, time.Now().Add(wait))
		if res, _ := request(t, "GET", url+"/dns/"+token, "", nil); res.StatusCode != want {
			t.Errorf("%s before its end: %d, want %d", wait, res.StatusCode, want)
		}
	}
	// A right signature does not make a domain another operator's.
	token := api.LinkToken(key, w.tenant(t, "Bravo").id, d.ID, time.Now().Add(time.Minute))
	if res, _ := request(t, "GET", url+"/dns/"+token, "", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("with another operator's id: %d", res.StatusCode)
	}
}

func TestGuessesOfLinksAreLimited(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	d, err := c.ClaimDomain(t.Context(), "shop.example")
	if err != nil {
		t.Fatal(err)
	}
	link, err := c.LinkDomain(t.Context(), d.ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	get := func(url, peer string) int {
		res, _ := request(t, "GET", url, "", nil, "X-Forwarded-For", peer)
		return res.StatusCode
	}
	last := 0
	for range 25 {
		last = get(w.url+"/dns/guess", "192.0.2.1")
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("25 guesses: %d", last)
	}
	if got := get(link.URL, "192.0.2.1"); got != http.StatusOK {
		t.Errorf("a right link from there: %d", got)
	}
	for range 65 {
		last = get(link.URL, "192.0.2.2")
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("65 looks within seconds: %d", last)
	}
}

func TestLinksLeadWhereClientsReachTheServer(t *testing.T) {
	for name, tt := range map[string]struct {
		public string
		header []string
		want   string
	}{
		"as set":          {"https://mail.example.net/", []string{"X-Forwarded-Proto", "http"}, "https://mail.example.net/dns/"},
		"behind a proxy":  {"", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "panel.example.net"}, "https://panel.example.net/dns/"},
		"by the request":  {"", nil, "http://127.0.0.1"},
		"proxy says less": {"", []string{"X-Forwarded-Proto", "https"}, "https://127.0.0.1"},
	} {
		w := newWorld(t, func(o *api.Options) { o.PublicURL = tt.public })
		c := w.tenant(t, "Acme")
		d, err := c.ClaimDomain(t.Context(), "shop.example")
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{"", "{}", `{"days":30}`} {
			res, text := request(t, "POST", w.url+"/v1/domains/"+d.ID+"/link", c.Key, optional(body), tt.header...)
			if res.StatusCode != http.StatusCreated || !strings.Contains(text, `"url":"`+tt.want) {
				t.Errorf("%s, body %q: %d %s", name, body, res.StatusCode, text)
			}
		}
	}
}
