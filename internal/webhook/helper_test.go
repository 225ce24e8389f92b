package webhook_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/webhook"
)

// world is a database with what calls webhooks.
type world struct {
	*webhook.Webhooks
	db      *storetest.DB
	ring    *secret.Ring
	web     *guard.Web
	log     *logged
	options webhook.Options
	me      string
	running func() // stops Run
}

// logged is a log that tests look into.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newRing(t testing.TB) *secret.Ring {
	t.Helper()
	key := make([]byte, secret.KeySize)
	for i := range key {
		key[i] = byte(i)
	}
	ring, err := secret.NewRing(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// newWorld makes one that does nothing yet. Retries come at once.
func newWorld(t testing.TB, db *storetest.DB, change ...func(*webhook.Options)) *world {
	t.Helper()
	web, err := guard.NewWeb(guard.WebOptions{Options: guard.Options{Allow: loopback()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(web.Close)
	w := &world{db: db, ring: newRing(t), web: web, log: &logged{}, me: waypost.NewID()}
	w.options = webhook.Options{
		Store: db.System, Ring: w.ring, Web: web, Incarnation: w.me, Log: slog.New(slog.NewTextHandler(w.log, nil)), Timeout: 5 * time.Second,
	}
	for _, c := range change {
		c(&w.options)
	}
	if err := db.System.Join(t.Context(), system.Node{Incarnation: w.me, Name: "test", Started: time.Now()}); err != nil {
		t.Fatal(err)
	}
	w.Webhooks = webhook.New(w.options)
	w.Pace(func(int) time.Duration { return 0 }, func(int) time.Duration { return 0 })
	t.Cleanup(func() { w.stop(t) })
	return w
}

// start lets it run until the test ends.
func (w *world) start(t testing.TB) {
	t.Helper()
	w.db.Engine.OnTold(w.Told)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	w.running = func() { cancel(); <-done }
}

func (w *world) stop(t testing.TB) {
	t.Helper()
	if w.running != nil {
		w.running()
		w.running = nil
	}
	if err := w.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// hook registers an endpoint and returns its id and its secret, as it is shown.
func (w *world) hook(t testing.TB, url string, change ...func(*waypost.Webhook)) (id, shown string) {
	t.Helper()
	h := waypost.Webhook{ID: waypost.NewID(), OperatorID: "op", URL: url, MaxEvents: 1, Enabled: true, Created: storetest.Now()}
	for _, c := range change {
		c(&h)
	}
	raw := []byte("secret of " + h.ID[len(h.ID)-14:])
	if err := w.db.Store.AddWebhook(context.Background(), waypost.CommandLine(), h.OperatorID, store.StoredWebhook{
		Webhook: h, Sealed: w.ring.Seal(waypost.WebhookSecretContext(h.ID), raw),
	}, 1000); err != nil {
		t.Fatal(err)
	}
	return h.ID, "whsec_" + base64.StdEncoding.EncodeToString(raw)
}

// mail accepts a mail that this process tries at once.
func (w *world) mail(t testing.TB, m storetest.Mail) []waypost.Delivery {
	t.Helper()
	m.Lease = w.me
	a := m.Accepting()
	if err := w.db.Store.Accept(context.Background(), a); err != nil {
		t.Fatal(err)
	}
	return a.Deliveries
}

// finish ends the attempt of a delivery.
func (w *world) finish(t testing.TB, d waypost.Delivery, state waypost.State, change ...func(*system.Finish)) {
	t.Helper()
	now := storetest.Now()
	f := &system.Finish{
		Delivery: d, State: state, Attempts: d.Attempts, Step: d.Step, Route: waypost.RouteDirect, Reason: "the remote's words", At: now,
		Event: map[waypost.State]waypost.EventType{waypost.Delivered: waypost.EventDelivered, waypost.Bounced: waypost.EventBounced}[state],
		Attempt: &waypost.Attempt{
			DeliveryID: d.ID, Number: d.Attempts, Route: waypost.RouteDirect, Host: "mx.example.test", Address: "192.0.2.1:25", TLS: "TLS 1.3",
			Phase: waypost.PhaseDot, Outcome: waypost.OutcomeDelivered, Reply: waypost.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok"}, Started: now,
		},
	}
	if state == waypost.Bounced {
		f.Cause, f.Attempt.Cause, f.Attempt.Outcome = "bad_mailbox", "bad_mailbox", waypost.OutcomePermanent
		f.Attempt.Reply = waypost.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"}
	}
	for _, c := range change {
		c(f)
	}
	if err := w.db.System.FinishNow(context.Background(), f); err != nil || f.Lost {
		t.Fatal(f.Lost, err)
	}
}

// told is one event as a receiver got it.
type told struct {
	ID        string              `json:"id"`
	Type      waypost.WebhookType `json:"type"`
	Timestamp time.Time           `json:"timestamp"`
	Replay    bool                `json:"replay"`
	Data      json.RawMessage     `json:"data"`
}

func (e told) message(t testing.TB) string {
	t.Helper()
	var d struct {
		MessageID string `json:"message_id"`
	}
	if err := json.Unmarshal(e.Data, &d); err != nil {
		t.Fatal(err)
	}
	return d.MessageID
}

// call is one request that a receiver got.
type call struct {
	id     string
	body   []byte
	header http.Header
	events []told
	status int
}

// receiver is an endpoint that keeps what it gets and checks it with the reference library.
type receiver struct {
	*httptest.Server
	t testing.TB

	mu     sync.Mutex
	secret string
	calls  []call
	answer func(c call) int // status; nil: 204
	got    chan struct{}
}

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	r := &receiver{t: t, got: make(chan struct{}, 1)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) set(answer func(c call) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	c := call{id: req.Header.Get("Webhook-Id"), body: body, header: req.Header.Clone(), status: http.StatusNoContent}
	c.events = parse(r.t, body)
	r.mu.Lock()
	secret, answer := r.secret, r.answer
	r.mu.Unlock()
	if secret != "" {
		v, err := standardwebhooks.NewWebhook(secret)
		if err == nil {
			err = v.Verify(body, req.Header)
		}
		if err != nil {
			r.t.Errorf("call %s: %v", c.id, err)
		}
	}
	if answer != nil {
		c.status = answer(c)
	}
	r.mu.Lock()
	r.calls = append(r.calls, c)
	r.mu.Unlock()
	select {
	case r.got <- struct{}{}:
	default:
	}
	w.WriteHeader(c.status)
}

// parse takes a body apart, which is one event or a batch.
func parse(t testing.TB, body []byte) []told {
	var e told
	if err := json.Unmarshal(body, &e); err != nil {
		t.Errorf("%s: %v", body, err)
		return nil
	}
	if e.Type != waypost.WebhookBatch {
		return []told{e}
	}
	var data struct {
		Events []told `json:"events"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		t.Errorf("%s: %v", body, err)
	}
	return data.Events
}

func (r *receiver) all() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// taken lists the events of calls that were answered with 2xx, in order of arrival.
func (r *receiver) taken() []told {
	var list []told
	for _, c := range r.all() {
		if c.status/100 == 2 {
			list = append(list, c.events...)
		}
	}
	return list
}

// until waits for the receiver to have got what is wanted.
func (r *receiver) until(t testing.TB, what string, enough func() bool) {
	t.Helper()
	over := time.NewTimer(30 * time.Second)
	defer over.Stop()
	for !enough() {
		select {
		case <-r.got:
		case <-over.C:
			t.Fatalf("waited in vain for %s; got %d calls", what, len(r.all()))
		}
	}
}

// eventually waits for something in the database.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	over := time.NewTimer(30 * time.Second)
	defer over.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-over.C:
			t.Fatal("waited in vain for " + what)
		}
	}
}

// idle waits until nothing is left to do for anybody.
func (w *world) idle(t testing.TB) {
	t.Helper()
	eventually(t, "an empty table", func() bool {
		return w.db.Int(t, "SELECT COUNT(*) FROM webhook_event")+w.db.Int(t, "SELECT COUNT(*) FROM webhook_call WHERE state = 'waiting'") == 0
	})
	eventually(t, "free leases", func() bool { return w.db.Int(t, "SELECT COUNT(*) FROM webhook WHERE lease <> ''") == 0 })
}

func types(events []told) string {
	var list []string
	for _, e := range events {
		list = append(list, string(e.Type))
	}
	return strings.Join(list, " ")
}
