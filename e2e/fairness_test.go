package e2e_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/mailtest"
)

// fill writes queued mails of an operator straight into the database of an
// installation that is not served, due at nextAt: as many as wait after a bad night.
// They share one body and go to the sites "<prefix>0.test" and on.
func (in *installation) fill(operator string, mails, sites int, prefix string, nextAt time.Time) {
	in.t.Helper()
	now := time.Now().UnixMilli()
	expires := time.Now().Add(72 * time.Hour).UnixMilli()
	// UUIDv7 text of this moment, with endings of their own.
	stamp := fmt.Sprintf("%012x", now)
	stamp = stamp[:8] + "-" + stamp[8:]
	id := func(kind string) string { return "printf('" + stamp + "-7" + kind + "-8000-%012x', n)" }
	body := stamp + "-7003-8000-000000000001"
	seq := fmt.Sprintf("WITH RECURSIVE seq(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < %d) ", mails)
	in.change(
		"BEGIN IMMEDIATE",
		fmt.Sprintf(`INSERT INTO body (id, operator_id, file, file_at, file_size, file_sum, data) VALUES ('%s', '%s', '', 0, 0, 0,
		  CAST('Unit 4711 has left the zone.' || char(13, 10) AS BLOB))`, body, operator),
		fmt.Sprintf(seq+`INSERT INTO message (id, operator_id, batch_id, credential_id, source, kind, lane, test, mail_from, from_addr, from_name,
		  subject, header_id, size, eight_bit, header_utf8, tags, metadata, created, send_at, expires, erase_at, erased, body_id, header)
		SELECT %s, '%s', '', '', 'smtp', 'event', 1, 0, 'a@operator.test', 'a@operator.test', '',
		  'night', printf('<%%d@operator.test>', n), 150, 0, 0, '', '', %d, 0, %d, %d, 0, '%s',
		  CAST(printf('From: a@operator.test%%sTo: r%%d@x.test%%sSubject: night%%sMessage-ID: <%%d@operator.test>%%sDate: Sun, 22 Nov 2026 10:00:00 +0000%%s%%s',
		    char(13, 10), n, char(13, 10), char(13, 10), n, char(13, 10), char(13, 10), char(13, 10)) AS BLOB) FROM seq`,
			id("001"), operator, now, expires, expires, body),
		fmt.Sprintf(seq+`INSERT INTO delivery (id, operator_id, message_id, recipient, address, site, kind, lane, state, held, control, attempts, step,
		  next_at, expires, lease, epoch, route, cause, reason, created, updated)
		SELECT %s, '%s', %s, 'r' || n || '@%s' || (n %% %d) || '.test', 'r' || n || '@%s' || (n %% %d) || '.test', '%s' || (n %% %d) || '.test',
		  'event', 1, 'queued', 0, '', 1, 1, %d, %d, '', 1, 'direct', 'temporary', 'try again', %d, %d FROM seq`,
			id("002"), operator, id("001"), prefix, sites, prefix, sites, prefix, sites, nextAt.UnixMilli(), expires, now, now),
		fmt.Sprintf(seq+`INSERT INTO event (message_id, id, operator_id, delivery_id, type, from_state, to_state, count, attempt, actor, detail, at)
		SELECT %s, %s, '%s', '', 'accepted', '', 'queued', 1, 0, '', '', %d FROM seq`, id("001"), id("004"), operator, now),
		fmt.Sprintf(`INSERT INTO counter (operator_id, node, accepted, delivered, bounced, expired, cancelled, suppressed, uncertain)
		VALUES ('%s', 'filled', %d, 0, 0, 0, 0, 0, 0)`, operator, mails),
		"COMMIT",
	)
}

// deaf accepts connections at an address and never says a word.
func deaf(t *testing.T, addr string) (connections func() int) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wait.Wait()
		for _, conn := range open {
			_ = conn.Close()
		}
	})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(open)
	}
}

// TestHangingSitesHoldUpNobodyElse has one operator's due mails go to sites that
// accept connections and never greet.
//
//	WAYPOST_E2E_DUE=100000 go test -run TestHangingSites ./e2e/
func TestHangingSitesHoldUpNobodyElse(t *testing.T) {
	due := scale(t, "WAYPOST_E2E_DUE", 20000)
	for name, sites := range map[string]int{"one site": 1, "as many as there are sessions": 200} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, mailtest.Knobs{})
			for i := range sites {
				w.site(fmt.Sprintf("hang%d.test", i), "127.0.0.2")
			}
			connections := deaf(t, fmt.Sprintf("127.0.0.2:%d", w.mx.Port()))
			victim, victimKey := w.sender("Victim", "--scope", "send", "--scope", "send:alarm")
			_, key := w.sender("Other", "--scope", "send", "--scope", "send:alarm")
			w.fill(victim, due, sites, "hang", time.Now().Add(-time.Minute))
			s := w.start()
			t.Logf("%d due mails: ready after %s", due, s.took)
			wanted := min(5*sites, 100) // sessions that hang, at least
			eventually(t, time.Minute, "sessions hang", func() bool { return connections() >= min(wanted, 5) })
			if sites > 1 {
				within(10*time.Second, func() bool { return connections() >= wanted })
			}
			t.Logf("%d sessions hang", connections())

			alarm := func(who, key string) {
				t.Helper()
				w.mx.Forget()
				began := time.Now()
				to := who + "-alarm@rcpt.test"
				dial(t, s.smtp()).login("x", key).submit("a@operator.test", to, letter("a@operator.test", to, "alarm", "X-Waypost-Lane: alarm\r\n"))
				if mails := w.mx.WaitMails(t, 1); mails[0].To[0] != to {
					t.Errorf("%s arrived instead of the alarm", mails[0].To[0])
				}
				t.Logf("%s's alarm arrived after %s", who, time.Since(began).Round(time.Millisecond))
			}
			alarm("other", key)
			alarm("victim", victimKey)
			submit := dial(t, s.smtp()).login("x", key)
			for _, kind := range []string{"report", "event"} {
				w.mx.Forget()
				began := time.Now()
				to := kind + "@rcpt.test"
				submit.submit("a@operator.test", to, letter("a@operator.test", to, kind, "X-Waypost-Kind: "+kind+"\r\n"))
				w.mx.WaitMails(t, 1)
				t.Logf("%s arrived after %s", kind, time.Since(began).Round(time.Millisecond))
			}
			t.Logf("%d MiB resident", s.memory("VmRSS"))
			s.stop()
		})
	}
}

// TestDeferredMailCostsNoMemory starts on a database with many mails that wait.
//
//	WAYPOST_E2E_MILLION=1 go test -run TestDeferredMail ./e2e/
func TestDeferredMailCostsNoMemory(t *testing.T) {
	mails := 50_000
	if os.Getenv("WAYPOST_E2E_MILLION") != "" {
		mails = 1_000_000
	}
	const most = 200 // MiB
	w := newWorld(t, mailtest.Knobs{})
	op, key := w.sender("Fleet")
	w.fill(op, mails, 1000, "later", time.Now().Add(6*time.Hour))
	s := w.start()
	t.Logf("%d deferred mails: ready after %s, %d MiB resident", mails, s.took, s.memory("VmRSS"))
	c := dial(t, s.smtp()).login("x", key)
	const more = 200
	for i := range more {
		to := fmt.Sprintf("r%d@rcpt.test", i)
		c.submit("a@operator.test", to, letter("a@operator.test", to, "x"))
	}
	w.mx.WaitMails(t, more)
	// Several rounds over the index of what is due.
	w.awaitChange(s, op)
	// The chores, which read everything, run at the start too.
	db := w.reader()
	eventually(t, time.Minute, "the books were audited", func() bool {
		return number(t, db, "SELECT COUNT(*) FROM chore WHERE name = 'audit' AND due > 0") == 1
	})
	eventually(t, 2*time.Minute, "the audit is over", func() bool { return s.idle() })
	t.Logf("%d MiB resident after %d mails", s.memory("VmRSS"), more)
	if peak := s.memory("VmHWM"); peak > most {
		t.Errorf("%d MiB resident at the peak, at most %d are allowed", peak, most)
	}
	if n := number(t, db, "SELECT COUNT(*) FROM delivery WHERE state = 'queued'"); n != int64(mails) {
		t.Errorf("%d wait, want %d", n, mails)
	}
	s.stop()
}
