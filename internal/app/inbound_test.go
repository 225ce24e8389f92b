package app_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/waypost"
)

// stranger is another server's connection to the return path.
type stranger struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func callOut(t *testing.T, a *app.App) *stranger {
	t.Helper()
	conn, err := net.Dial("tcp", a.Addr(app.ListenBounce).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	s := &stranger{t, conn, bufio.NewReader(conn)}
	s.reply("220 ")
	return s
}

// reply reads a reply, which has to begin so; its lines are joined by LF.
func (s *stranger) reply(want string) string {
	s.t.Helper()
	all := ""
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			s.t.Fatalf("%v after %q", err, all)
		}
		all += strings.TrimSuffix(line, "\r\n") + "\n"
		if line[3] == ' ' {
			break
		}
	}
	if !strings.HasPrefix(all, want) {
		s.t.Errorf("got %q, want %q", all, want)
	}
	return all
}

func (s *stranger) says(line, want string) string {
	s.t.Helper()
	if _, err := io.WriteString(s.conn, line+"\r\n"); err != nil {
		s.t.Fatal(err)
	}
	return s.reply(want)
}

func TestWhoVerifiesASenderOfOursByCallingOutFindsIt(t *testing.T) {
	mx := mailtest.StartSMTP(t, mailtest.Knobs{})
	srv := dnstest.Start(t, dnstest.Zones{"site.test": {"MX 10 mx.site.test"}, "mx.site.test": {"A 127.0.0.1"}})
	a := start(t, settings(t, "WAYPOST_PLATFORM_DOMAIN=platform.test", "WAYPOST_DNS_RESOLVER="+srv.Addr, "WAYPOST_BOUNCE_ADDR=127.0.0.1:0",
		fmt.Sprintf("WAYPOST_MX_PORT=%d", mx.Port()), "WAYPOST_GUARD_ALLOW=127.0.0.0/8"))
	op, key := operator(t, a.Base, "")
	if err := submit(t, a, key, "someone@site.test", "Hello"); err != nil {
		t.Fatal(err)
	}
	sender := mx.WaitMails(t, 1)[0].From
	local, _, _ := strings.Cut(sender, "@")
	if !strings.HasSuffix(sender, "@bounce.platform.test") {
		t.Fatalf("it left as %s", sender)
	}
	c := callOut(t, a)
	c.says("EHLO mx.site.test", "250-")
	c.says("MAIL FROM:<>", "250 ")
	c.says("RCPT TO:<"+sender+">", "250 2.1.5 ")
	c.says("RCPT TO:<postmaster@platform.test>", "452 4.5.3 ")
	c.says("RSET", "250 ")
	c.says("MAIL FROM:<>", "250 ")
	c.says("RCPT TO:<"+local+"@bounce.operator.test>", "250 2.1.5 ") // a CNAME to ours
	c.says("RSET", "250 ")

	forged := "b-" + strings.Repeat("a", len(local)-2)
	c.says("MAIL FROM:<>", "250 ")
	c.says("RCPT TO:<"+forged+"@bounce.platform.test>", "550 5.1.1 ")
	c.says("RCPT TO:<"+forged+"@bounce.operator.test>", "550 5.7.1 ")
	c.says("RCPT TO:<"+local+"@operator.test>", "550 5.7.1 ")

	// What people write is refused in our own words, and never answered by a mail.
	c.says("RSET", "250 ")
	c.says("MAIL FROM:<someone@site.test>", "250 ")
	c.says("RCPT TO:<"+sender+">", "250 2.1.5 ")
	c.says("DATA", "354 ")
	c.says("Subject: Hello\r\n\r\nWho are you?\r\n.", "550 5.7.1 Nobody reads mail to this address")

	// A report is taken, and moves the delivery, once that has ended.
	counted := func(delivered, bounced int64) {
		t.Helper()
		eventually(t, func() error {
			n, err := a.Store.Totals(t.Context(), op)
			if err == nil && (n.Delivered != delivered || n.Bounced != bounced) {
				err = fmt.Errorf("%+v", n)
			}
			return err
		})
	}
	counted(1, 0)
	c.says("MAIL FROM:<>", "250 ")
	c.says("RCPT TO:<"+sender+">", "250 2.1.5 ")
	c.says("DATA", "354 ")
	c.says("Subject: Undelivered Mail Returned to Sender\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"+
		"--b\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.site.test\r\n\r\n"+
		"Final-Recipient: rfc822; someone@site.test\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n--b--\r\n.", "250 ")
	counted(0, 1)
	c.says("MAIL FROM:<a@b.test>", "250 ")
	c.says("RCPT TO:<postmaster@platform.test>", "250 ")
	c.says("DATA", "354 ")
	c.says(".", "250 ") // an empty one
	if got := sandbox(t, a, waypost.PlatformOperatorID, 1); got[0].Recipient != "postmaster@platform.test" {
		t.Errorf("%+v", got)
	}
}

func TestTheReturnPathOffersTLSAndTellsPeopleInTheReply(t *testing.T) {
	a := start(t, settings(t, "WAYPOST_PLATFORM_DOMAIN=platform.test", "WAYPOST_PLATFORM_FROM=Fleet <alerts@flöte.test>", "WAYPOST_BOUNCE_ADDR=127.0.0.1:0"))
	c := callOut(t, a)
	if got := c.says("EHLO x", "250-"); !strings.Contains(got, "STARTTLS") || strings.Contains(got, "AUTH") {
		t.Errorf("%q", got)
	}
	c.says("STARTTLS", "220 ")
	secure := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	c.conn, c.r = secure, bufio.NewReader(secure)
	if got := c.says("EHLO x", "250-"); strings.Contains(got, "STARTTLS") {
		t.Errorf("%q", got)
	}
	told := func(want string) {
		t.Helper()
		c.says("MAIL FROM:<ann@site.test>", "250 ")
		c.says("RCPT TO:<Alerts@xn--flte-6qa.test>", "250 ") // who verifies From by calling out finds it
		if got := c.says("DATA", "550"); got != want {
			t.Errorf("%q", got)
		}
	}
	told("550 5.7.1 Nobody reads mail to this address. Please write to whom the mail you received names as its contact.\n")
	_, err := a.System.ChangePlatformSettings(t.Context(), waypost.CommandLine(), func(p *waypost.PlatformSettings) error {
		p.ReturnPath.Courtesy = "Call us.\nLlame."
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { // within a second
		p, err := a.Directory.Platform(t.Context())
		if err == nil && p.ReturnPath.Courtesy == "" {
			err = errors.New("the change is not heeded")
		}
		return err
	})
	told("550-5.7.1 Call us.\n550 5.7.1 Llame.\n")
	sandbox(t, a, waypost.PlatformOperatorID, 0)
}

func TestTheReturnPathSaysHowMuchItTakes(t *testing.T) {
	for setting, want := range map[string]string{"25MiB": "2097152", "1MiB": "1048576"} {
		a := start(t, settings(t, "WAYPOST_PLATFORM_DOMAIN=platform.test", "WAYPOST_BOUNCE_ADDR=127.0.0.1:0", "WAYPOST_MAX_MESSAGE_SIZE="+setting))
		c := callOut(t, a)
		if got := c.says("EHLO x", "250-"); !strings.Contains(got, "SIZE "+want+"\n") {
			t.Errorf("%s: %q", setting, got)
		}
		c.says("MAIL FROM:<a@b.test> SIZE=2097153", "552 5.3.4 ")
		c.says("MAIL FROM:<a@b.test> SIZE="+want, "250 ")
	}
}

func TestOneNetworkCannotFillTheOwnersMailbox(t *testing.T) {
	a := start(t, settings(t, "WAYPOST_PLATFORM_DOMAIN=platform.test", "WAYPOST_BOUNCE_ADDR=127.0.0.1:0"))
	c := callOut(t, a)
	c.says("EHLO x", "250-")
	taken := 0
	for {
		c.says("MAIL FROM:<a@b.test>", "250 ")
		c.says("RCPT TO:<abuse@platform.test>", "250 ")
		if got := c.says("DATA", ""); !strings.HasPrefix(got, "354") {
			if !strings.HasPrefix(got, "450 4.7.1 ") {
				t.Errorf("%q", got)
			}
			break
		}
		c.says("Subject: x\r\n\r\nHello.\r\n.", "250 ")
		if taken++; taken == 100 {
			t.Fatal("there is no end")
		}
	}
	if taken < 5 || taken > 20 {
		t.Errorf("%d were taken", taken)
	}
	sandbox(t, a, waypost.PlatformOperatorID, taken)
}
