package smtpd

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// command carries out one command line.
func (s *session) command(line []byte) {
	verb, arg, _ := bytes.Cut(line, []byte{' '})
	verb = bytes.ToUpper(bytes.TrimRight(verb, "\t"))
	arg = bytes.TrimRight(arg, " \t") // tolerated (RFC 5321 section 4.1.1)
	if !s.known {
		if s.commands++; s.commands > maxAnonymous {
			text := "Too many commands without a login"
			if s.srv.opts.Inbound != nil {
				text = "Too many commands without a message"
			}
			s.end(421, "4.7.0", text)
			return
		}
	}
	switch v := string(verb); v {
	case "MAIL", "RCPT":
		switch {
		case len(line)+2 > maxLine:
			s.refuse(500, "5.5.2", "Line too long")
		case v == "MAIL":
			s.mailFrom(string(arg))
		default:
			s.rcptTo(string(arg))
		}
	case "GET", "HEAD", "POST", "PUT", "OPTIONS", "CONNECT", "PRI":
		// A browser that was talked into sending mail from inside the network.
		s.end(421, "4.7.0", "This is not an HTTP server")
	default:
		switch {
		case v != "AUTH" && len(line)+2 > maxLine:
			s.refuse(500, "5.5.2", "Line too long")
		case !printable(verb) || !printable(arg):
			s.refuse(500, "5.5.2", "Control character in command")
		case v == "AUTH":
			a := string(arg)
			clear(line) // a password may be in it
			s.auth(a)
		default:
			s.plainCommand(v, string(arg))
		}
	}
}

// plainCommand carries out the commands that have nothing special about their line.
func (s *session) plainCommand(verb, arg string) {
	switch verb {
	case "EHLO":
		s.ehlo(arg)
	case "HELO":
		s.helo(arg)
	case "STARTTLS":
		s.starttls(arg)
	case "DATA":
		s.data(arg)
	case "RSET":
		s.mail = nil
		s.reply(250, "2.0.0", "Reset")
	case "NOOP":
		s.reply(250, "2.0.0", "OK")
	case "VRFY":
		s.reply(252, "2.5.2", "Cannot verify, but will take a message")
	case "HELP":
		login := "AUTH "
		if s.srv.opts.Inbound != nil {
			login = ""
		}
		s.reply(214, "2.0.0", "EHLO HELO STARTTLS "+login+"MAIL RCPT DATA RSET NOOP VRFY QUIT")
	case "QUIT":
		s.end(221, "2.0.0", "Goodbye")
	case "EXPN", "TURN", "ETRN", "BDAT":
		s.refuse(502, "5.5.1", "Command not implemented")
	default:
		s.refuse(500, "5.5.2", "Unknown command")
	}
}

// printable reports whether b has no control character. Octets over 127 are for
// others to judge.
func printable[T string | []byte](b T) bool {
	for i := range len(b) {
		if b[i] < 0x20 || b[i] == 0x7f {
			return false
		}
	}
	return true
}

func (s *session) helo(arg string) {
	if s.sayHello(arg, false) {
		s.reply(250, "", s.srv.opts.Hostname)
	}
}

func (s *session) ehlo(arg string) {
	if !s.sayHello(arg, true) {
		return
	}
	lines := make([]string, 0, 8)
	lines = append(lines, s.srv.opts.Hostname, "PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES",
		"SIZE "+strconv.FormatInt(s.srv.opts.MaxMessageSize, 10))
	if s.srv.opts.TLS != nil && !s.tls {
		lines = append(lines, "STARTTLS")
	}
	if s.mayLogIn() {
		lines = append(lines, "AUTH PLAIN LOGIN")
	}
	for i, line := range lines {
		sep := byte('-')
		if i == len(lines)-1 {
			sep = ' '
		}
		_, _ = s.out.WriteString("250" + string(sep) + line + "\r\n")
	}
}

// sayHello takes the name a client gives itself; it also ends a transaction (RFC
// 5321 section 4.1.4).
func (s *session) sayHello(name string, extended bool) bool {
	name = strings.TrimSpace(name)
	if name == "" {
		s.refuse(501, "5.5.4", "Say who you are")
		return false
	}
	s.hello, s.extended, s.mail = cleanHello(name), extended, nil
	return true
}

// cleanHello makes the name fit for a Received field. Names that are no domain are
// taken: Windows sends computer names of any sort.
func cleanHello(name string) string {
	name = name[:min(len(name), 255)]
	b := []byte(name)
	for i, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(".-_:[]", c) >= 0:
		default:
			b[i] = '?'
		}
	}
	return string(b)
}

// starttls is RFC 3207.
func (s *session) starttls(arg string) {
	switch {
	case s.tls:
		s.refuse(503, "5.5.1", "TLS is on already")
		return
	case s.srv.opts.TLS == nil:
		s.refuse(502, "5.5.1", "TLS is not available")
		return
	case arg != "":
		s.refuse(501, "5.5.4", "STARTTLS has no parameters")
		return
	case s.in.buffered() > 0:
		// What was sent behind the command came in the clear, perhaps from someone in
		// between, and must not be taken for a command inside of TLS.
		s.end(503, "5.5.1", "Nothing may follow STARTTLS before its reply")
		return
	}
	s.reply(220, "2.0.0", "Ready for TLS")
	if s.out.Flush() != nil || s.startTLS() != nil {
		s.ending = true
		return
	}
	// Back to the initial state (section 4.2).
	s.hello, s.extended, s.mail = "", false, nil
	s.loggedIn, s.known, s.principal = false, false, waypost.Principal{}
}

func (s *session) mailFrom(arg string) {
	switch {
	case s.hello == "":
		s.refuse(503, "5.5.1", "Send EHLO first")
		return
	case s.mail != nil:
		s.refuse(503, "5.5.1", "A transaction is under way")
		return
	}
	path, params, ok := cutPath(arg, "FROM:")
	switch {
	case !printable(arg):
		s.reply(553, "5.1.7", "Control character in address")
		return
	case !ok:
		s.refuse(501, "5.5.4", "Use MAIL FROM:<address>")
		return
	}
	p, bad := parseMailParams(params)
	if bad.code != 0 {
		s.refuse(bad.code, bad.enhanced, bad.text)
		return
	}
	if !s.identify() {
		return
	}
	if p.size > s.srv.opts.MaxMessageSize { // RFC 1870 section 6.1
		s.reply(552, "5.3.4", "Message size exceeds the limit of "+strconv.FormatInt(s.srv.opts.MaxMessageSize, 10)+" bytes")
		return
	}
	if path != "" { // "<>" is the null sender
		if r := checkPath(path, p.utf8, "5.1.7"); r.code != 0 {
			s.reply(r.code, r.enhanced, r.text)
			return
		}
	}
	s.mail = &transaction{from: path, utf8: p.utf8}
	s.reply(250, "2.1.0", "Sender OK")
}

// identify makes sure that it is known who sends, and that they may now.
func (s *session) identify() bool {
	if s.srv.opts.Inbound != nil {
		return true // and it stays a stranger, whose time and commands are limited
	}
	if !s.loggedIn {
		p, ok, err := s.srv.opts.Authenticator.Network(s.ctx, s.peer)
		if err != nil {
			s.replyError(err, replyFor(err))
			return false
		}
		if !ok {
			text := "Authentication required"
			if !s.mayLogIn() {
				text = "Must issue a STARTTLS command first"
			}
			s.refuse(530, "5.7.0", text)
			return false
		}
		s.principal, s.known = p, true
	}
	err := s.srv.opts.Limiter.Allow(s.ctx, s.principal)
	if err == nil {
		return true
	}
	if waypost.KindOf(err) == waypost.Unauthenticated {
		s.loggedIn, s.known, s.principal = false, false, waypost.Principal{}
	}
	s.replyError(err, replyFor(err))
	return false
}

func (s *session) rcptTo(arg string) {
	if s.mail == nil {
		s.refuse(503, "5.5.1", "Send MAIL first")
		return
	}
	path, params, ok := cutPath(arg, "TO:")
	switch {
	case !printable(arg):
		s.reply(553, "5.1.3", "Control character in address")
		return
	case !ok:
		s.refuse(501, "5.5.4", "Use RCPT TO:<address>")
		return
	case params != "":
		s.refuse(555, "5.5.4", "RCPT parameter not recognized")
		return
	case len(s.mail.recipients) >= s.srv.opts.MaxRecipients:
		s.reply(452, "4.5.3", "Too many recipients")
		return
	}
	in := s.srv.opts.Inbound
	if in == nil || !strings.EqualFold(path, "postmaster") { // which has no domain (RFC 5321 section 4.5.1)
		if r := checkPath(path, s.mail.utf8, "5.1.3"); r.code != 0 {
			s.reply(r.code, r.enhanced, r.text)
			return
		}
	}
	if in != nil {
		if err := in.Recipient(s.ctx, path, s.mail.recipients); err != nil {
			s.refuseRecipient(err)
			return
		}
		s.commands-- // they have a limit of their own
	}
	s.mail.recipients = append(s.mail.recipients, path)
	s.reply(250, "2.1.5", "Recipient OK")
}

// refuseRecipient answers a stranger whose recipient is not taken. Guessing addresses comes
// to an end; what blames the moment is not its fault.
func (s *session) refuseRecipient(err error) {
	r := inboundReplyFor(err)
	if r.code >= 500 {
		if s.bad++; s.bad >= maxBadCommands {
			s.end(421, "4.7.0", "Too many errors")
			return
		}
	}
	s.replyError(err, r)
}

func (s *session) data(arg string) {
	switch {
	case arg != "":
		s.refuse(501, "5.5.4", "DATA has no parameters")
		return
	case s.mail == nil:
		s.refuse(503, "5.5.1", "Send MAIL first")
		return
	case len(s.mail.recipients) == 0:
		// All were refused, or none was sent; a pipelining client learns it here
		// (RFC 2920 section 3.1).
		s.refuse(554, "5.5.1", "No valid recipients")
		return
	}
	if s.begin() {
		s.receive()
	}
}
