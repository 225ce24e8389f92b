package smtpc_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

// broken unwraps the *Error every failure must be.
func broken(t *testing.T, err error, phase waypost.Phase) *smtpc.Error {
	t.Helper()
	var e *smtpc.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *smtpc.Error in phase %s", err, phase)
	}
	if e.Phase != phase {
		t.Fatalf("got phase %s (%v), want %s", e.Phase, err, phase)
	}
	return e
}

func TestGreetingIsRefused(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"554 5.7.1 go away", "421 4.7.0 busy"} {
		fake := mailtest.StartSMTP(t, mailtest.Knobs{Greet: mailtest.Answer{Reply: line}})
		s := dial(t, fake.Addr(), smtpc.Options{})
		e := broken(t, s.Greet(t.Context()), waypost.PhaseGreet)
		if e.Reply.String() != line || e.Err != nil || s.Usable() {
			t.Errorf("got %+v", e)
		}
	}
}

func TestEachPhaseEndsByCloseSilenceFloodOrCancel(t *testing.T) {
	t.Parallel()
	short := 50 * time.Millisecond
	limits := smtpc.Timeouts{Greet: short, Hello: short, TLS: short, Auth: short, Mail: short, Rcpt: short, Data: short, Dot: short}
	stages := map[waypost.Phase]func(k *mailtest.Knobs, a mailtest.Answer){
		waypost.PhaseGreet: func(k *mailtest.Knobs, a mailtest.Answer) { k.Greet = a },
		waypost.PhaseHello: func(k *mailtest.Knobs, a mailtest.Answer) { k.Hello = a },
		waypost.PhaseTLS:   func(k *mailtest.Knobs, a mailtest.Answer) { k.StartTLS = a },
		waypost.PhaseAuth:  func(k *mailtest.Knobs, a mailtest.Answer) { k.Auth = a },
		waypost.PhaseMail:  func(k *mailtest.Knobs, a mailtest.Answer) { k.Mail = a },
		waypost.PhaseRcpt:  func(k *mailtest.Knobs, a mailtest.Answer) { k.Rcpt = a },
		waypost.PhaseData:  func(k *mailtest.Knobs, a mailtest.Answer) { k.Data = a },
		waypost.PhaseDot:   func(k *mailtest.Knobs, a mailtest.Answer) { k.Dot = a },
	}
	verbs := map[waypost.Phase]string{
		waypost.PhaseGreet: "", waypost.PhaseHello: "EHLO", waypost.PhaseTLS: "STARTTLS", waypost.PhaseAuth: "AUTH",
		waypost.PhaseMail: "MAIL", waypost.PhaseRcpt: "RCPT", waypost.PhaseData: "DATA",
	}
	faults := map[string]struct {
		answer mailtest.Answer
		limits smtpc.Timeouts
		cancel bool
		want   error
	}{
		"close":   {answer: mailtest.Answer{Close: true}, want: io.EOF},
		"garbage": {answer: mailtest.Answer{Raw: "once upon a time\r\n"}, want: smtpc.ErrProtocol},
		"silence": {answer: mailtest.Answer{Hang: true}, limits: limits, want: os.ErrDeadlineExceeded},
		"flood":   {answer: mailtest.Answer{Flood: 100 << 20}, want: smtpc.ErrReplyLength},
		"cancel":  {answer: mailtest.Answer{Hang: true}, cancel: true, want: context.Canceled},
	}
	run := func(ctx context.Context, s *smtpc.Session) error {
		if err := s.Greet(ctx); err != nil {
			return err
		}
		if err := s.Hello(ctx); err != nil {
			return err
		}
		if err := s.StartTLS(ctx, insecure()); err != nil {
			return err
		}
		if err := s.Auth(ctx, "u", "secret"); err != nil {
			return err
		}
		_, err := s.Send(ctx, letter("x@mx.test"))
		return err
	}
	for phase, turn := range stages {
		for fault, f := range faults {
			for _, ext := range []string{"pipelined", "lockstep"} {
				t.Run(string(phase)+" "+fault+" "+ext, func(t *testing.T) {
					t.Parallel()
					k := mailtest.Knobs{TLS: true, Users: map[string]string{"u": "secret"}, Bare: ext == "lockstep"}
					turn(&k, f.answer)
					fake := mailtest.StartSMTP(t, k)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if f.cancel {
						verb, ok := verbs[phase]
						if !ok || ext == "pipelined" {
							// The fake cannot tell what a pipelining client has read already; and see
							// TestContextsBeforeAndAfterTheDot.
							t.Skip("not to be staged")
						}
						go func() {
							defer cancel()
							if verb == "" {
								fake.WaitConnections(t, 1)
							} else {
								fake.WaitCommand(t, verb)
							}
						}()
					}
					s := dial(t, fake.Addr(), smtpc.Options{Timeouts: f.limits})
					e := broken(t, run(ctx, s), phase)
					if !errors.Is(e, f.want) {
						t.Errorf("got %v, want %v", e, f.want)
					}
					if s.Usable() {
						t.Error("the session is still usable")
					}
					if e.Uncertain() != (phase == waypost.PhaseDot) {
						t.Errorf("uncertain: %v", e.Uncertain())
					}
				})
			}
		}
	}
}

func TestReplyIsReadWithinBounds(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{Greet: mailtest.Answer{Flood: 100 << 20}})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", fake.Addr())
	must(t, err)
	read := &readCounter{Conn: conn}
	s := smtpc.New(read, smtpc.Options{})
	e := broken(t, s.Greet(t.Context()), waypost.PhaseGreet)
	if !errors.Is(e, smtpc.ErrReplyLength) {
		t.Errorf("got %v", e)
	}
	if read.n > 70<<10 {
		t.Errorf("read %d bytes of an endless reply", read.n)
	}
}

type readCounter struct {
	net.Conn
	n int
}

func (c *readCounter) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n += n
	return n, err
}

func TestHelloFallsBackToHELO(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{NoEHLO: true})
	s := open(t, fake, smtpc.Options{})
	if diff := cmp.Diff(smtpc.Extensions{}, s.Extensions()); diff != "" {
		t.Error(diff)
	}
	res, err := s.Send(t.Context(), letter("x@mx.test"))
	must(t, err)
	if !res.Recipients[0].Delivered() {
		t.Errorf("got %+v", res)
	}
}

func TestExtensionsAreParsed(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{Extensions: []string{
		"pipelining", "8BITMIME", "SMTPUTF8", "STARTTLS", "ENHANCEDSTATUSCODES", "SIZE 1000", "AUTH plain LOGIN", "AUTH=LOGIN XOLD",
		"LIMITS RCPTMAX=20 MAILMAX=5", "X-UNKNOWN a b",
	}})
	s := open(t, fake, smtpc.Options{})
	want := smtpc.Extensions{
		ESMTP: true, Pipelining: true, EightBitMIME: true, SMTPUTF8: true, StartTLS: true, EnhancedStatusCodes: true,
		Size: true, MaxSize: 1000, Auth: []string{"PLAIN", "LOGIN", "XOLD"}, MailMax: 5, RcptMax: 20,
	}
	if diff := cmp.Diff(want, s.Extensions()); diff != "" {
		t.Error(diff)
	}
}

func TestHeloNameCannotInjectCommands(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	s := dial(t, fake.Addr(), smtpc.Options{HELO: "a\r\nMAIL FROM:<x@y>"})
	must(t, s.Greet(t.Context()))
	if e := broken(t, s.Hello(t.Context()), waypost.PhaseHello); !errors.Is(e, smtpc.ErrHelo) {
		t.Errorf("got %v", e)
	}
	if got := fake.Commands(); len(got) != 0 {
		t.Errorf("sent %q", got)
	}
}

func TestStartTLS(t *testing.T) {
	t.Parallel()
	cert, pool := mailtest.SelfSigned(t, "mx.test")
	fake := mailtest.StartSMTP(t, mailtest.Knobs{TLS: true, Certificate: &cert, Users: map[string]string{"u": "p"}, AuthTLSOnly: true})
	s := open(t, fake, smtpc.Options{})
	if len(s.Extensions().Auth) != 0 {
		t.Fatal("the fake offers AUTH in plaintext")
	}
	must(t, s.StartTLS(t.Context(), &tls.Config{RootCAs: pool, ServerName: "mx.test"}))
	if len(s.Extensions().Auth) == 0 || s.Extensions().StartTLS {
		t.Error("extensions were not learned again inside TLS")
	}
	if !strings.HasPrefix(s.TLS(), "TLS 1.3 TLS_") {
		t.Errorf("TLS is %q", s.TLS())
	}
	m := letter("x@mx.test")
	m.Message = append(m.Message, []byte(strings.Repeat(strings.Repeat("x", 70)+"\r\n", 10_000)))
	res, err := s.Send(t.Context(), m)
	must(t, err)
	if !res.Recipients[0].Delivered() {
		t.Errorf("got %+v", res)
	}
	got := fake.Mails()
	if len(got) != 1 || got[0].TLS == nil || len(got[0].Data) != len(letterText)+720_000 {
		t.Errorf("the fake got %d mails", len(got))
	}
}

func TestImplicitTLS(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{Implicit: true})
	var tr trace
	s := dial(t, fake.Addr(), smtpc.Options{Step: tr.add})
	must(t, s.ImplicitTLS(t.Context(), insecure()))
	must(t, s.Greet(t.Context()))
	must(t, s.Hello(t.Context()))
	_, err := s.Send(t.Context(), letter("x@mx.test"))
	must(t, err)
	if got := fake.WaitMails(t, 1); got[0].TLS == nil {
		t.Error("not encrypted")
	}
	if !strings.HasPrefix(tr.text(), "tls |  | TLS 1.3") {
		t.Errorf("trace:\n%s", tr.text())
	}
}

func TestStartTLSFails(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		knobs  mailtest.Knobs
		config *tls.Config
		usable bool // the session goes on in plaintext
		want   func(*smtpc.Error) bool
	}{
		"not offered":     {mailtest.Knobs{}, insecure(), true, func(e *smtpc.Error) bool { return errors.Is(e, smtpc.ErrNoStartTLS) }},
		"refused":         {mailtest.Knobs{TLS: true, StartTLS: mailtest.Answer{Reply: "454 4.7.0 not now"}}, insecure(), true, func(e *smtpc.Error) bool { return e.Reply.Code == 454 }},
		"broken":          {mailtest.Knobs{TLS: true, BreakTLS: true}, insecure(), false, func(e *smtpc.Error) bool { var r tls.RecordHeaderError; return errors.As(e, &r) }},
		"bad certificate": {mailtest.Knobs{TLS: true}, &tls.Config{ServerName: "mx.test"}, false, func(e *smtpc.Error) bool { var v *tls.CertificateVerificationError; return errors.As(e, &v) }},
		"injected":        {mailtest.Knobs{TLS: true, InjectTLS: "250 mx.test\r\n"}, insecure(), false, func(e *smtpc.Error) bool { return errors.Is(e, smtpc.ErrInjection) }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := mailtest.StartSMTP(t, tt.knobs)
			s := open(t, fake, smtpc.Options{})
			e := broken(t, s.StartTLS(t.Context(), tt.config), waypost.PhaseTLS)
			if !tt.want(e) || s.Usable() != tt.usable {
				t.Errorf("got %v, usable %v", e, s.Usable())
			}
		})
	}
}

func TestNoopResetQuit(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	s := open(t, fake, smtpc.Options{})
	must(t, s.Noop(t.Context()))
	must(t, s.Reset(t.Context()))
	if !s.Usable() || s.Sent() != 0 || time.Since(s.LastUsed()) > time.Hour {
		t.Error("state after NOOP and RSET")
	}
	must(t, s.Quit(t.Context()))
	must(t, s.Close())
	if s.Usable() {
		t.Error("usable after Quit")
	}
	if diff := cmp.Diff([]string{"EHLO client.test", "NOOP", "RSET", "QUIT"}, fake.Commands()); diff != "" {
		t.Error(diff)
	}
}

func Test421EndsTheSession(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{Noop: mailtest.Answer{Reply: "421 4.3.2 shutting down"}})
	s := open(t, fake, smtpc.Options{})
	e := broken(t, s.Noop(t.Context()), waypost.PhaseMail)
	if e.Reply.Code != 421 || s.Usable() {
		t.Errorf("got %v, usable %v", e, s.Usable())
	}
}

func TestCancelledContextSendsNothing(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	s := open(t, fake, smtpc.Options{})
	_, err := s.Send(cancelled(), letter("x@mx.test"))
	if e := broken(t, err, waypost.PhaseMail); !errors.Is(e, context.Canceled) || e.Stale {
		t.Errorf("got %v, stale %v", e, e.Stale)
	}
	if got := fake.Commands(); len(got) != 1 {
		t.Errorf("sent %q", got)
	}
}
