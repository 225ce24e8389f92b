package e2e_test

import (
	"crypto/tls"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/waypost/waypost/internal/mailtest"
)

func TestFirstStartIsASandbox(t *testing.T) {
	in := newInstallation(t)
	s := in.start()
	t.Logf("ready after %s", s.took)
	op, key := in.sender("First")
	id := dial(t, s.smtp()).login("any", key).submit("a@operator.test", "b@nowhere.test", letter("a@operator.test", "b@nowhere.test", "Hello"))
	eventually(t, patience, "the mail is in the sandbox", func() bool { return in.status(op)["delivered"] == 1 })
	if list := in.messages("--operator", op); len(list) != 1 || list[0].ID != id || list[0].Subject != "Hello" {
		t.Errorf("messages: %+v", list)
	}
	s.stop()
	says(t, s.log(), "sandbox")
	// The second start finds everything as it was.
	s = in.start()
	if in.status(op)["delivered"] != 1 {
		t.Errorf("after a restart: %v", in.status(op))
	}
	dial(t, s.smtp()).login("any", key)
}

// clientTLS takes the certificate that the server made for itself.
func clientTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func TestGoSMTPClientSubmits(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{}, "SMTPS_ADDR=127.0.0.1:0")
	s := w.start()
	_, key := w.sender("Fleet")
	mail := letter("a@operator.test", "b@rcpt.test", "go-smtp") + "\r\n.\r\n..dots\r\n"
	for name, login := range map[string]sasl.Client{
		"PLAIN": sasl.NewPlainClient("", "tracker", key),
		"LOGIN": sasl.NewLoginClient("tracker", key),
	} {
		for security, open := range map[string]func() (*smtp.Client, error){
			"loopback": func() (*smtp.Client, error) { return smtp.Dial(s.smtp()) },
			"STARTTLS": func() (*smtp.Client, error) { return smtp.DialStartTLS(s.smtp(), clientTLS()) },
			"TLS":      func() (*smtp.Client, error) { return smtp.DialTLS(s.addr("smtps"), clientTLS()) },
		} {
			t.Run(name+" "+security, func(t *testing.T) {
				w.mx.Forget()
				c, err := open()
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if err := c.Auth(login); err != nil {
					t.Fatal(err)
				}
				for _, extension := range []string{"8BITMIME", "SMTPUTF8", "PIPELINING", "SIZE", "ENHANCEDSTATUSCODES"} {
					if ok, _ := c.Extension(extension); !ok {
						t.Errorf("%s is not offered", extension)
					}
				}
				if err := c.SendMail("a@operator.test", []string{"b@rcpt.test", "c@rcpt.test"}, strings.NewReader(mail)); err != nil {
					t.Fatal(err)
				}
				if err := c.Quit(); err != nil {
					t.Error(err)
				}
				for _, m := range w.mx.WaitMails(t, 2) {
					if len(m.To) != 1 || bodyOf(m.Data) != bodyOf([]byte(mail)) {
						t.Errorf("mail to %v: %q", m.To, m.Data)
					}
				}
			})
		}
	}
}

func TestSwaksSubmits(t *testing.T) {
	swaks := tool(t, "swaks")
	w := newWorld(t, mailtest.Knobs{}, "SMTPS_ADDR=127.0.0.1:0")
	s := w.start()
	_, key := w.sender("Fleet")
	for name, args := range map[string][]string{
		"STARTTLS and PLAIN": {"--server", s.smtp(), "--tls", "--auth", "PLAIN", "--auth-user", "x", "--auth-password", key},
		"STARTTLS and LOGIN": {"--server", s.smtp(), "--tls", "--auth", "LOGIN", "--auth-user", "x", "--auth-password", key},
		"TLS and PLAIN":      {"--server", s.addr("smtps"), "--tlsc", "--auth", "PLAIN", "--auth-user", "x", "--auth-password", key},
		"pipelined":          {"--server", s.smtp(), "--pipeline", "--auth", "PLAIN", "--auth-user", "x", "--auth-password", key},
	} {
		t.Run(name, func(t *testing.T) {
			w.mx.Forget()
			out, err := exec.CommandContext(t.Context(), swaks, append(args,
				"--from", "a@operator.test", "--to", "b@rcpt.test", "--h-Subject", name, "--body", "Unit 4711", "--timeout", "20")...).CombinedOutput()
			if strings.Contains(string(out), "TLS not available") {
				missing(t, "swaks cannot do TLS: libnet-ssleay-perl is not installed")
			}
			if err != nil {
				t.Fatalf("swaks: %v\n%s", err, out)
			}
			m := w.mx.WaitMails(t, 1)[0]
			if got := fields(m.Data, "Subject"); len(got) != 1 || got[0] != name {
				t.Errorf("subject: %v", got)
			}
		})
	}
	out, err := exec.CommandContext(t.Context(), swaks, "--server", s.smtp(), "--auth", "PLAIN", "--auth-user", "x", "--auth-password", "wrong",
		"--from", "a@operator.test", "--to", "b@rcpt.test", "--timeout", "20").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "535 5.7.8") {
		t.Errorf("with a wrong password: %v\n%s", err, out)
	}
}

func TestNetworkCredentialNeedsNoLogin(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	s := w.start()
	one, two := w.operator("One", "servermate"), w.operator("Two", "servermate")
	w.credential("--operator", one, "--network", "127.0.0.3/32")
	w.credential("--operator", two, "--network", "127.0.0.4/32")
	for source, op := range map[string]string{"127.0.0.3": one, "127.0.0.4": two} {
		c := dial(t, s.smtp(), source)
		c.want("250", "HELO legacy.test")
		c.submit("a@operator.test", source+"@rcpt.test", letter("a@operator.test", "b@rcpt.test", source))
		if list := w.messages("--operator", op); len(list) != 1 || list[0].Subject != source {
			t.Errorf("from %s: %+v", source, list)
		}
	}
	stranger := dial(t, s.smtp(), "127.0.0.5")
	stranger.want("250", "EHLO stranger.test")
	stranger.want("530 5.7.0", "MAIL FROM:<a@operator.test>")
}

func TestPlatformCredentialNamesTheOperator(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	s := w.start()
	one, two := w.operator("One", "servermate"), w.operator("Two", "servermate")
	key, _ := w.credential("--platform")
	byHeader := dial(t, s.smtp()).login("", key)
	byHeader.submit("a@operator.test", "b@rcpt.test", letter("a@operator.test", "b@rcpt.test", "header", "X-Waypost-Operator: "+one+"\r\n"))
	byHeader.refusedMail("554 5.6.0", "a@operator.test", "b@rcpt.test", letter("a@operator.test", "b@rcpt.test", "none"))
	byHeader.refusedMail("550 5.7.1", "a@operator.test", "b@rcpt.test",
		letter("a@operator.test", "b@rcpt.test", "x", "X-Waypost-Operator: 01234567-89ab-7def-8123-456789abcdef\r\n"))
	byUser := dial(t, s.smtp()).login(two, key)
	byUser.submit("a@operator.test", "b@rcpt.test", letter("a@operator.test", "b@rcpt.test", "user"))
	for op, subject := range map[string]string{one: "header", two: "user"} {
		if list := w.messages("--operator", op); len(list) != 1 || list[0].Subject != subject {
			t.Errorf("%s: %+v", subject, list)
		}
	}
	for _, m := range w.mx.WaitMails(t, 2) {
		if got := fields(m.Data, "X-Waypost-Operator"); len(got) != 0 {
			t.Errorf("the control field left: %v", got)
		}
	}
	own, _ := w.credential("--operator", one)
	dial(t, s.smtp()).login("x", own).refusedMail("550 5.7.1", "a@operator.test", "b@rcpt.test",
		letter("a@operator.test", "b@rcpt.test", "x", "X-Waypost-Operator: "+two+"\r\n"))
}

func TestScopesAreAsked(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	s := w.start()
	op := w.operator("Fleet", "servermate")
	plainKey, _ := w.credential("--operator", op, "--scope", "send")
	reader, _ := w.credential("--operator", op, "--scope", "read")
	mail := func(more string) string { return letter("a@operator.test", "b@rcpt.test", "x", more) }
	c := dial(t, s.smtp()).login("x", plainKey)
	c.refusedMail("550 5.7.1", "a@operator.test", "b@rcpt.test", mail("X-Waypost-Kind: security\r\n"))
	c.refusedMail("550 5.7.1", "a@operator.test", "b@rcpt.test", mail("X-Waypost-Lane: alarm\r\n"))
	c.refusedMail("5", "a@operator.test", "b@rcpt.test", mail("X-Waypost-Kind: nonsense\r\n"))
	c.submit("a@operator.test", "b@rcpt.test", mail("X-Waypost-Kind: event\r\n"))
	dial(t, s.smtp()).login("x", reader).refusedMail("550 5.7.1", "a@operator.test", "b@rcpt.test", mail(""))
}

func TestNoGatewayIsTemporary(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	s := w.start()
	key, _ := w.credential("--operator", w.operator("Cloud", "cloud"))
	dial(t, s.smtp()).login("x", key).refusedMail("451 4.3.5", "a@operator.test", "b@rcpt.test", letter("a@operator.test", "b@rcpt.test", "x"))
	var p problem
	s.rest(key).want(409, "POST", "/v1/messages", note("b@rcpt.test", "x"), &p)
	if p.Code != "no_gateway" {
		t.Errorf("problem: %+v", p)
	}
}

func TestSubmissionWithIdempotencyKeyIsAcceptedOnce(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	s := w.start()
	op, key := w.sender("Fleet")
	c := dial(t, s.smtp()).login("x", key)
	mail := letter("a@operator.test", "b@rcpt.test", "x", "Idempotency-Key: alarm-1\r\n")
	first := c.submit("a@operator.test", "b@rcpt.test", mail)
	if again := c.submit("a@operator.test", "b@rcpt.test", mail); again != first {
		t.Errorf("answered %s, then %s", first, again)
	}
	c.refusedMail("554 5.6.0", "a@operator.test", "c@rcpt.test", mail)
	byHTTP := s.rest(key).as("Idempotency-Key", "alarm-2")
	var one, two accepted
	byHTTP.want(202, "POST", "/v1/messages", note("b@rcpt.test", "x"), &one)
	byHTTP.want(202, "POST", "/v1/messages", note("b@rcpt.test", "x"), &two)
	if one.ID != two.ID {
		t.Errorf("answered %s, then %s", one.ID, two.ID)
	}
	byHTTP.want(409, "POST", "/v1/messages", note("b@rcpt.test", "other"), nil)
	if list := w.messages("--operator", op); len(list) != 2 {
		t.Errorf("%d messages", len(list))
	}
}

func TestCurlSubmits(t *testing.T) {
	curl := tool(t, "curl")
	w := newWorld(t, mailtest.Knobs{})
	s := w.start()
	_, key := w.sender("Fleet")
	body := `{"to":[{"email":"b@rcpt.test","name":"Bea"}],"cc":[{"email":"c@rcpt.test"}],"bcc":[{"email":"d@rcpt.test"}],` +
		`"subject":"Zone left","text":"Unit 4711","html":"<p>Unit 4711</p>","kind":"event","tags":["zone"],` +
		`"attachments":[{"name":"track.csv","type":"text/csv","content":"bGF0LGxvbgo="}]}`
	out, err := exec.CommandContext(t.Context(), curl, "-sS", "--fail-with-body", "-m", "30", "-H", "Authorization: Bearer "+key,
		"-H", "Content-Type: application/json", "-d", body, "http://"+s.addr("http")+"/v1/messages").CombinedOutput()
	var got accepted
	if err != nil || decode(out, &got) != nil || got.ID == "" || len(got.Deliveries) != 3 {
		t.Fatalf("curl: %v\n%s", err, out)
	}
	for _, m := range w.mx.WaitMails(t, 3) {
		if strings.Contains(string(m.Data), "d@rcpt.test") && m.To[0] != "d@rcpt.test" || len(fields(m.Data, "Bcc")) > 0 {
			t.Errorf("the blind recipient shows:\n%s", m.Data)
		}
	}
	var shown struct {
		ID         string
		Deliveries []struct{ To, Status string }
	}
	eventually(t, patience, "all are delivered", func() bool {
		s.rest(key).want(200, "GET", "/v1/messages/"+got.ID, nil, &shown)
		for _, d := range shown.Deliveries {
			if d.Status != "delivered" {
				return false
			}
		}
		return len(shown.Deliveries) == 3
	})
	var p problem
	s.rest("wrong").want(401, "GET", "/v1/messages", nil, &p)
	s.rest("").want(401, "GET", "/v1/messages/"+got.ID, nil, &p)
}

func TestFilesOfACertificateAreUsed(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pool := writeCertificate(t, cert, key, "gw.platform.test")
	in := newInstallation(t, "TLS_CERT="+cert, "TLS_KEY="+key, "SMTPS_ADDR=127.0.0.1:0")
	s := in.start()
	c, err := smtp.DialTLS(s.addr("smtps"), &tls.Config{RootCAs: pool, ServerName: "gw.platform.test"})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}
