package smtpd_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/netip"
	netsmtp "net/smtp" //nolint:depguard // here it is an independent client to test against
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/waypost"
)

const testMail = "Subject: x\r\n\r\n.\r\n..\r\n.hidden\r\nlast\r\n"

func TestGoSMTPClient(t *testing.T) {
	srv, cli := certificate(t)
	b := &backend{network: noNetwork}
	s := start(t, b, func(o *setup) { o.TLS, o.from = srv, "192.0.2.1:1" })
	c, err := smtp.DialStartTLS(s.addr, cli)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello("go-smtp.test"); err != nil {
		t.Fatal(err)
	}
	if err := c.Auth(sasl.NewPlainClient("", "me", "wrong")); err == nil {
		t.Fatal("wrong password taken")
	}
	if err := c.Auth(sasl.NewLoginClient("me", "key")); err != nil {
		t.Fatal(err)
	}
	if size, ok := c.MaxMessageSize(); !ok || size != 25<<20 {
		t.Errorf("size %d", size)
	}
	for _, utf8 := range []bool{false, true} {
		from := "a@b.test"
		if utf8 {
			from = "ä@b.test"
		}
		if err := c.Mail(from, &smtp.MailOptions{Size: 100, UTF8: utf8, Body: smtp.Body8BitMIME}); err != nil {
			t.Fatal(err)
		}
		if err := c.Rcpt("c@d.test", nil); err != nil {
			t.Fatal(err)
		}
		w, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(testMail)); err != nil {
			t.Fatal(err)
		}
		answer, err := w.CloseWithResponse()
		if err != nil || !strings.Contains(answer.StatusText, "Accepted as id-1") {
			t.Fatalf("got %+v, %v", answer, err)
		}
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
	want := []waypost.Submission{
		{
			Principal: waypost.Principal{CredentialID: "cred-me"}, Source: "smtp", Clean: true, Peer: "192.0.2.1", HelloName: "go-smtp.test",
			Protocol: "ESMTPSA", MailFrom: "a@b.test", Recipients: []string{"c@d.test"}, Message: []byte(testMail),
		},
		{
			Principal: waypost.Principal{CredentialID: "cred-me"}, Source: "smtp", Clean: true, Peer: "192.0.2.1", HelloName: "go-smtp.test",
			Protocol: "UTF8SMTPSA", MailFrom: "ä@b.test", Recipients: []string{"c@d.test"}, Message: []byte(testMail),
		},
	}
	if diff := cmp.Diff(want, b.received()); diff != "" {
		t.Error(diff)
	}
}

func TestGoSMTPClientReadsEnhancedCodes(t *testing.T) {
	b := &backend{accept: func(context.Context, waypost.Submission) (waypost.Receipt, error) {
		return waypost.Receipt{}, waypost.NewError(waypost.NoGateway, "no_gateway", "No gateway is bound")
	}}
	c, err := smtp.Dial(start(t, b, nil).addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.SendMail("a@b.test", []string{"c@d.test"}, strings.NewReader(testMail))
	want := &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 5}, Message: "No gateway is bound"}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Error(diff)
	}
}

func TestNetSMTPClient(t *testing.T) {
	srv, cli := certificate(t)
	b := &backend{network: noNetwork}
	s := start(t, b, func(o *setup) { o.TLS = srv })
	c, err := netsmtp.Dial(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, step := range []func() error{
		func() error { return c.StartTLS(cli) },
		func() error { return c.Auth(netsmtp.PlainAuth("", "me", "key", "127.0.0.1")) },
		func() error { return c.Mail("a@b.test") },
		func() error { return c.Rcpt("c@d.test") },
		func() error { return c.Reset() },
		func() error { return c.Noop() },
		func() error { return c.Mail("a@b.test") },
		func() error { return c.Rcpt("c@d.test") },
		func() error {
			w, err := c.Data()
			if err != nil {
				return err
			}
			if _, err := w.Write([]byte(testMail)); err != nil {
				return err
			}
			return w.Close()
		},
		c.Quit,
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.received(); len(got) != 1 || !bytes.Equal(got[0].Message, []byte(testMail)) || got[0].Protocol != "UTF8SMTPSA" {
		t.Errorf("got %+v", got)
	}
}

func TestSwaks(t *testing.T) {
	path, err := exec.LookPath("swaks")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("swaks is missing")
		}
		t.Skip("swaks is missing")
	}
	srv, _ := certificate(t)
	b := &backend{network: noNetwork}
	s := start(t, b, func(o *setup) {
		o.TLS, o.from = srv, "192.0.2.1:1"
		o.CleartextNetworks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	s2 := start(t, b, func(o *setup) { o.TLS, o.ImplicitTLS, o.from = srv, true, "192.0.2.1:1" })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	runs := [][]string{
		{"--server", s.addr, "--auth", "LOGIN"},
		{"--server", s.addr, "--auth", "PLAIN", "--pipeline"},
		{"--server", s2.addr, "--auth", "PLAIN", "--tls-on-connect"},
		{"--server", s.addr, "--auth", "LOGIN", "--tls"},
	}
	// Debian installs swaks without its TLS module unless asked.
	support, _ := exec.CommandContext(ctx, path, "--support").CombinedOutput()
	if bytes.Contains(support, []byte("TLS not available")) {
		runs = runs[:2]
	}
	for _, args := range runs {
		args = append(args, "--from", "a@b.test", "--to", "c@d.test,e@f.test", "--auth-user", "me", "--auth-password", "key", "--body", ".\nend")
		if out, err := exec.CommandContext(ctx, path, args...).CombinedOutput(); err != nil || !bytes.Contains(out, []byte("250 2.0.0 Accepted as id-1")) {
			t.Errorf("swaks %s: %v\n%s", args, err, out)
		}
	}
	for _, got := range b.received() {
		if len(got.Recipients) != 2 || !bytes.Contains(got.Message, []byte("\r\n\r\n.\r\nend\r\n")) {
			t.Errorf("got %+v", got)
		}
	}
}

func TestTLS12AndTLS13Clients(t *testing.T) {
	srv, cli := certificate(t)
	s := start(t, &backend{}, func(o *setup) { o.TLS = srv })
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := cli.Clone()
		config.MinVersion, config.MaxVersion = version, version
		c := s.hello()
		c.startTLS(config)
		c.cmd("EHLO x", "250-")
		c.envelope()
		c.cmd("x\r\n.", "250 2.0.0 ")
		c.cmd("QUIT", "221 ")
		c.wantClosed()
	}
}
