package e2e_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/store/storetest"
)

// TestAKillLosesNoWebhook kills the server between any two steps from an event to the answer
// of the endpoint that is told of it: while mail is tried, while its result and the
// suppression that follows are written, before and after a call and its answer. Every event
// in the database has to be taken by the endpoint at least once, each call has the same bytes
// under the same id whenever it comes, and the events of a message come in their order.
//
//	WAYPOST_E2E_WEBHOOK_KILLS=300 WAYPOST_E2E_SEED=7 go test -run TestAKillLosesNoWebhook -timeout 30m ./e2e/
func TestAKillLosesNoWebhook(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		webhookCrashLoop(t, scale(t, "WAYPOST_E2E_WEBHOOK_KILLS", 30))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel() // it mostly waits: another node has to be silent for 30 s to be taken for dead
		webhookCrashLoop(t, scale(t, "WAYPOST_E2E_WEBHOOK_KILLS_POSTGRES", 4),
			"DATABASE_URL="+storetest.PostgresURL(t), "INSTANCE_KEY="+instanceKey())
	})
}

// endpoint takes calls, refuses a few, and remembers what it took.
type endpoint struct {
	*httptest.Server
	t      testing.TB
	secret atomic.Pointer[string]
	steady atomic.Bool   // it takes everything
	came   chan struct{} // a call has come and is not answered yet

	mu     sync.Mutex
	bodies map[string][]byte // by webhook-id
	again  int               // calls that came more than once
	taken  []hookEvent       // of answered calls, in their order
}

// hookEvent is what an endpoint is told.
type hookEvent struct {
	ID, Type string
	Data     struct {
		MessageID string `json:"message_id"`
		Address   string `json:"address"`
		Events    []hookEvent
	}
}

func newEndpoint(t testing.TB) *endpoint {
	t.Helper()
	e := &endpoint{t: t, came: make(chan struct{}, 1), bodies: map[string][]byte{}}
	e.Server = httptest.NewServer(http.HandlerFunc(e.take))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // cut off by a kill
	}
	verifier, err := standardwebhooks.NewWebhook(*e.secret.Load())
	if err == nil {
		err = verifier.Verify(body, r.Header)
	}
	if err != nil {
		e.t.Errorf("signature: %v", err)
	}
	select {
	case e.came <- struct{}{}:
	default:
	}
	pause(time.Duration(rand.Int64N(int64(6*time.Millisecond))), r.Context().Done())
	id := r.Header.Get("Webhook-Id")
	e.mu.Lock()
	defer e.mu.Unlock()
	if before, known := e.bodies[id]; known {
		e.again++
		if !bytes.Equal(before, body) {
			e.t.Errorf("call %s has other bytes than before:\n%s\n%s", id, before, body)
		}
	}
	e.bodies[id] = body
	if !e.steady.Load() && rand.IntN(40) == 0 {
		http.Error(w, "not now", http.StatusInternalServerError)
		return
	}
	var told hookEvent
	if err := json.Unmarshal(body, &told); err != nil {
		e.t.Errorf("%v: %s", err, body)
	}
	if told.Type == "batch" {
		e.taken = append(e.taken, told.Data.Events...)
	} else {
		e.taken = append(e.taken, told)
	}
}

func webhookCrashLoop(t *testing.T, kills int, settings ...string) {
	seed := uint64(scale(t, "WAYPOST_E2E_SEED", int(time.Now().UnixNano()%1e9)+1))
	t.Logf("WAYPOST_E2E_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	l := &ledger{acked: map[string]string{}, arrivals: map[string]int{}, headerIDs: map[string]map[string]bool{}}
	refused := make(chan struct{}, 1)
	w := newWorld(t, mailtest.Knobs{Message: l.arrived, RcptTo: func(to string) mailtest.Answer {
		answer := refuse(to)
		if strings.HasPrefix(to, "gone") { // its result, the suppression and the events are written next
			select {
			case refused <- struct{}{}:
			default:
			}
		}
		return answer
	}}, settings...)
	for _, site := range []string{"site0.test", "site1.test", "site2.test", "site3.test", "site4.test"} {
		w.site(site, "127.0.0.1")
	}
	operator := w.operator("Fleet", "servermate")
	key, _ := w.credential("--operator", operator, "--scope", "send", "--scope", "read", "--scope", "settings")

	single, batch := newEndpoint(t), newEndpoint(t)
	s := w.start()
	c := client.New("http://"+s.addr("http"), key)
	var hooks []client.Webhook
	for _, e := range []*endpoint{single, batch} {
		n := client.NewWebhook{URL: e.URL}
		if e == batch {
			n.MaxEvents = 20
		}
		made := must(c.CreateWebhook(t.Context(), n))(t)
		e.secret.Store(&made.Secret)
		hooks = append(hooks, made)
	}
	s.kill()

	var address atomic.Pointer[string]
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 2 {
		sub := &submitter{t: t, ledger: l, number: i, key: key, address: &address, stop: stop, careful: true}
		clients.Go(sub.run)
	}
	for range kills {
		s := w.start()
		addr := s.smtp()
		address.Store(&addr)
		moment := []chan struct{}{single.came, batch.came, refused, nil}[random.IntN(4)]
		select {
		case <-moment: // an old one: the next counts
		default:
		}
		select {
		case <-moment:
			pause(time.Duration(random.Int64N(int64(8*time.Millisecond))), s.ended)
		case <-s.ended:
		case <-time.After(time.Duration(100+random.Int64N(300)) * time.Millisecond):
		}
		address.Store(nil)
		s.kill()
		if log := s.log(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "panic") {
			t.Errorf("the server said:\n%s", log)
		}
	}
	close(stop)
	clients.Wait()

	single.steady.Store(true)
	batch.steady.Store(true)
	s = w.start()
	c.BaseURL = "http://" + s.addr("http")
	db := w.reader()
	eventually(t, 2*time.Minute, "the queue is empty and all is told", func() bool {
		w.must("queue", "retry", "--all") // the greylisted ones
		for _, h := range hooks {
			must(c.EnableWebhook(t.Context(), h.ID))(t) // what waits for its time is due
		}
		return within(2*time.Second, func() bool {
			return number(t, db, "SELECT COUNT(*) FROM delivery WHERE state = 'queued'") == 0 &&
				number(t, db, "SELECT COUNT(*) FROM webhook_event") == 0 && number(t, db, "SELECT COUNT(*) FROM webhook_call WHERE state = 'waiting'") == 0
		})
	})
	w.conserved(db)
	single.check(t, db, "one event a call")
	batch.check(t, db, "batches")
	s.stop()
}

// check compares what an endpoint took with what happened.
func (e *endpoint) check(t *testing.T, db *sql.DB, name string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	took, suppressed, order := map[string]int{}, map[string]string{}, map[string][]string{}
	for _, told := range e.taken {
		if took[told.ID]++; took[told.ID] > 1 {
			continue
		}
		if told.Type == "suppression.added" {
			if before := suppressed[told.Data.Address]; before != "" {
				t.Errorf("%s: %s was told to be suppressed as %s and as %s", name, told.Data.Address, before, told.ID)
			}
			suppressed[told.Data.Address] = told.ID
			continue
		}
		order[told.Data.MessageID] = append(order[told.Data.MessageID], told.ID)
	}
	rows, err := db.Query(`SELECT id, message_id FROM event WHERE type NOT IN ('retried', 'requested', 'recovered', 'erased') ORDER BY message_id, id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	events, want := 0, map[string][]string{}
	for rows.Next() {
		var id, message string
		if err := rows.Scan(&id, &message); err != nil {
			t.Fatal(err)
		}
		events++
		want[message] = append(want[message], id)
		if took[id] == 0 {
			t.Errorf("%s: event %s of message %s was never taken", name, id, message)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for message, ids := range order {
		if !slices.Equal(ids, want[message]) {
			t.Errorf("%s: message %s was told as %v, want %v", name, message, ids, want[message])
		}
	}
	bounced := number(t, db, "SELECT COUNT(*) FROM delivery WHERE state = 'bounced'")
	if n := number(t, db, "SELECT COUNT(*) FROM suppression"); n != bounced || int(n) != len(suppressed) {
		t.Errorf("%s: %d bounced, %d suppressed, %d told so", name, bounced, n, len(suppressed))
	}
	twice := 0
	for _, n := range took {
		twice += n - 1
	}
	if events == 0 || bounced == 0 {
		t.Errorf("%s: the test saw nothing: %d events, %d bounced", name, events, bounced)
	}
	t.Logf("%s: %d events, 0 lost, %d taken twice; %d calls, %d times again; %d suppressed", name, events, twice, len(e.bodies), e.again, len(suppressed))
}
