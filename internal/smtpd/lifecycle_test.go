package smtpd_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/internal/smtpd"
	"github.com/waypost/waypost/internal/waypost"
)

type waypostPrincipal = waypost.Principal

func dialTLS(t *testing.T, addr string, config *tls.Config) net.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, config)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestShutdownTellsIdleSessions(t *testing.T) {
	s := start(t, &backend{}, nil)
	greeted, mailed := s.hello(), s.hello()
	mailed.cmd("MAIL FROM:<a@b.test>", "250 ")
	auth := s.hello()
	auth.cmd("AUTH LOGIN", "334 ")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*client{greeted, mailed, auth} {
		c.want("421 4.3.2 ")
		c.wantClosed()
	}
	if conn, err := net.Dial("tcp", s.addr); err == nil {
		conn.Close()
		t.Error("still accepting")
	}
	if n := s.Sessions(); n != 0 {
		t.Errorf("%d sessions left", n)
	}
}

func TestShutdownWaitsForMessages(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	b := &backend{accept: func(_ context.Context, s waypost.Submission) (waypost.Receipt, error) {
		if string(s.Message) == "accepting\r\n" {
			close(entered)
			<-leave
		}
		return waypost.Receipt{ID: "x"}, nil
	}}
	s := start(t, b, nil)
	receiving, accepting, idle := s.hello(), s.hello(), s.hello()
	receiving.envelope()
	receiving.send("half of")
	accepting.envelope()
	accepting.send("accepting\r\n.\r\n")
	<-entered

	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	idle.want("421 4.3.2 ") // so Shutdown has begun
	receiving.cmd(" it\r\n.\r\nMAIL FROM:<a@b.test>", "250 2.0.0 ")
	receiving.want("421 4.3.2 ")
	receiving.wantClosed()
	select {
	case err := <-done:
		t.Fatalf("Shutdown returned early: %v", err)
	default:
	}
	close(leave)
	accepting.want("250 2.0.0 ")
	accepting.want("421 4.3.2 ")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestShutdownClosesByForceWhenTimeIsUp(t *testing.T) {
	entered, cancelled := make(chan struct{}), make(chan struct{})
	b := &backend{accept: func(ctx context.Context, _ waypost.Submission) (waypost.Receipt, error) {
		close(entered)
		<-ctx.Done()
		close(cancelled)
		return waypost.Receipt{}, ctx.Err()
	}}
	s := start(t, b, nil)
	c := s.hello()
	c.envelope()
	c.send(".\r\n")
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-cancelled
	if err := s.Shutdown(t.Context()); err != nil { // again: all gone now
		t.Error(err)
	}
}

func TestShutdownBeforeServe(t *testing.T) {
	b := &backend{}
	s := smtpd.New(smtpd.Options{Accepter: b, Authenticator: b})
	for range 2 {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ln := newPipeListener()
	if err := s.Serve(t.Context(), ln, smtpd.ListenerOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listener is open: %v", err)
	}
}

func TestCancelledServeClosesSessions(t *testing.T) {
	b := &backend{}
	s := smtpd.New(smtpd.Options{Accepter: b, Authenticator: b})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln, smtpd.ListenerOptions{}) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn)
	c.want("220 localhost ESMTP")
	cancel()
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	c.wantClosed()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestServeNeedsCertificateForImplicitTLS(t *testing.T) {
	b := &backend{}
	s := smtpd.New(smtpd.Options{Accepter: b, Authenticator: b})
	if err := s.Serve(t.Context(), newPipeListener(), smtpd.ListenerOptions{ImplicitTLS: true}); err == nil {
		t.Error("no error")
	}
}

// pipeListener serves connections that exist in memory only, so that synctest can
// let their deadlines pass.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	case c := <-l.conns:
		return c, nil
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipeListener) dial() net.Conn {
	server, client := net.Pipe()
	l.conns <- pipeConn{server}
	return client
}

type pipeConn struct{ net.Conn }

func (pipeConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:1"))
}

// inTime runs f in a bubble of fake time with a server, whose sessions must all be
// over in the end, and reports how long f took.
func inTime(t *testing.T, b *backend, f func(t *testing.T, c *client)) (took time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		srv, _ := certificate(t)
		s := smtpd.New(smtpd.Options{Hostname: "mx.test", Accepter: b, Authenticator: b, TLS: srv, MaxMessageSize: 1 << 20})
		ln := newPipeListener()
		served := make(chan error, 1)
		go func() { served <- s.Serve(t.Context(), ln, smtpd.ListenerOptions{}) }()
		conn := ln.dial()
		begun := time.Now()
		c := newClient(t, conn)
		_ = conn.SetDeadline(time.Now().Add(24 * time.Hour))
		f(t, c)
		took = time.Since(begun)
		conn.Close()
		synctest.Wait()
		if n := s.Sessions(); n != 0 {
			t.Errorf("%d sessions left", n)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return took
}

func wantTook(t *testing.T, took, want time.Duration) {
	t.Helper()
	if took < want || took > want+2*time.Second {
		t.Errorf("took %v of fake time, want %v", took, want)
	}
}

func TestSilentClientIsClosed(t *testing.T) {
	wantTook(t, inTime(t, &backend{}, func(t *testing.T, c *client) {
		c.want("220 ")
		c.want("421 4.4.2 ")
		c.wantClosed()
	}), 5*time.Minute)
}

func TestSlowlyTypedCommandIsClosed(t *testing.T) {
	wantTook(t, inTime(t, &backend{}, func(t *testing.T, c *client) {
		c.want("220 ")
		go trickle(t, c, "E", 10*time.Second)
		c.want("421 4.4.2 ")
		c.wantClosed()
	}), 5*time.Minute)
}

func TestClientThatNeverSaysWhoItIsIsClosed(t *testing.T) {
	wantTook(t, inTime(t, &backend{network: noNetwork}, func(t *testing.T, c *client) {
		c.want("220 ")
		for range 4 {
			<-time.After(140 * time.Second)
			c.cmd("NOOP", "250 ")
		}
		c.want("421 4.4.2 ")
		c.wantClosed()
	}), 10*time.Minute)
}

func TestMessageThatStopsComingIsClosed(t *testing.T) {
	b := &backend{}
	wantTook(t, inTime(t, b, func(t *testing.T, c *client) {
		c.want("220 ")
		c.cmd("EHLO x", "250-")
		c.envelope()
		c.send("half a mess")
		c.want("421 4.4.2 ")
		c.wantClosed()
	}), time.Minute)
	if len(b.received()) != 0 {
		t.Error("half a message was accepted")
	}
}

func TestTrickledMessageIsClosed(t *testing.T) {
	wantTook(t, inTime(t, &backend{}, func(t *testing.T, c *client) {
		c.want("220 ")
		c.cmd("EHLO x", "250-")
		c.envelope()
		go trickle(t, c, "x", time.Second)
		c.want("421 4.4.2 ")
		c.wantClosed()
	}), 10*time.Minute)
}

func TestRestOfOversizeMessageIsNotAwaitedForLong(t *testing.T) {
	wantTook(t, inTime(t, &backend{}, func(t *testing.T, c *client) {
		c.want("220 ")
		c.cmd("EHLO x", "250-")
		c.envelope()
		c.send(strings.Repeat("x", 1<<20+100))
		go trickle(t, c, "x", time.Second)
		c.want("552 5.3.4 ")
		c.wantClosed()
	}), time.Minute)
}

func TestSlowMessageMayTakeItsTime(t *testing.T) {
	b := &backend{}
	wantTook(t, inTime(t, b, func(_ *testing.T, c *client) {
		c.want("220 ")
		c.cmd("EHLO x", "250-")
		c.envelope()
		for range 900 { // 1 KiB a second, for longer than any fixed deadline
			c.send(strings.Repeat("x", 1022) + "\r\n")
			<-time.After(time.Second)
		}
		c.cmd(".", "250 2.0.0 ")
	}), 15*time.Minute)
	if got := b.received(); len(got) != 1 || len(got[0].Message) != 900<<10 {
		t.Error("message was not accepted whole")
	}
}

func TestHandshakeThatNeverComesIsClosed(t *testing.T) {
	wantTook(t, inTime(t, &backend{}, func(t *testing.T, c *client) {
		c.want("220 ")
		c.cmd("EHLO x", "250-")
		c.cmd("STARTTLS", "220 ")
		c.wantClosed()
	}), 30*time.Second)
}

func TestClientThatReadsNothingIsClosed(t *testing.T) {
	wantTook(t, inTime(t, &backend{}, func(t *testing.T, c *client) {
		// The greeting is not taken.
		if _, err := c.conn.Write([]byte(strings.Repeat("NOOP\r\n", 10))); err == nil {
			t.Error("server read on")
		} else if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v", err)
		}
	}), 30*time.Second)
}

func trickle(t *testing.T, c *client, s string, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if _, err := c.conn.Write([]byte(s)); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			return
		}
	}
}
