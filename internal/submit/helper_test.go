package submit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/submit"
	"github.com/waypost/waypost/internal/waypost"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(storetest.Runner{M: m}) }

// world is a pipeline over a real store, with a queue that remembers what it was asked.
type world struct {
	t        testing.TB
	db       *storetest.DB
	queue    *fakeQueue
	accounts accounts
	observed *observed
	p        *submit.Pipeline
}

type accounts map[string]*waypost.Account

func (a accounts) Get(_ context.Context, id string) (*waypost.Account, error) {
	if found := a[id]; found != nil {
		return found, nil
	}
	return nil, waypost.NewError(waypost.NotFound, "not_found", "there is no such operator")
}

type observed struct {
	mu      sync.Mutex
	sources []string
}

func (o *observed) Accepted(source string, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sources = append(o.sources, source)
}

// fakeQueue takes mails from memory unless it is full.
type fakeQueue struct {
	mu                          sync.Mutex
	full                        bool
	retryAt                     time.Time
	reserved, started, canceled int
	message                     *waypost.Message
	account                     *waypost.Account
	once                        *waypost.Once
}

const lease = "incarnation"

func (q *fakeQueue) Reserve(a *waypost.Account, m *waypost.Message, d []waypost.Delivery, once *waypost.Once) (waypost.Handover, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reserved++
	q.account, q.message, q.once = a, m, once
	count := func(n *int) func() {
		return func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			*n++
		}
	}
	h := waypost.Handover{Start: count(&q.started), Cancel: count(&q.canceled)}
	if q.full {
		return h, false
	}
	h.Lease, h.RetryAt = lease, q.retryAt
	return h, true
}

// settled fails the test unless each handover so far was started or canceled, once.
func (w *world) settled(started, canceled int) {
	w.t.Helper()
	w.queue.mu.Lock()
	defer w.queue.mu.Unlock()
	q := w.queue
	if q.started != started || q.canceled != canceled || q.reserved != started+canceled {
		w.t.Errorf("%d handovers, %d started, %d canceled; want %d and %d", q.reserved, q.started, q.canceled, started, canceled)
	}
}

func newWorld(t testing.TB, change func(*submit.Options)) *world {
	t.Helper()
	w := &world{t: t, db: storetest.OpenSQLite(t), accounts: accounts{}, observed: &observed{}}
	w.queue = &fakeQueue{retryAt: storetest.Now().Add(30 * time.Second)}
	w.accounts["op"] = newAccount("op")
	o := submit.Options{
		Store: w.db.Store, Accounts: w.accounts, Queue: w.queue, Hostname: "node.platform.test", Observe: w.observed,
		Platform: route.Platform{From: waypost.Address{Name: "Platform", Email: "no-reply@platform.test"}},
	}
	if change != nil {
		change(&o)
	}
	w.p = submit.New(o)
	return w
}

func newAccount(id string) *waypost.Account {
	return &waypost.Account{
		Operator: waypost.Operator{ID: id, Name: "Op", Product: waypost.ProductServermate, Gateway: waypost.GatewayBuiltin},
		Senders: []waypost.Sender{
			{Address: "alarm@op.test", State: waypost.SenderRequested},
			{Address: "info@op.test", Name: "Op Info", State: waypost.SenderAssigned, Default: true},
		},
	}
}

const (
	usualFields = "From: Alarm <alarm@op.test>\r\nTo: someone@example.test\r\nSubject: Geofence entered\r\n"
	usualBody   = "The unit has entered the zone.\r\n"
)

// mail is a message with further header fields.
func mail(fields ...string) []byte {
	return []byte(usualFields + strings.Join(append(fields, ""), "\r\n") + "\r\n" + usualBody)
}

// submission is a mail of operator op that is fine.
func submission(fields ...string) waypost.Submission {
	return waypost.Submission{
		Principal: waypost.Principal{
			CredentialID: "cred", OperatorID: "op", Scopes: waypost.DefaultScopes(), FromPolicy: waypost.FromReplace,
		},
		Source: "smtp", Peer: "192.0.2.1", HelloName: "client.test", Protocol: "ESMTPSA", MailFrom: "bounces@op.test",
		Recipients: []string{"someone@example.test"}, Message: mail(fields...),
	}
}

func (w *world) accept(s waypost.Submission) (waypost.Receipt, error) {
	return w.p.Accept(w.t.Context(), s)
}

func (w *world) mustAccept(s waypost.Submission) waypost.Receipt {
	w.t.Helper()
	r, err := w.accept(s)
	if err != nil {
		w.t.Fatalf("refused: %v", err)
	}
	return r
}

// rows counts everything that accepting could write.
func (w *world) rows() string {
	w.t.Helper()
	var b strings.Builder
	for _, table := range []string{"message", "body", "delivery", "event", "idempotency", "attempt", "sandbox", "suppression"} {
		fmt.Fprintf(&b, "%s %d ", table, w.db.Int(w.t, "SELECT count(*) FROM "+table))
	}
	fmt.Fprintf(&b, "accepted %d", w.db.Int(w.t, "SELECT coalesce(sum(accepted), 0) FROM counter"))
	return b.String()
}

// stored reads an accepted message as the queue would.
func (w *world) stored(id string) *waypost.Message {
	w.t.Helper()
	m, err := w.db.System.Mail(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// summary reads an accepted message as its operator would.
func (w *world) summary(id string) *waypost.Message {
	w.t.Helper()
	d, err := w.db.Store.Message(w.t.Context(), "op", id)
	if err != nil {
		w.t.Fatal(err)
	}
	return &d.Messages[0]
}

func (w *world) deliveries(id string) []waypost.Delivery {
	w.t.Helper()
	d, err := w.db.Store.Message(w.t.Context(), "op", id)
	if err != nil {
		w.t.Fatal(err)
	}
	return d.Deliveries
}

func (w *world) suppress(address string, reason waypost.SuppressionReason) {
	w.t.Helper()
	w.accounts["op"].Suppressions = true
	err := w.db.Store.AddSuppression(w.t.Context(), waypost.CommandLine(), "op", waypost.Suppression{Address: address, Reason: reason, Detail: "because"})
	if err != nil {
		w.t.Fatal(err)
	}
}

// refused fails the test unless err is such a refusal.
func refused(t testing.TB, err error, kind waypost.ErrorKind, code, smtp string) {
	t.Helper()
	e := &waypost.Error{}
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want %s", err, code)
	}
	if e.Kind != kind || e.Code != code || e.SMTP != smtp || e.Message == "" {
		t.Errorf("refused with %s %s %q %q, want %s %s %q", e.Kind, e.Code, e.SMTP, e.Message, kind, code, smtp)
	}
}

// failing is a store whose commit fails.
type failing struct {
	submit.Store
	err    error
	accept func() // called before it fails
}

func (f failing) Accept(context.Context, *store.Accepting) error {
	if f.accept != nil {
		f.accept()
	}
	return f.err
}
