package deliver_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost/waypost/internal/deliver"
	"github.com/waypost/waypost/internal/dkim"
	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	delivered = waypost.OutcomeDelivered
	temporary = waypost.OutcomeTemporary
	permanent = waypost.OutcomePermanent
	uncertain = waypost.OutcomeUncertain
	routeDown = waypost.OutcomeRouteDown
	untried   = waypost.Outcome("") // not reported
)

// world is a Deliverer among fake servers.
type world struct {
	t    testing.TB
	dns  *dnstest.Server
	keys *keys
	path route.ReturnPath
	log  *bytes.Buffer // of the Deliverer
	d    *deliver.Deliverer
}

// keys signs for platform.test.
type keys struct {
	key *dkim.Key
	mu  sync.Mutex
	err error
}

func (k *keys) Signer(_ context.Context, domain string) (dkim.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return dkim.Signer{}, k.err
	}
	return dkim.Signer{Domain: domain, Selector: "wp1", Key: k.key}, nil
}

func (k *keys) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

func newKeys(t testing.TB, engine *dkim.Engine) *keys {
	t.Helper()
	text, err := os.ReadFile("testdata/dkim.key")
	if err != nil {
		t.Fatal(err)
	}
	der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	key, err := dkim.ParseKey(der, engine)
	if err != nil {
		t.Fatal(err)
	}
	return &keys{key: key}
}

func newGuard(t testing.TB, o guard.Options) *guard.Guard {
	t.Helper()
	g, err := guard.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// newWorld makes a Deliverer that may talk to loopback addresses and signs for
// platform.test. change adjusts it.
func newWorld(t testing.TB, zones dnstest.Zones, change func(*deliver.Options)) *world {
	t.Helper()
	w := &world{
		t: t, dns: dnstest.Start(t, zones), keys: newKeys(t, dkim.GoEngine()), log: &bytes.Buffer{},
		path: route.ReturnPath{Domain: "bounce.platform.test", Key: []byte("return path key")},
	}
	resolver, err := dns.New(dns.Options{Server: w.dns.Addr, Timeout: time.Second, Tries: 2})
	if err != nil {
		t.Fatal(err)
	}
	open := newGuard(t, guard.Options{Allow: loopback(), Resolver: resolver})
	o := deliver.Options{
		Platform:   route.Platform{Domain: "platform.test", From: waypost.Address{Name: "Platform", Email: "no-reply@platform.test"}},
		ReturnPath: w.path, Keys: w.keys, Resolver: resolver, MX: open, Relays: open, Upstream: open, HELO: "out.platform.test",
		Connect: 10 * time.Second, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	if change != nil {
		change(&o)
	}
	w.d = deliver.New(o)
	t.Cleanup(w.d.Close)
	return w
}

// mx makes a world in which example.test is one fake MX.
func mx(t testing.TB, knobs mailtest.Knobs, change func(*deliver.Options)) (*world, *mailtest.SMTP) {
	t.Helper()
	fake := mailtest.StartSMTP(t, knobs)
	w := newWorld(t, dnstest.Zones{"example.test": {"MX 10 mx.example.test"}, "mx.example.test": {"A 127.0.0.1"}},
		func(o *deliver.Options) {
			o.MXPort = fake.Port()
			if change != nil {
				change(o)
			}
		})
	return w, fake
}

// short waits half a second, not minutes, at the stages where a fake never answers.
func short(k mailtest.Knobs) func(*deliver.Options) {
	return func(o *deliver.Options) {
		t := &o.Timeouts
		for _, stage := range []struct {
			answer mailtest.Answer
			limit  *time.Duration
		}{
			{k.Greet, &t.Greet},
			{k.Hello, &t.Hello},
			{k.StartTLS, &t.TLS},
			{k.Auth, &t.Auth},
			{k.Mail, &t.Mail},
			{k.Rcpt, &t.Rcpt},
			{k.Data, &t.Data},
			{k.Body, &t.Block},
			{k.Dot, &t.Dot},
		} {
			if stage.answer.Hang || stage.answer.Gate != nil {
				*stage.limit = time.Second / 2
			}
		}
	}
}

// hosts puts fakes behind one port of several loopback addresses: MX hosts share a
// port. The n-th fake answers at 127.0.1.n+1; nil stands for a closed port.
func hosts(t testing.TB, fakes ...*mailtest.SMTP) (port int) {
	t.Helper()
	for n, fake := range fakes {
		if fake == nil {
			continue
		}
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.1.%d:%d", n+1, port))
		if err != nil {
			t.Fatal(err)
		}
		port = l.Addr().(*net.TCPAddr).Port
		forward(t, l, fake.Addr())
	}
	return port
}

// forward passes connections on, and their ends.
func forward(t testing.TB, l net.Listener, to string) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := new(net.Dialer).DialContext(context.Background(), "tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				wg.Go(func() {
					_, _ = io.Copy(pair[0], pair[1])
					pair[0].Close()
					pair[1].Close()
				})
			}
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
}

// job is a job with what was reported of it.
type job struct {
	waypost.Job
	mu       sync.Mutex
	attempts []waypost.Attempt // by delivery; the zero Attempt was not reported
	steps    []waypost.Step
}

const (
	usualHeader = "From: Op <alarm@op.test>\r\nTo: someone@example.test\r\nSubject: Geofence entered\r\n" +
		"Message-ID: <1@op.test>\r\nDate: Sat, 31 Jan 2026 08:00:00 +0000\r\n\r\n"
	usualBody = "The unit has entered the zone.\r\n"
)

func newMessage(header, body string) *waypost.Message {
	return &waypost.Message{
		ID: waypost.NewID(), OperatorID: "op", From: waypost.Address{Name: "Op", Email: "alarm@op.test"},
		Header: []byte(header), Body: []byte(body), Size: int64(len(header) + len(body)), Kind: waypost.KindEvent,
	}
}

func newAccount() *waypost.Account {
	return &waypost.Account{
		Operator: waypost.Operator{ID: "op", Name: "Op"},
		Senders:  []waypost.Sender{{Address: "alarm@op.test", State: waypost.SenderAssigned, Default: true}},
		Domains:  []waypost.Domain{{Name: "op.test", Proven: time.Now(), Authorized: time.Now()}},
	}
}

// direct is a job for the built-in gateway. All recipients are of one domain.
func direct(to ...string) *job {
	j := newJob(to)
	j.Route, j.Site = waypost.RouteDirect, j.Deliveries[0].Site
	return j
}

func newJob(to []string) *job {
	j := &job{attempts: make([]waypost.Attempt, len(to))}
	j.Account, j.Message, j.Lane = newAccount(), newMessage(usualHeader, usualBody), waypost.LaneTransactional
	for _, r := range to {
		site, err := dns.ToASCII(waypost.DomainOf(r))
		if err != nil {
			site = waypost.DomainOf(r) // an address literal
		}
		j.Deliveries = append(j.Deliveries, waypost.Delivery{
			ID: waypost.NewID(), OperatorID: "op", MessageID: j.Message.ID, Recipient: r, Site: site, Attempts: 1,
		})
	}
	j.MayTalk = func(*waypost.Delivery) error { return nil }
	j.MayDot = func() error { return nil }
	return j
}

// relayed is a job for the operator's own server.
func relayed(r *waypost.Relay, to ...string) *job {
	j := newJob(to)
	j.Route, j.Relay = waypost.RouteRelay, r
	return j
}

func (j *job) with(change func(*job)) *job {
	change(j)
	return j
}

// watch makes the job one that somebody follows.
func (j *job) watch() *job {
	j.Step = func(s waypost.Step) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.steps = append(j.steps, s)
	}
	return j
}

func (w *world) send(j *job) []waypost.Attempt { return w.sendCtx(w.t.Context(), j) }

func (w *world) sendCtx(ctx context.Context, j *job) []waypost.Attempt {
	w.t.Helper()
	j.Report = func(i int, a waypost.Attempt) {
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.attempts[i].Outcome != "" {
			w.t.Errorf("delivery %d is reported twice: %+v, then %+v", i, j.attempts[i], a)
		}
		j.attempts[i] = a
	}
	w.d.Deliver(ctx, &j.Job)
	return j.attempts
}

// outcomes fails the test unless the attempts ended so.
func outcomes(t testing.TB, got []waypost.Attempt, want ...waypost.Outcome) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d attempts, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Outcome != want[i] {
			t.Errorf("delivery %d: %q at %s (%s), want %q", i, got[i].Outcome, got[i].Phase, got[i].Reply, want[i])
		}
	}
}

func recipients(n int) []string {
	to := make([]string, n)
	for i := range to {
		to[i] = fmt.Sprintf("user%d@example.test", i)
	}
	return to
}

func say(reply string) mailtest.Answer { return mailtest.Answer{Reply: reply} }

var errTest = errors.New("no, says the test")
