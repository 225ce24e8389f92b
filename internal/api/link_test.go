package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/api"
	"github.com/waypost/waypost/internal/verify"
)

func TestALinkIsForOneDomainAndSoManyDays(t *testing.T) {
	keys := verify.LinkKeys{[]byte("a key for links")}
	w := newWorld(t, func(o *api.Options) { o.LinkKeys = keys })
	c := w.tenant(t, "Acme")
	d, err := c.ClaimDomain(t.Context(), "shop.example")
	if err != nil {
		t.Fatal(err)
	}
	link, err := c.LinkDomain(t.Context(), d.ID, 3)
	if err != nil {
		t.Fatal(err)
	}
	token, ok := strings.CutPrefix(link.URL, w.url+"/dns/")
	got, valid := keys.Read(token)
	if !ok || !valid || got.DomainID != d.ID || got.OperatorID != c.id || !got.Expires.Equal(link.ExpiresAt) {
		t.Errorf("%+v leads to %+v", link, got)
	}
	if left := time.Until(link.ExpiresAt); left > 72*time.Hour || left < 71*time.Hour {
		t.Errorf("it works for %s", left)
	}
	for _, days := range []int{0, -1, 31} {
		_, err := c.LinkDomain(t.Context(), d.ID, days)
		wantRefusal(t, err, 422, "invalid", "body.days")
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
