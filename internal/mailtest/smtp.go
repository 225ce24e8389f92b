// Package mailtest has the peers that tests put around the product: fakes that
// listen on 127.0.0.1, misbehave on demand at every stage, and record what they got.
// Only tests import it.
package mailtest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Answer is how the fake behaves at one stage instead of going on normally. The
// parts happen in the order of the fields; the zero Answer changes nothing.
type Answer struct {
	Gate  <-chan struct{} // wait until it is closed, or gives a value, before answering
	Hang  bool            // answer nothing, keep the connection until the peer or the test ends
	Flood int64           // at least so many bytes of an endless reply, then close
	Reply string          // "550 5.1.1 no such user"; lines separated by "\n"; "" is the normal reply
	Raw   string          // these bytes instead of Reply, as they are
	Then  <-chan struct{} // after the reply, read nothing more until it is closed or gives a value
	Close bool            // close after Reply or Raw, or instead of one if both are empty
	Reset bool            // with Close: by RST
}

func (a Answer) silent() bool {
	return a.Hang || a.Flood > 0 || a.Raw != "" || (a.Close && a.Reply == "")
}

// Knobs turn a fake MX or relay. The zero value is a friendly server that takes
// everything, in plaintext, with the extensions of DefaultExtensions.
type Knobs struct {
	// One knob a stage. Body applies after the 354, when BodyAfter bytes of the
	// message have arrived (at least one line); Dot after the final dot.
	Greet, Hello, StartTLS, Auth, Mail, Rcpt, Data, Body, Dot, Reset, Noop, Quit Answer
	BodyAfter                                                                    int

	// Decisions by content; nil, or a zero Answer, leaves it to the knob above.
	MailFrom func(from string) Answer
	RcptTo   func(to string) Answer
	Message  func(ReceivedMail) Answer // after the final dot

	NoEHLO     bool     // EHLO is answered 502
	Extensions []string // EHLO keywords instead of DefaultExtensions; TLS and AUTH are added by their own knobs
	Bare       bool     // no extensions at all
	LoneDot    bool     // DATA is answered 354 even though no recipient was accepted (RFC 2920 section 3.1)

	TLS         bool             // STARTTLS is offered
	Implicit    bool             // TLS from the first byte
	Certificate *tls.Certificate // nil: self-signed for mx.test, localhost and 127.0.0.1
	MinTLS      uint16           // tls.VersionTLS13 ...; 0: Go's default
	BreakTLS    bool             // after the 220, garbage instead of a handshake
	InjectTLS   string           // bytes in plaintext right behind the 220 of STARTTLS

	Users       map[string]string // user name to password; not empty: AUTH is offered
	Mechanisms  []string          // PLAIN, LOGIN, CRAM-MD5; nil: PLAIN, LOGIN
	OldAuth     bool              // offered as "AUTH=PLAIN LOGIN" only
	AuthTLSOnly bool              // offered inside TLS only
	RequireAuth bool              // MAIL is answered 530 without
	Challenges  int               // 334s that follow an AUTH whatever the client says; negative: endless, even after "*"

	MaxMails int  // mails a session, then 421; 0: no limit
	Lenient  bool // violations are listed but do not fail the test
}

// DefaultExtensions are the EHLO keywords of a fake that no knob changes.
func DefaultExtensions() []string {
	return []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "SIZE 52428800"}
}

// ReceivedMail is a mail whose final dot arrived.
type ReceivedMail struct {
	From     string
	Params   []string // of MAIL, "SIZE=123"
	To       []string // accepted recipients
	Data     []byte   // the message with dot-stuffing undone, with its last CRLF
	Helo     string
	AuthUser string               // "" without a login
	TLS      *tls.ConnectionState // nil in plaintext
	Conn     int                  // connection number, from 1
	Reply    string               // what the fake answered to the dot, "" if nothing
	Accepted bool                 // Reply was a 2yz
	Peer     string               // the client's address
}

// SMTP is a fake SMTP server on 127.0.0.1. All methods may be called at any time
// from any goroutine. It watches whether its client obeys the protocol; a violation
// fails the test unless Knobs.Lenient, or the test asks for Violations.
type SMTP struct {
	listener net.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	wait     sync.WaitGroup

	mu         sync.Mutex
	knobs      Knobs
	own        *tls.Certificate // made when first needed
	conns      map[net.Conn]struct{}
	accepted   int
	mails      []*ReceivedMail
	log        []string
	violations []string
	changed    chan struct{} // closed and replaced at each change of what tests wait for
}

// StartSMTP starts a fake that is stopped when the test ends.
func StartSMTP(t testing.TB, knobs Knobs) *SMTP {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("fake SMTP server: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &SMTP{
		listener: listener, ctx: ctx, cancel: cancel, knobs: knobs,
		conns: map[net.Conn]struct{}{}, changed: make(chan struct{}),
	}
	s.wait.Go(s.serve)
	t.Cleanup(func() {
		s.Stop()
		for _, v := range s.Violations() {
			if !s.current().Lenient {
				t.Errorf("the SMTP client broke the protocol: %s", v)
			}
		}
	})
	return s
}

// Stop closes the listener and all sessions and waits for them.
func (s *SMTP) Stop() {
	s.cancel()
	_ = s.listener.Close()
	s.Disconnect()
	s.wait.Wait()
}

// Disconnect closes all sessions but keeps listening.
func (s *SMTP) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

// Addr returns "127.0.0.1:port".
func (s *SMTP) Addr() string { return s.listener.Addr().String() }

// Port returns the port.
func (s *SMTP) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// Set changes the knobs; sessions under way see it at their next stage.
func (s *SMTP) Set(change func(*Knobs)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.knobs)
}

func (s *SMTP) current() Knobs {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.knobs
}

// Mails returns the mails answered with 2yz, in order.
func (s *SMTP) Mails() []ReceivedMail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acceptedMails()
}

func (s *SMTP) acceptedMails() []ReceivedMail {
	var mails []ReceivedMail
	for _, m := range s.mails {
		if m.Accepted {
			mails = append(mails, *m)
		}
	}
	return mails
}

// Dotted returns all mails whose final dot arrived, whatever the answer was or
// will be.
func (s *SMTP) Dotted() []ReceivedMail {
	s.mu.Lock()
	defer s.mu.Unlock()
	mails := make([]ReceivedMail, len(s.mails))
	for i, m := range s.mails {
		mails[i] = *m
	}
	return mails
}

// Forget drops the mails recorded so far.
func (s *SMTP) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = nil
}

// WaitMails waits until at least n mails were accepted and returns them, or fails
// the test after 30 s.
func (s *SMTP) WaitMails(t testing.TB, n int) []ReceivedMail {
	t.Helper()
	s.WaitFor(t, fmt.Sprintf("%d mails", n), func() bool { return len(s.acceptedMails()) >= n })
	return s.Mails()
}

// WaitDotted waits until the final dots of n mails have arrived, whatever the
// answers are, and returns the mails.
func (s *SMTP) WaitDotted(t testing.TB, n int) []ReceivedMail {
	t.Helper()
	s.WaitFor(t, fmt.Sprintf("%d final dots", n), func() bool { return len(s.mails) >= n })
	return s.Dotted()
}

// WaitConnections waits until n connections were made since the start.
func (s *SMTP) WaitConnections(t testing.TB, n int) {
	t.Helper()
	s.WaitFor(t, fmt.Sprintf("%d connections", n), func() bool { return s.accepted >= n })
}

// WaitCommand waits until a command that begins with prefix ("DATA", "RCPT TO:")
// was received.
func (s *SMTP) WaitCommand(t testing.TB, prefix string) {
	t.Helper()
	s.WaitFor(t, "command "+prefix, func() bool {
		return slices.ContainsFunc(s.log, func(line string) bool {
			return len(line) >= len(prefix) && line[:len(prefix)] == prefix
		})
	})
}

// WaitFor waits until cond, which is called with the fake locked and must not
// call its methods, is true; it looks whenever the fake has received something.
func (s *SMTP) WaitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	timeout := time.NewTimer(30 * time.Second)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		ok, changed := cond(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			t.Fatalf("fake SMTP server: no %s in 30 s; commands so far: %q", what, s.Commands())
		}
	}
}

// Connections returns how many connections were made since the start.
func (s *SMTP) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// Open returns how many connections are open.
func (s *SMTP) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Commands returns the command lines received on all connections, in order; what
// follows AUTH is left out.
func (s *SMTP) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Violations returns what clients did against the protocol since the last call.
func (s *SMTP) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.violations
	s.violations = nil
	return v
}

func (s *SMTP) violation(conn int, format string, args ...any) {
	s.update(func() {
		s.violations = append(s.violations, fmt.Sprintf("connection %d: ", conn)+fmt.Sprintf(format, args...))
	})
}

// update changes what tests may wait for.
func (s *SMTP) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *SMTP) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		number := 0
		s.update(func() {
			s.accepted++
			number = s.accepted
			s.conns[conn] = struct{}{}
		})
		if s.ctx.Err() != nil {
			_ = conn.Close()
		}
		s.wait.Go(func() {
			defer s.update(func() { delete(s.conns, conn) })
			defer conn.Close()
			newSMTPSession(s, conn, number).run()
		})
	}
}
