package smtpd

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// session is one connection. All but stop runs on its own goroutine.
type session struct {
	srv    *Server
	ctx    context.Context // of all that is done for this client; its end closes the connection
	cancel context.CancelFunc
	raw    net.Conn // as accepted; deadlines and the hard close go here
	conn   net.Conn // raw, or TLS on it
	in     input
	out    *bufio.Writer
	peer   netip.Addr
	name   string // peer as text, "" if unknown
	since  time.Time
	log    *slog.Logger

	tls       bool
	extended  bool   // EHLO rather than HELO
	hello     string // argument of it, "" before
	loggedIn  bool
	known     bool // a principal has been named, by login or network
	principal waypost.Principal
	mail      *transaction // nil outside of one

	bad      int       // syntax and order errors since the last accepted message
	failures int       // refused logins
	commands int       // before known; of a stranger, since its last message
	idle     time.Time // when a stranger's last message was taken, at first since
	ending   bool      // close after this reply

	mu       sync.Mutex
	busy     bool // receives a message or waits for its acceptance: stop lets it finish
	stopping bool
}

// transaction is an envelope under way (RFC 5321 section 3.3).
type transaction struct {
	from       string
	recipients []string
	utf8       bool
}

// errStopping ends a session that is not the client's to blame.
var errStopping = errors.New("server is stopping")

func newSession(ctx context.Context, srv *Server, conn net.Conn, peer netip.Addr) *session {
	s := &session{
		srv: srv, raw: conn, conn: conn, in: newInput(conn),
		peer: peer, since: time.Now(), log: srv.opts.Logger,
	}
	s.idle = s.since
	if peer.IsValid() {
		s.name = peer.String()
	}
	s.out = bufio.NewWriterSize(sessionWriter{s}, 2048)
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// sessionWriter is the connection with a deadline on each write.
type sessionWriter struct{ s *session }

func (w sessionWriter) Write(p []byte) (int, error) {
	if err := w.s.raw.SetWriteDeadline(time.Now().Add(w.s.srv.opts.Timeouts.Write)); err != nil {
		return 0, err
	}
	return w.s.conn.Write(p)
}

// abandon ends a session that has not begun.
func (s *session) abandon() {
	s.cancel()
	_ = s.raw.Close()
}

// run is the whole session. It returns with the connection closed.
func (s *session) run(implicitTLS bool) {
	detach := context.AfterFunc(s.ctx, func() { _ = s.raw.Close() })
	defer func() {
		if v := recover(); v != nil {
			s.log.ErrorContext(s.ctx, "panic in SMTP session", "peer", s.name, "panic", v, "stack", string(debug.Stack()))
			s.srv.opts.OnPanic(v)
			s.reply(421, "4.3.0", "Internal error, try again later")
			_ = s.out.Flush()
		}
		detach()
		_ = s.conn.Close()
		s.cancel()
	}()
	err := s.serve(implicitTLS)
	if s.log.Enabled(s.ctx, slog.LevelDebug) {
		s.log.DebugContext(s.ctx, "session ended", "peer", s.name, "took", time.Since(s.since), "err", err)
	}
}

// serve reads and answers commands until one side has had enough. The error is for
// the log.
func (s *session) serve(implicitTLS bool) error {
	if implicitTLS {
		if err := s.startTLS(); err != nil {
			return err
		}
	}
	s.greet()
	for !s.ending {
		line, err := s.in.line(s.awaitCommand)
		if err == nil && s.isStopping() {
			err = errStopping
		}
		if err != nil {
			s.farewell(err)
			return s.close(err)
		}
		s.command(line)
	}
	return s.close(nil)
}

func (s *session) greet() {
	_, _ = fmt.Fprintf(s.out, "220 %s ESMTP\r\n", s.srv.opts.Hostname)
}

// awaitCommand runs before the session blocks for a command: all replies have to
// be out (RFC 2920 section 3.2), and a stopping server does not wait.
func (s *session) awaitCommand(begun bool) error {
	if err := s.out.Flush(); err != nil {
		return err
	}
	t := &s.srv.opts.Timeouts
	deadline := time.Now().Add(t.Command)
	if limit := s.idle.Add(t.Identify); !s.known && limit.Before(deadline) {
		deadline = limit
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return errStopping
	}
	if begun {
		return nil // the deadline is for the whole line
	}
	return s.raw.SetReadDeadline(deadline)
}

// farewell tells the client why the session ends, as far as it can be told.
func (s *session) farewell(err error) {
	switch {
	case s.isStopping() && !errors.Is(err, io.EOF):
		// Stop wakes a waiting session by letting its deadline pass.
		s.reply(421, "4.3.2", "Shutting down, try again later")
	case errors.Is(err, errBareLF):
		s.reply(500, "5.5.2", "Lines end with CRLF")
	case errors.Is(err, errLongLine):
		s.reply(500, "5.5.2", "Line too long")
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.reply(421, "4.4.2", "Waited too long")
	}
}

// lingerTime and lingerBytes bound what is read after the last reply.
const (
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// close sends what is left to say. A client in the middle of sending gets a moment to
// read it: closing with unread octets makes TCP reset the connection, and with it
// the reply.
func (s *session) close(cause error) error {
	if err := s.out.Flush(); err != nil {
		return errors.Join(cause, err)
	}
	half, ok := s.conn.(interface{ CloseWrite() error })
	if !ok || errors.Is(cause, io.EOF) || s.isStopping() {
		return cause
	}
	if half.CloseWrite() == nil && s.setReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, s.conn, lingerBytes)
	}
	return cause
}

// stop asks the session to end: now if it waits for a command, after the message
// if it is receiving one. It may be called from any goroutine.
func (s *session) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if !s.busy {
		_ = s.raw.SetReadDeadline(time.Unix(1, 0)) // wakes it from a read
	}
}

func (s *session) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// setBusy begins or ends the time in which stop waits. It reports whether it could
// begin: not when the server is stopping already.
func (s *session) setBusy(busy bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if busy && s.stopping {
		return false
	}
	s.busy = busy
	return true
}

// setReadDeadline sets the deadline of reads unless stop has made it pass.
func (s *session) setReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping && !s.busy {
		return errStopping
	}
	return s.raw.SetReadDeadline(t)
}

// startTLS makes the connection a TLS one.
func (s *session) startTLS() error {
	deadline := time.Now().Add(s.srv.opts.Timeouts.Handshake)
	if err := s.setReadDeadline(deadline); err != nil {
		return err
	}
	if err := s.raw.SetWriteDeadline(deadline); err != nil {
		return err
	}
	conn := tls.Server(s.raw, s.srv.opts.TLS)
	if err := conn.HandshakeContext(s.ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	s.conn, s.in, s.tls = conn, newInput(conn), true
	return nil
}

// reply queues a reply of one line, or of several that LF separates (RFC 5321 section 4.2.1):
// each has the codes (RFC 2034 section 4).
func (s *session) reply(code int, enhanced, text string) {
	for {
		line, rest, more := strings.Cut(text, "\n")
		s.replyLine(code, enhanced, line, more)
		if !more {
			return
		}
		text = rest
	}
}

func (s *session) replyLine(code int, enhanced, text string, more bool) {
	b := strconv.AppendInt(s.out.AvailableBuffer(), int64(code), 10)
	if more {
		b = append(b, '-')
	} else {
		b = append(b, ' ')
	}
	if enhanced != "" {
		b = append(b, enhanced...)
		b = append(b, ' ')
	}
	b = append(b, text...)
	b = append(b, '\r', '\n')
	_, _ = s.out.Write(b) // an error stays in out and comes back from Flush
}

// end queues the last reply of a session.
func (s *session) end(code int, enhanced, text string) {
	s.reply(code, enhanced, text)
	s.ending = true
}

// replyError queues the reply to an error and logs what the client is not told. A 421 ends
// the session, as it says (RFC 5321 section 3.8).
func (s *session) replyError(err error, r reply) {
	if e := waypost.AsError(err); e.Kind == waypost.Internal && !errors.Is(err, context.Canceled) {
		s.log.ErrorContext(s.ctx, "SMTP command failed", "peer", s.name, "err", err)
	}
	s.reply(r.code, r.enhanced, r.text)
	s.ending = s.ending || r.code == 421
}

// refuse answers a command that breaks the protocol, and ends the session when
// there are too many of them.
func (s *session) refuse(code int, enhanced, text string) {
	if s.bad++; s.bad >= maxBadCommands {
		s.end(421, "4.7.0", "Too many errors")
		return
	}
	s.reply(code, enhanced, text)
}
