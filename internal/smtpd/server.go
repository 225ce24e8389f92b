package smtpd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Server serves SMTP submission on any number of listeners, which share its limits.
type Server struct {
	opts   Options
	peers  *peerLimits
	logins *loginLimits
	budget *budget
	chunks *sync.Pool // of *chunk

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	drained   chan struct{} // closed when closed is set and the last session has ended
}

// New returns a server that is ready to Serve.
func New(o Options) *Server {
	o = o.withDefaults()
	return &Server{
		opts:      o,
		peers:     newPeerLimits(o.MaxConnections, o.MaxConnectionsPerPeer),
		logins:    newLoginLimits(),
		budget:    &budget{limit: o.DataBudget},
		chunks:    &sync.Pool{New: func() any { return new(chunk) }},
		listeners: make(map[net.Listener]struct{}),
		sessions:  make(map[*session]struct{}),
		drained:   make(chan struct{}),
	}
}

// ListenerOptions is what may differ between listeners.
type ListenerOptions struct {
	ImplicitTLS bool // TLS from the first byte (RFC 8314 section 3.3); needs Options.TLS
}

// Serve accepts connections from ln until Shutdown, and then returns nil, or until
// the listener fails. It closes ln. The end of ctx is the hard stop: the listener
// and its sessions are closed at once and their contexts cancelled. Shutdown is the
// gentle one. After Shutdown it returns nil at once.
func (s *Server) Serve(ctx context.Context, ln net.Listener, lo ListenerOptions) error {
	defer ln.Close()
	if lo.ImplicitTLS && s.opts.TLS == nil {
		return errors.New("smtpd: implicit TLS needs a certificate")
	}
	if !s.addListener(ln) {
		return nil
	}
	defer s.removeListener(ln)
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()

	var pause time.Duration
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.start(ctx, conn, lo)
		case ctx.Err() != nil:
			return ctx.Err()
		case s.isClosed():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("smtpd: accept: %w", err)
		default:
			// Out of descriptors, or a connection that was reset while it waited: the
			// listener is still good.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.opts.Logger.WarnContext(ctx, "accept failed", "err", err, "pause", pause)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-s.drained:
			case <-time.After(pause):
			}
		}
	}
}

// start begins a session on conn, or turns it away in the cheapest way there is.
func (s *Server) start(ctx context.Context, conn net.Conn, lo ListenerOptions) {
	peer := peerOf(conn)
	result := s.peers.enter(peer, s.exempt(peer))
	s.opts.Metrics.Connection(result)
	if result != connAccepted {
		if !lo.ImplicitTLS {
			// The socket is new, so these few bytes fit its buffer.
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = conn.Write([]byte("421 4.7.0 Too many connections, try again later\r\n"))
		}
		_ = conn.Close()
		return
	}
	sess := newSession(ctx, s, conn, peer)
	if !s.addSession(sess) {
		s.peers.leave(peer)
		sess.abandon()
		return
	}
	go func() {
		defer s.removeSession(sess)
		sess.run(lo.ImplicitTLS)
	}()
}

// Shutdown stops accepting and ends the sessions: those before DATA are told 421
// 4.3.2, those that are receiving a message or waiting for its acceptance may
// finish it. When ctx ends first the rest is closed and its error returned. Shutdown may
// be called before Serve, at the same time, and again.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		for ln := range s.listeners {
			_ = ln.Close()
		}
		for sess := range s.sessions {
			sess.stop()
		}
		if len(s.sessions) == 0 {
			close(s.drained)
		}
	}
	s.mu.Unlock()

	select {
	case <-s.drained:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) == 0 {
		return nil
	}
	for sess := range s.sessions {
		sess.cancel() // closes the connection, too
	}
	return fmt.Errorf("smtpd: %d sessions closed before they were done: %w", len(s.sessions), context.Cause(ctx))
}

// Sessions returns the number of open sessions.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *Server) addListener(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.listeners[ln] = struct{}{}
	return true
}

func (s *Server) removeListener(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ln)
}

func (s *Server) addSession(sess *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.sessions[sess] = struct{}{}
	return true
}

func (s *Server) removeSession(sess *session) {
	s.peers.leave(sess.peer)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess)
	if s.closed && len(s.sessions) == 0 {
		close(s.drained)
	}
}

// exempt reports whether peer is free of the limits per address.
func (s *Server) exempt(peer netip.Addr) bool {
	return peer.IsLoopback() || contains(s.opts.ExemptNetworks, peer)
}

// cleartext reports whether peer may log in without TLS.
func (s *Server) cleartext(peer netip.Addr) bool {
	return peer.IsLoopback() || contains(s.opts.CleartextNetworks, peer)
}

func contains(nets []netip.Prefix, a netip.Addr) bool {
	for _, n := range nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// peerOf returns the client's address, the zero Addr if conn has no IP address.
func peerOf(conn net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
