package e2e_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/mailtest"
)

func TestBadMailIsRefusedAndLeavesNothingBehind(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	s := w.start()
	op := w.operator("Fleet", "servermate")
	key, _ := w.credential("--operator", op, "--from-policy", "refuse")
	lenientKey, _ := w.credential("--operator", op)
	const from, to = "a@operator.test", "b@rcpt.test"
	many := func(n int, field string) string { return strings.Repeat(field+"\r\n", n) }
	for name, c := range map[string]struct{ reply, mail, key string }{
		"100,000 headers":   {"552 5.3.4", letter(from, to, "x", many(100_000, "X-Y: z")), lenientKey},
		"one long header":   {"552 5.3.4", letter(from, to, "x", "X-Y: "+strings.Repeat("z", 300<<10)+"\r\n"), lenientKey},
		"51 Received":       {"554 5.4.6", letter(from, to, "x", many(51, "Received: from a by b; Sun, 22 Nov 2026 10:00:00 +0000")), lenientKey},
		"bare CR in header": {"550 5.6.11", letter(from, to, "x\rBcc: c@rcpt.test"), lenientKey},
		"bare LF in header": {"550 5.6.11", letter(from, to, "x\nBcc: c@rcpt.test"), lenientKey},
		"NUL in body":       {"550 5.6.11", letter(from, to, "x") + "\x00\r\n", lenientKey},
		"smuggled dot":      {"550 5.6.11", letter(from, to, "x") + "\n.\r\nMAIL FROM:<x@y.test>\r\n", lenientKey},
		"no From":           {"554 5.6.0", "To: b@rcpt.test\r\n\r\nx\r\n", lenientKey},
		"two Froms":         {"554 5.6.0", "From: a@operator.test\r\nFrom: c@operator.test\r\n\r\nx\r\n", lenientKey},
		"From with two":     {"554 5.6.0", "From: a@operator.test, c@operator.test\r\n\r\nx\r\n", lenientKey},
		"From of nonsense":  {"554 5.6.0", "From: <<a@@b>\r\n\r\nx\r\n", lenientKey},
		"no header at all":  {"5", "just words\r\n", lenientKey},
		"foreign From":      {"550 5.7.1", letter("boss@bank.test", to, "x"), key},
		"wrong expiry":      {"55", letter(from, to, "x", "X-Waypost-Expires-At: yesterday\r\n"), lenientKey},
		"past expiry":       {"55", letter(from, to, "x", "X-Waypost-Expires-At: 2020-01-01T00:00:00Z\r\n"), lenientKey},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, s.smtp())
			conn.t = t
			conn.login("x", c.key).refusedMail(c.reply, from, to, c.mail)
			conn.want("221", "QUIT")
		})
	}

	c := dial(t, s.smtp()).login("x", lenientKey)
	c.want("552 5.3.4", "MAIL FROM:<%s> SIZE=999999999", from)
	for _, bad := range []string{"a\x01b@rcpt.test", "a b@rcpt.test", "@rcpt.test", "a@", "a@-rcpt.test", "\"a\x00\"@rcpt.test"} {
		c.want("250", "MAIL FROM:<%s>", from)
		if code, text := c.say("RCPT TO:<%s>", bad); code < 500 {
			t.Errorf("RCPT TO:<%q> was answered %d %s", bad, code, text)
		}
		c.want("250", "RSET")
	}
	r := s.rest(lenientKey)
	for name, c := range map[string]struct {
		status int
		change func(object)
	}{
		"CRLF in subject":     {422, func(m object) { m["subject"] = "x\r\nBcc: c@rcpt.test" }},
		"CRLF in a header":    {422, func(m object) { m["headers"] = object{"X-Y": "z\r\nBcc: c@rcpt.test"} }},
		"CRLF in header name": {422, func(m object) { m["headers"] = object{"X-Y: a\r\nBcc": "c@rcpt.test"} }},
		"CRLF in an address":  {422, func(m object) { m["to"] = []object{{"email": "b@rcpt.test\r\nRCPT TO:<c@rcpt.test>"}} }},
		"no recipient":        {422, func(m object) { m["to"] = []object{} }},
		"no content":          {422, func(m object) { delete(m, "text") }},
		"unknown field":       {422, func(m object) { m["texxt"] = "x" }},
		"broken base64":       {422, func(m object) { m["attachments"] = []object{{"name": "x", "content": "%%%"}} }},
	} {
		message := note(to, "x")
		c.change(message)
		status, answer, err := r.do("POST", "/v1/messages", message)
		if err != nil || status != c.status {
			t.Errorf("%s: %d %s, %v", name, status, answer, err)
		}
	}
	if status, answer, err := r.do("POST", "/v1/messages", `{"to":[`); err != nil || status != 400 && status != 422 {
		t.Errorf("broken JSON: %d %s, %v", status, answer, err)
	}
	var p problem
	s.rest(key).want(403, "POST", "/v1/messages", note(to, "x"), &p)
	if p.Code != "from_not_allowed" {
		t.Errorf("foreign From over HTTP: %+v", p)
	}

	if n := len(w.messages("--operator", op)); n != 0 {
		t.Errorf("%d messages were kept", n)
	}
	db := w.reader()
	for _, table := range []string{"message", "body", "delivery", "event", "idempotency"} {
		if n := number(t, db, "SELECT COUNT(*) FROM "+table); n != 0 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
	c.submit(from, to, letter(from, to, "good"))
	w.mx.WaitMails(t, 1)
	s.stop()
}

func TestOversizedDataCostsNoMemory(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	s := w.start()
	op, key := w.sender("Fleet")
	c := dial(t, s.smtp()).login("x", key)
	c.want("250", "MAIL FROM:<a@operator.test>")
	c.want("250", "RCPT TO:<b@rcpt.test>")
	c.want("354", "DATA")
	chunk := bytes.Repeat([]byte(strings.Repeat("x", 78)+"\r\n"), 1<<20/80)
	began := time.Now()
	for sent := 0; sent < 1<<30; sent += len(chunk) {
		if _, err := c.conn.Write(chunk); err != nil {
			t.Fatalf("after %d MiB: %v", sent>>20, err)
		}
	}
	if code, text := c.say("\r\n."); code != 552 {
		t.Errorf("1 GiB was answered %d %s", code, text)
	}
	t.Logf("1 GiB refused after %s, %d MiB resident at the peak", time.Since(began).Round(time.Millisecond), s.memory("VmHWM"))
	if peak := s.memory("VmHWM"); peak > 200 {
		t.Errorf("%d MiB resident at the peak", peak)
	}
	c.submit("a@operator.test", "b@rcpt.test", letter("a@operator.test", "b@rcpt.test", "good"))
	w.mx.WaitMails(t, 1)
	if n := len(w.messages("--operator", op)); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestBrokenMIMEPassesUnchanged(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	s := w.start()
	_, key := w.sender("Fleet")
	s.rest(key).want(200, "PUT", "/v1/settings/email", object{
		"gateway": object{"type": "builtin"}, "from": "Fleet <fleet@operator.test>", "signature": object{"text": "Regards", "html": "<p>Regards</p>"},
	}, nil)
	c := dial(t, s.smtp()).login("x", key)
	for i, content := range []string{
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nnever closed\r\n",
		"Content-Type: multipart/mixed\r\n\r\nno boundary\r\n",
		"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!! not base64 !!!\r\n",
		"Content-Type: multipart/signed; boundary=b; protocol=\"application/pkcs7-signature\"\r\n\r\n--b\r\n\r\nsigned\r\n--b\r\n\r\nsig\r\n--b--\r\n",
	} {
		w.mx.Forget()
		to := fmt.Sprintf("r%d@rcpt.test", i)
		mail := "From: fleet@operator.test\r\nTo: " + to + "\r\nMIME-Version: 1.0\r\n" + content
		c.submit("fleet@operator.test", to, mail)
		if m := w.mx.WaitMails(t, 1)[0]; bodyOf(m.Data) != bodyOf([]byte(mail)) {
			t.Errorf("%q became %q", bodyOf([]byte(mail)), bodyOf(m.Data))
		}
	}
}

// relayWorld is a world whose operators may use servers on the ports of this test,
// with one operator that has no gateway yet.
func relayWorld(t *testing.T, relay mailtest.Knobs, settings ...string) (w *world, own *mailtest.SMTP, s *server, op, key string) {
	t.Helper()
	own = mailtest.StartSMTP(t, relay)
	w = newWorld(t, mailtest.Knobs{}, append([]string{fmt.Sprintf("RELAY_PORTS=%d", own.Port())}, settings...)...)
	s = w.start()
	op = w.operator("Cloud", "cloud")
	key, _ = w.credential("--operator", op)
	return w, own, s, op, key
}

func TestBadRelaysKeepTheMailAndHarmNobody(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		knobs mailtest.Knobs
		stays bool // the session goes on until a deadline that no test waits for
	}{
		"says nothing":               {mailtest.Knobs{Greet: mailtest.Answer{Hang: true}}, true},
		"refuses the connection":     {mailtest.Knobs{Greet: mailtest.Answer{Reply: "554 5.7.1 go away", Close: true}}, false},
		"closes at once":             {mailtest.Knobs{Greet: mailtest.Answer{Close: true}}, false},
		"closes in DATA":             {mailtest.Knobs{Body: mailtest.Answer{Close: true}}, false},
		"resets in DATA":             {mailtest.Knobs{Body: mailtest.Answer{Close: true, Reset: true}}, false},
		"drops after the dot":        {mailtest.Knobs{Dot: mailtest.Answer{Close: true}}, false},
		"greets with 100 MB":         {mailtest.Knobs{Greet: mailtest.Answer{Flood: 100 * mib}}, false},
		"answers EHLO with 100 MB":   {mailtest.Knobs{Hello: mailtest.Answer{Flood: 100 * mib}}, false},
		"answers the dot with 100MB": {mailtest.Knobs{Dot: mailtest.Answer{Flood: 100 * mib}}, false},
		"speaks nonsense":            {mailtest.Knobs{Greet: mailtest.Answer{Raw: "HTTP/1.1 200 OK\r\n\r\n", Close: true}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.knobs.Lenient = true
			w, own, s, op, key := relayWorld(t, c.knobs)
			s.rest(key).want(200, "PUT", "/v1/settings/email", relayTo("127.0.0.1", own.Port(), "Fleet <fleet@operator.test>"), nil)
			var got accepted
			s.rest(key).want(202, "POST", "/v1/messages", note("b@rcpt.test", "x"), &got)
			own.WaitConnections(t, 1)
			if !c.stays {
				eventually(t, patience, "the mail waits with a reason", func() bool {
					list := w.queue("--operator", op)
					return len(list) == 1 && list[0].Attempts >= 1 && !list[0].Leased && list[0].Reason != ""
				})
				t.Logf("reason: %s", w.queue("--operator", op)[0].Reason)
			}
			_, other := w.sender("Other")
			dial(t, s.smtp()).login("x", other).submit("a@operator.test", "c@rcpt.test", letter("a@operator.test", "c@rcpt.test", "x"))
			w.mx.WaitMails(t, 1)
			if peak := s.memory("VmHWM"); peak > 200 {
				t.Errorf("%d MiB resident at the peak", peak)
			}
			if got := w.status(op); got["queued"] != 1 {
				t.Errorf("status: %v", got)
			}
			w.conserved(w.reader())
		})
	}
}

func TestTestMailTellsWhatIsWrong(t *testing.T) {
	const secret = "correct-horse-battery"
	w, own, s, _, key := relayWorld(t, mailtest.Knobs{Users: map[string]string{"fleet": secret}, RequireAuth: true, Lenient: true})
	with := func(change func(gateway object)) object {
		settings := relayTo("127.0.0.1", own.Port(), "fleet@operator.test")
		gateway := settings["gateway"].(object)
		gateway["auth"] = object{"username": "fleet", "password": secret}
		change(gateway)
		return settings
	}
	closed := freePort(t)
	w.dns.Set("nowhere.test", "TXT \"no address\"")
	for name, c := range map[string]struct {
		phase  string
		change func(gateway object)
	}{
		"unknown host":   {"dns", func(g object) { g["host"] = "unknown.invalid" }},
		"no address":     {"dns", func(g object) { g["host"] = "nowhere.test" }},
		"wrong password": {"auth", func(g object) { g["auth"] = object{"username": "fleet", "password": "wrong-guess"} }},
		"no STARTTLS":    {"tls", func(g object) { g["security"] = "starttls" }},
		"no TLS":         {"tls", func(g object) { g["security"] = "tls" }},
	} {
		t.Run(name, func(t *testing.T) {
			var got struct {
				ID     string
				Done   bool
				Status string
				Stages []struct {
					Phase, Detail, Reply string
					OK                   bool
				}
			}
			r := s.rest(key)
			r.t = t
			r.want(200, "POST", "/v1/settings/email/test", object{"to": "b@rcpt.test", "settings": with(c.change)}, &got)
			if !got.Done || got.Status == "delivered" || got.Status == "queued" || len(got.Stages) == 0 {
				t.Fatalf("answer: %+v", got)
			}
			for _, stage := range got.Stages {
				if !stage.OK {
					if stage.Phase != c.phase {
						t.Errorf("failed at %+v, want %s", stage, c.phase)
					}
					break
				}
			}
			if last := got.Stages[len(got.Stages)-1]; last.OK {
				t.Errorf("the last stage is a good one: %+v", got.Stages)
			}
			var again struct{ Done bool }
			r.want(200, "GET", "/v1/settings/email/test/"+got.ID, nil, &again)
			if !again.Done {
				t.Error("not done any more")
			}
		})
	}
	var good struct {
		Done   bool
		Status string
	}
	s.rest(key).want(200, "POST", "/v1/settings/email/test", object{"to": "b@rcpt.test", "settings": with(func(object) {})}, &good)
	if !good.Done || good.Status != "delivered" {
		t.Errorf("with right settings: %+v", good)
	}
	var p problem
	s.rest(key).want(422, "PUT", "/v1/settings/email", with(func(g object) { g["port"] = closed }), &p) // not a relay port
	if got := s.rest(key); got != nil {
		status, answer, err := got.do("GET", "/v1/settings/email", nil)
		if err != nil || status != 200 || bytes.Contains(answer, []byte(secret)) {
			t.Errorf("settings: %d %s %v", status, answer, err)
		}
	}
	s.stop()
	if strings.Contains(s.log(), secret) || strings.Contains(s.log(), "wrong-guess") {
		t.Error("a password is in the log")
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestStoredPasswordIsBoundToItsServer(t *testing.T) {
	knobs := mailtest.Knobs{Users: map[string]string{"fleet": "secret-word"}, RequireAuth: true}
	_, own, s, _, key := relayWorld(t, knobs)
	r := s.rest(key)
	settings := func(auth any) object {
		m := relayTo("127.0.0.1", own.Port(), "fleet@operator.test")
		m["gateway"].(object)["auth"] = auth
		return m
	}
	r.want(200, "PUT", "/v1/settings/email", settings(object{"username": "fleet", "password": "secret-word"}), nil)
	r.want(200, "PUT", "/v1/settings/email", settings(object{"username": "fleet"}), nil) // same server: kept
	var got accepted
	r.want(202, "POST", "/v1/messages", note("b@rcpt.test", "x"), &got)
	if m := own.WaitMails(t, 1)[0]; m.AuthUser != "fleet" {
		t.Errorf("logged in as %q", m.AuthUser)
	}
	for name, change := range map[string]func(object){
		"other host":      func(g object) { g["host"] = "localhost" },
		"other user":      func(g object) { g["auth"] = object{"username": "root"} },
		"trusts anything": func(g object) { g["trust_all"] = true },
	} {
		m := settings(object{"username": "fleet"})
		change(m["gateway"].(object))
		var p problem
		r.want(422, "PUT", "/v1/settings/email", m, &p)
		if len(p.Errors) == 0 || !strings.Contains(p.Errors[0].Location, "gateway.auth.password") {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// TestRelayThatPointsBackAtUsEnds has an operator name this very server, with its own
// key, as its SMTP server: each delivery comes back as a new mail.
func TestRelayThatPointsBackAtUsEnds(t *testing.T) {
	port := freePort(t)
	w := newWorld(t, mailtest.Knobs{}, fmt.Sprintf("SMTP_ADDR=127.0.0.1:%d", port), fmt.Sprintf("RELAY_PORTS=%d", port))
	s := w.start()
	op := w.operator("Cloud", "cloud")
	key, _ := w.credential("--operator", op)
	settings := relayTo("127.0.0.1", port, "fleet@operator.test")
	settings["gateway"].(object)["auth"] = object{"username": "x", "password": key}
	status, answer, err := s.rest(key).do("PUT", "/v1/settings/email", settings)
	if err != nil {
		t.Fatal(err)
	}
	if status == 422 { // refused at once: better still
		t.Logf("refused: %s", answer)
		return
	}
	s.rest(key).want(202, "POST", "/v1/messages", note("b@rcpt.test", "loop"), nil)
	eventually(t, patience, "the loop has come to its end", func() bool {
		sum := w.status(op)
		waiting := w.queue("--operator", op)
		return sum["bounced"] == 1 || sum["queued"] == 1 && len(waiting) == 1 && !waiting[0].Leased
	})
	sum := w.status(op)
	t.Logf("the mail went round: %v; %v", sum, w.queue("--operator", op))
	if sum["delivered"] > 6 { // it knows its own Received fields
		t.Errorf("it went round %d times", sum["delivered"])
	}
	w.conserved(w.reader())
	s.stop()
}
