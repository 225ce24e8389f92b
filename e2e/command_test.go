package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/mailtest"
)

// atOnce bounds what takes effect within a second on an idle machine; the rest is for
// busy ones.
const atOnce = 5 * time.Second

// inBoth runs a test on an installation that is served, and on one that is not.
func inBoth(t *testing.T, test func(t *testing.T, in *installation)) {
	t.Helper()
	for _, running := range []bool{true, false} {
		name := "stopped"
		if running {
			name = "running"
		}
		t.Run(name, func(t *testing.T) {
			in := newInstallation(t)
			if running {
				in.start()
			}
			test(t, in)
		})
	}
}

func TestOperatorsAndCredentialsAreManagedByCommand(t *testing.T) {
	inBoth(t, func(t *testing.T, in *installation) {
		op := in.operator("Fleet", "servermate")
		cloud := in.operator("Cloud", "cloud")
		var operators []struct {
			ID, Name, Product, Gateway string
			Suspended                  bool
		}
		in.json(&operators, "operator", "list")
		gateways := map[string]string{}
		for _, o := range operators {
			gateways[o.ID] = o.Product + " " + o.Gateway
		}
		if gateways[op] != "servermate builtin" || gateways[cloud] != "cloud " {
			t.Errorf("operators: %+v", operators)
		}
		in.must("operator", "suspend", "--id", op)
		in.json(&operators, "operator", "list")
		for _, o := range operators {
			if o.Suspended != (o.ID == op) {
				t.Errorf("after suspending %s: %+v", op, o)
			}
		}
		in.must("operator", "resume", "--id", op)

		key, id := in.credential("--operator", op, "--name", "tracker", "--network", "192.0.2.0/24", "--scope", "send", "--scope", "read")
		_, platformID := in.credential("--platform", "--test")
		var list []struct {
			ID, OperatorID, Key, Hint, Revoked string
			Platform, Test                     bool
			Networks, Scopes                   []string
		}
		in.json(&list, "credential", "list")
		if len(list) != 2 {
			t.Fatalf("credentials: %+v", list)
		}
		for _, c := range list {
			switch {
			case c.Key != "" || !strings.HasPrefix(key, c.Hint) && c.ID == id:
				t.Errorf("the list shows a key, or a wrong hint: %+v", c)
			case c.ID == id && (!slices.Equal(c.Networks, []string{"192.0.2.0/24"}) || !slices.Equal(c.Scopes, []string{"send", "read"})):
				t.Errorf("credential: %+v", c)
			case c.ID == platformID && (!c.Platform || !c.Test):
				t.Errorf("platform credential: %+v", c)
			}
		}
		in.must("credential", "revoke", "--id", id)
		in.json(&list, "credential", "list")
		for _, c := range list {
			if (c.Revoked != "") != (c.ID == id) {
				t.Errorf("after revoking %s: %+v", id, c)
			}
		}

		for _, bad := range [][]string{
			{"operator", "create", "--name", "X", "--product", "spaceship"},
			{"operator", "create", "--product", "cloud"},
			{"operator", "suspend", "--id", "01234567-89ab-7def-8123-456789abcdef"},
			{"credential", "create", "--operator", "nobody"},
			{"credential", "create"},
			{"credential", "create", "--operator", op, "--scope", "everything"},
			{"credential", "create", "--operator", op, "--network", "300.0.0.0/8"},
			{"credential", "create", "--operator", cloud, "--network", "192.0.2.128/25", "--network", "192.0.2.0/24", "--kind", "nonsense"},
			{"credential", "revoke", "--id", "nothing"},
			{"queue", "cancel"},
			{"queue", "retry", "--id", "nothing", "--all"},
		} {
			if words := in.refused(bad...); words == "" {
				t.Errorf("waypost %s says nothing", strings.Join(bad, " "))
			}
		}
	})
}

func TestNetworksOfOperatorsNeverOverlap(t *testing.T) {
	in := newInstallation(t)
	a, b := in.operator("A", "servermate"), in.operator("B", "servermate")
	in.credential("--operator", a, "--network", "192.0.2.0/24")
	for _, network := range []string{"192.0.2.0/24", "192.0.2.7/32", "192.0.0.0/16"} {
		in.refused("credential", "create", "--operator", b, "--network", network)
	}
	in.credential("--operator", b, "--network", "198.51.100.0/24")
}

func TestSuspensionAndRevocationTakeEffectAtOnce(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	s := w.start()
	op := w.operator("Fleet", "servermate")
	key, id := w.credential("--operator", op)
	c := dial(t, s.smtp()).login("x", key)
	n := 0
	until := func(what, reply string) {
		t.Helper()
		began := time.Now()
		eventually(t, atOnce, what, func() bool {
			n++
			code, text, err := c.send("a@operator.test", fmt.Sprintf("r%d@rcpt.test", n), letter("a@operator.test", "r@rcpt.test", "x"))
			if err != nil {
				t.Fatal(err)
			}
			return strings.HasPrefix(fmt.Sprintf("%d %s", code, text), reply)
		})
		t.Logf("%s: after %s", what, time.Since(began).Round(time.Millisecond))
	}
	until("a mail is accepted", "250")
	w.must("operator", "suspend", "--id", op)
	until("a mail of a suspended operator is refused", "451 4.3.5")
	w.must("operator", "resume", "--id", op)
	until("a mail is accepted after the resumption", "250")
	w.must("credential", "revoke", "--id", id)
	began := time.Now()
	eventually(t, atOnce, "the session of a revoked credential is refused", func() bool {
		code, _, err := c.send("a@operator.test", "r@rcpt.test", letter("a@operator.test", "r@rcpt.test", "x"))
		return err != nil || code >= 400
	})
	t.Logf("revoked session refused: after %s", time.Since(began).Round(time.Millisecond))
	other := dial(t, s.smtp())
	other.want("250", "EHLO client.test")
	other.want("535", "AUTH PLAIN %s", plain("x", key))
}

func TestSuspendedOperatorsMailWaits(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{Rcpt: mailtest.Answer{Reply: "450 4.2.1 later"}})
	s := w.start()
	op := w.operator("Fleet", "servermate")
	key, _ := w.credential("--operator", op)
	dial(t, s.smtp()).login("x", key).submit("a@operator.test", "b@rcpt.test", letter("a@operator.test", "b@rcpt.test", "x"))
	w.mx.WaitCommand(t, "RCPT TO:")
	w.must("operator", "suspend", "--id", op)
	w.mx.Set(func(k *mailtest.Knobs) { k.Rcpt = mailtest.Answer{} })
	w.must("queue", "retry", "--all")
	// It must not leave: what shows that is another operator's mail, which does.
	other, _ := w.credential("--operator", w.operator("Other", "servermate"))
	dial(t, s.smtp()).login("x", other).submit("a@operator.test", "c@rcpt.test", letter("a@operator.test", "c@rcpt.test", "x"))
	w.mx.WaitMails(t, 1)
	if list := w.queue("--operator", op); len(list) != 1 || list[0].Status != "queued" {
		t.Fatalf("queue: %+v", list)
	}
	w.must("operator", "resume", "--id", op)
	if mails := w.mx.WaitMails(t, 2); mails[1].To[0] != "b@rcpt.test" {
		t.Errorf("mails: %v", mails)
	}
}

// deferredMail makes a world with one mail that the MX asked to come back with.
func deferredMail(t *testing.T) (w *world, s *server, op string, d delivery) {
	t.Helper()
	w = newWorld(t, mailtest.Knobs{Rcpt: mailtest.Answer{Reply: "450 4.2.1 mailbox is busy"}})
	s = w.start()
	op = w.operator("Fleet", "servermate")
	key, _ := w.credential("--operator", op)
	dial(t, s.smtp()).login("x", key).submit("a@operator.test", "b@rcpt.test", letter("a@operator.test", "b@rcpt.test", "x"))
	eventually(t, patience, "the mail is deferred", func() bool {
		list := w.queue()
		if len(list) == 1 && list[0].Attempts == 1 && !list[0].Leased {
			d = list[0]
		}
		return d.ID != ""
	})
	if !strings.Contains(d.Reason, "mailbox is busy") {
		t.Errorf("reason: %q", d.Reason)
	}
	return w, s, op, d
}

func TestQueueIsControlledByCommand(t *testing.T) {
	for _, running := range []bool{true, false} {
		name := "stopped"
		if running {
			name = "running"
		}
		t.Run(name, func(t *testing.T) {
			w, s, op, d := deferredMail(t)
			if !running {
				s.stop()
			}
			one := func() delivery {
				t.Helper()
				list := w.queue("--operator", op)
				if len(list) != 1 {
					t.Fatalf("queue: %+v", list)
				}
				return list[0]
			}
			w.must("queue", "hold", "--id", d.ID)
			if !one().Held {
				t.Errorf("not held: %+v", one())
			}
			if held := w.queue("--state", "held"); len(held) != 1 {
				t.Errorf("held ones: %+v", held)
			}
			w.mx.Set(func(k *mailtest.Knobs) { k.Rcpt = mailtest.Answer{} })
			w.must("queue", "release", "--domain", "rcpt.test")
			if !running {
				if one().Held {
					t.Errorf("still held: %+v", one())
				}
				s = w.start()
			}
			w.mx.WaitMails(t, 1)
			eventually(t, patience, "the mail is delivered", func() bool { return w.status(op)["delivered"] == 1 })
			s.stop()
		})
	}
}

func TestQueueRetryTriesNow(t *testing.T) {
	w, _, op, d := deferredMail(t)
	w.must("queue", "retry", "--id", d.ID)
	eventually(t, patience, "a second attempt", func() bool {
		list := w.queue("--operator", op)
		return len(list) == 1 && list[0].Attempts == 2
	})
	w.mx.Set(func(k *mailtest.Knobs) { k.Rcpt = mailtest.Answer{} })
	w.must("queue", "retry", "--operator", op)
	w.mx.WaitMails(t, 1)
}

func TestQueueCancelEndsADelivery(t *testing.T) {
	w, s, op, d := deferredMail(t)
	w.must("queue", "cancel", "--id", d.ID)
	if got := w.status(op); got["cancelled"] != 1 || got["queued"] != 0 {
		t.Errorf("status: %v", got)
	}
	w.refused("queue", "cancel", "--id", "no-such-delivery")
	s.stop()
	if mails := w.mx.Dotted(); len(mails) != 0 {
		t.Errorf("the cancelled mail left: %v", mails)
	}
}

func TestCancelOfALeasedDeliveryIsHonouredBeforeMAIL(t *testing.T) {
	gate := make(chan struct{})
	w := newWorld(t, mailtest.Knobs{Greet: mailtest.Answer{Gate: gate}})
	s := w.start()
	op := w.operator("Fleet", "servermate")
	key, _ := w.credential("--operator", op)
	dial(t, s.smtp()).login("x", key).submit("a@operator.test", "b@rcpt.test", letter("a@operator.test", "b@rcpt.test", "x"))
	w.mx.WaitConnections(t, 1) // it is being tried: the MX has not greeted yet
	if out := w.must("queue", "cancel", "--all"); !strings.Contains(out, "1 pending") {
		t.Errorf("the answer does not say that it is pending: %q", out)
	}
	if got := w.status(op); got["queued"] != 1 {
		t.Errorf("settled before the holder knows: %v", got)
	}
	// What is promised is that a request takes effect within a second (promise 11). From
	// outside nothing shows when the holder has read it, so the time has to pass; three
	// times as much for a busy machine.
	<-time.After(3 * time.Second)
	close(gate)
	eventually(t, patience, "the delivery is cancelled", func() bool { return w.status(op)["cancelled"] == 1 })
	if got := w.mx.Commands(); slices.ContainsFunc(got, func(c string) bool { return strings.HasPrefix(c, "MAIL") }) {
		t.Errorf("MAIL was said: %v", got)
	}
}

// awaitChange makes a change and waits until the server has noticed it.
func (in *installation) awaitChange(s *server, op string) {
	in.t.Helper()
	key, id := in.credential("--operator", op)
	c := dial(in.t, s.smtp()).login("x", key)
	in.must("credential", "revoke", "--id", id)
	eventually(in.t, patience, "the server has noticed a change", func() bool {
		if code, _, err := c.try("MAIL FROM:<a@operator.test>"); err != nil || code >= 400 {
			return true
		}
		_, _, _ = c.try("RSET")
		return false
	})
}

func TestTestCredentialsMailStaysInTheSandbox(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	s := w.start()
	op := w.operator("Fleet", "cloud") // without a gateway: a test key needs none
	key, _ := w.credential("--operator", op, "--test")
	dial(t, s.smtp()).login("x", key).submit("a@operator.test", "b@rcpt.test", letter("a@operator.test", "b@rcpt.test", "x"))
	eventually(t, patience, "the mail is in the sandbox", func() bool { return w.status(op)["delivered"] == 1 })
	if n := w.mx.Connections(); n != 0 {
		t.Errorf("%d connections to the MX", n)
	}
}

func TestCheckTellsWhatAStartWouldNeed(t *testing.T) {
	in := newInstallation(t)
	out := in.must("check")
	for _, want := range []string{"WAYPOST_DATA_DIR", "ok: database (sqlite)", "ok: WAYPOST_SMTP_ADDR"} {
		if !strings.Contains(out, want) {
			t.Errorf("check does not print %q:\n%s", want, out)
		}
	}
	s := in.start()
	if out := in.must("check"); !strings.Contains(out, "is running on this data directory") {
		t.Errorf("check beside the server:\n%s", out)
	}
	taken := newInstallation(t, "SMTP_ADDR="+s.smtp())
	if words := taken.refused("check"); !strings.Contains(words, "WAYPOST_SMTP_ADDR") {
		t.Errorf("check with a taken port: %s", words)
	}
	wrong := newInstallation(t, "MX_PORT=99999", "SMTP_ADR=127.0.0.1:25")
	if words := wrong.refused("check"); !strings.Contains(words, "WAYPOST_MX_PORT") {
		t.Errorf("check with wrong settings: %s", words)
	}
	if out := in.must("version"); !strings.HasPrefix(out, "waypost ") {
		t.Errorf("version: %q", out)
	}
}
