package panel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/submit"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const password = "correct horse battery"

// world is the panel over everything that is real but the network outwards.
type world struct {
	db       *storetest.DB
	options  panel.Options
	url      string
	handler  http.Handler
	accounts *account.Service
	dir      *account.Directory
	users    *auth.Users
	submit   *submit.Pipeline
	queue    *queue.Queue
	peer     *deliverer
	log      *transcript
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

// unchecked answers for the watcher of domains, without looking anything up.
type unchecked struct{ store *store.Store }

func (u unchecked) CheckNow(ctx context.Context, operatorID, id string) (store.CheckedDomain, error) {
	return u.store.Domain(ctx, operatorID, id)
}

// sandboxDNS answers for the records of a platform that has none.
type sandboxDNS struct{}

func (sandboxDNS) CheckPlatform(context.Context) (verify.Report, error) {
	return verify.Report{}, errSandbox()
}

func (sandboxDNS) KeyRotation(context.Context) (verify.RotationStatus, error) {
	return verify.RotationStatus{}, errSandbox()
}

func (sandboxDNS) RotateKeys(context.Context, waypost.Actor) (verify.RotationStatus, error) {
	return verify.RotationStatus{}, errSandbox()
}

// httpsOnly lets webhooks have any https URL.
type httpsOnly struct{}

func (httpsOnly) CheckURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("give an https URL")
	}
	return u, nil
}

// endpoint is what a test of a webhook reaches.
type endpoint struct{ answer waypost.WebhookAttempt }

func (e *endpoint) Test(_ context.Context, _ waypost.Actor, operatorID, id string) (waypost.WebhookCall, error) {
	return waypost.WebhookCall{OperatorID: operatorID, WebhookID: id, Type: waypost.WebhookTest, Events: 1, Attempts: 1, Last: e.answer}, nil
}

func errSandbox() error {
	return waypost.NewError(waypost.Conflict, "sandbox", "no platform domain is set")
}

func newWorld(t testing.TB, change ...func(*panel.Options)) *world {
	t.Helper()
	// Under the race detector (make test adds -short there) walking every route as everybody
	// is what counts; the rest runs whole without it.
	if testing.Short() && !strings.Contains(t.Name(), "EveryRoute") && !strings.Contains(t.Name(), "NobodyReaches") {
		t.Skip("shortened: make test runs it without the race detector")
	}
	return worldOn(t, storetest.OpenSQLite(t), change...)
}

func worldOn(t testing.TB, db *storetest.DB, change ...func(*panel.Options)) *world {
	t.Helper()
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
	w.accounts = account.New(account.Options{Store: db.Store, System: db.System, Directory: w.dir, Ring: ring, Platform: platform, URLs: httpsOnly{}})
	w.users = auth.NewUsers(auth.UsersOptions{Store: db.System, Ring: ring, Log: log, HashMemory: 64})
	keys := auth.New(auth.Options{Store: db.System, Operators: w.dir})
	w.queue = queue.New(queue.Options{Store: db.System, Deliverer: w.peer, Accounts: w.dir, Platform: platform, Log: log, Node: "node-a", Alone: true})
	w.dir.OnChange(keys.Changed)
	w.dir.OnChange(w.users.Changed)
	w.dir.OnChange(w.queue.Changed)
	w.background(t)
	w.submit = submit.New(submit.Options{Store: db.Store, Accounts: w.dir, Queue: w.queue, Platform: platform, Hostname: "waypost.test", Limits: submit.Limits{Size: 1 << 20}, Log: log})
	w.options = panel.Options{
		Store: db.Store, System: db.System, Accounts: w.accounts, Directory: w.dir, Auth: keys, Users: w.users, Accepter: w.submit, Queue: w.queue,
		Domains: unchecked{db.Store}, PlatformDNS: sandboxDNS{}, WebhookTests: &endpoint{}, Platform: platform, Brand: view.Brand{Name: "Fleetmail"}, LinkKeys: [][]byte{[]byte("a key for links")}, Log: log,
	}
	for _, f := range change {
		f(&w.options)
	}
	h, err := panel.New(w.options)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	w.url, w.handler = server.URL, h
	return w
}

// background runs the queue and the watch for changes until the test ends.
func (w *world) background(t testing.TB) {
	t.Helper()
	if err := w.queue.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.queue.Run(ctx) })
	wg.Go(func() { _ = w.dir.Watch(ctx, 20*time.Millisecond) })
	t.Cleanup(func() {
		cancel()
		if err := w.queue.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		w.users.Wait()
	})
}

// operator makes an operator.
func (w *world) operator(t testing.TB, name string) string {
	t.Helper()
	o, err := w.accounts.CreateOperator(t.Context(), waypost.CommandLine(), account.NewOperator{Name: name, Product: waypost.ProductServermate})
	if err != nil {
		t.Fatal(err)
	}
	return o.ID
}

// send accepts a mail of an operator and returns the message's id.
func (w *world) send(t testing.TB, operatorID, to, subject string) string {
	t.Helper()
	got, err := w.submit.Accept(t.Context(), waypost.Submission{
		Principal: waypost.Principal{OperatorID: operatorID, Scopes: []waypost.Scope{waypost.ScopeSend}, FromPolicy: waypost.FromReplace}, OperatorID: operatorID,
		Source: "api", Protocol: "HTTP", Recipients: []string{to}, Kind: waypost.KindEvent,
		Message: fmt.Appendf(nil, "From: fleet@example.com\r\nTo: %s\r\nSubject: %s\r\n\r\n97 km/h\r\n", to, subject),
	})
	if err != nil {
		t.Fatal(err)
	}
	return got.ID
}

// visitor is a person with a browser.
type visitor struct {
	t      testing.TB
	w      *world
	client *http.Client
	user   waypost.User
}

// stranger is one who is not signed in.
func (w *world) stranger(t testing.TB) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, w: w, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// visitor makes a user of an operator, or staff for "", and signs it in.
func (w *world) visitor(t testing.TB, operatorID string, role waypost.Role) *visitor {
	t.Helper()
	login := fmt.Sprintf("%s-%s", role, strings.ToLower(waypost.NewID()[24:]))
	user, err := w.users.Create(t.Context(), waypost.CommandLine(), auth.NewUser{
		OperatorID: operatorID, Login: login, Email: login + "@people.example", Name: "Mx " + string(role), Role: role,
	}, password)
	if err != nil {
		t.Fatal(err)
	}
	v := w.stranger(t)
	v.user = user
	if got := v.post("/sign-in", "login", login, "password", password); got.status != http.StatusSeeOther {
		t.Fatalf("sign in: %d\n%s", got.status, got.text())
	}
	return v
}

// actingFor makes support staff that acts for an operator.
func (w *world) actingFor(t testing.TB, operatorID string) *visitor {
	t.Helper()
	v := w.visitor(t, "", waypost.RoleSupport)
	if got := v.post("/platform/operators/" + operatorID + "/enter"); got.status != http.StatusSeeOther {
		t.Fatalf("enter: %d\n%s", got.status, got.text())
	}
	return v
}

// answer is a page as it came.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

func (v *visitor) do(method, path string, body io.Reader, header ...string) answer {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.w.url+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return answer{t: v.t, status: res.StatusCode, header: res.Header, body: string(text)}
}

// get asks for a page.
func (v *visitor) get(path string) answer { v.t.Helper(); return v.do(http.MethodGet, path, nil) }

// open asks for a page that has to be there.
func (v *visitor) open(path string) answer {
	v.t.Helper()
	got := v.get(path)
	if got.status != http.StatusOK {
		v.t.Fatalf("%s: %d\n%s", path, got.status, got.text())
	}
	return got
}

// part asks for a part of a page as htmx does.
func (v *visitor) part(path string) answer {
	v.t.Helper()
	return v.do(http.MethodGet, path, nil, "HX-Request", "true")
}

// post sends a form of names and values.
func (v *visitor) post(path string, pairs ...string) answer {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return v.do(http.MethodPost, path, strings.NewReader(form.Encode()))
}

// postPart sends a form as htmx does.
func (v *visitor) postPart(path string, pairs ...string) answer {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return v.do(http.MethodPost, path, strings.NewReader(form.Encode()), "HX-Request", "true")
}

// location is where a redirect leads.
func (a answer) location() string { return a.header.Get("Location") }

// text is what a person reads of a page, its words with single spaces between.
func (a answer) text() string {
	node, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		a.t.Fatal(err)
	}
	var b strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		switch {
		case n.Type == html.ElementNode && (n.Data == "script" || n.Data == "style"):
			return
		case n.Type == html.TextNode:
			b.WriteString(n.Data + " ")
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(node)
	return strings.Join(strings.Fields(b.String()), " ")
}

// wants fails unless the page shows all of some texts.
func (a answer) wants(texts ...string) {
	a.t.Helper()
	shown := a.text()
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			a.t.Errorf("the page does not show %q:\n%s", text, shown)
		}
	}
}

// lacks fails if the page shows any of some texts, or hides it anywhere in its source.
func (a answer) lacks(texts ...string) {
	a.t.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			a.t.Errorf("the page has %q", text)
		}
	}
}

// value is the value of a form's field as the page has it.
func (a answer) value(name string) string {
	a.t.Helper()
	node, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		a.t.Fatal(err)
	}
	var found string
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		get := func(key string) string {
			for _, at := range n.Attr {
				if at.Key == key {
					return at.Val
				}
			}
			return ""
		}
		if n.Type == html.ElementNode && get("name") == name {
			switch n.Data {
			case "input":
				found = get("value")
			case "textarea":
				if n.FirstChild != nil {
					found = n.FirstChild.Data
				}
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(node)
	return found
}
