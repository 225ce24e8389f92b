package smtpd_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/waypost/waypost/internal/smtpd"
	"github.com/waypost/waypost/internal/waypost"
)

// front is the Inbound of tests: it takes all recipients whose local part does not begin
// with "no", those that begin with "alone" only if there is no other, and what begin and
// receive return nil for.
type front struct {
	begin   func(m smtpd.Received) error
	receive func(ctx context.Context) error

	mu   sync.Mutex
	got  []smtpd.Received
	asks []string
}

func (f *front) Recipient(_ context.Context, address string, others []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asks = append(f.asks, address)
	switch {
	case strings.HasPrefix(address, "no-relay"):
		return &waypost.Error{Kind: waypost.Forbidden, SMTP: "5.7.1", Message: "this server does not relay"}
	case strings.HasPrefix(address, "no-now"):
		return errors.New("secret detail")
	case strings.HasPrefix(address, "no-odd"):
		return waypost.NewError(waypost.NotFound, "", "odd\r\n250 2.1.5 \xff"+strings.Repeat("x", 1000))
	case strings.HasPrefix(address, "no"):
		return &waypost.Error{Kind: waypost.NotFound, SMTP: "5.1.1", Message: "no such mailbox"}
	case strings.HasPrefix(address, "later"):
		return waypost.NewError(waypost.RateLimited, "", "too much of it")
	case strings.HasPrefix(address, "alone") && len(others) > 0:
		return &waypost.Error{Kind: waypost.RateLimited, SMTP: "4.5.3", Message: "not with " + strings.Join(others, " and ")}
	}
	return nil
}

func (f *front) Begin(_ context.Context, m smtpd.Received) error {
	if f.begin == nil {
		return nil
	}
	return f.begin(m)
}

func (f *front) Receive(ctx context.Context, m smtpd.Received) error {
	if f.receive != nil {
		if err := f.receive(ctx); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, m)
	return nil
}

func (f *front) received() []smtpd.Received {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.got
}

// startInbound runs a server for strangers. It has neither Accepter nor Authenticator.
func startInbound(t testing.TB, f *front, mod func(*setup)) *server {
	t.Helper()
	return start(t, &backend{}, func(o *setup) {
		o.Accepter, o.Authenticator, o.Limiter, o.Inbound = nil, nil, nil, f
		o.from = "203.0.113.9:4321"
		if mod != nil {
			mod(o)
		}
	})
}

func TestInboundHandsOverWhatStrangersBring(t *testing.T) {
	f := &front{}
	c := startInbound(t, f, nil).hello()
	c.cmd("MAIL FROM:<>", "250 2.1.0 ")
	c.cmd("RCPT TO:<a@d.test>", "250 2.1.5 ")
	c.cmd("RCPT TO:<postmaster>", "250 2.1.5 ")
	c.cmd("RCPT TO:<PostMaster>", "250 2.1.5 ")
	c.cmd("DATA", "354 ")
	c.send("Subject: x\r\n\r\n..dot\r\n\xc3\xa4\r\n")
	if got := c.cmd(".", "250 2.0.0 "); got != "250 2.0.0 Received" {
		t.Errorf("got %q", got)
	}
	c.cmd("MAIL FROM:<A@b.test> BODY=8BITMIME", "250 2.1.0 ")
	c.cmd("RCPT TO:<a@d.test>", "250 2.1.5 ")
	c.cmd("DATA", "354 ")
	c.cmd(".", "250 2.0.0 ")
	c.cmd("QUIT", "221 2.0.0 ")
	c.wantClosed()
	want := []smtpd.Received{{
		Peer: netip.MustParseAddr("203.0.113.9"), Hello: "client.test", MailFrom: "", Recipients: []string{"a@d.test", "postmaster", "PostMaster"},
		Protocol: "ESMTP", Data: []byte("Subject: x\r\n\r\n.dot\r\n\xc3\xa4\r\n"),
	}, {
		Peer: netip.MustParseAddr("203.0.113.9"), Hello: "client.test", MailFrom: "A@b.test", Recipients: []string{"a@d.test"},
		Protocol: "ESMTP", Data: []byte(""),
	}}
	got := f.received()
	opts := cmp.Options{cmpopts.IgnoreFields(smtpd.Received{}, "At"), cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Error(diff)
	}
	if since := time.Since(got[0].At); since < 0 || since > time.Minute {
		t.Errorf("received at %v", got[0].At)
	}
}

func TestInboundLogsNobodyIn(t *testing.T) {
	srv, cli := certificate(t)
	s := startInbound(t, &front{}, func(o *setup) { o.TLS, o.from = srv, "127.0.0.1:5000" })
	for name, c := range map[string]*client{"clear": s.dial(), "TLS": s.dial()} {
		hello := c.cmd("EHLO x", "250-")
		if !strings.Contains(hello, "STARTTLS") {
			t.Errorf("%s: %q", name, hello)
		}
		if name == "TLS" {
			c.startTLS(cli)
			hello = c.cmd("EHLO x", "250-")
		}
		if strings.Contains(hello, "AUTH") {
			t.Errorf("%s: offered: %q", name, hello)
		}
		c.cmd("AUTH PLAIN AGEAa2V5", "502 5.5.1 ")
		c.cmd("AUTH LOGIN", "502 5.5.1 ")
		c.cmd("AUTH", "502 5.5.1 ")
		c.envelope()
		c.cmd(".", "250 2.0.0 ")
	}
}

func TestInboundTellsOfTLS(t *testing.T) {
	srv, cli := certificate(t)
	f := &front{}
	c := startInbound(t, f, func(o *setup) { o.TLS = srv }).hello()
	c.cmd("MAIL FROM:<a@b.test>", "250 ") // forgotten with what came in the clear
	c.startTLS(cli)
	c.cmd("MAIL FROM:<a@b.test>", "503 5.5.1 ")
	c.cmd("EHLO inside.test", "250-")
	c.envelope()
	c.cmd(".", "250 2.0.0 ")
	got := f.received()[0]
	if !strings.HasPrefix(got.TLS, "TLS 1.3 TLS_") || got.Protocol != "ESMTPS" || got.Hello != "inside.test" {
		t.Errorf("%+v", got)
	}
}

func TestInboundRefusesRecipientsInTheProtocolsOwnForm(t *testing.T) {
	f := &front{}
	c := startInbound(t, f, nil).hello()
	c.cmd("MAIL FROM:<a@b.test>", "250 ")
	c.cmd("RCPT TO:<nobody@d.test>", "550 5.1.1 no such mailbox")
	c.cmd("RCPT TO:<no-relay@d.test>", "550 5.7.1 this server does not relay")
	if got := c.cmd("RCPT TO:<no-now@d.test>", "451 4.3.0 "); strings.Contains(got, "secret") {
		t.Errorf("%q", got)
	}
	if got := c.cmd("RCPT TO:<no-odd@d.test>", "550 5.7.1 odd??250 2.1.5 ?"); len(got) > 500 {
		t.Errorf("%d octets", len(got))
	}
	c.cmd("DATA", "554 5.5.1 ")
	c.cmd("RCPT TO:<a b@d.test>", "553 5.1.3 ")
	c.cmd("RCPT TO:<abuse>", "553 5.1.3 ")
	c.cmd("RCPT TO:<>", "553 5.1.3 ")
	c.cmd("RCPT TO:<yes@d.test>", "250 2.1.5 ")
	c.cmd("DATA", "354 ")
	c.cmd(".", "250 2.0.0 ")
	if diff := cmp.Diff([]string{"yes@d.test"}, f.received()[0].Recipients); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"nobody@d.test", "no-relay@d.test", "no-now@d.test"}, f.asks[:3]); diff != "" || len(f.asks) != 5 {
		t.Errorf("asked for %q", f.asks)
	}
}

func TestInboundSendsRecipientsAwayForNow(t *testing.T) {
	c := startInbound(t, &front{}, nil).hello()
	c.cmd("MAIL FROM:<a@b.test>", "250 ")
	for range 15 { // which is not its fault, so it may go on
		c.cmd("RCPT TO:<later@d.test>", "450 4.7.1 too much of it")
	}
	c.cmd("RCPT TO:<one@d.test>", "250 ")
	c.cmd("RCPT TO:<two@d.test>", "250 ")
	c.cmd("RCPT TO:<alone@d.test>", "452 4.5.3 not with one@d.test and two@d.test")
	c.cmd("RSET", "250 ")
	c.cmd("MAIL FROM:<a@b.test>", "250 ")
	c.cmd("RCPT TO:<alone@d.test>", "250 ")
}

func TestInboundRefusesByTheEnvelopeBeforeTheContent(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"for good": {&waypost.Error{Kind: waypost.Forbidden, SMTP: "5.3.2", Message: "not yet"}, "550 5.3.2 not yet"},
		"for now":  {waypost.NewError(waypost.RateLimited, "", "too much"), "450 4.7.1 too much"},
		"unknown":  {errors.New("secret detail"), "451 4.3.0 Internal error"},
	} {
		f, b := &front{}, &backend{}
		var asked smtpd.Received
		f.begin = func(m smtpd.Received) error {
			if asked = m; m.MailFrom == "" {
				return tc.err
			}
			return nil
		}
		c := startInbound(t, f, func(o *setup) { o.Metrics = b }).hello()
		c.cmd("MAIL FROM:<>", "250 ")
		c.cmd("RCPT TO:<x@d.test>", "250 ")
		c.cmd("RCPT TO:<y@d.test>", "250 ")
		c.cmd("DATA", tc.want)
		want := smtpd.Received{
			Peer: netip.MustParseAddr("203.0.113.9"), Hello: "client.test", Recipients: []string{"x@d.test", "y@d.test"}, Protocol: "ESMTP",
		}
		if diff := cmp.Diff(want, asked, cmpopts.IgnoreFields(smtpd.Received{}, "At"), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		c.cmd("DATA", "503 5.5.1 ") // the transaction is over
		c.envelope()                // without RSET
		c.cmd(".", "250 2.0.0 ")
		if n := len(f.received()); n != 1 || b.counted("message refused")+b.counted("message deferred") != 0 {
			t.Errorf("%s: %d messages, %v", name, n, b.counts)
		}
	}
}

// However often a whole message is refused, it is not a client that breaks the protocol.
func TestInboundRefusesMessagesAgainAndAgain(t *testing.T) {
	f := &front{begin: func(smtpd.Received) error { return waypost.NewError(waypost.Forbidden, "", "no") }}
	c := startInbound(t, f, nil).hello()
	for range 20 {
		c.cmd("MAIL FROM:<>", "250 ")
		c.cmd("RCPT TO:<x@d.test>", "250 ")
		c.cmd("DATA", "550 ")
	}
}

func TestHelpNamesTheCommandsThereAre(t *testing.T) {
	const all = "EHLO HELO STARTTLS AUTH MAIL RCPT DATA RSET NOOP VRFY QUIT"
	if got, want := startInbound(t, &front{}, nil).hello().cmd("HELP", "214 2.0.0 "), "214 2.0.0 "+strings.Replace(all, "AUTH ", "", 1); got != want {
		t.Errorf("for strangers: %q", got)
	}
	if got := start(t, &backend{}, nil).hello().cmd("HELP", "214 2.0.0 "); got != "214 2.0.0 "+all {
		t.Errorf("for submission: %q", got)
	}
}

func TestInboundEndsAfterTenWrongRecipients(t *testing.T) {
	f := &front{}
	c := startInbound(t, f, nil).hello()
	c.cmd("MAIL FROM:<a@b.test>", "250 ")
	for n := range 9 {
		c.cmd(fmt.Sprintf("RCPT TO:<no-%d@d.test>", n), "550 5.1.1 ")
		c.cmd("RCPT TO:<no-now@d.test>", "451 ") // is not its fault
		if n == 5 {
			c.cmd("RSET", "250 ") // changes nothing
			c.cmd("MAIL FROM:<a@b.test>", "250 ")
			c.cmd("RCPT TO:<yes@d.test>", "250 ")
		}
	}
	c.cmd("RCPT TO:<no-10@d.test>", "421 4.7.0 ")
	c.wantClosed()
}

func TestInboundForgetsErrorsWithAMessage(t *testing.T) {
	c := startInbound(t, &front{}, nil).hello()
	for range 3 {
		c.cmd("MAIL FROM:<a@b.test>", "250 ")
		for n := range 9 {
			c.cmd(fmt.Sprintf("RCPT TO:<no-%d@d.test>", n), "550 5.1.1 ")
		}
		c.cmd("RCPT TO:<yes@d.test>", "250 ")
		c.cmd("DATA", "354 ")
		c.cmd(".", "250 ")
	}
}

// A stranger has so many commands and so much time for each message. Recipients, which
// are limited themselves, do not count.
func TestInboundBoundsWhatComesBetweenMessages(t *testing.T) {
	f := &front{}
	s := startInbound(t, f, nil)
	c := s.hello()
	for range 2 {
		c.cmd("MAIL FROM:<a@b.test>", "250 ")
		for n := range 300 {
			c.cmd(fmt.Sprintf("RCPT TO:<r%d@d.test>", n), "250 ")
		}
		c.cmd("DATA", "354 ")
		c.cmd(".", "250 ")
	}
	for range 50 {
		c.cmd("MAIL FROM:<a@b.test>", "250 ")
		c.cmd("RSET", "250 ")
	}
	if got := c.cmd("NOOP", "421 4.7.0 "); !strings.Contains(got, "without a message") {
		t.Errorf("%q", got)
	}
	c.wantClosed()

	c = s.dial()
	for range 100 {
		c.cmd("NOOP", "250 ")
	}
	c.cmd("NOOP", "421 4.7.0 ")
	c.wantClosed()
}

func TestInboundWaitsForAMessageForSoLong(t *testing.T) {
	t.Parallel()
	s := startInbound(t, &front{}, func(o *setup) { o.Timeouts = smtpd.Timeouts{Identify: time.Second} })
	before, after := s.dial(), s.hello()
	before.want("421 4.4.2 ")
	before.wantClosed()
	after.want("421 4.4.2 ")
	within := s.hello()
	within.cmd("MAIL FROM:<a@b.test>", "250 ") // does not make it known
	within.cmd("RCPT TO:<a@b.test>", "250 ")
	within.want("421 4.4.2 ")
	within.wantClosed()
}

func TestInboundRefusesBareLineEndsAndNUL(t *testing.T) {
	f := &front{}
	c := startInbound(t, f, nil).hello()
	for _, bad := range []string{"a\nb\r\n", "a\rb\r\n", "a\x00\r\n", "a\n.\nMAIL FROM:<x@y.test>\r\n", "a\r\n.\nb\r\n"} {
		c.envelope()
		c.send(bad)
		c.cmd(".", "550 5.6.11 ")
	}
	c.envelope()
	c.cmd("good\r\n.", "250 ")
	if n := len(f.received()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestInboundHasALimitOfSize(t *testing.T) {
	f := &front{}
	c := startInbound(t, f, func(o *setup) { o.MaxMessageSize = 1000 }).hello()
	c.cmd("MAIL FROM:<a@b.test> SIZE=1001", "552 5.3.4 ")
	c.envelope()
	c.send(strings.Repeat("0123456789abcde.\r\n", 60))
	c.cmd(".", "552 5.3.4 ")
	c.envelope()
	c.send(strings.Repeat("12345678\r\n", 100))
	c.cmd(".", "250 ")
	if got := f.received(); len(got) != 1 || len(got[0].Data) != 1000 {
		t.Errorf("%d messages", len(got))
	}
}

func TestInboundAnswersWithTheReason(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"unknown":   {errors.New("secret detail"), "451 4.3.0 Internal error"},
		"full":      {waypost.NewError(waypost.StorageFull, "", "disk full"), "452 4.3.1 "},
		"later":     {waypost.NewError(waypost.RateLimited, "", "the mailbox is full"), "450 4.7.1 "},
		"away":      {waypost.NewError(waypost.Unavailable, "", "later"), "421 4.3.2 "},
		"too large": {waypost.NewError(waypost.TooLarge, "", "too large"), "552 5.3.4 "},
		"invalid":   {waypost.NewError(waypost.Invalid, "", "bad"), "554 5.6.0 "},
		"not taken": {waypost.NewError(waypost.Forbidden, "", "no"), "550 5.7.1 "},
	} {
		f := &front{receive: func(context.Context) error { return tc.err }}
		b := &backend{}
		c := startInbound(t, f, func(o *setup) { o.Metrics = b }).hello()
		c.envelope()
		if got := c.cmd(".", tc.want); strings.Contains(got, "secret") {
			t.Errorf("%s: %q", name, got)
		}
		if len(f.received()) != 0 || b.counted("message accepted") != 0 {
			t.Errorf("%s: counted as taken: %v", name, b.counts)
		}
		if !strings.HasPrefix(tc.want, "421") {
			c.cmd("DATA", "503 5.5.1 ") // the transaction is over
			c.cmd("QUIT", "221 ")
		}
		c.wantClosed()
	}
}

func TestARefusalMayHaveSeveralLines(t *testing.T) {
	courtesy := &waypost.Error{Kind: waypost.Forbidden, SMTP: "5.7.1", Message: "Nobody reads this.\nCall us.\r\n250 2.0.0 Taken\t\xff" + strings.Repeat("x", 1000)}
	want := "550-5.7.1 Nobody reads this.\n550-5.7.1 Call us.\n550 5.7.1 250 2.0.0 Taken??x"
	for name, f := range map[string]*front{
		"before the content": {begin: func(smtpd.Received) error { return courtesy }},
		"after it":           {receive: func(context.Context) error { return courtesy }},
	} {
		c := startInbound(t, f, nil).hello()
		c.cmd("MAIL FROM:<a@b.test>", "250 ")
		c.cmd("RCPT TO:<c@d.test>", "250 ")
		var got string
		if f.begin == nil {
			c.cmd("DATA", "354 ")
			got = c.cmd("Hello\r\n.", want)
		} else {
			got = c.cmd("DATA", want)
		}
		for line := range strings.SplitSeq(got, "\n") {
			if len(line)+2 > 512 { // RFC 5321 section 4.5.3.1.5
				t.Errorf("%s: a line of %d", name, len(line))
			}
		}
		c.cmd("NOOP", "250 ") // and nothing is left over
	}
	// Only refusals: what else is said may have words of others in it.
	c := startInbound(t, &front{}, nil).hello()
	c.cmd("MAIL FROM:<a@b.test>", "250 ")
	c.cmd("RCPT TO:<no-odd@d.test>", "550 5.7.1 odd??250 2.1.5 ?x")
}

func TestInboundStopsInTheMiddleOfAMessage(t *testing.T) {
	waits := make(chan struct{})
	f := &front{receive: func(ctx context.Context) error {
		close(waits)
		<-ctx.Done()
		return ctx.Err()
	}}
	s := startInbound(t, f, nil)
	c := s.hello()
	c.envelope()
	c.send(".\r\n")
	<-waits
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); err == nil {
		t.Error("a session that was cut off is told of")
	}
	done, end := context.WithTimeout(t.Context(), 10*time.Second)
	defer end()
	if err := s.Shutdown(done); err != nil {
		t.Error(err)
	}
	if n := s.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestInboundGetsACleanHello(t *testing.T) {
	f := &front{}
	c := startInbound(t, f, nil).dial()
	c.cmd("HELO a;\xffb(\" "+strings.Repeat("c", 1000), "250 ")
	c.envelope()
	c.cmd(".", "250 ")
	if got := f.received()[0]; !strings.HasPrefix(got.Hello, "a??b???c") || len(got.Hello) != 255 || got.Protocol != "SMTP" {
		t.Errorf("%+v", got)
	}
}

// Where people log in, nothing of this is so.
func TestAnAccepterAsksNoInbound(t *testing.T) {
	b := &backend{network: noNetwork}
	c := start(t, b, nil).hello()
	c.cmd("MAIL FROM:<a@b.test>", "530 5.7.0 ")
	c.cmd("AUTH PLAIN AGEAa2V5", "235 ")
	for range 150 {
		c.cmd("NOOP", "250 ")
	}
	c.cmd("MAIL FROM:<a@b.test>", "250 ")
	c.cmd("RCPT TO:<postmaster>", "553 5.1.3 ")
	c.cmd("RCPT TO:<nobody@d.test>", "250 ")
	c.cmd("DATA", "354 ")
	c.cmd(".", "250 2.0.0 Accepted as id-1")
}
