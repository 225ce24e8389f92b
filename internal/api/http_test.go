package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/api"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func TestEveryErrorIsAProblem(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	long := strings.Repeat("x", 3<<20)
	for _, test := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		code                     string
		location                 string
	}{
		{"no such path", "GET", "/v1/nothing", "", nil, 404, "not_found", ""},
		{"no such method", "DELETE", "/v1/messages", "", nil, 405, "method_not_allowed", ""},
		{"no JSON", "POST", "/v1/messages", `{"to":`, nil, 400, "malformed", "body"},
		{"more than JSON", "POST", "/v1/messages", `{} {}`, nil, 400, "malformed", "body"},
		{"no body", "POST", "/v1/messages", "", nil, 400, "malformed", ""},
		{"not an object", "POST", "/v1/messages", `[]`, nil, 422, "invalid", "body"},
		{"unknown field", "POST", "/v1/messages", `{"to":[{"email":"a@b.c","nam":"x"}],"text":"t"}`, nil, 422, "invalid", "body.to[0].nam"},
		{"missing field", "POST", "/v1/messages", `{"to":[{"name":"x"}],"text":"t"}`, nil, 422, "invalid", "body.to[0]"},
		{"wrong type", "POST", "/v1/messages", `{"to":"a@b.c","text":"t"}`, nil, 422, "invalid", "body.to"},
		{"not a time", "POST", "/v1/messages", `{"to":[{"email":"a@b.c"}],"text":"t","send_at":"tomorrow"}`, nil, 422, "invalid", "body.send_at"},
		{"not base64", "POST", "/v1/messages", `{"to":[{"email":"a@b.c"}],"text":"t","attachments":[{"name":"a","content":"?"}]}`, nil, 422, "invalid", "body.attachments[0].content"},
		{"form", "POST", "/v1/messages", "to=a", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type", ""},
		{"too large", "POST", "/v1/messages", `{"text":"` + long + `"}`, nil, 413, "body_too_large", ""},
		{"unknown parameter", "GET", "/v1/messages?limits=3", "", nil, 422, "invalid", "query.limits"},
		{"too many parameters", "GET", "/v1/messages?limit=1" + strings.Repeat("&limit=1", 100), "", nil, 414, "url_too_long", ""},
		{"too long parameters", "GET", "/v1/messages?subject=" + strings.Repeat("x", 16<<10), "", nil, 414, "url_too_long", ""},
		{"bad parameter", "GET", "/v1/messages?limit=many", "", nil, 422, "invalid", "query.limit"},
		{"parameter out of range", "GET", "/v1/messages?limit=0", "", nil, 422, "invalid", "query.limit"},
		{"bad time", "GET", "/v1/messages?from=now", "", nil, 422, "invalid", "query.from"},
		{"unknown status", "GET", "/v1/messages?status=lost", "", nil, 422, "invalid", "query.status"},
		{"NUL in a parameter", "GET", "/v1/messages?recipient=%00", "", nil, 400, "malformed", ""},
		{"NUL in the path", "GET", "/v1/messages/%00", "", nil, 400, "malformed", ""},
		{"no UTF-8 in the path", "GET", "/v1/messages/%ff", "", nil, 400, "malformed", ""},
		{"no such message", "GET", "/v1/messages/" + waypost.NewID(), "", nil, 404, "not_found", ""},
		{"no such raw message", "GET", "/v1/messages/" + waypost.NewID() + "/raw", "", nil, 404, "not_found", ""},
		{"for the platform only", "GET", "/v1/operators", "", nil, 403, "scope_missing", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var body io.Reader
			if test.body != "" {
				body = strings.NewReader(test.body)
			}
			res, text := request(t, test.method, w.url+test.path, c.Key, body, test.header...)
			wantProblem(t, res, text, test.status, test.code, test.location)
		})
	}
}

func wantProblem(t *testing.T, res *http.Response, text string, status int, code, location string) {
	t.Helper()
	var p struct {
		Type, Title, Detail, Code string
		Status                    int
		Errors                    []client.FieldError
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if res.StatusCode != status || p.Status != status || p.Code != code {
		t.Errorf("got %d %s, want %d %s", res.StatusCode, text, status, code)
	}
	if res.Header.Get("Content-Type") != "application/problem+json" || p.Type != "about:blank" || p.Title != http.StatusText(status) || p.Detail == "" {
		t.Errorf("not a problem: %v %s", res.Header, text)
	}
	for _, e := range p.Errors {
		if e.Location == location {
			return
		}
	}
	if location != "" {
		t.Errorf("%s does not name %s", text, location)
	}
}

func TestKeysAreAskedFor(t *testing.T) {
	w := newWorld(t)
	for name, header := range map[string]string{
		"none": "", "basic": "Basic YTpi", "empty": "Bearer ", "no key": "Bearer nonsense", "unknown key": "Bearer wp_live_" + strings.Repeat("a", 32),
	} {
		t.Run(name, func(t *testing.T) {
			res, text := request(t, "GET", w.url+"/v1/messages", "", nil, "Authorization", header)
			wantProblem(t, res, text, 401, "unauthenticated", "")
			if res.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("WWW-Authenticate = %q", res.Header.Get("WWW-Authenticate"))
			}
		})
	}
}

// counting counts how often a key is looked up.
type counting struct {
	auth.Store
	reads atomic.Int32
}

func (c *counting) CredentialByHash(ctx context.Context, hash []byte) (*store.Credential, error) {
	c.reads.Add(1)
	return c.Store.CredentialByHash(ctx, hash)
}

func TestWrongKeysAreLimitedPerAddressAndKnownOnesAreNot(t *testing.T) {
	keys := &counting{}
	w := newWorld(t, func(o *api.Options) {
		keys.Store = o.Sandbox.(auth.Store)
		o.Auth = auth.New(auth.Options{Store: keys, Operators: o.Directory})
	})
	known, fresh := w.tenant(t, "Acme"), w.tenant(t, "Bravo")
	get := func(key, peer string) (*http.Response, string) {
		return request(t, "GET", w.url+"/v1/messages", key, nil, "X-Forwarded-For", peer)
	}
	want := func(name, key, peer string, status int, reads int32) {
		t.Helper()
		keys.reads.Store(0)
		if res, text := get(key, peer); res.StatusCode != status {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, text, status)
		}
		if n := keys.reads.Load(); n != reads {
			t.Errorf("%s: looked up %d times, want %d", name, n, reads)
		}
	}
	guess := func(i int) string {
		return "wp_live_" + strings.Repeat("a", 30) + string(rune('a'+i/26)) + string(rune('a'+i%26))
	}
	want("a right key", known.Key, "192.0.2.1", 200, 1)
	for i := range 20 {
		want("a guess", guess(i), "192.0.2.1", 401, 1)
	}
	want("one guess more", guess(20), "192.0.2.1", 429, 0)
	res, text := get(guess(21), "192.0.2.1")
	wantProblem(t, res, text, 429, "too_many_failures", "")
	if res.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
	want("a key that is known, from there", known.Key, "192.0.2.1", 200, 0)
	want("a right key that is not, from there", fresh.Key, "192.0.2.1", 429, 0)
	want("a guess from elsewhere", guess(22), "192.0.2.2", 401, 1)
	want("the same key from elsewhere", fresh.Key, "192.0.2.2", 200, 1)
	want("the same key from there, known now", fresh.Key, "192.0.2.1", 200, 0)
	w.options.Auth.Changed(t.Context())
	want("a key that was known before something changed", known.Key, "192.0.2.1", 200, 1)
	for i := range 20 { // another address of the same IPv6 network counts as the same client
		get(guess(30+i), fmt.Sprintf("2001:db8::%d", i))
	}
	want("the network of a guesser", guess(60), "2001:db8::ffff", 429, 0)
}

func TestAKeyChangesOnlySoMuchAtOnce(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	other := w.key(t, c.id, auth.CreateRequest{})
	began, changed := time.Now(), 0
	for {
		res, text := request(t, http.MethodPost, w.url+"/v1/deliveries/"+waypost.NewID()+"/hold", c.Key, nil)
		if res.StatusCode == http.StatusTooManyRequests {
			wantProblem(t, res, text, 429, "too_many_changes", "")
			if res.Header.Get("Retry-After") == "" {
				t.Error("there is no Retry-After")
			}
			break
		}
		if changed++; changed > 5000 {
			t.Fatal("there is no limit")
		}
	}
	if most := 601 + 10*int(time.Since(began).Seconds()+1); changed < 600 || changed > most {
		t.Errorf("%d changes, want 600 to %d", changed, most)
	}
	// What reads, what hands mail over, and other keys go on.
	if _, err := c.Message(t.Context(), c.send(t, mail()).ID); err != nil {
		t.Error(err)
	}
	if _, err := other.AddSender(t.Context(), "a@acme.example", "", false); err != nil {
		t.Error(err)
	}
}

func TestEveryScopeIsAskedFor(t *testing.T) {
	w := newWorld(t)
	id := w.tenant(t, "Acme").id
	for scope, paths := range map[waypost.Scope][]string{
		waypost.ScopeRead:     {"GET /v1/messages", "GET /v1/messages/x", "GET /v1/conservation", "GET /v1/sandbox/messages"},
		waypost.ScopeContent:  {"GET /v1/messages/x/raw", "GET /v1/sandbox/messages/x/raw"},
		waypost.ScopeControl:  {"POST /v1/deliveries/x/retry", "POST /v1/deliveries/x/cancel", "POST /v1/deliveries/x/hold", "POST /v1/deliveries/x/release", "POST /v1/messages/x/cancel", "DELETE /v1/sandbox/messages"},
		waypost.ScopeSettings: {"GET /v1/settings/email", "PUT /v1/settings/email", "POST /v1/settings/email/test", "GET /v1/senders", "GET /v1/suppressions", "POST /v1/suppressions", "DELETE /v1/suppressions"},
		waypost.ScopeSend:     {"POST /v1/messages"},
	} {
		var others []waypost.Scope
		for _, s := range waypost.DefaultScopes() {
			if s != scope {
				others = append(others, s)
			}
		}
		c := w.key(t, id, auth.CreateRequest{Scopes: others})
		for _, endpoint := range paths {
			method, path, _ := strings.Cut(endpoint, " ")
			res, text := request(t, method, w.url+path, c.Key, nil)
			wantProblem(t, res, text, 403, "scope_missing", "")
		}
	}
}

// failing is an Accepter that breaks.
type failing func() error

// Accept implements api.Accepter.
func (f failing) Accept(context.Context, waypost.Submission) (waypost.Receipt, error) {
	return waypost.Receipt{}, f()
}

func TestOurOwnFailuresTellNothingAndAreLogged(t *testing.T) {
	var fail error
	w := newWorld(t, func(o *api.Options) {
		o.Accepter = failing(func() error {
			if fail == nil {
				panic("secret panic text")
			}
			return fail
		})
	})
	c := w.tenant(t, "Acme")
	for name, test := range map[string]struct {
		err    error
		status int
		code   string
		words  string
	}{
		"error":       {errors.New("secret error text"), 500, "internal", "secret error text"},
		"panic":       {nil, 500, "internal", "secret panic text"},
		"disk full":   {waypost.NewError(waypost.StorageFull, "storage_full", "no space"), 507, "storage_full", ""},
		"unavailable": {waypost.NewError(waypost.Unavailable, "", "shutting down"), 503, "unavailable", ""},
		"limited":     {waypost.NewError(waypost.RateLimited, "rate_limited", "slow down"), 429, "rate_limited", ""},
	} {
		t.Run(name, func(t *testing.T) {
			fail = test.err
			_, err := c.Send(t.Context(), mail())
			wantRefusal(t, err, test.status, test.code, "")
			e := refused(t, err)
			if test.status != 500 {
				if e.RetryAfter == 0 {
					t.Error("there is no Retry-After")
				}
				return
			}
			if strings.Contains(e.Detail, "secret") || e.ErrorID == "" {
				t.Errorf("the answer is %+v", e)
			}
			contains(t, w.log.String(), e.ErrorID, test.words)
		})
	}
}

func TestAnswersCarrySafeHeaders(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/v1/messages", "/openapi.json", "/openapi.yaml", "/docs", "/nothing"} {
		res, _ := request(t, "GET", w.url+path, "", nil)
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s = %q, want %q", path, name, got, want)
			}
		}
		contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'none'", "frame-ancestors 'none'")
	}
}

func TestThePeerBehindATrustedProxyIsInReceived(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	body := `{"to":[{"email":"a@example.com"}],"subject":"s","text":"t"}`
	for forwarded, want := range map[string]string{
		"":                                 "127.0.0.1",
		"203.0.113.9":                      "203.0.113.9",
		"6.6.6.6, 203.0.113.9, 127.0.0.7":  "203.0.113.9",
		"6.6.6.6, unknown, 127.0.0.8":      "127.0.0.8",
		"2001:db8::1":                      "2001:db8::1",
		"evil\", 203.0.113.9":              "203.0.113.9",
		strings.Repeat("127.0.0.1, ", 100): "127.0.0.1",
	} {
		res, text := request(t, "POST", w.url+"/v1/messages", c.Key, strings.NewReader(body), "X-Forwarded-For", forwarded)
		var r client.Receipt
		if err := json.Unmarshal([]byte(text), &r); err != nil || res.StatusCode != http.StatusAccepted {
			t.Fatalf("%s %v", text, err)
		}
		raw, err := c.MessageRaw(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(string(raw), "\r\n")
		if !strings.Contains(line, want+"]") {
			t.Errorf("X-Forwarded-For %q: %s, want %s", forwarded, line, want)
		}
	}
}

func TestLargeRequestsShareABudget(t *testing.T) {
	w := newWorld(t, func(o *api.Options) { o.BodyBudget, o.MaxMessageSize = 1, 25<<20 }) // room for one of the largest
	c := w.tenant(t, "Acme")
	text := strings.Repeat("x\\n", 300<<10)
	body := `{"to":[{"email":"a@example.com"}],"subject":"s","text":"` + text + `"}`
	reader, writer := io.Pipe()
	begun := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // far more than sockets hold: when it is written, most of it was read
		_, _ = io.Copy(writer, strings.NewReader(strings.Repeat(" ", 30<<20)))
		close(begun)
	})
	wg.Go(func() {
		res, text := request(t, "POST", w.url+"/v1/messages", c.Key, reader) // chunked, and not at its end yet
		if res.StatusCode != http.StatusAccepted {
			t.Errorf("the first: %d %s", res.StatusCode, text)
		}
	})
	<-begun
	res, answer := request(t, "POST", w.url+"/v1/messages", c.Key, strings.NewReader(strings.Repeat(" ", 3<<20)+body))
	wantProblem(t, res, answer, 503, "busy", "")
	c.send(t, mail()) // small ones are not concerned
	if _, err := io.WriteString(writer, `{"to":[{"email":"a@example.com"}],"subject":"s","text":"t"}`); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	wg.Wait()
	if res, answer := request(t, "POST", w.url+"/v1/messages", c.Key, strings.NewReader(body)); res.StatusCode != http.StatusAccepted {
		t.Errorf("after the first: %d %s", res.StatusCode, answer)
	}
}

func TestEveryFormOfBase64IsTaken(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	for _, content := range []string{"+/+/", "-_-_", "+/8=", "+/8", `+\/+\/`, `+/+/\r\n+/+/`, ""} {
		body := `{"to":[{"email":"a@example.com"}],"subject":"s","text":"t","attachments":[{"name":"a.bin","content":"` + content + `"}]}`
		if res, text := request(t, "POST", w.url+"/v1/messages", c.Key, strings.NewReader(body)); res.StatusCode != http.StatusAccepted {
			t.Errorf("%q: %d %s", content, res.StatusCode, text)
		}
	}
}

func TestDocsNeedNothingFromElsewhere(t *testing.T) {
	h := api.New(api.Options{})
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/docs", nil))
	page := rec.Body.String()
	contains(t, page, "POST</span><span class=\"path\">/v1/messages<", "body", "to[].email", "Scope: <code>send</code>")
	for _, bad := range []string{"<script", "src=", "http://", "https://", "@import", "url("} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	contains(t, rec.Header().Get("Content-Security-Policy"), "style-src 'sha256-")
}

func TestOperationsWithoutARuleDoNotStart(t *testing.T) {
	defer func() {
		if diff := cmp.Diff(`api: operation "new-operation" has no rule`, recover()); diff != "" {
			t.Error(diff)
		}
	}()
	api.RegisterWithoutRule()
}

func TestBodiesThatCannotBeCheckedDoNotStart(t *testing.T) {
	defer func() {
		if diff := cmp.Diff(`api: the body of operation "new-operation" has a form of text, which is not checked`, recover()); diff != "" {
			t.Error(diff)
		}
	}()
	api.RegisterUncheckable()
}
