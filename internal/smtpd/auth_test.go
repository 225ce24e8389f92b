package smtpd_test

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func dialRaw(s *server) *client {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	return newClient(s.t, conn)
}

func TestAuthTranscripts(t *testing.T) {
	type line struct{ send, want string }
	for name, tc := range map[string]struct {
		lines []line
		login string // what the Authenticator saw, "" for nothing
	}{
		"PLAIN initial":             {[]line{{"AUTH PLAIN " + b64("\x00me\x00key"), "235 2.7.0 "}}, "me/key"},
		"PLAIN lower case":          {[]line{{"auth plain " + b64("\x00me\x00key"), "235 2.7.0 "}}, "me/key"},
		"PLAIN challenge":           {[]line{{"AUTH PLAIN", "334 "}, {b64("\x00me\x00key"), "235 2.7.0 "}}, "me/key"},
		"PLAIN same identity":       {[]line{{"AUTH PLAIN " + b64("me\x00me\x00key"), "235 2.7.0 "}}, "me/key"},
		"PLAIN other identity":      {[]line{{"AUTH PLAIN " + b64("you\x00me\x00key"), "535 5.7.8 "}}, ""},
		"PLAIN no user":             {[]line{{"AUTH PLAIN " + b64("\x00\x00key"), "235 2.7.0 "}}, "/key"},
		"PLAIN wrong":               {[]line{{"AUTH PLAIN " + b64("\x00me\x00no"), "535 5.7.8 "}}, "me/no"},
		"PLAIN malformed":           {[]line{{"AUTH PLAIN " + b64("me\x00key"), "501 5.5.2 "}}, ""},
		"PLAIN bad base64":          {[]line{{"AUTH PLAIN !!!", "501 5.5.2 "}}, ""},
		"PLAIN empty initial":       {[]line{{"AUTH PLAIN =", "501 5.5.2 "}}, ""},
		"LOGIN":                     {[]line{{"AUTH LOGIN", "334 VXNlcm5hbWU6"}, {b64("op 7"), "334 UGFzc3dvcmQ6"}, {b64("key"), "235 2.7.0 "}}, "op 7/key"},
		"LOGIN initial":             {[]line{{"AUTH LOGIN " + b64("me"), "334 UGFzc3dvcmQ6"}, {b64("key"), "235 2.7.0 "}}, "me/key"},
		"LOGIN empty user":          {[]line{{"AUTH LOGIN", "334 "}, {"", "334 "}, {b64("key"), "235 "}}, "/key"},
		"cancelled":                 {[]line{{"AUTH LOGIN", "334 "}, {"*", "501 5.7.0 "}, {"NOOP", "250 "}}, ""},
		"unknown mechanism":         {[]line{{"AUTH CRAM-MD5", "504 5.5.4 "}}, ""},
		"none":                      {[]line{{"AUTH", "504 5.5.4 "}}, ""},
		"twice":                     {[]line{{"AUTH PLAIN " + b64("\x00me\x00key"), "235 "}, {"AUTH PLAIN", "503 5.5.1 "}}, "me/key"},
		"long password":             {[]line{{"AUTH PLAIN " + b64("\x00me\x00"+strings.Repeat("x", 2500)), "535 "}}, "me/" + strings.Repeat("x", 2500)},
		"database away":             {[]line{{"AUTH PLAIN " + b64("\x00me\x00away"), "454 4.7.0 "}}, "me/away"},
		"broken":                    {[]line{{"AUTH PLAIN " + b64("\x00me\x00broken"), "454 4.7.0 "}, {"NOOP", "250 "}}, "me/broken"},
		"mail without login":        {[]line{{"MAIL FROM:<a@b.test>", "530 5.7.0 Authentication required"}}, ""},
		"rcpt after refused mail":   {[]line{{"MAIL FROM:<a@b.test>", "530 5.7.0 "}, {"RCPT TO:<a@b.test>", "503 5.5.1 "}}, ""},
		"response is not a command": {[]line{{"AUTH LOGIN", "334 "}, {"QUIT", "334 "}, {"*", "501 "}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := &backend{network: noNetwork}
			c := start(t, b, nil).hello()
			for _, l := range tc.lines {
				c.cmd(l.send, l.want)
			}
			if got := strings.Join(b.logins, " "); got != tc.login {
				t.Errorf("authenticator saw %q, want %q", got, tc.login)
			}
		})
	}
}

func TestAuthNeedsTLSFromNetworks(t *testing.T) {
	srv, cli := certificate(t)
	b := &backend{network: noNetwork}
	s := start(t, b, func(o *setup) {
		o.TLS, o.from = srv, "192.0.2.7:99"
		o.CleartextNetworks = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	})
	c := s.hello()
	c.cmd("AUTH PLAIN "+b64("\x00me\x00key"), "538 5.7.11 ")
	c.cmd("MAIL FROM:<a@b.test>", "530 5.7.0 Must issue a STARTTLS command first")
	if len(b.logins) != 0 {
		t.Errorf("password was checked: %q", b.logins)
	}
	c.startTLS(cli)
	c.cmd("AUTH PLAIN "+b64("\x00me\x00key"), "503 5.5.1 ") // EHLO comes first again
	c.cmd("EHLO x", "250-")
	c.cmd("AUTH PLAIN "+b64("\x00me\x00key"), "235 2.7.0 ")
	c.cmd("MAIL FROM:<a@b.test>", "250 ")

	c = start(t, b, func(o *setup) {
		o.from, o.CleartextNetworks = "198.51.100.9:1", []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	}).hello()
	c.cmd("AUTH PLAIN "+b64("\x00me\x00key"), "235 2.7.0 ")
}

func TestNetworkCredentialNeedsNoLogin(t *testing.T) {
	var seen netip.Addr
	bound := true
	b := &backend{}
	b.network = func(peer netip.Addr) (p waypostPrincipal, ok bool, err error) {
		seen = peer
		return waypostPrincipal{CredentialID: "bound"}, bound, nil
	}
	c := start(t, b, func(o *setup) { o.from = "[::ffff:192.0.2.7]:99" }).hello()
	c.envelope()
	c.cmd(".", "250 2.0.0 ")
	if got := b.received()[0]; got.Principal.CredentialID != "bound" || got.Peer != "192.0.2.7" || seen != netip.MustParseAddr("192.0.2.7") {
		t.Errorf("got %+v, asked for %v", got, seen)
	}
	bound = false // unbound while the session lasts
	c.cmd("MAIL FROM:<a@b.test>", "530 5.7.0 ")
}

func TestLoginWinsOverNetworkCredential(t *testing.T) {
	b := &backend{}
	c := start(t, b, nil).hello()
	c.cmd("AUTH PLAIN "+b64("\x00me\x00key"), "235 ")
	c.envelope()
	c.cmd(".", "250 2.0.0 ")
	if got := b.received()[0].Principal.CredentialID; got != "cred-me" {
		t.Errorf("got %q", got)
	}
}

func TestThirdWrongPasswordClosesSession(t *testing.T) {
	b := &backend{network: noNetwork}
	c := start(t, b, nil).hello()
	c.cmd("AUTH PLAIN "+b64("\x00me\x00no"), "535 5.7.8 ")
	c.cmd("AUTH PLAIN "+b64("\x00me\x00no"), "535 5.7.8 ")
	c.cmd("AUTH PLAIN "+b64("\x00me\x00no"), "421 4.7.0 ")
	c.wantClosed()
	if b.counted("login refused") != 3 {
		t.Errorf("counts %v", b.counts)
	}
}

func TestGuessingIsSlowedDownPerClient(t *testing.T) {
	b := &backend{network: noNetwork}
	from := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	s := start(t, b, func(o *setup) { o.from, o.CleartextNetworks = "192.0.2.1:1", from })
	throttled := false
	for range 11 {
		c := s.hello()
		c.send("AUTH PLAIN " + b64("\x00me\x00no") + "\r\n")
		if strings.HasPrefix(c.reply(), "421 4.7.0 ") {
			throttled = true
			c.wantClosed()
		}
	}
	if !throttled || b.counted("login throttled") == 0 || len(b.logins) > 10 {
		t.Errorf("throttled %v after %d checks, counts %v", throttled, len(b.logins), b.counts)
	}
	// A right password that nobody recognizes waits; one that was right before does not.
	b.recognize("")
	c := s.hello()
	c.cmd("AUTH PLAIN "+b64("\x00me\x00key"), "421 4.7.0 ")
	c.wantClosed()
	if got := b.seen(); len(got) > 0 {
		t.Errorf("looked up past the limit: %q", got)
	}
	b.recognize("key")
	s.hello().cmd("AUTH PLAIN "+b64("\x00me\x00key"), "235 ")
	c = s.hello() // which helps nobody else at that address
	c.cmd("AUTH PLAIN "+b64("\x00me\x00no"), "421 4.7.0 ")
	c.wantClosed()
	if diff := cmp.Diff([]string{"me/key"}, b.seen()); diff != "" {
		t.Error("looked up past the limit:", diff)
	}
	// Loopback is never shut out.
	s = start(t, b, nil)
	for range 15 {
		s.hello().cmd("AUTH PLAIN "+b64("\x00me\x00no"), "535 ")
	}
}

func TestPipelinedAuthKeepsWhatFollows(t *testing.T) {
	b := &backend{network: noNetwork}
	c := start(t, b, nil).dial()
	c.send("EHLO x\r\nAUTH LOGIN\r\n" + b64("me") + "\r\n" + b64("key") + "\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n")
	for _, want := range []string{"250-", "334 ", "334 ", "235 ", "250 2.1.0 ", "250 2.1.5 "} {
		c.want(want)
	}
}

func TestPasswordsStayOutOfTheLog(t *testing.T) {
	var log bytes.Buffer
	b := &backend{network: noNetwork}
	s := start(t, b, func(o *setup) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	c := s.hello()
	c.cmd("AUTH PLAIN "+b64("\x00user-x\x00wrong-x"), "535 ")
	c.cmd("AUTH LOGIN "+b64("user-x"), "334 ")
	c.cmd(b64("broken"), "454 ")
	c.cmd("QUIT", "221 ")
	c.wantClosed()
	if err := s.Shutdown(t.Context()); err != nil { // the log is complete now
		t.Fatal(err)
	}
	for _, secret := range []string{"user-x", "wrong-x", b64("user-x"), b64("broken"), b64("\x00user-x\x00wrong-x")} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is in the log:\n%s", secret, log.String())
		}
	}
	if !strings.Contains(log.String(), "login refused") {
		t.Errorf("log: %s", log.String())
	}
}

func TestSTARTTLSForgetsWhatWasSaidBefore(t *testing.T) {
	srv, cli := certificate(t)
	b := &backend{network: noNetwork}
	c := start(t, b, func(o *setup) { o.TLS = srv }).hello()
	c.cmd("AUTH PLAIN "+b64("\x00me\x00key"), "235 ")
	c.cmd("MAIL FROM:<a@b.test>", "250 ")
	c.startTLS(cli)
	c.cmd("RCPT TO:<c@d.test>", "503 5.5.1 ")
	c.cmd("MAIL FROM:<a@b.test>", "503 5.5.1 ")
	c.cmd("EHLO x", "250-")
	c.cmd("MAIL FROM:<a@b.test>", "530 5.7.0 ")
	c.cmd("STARTTLS", "503 5.5.1 ")
}

func TestSTARTTLSRefusesPlaintextBehindIt(t *testing.T) {
	srv, _ := certificate(t)
	b := &backend{}
	c := start(t, b, func(o *setup) { o.TLS = srv }).hello()
	c.send("STARTTLS\r\nMAIL FROM:<evil@b.test>\r\nRCPT TO:<c@d.test>\r\n")
	c.want("503 5.5.1 ")
	c.wantClosed()
	c = start(t, b, func(o *setup) { o.TLS = srv }).hello()
	c.cmd("STARTTLS now", "501 5.5.4 ")
}

func TestFailedHandshakeClosesSession(t *testing.T) {
	srv, _ := certificate(t)
	c := start(t, &backend{}, func(o *setup) { o.TLS = srv }).hello()
	c.cmd("STARTTLS", "220 2.0.0 ")
	c.send("EHLO x\r\nMAIL FROM:<a@b.test>\r\n")
	rest, _ := c.r.ReadString(0) // a TLS alert
	if strings.Contains(rest, "250") {
		t.Errorf("got %q in the clear", rest)
	}
}

func TestImplicitTLS(t *testing.T) {
	srv, cli := certificate(t)
	b := &backend{network: noNetwork}
	s := start(t, b, func(o *setup) { o.TLS, o.ImplicitTLS, o.from = srv, true, "192.0.2.1:1" })
	c := newClient(t, dialTLS(t, s.addr, cli))
	c.want("220 mx.test ESMTP")
	if got := c.cmd("EHLO x", "250-"); strings.Contains(got, "STARTTLS") {
		t.Errorf("got %q", got)
	}
	c.cmd("AUTH PLAIN "+b64("\x00me\x00key"), "235 ")
	c.envelope()
	big := strings.Repeat(strings.Repeat("y", 70)+"\r\n..\r\n", 5000)
	c.cmd(big+".", "250 2.0.0 ")
	want := strings.ReplaceAll(big, "\r\n..\r\n", "\r\n.\r\n")
	if diff := cmp.Diff(want, string(b.received()[0].Message)); diff != "" {
		t.Error("message changed on its way")
	}
	c.cmd("QUIT", "221 ")
	c.wantClosed()
}
