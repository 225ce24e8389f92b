package api_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/api"
	mime "github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/waypost"
)

// checking is an Accepter that looks at what reaches it.
type checking struct{ t testing.TB }

// Accept implements api.Accepter.
func (c checking) Accept(_ context.Context, s waypost.Submission) (waypost.Receipt, error) {
	header, _, err := mime.Split(s.Message)
	if err != nil {
		c.t.Errorf("the composed mail is refused: %v\n%q", err, s.Message)
		return waypost.Receipt{}, err
	}
	h, err := mime.ParseHeader(header, mime.Limits{})
	if err != nil {
		return waypost.Receipt{}, err
	}
	if _, err := h.From(); err != nil {
		c.t.Errorf("the composed mail has no author: %v\n%q", err, header)
	}
	if controls, err := mime.ReadControls(h); err != nil || controls.Kind != "" || controls.Operator != "" || h.Count("Bcc") > 0 {
		c.t.Errorf("the request reached what is ours: %+v, %v\n%q", controls, err, header)
	}
	for _, r := range s.Recipients {
		if _, _, err := waypost.SplitAddress(r); err != nil {
			c.t.Errorf("recipient %q: %v", r, err)
		}
	}
	return waypost.Receipt{ID: "x", Deliveries: []waypost.ReceiptDelivery{}}, nil
}

// FuzzSend looks for requests that make the server fail, or make a mail that says what
// its fields did not.
func FuzzSend(f *testing.F) {
	for _, seed := range []string{
		`{"to":[{"email":"a@b.c","name":"A"}],"subject":"s","text":"t"}`,
		`{"to":[{"email":"a@b.c"}],"from":"X <x@y.z>","reply_to":{"email":"r@y.z"},"subject":"ü","html":"<b>x</b>","kind":"report","lane":"bulk"}`,
		`{"cc":[{"email":"\"q q\"@b.c"}],"bcc":[{"email":"ü@ü.example"}],"text":"t","headers":{"X-A":"b"},"tags":["t"],"metadata":{"k":"v"}}`,
		`{"to":[{"email":"a@b.c"}],"text":"t","attachments":[{"name":"a.txt","type":"text/plain","content":"YQ==","inline":true,"content_id":"c"}]}`,
		`{"to":[{"email":"a@b.c"}],"text":"t","send_at":"2030-01-01T00:00:00Z","expires_at":null}`,
		`{"TO":[{"\u0065mail":"a@b.c"}],"to":null,"teXt":"\ud800","text":"t","x":{"y":[[{}]]}}`, `{"to":[{"email":1e5}],"metadata":{"":"","a.b":"c"}}`,
		`{"to":null,"from":["x"],"text":1}`, `[`, `{"to":[{"email":"a@b\r\n"}],"text":"t","subject":"a\r\nBcc: x@y.z"}`,
	} {
		f.Add([]byte(seed))
	}
	var w *world
	accepter := &checking{}
	w = newWorld(f, func(o *api.Options) { o.Accepter = accepter })
	key := w.tenant(f, "Acme").Key
	f.Fuzz(func(t *testing.T, body []byte) {
		accepter.t = t
		res, text := request(t, "POST", w.url+"/v1/messages", key, bytes.NewReader(body))
		switch res.StatusCode {
		case http.StatusAccepted:
		case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
			if !strings.Contains(text, `"code":`) || len(text) > 16<<10 {
				t.Errorf("%d %s", res.StatusCode, text)
			}
			if strings.Contains(text, `"message":"cannot be read"`) {
				t.Errorf("%q was checked, and could not be decoded", body)
			}
		default:
			t.Errorf("%d %s", res.StatusCode, text)
		}
	})
}
