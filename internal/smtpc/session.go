package smtpc

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// Options set up a Session. The zero value works.
type Options struct {
	HELO     string     // our host name or address literal; "localhost" if empty
	Timeouts Timeouts   // zero fields get their default
	MaxReply int        // bytes read of one reply before the session is given up; 64 KiB if 0
	Step     func(Step) // called after each exchange, in order; nil: no trace
}

// Timeouts bound each wait for the peer. The defaults follow RFC 5321 section
// 4.5.3.2 from MAIL on and are shorter before it, where nothing is at stake.
type Timeouts struct {
	Greet time.Duration // 60 s
	Hello time.Duration // 60 s
	TLS   time.Duration // 30 s, the whole handshake
	Auth  time.Duration // 60 s a step
	Mail  time.Duration // 5 min
	Rcpt  time.Duration // 5 min
	Data  time.Duration // 2 min
	Block time.Duration // 3 min without the peer taking a byte of the message
	Whole time.Duration // 10 min for the message as a whole, to which each KiB of it adds a second
	Dot   time.Duration // 10 min (RFC 5321 section 4.5.3.2.6: shorter ones make duplicates)
	Reset time.Duration // 30 s, RSET and NOOP
	Quit  time.Duration // 5 s
}

// DefaultTimeouts returns the timeouts used for fields that are zero.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Greet: time.Minute,
		Hello: time.Minute,
		TLS:   30 * time.Second,
		Auth:  time.Minute,
		Mail:  5 * time.Minute,
		Rcpt:  5 * time.Minute,
		Data:  2 * time.Minute,
		Block: 3 * time.Minute,
		Whole: 10 * time.Minute,
		Dot:   10 * time.Minute,
		Reset: 30 * time.Second,
		Quit:  5 * time.Second,
	}
}

func (t Timeouts) orDefault() Timeouts {
	d := DefaultTimeouts()
	pick := func(v, def time.Duration) time.Duration {
		if v <= 0 {
			return def
		}
		return v
	}
	return Timeouts{
		Greet: pick(t.Greet, d.Greet),
		Hello: pick(t.Hello, d.Hello),
		TLS:   pick(t.TLS, d.TLS),
		Auth:  pick(t.Auth, d.Auth),
		Mail:  pick(t.Mail, d.Mail),
		Rcpt:  pick(t.Rcpt, d.Rcpt),
		Data:  pick(t.Data, d.Data),
		Block: pick(t.Block, d.Block),
		Whole: pick(t.Whole, d.Whole),
		Dot:   pick(t.Dot, d.Dot),
		Reset: pick(t.Reset, d.Reset),
		Quit:  pick(t.Quit, d.Quit),
	}
}

// Step is one exchange with the peer, for people to read. It never holds a
// password, in no encoding.
type Step struct {
	Phase   waypost.Phase
	Command string        // what we said, "" for the greeting
	Reply   waypost.Reply // what came back; for a TLS handshake its Text names version and cipher
	Err     error         // why nothing came back
	Started time.Time
	Took    time.Duration
}

// Session is one SMTP session, client side.
type Session struct {
	raw  net.Conn
	tls  *tls.Conn // nil in plaintext
	cork *cork     // below tls
	br   *bufio.Reader
	opts Options

	ext      Extensions
	greeting waypost.Reply
	ready    bool        // Hello has succeeded
	broken   bool        // no further command makes sense
	closed   atomic.Bool // the connection is gone
	dirty    bool        // a transaction is open at the peer: RSET before the next
	sent     int
	begun    int // mails begun
	used     time.Time

	secrets secrets     // never shown
	cmd     []byte      // commands being written
	text    []byte      // reply being read
	list    [][]byte    // pieces of the message being written
	vec     net.Buffers // the copy of them that writev consumes
	plain   []byte      // short pieces on their way into one TLS record
}

// Reply limits. A legal reply line has 512 octets (RFC 5321 section 4.5.3.1.5);
// what is kept is what people read in a log.
const (
	defaultMaxReply = 64 << 10
	maxReplyLines   = 100
	keptReply       = 2 << 10
	readBuffer      = 4 << 10
)

// New returns a Session over conn, which it owns from now on. A *net.TCPConn lets
// a message leave in one writev.
func New(conn net.Conn, opts Options) *Session {
	opts.Timeouts = opts.Timeouts.orDefault()
	if opts.HELO == "" {
		opts.HELO = "localhost"
	}
	if opts.MaxReply <= 0 {
		opts.MaxReply = defaultMaxReply
	}
	return &Session{
		raw:  conn,
		br:   bufio.NewReaderSize(conn, readBuffer),
		opts: opts,
		used: time.Now(),
	}
}

// Greet reads the server's greeting. Anything but 2yz is an error.
func (s *Session) Greet(ctx context.Context) error {
	defer s.watch(ctx)()
	reply, err := s.exchange(ctx, waypost.PhaseGreet, nil, "", s.opts.Timeouts.Greet)
	if err != nil {
		return err
	}
	s.greeting = reply
	return s.want(waypost.PhaseGreet, reply, 2)
}

// Greeting returns what the server said first.
func (s *Session) Greeting() waypost.Reply { return s.greeting }

// Hello introduces us by EHLO, or by HELO to a server that refuses EHLO (RFC 5321
// section 3.2), and learns the Extensions.
func (s *Session) Hello(ctx context.Context) error {
	defer s.watch(ctx)()
	return s.hello(ctx)
}

func (s *Session) hello(ctx context.Context) error {
	name := s.opts.HELO
	// What is neither a name nor a literal would let the caller's setting speak SMTP.
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' || r == '>' }) {
		return s.fail(waypost.PhaseHello, ErrHelo)
	}
	s.ready = false
	s.ext = Extensions{}
	reply, err := s.command(ctx, waypost.PhaseHello, "EHLO "+name, s.opts.Timeouts.Hello)
	if err != nil {
		return err
	}
	if reply.Permanent() {
		if reply, err = s.command(ctx, waypost.PhaseHello, "HELO "+name, s.opts.Timeouts.Hello); err != nil {
			return err
		}
	} else if reply.Positive() {
		s.ext = parseExtensions(reply.Text)
	}
	if err := s.want(waypost.PhaseHello, reply, 2); err != nil {
		return err
	}
	s.ready = true
	return nil
}

// Reset ends an open transaction (RSET), for instance one whose recipients were
// all refused. Send does so by itself.
func (s *Session) Reset(ctx context.Context) error {
	defer s.watch(ctx)()
	reply, err := s.command(ctx, waypost.PhaseMail, "RSET", s.opts.Timeouts.Reset)
	if err != nil {
		return err
	}
	s.dirty = false
	return s.want(waypost.PhaseMail, reply, 2)
}

// Noop asks whether the peer is still there.
func (s *Session) Noop(ctx context.Context) error {
	defer s.watch(ctx)()
	reply, err := s.command(ctx, waypost.PhaseMail, "NOOP", s.opts.Timeouts.Reset)
	if err != nil {
		return err
	}
	return s.want(waypost.PhaseMail, reply, 2)
}

// Quit takes leave if the session still works, and closes it in any case.
func (s *Session) Quit(ctx context.Context) error {
	if !s.broken && !s.closed.Load() {
		stop := s.watch(ctx)
		// The answer changes nothing: the mails before it have theirs.
		_, _ = s.command(ctx, waypost.PhaseMail, "QUIT", s.opts.Timeouts.Quit)
		stop()
	}
	s.broken = true
	return s.Close()
}

// Close drops the connection without a word. It may be called at any time, from
// any goroutine, and more than once.
func (s *Session) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	// Closing the TLS layer could wait for the peer to read our goodbye.
	return s.raw.Close()
}

// Usable reports whether the session can carry another mail: Hello succeeded, and
// neither an error nor a 421 has ended it since. It does not ask the peer.
func (s *Session) Usable() bool { return s.ready && !s.broken && !s.closed.Load() }

// Sent returns how many mails the peer took over this session.
func (s *Session) Sent() int { return s.sent }

// LastUsed returns when the peer last said something.
func (s *Session) LastUsed() time.Time { return s.used }

// Extensions returns what the server offered in its last EHLO.
func (s *Session) Extensions() Extensions { return s.ext }

// RemoteAddr returns the peer's address.
func (s *Session) RemoteAddr() net.Addr { return s.raw.RemoteAddr() }

// command sends one command line and reads its reply.
func (s *Session) command(ctx context.Context, phase waypost.Phase, line string, limit time.Duration) (waypost.Reply, error) {
	return s.exchange(ctx, phase, append(append(s.cmd[:0], line...), "\r\n"...), line, limit)
}

// exchange writes wire, reads one reply and traces both; shown is what people may
// see of wire.
func (s *Session) exchange(ctx context.Context, phase waypost.Phase, wire []byte, shown string, limit time.Duration) (waypost.Reply, error) {
	started := s.now()
	err := s.alive()
	if err == nil && len(wire) > 0 {
		s.cmd = wire
		err = s.write(ctx, within(limit), wire)
	}
	var reply waypost.Reply
	if err == nil {
		reply, err = s.readReply(ctx, limit)
	} else {
		reply = s.lastWords(ctx)
	}
	s.trace(phase, shown, started, reply, err)
	if err != nil {
		return reply, s.failReply(phase, reply, err)
	}
	return reply, nil
}

// want turns a reply of another class into an error; the session stays open
// unless it was a 421.
func (s *Session) want(phase waypost.Phase, reply waypost.Reply, class int) error {
	switch {
	case reply.Code/100 == class:
		return nil
	case reply.Positive():
		return s.failReply(phase, waypost.Reply{}, ErrProtocol)
	}
	if reply.Code == 421 {
		s.drop()
	}
	return &Error{Phase: phase, Reply: reply}
}

// fail ends the session with an error.
func (s *Session) fail(phase waypost.Phase, err error) *Error {
	return s.failReply(phase, waypost.Reply{}, err)
}

func (s *Session) failReply(phase waypost.Phase, reply waypost.Reply, err error) *Error {
	s.drop()
	return &Error{Phase: phase, Reply: reply, Err: err}
}

func (s *Session) drop() {
	s.broken = true
	_ = s.Close()
}

func (s *Session) alive() error {
	if s.broken || s.closed.Load() {
		return ErrUnusable
	}
	return nil
}

// watch makes the end of ctx interrupt whatever the session waits for. The
// returned function ends the watch.
func (s *Session) watch(ctx context.Context) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	cancel := context.AfterFunc(ctx, func() { _ = s.raw.SetDeadline(past()) })
	return func() {
		if !cancel() {
			// The interruption may hit whatever comes next, so nothing does.
			s.drop()
		}
	}
}

// past is a deadline that has passed.
func past() time.Time { return time.Unix(1, 0) }

// now is the start of a Step, not asked for when nobody traces.
func (s *Session) now() time.Time {
	if s.opts.Step == nil {
		return time.Time{}
	}
	return time.Now()
}

func (s *Session) trace(phase waypost.Phase, command string, started time.Time, reply waypost.Reply, err error) {
	if s.opts.Step == nil {
		return
	}
	if started.IsZero() {
		started = time.Now()
	}
	s.opts.Step(Step{
		Phase: phase, Command: s.secrets.redact(command), Reply: reply, Err: err,
		Started: started, Took: time.Since(started),
	})
}

// interrupted names the end of ctx as the cause of an I/O error it provoked.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("interrupted: %w", context.Cause(ctx))
}
