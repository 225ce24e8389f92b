package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/webhook"
)

// slowly lets calls rest so long that nothing is repeated in a test by itself.
func slowly(w *world) {
	w.Pace(func(int) time.Duration { return time.Hour }, func(int) time.Duration { return time.Hour })
}

// attempts waits until so many attempts are recorded and returns the webhook.
func (w *world) attempts(t *testing.T, n int64) store.StoredWebhook {
	t.Helper()
	eventually(t, fmt.Sprint(n, " attempts"), func() bool { return w.db.Int(t, "SELECT COUNT(*) FROM webhook_attempt") >= n })
	h, err := w.db.Store.Webhook(t.Context(), "op", w.only(t))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// lastCall is the newest call, with its attempts.
func (w *world) lastCall(t *testing.T) (waypost.WebhookCall, []waypost.WebhookAttempt) {
	t.Helper()
	id := w.only(t)
	list, _, err := w.db.Store.WebhookCalls(t.Context(), "op", id, store.WebhookCallFilter{}, "", 1)
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	c, attempts, err := w.db.Store.WebhookCall(t.Context(), "op", id, list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return c, attempts
}

func TestOnly2xxIsSuccess(t *testing.T) {
	for status, want := range map[int]string{
		302: "redirects are not followed", 400: "answered 400 Bad Request", 500: "answered 500", 404: "answered 404", 429: "answered 429", 200: "", 202: "", 204: "",
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			w := newWorld(t, storetest.OpenSQLite(t))
			slowly(w)
			other := newReceiver(t)
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Location", other.URL)
				rw.WriteHeader(status)
			}))
			defer server.Close()
			w.hook(t, server.URL)
			w.start(t)
			w.mail(t, storetest.Mail{})
			h := w.attempts(t, 1)
			c, attempts := w.lastCall(t)
			if (want == "") != (c.State == waypost.WebhookDelivered) || h.Failing() != (want != "") || !strings.Contains(attempts[0].Error, want) || attempts[0].Status != status {
				t.Errorf("%+v, %+v, failing %v", c, attempts, h.FailingSince)
			}
			if len(other.all()) != 0 {
				t.Error("a redirect was followed")
			}
		})
	}
}

func TestGoneDisablesAtOnce(t *testing.T) {
	w := newWorld(t, storetest.OpenSQLite(t))
	var notices []waypost.WebhookNotice
	broken := true
	w.Webhooks = webhook.New(with(w.options, func(o *webhook.Options) {
		o.Notify = func(_ context.Context, _ waypost.Webhook, n waypost.WebhookNotice) error {
			if broken {
				broken = false
				return errors.New("not now")
			}
			notices = append(notices, n)
			return nil
		}
	}))
	r := newReceiver(t)
	r.set(func(call) int { return http.StatusGone })
	id, _ := w.hook(t, r.URL)
	for range 5 {
		w.mail(t, storetest.Mail{})
	}
	w.Poll()
	eventually(t, "the end of the webhook", func() bool {
		h, err := w.db.Store.Webhook(t.Context(), "op", id)
		return err == nil && !h.Enabled && h.DisabledWhy == waypost.DisabledAsGone && h.Lease == ""
	})
	w.mail(t, storetest.Mail{}) // nobody wants to know
	for range 3 {
		w.Chores()
	}
	if n := w.db.Int(t, "SELECT COUNT(*) FROM webhook_event"); n != 0 {
		t.Errorf("%d events are left", n)
	}
	if len(r.all()) != 1 {
		t.Errorf("%d calls", len(r.all()))
	}
	if fmt.Sprint(notices) != "[disabled]" {
		t.Errorf("notices %v", notices)
	}
	log, err := w.db.Store.AuditLog(t.Context(), "op", "", 1)
	if err != nil || log[0].Action != "webhook.disable" || log[0].Actor != waypost.Policy() || strings.Contains(log[0].Target, "?") {
		t.Errorf("%+v, %v", log, err)
	}
}

func with(o webhook.Options, change func(*webhook.Options)) webhook.Options {
	change(&o)
	return o
}

func TestThreeDaysOfFailureDisable(t *testing.T) {
	w := newWorld(t, storetest.OpenSQLite(t))
	slowly(w)
	var notices []waypost.WebhookNotice
	w.Webhooks = webhook.New(with(w.options, func(o *webhook.Options) {
		o.Notify = func(_ context.Context, _ waypost.Webhook, n waypost.WebhookNotice) error {
			notices = append(notices, n)
			return nil
		}
	}))
	slowly(w)
	r := newReceiver(t)
	r.set(func(call) int { return http.StatusInternalServerError })
	id, _ := w.hook(t, r.URL)
	w.mail(t, storetest.Mail{})
	w.Poll()
	w.attempts(t, 1)
	for i, c := range []struct {
		age      time.Duration
		failures int
		enabled  bool
	}{
		{6 * time.Hour, 8, true},
		{13 * time.Hour, 20, true},
		{20 * time.Hour, 30, true},
		{73 * time.Hour, 2, true}, // we were stopped meanwhile, or our clock was wrong
		{73 * time.Hour, 80, false},
	} {
		w.db.Exec(t, "UPDATE webhook SET failing_since = $1, failures = $2, next_at = 0, epoch = epoch + 1", waypost.Millis(time.Now().Add(-c.age)), int64(c.failures-1))
		w.db.Exec(t, "UPDATE webhook_call SET next_at = 0 WHERE state = 'waiting'")
		w.Told([]string{"webhook/op/" + id})
		h := w.attempts(t, int64(i+2))
		w.Chores()
		if h.Enabled != c.enabled {
			t.Errorf("after %v and %d failures enabled is %v", c.age, c.failures, h.Enabled)
		}
	}
	if fmt.Sprint(notices) != "[failing disabled]" {
		t.Errorf("notices %v", notices)
	}
	h, err := w.db.Store.EnableWebhook(t.Context(), waypost.CommandLine(), "op", id, storetest.Now())
	if err != nil || !h.Enabled || h.Failing() {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestACallIsGivenUpAfterThreeDaysAndItsMessageGoesOn(t *testing.T) {
	w := newWorld(t, storetest.OpenSQLite(t))
	slowly(w)
	r := newReceiver(t)
	r.set(func(c call) int {
		if c.events[0].Type == waypost.WebhookAccepted {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	w.hook(t, r.URL)
	w.start(t)
	w.finish(t, w.mail(t, storetest.Mail{})[0], waypost.Delivered)
	w.attempts(t, 1)
	if len(r.taken()) != 0 {
		t.Error("an event overtook another of its message")
	}
	// Late, but it was tried once only: it may be we who were away.
	w.db.Exec(t, "UPDATE webhook_call SET next_at = 0, expires = 1")
	w.Poll()
	w.attempts(t, 2)
	if n := w.db.Int(t, "SELECT COUNT(*) FROM webhook_call WHERE state = 'failed'"); n != 0 {
		t.Error("it was given up")
	}
	w.db.Exec(t, "UPDATE webhook_call SET next_at = 0")
	w.Poll()
	r.until(t, "the rest of the message", func() bool { return len(r.taken()) == 1 })
	w.idle(t)
	if n := w.db.Int(t, "SELECT COUNT(*) FROM webhook_call WHERE state = 'failed'"); n != 1 {
		t.Errorf("%d failed calls", n)
	}
	// The failed one can be sent again, the same.
	failed := r.all()[0]
	r.set(nil)
	if err := w.db.Store.ResendWebhookCall(t.Context(), waypost.CommandLine(), "op", w.only(t), failed.id, storetest.Now()); err != nil {
		t.Fatal(err)
	}
	r.until(t, "it again", func() bool { return len(r.taken()) == 2 })
	if last := r.all()[len(r.all())-1]; last.id != failed.id || !bytes.Equal(last.body, failed.body) {
		t.Errorf("sent %s again as %s", failed.id, last.id)
	}
}

func TestRetryAfterIsHeeded(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		status int
		value  string
		want   time.Duration
	}{
		{503, "120", 2 * time.Minute},
		{429, now.Add(time.Hour).Format(http.TimeFormat), time.Hour},
		{429, "999999999", 6 * time.Hour},
		{429, now.Add(-time.Hour).Format(http.TimeFormat), 0},
		{429, "soon", 0},
		{429, "-5", 0},
		{500, "120", 0},
		{200, "120", 0},
	} {
		if got := webhook.Asked(c.status, http.Header{"Retry-After": {c.value}}, now); got != c.want {
			t.Errorf("%d %q: %v, want %v", c.status, c.value, got, c.want)
		}
	}
	w := newWorld(t, storetest.OpenSQLite(t))
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		rw.Header().Set("Retry-After", "3600")
		rw.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	w.hook(t, server.URL)
	for range 5 {
		w.mail(t, storetest.Mail{})
	}
	w.Poll()
	h := w.attempts(t, 1)
	w.Poll()
	if rest := time.Until(h.NextAt); rest < 50*time.Minute || calls.Load() != 1 {
		t.Errorf("it rests for %v, %d calls", rest, calls.Load())
	}
}

func TestTheScheduleTakesThreeDays(t *testing.T) {
	var sum time.Duration
	n := 0
	for ; sum < waypost.WebhookLife; n++ {
		d := webhook.RetryAfter(n + 1)
		if n > 0 && d < sum/10 {
			t.Errorf("attempt %d comes after %v more", n+2, d)
		}
		sum += d
	}
	if n < 10 || n > 15 {
		t.Errorf("%d attempts", n)
	}
	if d := webhook.ProbeAfter(1000); d > 70*time.Minute {
		t.Errorf("a failing endpoint is probed every %v", d)
	}
}

func TestAnOutageLeavesEventsAndFewCalls(t *testing.T) {
	w := newWorld(t, storetest.OpenSQLite(t))
	w.Pace(func(int) time.Duration { return time.Hour }, func(int) time.Duration { return 0 })
	r := newReceiver(t)
	var down atomic.Bool
	down.Store(true)
	r.set(func(call) int {
		if down.Load() {
			return http.StatusBadGateway
		}
		return http.StatusOK
	})
	for range 100 {
		w.mail(t, storetest.Mail{})
	}
	_, r.secret = w.hook(t, r.URL)
	w.start(t)
	for range 100 {
		w.mail(t, storetest.Mail{})
	}
	w.attempts(t, 40)
	if n := w.db.Int(t, "SELECT COUNT(*) FROM webhook_call"); n > 12 {
		t.Errorf("%d calls were made in an outage", n)
	}
	down.Store(false)
	r.until(t, "everything", func() bool { return len(distinct(r.taken())) == 100 })
	w.idle(t)
}

// resolver answers with addresses in turn.
type resolver struct {
	mu      sync.Mutex
	answers []string
}

func (r *resolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	addr := netip.MustParseAddr(r.answers[0])
	if len(r.answers) > 1 {
		r.answers = r.answers[1:]
	}
	return []netip.Addr{addr}, nil
}

func TestPrivateAddressesAreNotCalled(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	reached := make(chan struct{}, 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
			reached <- struct{}{}
		}
	}()
	port := listener.Addr().(*net.TCPAddr).Port
	for name, answers := range map[string][]string{
		"a name for loopback":                {"127.0.0.1"},
		"a name for a private network":       {"10.0.0.1"},
		"a name for the metadata of a cloud": {"169.254.169.254"},
		"a mapped address":                   {"::ffff:127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			web, err := guard.NewWeb(guard.WebOptions{Options: guard.Options{Resolver: &resolver{answers: answers}}})
			if err != nil {
				t.Fatal(err)
			}
			defer web.Close()
			w := newWorld(t, storetest.OpenSQLite(t))
			w.Webhooks = webhook.New(with(w.options, func(o *webhook.Options) { o.Web = web }))
			slowly(w)
			w.hook(t, fmt.Sprintf("https://hooks.example.test:%d/", port))
			w.mail(t, storetest.Mail{})
			w.Poll()
			h := w.attempts(t, 1)
			if !strings.Contains(h.FailingWhy, "destination refused") || strings.Contains(h.FailingWhy, answers[0]) {
				t.Errorf("failing because %q", h.FailingWhy)
			}
			if len(reached) > 0 {
				t.Error("the private address was dialed")
			}
		})
	}
}

func TestAnswersAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		state  waypost.WebhookState
		words  string // in the error
	}{
		"ten megabytes": {func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(rw, io.LimitReader(strings.NewReader(strings.Repeat("\x1b[31mevil\u202e ", 1<<20)), 10<<20))
		}, waypost.WebhookDelivered, ""},
		"an answer that never ends": {func(rw http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			rw.WriteHeader(http.StatusOK)
			_, _ = rw.Write([]byte("here it comes"))
			_ = http.NewResponseController(rw).Flush()
			<-req.Context().Done()
		}, waypost.WebhookDelivered, ""},
		"headers that do not come": {func(_ http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body) // or the server does not see that the client is gone
			<-req.Context().Done()
		}, waypost.WebhookWaiting, "no whole answer in time"},
		"a header that is too big": {func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("X-Big", strings.Repeat("x", 100<<10))
		}, waypost.WebhookWaiting, "header"},
		"a connection that is closed": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, waypost.WebhookWaiting, "closed the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, storetest.OpenSQLite(t))
			w.Webhooks = webhook.New(with(w.options, func(o *webhook.Options) { o.Timeout = 300 * time.Millisecond }))
			slowly(w)
			server := httptest.NewServer(c.answer)
			defer server.Close()
			w.hook(t, server.URL)
			w.mail(t, storetest.Mail{})
			w.Poll()
			w.attempts(t, 1)
			got, attempts := w.lastCall(t)
			a := attempts[0]
			if got.State != c.state || !strings.Contains(a.Error, c.words) {
				t.Errorf("%+v", a)
			}
			if len(a.Answer) > 4<<10 || strings.ContainsAny(a.Answer, "\x1b\u202e") {
				t.Errorf("%d bytes of the answer are kept: %q", len(a.Answer), a.Answer)
			}
		})
	}
}

func TestAHangingEndpointHoldsUpNoOther(t *testing.T) {
	w := newWorld(t, storetest.OpenSQLite(t))
	w.Webhooks = webhook.New(with(w.options, func(o *webhook.Options) { o.Slots, o.Timeout = 4, time.Minute }))
	release := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		select {
		case <-release:
		case <-req.Context().Done():
		}
	}))
	defer hangs.Close()
	defer close(release)
	r := newReceiver(t)
	_, r.secret = w.hook(t, r.URL)
	w.start(t)
	w.mail(t, storetest.Mail{})
	r.until(t, "a first call", func() bool { return len(r.taken()) == 1 })
	eventually(t, "its result", func() bool { return w.db.Int(t, "SELECT COUNT(*) FROM webhook_event") == 0 })
	for range 20 { // far more than there are slots
		w.hook(t, hangs.URL, func(h *waypost.Webhook) { h.OperatorID = "slow" })
	}
	w.mail(t, storetest.Mail{OperatorID: "slow"})
	for range 50 {
		w.mail(t, storetest.Mail{})
	}
	r.until(t, "all of the good one", func() bool { return len(r.taken()) == 51 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w.running()
	w.running = nil
	if err := w.Stop(ctx); err != nil { // what hangs is cut off
		t.Error(err)
	}
	if n := w.db.Int(t, "SELECT COUNT(*) FROM webhook WHERE lease <> ''"); n != 0 {
		t.Errorf("%d leases are left", n)
	}
}

func TestADisabledWebhookIsLeftAlone(t *testing.T) {
	w := newWorld(t, storetest.OpenSQLite(t))
	r := newReceiver(t)
	id, _ := w.hook(t, r.URL)
	w.start(t)
	r.set(func(call) int { // it is disabled while it is being called
		if _, err := w.db.Store.DisableWebhook(context.Background(), waypost.CommandLine(), "op", id, storetest.Now()); err != nil {
			t.Error(err)
		}
		return http.StatusOK
	})
	w.finish(t, w.mail(t, storetest.Mail{})[0], waypost.Delivered)
	r.until(t, "the call", func() bool { return len(r.all()) == 1 })
	w.idle(t)
	w.mail(t, storetest.Mail{})
	if n := w.db.Int(t, "SELECT COUNT(*) FROM webhook_event"); n != 0 || len(r.all()) != 1 {
		t.Errorf("%d events, %d calls", n, len(r.all()))
	}
	c, _ := w.lastCall(t)
	if c.State != waypost.WebhookDelivered {
		t.Errorf("the call that was under way is %s", c.State)
	}
}

func TestTheTestButtonTellsWhatHappened(t *testing.T) {
	w := newWorld(t, storetest.OpenSQLite(t))
	r := newReceiver(t)
	id, shown := w.hook(t, r.URL)
	r.secret = shown
	c, err := w.Test(t.Context(), waypost.CommandLine(), "op", id)
	if err != nil || c.State != waypost.WebhookDelivered || c.Last.Status != http.StatusNoContent {
		t.Fatalf("%+v, %v", c, err)
	}
	if got := r.all()[0]; got.id != c.ID || got.events[0].Type != waypost.WebhookTest {
		t.Errorf("got %+v", got)
	}
	r.set(func(call) int { return http.StatusTeapot })
	c, err = w.Test(t.Context(), waypost.CommandLine(), "op", id)
	if err != nil || c.State != waypost.WebhookFailed || c.Last.Error == "" {
		t.Errorf("%+v, %v", c, err)
	}
	logged, attempts := w.lastCall(t)
	if logged.ID != c.ID || len(attempts) != 1 || logged.State != waypost.WebhookFailed {
		t.Errorf("%+v %+v", logged, attempts)
	}
	if _, err := w.Test(t.Context(), waypost.CommandLine(), "another", id); waypost.KindOf(err) != waypost.NotFound {
		t.Errorf("another operator tested it: %v", err)
	}
	for range 20 {
		_, err = w.Test(t.Context(), waypost.CommandLine(), "op", id)
	}
	if waypost.KindOf(err) != waypost.RateLimited {
		t.Errorf("no end of tests: %v", err)
	}
}

func TestAReplayTellsTheSameEventsInNewCalls(t *testing.T) {
	w := newWorld(t, storetest.OpenSQLite(t))
	r := newReceiver(t)
	id, shown := w.hook(t, r.URL)
	r.secret = shown
	w.start(t)
	began := storetest.Now()
	d := w.mail(t, storetest.Mail{})
	w.finish(t, d[0], waypost.Delivered)
	r.until(t, "both", func() bool { return len(r.taken()) == 2 })
	w.idle(t)
	if _, err := w.db.Store.ReplayWebhook(t.Context(), waypost.CommandLine(), "op", id, began, storetest.Now().Add(time.Second), storetest.Now()); err != nil {
		t.Fatal(err)
	}
	r.until(t, "both again", func() bool { return len(r.taken()) == 4 })
	got := r.taken()
	for i := range 2 {
		if got[i].ID != got[i+2].ID || got[i].Replay || !got[i+2].Replay || string(got[i].Data) != string(got[i+2].Data) {
			t.Errorf("told %+v, and then %+v", got[i], got[i+2])
		}
	}
	if all := r.all(); all[0].id == all[2].id {
		t.Error("a replay is a new call")
	}
}

func TestWhatIsShownIsSafe(t *testing.T) {
	for in, want := range map[string]string{
		"ok\n":                  "ok",
		"a\x00b\x1b[2Jc\u202ed": "ab[2Jcd",
		"\xff\xfe":              "\uFFFD",
		"two\nlines":            "two\nlines",
	} {
		if got := webhook.Shown([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := webhook.Shown(bytes.Repeat([]byte("ä"), 100_000)); len([]rune(got)) != 1024 {
		t.Errorf("%d characters", len([]rune(got)))
	}
}

func TestWhatAnOldURLAnsweredIsNotHeldAgainstTheNewOne(t *testing.T) {
	w := newWorld(t, storetest.OpenSQLite(t))
	slowly(w)
	called, moved := make(chan struct{}), make(chan struct{})
	old, r := newReceiver(t), newReceiver(t)
	old.set(func(call) int {
		close(called)
		<-moved
		return http.StatusGone
	})
	var id string
	id, r.secret = w.hook(t, old.URL)
	w.start(t)
	w.finish(t, w.mail(t, storetest.Mail{})[0], waypost.Delivered)
	<-called
	if _, err := w.db.Store.ChangeWebhook(t.Context(), waypost.CommandLine(), "op", id, store.WebhookChange{URL: &r.URL}, storetest.Now()); err != nil {
		t.Fatal(err)
	}
	close(moved)
	r.until(t, "both events", func() bool { return len(r.taken()) == 2 })
	w.idle(t)
	h, err := w.db.Store.Webhook(t.Context(), "op", id)
	if err != nil || !h.Enabled || h.Failing() {
		t.Errorf("enabled %v, failing since %v, %v", h.Enabled, h.FailingSince, err)
	}
	if got := types(r.taken()); got != "message.accepted delivery.delivered" {
		t.Errorf("told %s", got)
	}
}

func TestANoticeThatCannotBeSentHoldsUpNoOther(t *testing.T) {
	w := newWorld(t, storetest.OpenSQLite(t))
	var told []string
	w.Webhooks = webhook.New(with(w.options, func(o *webhook.Options) {
		o.Notify = func(_ context.Context, h waypost.Webhook, _ waypost.WebhookNotice) error {
			told = append(told, h.ID)
			if len(told) == 1 {
				return errors.New("no")
			}
			return nil
		}
	}))
	for range 3 {
		w.hook(t, "https://example.test/")
	}
	w.db.Exec(t, "UPDATE webhook SET notice = 'failing'")
	w.Chores()
	if n := w.db.Int(t, "SELECT COUNT(*) FROM webhook WHERE notice <> ''"); len(told) != 3 || n != 1 {
		t.Errorf("told %v, %d are left", told, n)
	}
}

// readingStore counts looks for events that are to be told.
type readingStore struct {
	webhook.Store
	looks atomic.Int64
	reads atomic.Int64
}

func (s *readingStore) WebhookWork(ctx context.Context, k store.WebhookKey, calls, fresh int, finished []string) (*store.WebhookWork, error) {
	s.reads.Add(1)
	if fresh > 0 {
		s.looks.Add(1)
	}
	return s.Store.WebhookWork(ctx, k, calls, fresh, finished)
}

func TestWhatIsToldToAnEndpointThatRestsIsNotReadEachTime(t *testing.T) {
	reading := &readingStore{}
	w := newWorld(t, storetest.OpenSQLite(t), func(o *webhook.Options) { reading.Store, o.Store = o.Store, reading })
	slowly(w)
	r := newReceiver(t)
	r.set(func(call) int { return http.StatusInternalServerError })
	id, _ := w.hook(t, r.URL)
	w.db.Exec(t, "UPDATE webhook SET failures = 10, failing_since = $1", waypost.Millis(time.Now()))
	w.mail(t, storetest.Mail{})
	w.Poll()
	w.attempts(t, 1) // it rests for an hour
	word := []string{"webhook/op/" + id}
	for range 100 {
		before := reading.reads.Load()
		w.Told(word)
		eventually(t, "a look", func() bool { return reading.reads.Load() > before })
	}
	if n := reading.looks.Load(); n > 3 {
		t.Errorf("looked for events %d times", n)
	}
	// Who enables it need not wait for the end of its rest.
	r.set(nil)
	if _, err := w.db.Store.EnableWebhook(t.Context(), waypost.CommandLine(), "op", id, storetest.Now()); err != nil {
		t.Fatal(err)
	}
	w.Told(word)
	w.idle(t)
}
