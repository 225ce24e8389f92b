package e2e_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/store/storetest"
)

// TestKillLosesNothing kills the server again and again while clients submit and an
// MX receives, and counts: what was acknowledged must arrive, and may arrive twice
// only if a crash interrupted its delivery.
//
//	WAYPOST_E2E_KILLS=500 WAYPOST_E2E_SEED=7 go test -run TestKillLosesNothing -timeout 30m ./e2e/
func TestKillLosesNothing(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		crashLoop(t, scale(t, "WAYPOST_E2E_KILLS", 50))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel() // it mostly waits: another node has to be silent for 30 s to be taken for dead
		crashLoop(t, scale(t, "WAYPOST_E2E_KILLS_POSTGRES", 6),
			"DATABASE_URL="+storetest.PostgresURL(t), "INSTANCE_KEY="+instanceKey())
	})
}

// ledger is what the clients were told and what the MX got, by recipient: each mail
// has one of its own.
type ledger struct {
	mu        sync.Mutex
	acked     map[string]string          // the message's id as acknowledged
	arrivals  map[string]int             // copies the MX answered with 250, or was about to
	headerIDs map[string]map[string]bool // their Message-IDs
	damaged   []string                   // whose copy was not what was sent
}

func (l *ledger) acknowledged(to, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[to] = id
}

// arrived is the MX's knob for the final dot. It answers after a moment, so that
// there is always something in flight.
func (l *ledger) arrived(m mailtest.ReceivedMail) mailtest.Answer {
	pause(time.Duration(rand.Int64N(int64(8*time.Millisecond))), nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	to := m.To[0]
	l.arrivals[to]++
	if l.headerIDs[to] == nil {
		l.headerIDs[to] = map[string]bool{}
	}
	if !strings.HasSuffix(string(m.Data), largeBody(to)) {
		l.damaged = append(l.damaged, to)
	}
	for _, id := range fields(m.Data, "Message-ID") {
		l.headerIDs[to][id] = true
	}
	return mailtest.Answer{}
}

// refuse is the MX's knob for RCPT: a few recipients do not exist, and a few are
// asked to come back.
func refuse(to string) mailtest.Answer {
	switch {
	case strings.HasPrefix(to, "gone"):
		return mailtest.Answer{Reply: "550 5.1.1 no such user"}
	case strings.HasPrefix(to, "grey") && rand.IntN(2) == 0:
		return mailtest.Answer{Reply: "450 4.7.1 greylisted"}
	}
	return mailtest.Answer{}
}

// submitter is a client that submits until it is told to stop, and survives the
// server's crashes.
type submitter struct {
	t       testing.TB
	ledger  *ledger
	number  int
	key     string
	address *atomic.Pointer[string] // where the server listens now
	stop    <-chan struct{}
	careful bool // tries a mail again, with an idempotency key, until it is acknowledged
}

func (c *submitter) run() {
	for n := 0; !c.stopped(); {
		addr := c.address.Load()
		if addr == nil {
			pause(2*time.Millisecond, c.stop)
			continue
		}
		w, err := tryDial(c.t, *addr)
		if err != nil {
			pause(2*time.Millisecond, c.stop)
			continue
		}
		n = c.session(w, n)
		_ = w.conn.Close()
	}
}

func (c *submitter) stopped() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// session submits from mail n on until the connection is lost, and returns which mail
// is next.
func (c *submitter) session(w *wire, n int) int {
	if code, _, err := w.try("EHLO client.test"); err != nil || code != 250 {
		return n
	}
	if code, text, err := w.try("AUTH PLAIN %s", plain("tracker", c.key)); err != nil || code != 235 {
		if err == nil && code >= 500 {
			c.t.Errorf("login refused: %d %s", code, text)
		}
		return n
	}
	for !c.stopped() {
		to := c.recipient(n)
		more := []string{fmt.Sprintf("X-Seq: %d-%d\r\n", c.number, n)}
		if c.careful {
			more = append(more, fmt.Sprintf("Idempotency-Key: %d-%d\r\n", c.number, n))
		}
		code, text, err := w.send("a@operator.test", to, letter("a@operator.test", to, "crash", more...)+largeBody(to))
		if err != nil || code != 250 {
			if err == nil && code >= 500 {
				c.t.Errorf("mail refused: %d %s", code, text)
			}
			if !c.careful {
				n++ // whether it was taken nobody knows
			}
			return n
		}
		c.ledger.acknowledged(to, acceptedID(text))
		n++
	}
	return n
}

// largeBody is what makes some mails large enough for a file of their own, "" for others.
func largeBody(to string) string {
	if !strings.HasPrefix(to, "report") {
		return ""
	}
	return strings.Repeat("for "+to+"\r\n", 5000)
}

// recipient is the same each time for the same mail.
func (c *submitter) recipient(n int) string {
	name := "user"
	switch {
	case n%97 == 13:
		name = "gone"
	case n%41 == 7:
		name = "grey"
	case n%13 == 5:
		name = "report"
	}
	return fmt.Sprintf("%s-%d-%d@site%d.test", name, c.number, n, n%5)
}

func crashLoop(t *testing.T, kills int, settings ...string) {
	seed := uint64(scale(t, "WAYPOST_E2E_SEED", int(time.Now().UnixNano()%1e9)+1))
	t.Logf("WAYPOST_E2E_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	l := &ledger{acked: map[string]string{}, arrivals: map[string]int{}, headerIDs: map[string]map[string]bool{}}
	w := newWorld(t, mailtest.Knobs{Message: l.arrived, RcptTo: refuse}, settings...)
	for i := range 5 {
		w.site(fmt.Sprintf("site%d.test", i), "127.0.0.1")
	}
	var address atomic.Pointer[string]
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 3 {
		key, _ := w.credential("--operator", w.operator(fmt.Sprintf("operator %d", i), "servermate"))
		for j := range 2 {
			c := &submitter{t: t, ledger: l, number: 2*i + j, key: key, address: &address, stop: stop, careful: j == 1}
			clients.Go(c.run)
		}
	}
	slowest := time.Duration(0)
	for kill := range kills {
		s := w.launch(binary, "serve")
		if random.IntN(6) == 0 { // before it is ready, while it takes leases back
			pause(time.Duration(random.Int64N(int64(150*time.Millisecond))), s.ended)
		} else {
			s.waitReady()
			slowest = max(slowest, s.took)
			addr := s.smtp()
			address.Store(&addr)
			pause(time.Duration(random.Int64N(int64(400*time.Millisecond))), s.ended)
			if random.IntN(8) == 0 { // in the middle of an orderly end
				s.terminate()
				pause(time.Duration(random.Int64N(int64(50*time.Millisecond))), s.ended)
			}
		}
		address.Store(nil)
		s.kill()
		if strings.Contains(s.log(), "level=ERROR") || strings.Contains(s.log(), "panic") {
			t.Errorf("kill %d: the server said:\n%s", kill, s.log())
		}
	}
	close(stop)
	clients.Wait()

	s := w.start()
	db := w.reader()
	eventually(t, 2*time.Minute, "the queue is empty", func() bool {
		w.must("queue", "retry", "--all") // the greylisted ones
		return within(2*time.Second, func() bool {
			return number(t, db, "SELECT COUNT(*) FROM delivery WHERE state = 'queued'") == 0
		})
	})
	l.check(t, db)
	w.conserved(db)
	if w.env["WAYPOST_DATABASE_URL"] == "" {
		var verdict string
		if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
			t.Errorf("integrity: %s, %v", verdict, err)
		}
	}
	s.stop()
	t.Logf("slowest start: ready after %s", slowest)
}

// check compares the ledger with the deliveries.
func (l *ledger) check(t *testing.T, db *sql.DB) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	rows, err := db.Query(`SELECT d.recipient, d.message_id, d.state, (SELECT COUNT(*) FROM event e
  WHERE e.message_id = d.message_id AND e.delivery_id = d.id AND e.type = 'recovered') FROM delivery d`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	kept, recoveredAll, twice := map[string]int{}, 0, 0
	for rows.Next() {
		var to, message, state string
		var recovered int
		if err := rows.Scan(&to, &message, &state, &recovered); err != nil {
			t.Fatal(err)
		}
		kept[to]++
		recoveredAll += recovered
		copies := l.arrivals[to]
		twice += max(0, copies-1)
		switch {
		case kept[to] > 1:
			t.Errorf("%s: accepted %d times", to, kept[to])
		case l.acked[to] != "" && l.acked[to] != message:
			t.Errorf("%s: acknowledged as %s, kept as %s", to, l.acked[to], message)
		case strings.HasPrefix(to, "gone") && state != "bounced", !strings.HasPrefix(to, "gone") && state != "delivered":
			t.Errorf("%s ended as %s", to, state)
		case state == "delivered" && copies == 0:
			t.Errorf("%s is said to be delivered but never arrived", to)
		case copies > 1+recovered:
			t.Errorf("%s arrived %d times, and its delivery was interrupted %d times", to, copies, recovered)
		case len(l.headerIDs[to]) > 1:
			t.Errorf("%s: copies with different Message-IDs", to)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, to := range l.damaged {
		t.Errorf("%s got something else than was sent", to)
	}
	lost := 0
	for to := range l.acked {
		if kept[to] == 0 {
			lost++
			t.Errorf("%s was acknowledged and is lost", to)
		}
	}
	for to := range l.arrivals {
		if kept[to] == 0 {
			t.Errorf("%s arrived and there is no delivery of it", to)
		}
	}
	if len(l.acked) == 0 || recoveredAll == 0 {
		t.Errorf("the test saw nothing: %d acknowledged, %d interrupted", len(l.acked), recoveredAll)
	}
	t.Logf("%d acknowledged, %d lost, %d kept without an acknowledgement, %d interrupted, %d delivered twice",
		len(l.acked), lost, len(kept)-len(l.acked), recoveredAll, twice)
}
