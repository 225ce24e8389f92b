package smtpd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// errGaveUp ends the reading of a message that goes on far beyond the limit.
var errGaveUp = errors.New("rest of a message over the limit not read")

// Results of a message, for Metrics.
const (
	messageAccepted = "accepted"
	messageRefused  = "refused"
	messageDeferred = "deferred"
	messageAborted  = "aborted"
)

// receive is DATA from the 354 to the reply to the final dot.
func (s *session) receive() {
	m := newMessage(s.srv.opts.MaxMessageSize, s.srv.budget, s.srv.chunks)
	if m == nil {
		s.reply(452, "4.3.1", "Too much mail at once, try again later")
		return
	}
	defer m.close()
	if !s.setBusy(true) {
		return // the server is stopping, and the loop says so
	}
	defer s.setBusy(false)

	s.reply(354, "", "End with a dot on a line of its own")
	if s.out.Flush() != nil {
		s.ending = true
		return
	}
	result := messageAborted // also if Accept panics
	defer func() { s.srv.opts.Metrics.Message(result, m.wire) }()

	if err := s.readMessage(m); err != nil {
		s.ending = true
		if refusal := m.refusal(); refusal != nil && (errors.Is(err, errGaveUp) || errors.Is(err, os.ErrDeadlineExceeded)) {
			result = s.answer(refusal)
			return
		}
		s.farewell(err)
		return
	}
	content, err := m.bytes()
	if err == nil && s.srv.opts.Inbound != nil {
		err = s.deliver(content)
	} else if err == nil {
		err = s.accept(content)
	}
	s.mail = nil // also after a refusal (RFC 5321 section 4.1.1.4)
	if err != nil {
		result = s.answer(err)
		return
	}
	s.bad, s.commands, s.idle = 0, 0, time.Now()
	result = messageAccepted
}

// readMessage fills m up to its end. However the client spaces its octets, it is
// over after Timeouts.Data and a second for each KiB.
func (s *session) readMessage(m *message) error {
	t := &s.srv.opts.Timeouts
	begun := time.Now()
	var discardBy time.Time
	for {
		now := time.Now()
		deadline := begun.Add(t.Data + time.Duration(m.wire/minDataRate)*time.Second)
		if idle := now.Add(t.DataIdle); idle.Before(deadline) {
			deadline = idle
		}
		if m.tooLarge { // otherwise it ends within the limit, and the client gets to read why
			if m.wire >= s.srv.opts.DiscardLimit {
				return errGaveUp
			}
			if discardBy.IsZero() {
				discardBy = now.Add(t.Discard)
			}
			if discardBy.Before(deadline) {
				deadline = discardBy
			}
		}
		if err := s.setReadDeadline(deadline); err != nil {
			return err
		}
		n, err := s.in.read(m.space())
		rest, done := m.received(n)
		if done {
			s.in.unread(rest)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// accept hands the message over and queues the good answer.
func (s *session) accept(content []byte) error {
	receipt, err := s.srv.opts.Accepter.Accept(s.ctx, waypost.Submission{
		Principal:  s.principal,
		Source:     "smtp",
		Peer:       s.name,
		HelloName:  s.hello,
		Protocol:   s.protocol(),
		MailFrom:   s.mail.from,
		Recipients: s.mail.recipients,
		Message:    content,
		Clean:      true,
	})
	if err != nil {
		return err
	}
	s.log.DebugContext(s.ctx, "message accepted", "peer", s.name, "msg", receipt.ID, "size", len(content))
	s.reply(250, "2.0.0", "Accepted as "+safeText(receipt.ID)+suppressed(receipt))
	return nil
}

// answer queues the reply to a message that is not accepted and returns its result.
func (s *session) answer(err error) string {
	r := replyFor(err)
	if s.srv.opts.Inbound != nil {
		r = inboundReplyFor(err)
	}
	s.log.DebugContext(s.ctx, "message refused", "peer", s.name, "code", r.code, "enhanced", r.enhanced)
	s.replyError(err, r)
	if r.code >= 500 {
		return messageRefused
	}
	return messageDeferred
}

// protocol is the "with" of the Received field (RFC 3848, RFC 6531 section 4.3).
func (s *session) protocol() string {
	if !s.extended {
		return "SMTP"
	}
	name := "ESMTP"
	if s.mail.utf8 {
		name = "UTF8SMTP"
	}
	if s.tls {
		name += "S"
	}
	if s.loggedIn {
		name += "A"
	}
	return name
}

// suppressed says how many recipients the mail does not go to, "" if it goes to all: who
// keeps the reply in a log sees it there.
func suppressed(r waypost.Receipt) string {
	n, reason := 0, ""
	for _, d := range r.Deliveries {
		if d.Status == waypost.Suppressed {
			reason, _, _ = strings.Cut(d.Reason, ":")
			n++
		}
	}
	switch {
	case n == 0:
		return ""
	case len(r.Deliveries) == 1:
		return "; recipient is suppressed (" + safeText(reason) + ")"
	}
	return fmt.Sprintf("; %d of %d recipients are suppressed", n, len(r.Deliveries))
}
