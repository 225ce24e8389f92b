package e2e_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/mailtest"
)

// post sends a body as a mail program does: no cookies, no redirects followed.
func post(t *testing.T, address, contentType string, body io.Reader) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	res, err := http.DefaultTransport.RoundTrip(req) //nolint:forbidigo // it follows no redirect
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// TestARecipientUnsubscribesWithOneClick goes the whole way of RFC 8058: what the recipient's
// provider looks at before it shows a button, what it sends when that is pressed, and that
// mail of this kind ends.
func TestARecipientUnsubscribesWithOneClick(t *testing.T) {
	const public = "https://mail.platform.test"
	w := newWorld(t, mailtest.Knobs{}, "PUBLIC_URL="+public)
	w.publish()
	s := w.start()
	op, key := w.sender("Fleet", "--scope", "send", "--scope", "settings")
	c := dial(t, s.smtp()).login("x", key)
	api := client.New("http://"+s.addr("http"), key)
	for i, contentType := range []string{"multipart/form-data", "application/x-www-form-urlencoded"} {
		to := []string{"anna@rcpt.test", "ben@rcpt.test"}[i]
		c.submit("a@operator.test", to, letter("a@operator.test", to, "Zone left", "X-Waypost-Kind: event\r\n"))
		mail := w.mx.WaitMails(t, 3*i+1)[3*i].Data

		// One https link, and exactly this pair (section 3.1), both under a valid signature
		// (section 4).
		link, pair := fields(mail, "List-Unsubscribe"), fields(mail, "List-Unsubscribe-Post")
		if len(link) != 1 || !strings.HasPrefix(strings.TrimSpace(link[0]), "<"+public+"/u/") || len(pair) != 1 || strings.TrimSpace(pair[0]) != "List-Unsubscribe=One-Click" {
			t.Fatalf("%q %q", link, pair)
		}
		if strings.Contains(link[0], "anna") || strings.Contains(link[0], op) {
			t.Errorf("the link shows whose it is: %s", link[0])
		}
		found, err := dkim.VerifyWithOptions(bytes.NewReader(mail), &dkim.VerifyOptions{LookupTXT: w.txt})
		if err != nil || len(found) != 1 || found[0].Err != nil || found[0].Domain != platform {
			t.Fatalf("%+v, %v", found, err)
		}
		for _, name := range []string{"List-Unsubscribe", "List-Unsubscribe-Post"} {
			if !slices.ContainsFunc(found[0].HeaderKeys, func(key string) bool { return strings.EqualFold(key, name) }) {
				t.Errorf("%s is not signed: %v", name, found[0].HeaderKeys)
			}
			changed := bytes.Replace(mail, []byte("\r\n"+name+":"), []byte("\r\n"+name+": x"), 1)
			if found, err := dkim.VerifyWithOptions(bytes.NewReader(changed), &dkim.VerifyOptions{LookupTXT: w.txt}); err == nil && found[0].Err == nil {
				t.Errorf("%s can be changed under the signature", name)
			}
		}

		address := "http://" + s.addr("http") + strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(link[0]), "<"+public), ">")
		body, kind := io.Reader(strings.NewReader(url.Values{"List-Unsubscribe": {"One-Click"}}.Encode())), contentType
		if contentType == "multipart/form-data" {
			var form bytes.Buffer
			parts := multipart.NewWriter(&form)
			if err := parts.WriteField("List-Unsubscribe", "One-Click"); err != nil {
				t.Fatal(err)
			}
			if err := parts.Close(); err != nil {
				t.Fatal(err)
			}
			body, kind = &form, parts.FormDataContentType()
		}
		if res := post(t, address, kind, body); res.StatusCode != http.StatusOK || len(res.Cookies()) > 0 {
			t.Fatalf("%s: %s", contentType, res.Status)
		}
		got, err := api.Send(t.Context(), client.NewMessage{To: []client.Address{{Email: to}}, Subject: "Zone left", Text: "Again.", Kind: "event"})
		if err != nil || got.Deliveries[0].Status != "suppressed" || got.Deliveries[0].Reason != "unsubscribe" {
			t.Errorf("event mail afterwards: %+v, %v", got, err)
		}
		got, err = api.Send(t.Context(), client.NewMessage{To: []client.Address{{Email: to}}, Subject: "Balance", Text: "Low.", Kind: "balance"})
		if err != nil || got.Deliveries[0].Status != "queued" {
			t.Errorf("other mail afterwards: %+v, %v", got, err)
		}
		if log := s.log(); strings.Contains(log, "/u/") {
			t.Error("links are in the log")
		}
		if res := post(t, address+"/back", "application/x-www-form-urlencoded", http.NoBody); res.StatusCode != http.StatusOK {
			t.Errorf("the way back: %s", res.Status)
		}
		got, err = api.Send(t.Context(), client.NewMessage{To: []client.Address{{Email: to}}, Subject: "Zone left", Text: "Again.", Kind: "event"})
		if err != nil || got.Deliveries[0].Status != "queued" {
			t.Errorf("after the way back: %+v, %v", got, err)
		}
		w.mx.WaitMails(t, 3*i+3)
	}
}
