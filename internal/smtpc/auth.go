package smtpc

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

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
	for asked := 0; ; asked++ {
		reply, err := s.exchange(ctx, waypost.PhaseAuth, append(append(s.cmd[:0], wire...), "\r\n"...), shown, s.opts.Timeouts.Auth)
		clear(s.cmd)
		if err != nil || reply.Code/100 != 3 {
			return reply, err
		}
		if asked == maxChallenges {
			return waypost.Reply{}, s.cancelLogin(ctx, reply)
		}
		answer, err := respond(auth, reply.Text)
		if err != nil {
			return waypost.Reply{}, s.cancelLogin(ctx, reply)
		}
		wire, shown = answer, hidden
		s.secrets = append(s.secrets, answer)
	}
}

// maxChallenges bounds what a server may ask in one login. LOGIN asks twice, CRAM-MD5
// once and PLAIN never; the library would answer for ever.
const maxChallenges = 3

// cancelLogin gives a login up: "*" cancels it, and the answer to that is a 501 (RFC
// 4954 section 4). A server that goes on even then has lost its place, and the session
// with it.
func (s *Session) cancelLogin(ctx context.Context, challenge waypost.Reply) error {
	reply, err := s.command(ctx, waypost.PhaseAuth, "*", s.opts.Timeouts.Auth)
	if err != nil {
		return err
	}
	if reply.Code < 400 || reply.Code == 421 {
		s.drop()
	}
	return &Error{Phase: waypost.PhaseAuth, Reply: challenge, Err: ErrChallenge}
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

// secrets are texts that nobody may see, squeezed.
type secrets []string

// hideLogin lists the forms in which a peer could repeat a password to us.
func hideLogin(username, password string) secrets {
	encode := base64.RawStdEncoding.EncodeToString // a prefix of the padded form
	hide := secrets{
		encode([]byte("\x00" + username + "\x00" + password)),
		encode([]byte(password)),
	}
	if seen := squeeze(password); seen != "" {
		hide = append(hide, seen)
	}
	return hide
}

// squeeze leaves of a text what is seen of it. A peer that repeats a secret may break
// its line, or put between its letters what Printable takes out again.
func squeeze(text string) string {
	return strings.Map(func(r rune) rune {
		if !seen(r) {
			return -1
		}
		return r
	}, text)
}

// seen reports whether a rune leaves a mark where text is shown. One that stands for
// bytes that are not UTF-8 does not: Printable drops those.
func seen(r rune) bool {
	if r > ' ' && r < 0x7f {
		return true
	}
	return r != utf8.RuneError && !unicode.IsSpace(r) && !unprintable(r)
}

// redact hides what is a secret, however it is spaced and broken into lines.
func (h secrets) redact(text string) string {
	if len(h) == 0 {
		return text
	}
	squeezed := squeeze(text)
	if !slices.ContainsFunc(h, func(secret string) bool { return strings.Contains(squeezed, secret) }) {
		return text
	}
	at := make([]int, 0, len(squeezed)) // where each byte of it stands in text
	for i, r := range text {
		if seen(r) {
			for n := range utf8.RuneLen(r) {
				at = append(at, i+n)
			}
		}
	}
	secret := make([]bool, len(text)+1) // which bytes belong to one
	for _, s := range h {
		for from := 0; ; from++ {
			n := strings.Index(squeezed[from:], s)
			if n < 0 {
				break
			}
			from += n
			for i := at[from]; i <= at[from+len(s)-1]; i++ {
				secret[i] = true
			}
		}
	}
	var b strings.Builder
	for i := range len(text) {
		switch {
		case !secret[i]:
			b.WriteByte(text[i])
		case !secret[i+1]:
			b.WriteString(hidden)
		}
	}
	return b.String()
}

// trim shortens a text that was cut, whose end may be the beginning of a secret.
func (h secrets) trim(text string) string {
	longest := 0
	for _, secret := range h {
		longest = max(longest, len(secret))
	}
	for longest > 0 && text != "" {
		r, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
		if seen(r) {
			longest -= size
		}
	}
	return text
}
