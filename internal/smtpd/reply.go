package smtpd

import (
	"context"
	"errors"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// reply is one SMTP reply; LF separates the lines of its text. The enhanced code (RFC 3463) is empty where
// RFC 2034 section 4 forbids it: in the greeting, after HELO and EHLO, and in 3yz.
type reply struct {
	code     int
	enhanced string
	text     string
}

// maxReplyText keeps a reply line within 512 octets (RFC 5321 section 4.5.3.1.5).
const maxReplyText = 400

// replyFor says in SMTP what an error means. It is the only place that does. What
// blames the moment is 4yz whatever the error's own code claims: a client that is
// throttled must not take its mail for refused. An Internal error tells nothing.
func replyFor(err error) reply {
	e := waypost.AsError(err)
	if e.Kind == waypost.Internal && errors.Is(err, context.Canceled) {
		e = waypost.NewError(waypost.Unavailable, "", "Shutting down, try again later")
	}
	r := reply{text: safeText(e.Message)}
	switch e.Kind {
	case waypost.Invalid, waypost.Conflict:
		r.code, r.enhanced = 554, "5.6.0"
	case waypost.Unauthenticated:
		r.code, r.enhanced = 535, "5.7.8"
	case waypost.Forbidden, waypost.NotFound:
		r.code, r.enhanced = 550, "5.7.1"
	case waypost.TooLarge:
		r.code, r.enhanced = 552, "5.3.4"
	case waypost.RateLimited:
		r.code, r.enhanced = 451, "4.7.1"
	case waypost.NoGateway:
		r.code, r.enhanced = 451, "4.3.5"
	case waypost.StorageFull:
		r.code, r.enhanced = 452, "4.3.1"
	case waypost.Unavailable:
		r.code, r.enhanced = 421, "4.3.2"
	case waypost.Internal:
		fallthrough
	default:
		return reply{451, "4.3.0", "Internal error, try again later"}
	}
	if validEnhanced(e.SMTP) && e.SMTP[0] == r.enhanced[0] {
		r.enhanced = e.SMTP
		if e.Kind == waypost.Invalid {
			r.code = invalidCode(e.SMTP)
		}
	}
	if r.text == "" {
		r.text = "Refused"
	}
	return r
}

// inboundReplyFor is replyFor for a stranger's message. What is refused may be explained in
// several lines. Its limits are our
// policy and no error of ours, which 451 would say (RFC 5321 section 4.3.2); one on
// recipients makes the client bring the others in a transaction of their own (section
// 4.5.3.1.10).
func inboundReplyFor(err error) reply {
	r := replyFor(err)
	if e := waypost.AsError(err); e.Kind == waypost.Forbidden {
		r.text = safeLines(e.Message)
	}
	if waypost.KindOf(err) == waypost.RateLimited {
		r.code = 450
		if r.enhanced == "4.5.3" {
			r.code = 452
		}
	}
	return r
}

// loginReplyFor narrows replyFor to what AUTH may answer (RFC 4954 section 6), so
// that a refusal does not tell which half of the login was right.
func loginReplyFor(err error) reply {
	r := replyFor(err)
	if r.code >= 500 {
		return reply{535, "5.7.8", "Authentication credentials invalid"}
	}
	return reply{454, "4.7.0", "Temporary authentication failure, try again later"}
}

// invalidCode is the reply code that goes with an enhanced code of class 5: 550
// where the mailbox or policy is meant, 554 otherwise.
func invalidCode(enhanced string) int {
	if strings.HasPrefix(enhanced, "5.1.") || strings.HasPrefix(enhanced, "5.7.") || enhanced == "5.6.11" {
		return 550
	}
	return 554
}

// validEnhanced checks the form "class.subject.detail" of RFC 3463 section 2.
func validEnhanced(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || (parts[0] != "4" && parts[0] != "5") {
		return false
	}
	for _, p := range parts[1:] {
		if len(p) < 1 || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// maxReplyLines bounds a reply of several lines.
const maxReplyLines = 10

// safeLines is safeText for each line of a text.
func safeLines(s string) string {
	lines := strings.Split(s, "\n")
	lines = lines[:min(len(lines), maxReplyLines)]
	for i := range lines {
		lines[i] = safeText(strings.TrimSuffix(lines[i], "\r"))
	}
	return strings.Join(lines, "\n")
}

// safeText makes text fit for a reply line: printable ASCII, bounded.
func safeText(s string) string {
	if len(s) > maxReplyText {
		s = s[:maxReplyText]
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}
