package e2e_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/mailtest"
)

// sender makes an operator on the built-in gateway and returns its id and key.
func (in *installation) sender(name string, args ...string) (op, key string) {
	in.t.Helper()
	op = in.operator(name, "servermate")
	key, _ = in.credential(append([]string{"--operator", op}, args...)...)
	return op, key
}

func TestShutdownWaitsForTheReplyToTheDot(t *testing.T) {
	gate := make(chan struct{})
	w := newWorld(t, mailtest.Knobs{Dot: mailtest.Answer{Gate: gate}})
	s := w.start()
	op, key := w.sender("Fleet")
	c := dial(t, s.smtp()).login("x", key)
	const mails = 40
	for i := range mails {
		to := fmt.Sprintf("r%d@rcpt.test", i)
		c.submit("a@operator.test", to, letter("a@operator.test", to, "x"))
	}
	w.mx.WaitDotted(t, 1)
	// As many as there are slots are waiting for their reply; wait until they all do.
	db := w.reader()
	eventually(t, patience, "every session waits for its reply", func() bool {
		return len(w.mx.Dotted()) == w.mx.Open() && number(t, db, "SELECT COUNT(*) FROM delivery") == mails
	})
	s.terminate()
	eventually(t, patience, "the listener is closed", func() bool {
		other, err := tryDial(t, s.smtp())
		if err == nil {
			_ = other.conn.Close()
		}
		return err != nil
	})
	under := len(w.mx.Dotted())
	if !s.running() {
		t.Fatalf("the server did not wait for %d replies", under)
	}
	close(gate)
	s.waitEnd(25 * time.Second)
	if n := len(w.mx.Mails()); n != under || n == mails {
		t.Errorf("%d mails arrived, %d were under way, of %d", n, under, mails)
	}
	for _, d := range w.queue() {
		if d.Leased {
			t.Errorf("still leased: %+v", d)
		}
	}
	if got := w.status(op); got["delivered"] != under || got["queued"] != mails-under {
		t.Errorf("status: %v, %d arrived", got, under)
	}
	s = w.start()
	eventually(t, patience, "the rest is delivered", func() bool { return w.status(op)["delivered"] == mails })
	once(t, w.mx.Mails(), mails)
	s.stop()
}

// once checks that each of n recipients got exactly one copy.
func once(t *testing.T, mails []mailtest.ReceivedMail, n int) {
	t.Helper()
	copies := map[string]int{}
	for _, m := range mails {
		copies[m.To[0]]++
	}
	for to, k := range copies {
		if k != 1 {
			t.Errorf("%s got %d copies", to, k)
		}
	}
	if len(copies) != n {
		t.Errorf("%d recipients, want %d", len(copies), n)
	}
}

func TestShutdownReleasesSessionsBeforeDATA(t *testing.T) {
	for name, knobs := range map[string]mailtest.Knobs{
		"greeting": {Greet: mailtest.Answer{Hang: true}},
		"EHLO":     {Hello: mailtest.Answer{Hang: true}},
		"MAIL":     {Mail: mailtest.Answer{Hang: true}},
		"RCPT":     {Bare: true, Rcpt: mailtest.Answer{Hang: true}},
		"DATA":     {Bare: true, Data: mailtest.Answer{Hang: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, knobs, "SHUTDOWN_GRACE=60s")
			s := w.start()
			op, key := w.sender("Fleet")
			dial(t, s.smtp()).login("x", key).submit("a@operator.test", "b@rcpt.test", letter("a@operator.test", "b@rcpt.test", "x"))
			switch name {
			case "greeting":
				w.mx.WaitConnections(t, 1)
			case "EHLO":
				w.mx.WaitCommand(t, "EHLO")
			default:
				w.mx.WaitCommand(t, name)
			}
			began := time.Now()
			s.terminate()
			s.waitEnd(30 * time.Second) // half the grace: nobody waits for it
			t.Logf("ended after %s", time.Since(began).Round(time.Millisecond))
			if list := w.queue(); len(list) != 1 || list[0].Leased {
				t.Errorf("not handed back: %+v", list)
			}
			w.mx.Set(func(k *mailtest.Knobs) { *k = mailtest.Knobs{} })
			s = w.start()
			w.mx.WaitMails(t, 1)
			eventually(t, patience, "the mail is delivered", func() bool { return w.status(op)["delivered"] == 1 })
			s.stop()
			once(t, w.mx.Mails(), 1)
		})
	}
}

func TestShutdownGraceIsTheLimit(t *testing.T) {
	gate := make(chan struct{})
	w := newWorld(t, mailtest.Knobs{Dot: mailtest.Answer{Gate: gate}}, "SHUTDOWN_GRACE=1s")
	s := w.start()
	op, key := w.sender("Fleet")
	dial(t, s.smtp()).login("x", key).submit("a@operator.test", "b@rcpt.test", letter("a@operator.test", "b@rcpt.test", "x"))
	w.mx.WaitDotted(t, 1)
	s.terminate()
	s.waitEnd(25 * time.Second) // the default grace would be 30 s
	if list := w.queue("--operator", op); len(list) != 1 || list[0].Leased || list[0].Attempts != 1 {
		t.Errorf("not handed back as tried once: %+v", list)
	}
	close(gate)
	s = w.start()
	w.must("queue", "retry", "--all")
	mails := w.mx.WaitDotted(t, 2)
	if a, b := fields(mails[0].Data, "Message-ID"), fields(mails[1].Data, "Message-ID"); len(a) != 1 || a[0] != b[0] {
		t.Errorf("Message-IDs of the copies: %v, %v", a, b)
	}
	eventually(t, patience, "the mail is delivered", func() bool { return w.status(op)["delivered"] == 1 })
	w.conserved(w.reader())
	s.stop()
}

func TestShutdownFinishesAMessageUnderWay(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	s := w.start()
	_, key := w.sender("Fleet")
	idle := dial(t, s.smtp()).login("x", key)
	c := dial(t, s.smtp()).login("x", key)
	c.want("250", "MAIL FROM:<a@operator.test>")
	c.want("250", "RCPT TO:<b@rcpt.test>")
	c.want("354", "DATA")
	mail := letter("a@operator.test", "b@rcpt.test", "half")
	if _, err := io.WriteString(c.conn, mail[:20]); err != nil {
		t.Fatal(err)
	}
	s.terminate()
	if code, text, err := idle.read(); err == nil && code != 421 {
		t.Errorf("the idle session was told %d %s", code, text)
	}
	if _, err := io.WriteString(c.conn, mail[20:]+".\r\n"); err != nil {
		t.Fatal(err)
	}
	code, text, err := c.read()
	if err != nil || code != 250 {
		t.Fatalf("the message under way was answered %d %s, %v", code, text, err)
	}
	s.waitEnd(time.Minute)
	s = w.start()
	w.mx.WaitMails(t, 1)
	s.stop()
	once(t, w.mx.Mails(), 1)
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{Dot: mailtest.Answer{Hang: true}})
	s := w.start()
	_, key := w.sender("Fleet")
	dial(t, s.smtp()).login("x", key).submit("a@operator.test", "b@rcpt.test", letter("a@operator.test", "b@rcpt.test", "x"))
	w.mx.WaitDotted(t, 1)
	s.terminate()
	eventually(t, patience, "it is stopping", func() bool {
		_, err := tryDial(t, s.smtp())
		return err != nil
	})
	s.terminate()
	eventually(t, 20*time.Second, "the server has ended", func() bool { return !s.running() })
}
