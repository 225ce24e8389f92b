package smtpd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/smtpd"
	"github.com/waypost/waypost/internal/waypost"
)

func TestSessionHandsOverSubmission(t *testing.T) {
	b := &backend{}
	c := start(t, b, nil).hello()
	c.cmd(`MAIL FROM:<a@b.test> SIZE=100 BODY=8BITMIME AUTH=<>`, "250 2.1.0 ")
	c.cmd(`RCPT TO:<c@D.test>`, "250 2.1.5 ")
	c.cmd(`rcpt to: <"odd > name"@d.test>`, "250 2.1.5 ")
	c.cmd("DATA", "354 ")
	c.send("Subject: x\r\n\r\n..dot\r\n\xc3\xa4\r\n")
	if got := c.cmd(".", "250 2.0.0 "); got != "250 2.0.0 Accepted as id-1" {
		t.Errorf("got %q", got)
	}
	c.cmd("QUIT", "221 2.0.0 ")
	c.wantClosed()
	want := []waypost.Submission{{
		Principal: waypost.Principal{CredentialID: "network"}, Source: "smtp", Clean: true,
		Peer:      "127.0.0.1",
		HelloName: "client.test", Protocol: "ESMTP",
		MailFrom: "a@b.test", Recipients: []string{"c@D.test", `"odd > name"@d.test`},
		Message: []byte("Subject: x\r\n\r\n.dot\r\n\xc3\xa4\r\n"),
	}}
	if diff := cmp.Diff(want, b.received()); diff != "" {
		t.Error(diff)
	}
	if b.counted("message accepted") != 1 {
		t.Errorf("counts %v", b.counts)
	}
}

// TestSessionTranscripts has one line per rule: what is sent in the state that prepare leaves,
// and how the reply begins.
func TestSessionTranscripts(t *testing.T) {
	const ehlo, mail, rcpt = "EHLO x", "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>"
	long := strings.Repeat("a", 3000)
	for _, tc := range []struct {
		prepare []string
		send    string
		want    string
	}{
		{nil, "HELO x", "250 mx.test"},
		{nil, "ehlo \xd0\x9f\xd0\x9a 1", "250-mx.test"},
		{nil, "EHLO", "501 5.5.4"},
		{nil, "NOOP", "250 2.0.0"},
		{nil, "NOOP ignored", "250 2.0.0"},
		{nil, "noop  ", "250 2.0.0"},
		{nil, "RSET", "250 2.0.0"},
		{nil, "HELP", "214 2.0.0"},
		{nil, "VRFY a@b", "252 2.5.2"},
		{nil, "EXPN list", "502 5.5.1"},
		{nil, "BDAT 10", "502 5.5.1"},
		{nil, "FOO", "500 5.5.2"},
		{nil, "", "500 5.5.2"},
		{nil, "NOOP \x01", "500 5.5.2"},
		{nil, "NOOP \x00", "500 5.5.2"},
		{nil, "NOOP a\rQUIT", "500 5.5.2"},
		{nil, "NOOP " + long, "500 5.5.2"},
		{nil, mail, "503 5.5.1"},
		{nil, "AUTH PLAIN", "503 5.5.1"},
		{nil, "STARTTLS", "502 5.5.1"},
		{nil, "QUIT", "221 2.0.0"},
		{nil, "POST / HTTP/1.1", "421 4.7.0"},

		{[]string{ehlo}, "MAIL", "501 5.5.4"},
		{[]string{ehlo}, "MAIL FROM", "501 5.5.4"},
		{[]string{ehlo}, "MAIL FROM:", "501 5.5.4"},
		{[]string{ehlo}, "MAIL FROM:<a@b.test", "501 5.5.4"},
		{[]string{ehlo}, "MAIL FROM:<a@b.test>SIZE=1", "501 5.5.4"},
		{[]string{ehlo}, "MAIL FROM:<>", "250 2.1.0"},
		{[]string{ehlo}, "MAIL FROM:a@b.test", "250 2.1.0"},
		{[]string{ehlo}, "MAIL FROM:<@r.test,@s.test:a@b.test>", "250 2.1.0"},
		{[]string{ehlo}, "MAIL FROM:<a b@b.test>", "553 5.1.7"},
		{[]string{ehlo}, "MAIL FROM:<a\x01@b.test>", "553 5.1.7"},
		{[]string{ehlo}, "MAIL FROM:<\xc3\xa4@b.test>", "553 5.6.7"},
		{[]string{ehlo}, "MAIL FROM:<\xc3\xa4@b.test> SMTPUTF8", "250 2.1.0"},
		{[]string{ehlo}, "MAIL FROM:<\xc3@b.test> SMTPUTF8", "553 5.1.7"},
		{[]string{ehlo}, mail + " SMTPUTF8=1", "501 5.5.4"},
		{[]string{ehlo}, mail + " BODY=7bit", "250 2.1.0"},
		{[]string{ehlo}, mail + " BODY=BINARYMIME", "501 5.5.4"},
		{[]string{ehlo}, mail + " SIZE=1 SIZE=1", "501 5.5.4"},
		{[]string{ehlo}, mail + " SIZE=", "501 5.5.4"},
		{[]string{ehlo}, mail + " SIZE=-1", "501 5.5.4"},
		{[]string{ehlo}, mail + " SIZE=1000", "250 2.1.0"},
		{[]string{ehlo}, mail + " SIZE=1001", "552 5.3.4"},
		{[]string{ehlo}, mail + " SIZE=99999999999999999999", "552 5.3.4"},
		{[]string{ehlo}, mail + " RET=HDRS", "555 5.5.4"},
		{[]string{ehlo}, "MAIL FROM:<" + long + "@b.test>", "500 5.5.2"},
		{[]string{ehlo}, rcpt, "503 5.5.1"},
		{[]string{ehlo}, "DATA", "503 5.5.1"},

		{[]string{ehlo, mail}, mail, "503 5.5.1"},
		{[]string{ehlo, mail}, "AUTH PLAIN", "503 5.5.1"},
		{[]string{ehlo, mail}, "DATA", "554 5.5.1"},
		{[]string{ehlo, mail}, "RCPT TO:<>", "553 5.1.3"},
		{[]string{ehlo, mail}, "RCPT TO:<c>", "553 5.1.3"},
		{[]string{ehlo, mail}, "RCPT TO:<c@d..test>", "553 5.1.3"},
		{[]string{ehlo, mail}, "RCPT TO:<c\x01@d.test>", "553 5.1.3"},
		{[]string{ehlo, mail}, "RCPT TO:<\"c\td\"@d.test>", "553 5.1.3"},
		{[]string{ehlo, mail}, "RCPT TO:<\xc3\xa4@d.test>", "553 5.6.7"},
		{[]string{ehlo, mail}, rcpt + " NOTIFY=NEVER", "555 5.5.4"},
		{[]string{ehlo, mail}, "RCPT TO:<" + long[:65] + "@d.test>", "553 5.1.3"},
		{[]string{ehlo, mail, rcpt, rcpt, rcpt}, rcpt, "452 4.5.3"},
		{[]string{ehlo, mail, rcpt}, "DATA now", "501 5.5.4"},
		{[]string{ehlo, mail, rcpt}, "DATA", "354"},
		{[]string{ehlo, mail, rcpt, "RSET"}, "DATA", "503 5.5.1"},
		{[]string{ehlo, mail, rcpt, ehlo}, "DATA", "503 5.5.1"},
		{[]string{ehlo, mail, "EHLO"}, rcpt, "250 2.1.5"},
	} {
		t.Run(fmt.Sprintf("%.40q", strings.Join(append(tc.prepare, tc.send), "|")), func(t *testing.T) {
			c := start(t, &backend{}, func(o *setup) { o.MaxMessageSize, o.MaxRecipients = 1000, 3 }).dial()
			for _, line := range tc.prepare {
				c.send(line + "\r\n")
				c.reply()
			}
			c.cmd(tc.send, tc.want)
		})
	}
}

func TestEHLOAdvertisesWhatIsPermitted(t *testing.T) {
	srv, cli := certificate(t)
	b := &backend{}
	s := start(t, b, func(o *setup) { o.TLS, o.from, o.MaxMessageSize = srv, "192.0.2.1:1", 777 })
	c := s.dial()
	const base = "250-mx.test\n250-PIPELINING\n250-8BITMIME\n250-SMTPUTF8\n250-ENHANCEDSTATUSCODES\n250-SIZE 777\n"
	if got := c.cmd("EHLO x", "250-"); got != base+"250 STARTTLS" {
		t.Errorf("before TLS: %q", got)
	}
	c.startTLS(cli)
	if got := c.cmd("EHLO x", "250-"); got != base+"250 AUTH PLAIN LOGIN" {
		t.Errorf("in TLS: %q", got)
	}
	c = start(t, b, func(o *setup) { o.MaxMessageSize = 777 }).dial()
	if got := c.cmd("EHLO x", "250-"); got != base+"250 AUTH PLAIN LOGIN" {
		t.Errorf("from loopback: %q", got)
	}
	c = start(t, b, func(o *setup) { o.from, o.MaxMessageSize = "192.0.2.1:1", 777 }).dial()
	if got := c.cmd("EHLO x", "250-"); strings.Contains(got, "AUTH") || strings.Contains(got, "STARTTLS") {
		t.Errorf("from a network, no TLS: %q", got)
	}
}

func TestBareLFInCommandClosesSession(t *testing.T) {
	c := start(t, &backend{}, nil).hello()
	c.send("NOOP\nMAIL FROM:<a@b.test>\r\n")
	c.want("500 5.5.2 ")
	c.wantClosed()
}

func TestEndlessCommandLineClosesSession(t *testing.T) {
	c := start(t, &backend{}, nil).hello()
	c.send(strings.Repeat("a", 10_000))
	c.want("500 5.5.2 ")
	c.wantClosed()
}

func TestTooManyErrorsCloseSession(t *testing.T) {
	c := start(t, &backend{}, nil).hello()
	for range 9 {
		c.cmd("FOO", "500 5.5.2 ")
	}
	c.cmd("FOO", "421 4.7.0 ")
	c.wantClosed()
}

func TestAcceptedMessageForgivesErrors(t *testing.T) {
	c := start(t, &backend{}, nil).hello()
	for range 3 {
		for range 9 {
			c.cmd("FOO", "500 5.5.2 ")
		}
		c.envelope()
		c.cmd("x: y\r\n.", "250 2.0.0 ")
	}
}

func TestStrangerCannotTalkForEver(t *testing.T) {
	c := start(t, &backend{network: noNetwork}, nil).hello()
	for range 99 {
		c.cmd("NOOP", "250 ")
	}
	c.cmd("NOOP", "421 4.7.0 ")
	c.wantClosed()
}

func TestPipelinedRepliesLeaveInOneWrite(t *testing.T) {
	b := &backend{}
	s := start(t, b, nil)
	c := s.hello()
	c.send("MAIL FROM:<a@b.test>\r\nRCPT TO:<bad>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n")
	for _, want := range []string{"250 2.1.0 ", "553 5.1.3 ", "250 2.1.5 ", "354 "} {
		c.want(want)
	}
	// The next transaction right behind the dot (RFC 2920 section 3.1).
	many := strings.Repeat("NOOP\r\n", 20_000)
	c.send("one: 1\r\n.\r\nMAIL FROM:<e@f.test>\r\nRCPT TO:<g@h.test>\r\nDATA\r\n")
	for _, want := range []string{"250 2.0.0 ", "250 2.1.0 ", "250 2.1.5 ", "354 "} {
		c.want(want)
	}
	go func() { _, _ = c.conn.Write([]byte("two: 2\r\n.\r\n" + many + "QUIT\r\n")) }()
	c.want("250 2.0.0 ")
	for range 20_000 {
		c.want("250 2.0.0 ")
	}
	c.want("221 ")
	if got := b.received(); len(got) != 2 || string(got[1].Message) != "two: 2\r\n" || got[1].MailFrom != "e@f.test" {
		t.Errorf("got %+v", got)
	}
}

func TestPipelinedBodyBehindRefusedDATAIsNotAMail(t *testing.T) {
	b := &backend{}
	c := start(t, b, nil).hello()
	c.send("MAIL FROM:<a@b.test>\r\nRCPT TO:<bad>\r\nDATA\r\n")
	c.want("250 ")
	c.want("553 ")
	c.want("554 5.5.1 ")
	if len(b.received()) != 0 {
		t.Error("accepted")
	}
}

func TestDataRefusesWhatOthersReadDifferently(t *testing.T) {
	b := &backend{}
	c := start(t, b, nil).hello()
	for _, body := range []string{
		"a\r\n.\nMAIL FROM:<evil@b.test>\r\n", "a\n.\nMAIL FROM:<evil@b.test>\r\n", "a\n.\r\nMAIL FROM:<evil@b.test>\r\n",
		"a\r.\rMAIL FROM:<evil@b.test>\r\n", "a\r\n.\rMAIL FROM:<evil@b.test>\r\n", "a\r.\r\nx\r\n", "\n.\r\nx\r\n", "a\r\r\n", "a\x00b\r\n", "\n\r\n",
	} {
		c.envelope()
		c.send(body + ".\r\n")
		c.want("550 5.6.11 ")
		c.cmd("NOOP", "250 2.0.0 OK") // exactly one reply came
	}
	if got := b.received(); len(got) != 0 {
		t.Errorf("accepted %d", len(got))
	}
	if b.counted("message refused") != 10 {
		t.Errorf("counts %v", b.counts)
	}
}

func TestTheReplySaysWhoIsSuppressed(t *testing.T) {
	to := func(status waypost.State, reason string) waypost.ReceiptDelivery {
		return waypost.ReceiptDelivery{Status: status, Reason: reason}
	}
	for want, deliveries := range map[string][]waypost.ReceiptDelivery{
		"": {to(waypost.Queued, "")},
		"; recipient is suppressed (hard_bounce)": {to(waypost.Suppressed, "hard_bounce: 550 5.1.1 no\r\n250 such user")},
		"; 1 of 2 recipients are suppressed":      {to(waypost.Queued, ""), to(waypost.Suppressed, "unsubscribe")},
	} {
		b := &backend{accept: func(context.Context, waypost.Submission) (waypost.Receipt, error) {
			return waypost.Receipt{ID: "id-1", Deliveries: deliveries}, nil
		}}
		c := start(t, b, nil).hello()
		c.envelope()
		if got := c.cmd(".", "250 "); got != "250 2.0.0 Accepted as id-1"+want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTransactionIsOverAfterRefusedMessage(t *testing.T) {
	b := &backend{accept: func(context.Context, waypost.Submission) (waypost.Receipt, error) {
		return waypost.Receipt{}, &waypost.Error{Kind: waypost.Invalid, SMTP: "5.4.6", Message: "Too many hops"}
	}}
	c := start(t, b, nil).hello()
	c.envelope()
	if got := c.cmd(".", "554 "); got != "554 5.4.6 Too many hops" {
		t.Errorf("got %q", got)
	}
	c.cmd("DATA", "503 5.5.1 ")
	c.envelope()
}

func TestInternalErrorTellsNothing(t *testing.T) {
	b := &backend{accept: func(context.Context, waypost.Submission) (waypost.Receipt, error) {
		return waypost.Receipt{}, errors.New("disk /dev/secret is broken")
	}}
	c := start(t, b, nil).hello()
	c.envelope()
	if got := c.cmd(".", "451 4.3.0 "); strings.Contains(got, "secret") {
		t.Errorf("got %q", got)
	}
	if b.counted("message deferred") != 1 {
		t.Errorf("counts %v", b.counts)
	}
}

func TestUnavailableEndsSession(t *testing.T) {
	b := &backend{accept: func(context.Context, waypost.Submission) (waypost.Receipt, error) {
		return waypost.Receipt{}, waypost.NewError(waypost.Unavailable, "", "Database away")
	}}
	c := start(t, b, nil).hello()
	c.envelope()
	c.cmd(".", "421 4.3.2 Database away")
	c.wantClosed()
}

func TestMessageOverLimitIsReadAndRefused(t *testing.T) {
	b := &backend{}
	c := start(t, b, func(o *setup) { o.MaxMessageSize, o.DataBudget = 1000, 1<<20 }).hello()
	c.envelope()
	go func() {
		w := bufio.NewWriter(c.conn)
		line := strings.Repeat("x", 998) + "\r\n"
		for range 20_000 { // 20 MB against a budget of one
			_, _ = w.WriteString(line)
		}
		_, _ = w.WriteString(".\r\n")
		_ = w.Flush()
	}()
	c.want("552 5.3.4 ")
	c.envelope()
	c.cmd(strings.Repeat("x", 999)+"\r\n.", "552 5.3.4 ")
	c.envelope()
	c.cmd(strings.Repeat("x", 998)+"\r\n.", "250 2.0.0 ")
}

func TestEndlessMessageIsCutOff(t *testing.T) {
	b := &backend{}
	c := start(t, b, func(o *setup) { o.MaxMessageSize, o.DiscardLimit = 1000, 1<<20 }).hello()
	c.envelope()
	go func() {
		line := []byte(strings.Repeat("x", 64<<10))
		for {
			if _, err := c.conn.Write(line); err != nil {
				return
			}
		}
	}()
	c.want("552 5.3.4 ")
	c.wantClosed()
}

func TestExhaustedBudgetDefersMail(t *testing.T) {
	hold := make(chan struct{})
	entered := make(chan struct{}, 1)
	b := &backend{accept: func(_ context.Context, s waypost.Submission) (waypost.Receipt, error) {
		if s.MailFrom == "a@b.test" {
			entered <- struct{}{}
			<-hold
		}
		return waypost.Receipt{ID: "x"}, nil
	}}
	s := start(t, b, func(o *setup) { o.DataBudget = 3 * 64 << 10 })
	first, second := s.hello(), s.hello()
	first.envelope()
	first.send(strings.Repeat("x", 1000) + "\r\n.\r\n")
	<-entered // one chunk and the copy are held

	second.cmd("MAIL FROM:<e@f.test>", "250 ")
	second.cmd("RCPT TO:<c@d.test>", "250 ")
	second.cmd("DATA", "354 ")
	second.cmd(strings.Repeat("x", 200_000)+"\r\n.", "452 4.3.1 ")
	close(hold)
	first.want("250 2.0.0 ")
	second.cmd("MAIL FROM:<e@f.test>", "250 ")
	second.cmd("RCPT TO:<c@d.test>", "250 ")
	second.cmd("DATA", "354 ")
	second.cmd("small\r\n.", "250 2.0.0 ")
}

func TestLimiterIsAskedBeforeEachTransaction(t *testing.T) {
	answers := []error{
		waypost.NewError(waypost.RateLimited, "", "Slow down"), nil, waypost.NewError(waypost.Unauthenticated, "", "Key revoked"), nil,
	}
	var asked []string
	b := &backend{
		network: noNetwork,
		allow: func(p waypost.Principal) error {
			asked = append(asked, p.CredentialID)
			err := answers[0]
			answers = answers[1:]
			return err
		},
	}
	c := start(t, b, nil).hello()
	c.cmd("AUTH PLAIN AHUAa2V5", "235 2.7.0 ") // u, key
	c.cmd("MAIL FROM:<a@b.test>", "451 4.7.1 Slow down")
	c.cmd("MAIL FROM:<a@b.test>", "250 ")
	c.cmd("RSET", "250 ")
	c.cmd("MAIL FROM:<a@b.test>", "535 5.7.8 Key revoked")
	c.cmd("MAIL FROM:<a@b.test>", "530 5.7.0 ") // the login counts no more
	c.cmd("AUTH PLAIN AHUAa2V5", "235 2.7.0 ")
	c.cmd("MAIL FROM:<a@b.test>", "250 ")
	if diff := cmp.Diff([]string{"cred-u", "cred-u", "cred-u", "cred-u"}, asked); diff != "" {
		t.Error(diff)
	}
}

func TestPanicInAcceptEndsOnlyItsSession(t *testing.T) {
	caught := make(chan any, 1)
	b := &backend{accept: func(context.Context, waypost.Submission) (waypost.Receipt, error) { panic("oops") }}
	s := start(t, b, func(o *setup) {
		o.OnPanic = func(v any) { caught <- v }
		o.DataBudget = 64 << 10 // room for one message: it has to be given back
	})
	for range 2 {
		c := s.hello()
		c.envelope()
		c.send(".\r\n")
		c.want("421 4.3.0 ")
		c.wantClosed()
		if v := <-caught; v != "oops" {
			t.Errorf("caught %v", v)
		}
	}
}

func TestProtocolNamesTheSession(t *testing.T) {
	srv, cli := certificate(t)
	for _, tc := range []struct {
		hello string
		tls   bool
		login bool
		param string
		want  string
	}{
		{"HELO x", false, false, "", "SMTP"},
		{"EHLO x", false, false, "", "ESMTP"},
		{"EHLO x", false, true, "", "ESMTPA"},
		{"EHLO x", true, false, "", "ESMTPS"},
		{"EHLO x", true, true, "", "ESMTPSA"},
		{"EHLO x", false, false, " SMTPUTF8", "UTF8SMTP"},
		{"EHLO x", true, true, " SMTPUTF8", "UTF8SMTPSA"},
	} {
		b := &backend{}
		c := start(t, b, func(o *setup) { o.TLS = srv }).dial()
		if tc.tls {
			c.startTLS(cli)
		}
		c.cmd(tc.hello, "250")
		if tc.login {
			c.cmd("AUTH PLAIN AHUAa2V5", "235 ")
		}
		c.cmd("MAIL FROM:<a@b.test>"+tc.param, "250 ")
		c.cmd("RCPT TO:<c@d.test>", "250 ")
		c.cmd("DATA", "354 ")
		c.cmd(".", "250 ")
		if got := b.received()[0].Protocol; got != tc.want {
			t.Errorf("%+v: got %q", tc, got)
		}
	}
}

func TestConnectionLimits(t *testing.T) {
	b := &backend{}
	s := start(t, b, func(o *setup) { o.MaxConnections, o.MaxConnectionsPerPeer, o.from = 3, 2, "192.0.2.1:1" })
	first := s.dial()
	s.dial()
	c := dialRaw(s)
	c.want("421 4.7.0 Too many connections")
	c.wantClosed()
	if b.counted("connection refused_peer") != 1 {
		t.Errorf("counts %v", b.counts)
	}
	first.cmd("QUIT", "221 ")
	first.wantClosed()

	s = start(t, b, func(o *setup) {
		o.MaxConnections, o.MaxConnectionsPerPeer, o.from = 3, 2, "192.0.2.1:1"
		o.ExemptNetworks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	for range 3 {
		s.dial()
	}
	dialRaw(s).want("421 4.7.0 ")
	if b.counted("connection refused_total") != 1 {
		t.Errorf("counts %v", b.counts)
	}
}

var _ smtpd.Metrics = (*backend)(nil)
