package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/api"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/submit"
	"github.com/waypost/waypost/internal/testmail"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/webhook"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// world is the API over everything that is real but the network outwards.
type world struct {
	db       *storetest.DB
	options  api.Options
	url      string
	accounts *account.Service
	dir      *account.Directory
	auth     *auth.Auth
	peer     *deliverer
	log      *transcript
	root     *client.Client // a key of the platform with every scope
}

// deliverer stands in for the network. Without a rule everything is delivered.
type deliverer struct {
	mu   sync.Mutex
	rule func(j *waypost.Job)
}

func (d *deliverer) set(rule func(j *waypost.Job)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rule = rule
}

// Deliver implements queue.Deliverer.
func (d *deliverer) Deliver(_ context.Context, j *waypost.Job) {
	d.mu.Lock()
	rule := d.rule
	d.mu.Unlock()
	if rule == nil {
		rule = reports(waypost.OutcomeDelivered, waypost.Reply{Code: 250, Enhanced: "2.0.0", Text: "thank you"}, "")
	}
	rule(j)
}

// reports is a rule: every delivery ends like this.
func reports(o waypost.Outcome, reply waypost.Reply, cause string) func(*waypost.Job) {
	return func(j *waypost.Job) {
		for i := range j.Deliveries {
			if err := j.MayTalk(&j.Deliveries[i]); err != nil {
				continue
			}
			if j.Step != nil {
				j.Step(waypost.Step{Phase: waypost.PhaseConnect, Started: time.Now(), Millis: 3, OK: true, Detail: "mx.example.net [192.0.2.7]:25"})
			}
			j.Report(i, waypost.Attempt{
				Route: j.Route, Host: "mx.example.net", Address: "192.0.2.7:25", Phase: waypost.PhaseDot, Outcome: o, Reply: reply, Cause: cause,
			})
		}
	}
}

// transcript collects the log.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *transcript) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newWorld(t testing.TB, change ...func(*api.Options)) *world {
	t.Helper()
	db := storetest.OpenSQLite(t)
	if err := db.System.EnsurePlatform(t.Context(), "Platform"); err != nil {
		t.Fatal(err)
	}
	ring, err := secret.NewRing([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{db: db, peer: &deliverer{}, log: &transcript{}}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	platform := route.Platform{Domain: "platform.example", From: waypost.Address{Name: "Platform", Email: "no-reply@platform.example"}}
	w.dir = account.NewDirectory(account.DirectoryOptions{Store: db.Store, System: db.System, Ring: ring, Log: log})
	urls, err := guard.NewWeb(guard.WebOptions{Options: guard.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	if err != nil {
		t.Fatal(err)
	}
	w.accounts = account.New(account.Options{Store: db.Store, System: db.System, Directory: w.dir, Ring: ring, Platform: platform, URLs: urls})
	w.auth = auth.New(auth.Options{Store: db.System, Operators: w.dir})
	q := queue.New(queue.Options{Store: db.System, Deliverer: w.peer, Accounts: w.dir, Platform: platform, Log: log, Node: "node-a", Alone: true})
	w.dir.OnChange(w.auth.Changed)
	w.dir.OnChange(q.Changed)
	w.background(t, q)
	w.options = api.Options{
		PlatformSettings: db.System,
		Store:            db.Store, Accounts: w.accounts, Directory: w.dir, Auth: w.auth, Queue: q, Sandbox: db.System, Platform: platform, Log: log,
		Domains:        unchecked{db.Store},
		Accepter:       submit.New(submit.Options{Store: db.Store, Accounts: w.dir, Queue: q, Platform: platform, Hostname: "waypost.test", Limits: submit.Limits{Size: 1 << 20}, Log: log}),
		MaxMessageSize: 1 << 20, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
	w.options.Webhooks = webhook.New(webhook.Options{Store: db.System, Ring: ring, Web: urls, Log: log})
	t.Cleanup(urls.Close)
	for _, f := range change {
		f(&w.options)
	}
	if w.options.Tests == nil {
		w.options.Tests = tester(w.options, nil)
	}
	w.url = serve(t, api.New(w.options))
	key, _, err := w.auth.Create(t.Context(), waypost.CommandLine(), auth.CreateRequest{Platform: true, Name: "root", Scopes: waypost.AllScopes()})
	if err != nil {
		t.Fatal(err)
	}
	w.root = client.New(w.url, key)
	return w
}

// tester sends the test mails of a world whose return path is at addresses, if any.
func tester(o api.Options, addresses testmail.Addresses) *testmail.Tester {
	return testmail.New(testmail.Options{Store: o.Store, Accepter: o.Accepter, Addresses: addresses, Platform: o.Platform})
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// background runs the queue and the watch for changes until the test ends.
func (w *world) background(t testing.TB, q *queue.Queue) {
	t.Helper()
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = q.Run(ctx) })
	wg.Go(func() { _ = w.dir.Watch(ctx, 20*time.Millisecond) })
	t.Cleanup(func() {
		cancel()
		if err := q.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

// tenant is an operator with a key.
type tenant struct {
	*client.Client
	id string
}

func (w *world) tenant(t testing.TB, name string, scopes ...waypost.Scope) tenant {
	t.Helper()
	o, err := w.root.CreateOperator(t.Context(), client.NewOperator{Name: name, Product: "servermate"})
	if err != nil {
		t.Fatal(err)
	}
	return w.key(t, o.ID, auth.CreateRequest{Scopes: scopes})
}

// key gives an operator another key.
func (w *world) key(t testing.TB, operatorID string, r auth.CreateRequest) tenant {
	t.Helper()
	r.OperatorID = operatorID
	key, _, err := w.auth.Create(t.Context(), waypost.CommandLine(), r)
	if err != nil {
		t.Fatal(err)
	}
	return tenant{client.New(w.url, key), operatorID}
}

// mail is a valid mail.
func mail() client.NewMessage {
	return client.NewMessage{
		To: []client.Address{{Email: "driver@example.com", Name: "Driver"}}, Subject: "Speeding alert", Text: "97 km/h", Kind: "event",
	}
}

func (c tenant) send(t testing.TB, m client.NewMessage) client.Receipt {
	t.Helper()
	r, err := c.Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// until asks for a message until its first delivery has a status.
func (c tenant) until(t testing.TB, id, status string) client.MessageDetail {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		m, err := c.Message(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if m.Deliveries[0].Status == status {
			return m
		}
		<-tick.C
	}
}

// request makes a request by hand.
func request(t testing.TB, method, url, key string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req) //nolint:forbidigo // a test of the server, without redirects
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

func refused(t testing.TB, err error) *client.Error {
	t.Helper()
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		t.Fatalf("got %v, want a refusal", err)
	}
	return e
}

// wantRefusal checks status and code, and one of the locations if it is not "".
func wantRefusal(t testing.TB, err error, status int, code, location string) {
	t.Helper()
	e := refused(t, err)
	if e.Status != status || e.Code != code {
		t.Errorf("got %v %+v, want %d %s", e, e.Fields, status, code)
	}
	for _, f := range e.Fields {
		if f.Location == location {
			return
		}
	}
	if location != "" {
		t.Errorf("the wrong field is in %+v, want %s", e.Fields, location)
	}
}

func collect[T any](t testing.TB, seq func(func(T, error) bool)) (out []T) {
	t.Helper()
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

func contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

// unchecked answers checks of domains with what is stored; verify and e2e have the real
// thing.
type unchecked struct{ *store.Store }

func (u unchecked) CheckNow(ctx context.Context, operatorID, id string) (store.CheckedDomain, error) {
	return u.Domain(ctx, operatorID, id)
}
