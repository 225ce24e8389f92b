package smtpc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

// outcome writes the results of all recipients on one line each.
func outcome(res smtpc.Result) []string {
	var lines []string
	for _, r := range res.Recipients {
		line := r.Address + ": " + string(r.Phase) + " " + r.Reply.String()
		if r.Local {
			line += " (local)"
		}
		lines = append(lines, line)
	}
	return lines
}

func reject(bad, reply string) func(string) mailtest.Answer {
	return func(addr string) mailtest.Answer {
		if strings.HasPrefix(addr, bad) {
			return mailtest.Answer{Reply: reply}
		}
		return mailtest.Answer{}
	}
}

func TestEnvelopeLeavesInOneWrite(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", fake.Addr())
	must(t, err)
	count := &counter{Conn: conn}
	s := smtpc.New(count, smtpc.Options{HELO: "client.test"})
	must(t, s.Greet(t.Context()))
	must(t, s.Hello(t.Context()))
	count.writes = nil
	_, err = s.Send(t.Context(), letter("x@mx.test", "y@mx.test"))
	must(t, err)
	// A conn that is no *net.TCPConn has no writev: the pieces come one by one.
	want := []string{
		"MAIL FROM:<a@client.test> SIZE=32\r\nRCPT TO:<x@mx.test>\r\nRCPT TO:<y@mx.test>\r\nDATA\r\n",
		"Subject: hello\r\n", "\r\n", "How are you?\r\n", ".\r\n",
	}
	if diff := cmp.Diff(want, count.writes); diff != "" {
		t.Error(diff)
	}
}

func TestSendToManyServers(t *testing.T) {
	t.Parallel()
	const gone = "550 5.1.1 no such user"
	tests := map[string]struct {
		knobs mailtest.Knobs
		want  []string // outcome for x, bad, y
		mails int
	}{
		"all accepted":         {mailtest.Knobs{}, []string{"x@mx.test: dot 250 2.0.0 queued as 1-1", "bad@mx.test: dot 250 2.0.0 queued as 1-1", "y@mx.test: dot 250 2.0.0 queued as 1-1"}, 1},
		"one refused":          {mailtest.Knobs{RcptTo: reject("bad", gone)}, []string{"x@mx.test: dot 250 2.0.0 queued as 1-1", "bad@mx.test: rcpt " + gone, "y@mx.test: dot 250 2.0.0 queued as 1-1"}, 1},
		"all refused":          {mailtest.Knobs{Rcpt: mailtest.Answer{Reply: gone}}, []string{"x@mx.test: rcpt " + gone, "bad@mx.test: rcpt " + gone, "y@mx.test: rcpt " + gone}, 0},
		"all refused, 354":     {mailtest.Knobs{Rcpt: mailtest.Answer{Reply: gone}, LoneDot: true}, []string{"x@mx.test: rcpt " + gone, "bad@mx.test: rcpt " + gone, "y@mx.test: rcpt " + gone}, 0},
		"sender refused":       {mailtest.Knobs{Mail: mailtest.Answer{Reply: "550 5.7.1 not you"}}, []string{"x@mx.test: mail 550 5.7.1 not you", "bad@mx.test: mail 550 5.7.1 not you", "y@mx.test: mail 550 5.7.1 not you"}, 0},
		"DATA refused":         {mailtest.Knobs{Data: mailtest.Answer{Reply: "451 4.3.0 later"}, RcptTo: reject("bad", gone)}, []string{"x@mx.test: data 451 4.3.0 later", "bad@mx.test: rcpt " + gone, "y@mx.test: data 451 4.3.0 later"}, 0},
		"message refused":      {mailtest.Knobs{Dot: mailtest.Answer{Reply: "554 5.7.1 spam"}}, []string{"x@mx.test: dot 554 5.7.1 spam", "bad@mx.test: dot 554 5.7.1 spam", "y@mx.test: dot 554 5.7.1 spam"}, 0},
		"multi-line refusal":   {mailtest.Knobs{Dot: mailtest.Answer{Reply: "554 5.7.1 spam,\n554 5.7.1 we think"}}, []string{"x@mx.test: dot 554 5.7.1 spam,\nwe think", "bad@mx.test: dot 554 5.7.1 spam,\nwe think", "y@mx.test: dot 554 5.7.1 spam,\nwe think"}, 0},
		"class contradicts it": {mailtest.Knobs{Dot: mailtest.Answer{Reply: "450 5.7.1 spam"}}, []string{"x@mx.test: dot 450 5.7.1 spam", "bad@mx.test: dot 450 5.7.1 spam", "y@mx.test: dot 450 5.7.1 spam"}, 0},
	}
	for name, tt := range tests {
		for _, bare := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, pipelining %v", name, !bare), func(t *testing.T) {
				t.Parallel()
				k := tt.knobs
				k.Bare = bare
				fake := mailtest.StartSMTP(t, k)
				s := open(t, fake, smtpc.Options{})
				res, err := s.Send(t.Context(), letter("x@mx.test", "bad@mx.test", "y@mx.test"))
				must(t, err)
				if diff := cmp.Diff(tt.want, outcome(res)); diff != "" {
					t.Error(diff)
				}
				if got := fake.Mails(); len(got) != tt.mails {
					t.Errorf("%d mails", len(got))
				}
				// Whatever happened, the session carries the next mail.
				fake.Set(func(k *mailtest.Knobs) { *k = mailtest.Knobs{Bare: bare} })
				if !s.Usable() {
					t.Fatal("session is not usable")
				}
				res, err = s.Send(t.Context(), letter("z@mx.test"))
				must(t, err)
				got := fake.Mails()
				if !res.Recipients[0].Delivered() || !cmp.Equal(got[len(got)-1].To, []string{"z@mx.test"}) {
					t.Errorf("next mail: %q", outcome(res))
				}
			})
		}
	}
}

func TestManyRecipientsGoInGroups(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{RcptTo: reject("r7", "550 5.1.1 gone")})
	s := open(t, fake, smtpc.Options{})
	var to []string
	for i := range 1000 {
		to = append(to, fmt.Sprintf("r%d@mx.test", i))
	}
	res, err := s.Send(t.Context(), letter(to...))
	must(t, err)
	refused := 0
	for _, r := range res.Recipients {
		if bad := strings.HasPrefix(r.Address, "r7"); bad == r.Delivered() {
			t.Errorf("%s: %s", r.Address, r.Reply)
		} else if bad {
			refused++
		}
	}
	if got := fake.Mails(); refused != 111 || len(got) != 1 || len(got[0].To) != 889 {
		t.Errorf("%d refused", refused)
	}
	fake.Set(func(k *mailtest.Knobs) { k.Mail = mailtest.Answer{Reply: "451 4.3.0 no"} })
	res, err = s.Send(t.Context(), letter(to...))
	must(t, err)
	if last := res.Recipients[999]; last.Phase != waypost.PhaseMail || last.Reply.Code != 451 {
		t.Errorf("got %+v", last)
	}
}

func TestLocalRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*smtpc.Mail)
		want   []string
	}{
		"too big": {
			func(m *smtpc.Mail) {
				m.Message = append(m.Message, make([]byte, 0), []byte(strings.Repeat("x\r\n", 400)))
			},
			[]string{"x@mx.test: mail 552 5.3.4 message of 1232 bytes is over the server's limit of 1000 (local)"},
		},
		"bare LF":        {func(m *smtpc.Mail) { m.Message = [][]byte{[]byte("a\nb\r\n")} }, []string{"x@mx.test: mail 550 5.6.11 message has a bare CR, bare LF or NUL and was not sent (local)"}},
		"bare CR":        {func(m *smtpc.Mail) { m.Message = [][]byte{[]byte("a\rb\r\n")} }, []string{"x@mx.test: mail 550 5.6.11 message has a bare CR, bare LF or NUL and was not sent (local)"}},
		"CR at the end":  {func(m *smtpc.Mail) { m.Message = [][]byte{[]byte("a\r\nb\r")} }, []string{"x@mx.test: mail 550 5.6.11 message has a bare CR, bare LF or NUL and was not sent (local)"}},
		"LF after CR LF": {func(m *smtpc.Mail) { m.Message = [][]byte{[]byte("a\r\n"), []byte("\n.\r\n")} }, []string{"x@mx.test: mail 550 5.6.11 message has a bare CR, bare LF or NUL and was not sent (local)"}},
		"NUL":            {func(m *smtpc.Mail) { m.Message = [][]byte{[]byte("a\x00\r\n")} }, []string{"x@mx.test: mail 550 5.6.11 message has a bare CR, bare LF or NUL and was not sent (local)"}},
		"injected recipient": {func(m *smtpc.Mail) {
			m.Recipients = []string{"x@mx.test>\r\nDATA", "y> SIZE=1", "a b@c", "", "ok@mx.test"}
		}, []string{"x@mx.test>\r\nDATA: rcpt 553 5.1.3 recipient address cannot be sent (local)", "y> SIZE=1: rcpt 553 5.1.3 recipient address cannot be sent (local)", "a b@c: rcpt 553 5.1.3 recipient address cannot be sent (local)", ": rcpt 553 5.1.3 recipient address cannot be sent (local)", "ok@mx.test: dot 250 2.0.0 queued as 1-1"}},
		"injected sender":          {func(m *smtpc.Mail) { m.From = "a@b>\r\nQUIT" }, []string{"x@mx.test: mail 553 5.1.7 sender address cannot be sent (local)"}},
		"UTF-8 recipient":          {func(m *smtpc.Mail) { m.Recipients = []string{"пётр@mx.test", "x@mx.test"} }, []string{"пётр@mx.test: rcpt 550 5.6.7 address or header needs SMTPUTF8, which the server does not offer (local)", "x@mx.test: dot 250 2.0.0 queued as 1-1"}},
		"UTF-8 sender":             {func(m *smtpc.Mail) { m.From = "пётр@mx.test" }, []string{"x@mx.test: mail 550 5.6.7 address or header needs SMTPUTF8, which the server does not offer (local)"}},
		"UTF-8 header":             {func(m *smtpc.Mail) { m.SMTPUTF8 = true }, []string{"x@mx.test: mail 550 5.6.7 address or header needs SMTPUTF8, which the server does not offer (local)"}},
		"UTF-8 domain is A-labels": {func(m *smtpc.Mail) { m.Recipients = []string{"x@пример.test"} }, []string{"x@пример.test: dot 250 2.0.0 queued as 1-1"}},
		"quoted local part":        {func(m *smtpc.Mail) { m.Recipients = []string{`"a b"@mx.test`} }, []string{`"a b"@mx.test: dot 250 2.0.0 queued as 1-1`}},
		"null sender":              {func(m *smtpc.Mail) { m.From = "" }, []string{"x@mx.test: dot 250 2.0.0 queued as 1-1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := mailtest.StartSMTP(t, mailtest.Knobs{Extensions: []string{"PIPELINING", "SIZE 1000"}})
			s := open(t, fake, smtpc.Options{})
			m := letter("x@mx.test")
			tt.change(&m)
			res, err := s.Send(t.Context(), m)
			must(t, err)
			if diff := cmp.Diff(tt.want, outcome(res)); diff != "" {
				t.Error(diff)
			}
			if !s.Usable() {
				t.Error("session is not usable")
			}
			if name == "UTF-8 domain is A-labels" {
				if got := fake.Mails()[0].To[0]; got != "x@xn--e1afmkfd.test" {
					t.Errorf("sent as %s", got)
				}
			}
		})
	}
}

func TestParametersFollowTheExtensions(t *testing.T) {
	t.Parallel()
	m := letter("пётр@mx.test")
	m.EightBit = true
	m.Message = [][]byte{[]byte("Subject: привет\r\n\r\n"), []byte("как дела?")}
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	s := open(t, fake, smtpc.Options{})
	_, err := s.Send(t.Context(), m)
	must(t, err)
	got := fake.Mails()[0]
	if diff := cmp.Diff([]string{"SIZE=43", "BODY=8BITMIME", "SMTPUTF8"}, got.Params); diff != "" {
		t.Error(diff)
	}
	if string(got.Data) != "Subject: привет\r\n\r\nкак дела?\r\n" {
		t.Errorf("got %q", got.Data)
	}
	// Without 8BITMIME the bytes go as they are.
	plain := mailtest.StartSMTP(t, mailtest.Knobs{Bare: true})
	s = open(t, plain, smtpc.Options{})
	m.Recipients = []string{"x@mx.test"}
	_, err = s.Send(t.Context(), m)
	must(t, err)
	if got := plain.Mails()[0]; len(got.Params) != 0 || string(got.Data) != "Subject: привет\r\n\r\nкак дела?\r\n" {
		t.Errorf("got %q with %q", got.Data, got.Params)
	}
}

func TestNoReplyAfterTheDotIsUncertain(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{Dot: mailtest.Answer{Close: true}, RcptTo: reject("bad", "550 5.1.1 gone")})
	s := open(t, fake, smtpc.Options{})
	res, err := s.Send(t.Context(), letter("x@mx.test", "bad@mx.test"))
	e := broken(t, err, waypost.PhaseDot)
	if !e.Uncertain() || !res.Dotted || e.Reply.Code != 0 {
		t.Errorf("got %+v, %+v", e, res)
	}
	if diff := cmp.Diff([]string{"x@mx.test: dot ", "bad@mx.test: rcpt 550 5.1.1 gone"}, outcome(res)); diff != "" {
		t.Error(diff)
	}
	if len(fake.Dotted()) != 1 || len(fake.Mails()) != 0 {
		t.Error("the fake should have the mail but not have said so")
	}
}

func TestBeforeDotStopsDelivery(t *testing.T) {
	t.Parallel()
	lost := errors.New("lease lost")
	for _, size := range []int{1, 100, 300_000} {
		fake := mailtest.StartSMTP(t, mailtest.Knobs{})
		s := open(t, fake, smtpc.Options{})
		m := letter("x@mx.test")
		m.Message = append(m.Message, []byte(strings.Repeat("z\r\n", size)))
		calls := 0
		m.BeforeDot = func() error { calls++; return lost }
		res, err := s.Send(t.Context(), m)
		e := broken(t, err, waypost.PhaseData)
		if !errors.Is(e, lost) || e.Uncertain() || res.Dotted || calls != 1 || s.Usable() {
			t.Errorf("got %v, %+v, %d calls", e, res, calls)
		}
		fake.Stop()
		if len(fake.Dotted()) != 0 {
			t.Error("the dot was sent")
		}
	}
}

func TestBeforeDotIsAskedAgainWhileThePeerStalls(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", fake.Addr())
	must(t, err)
	s := smtpc.New(stingy{conn}, smtpc.Options{HELO: "client.test"})
	must(t, s.Greet(t.Context()))
	must(t, s.Hello(t.Context()))
	lost := errors.New("lease lost")
	m := letter("x@mx.test")
	calls := 0
	m.BeforeDot = func() error {
		if calls++; calls > 1 {
			return lost
		}
		return nil
	}
	res, err := s.Send(t.Context(), m)
	if e := broken(t, err, waypost.PhaseData); !errors.Is(e, lost) || res.Dotted || calls != 2 {
		t.Errorf("got %v, %d calls", e, calls)
	}
}

// stingy takes everything but the final dot, whose write times out at once.
type stingy struct{ net.Conn }

func (c stingy) Write(p []byte) (int, error) {
	if string(p) == ".\r\n" {
		return 0, fmt.Errorf("stalled: %w", errTimeout())
	}
	return c.Conn.Write(p)
}

func errTimeout() error {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	_ = a.SetDeadline(time.Unix(1, 0))
	_, err := a.Write([]byte("x"))
	return err
}

func TestEarlyRefusalInTheMessageIsReported(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{
		Extensions: []string{"PIPELINING"}, // no SIZE
		Body:       mailtest.Answer{Reply: "552 5.3.4 too much", Close: true}, BodyAfter: 100_000,
	})
	s := open(t, fake, smtpc.Options{})
	m := letter("x@mx.test")
	m.Message = append(m.Message, []byte(strings.Repeat(strings.Repeat("x", 98)+"\r\n", 300_000)))
	res, err := s.Send(t.Context(), m)
	e := broken(t, err, waypost.PhaseData)
	if e.Reply.Code != 552 || e.Uncertain() || res.Dotted {
		t.Errorf("got %v", e)
	}
	if diff := cmp.Diff([]string{"x@mx.test: data 552 5.3.4 too much"}, outcome(res)); diff != "" {
		t.Error(diff)
	}
}

func TestEarlyRefusalWithoutCloseIsReported(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	fake := mailtest.StartSMTP(t, mailtest.Knobs{
		Extensions: []string{"PIPELINING"},
		Body:       mailtest.Answer{Reply: "451 4.3.1 disk full", Then: never}, BodyAfter: 1000,
	})
	s := open(t, fake, smtpc.Options{})
	m := letter("x@mx.test")
	m.Message = append(m.Message, []byte(strings.Repeat(strings.Repeat("x", 98)+"\r\n", 300_000)))
	_, err := s.Send(t.Context(), m)
	if e := broken(t, err, waypost.PhaseData); e.Reply.Code != 451 {
		t.Errorf("got %v", e)
	}
}

func TestConnectionLostInTheMessageIsCertain(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{
		Extensions: []string{"PIPELINING"}, Body: mailtest.Answer{Close: true, Reset: true}, BodyAfter: 100_000,
	})
	s := open(t, fake, smtpc.Options{})
	m := letter("x@mx.test")
	m.Message = append(m.Message, []byte(strings.Repeat(strings.Repeat("x", 98)+"\r\n", 300_000)))
	res, err := s.Send(t.Context(), m)
	if e := broken(t, err, waypost.PhaseData); e.Uncertain() || res.Dotted || e.Reply.Code != 0 {
		t.Errorf("got %v", e)
	}
}

func TestStaleSessionIsToldFromRefusal(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{MaxMails: 1})
	s := open(t, fake, smtpc.Options{})
	_, err := s.Send(t.Context(), letter("x@mx.test"))
	must(t, err)
	_, err = s.Send(t.Context(), letter("x@mx.test"))
	if e := broken(t, err, waypost.PhaseMail); !e.Stale || e.Reply.Code != 421 {
		t.Errorf("421 on a kept session: %+v", e)
	}
	s = open(t, fake, smtpc.Options{})
	_, err = s.Send(t.Context(), letter("x@mx.test"))
	must(t, err)
	fake.Disconnect()
	_, err = s.Send(t.Context(), letter("x@mx.test"))
	if e := broken(t, err, waypost.PhaseMail); !e.Stale {
		t.Errorf("closed kept session: %+v", e)
	}
	fake.Set(func(k *mailtest.Knobs) { k.Mail = mailtest.Answer{Reply: "421 4.7.0 go away"} })
	s = open(t, fake, smtpc.Options{})
	res, err := s.Send(t.Context(), letter("x@mx.test"))
	if e := broken(t, err, waypost.PhaseMail); e.Stale || res.Recipients[0].Reply.Code != 421 {
		t.Errorf("421 on a new session: %+v", e)
	}
}

func Test421ToRcptSettlesAllRecipients(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{RcptTo: reject("bad", "421 4.7.0 enough")})
	s := open(t, fake, smtpc.Options{})
	res, err := s.Send(t.Context(), letter("x@mx.test", "bad@mx.test", "y@mx.test"))
	broken(t, err, waypost.PhaseRcpt)
	want := []string{"x@mx.test: rcpt 421 4.7.0 enough", "bad@mx.test: rcpt 421 4.7.0 enough", "y@mx.test: rcpt 421 4.7.0 enough"}
	if diff := cmp.Diff(want, outcome(res)); diff != "" || s.Usable() {
		t.Error(diff)
	}
}

func Test421ToTheDotIsAnAnswer(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{Dot: mailtest.Answer{Reply: "421 4.3.0 shutting down"}})
	s := open(t, fake, smtpc.Options{})
	res, err := s.Send(t.Context(), letter("x@mx.test"))
	must(t, err)
	if diff := cmp.Diff([]string{"x@mx.test: dot 421 4.3.0 shutting down"}, outcome(res)); diff != "" || s.Usable() {
		t.Error(diff)
	}
}

func TestContextsBeforeAndAfterTheDot(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	s := open(t, fake, smtpc.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	m := letter("x@mx.test")
	m.AfterDot = t.Context()
	// Ended right before the dot, with everything else agreed: no dot.
	m.BeforeDot = func() error { cancel(); return nil }
	res, err := s.Send(ctx, m)
	if e := broken(t, err, waypost.PhaseData); !errors.Is(e, context.Canceled) || res.Dotted {
		t.Errorf("got %v", e)
	}

	// Ended after the dot: the answer is waited for.
	gate := make(chan struct{})
	fake.Set(func(k *mailtest.Knobs) { k.Dot = mailtest.Answer{Gate: gate} })
	s = open(t, fake, smtpc.Options{Step: func(step smtpc.Step) {
		if step.Phase == waypost.PhaseData && strings.HasPrefix(step.Command, "(") {
			cancel()
			close(gate)
		}
	}})
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	m.BeforeDot = nil
	res, err = s.Send(ctx, m)
	must(t, err)
	if !res.Recipients[0].Delivered() {
		t.Errorf("got %q", outcome(res))
	}

	// The context that governs this half ends: uncertain.
	after, end := context.WithCancel(t.Context())
	fake.Set(func(k *mailtest.Knobs) { k.Dot = mailtest.Answer{Hang: true} })
	s = open(t, fake, smtpc.Options{})
	m.AfterDot = after
	fake.Forget()
	go func() {
		defer end()
		fake.WaitDotted(t, 1)
	}()
	_, err = s.Send(t.Context(), m)
	if e := broken(t, err, waypost.PhaseDot); !e.Uncertain() || !errors.Is(e, context.Canceled) {
		t.Errorf("got %v", e)
	}
}

func TestStepsTellTheStory(t *testing.T) {
	t.Parallel()
	for _, bare := range []bool{true, false} {
		fake := mailtest.StartSMTP(t, mailtest.Knobs{Bare: bare, RcptTo: reject("bad", "550 5.1.1 gone")})
		var tr trace
		s := open(t, fake, smtpc.Options{Step: tr.add})
		_, err := s.Send(t.Context(), letter("x@mx.test", "bad@mx.test"))
		must(t, err)
		must(t, s.Quit(t.Context()))
		size, ext := "", ""
		if !bare {
			size, ext = " SIZE=32", "\nPIPELINING\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nSIZE 52428800"
		}
		want := `greet |  | 220 mx.test ESMTP fake
hello | EHLO client.test | 250 mx.test greets client.test` + ext + `
mail | MAIL FROM:<a@client.test>` + size + ` | 250 2.1.0 sender ok
rcpt | RCPT TO:<x@mx.test> | 250 2.1.5 recipient ok
rcpt | RCPT TO:<bad@mx.test> | 550 5.1.1 gone
data | DATA | 354 go ahead
data | (32 bytes) | 
dot | . | 250 2.0.0 queued as 1-1
mail | QUIT | 221 2.0.0 bye
`
		if diff := cmp.Diff(want, tr.text()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestUnusableSessionSaysSo(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	s := open(t, fake, smtpc.Options{})
	must(t, s.Close())
	res, err := s.Send(t.Context(), letter("x@mx.test"))
	if e := broken(t, err, waypost.PhaseMail); !errors.Is(e, smtpc.ErrUnusable) || res.Recipients[0].Phase != waypost.PhaseMail {
		t.Errorf("got %v", e)
	}
}
