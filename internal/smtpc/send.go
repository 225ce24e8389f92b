package smtpc

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/waypost/waypost/internal/waypost"
)

// Mail is one transaction.
type Mail struct {
	From       string   // envelope sender, "" for the null reverse-path
	Recipients []string // envelope recipients, at least one

	// EightBit declares bytes above 127 in the message: BODY=8BITMIME where that is
	// offered. Where it is not, the message goes out as it is, because re-encoding
	// it would break signatures and every server of this century takes it.
	EightBit bool
	// SMTPUTF8 declares that the header block needs RFC 6531. Addresses are looked at anyway.
	SMTPUTF8 bool

	// Message is the mail in pieces (header fields, body), lines ended by CRLF, not
	// dot-stuffed, with no bare CR or LF and no NUL. It is only read.
	Message [][]byte

	// BeforeDot, if not nil, is asked just before the bytes that end with the final
	// dot are written, and again while the peer does not take them. With an error
	// the connection is dropped without the dot: nobody has the mail, for certain.
	BeforeDot func() error
	// AfterDot governs the wait from BeforeDot on; nil: the context of Send. With a
	// longer one, ending the context of Send lets go of sessions before the dot only.
	AfterDot context.Context
}

// Result is what the peer said to one Mail.
type Result struct {
	Recipients []Recipient   // as in Mail.Recipients
	Mail       waypost.Reply // to MAIL
	Data       waypost.Reply // to DATA
	Dot        waypost.Reply // to the final dot
	Dotted     bool          // the final dot was handed to the kernel
	Size       int64         // bytes of the message as declared
}

// Recipient is the outcome for one recipient: the reply that settled it, and the
// phase it belongs to. If Send returned an error and the recipient had no refusal of
// its own, they are the error's.
type Recipient struct {
	Address string
	Reply   waypost.Reply
	Phase   waypost.Phase
	Local   bool // Reply is ours, made without asking the peer
}

// Delivered reports whether the peer took responsibility for this recipient.
func (r Recipient) Delivered() bool {
	return r.Phase == waypost.PhaseDot && r.Reply.Code/100 == 2
}

// open reports whether the recipient still takes part in the transaction.
func (r Recipient) open() bool {
	return !r.Local && (r.Phase == "" || (r.Phase == waypost.PhaseRcpt && r.Reply.Positive()))
}

// rcptGroup is how many recipients go into one write. The replies to them must
// fit into the socket buffers, or both sides wait for each other (RFC 2920
// section 3.1).
const rcptGroup = 100

// Send carries out one transaction. Without an error every recipient has the
// reply that settled it. With an *Error the session is over; Result says how far it got.
func (s *Session) Send(ctx context.Context, m Mail) (Result, error) {
	t := transaction{s: s, ctx: ctx, mail: &m}
	t.res.Recipients = make([]Recipient, len(m.Recipients))
	for i, addr := range m.Recipients {
		t.res.Recipients[i].Address = addr
	}
	if !s.Usable() {
		err := &Error{Phase: waypost.PhaseMail, Err: ErrUnusable, Stale: s.begun > 0}
		t.settle(err.Phase, err.Reply)
		return t.res, err
	}
	if t.refuse(); t.open() == 0 {
		return t.res, nil
	}
	t.stop = s.watch(ctx)
	defer func() { t.stop() }()
	err := t.envelope()
	s.begun++
	if err == nil && t.res.Data.Code/100 == 3 {
		err = t.message()
	}
	if err != nil {
		t.settle(err.Phase, err.Reply)
		return t.res, err
	}
	return t.res, nil
}

// transaction is the state of one Send.
type transaction struct {
	s    *Session
	ctx  context.Context // lives as long as the call it was given to
	mail *Mail
	res  Result
	form form
	utf8 bool // the SMTPUTF8 parameter is needed
	pace pace // of the message
	stop func()
}

// open counts the recipients that still take part.
func (t *transaction) open() int {
	n := 0
	for i := range t.res.Recipients {
		if t.res.Recipients[i].open() {
			n++
		}
	}
	return n
}

// settle gives all recipients that still take part the same end.
func (t *transaction) settle(phase waypost.Phase, reply waypost.Reply) {
	for i := range t.res.Recipients {
		if r := &t.res.Recipients[i]; r.open() {
			r.Phase, r.Reply = phase, reply
		}
	}
}

// refuse settles what needs no peer to fail. The codes are those a server would
// have used.
func (t *transaction) refuse() {
	s, m := t.s, t.mail
	local := func(phase waypost.Phase, only func(string) bool, code int, enhanced, text string) {
		for i := range t.res.Recipients {
			if r := &t.res.Recipients[i]; r.open() && (only == nil || only(r.Address)) {
				r.Phase, r.Local = phase, true
				r.Reply = waypost.Reply{Code: code, Enhanced: enhanced, Text: text}
			}
		}
	}
	t.form = survey(m.Message)
	t.res.Size = t.form.size
	if t.form.bare {
		local(waypost.PhaseMail, nil, 550, "5.6.11", "message has a bare CR, bare LF or NUL and was not sent")
	}
	if m.From != "" && !sendable(m.From) {
		local(waypost.PhaseMail, nil, 553, "5.1.7", "sender address cannot be sent")
	}
	if s.ext.MaxSize > 0 && t.form.size > s.ext.MaxSize { // RFC 1870 section 6.1
		local(waypost.PhaseMail, nil, 552, "5.3.4",
			fmt.Sprintf("message of %d bytes is over the server's limit of %d", t.form.size, s.ext.MaxSize))
	}
	local(waypost.PhaseRcpt, func(addr string) bool { return !sendable(addr) }, 553, "5.1.3", "recipient address cannot be sent")

	whole := m.SMTPUTF8 || waypost.NeedsSMTPUTF8(m.From)
	t.utf8 = whole
	for _, addr := range m.Recipients {
		t.utf8 = t.utf8 || waypost.NeedsSMTPUTF8(addr)
	}
	if !t.utf8 || s.ext.SMTPUTF8 {
		return
	}
	t.utf8 = false
	const text = "address or header needs SMTPUTF8, which the server does not offer"
	if whole {
		local(waypost.PhaseMail, nil, 550, "5.6.7", text)
	} else {
		local(waypost.PhaseRcpt, waypost.NeedsSMTPUTF8, 550, "5.6.7", text)
	}
}

// sendable reports whether addr can stand between angle brackets without
// becoming something else: no way out of the brackets, no second line.
func sendable(addr string) bool {
	if addr == "" {
		return false
	}
	quoted := addr[0] == '"'
	for i := range len(addr) {
		switch c := addr[i]; {
		case c < ' ', c == 0x7f, c == '<', c == '>', c == ' ' && !quoted:
			return false
		}
	}
	return true
}

// appendPath writes addr with a domain in A-labels, which every server knows.
func appendPath(b []byte, addr string) []byte {
	at := strings.LastIndexByte(addr, '@')
	for i := at + 1; i < len(addr); i++ {
		if addr[i] >= 0x80 {
			if domain, err := idna.Lookup.ToASCII(addr[at+1:]); err == nil {
				addr = addr[:at+1] + domain
			}
			break
		}
	}
	return append(append(append(b, '<'), addr...), '>')
}

func (t *transaction) appendMail(b []byte) []byte {
	ext := &t.s.ext
	b = appendPath(append(b, "MAIL FROM:"...), t.mail.From)
	if ext.Size {
		b = strconv.AppendInt(append(b, " SIZE="...), t.form.size, 10)
	}
	if ext.EightBitMIME && t.mail.EightBit {
		b = append(b, " BODY=8BITMIME"...)
	}
	if t.utf8 {
		b = append(b, " SMTPUTF8"...)
	}
	return append(b, "\r\n"...)
}

func appendRcpt(b []byte, addr string) []byte {
	return append(appendPath(append(b, "RCPT TO:"...), addr), "\r\n"...)
}

// envelope says MAIL, RCPT and DATA and settles who is refused. When it returns
// nil and res.Data is a 354, the peer waits for the message.
func (t *transaction) envelope() *Error {
	if t.s.ext.Pipelining {
		return t.pipelined()
	}
	return t.lockstep()
}

// pipelined sends the envelope in one write, or one per rcptGroup, and reads the
// replies in order (RFC 2920). A transaction left over is reset in the same write.
func (t *transaction) pipelined() *Error {
	s, limits := t.s, &t.s.opts.Timeouts
	b := s.cmd[:0]
	reset := s.dirty
	if reset {
		b = append(b, "RSET\r\n"...)
	}
	b = t.appendMail(b)
	first := true
	for next := 0; next < len(t.res.Recipients); {
		from := next
		for n := 0; next < len(t.res.Recipients) && n < rcptGroup; next++ {
			if r := &t.res.Recipients[next]; r.open() {
				b = appendRcpt(b, r.Address)
				n++
			}
		}
		last := next == len(t.res.Recipients)
		if last {
			b = append(b, "DATA\r\n"...)
		}
		started := s.now()
		s.cmd = b
		if err := s.write(t.ctx, within(limits.Mail), b); err != nil {
			return t.failed(waypost.PhaseMail, s.lastWords(t.ctx), err)
		}
		if first {
			first = false
			if reset {
				if err := t.reset(started); err != nil {
					return err
				}
			}
			if err := t.mailReply(started); err != nil {
				return err
			}
		}
		refused := !t.res.Mail.Positive()
		for i := from; i < next; i++ {
			// After a refused MAIL the replies to RCPT say nothing new but must be read.
			if r := &t.res.Recipients[i]; r.open() {
				if err := t.rcptReply(r, started); err != nil {
					return err
				}
			}
		}
		if last {
			if err := t.dataReply(started); err != nil {
				return err
			}
		} else if refused {
			break
		}
		b = s.cmd[:0]
	}
	if !t.res.Mail.Positive() {
		t.settle(waypost.PhaseMail, t.res.Mail)
	}
	if t.res.Data.Code/100 == 3 && t.open() == 0 {
		t.lonelyDot()
		return nil
	}
	return t.refusedData()
}

// lockstep waits for each reply before the next command.
func (t *transaction) lockstep() *Error {
	s, limits := t.s, &t.s.opts.Timeouts
	say := func(b []byte, limit time.Duration, phase waypost.Phase) *Error {
		s.cmd = b
		if err := s.write(t.ctx, within(limit), b); err != nil {
			return t.failed(phase, s.lastWords(t.ctx), err)
		}
		return nil
	}
	if s.dirty {
		started := s.now()
		if err := say(append(s.cmd[:0], "RSET\r\n"...), limits.Reset, waypost.PhaseMail); err != nil {
			return err
		}
		if err := t.reset(started); err != nil {
			return err
		}
	}
	started := s.now()
	if err := say(t.appendMail(s.cmd[:0]), limits.Mail, waypost.PhaseMail); err != nil {
		return err
	}
	if err := t.mailReply(started); err != nil {
		return err
	}
	if !t.res.Mail.Positive() {
		t.settle(waypost.PhaseMail, t.res.Mail)
		return nil
	}
	for i := range t.res.Recipients {
		r := &t.res.Recipients[i]
		if !r.open() {
			continue
		}
		started = s.now()
		if err := say(appendRcpt(s.cmd[:0], r.Address), limits.Rcpt, waypost.PhaseRcpt); err != nil {
			return err
		}
		if err := t.rcptReply(r, started); err != nil {
			return err
		}
	}
	if t.open() == 0 {
		return nil // the open transaction is reset by the next mail
	}
	started = s.now()
	if err := say(append(s.cmd[:0], "DATA\r\n"...), limits.Data, waypost.PhaseData); err != nil {
		return err
	}
	if err := t.dataReply(started); err != nil {
		return err
	}
	return t.refusedData()
}

// next reads one reply of the envelope. A 421 says that no other will follow.
func (t *transaction) next(phase waypost.Phase, limit time.Duration, command func() string, started time.Time) (waypost.Reply, *Error) {
	s := t.s
	reply, err := s.readReply(t.ctx, limit)
	if s.opts.Step != nil {
		s.trace(phase, command(), started, reply, err)
	}
	if err != nil {
		return reply, t.failed(phase, waypost.Reply{}, err)
	}
	if reply.Code == 421 {
		return reply, t.failed(phase, reply, nil)
	}
	return reply, nil
}

// failed ends the session. A kept session that dies before it has answered MAIL
// was dead already.
func (t *transaction) failed(phase waypost.Phase, reply waypost.Reply, err error) *Error {
	t.s.drop()
	return &Error{
		Phase: phase, Reply: reply, Err: err,
		Stale: t.s.begun > 0 && t.res.Mail.Code == 0 && t.ctx.Err() == nil,
	}
}

func (t *transaction) reset(started time.Time) *Error {
	reply, err := t.next(waypost.PhaseMail, t.s.opts.Timeouts.Reset, func() string { return "RSET" }, started)
	if err != nil {
		return err
	}
	if reply.Code/100 != 2 {
		return t.failed(waypost.PhaseMail, reply, errors.New("RSET was refused"))
	}
	t.s.dirty = false
	return nil
}

func (t *transaction) mailReply(started time.Time) *Error {
	reply, err := t.next(waypost.PhaseMail, t.s.opts.Timeouts.Mail, func() string {
		return strings.TrimSpace(string(t.appendMail(nil)))
	}, started)
	if err != nil {
		return err
	}
	if reply.Code/100 == 3 {
		return t.failed(waypost.PhaseMail, waypost.Reply{}, ErrProtocol)
	}
	t.res.Mail = reply
	t.s.dirty = reply.Positive()
	return nil
}

func (t *transaction) rcptReply(r *Recipient, started time.Time) *Error {
	reply, err := t.next(waypost.PhaseRcpt, t.s.opts.Timeouts.Rcpt, func() string {
		return strings.TrimSpace(string(appendRcpt(nil, r.Address)))
	}, started)
	if err != nil {
		return err
	}
	if reply.Code/100 == 3 {
		return t.failed(waypost.PhaseRcpt, waypost.Reply{}, ErrProtocol)
	}
	if t.res.Mail.Positive() {
		r.Phase, r.Reply = waypost.PhaseRcpt, reply
	}
	return nil
}

func (t *transaction) dataReply(started time.Time) *Error {
	reply, err := t.next(waypost.PhaseData, t.s.opts.Timeouts.Data, func() string { return "DATA" }, started)
	if err != nil {
		return err
	}
	if reply.Code/100 == 2 {
		return t.failed(waypost.PhaseData, waypost.Reply{}, ErrProtocol)
	}
	t.res.Data = reply
	return nil
}

// refusedData settles recipients that were accepted when DATA was not.
func (t *transaction) refusedData() *Error {
	if reply := t.res.Data; reply.Code >= 400 {
		t.settle(waypost.PhaseData, reply)
	}
	return nil
}

// lonelyDot ends the transaction of a server that wants a message although it
// took no recipient (RFC 2920 section 3.1). Its answer changes nothing.
func (t *transaction) lonelyDot() {
	s := t.s
	s.cmd = append(s.cmd[:0], ".\r\n"...)
	t.res.Data = waypost.Reply{} // nobody waits for the message
	started := s.now()
	var reply waypost.Reply
	err := s.write(t.ctx, within(s.opts.Timeouts.Block), s.cmd)
	if err == nil {
		reply, err = s.readReply(t.ctx, s.opts.Timeouts.Dot)
	}
	s.trace(waypost.PhaseDot, ".", started, reply, err)
	s.dirty = false
	if err != nil || reply.Code == 421 {
		s.drop()
	}
}
