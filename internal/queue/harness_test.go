package queue_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// world is a queue over a real store, in a bubble of fake time.
type world struct {
	t        *testing.T
	db       *storetest.DB
	store    *faults
	accounts *accounts
	deliver  *deliverer
	q        *queue.Queue
	ran      chan error // what Run returned
	end      context.CancelFunc
}

// inWorld runs a test in a bubble, with a queue that is started but does not run. At
// the end the queue is stopped, and nothing may be left over.
func inWorld(t *testing.T, test func(t *testing.T, w *world), change ...func(o *queue.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, db: storetest.OpenSQLite(t), accounts: newAccounts()}
		w.deliver = newDeliverer()
		w.q, w.store = w.queue(w.deliver, change...)
		if err := w.q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer w.done()
		test(t, w)
	})
}

// done stops the queue, also when the test has failed, and looks for what is left.
func (w *world) done() {
	w.t.Helper()
	w.stop()
	if s := w.q.Idle(); s != "" {
		w.t.Errorf("after the end: %s", s)
	}
	if n := w.leased(); n != 0 {
		w.t.Errorf("%d deliveries are still leased", n)
	}
	w.deliver.mu.Lock()
	defer w.deliver.mu.Unlock()
	if len(w.deliver.doubled) > 0 {
		w.t.Errorf("tried while being tried: %v", w.deliver.doubled)
	}
	if len(w.deliver.astray) > 0 {
		w.t.Errorf("mail for other sites: %v", w.deliver.astray)
	}
	w.audit()
}

// queue makes a queue on the world's database.
func (w *world) queue(d queue.Deliverer, change ...func(o *queue.Options)) (*queue.Queue, *faults) {
	f := &faults{Store: w.db.System}
	o := queue.Options{
		Store: f, Deliverer: d, Accounts: w.accounts, Alone: true, Node: "node-a",
		Platform: route.Platform{Domain: "platform.test"}, Log: slog.New(slog.NewTextHandler(logTo(), nil)),
	}
	for _, c := range change {
		c(&o)
	}
	return queue.New(o), f
}

func logTo() io.Writer {
	if testing.Verbose() {
		return os.Stderr
	}
	return io.Discard
}

// run lets the queue run until the end of the test.
func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	w.end, w.ran = cancel, make(chan error, 1)
	go func() { w.ran <- w.q.Run(ctx) }()
}

// halt ends Run and returns what it returned.
func (w *world) halt() error {
	if w.end == nil {
		return nil
	}
	w.end()
	w.end = nil
	return <-w.ran
}

func (w *world) stop() {
	w.t.Helper()
	if err := w.halt(); err != nil {
		w.t.Errorf("Run: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := w.q.Stop(ctx); err != nil {
		w.t.Errorf("Stop: %v", err)
	}
}

// settled waits until nothing happens any more, but for the poll. The committer lets
// results gather for a moment.
func (w *world) settled() {
	w.t.Helper()
	for range 3 {
		<-time.After(10 * time.Millisecond)
		synctest.Wait()
	}
	if s := w.q.Check(); s != "" {
		w.t.Fatal(s)
	}
}

// pass lets time go on.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	w.settled()
}

// within waits until something is so, at most for a time.
func (w *world) within(d time.Duration, what string, so func() bool) {
	w.t.Helper()
	// Finer than a second where it costs little: minutes in small steps take real time.
	step := max(50*time.Millisecond, d/1000)
	for deadline := time.Now().Add(d); ; w.pass(step) {
		w.settled()
		if so() {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("not within %v: %s; at %v:\n%s", d, what, time.Now(), w.left())
		}
	}
}

// left describes what is still queued, for failures.
func (w *world) left() string {
	rows, err := w.db.Engine.Reader().QueryContext(context.Background(), `SELECT id, operator_id, site, lane, kind, held, attempts, next_at, lease, control, reason
FROM delivery WHERE state = 'queued' LIMIT 5`)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	_ = engine.Each(rows, func(rows *sql.Rows) error {
		var d waypost.Delivery
		var next int64
		var lane int
		err := rows.Scan(&d.ID, &d.OperatorID, &d.Site, &lane, &d.Kind, &d.Held, &d.Attempts, &next, &d.Lease, &d.Control, &d.Reason)
		key := system.Key{Lane: lane, OperatorID: d.OperatorID, Site: d.Site}
		fmt.Fprintf(&b, "%v %s held %t, next %v, lease %q, control %q, %s; %s\n", key, d.Kind, d.Held, waypost.FromMillis(next), d.Lease, d.Control, d.Reason, w.q.Describe(key))
		return err
	})
	return b.String()
}

// accept accepts a mail as submit does: handed over if the queue takes it.
func (w *world) accept(m storetest.Mail) (*store.Accepting, bool) {
	w.t.Helper()
	return w.acceptOnce(m, nil)
}

func (w *world) acceptOnce(m storetest.Mail, once *waypost.Once) (*store.Accepting, bool) {
	w.t.Helper()
	a, handover, ok := w.reserve(m, once)
	if err := w.db.Store.Accept(context.Background(), a); err != nil {
		handover.Cancel()
		w.t.Fatal(err)
	}
	handover.Start()
	return a, ok
}

// reserve asks for a handover of a mail that is then to be accepted.
func (w *world) reserve(m storetest.Mail, once *waypost.Once) (*store.Accepting, waypost.Handover, bool) {
	w.t.Helper()
	a := m.Accepting()
	account, err := w.accounts.Get(context.Background(), a.OperatorID)
	if err != nil {
		w.t.Fatal(err)
	}
	message := a.Messages[0]
	message.Body = a.Bodies[0].Data
	if m.In > 0 {
		message.SendAt = a.At.Add(m.In)
	}
	handover, ok := w.q.Reserve(account, &message, a.Deliveries, once)
	if ok {
		for i := range a.Deliveries {
			d := &a.Deliveries[i]
			d.Lease, d.Epoch, d.Attempts, d.NextAt = handover.Lease, 1, 1, handover.RetryAt
		}
	}
	return a, handover, ok
}

// row accepts a mail as an ordinary row, as another node would: nobody tells the queue.
func (w *world) row(m storetest.Mail) *store.Accepting {
	w.t.Helper()
	a := m.Accepting()
	if err := w.db.Store.Accept(context.Background(), a); err != nil {
		w.t.Fatal(err)
	}
	return a
}

// rows inserts n deliveries of one operator to one site in bulk.
func (w *world) rows(n int, operator, site string) {
	w.t.Helper()
	const batch = 500
	for ; n > 0; n -= batch {
		m := storetest.Mail{OperatorID: operator}
		for i := range min(n, batch) {
			m.To = append(m.To, fmt.Sprintf("user%d@%s", i, site))
		}
		w.row(m)
	}
}

func (w *world) delivery(id string) waypost.Delivery {
	w.t.Helper()
	var d waypost.Delivery
	var next int64
	err := w.db.Engine.Reader().QueryRowContext(context.Background(), `SELECT id, state, held, attempts, step, next_at, lease, route, reason, cause, control
FROM delivery WHERE id = $1`, id).Scan(&d.ID, &d.State, &d.Held, &d.Attempts, &d.Step, &next, &d.Lease, &d.Route, &d.Reason, &d.Cause, &d.Control)
	if err != nil {
		w.t.Fatal(err)
	}
	d.NextAt = waypost.FromMillis(next)
	return d
}

// only is the state of the one delivery of a mail.
func (w *world) only(a *store.Accepting) waypost.Delivery {
	w.t.Helper()
	return w.delivery(a.Deliveries[0].ID)
}

func (w *world) count(state waypost.State) int64 {
	w.t.Helper()
	return w.db.Int(w.t, "SELECT COUNT(*) FROM delivery WHERE state = $1", string(state))
}

func (w *world) leased() int64 {
	w.t.Helper()
	return w.db.Int(w.t, "SELECT COUNT(*) FROM delivery WHERE lease <> ''")
}

func (w *world) control(a *store.Accepting, action store.ControlAction) store.ControlResult {
	w.t.Helper()
	d := a.Deliveries[0]
	r, err := w.db.Store.Control(context.Background(), waypost.CommandLine(), d.OperatorID, d.ID, action, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	w.q.Changed(context.Background())
	return r
}

// account changes an operator and tells the queue, as a changed number does.
func (w *world) account(id string, change func(a *waypost.Account)) {
	w.accounts.change(id, change)
	w.q.Changed(context.Background())
}

func (w *world) audit() {
	w.t.Helper()
	findings, err := w.db.System.Audit(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range findings {
		w.t.Error(f)
	}
}

// accounts is a fake account directory: every operator exists and is on the built-in
// gateway unless it was changed.
type accounts struct {
	mu        sync.Mutex
	known     map[string]waypost.Account
	err       error
	probe     time.Duration // until a failing relay is tried again
	failed    int
	recovered int
}

func newAccounts() *accounts {
	return &accounts{known: map[string]waypost.Account{}, probe: 30 * time.Second}
}

func (f *accounts) get(id string) waypost.Account {
	a, ok := f.known[id]
	if !ok {
		a = waypost.Account{Operator: waypost.Operator{ID: id, Name: id, Gateway: waypost.GatewayBuiltin}}
	}
	return a
}

// Get implements queue.Accounts.
func (f *accounts) Get(ctx context.Context, id string) (*waypost.Account, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.get(id)
	return &a, errors.Join(f.err, ctx.Err())
}

func (f *accounts) change(id string, change func(a *waypost.Account)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.get(id)
	change(&a)
	f.known[id] = a
}

// RelayFailed implements queue.Accounts.
func (f *accounts) RelayFailed(_ context.Context, id string, tried waypost.Relay, reason string, now time.Time) (time.Time, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.get(id)
	if a.Relay == nil || *a.Relay != tried {
		return time.Time{}, false, nil
	}
	first := !a.RelayHealth.Failing()
	if now.Before(a.RelayHealth.NextProbe) {
		return a.RelayHealth.NextProbe, false, nil
	}
	f.failed++
	if first {
		a.RelayHealth.FailingSince = now
	}
	a.RelayHealth.Reason, a.RelayHealth.NextProbe = reason, now.Add(f.probe)
	f.known[id] = a
	return a.RelayHealth.NextProbe, first, nil
}

// RelayRecovered implements queue.Accounts.
func (f *accounts) RelayRecovered(_ context.Context, id string, tried waypost.Relay) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.get(id)
	if a.Relay == nil || *a.Relay != tried {
		return nil
	}
	f.recovered++
	a.RelayHealth = waypost.RelayHealth{}
	f.known[id] = a
	return nil
}

// health is what is known of an operator's relay.
func (f *accounts) health(id string) waypost.RelayHealth {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.get(id).RelayHealth
}

// onRelay puts an operator on its own SMTP server.
func onRelay(host string) func(a *waypost.Account) {
	return func(a *waypost.Account) {
		a.Gateway, a.Relay = waypost.GatewaySMTP, &waypost.Relay{Host: host, Port: 587, Password: "secret"}
		a.RelayHealth = waypost.RelayHealth{}
	}
}

// faults is a store that fails where a test says so.
type faults struct {
	queue.Store
	mu     sync.Mutex
	fail   map[string]error
	calls  map[string]int
	claims int // at once
	most   int
	rows   int // most rows of one claim
	lost   int // claims that commit, and whose answer is lost
}

var errFault = errors.New("injected fault")

// set makes calls of a name fail with err, or work again.
func (f *faults) set(name string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil {
		f.fail = map[string]error{}
	}
	f.fail[name] = err
}

func (f *faults) of(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[name]++
	return f.fail[name]
}

func (f *faults) called(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[name]
}

func (f *faults) Beat(ctx context.Context, incarnation string) error {
	if err := f.of("Beat"); err != nil {
		return err
	}
	return f.Store.Beat(ctx, incarnation)
}

func (f *faults) Claim(ctx context.Context, c system.Claim) ([]waypost.Delivery, error) {
	if err := f.of("Claim"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.claims++
	f.most = max(f.most, f.claims)
	f.mu.Unlock()
	rows, err := f.Store.Claim(ctx, c)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.claims--
	f.rows = max(f.rows, len(rows))
	if f.lost > 0 && len(rows) > 0 {
		f.lost--
		return nil, errFault
	}
	return rows, err
}

func (f *faults) Mail(ctx context.Context, id string) (*waypost.Message, error) {
	if err := f.of("Mail"); err != nil {
		return nil, err
	}
	return f.Store.Mail(ctx, id)
}

func (f *faults) Controls(ctx context.Context, incarnation string) (map[string]string, error) {
	if err := f.of("Controls"); err != nil {
		return nil, err
	}
	return f.Store.Controls(ctx, incarnation)
}

func (f *faults) Recover(ctx context.Context, incarnation string, now time.Time) (int, error) {
	if err := f.of("Recover"); err != nil {
		return 0, err
	}
	return f.Store.Recover(ctx, incarnation, now)
}

func (f *faults) Finish(r *system.Finish, done func(error)) {
	if err := f.of("Finish"); err != nil {
		done(err)
		return
	}
	f.Store.Finish(r, done)
}

// everything names all that is queued.
func everything() system.Where { return system.Where{All: true} }

// lockedRand is chance for many goroutines.
type lockedRand struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (l *lockedRand) n(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.IntN(n)
}
