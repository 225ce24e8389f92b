package smtpd

import (
	"context"
	"crypto/tls"
	"net/netip"
	"time"
)

// Inbound takes mail from strangers' servers, as the return path does. A Server that has
// one asks nobody to log in, and gives messages to it instead of to an Accepter.
type Inbound interface {
	// Recipient reports whether mail for an address is taken, by a waypost.Error if not.
	// others are the recipients that the message has already.
	Recipient(ctx context.Context, address string, others []string) error
	// Begin reports at DATA, before the content is sent, whether a message is taken as far
	// as its envelope tells, by a waypost.Error if not.
	Begin(ctx context.Context, m Received) error
	// Receive takes a message. It returns when the message is safe, or with the reason
	// why it was not taken.
	Receive(ctx context.Context, m Received) error
}

// Received is a message as it arrived.
type Received struct {
	Peer       netip.Addr // the zero Addr if unknown
	Hello      string     // what the peer calls itself
	MailFrom   string     // "" for the null sender
	Recipients []string
	TLS        string // version and cipher suite, "" without
	Protocol   string // "with" of the Received field
	Data       []byte // dots unstuffed, line ends clean
	At         time.Time
}

// received is the message under way with its content, if that has come.
func (s *session) received(content []byte) Received {
	return Received{
		Peer: s.peer, Hello: s.hello, MailFrom: s.mail.from, Recipients: s.mail.recipients, TLS: s.cipher(),
		Protocol: s.protocol(), Data: content, At: time.Now(),
	}
}

// begin reports whether the content of a message is wanted. If not it answers, and the
// transaction is over: so it is after the other refusals of a whole message, and not all
// clients send RSET.
func (s *session) begin() bool {
	in := s.srv.opts.Inbound
	if in == nil {
		return true
	}
	err := in.Begin(s.ctx, s.received(nil))
	if err == nil {
		return true
	}
	s.mail = nil
	s.replyError(err, inboundReplyFor(err))
	return false
}

// deliver hands a message of a stranger over and queues the good answer.
func (s *session) deliver(content []byte) error {
	if err := s.srv.opts.Inbound.Receive(s.ctx, s.received(content)); err != nil {
		return err
	}
	s.reply(250, "2.0.0", "Received")
	return nil
}

func (s *session) cipher() string {
	conn, ok := s.conn.(*tls.Conn)
	if !ok {
		return ""
	}
	state := conn.ConnectionState()
	return tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite)
}
