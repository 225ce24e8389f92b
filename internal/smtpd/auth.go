package smtpd

import (
	"encoding/base64"
	"strings"
	"time"
)

// Results of a login, for Metrics.
const (
	loginOK        = "ok"
	loginRefused   = "refused"
	loginThrottled = "throttled"
	loginError     = "error"
)

// mayLogIn reports whether AUTH is offered: never where a password would cross a
// network in the clear (RFC 4954 section 4) unless the owner allowed it there.
func (s *session) mayLogIn() bool {
	return s.srv.opts.Inbound == nil && (s.tls || s.srv.cleartext(s.peer))
}

// auth is RFC 4954 with the mechanisms PLAIN (RFC 4616) and LOGIN.
func (s *session) auth(arg string) {
	switch {
	case s.srv.opts.Inbound != nil:
		s.refuse(502, "5.5.1", "Nobody logs in here")
		return
	case s.hello == "":
		s.refuse(503, "5.5.1", "Send EHLO first")
		return
	case s.loggedIn:
		s.refuse(503, "5.5.1", "Logged in already")
		return
	case s.mail != nil:
		s.refuse(503, "5.5.1", "A transaction is under way")
		return
	case !s.mayLogIn():
		s.refuse(538, "5.7.11", "Must issue a STARTTLS command first")
		return
	}
	var user, password string
	var ok bool
	mechanism, initial, _ := strings.Cut(arg, " ")
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		user, password, ok = s.askPlain(initial)
	case "LOGIN":
		user, password, ok = s.askLogin(initial)
	default:
		s.refuse(504, "5.5.4", "Mechanism not supported")
	}
	if !ok {
		return
	}
	throttled := !s.srv.exempt(s.peer)
	if throttled && s.srv.logins.spent(s.peer, time.Now()) && !s.srv.opts.Authenticator.Recognizes(password) {
		s.srv.opts.Metrics.Login(loginThrottled)
		s.end(421, "4.7.0", "Too many failed logins, try again later")
		return
	}
	p, err := s.srv.opts.Authenticator.Password(s.ctx, s.peer, user, password)
	if err == nil {
		s.srv.opts.Metrics.Login(loginOK)
		s.principal, s.loggedIn, s.known = p, true, true
		s.reply(235, "2.7.0", "Logged in")
		return
	}
	r := loginReplyFor(err)
	if r.code < 500 {
		s.srv.opts.Metrics.Login(loginError)
		s.replyError(err, r)
		return
	}
	if throttled {
		s.srv.logins.failed(s.peer, time.Now())
	}
	s.srv.opts.Metrics.Login(loginRefused)
	// Without the user name: people type the password there.
	s.log.InfoContext(s.ctx, "login refused", "peer", s.name)
	if s.failures++; s.failures >= maxAuthFailures {
		s.end(421, "4.7.0", "Too many failed logins")
		return
	}
	s.replyError(err, r)
}

// askPlain gets the response of PLAIN: authorization identity NUL user NUL password.
// Nobody acts for somebody else here, so the identity is empty or the user.
func (s *session) askPlain(initial string) (user, password string, ok bool) {
	response, ok := s.response("", initial)
	if !ok {
		return "", "", false
	}
	parts := strings.Split(response, "\x00")
	if len(parts) != 3 {
		s.refuse(501, "5.5.2", "Malformed response")
		return "", "", false
	}
	if parts[0] != "" && parts[0] != parts[1] {
		s.refuse(535, "5.7.8", "Cannot act for another user")
		return "", "", false
	}
	return parts[1], parts[2], true
}

// askLogin gets the two responses of LOGIN, which no RFC describes; the user name may come
// as the initial response.
func (s *session) askLogin(initial string) (user, password string, ok bool) {
	if user, ok = s.response("VXNlcm5hbWU6", initial); !ok { // "Username:"
		return "", "", false
	}
	if password, ok = s.response("UGFzc3dvcmQ6", ""); !ok { // "Password:"
		return "", "", false
	}
	return user, password, true
}

// response decodes the initial response, or asks for one with a challenge (in
// base64). When it returns false the client has its answer.
func (s *session) response(challenge, initial string) (string, bool) {
	if initial == "=" { // an empty one (section 4)
		return "", true
	}
	if initial == "" {
		s.reply(334, "", challenge)
		line, err := s.in.line(s.awaitCommand)
		if err != nil {
			s.farewell(err)
			s.ending = true
			return "", false
		}
		if string(line) == "*" {
			s.refuse(501, "5.7.0", "Authentication cancelled")
			return "", false
		}
		initial = string(line)
		clear(line)
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(strings.TrimRight(initial, " "))
	if err != nil {
		s.refuse(501, "5.5.2", "Malformed base64")
		return "", false
	}
	return string(decoded), true
}
