package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/mailtest"
)

// Receivers that verify a sender ask its exchanger for it. Here one of them gets the mail
// of an operator whose return path is at its own domain: the local mailbox.
func TestTheReturnPathOfAnOperatorsMailIsThereForWhoAsks(t *testing.T) {
	n := newInternet(t, "operator.test")
	c := n.operator("Fleet")
	d := must(c.ClaimDomain(t.Context(), "operator.test"))(t)
	n.publish(d)
	if d = must(c.CheckDomain(t.Context(), d.ID))(t); !d.ReturnPath {
		t.Fatalf("%+v", d)
	}
	must(c.AddSender(t.Context(), "alarm@operator.test", "Fleet", true))(t)
	must(c.Send(t.Context(), client.NewMessage{To: []client.Address{{Email: "postmaster@bounce." + platform}}, Subject: "Who asks", Text: "Hello."}))(t)
	owner, sender := n.support().For("00000000-0000-7000-8000-000000000000"), ""
	eventually(t, patience, "the mail came back", func() bool {
		for m, err := range owner.Sandbox(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if m.Subject == "Who asks" {
				sender = m.MailFrom
			}
		}
		return sender != ""
	})
	local, domain, _ := strings.Cut(sender, "@")
	if domain != "bounce.operator.test" {
		t.Fatalf("it left as %s", sender)
	}

	w := dial(t, n.addr("bounce"))
	w.want("250", "EHLO mx.receiver.test")
	w.want("250", "MAIL FROM:<>")
	w.want("250 2.1.5", "RCPT TO:<%s>", sender)
	w.want("452 4.5.3", "RCPT TO:<%s@bounce.%s>", local, platform)
	w.want("354", "DATA")
	w.want("250", "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"+
		"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.receiver.test\r\n\r\n"+
		"Final-Recipient: rfc822; someone@receiver.test\r\nAction: delayed\r\nStatus: 4.4.1\r\n--b--\r\n.")
	w.want("250", "MAIL FROM:<>")
	w.want("250", "RCPT TO:<abuse@%s>", platform)
	w.want("452 4.5.3", "RCPT TO:<%s>", sender)
	w.want("354", "DATA")
	w.want("250", "Hello.\r\n.")
	w.want("250", "MAIL FROM:<>")
	last := "a"
	if strings.HasSuffix(local, "a") {
		last = "b"
	}
	w.want("550 5.7.1", "RCPT TO:<%s@%s>", local[:len(local)-1]+last, domain)
	w.want("550 5.1.1", "RCPT TO:<%s@bounce.%s>", local[:len(local)-1]+last, platform)
}

// What one network writes to the owner leaves room for others.
func TestMailToPostmasterIsBoundedPerNetwork(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{}, "BOUNCE_ADDR=127.0.0.1:0")
	s := w.start()
	write := func(from string) string {
		c := dial(t, s.addr("bounce"), from)
		defer c.conn.Close()
		c.want("250", "EHLO stranger.test")
		code, text, err := c.send("someone@stranger.test", "postmaster@"+platform, letter("someone@stranger.test", "postmaster@"+platform, "Hello"))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d %s", code, text)
	}
	for n := range 10 {
		if got := write("127.0.2.1"); !strings.HasPrefix(got, "250") {
			t.Fatalf("mail %d: %s", n, got)
		}
	}
	if got := write("127.0.2.99"); !strings.HasPrefix(got, "450 4.7.1") {
		t.Errorf("the same network goes on: %s", got)
	}
	if got := write("127.0.3.1"); !strings.HasPrefix(got, "250") {
		t.Errorf("another pays for it: %s", got)
	}
}
