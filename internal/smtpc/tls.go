package smtpc

import (
	"bufio"
	"context"
	"crypto/tls"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// ImplicitTLS makes the handshake before the greeting (RFC 8314 section 3.3).
// config needs ServerName or InsecureSkipVerify.
func (s *Session) ImplicitTLS(ctx context.Context, config *tls.Config) error {
	defer s.watch(ctx)()
	return s.handshake(ctx, config)
}

// StartTLS upgrades the session (RFC 3207) and says EHLO again, since nothing
// learned in plaintext counts any more. A server that refuses leaves a session
// that works in plaintext; a handshake that fails leaves none.
func (s *Session) StartTLS(ctx context.Context, config *tls.Config) error {
	defer s.watch(ctx)()
	if !s.ext.StartTLS {
		return &Error{Phase: waypost.PhaseTLS, Err: ErrNoStartTLS}
	}
	reply, err := s.command(ctx, waypost.PhaseTLS, "STARTTLS", s.opts.Timeouts.TLS)
	if err != nil {
		return err
	}
	if err := s.want(waypost.PhaseTLS, reply, 2); err != nil {
		return err
	}
	// What came along in plaintext was put there by someone in between, to be
	// taken for an answer inside TLS.
	if s.br.Buffered() > 0 {
		return s.fail(waypost.PhaseTLS, ErrInjection)
	}
	if err := s.handshake(ctx, config); err != nil {
		return err
	}
	return s.hello(ctx)
}

func (s *Session) handshake(ctx context.Context, config *tls.Config) error {
	started := s.now()
	config = config.Clone()
	// Small first records help a browser paint; a mail is read whole or not at all.
	config.DynamicRecordSizingDisabled = true
	under := &cork{Conn: s.raw}
	conn := tls.Client(under, config)
	_ = s.raw.SetDeadline(time.Now().Add(s.opts.Timeouts.TLS))
	// The handshake ends with ctx by itself.
	err := conn.HandshakeContext(ctx)
	if err != nil {
		err = interrupted(ctx, err)
		s.trace(waypost.PhaseTLS, "", started, waypost.Reply{}, err)
		return s.fail(waypost.PhaseTLS, err)
	}
	s.tls, s.cork = conn, under
	s.br = bufio.NewReaderSize(conn, readBuffer)
	s.trace(waypost.PhaseTLS, "", started, waypost.Reply{Text: s.TLS()}, nil)
	return nil
}

// ConnectionState returns the state of the TLS layer, and whether there is one.
func (s *Session) ConnectionState() (tls.ConnectionState, bool) {
	if s.tls == nil {
		return tls.ConnectionState{}, false
	}
	return s.tls.ConnectionState(), true
}

// TLS describes the protection for people ("TLS 1.3 TLS_AES_128_GCM_SHA256"), ""
// for plaintext.
func (s *Session) TLS() string {
	state, ok := s.ConnectionState()
	if !ok {
		return ""
	}
	return tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite)
}
