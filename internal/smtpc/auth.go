package smtpc

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/wneessen/go-mail/smtp"

	"github.com/waypost/waypost/internal/waypost"
)

// Auth logs in (RFC 4954). It picks, of what the server offers, PLAIN, LOGIN or
// CRAM-MD5 inside TLS, and CRAM-MD5 first without: whether a password may leave
// in plaintext at all is the caller's decision. A refusal is final, because a second
// try with the same password brings an account closer to being locked; only a
// server that does not know the mechanism it offered (504) is asked for the next.
// Neither errors nor Steps hold the password, in clear or encoded, even if
// the server repeats it.
func (s *Session) Auth(ctx context.Context, username, password string) error {
	defer s.watch(ctx)()
	if username == "" || password == "" || strings.ContainsRune(username+password, 0) {
		return &Error{Phase: waypost.PhaseAuth, Err: ErrCredentials}
	}
	mechs := s.mechanisms()
	if len(mechs) == 0 {
		return &Error{Phase: waypost.PhaseAuth, Err: ErrNoMechanism}
	}
	s.secrets = hideLogin(username, password)
	var err error
	for _, mech := range mechs {
		var reply waypost.Reply
		if reply, err = s.login(ctx, mech, username, password); err != nil {
			return err
		}
		if err = s.want(waypost.PhaseAuth, reply, 2); err == nil || reply.Code != 504 {
			return err
		}
	}
	return err
}

// mechanisms returns what both sides know, in the order to try.
func (s *Session) mechanisms() []string {
	order := []string{"PLAIN", "LOGIN", "CRAM-MD5"}
	if s.tls == nil {
		order = []string{"CRAM-MD5", "PLAIN", "LOGIN"}
	}
	return slices.DeleteFunc(order, func(mech string) bool { return !slices.Contains(s.ext.Auth, mech) })
}

// login runs one mechanism to its final reply, which is not a 3yz.
func (s *Session) login(ctx context.Context, mech, username, password string) (waypost.Reply, error) {
	var auth smtp.Auth
	switch mech {
	case "PLAIN":
		auth = smtp.PlainAuth("", username, password, "", true)
	case "LOGIN":
		auth = smtp.LoginAuth(username, password, "", true)
	default:
		auth = smtp.CRAMMD5Auth(username, password)
	}
	_, initial, err := auth.Start(&smtp.ServerInfo{TLS: s.tls != nil, Auth: s.ext.Auth})
	if err != nil {
		return waypost.Reply{}, &Error{Phase: waypost.PhaseAuth, Err: ErrChallenge}
	}
	wire, shown := "AUTH "+mech, "AUTH "+mech
	if initial != nil {
		wire += " " + base64.StdEncoding.EncodeToString(initial)
		shown += " " + hidden
	}
	for {
		reply, err := s.exchange(ctx, waypost.PhaseAuth, append(append(s.cmd[:0], wire...), "\r\n"...), shown, s.opts.Timeouts.Auth)
		clear(s.cmd)
		if err != nil || reply.Code/100 != 3 {
			return reply, err
		}
		answer, err := respond(auth, reply.Text)
		if err != nil {
			// "*" cancels the exchange (RFC 4954 section 4); its reply is a 501.
			if _, err := s.command(ctx, waypost.PhaseAuth, "*", s.opts.Timeouts.Auth); err != nil {
				return waypost.Reply{}, err
			}
			return waypost.Reply{}, &Error{Phase: waypost.PhaseAuth, Reply: reply, Err: ErrChallenge}
		}
		wire, shown = answer, hidden
		s.secrets = append(s.secrets, answer)
	}
}

// respond answers one challenge. The library's error may quote the challenge, and
// a challenge may quote the password, so its text goes no further.
func respond(auth smtp.Auth, challenge string) (string, error) {
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(challenge))
	if err != nil {
		// Some servers ask "334 Username:" in clear; LOGIN does not look at it.
		decoded = []byte(challenge)
	}
	answer, err := auth.Next(decoded, true)
	if err != nil {
		return "", ErrChallenge
	}
	return base64.StdEncoding.EncodeToString(answer), nil
}

// hidden stands where a secret was.
const hidden = "***"

// secrets are texts that nobody may see.
type secrets []string

// hideLogin lists the forms in which a peer could repeat a password to us.
func hideLogin(username, password string) secrets {
	encode := base64.RawStdEncoding.EncodeToString // a prefix of the padded form
	return secrets{
		encode([]byte("\x00" + username + "\x00" + password)),
		encode([]byte(password)),
		password,
	}
}

func (h secrets) redact(text string) string {
	for _, secret := range h {
		if strings.Contains(text, secret) {
			text = strings.ReplaceAll(text, secret, hidden)
		}
	}
	return text
}

// trim shortens a text that was cut, whose end may be the beginning of a secret.
func (h secrets) trim(text string) string {
	longest := 0
	for _, secret := range h {
		longest = max(longest, len(secret))
	}
	return text[:max(0, len(text)-longest)]
}
