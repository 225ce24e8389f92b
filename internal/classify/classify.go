package classify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"syscall"

	"github.com/waypost/waypost/internal/waypost"
)

// Input is how an attempt ended for one recipient.
type Input struct {
	Phase waypost.Phase     // the phase Reply answers, or in which Err came
	Reply waypost.Reply     // Code 0: none
	Route waypost.RouteKind // relays may refuse us, not the recipient
	Err   error             // nil when Reply says it all
}

// Verdict is what an Input means.
type Verdict struct {
	Outcome waypost.Outcome
	Cause   Cause        // "" when delivered
	Blame   Blame        // "" when delivered
	Rule    string       // the row or rule that decided
	Own     bool         // the row is of the owner's file
	Words   string       // what of the reply's text it went by, "" if by codes alone
	Slow    waypost.Slow // what the reply asks for
	hard    bool         // all codes of the reply say 5
}

// Evidence names the rule that decided, for the record: a row of the owner's file as
// "owner: name", since it may have the name of a built-in one; "" for what was delivered.
func (v Verdict) Evidence() string {
	switch {
	case v.Outcome == waypost.OutcomeDelivered:
		return ""
	case v.Own:
		return "owner: " + v.Rule
	}
	return v.Rule
}

// Suppress reports whether the verdict proves that the address does not work, so
// that further mail to it only does harm.
func (v Verdict) Suppress() bool {
	return v.hard && v.Outcome == waypost.OutcomePermanent && v.Cause == BadMailbox
}

// Classify returns what in means.
func (r *Rules) Classify(in Input) Verdict {
	if in.Reply.Code == 0 {
		return silence(in)
	}
	if in.Phase == waypost.PhaseDot && in.Reply.Code/100 == 2 {
		return Verdict{Outcome: waypost.OutcomeDelivered, Rule: "2yz after the dot"}
	}
	if in.Reply.Code < 400 || in.Reply.Code > 599 {
		return verdict(waypost.OutcomeTemporary, Protocol, "unexpected reply")
	}
	row, words := r.lookUp(in)
	v := verdict(outcome(in, row), row.cause, row.name)
	v.Own, v.Words, v.Slow = row.own, words, row.slow
	// After a mail has waited for days, a final 5yz may report the 4.y.z it waited for
	// (RFC 3464 section 2.3.3).
	v.hard = in.Reply.Permanent() && !strings.HasPrefix(in.Reply.Enhanced, "4")
	if v.Outcome == waypost.OutcomeRouteDown && (v.Blame == BlameRecipient || v.Blame == BlameMessage) {
		// Said where it can only be about us, whatever the words.
		v.Blame = BlameUs
	}
	return v
}

func verdict(outcome waypost.Outcome, cause Cause, rule string) Verdict {
	return Verdict{Outcome: outcome, Cause: cause, Blame: cause.Blame(), Rule: rule}
}

// outcome applies promise 5 of the design to a 4yz or 5yz reply.
func outcome(in Input, r *rule) waypost.Outcome {
	switch {
	case in.Phase == waypost.PhaseAuth:
		// A login that fails will fail for the next mail too, and each one brings the
		// account closer to being locked.
		return waypost.OutcomeRouteDown
	case !in.Reply.Permanent():
		return waypost.OutcomeTemporary
	}
	relay := in.Route == waypost.RouteRelay || in.Route == waypost.RouteUpstream
	switch in.Phase {
	case waypost.PhaseRcpt, waypost.PhaseData, waypost.PhaseDot:
		switch {
		case r.us && relay:
			return waypost.OutcomeRouteDown
		case in.Phase == waypost.PhaseRcpt && r.notNow:
			return waypost.OutcomeTemporary
		}
		return waypost.OutcomePermanent
	case waypost.PhaseMail:
		if aboutMessage(in, r.cause) && !(r.us && relay) {
			return waypost.OutcomePermanent
		}
		return waypost.OutcomeRouteDown
	case waypost.PhaseDNS:
		// Not a server's reply but DNS's own: a null MX (RFC 7505), no such domain.
		return waypost.OutcomePermanent
	case waypost.PhaseConnect, waypost.PhaseGreet, waypost.PhaseHello, waypost.PhaseTLS, waypost.PhaseAuth:
		return waypost.OutcomeRouteDown
	case waypost.PhaseRoute:
	}
	return waypost.OutcomeTemporary
}

// aboutMessage tells a 5yz to MAIL that would hit this message on any session from
// one that would hit any message: only its size, its form or its recipient's
// mailbox (a server that knows it by then) concern the message.
func aboutMessage(in Input, cause Cause) bool {
	switch e := in.Reply.Enhanced; {
	case e == "5.3.4", e == "5.2.3", strings.HasPrefix(e, "5.6."):
		return true
	case e == "":
		return cause == TooBig
	}
	return false
}

// silence judges an attempt without a reply.
func silence(in Input) Verdict {
	cause, rule := errorCause(in)
	if in.Phase.Reached() {
		return verdict(waypost.OutcomeUncertain, cause, "no reply after the dot")
	}
	switch {
	case errors.Is(in.Err, context.Canceled):
		return verdict(waypost.OutcomeTemporary, cause, rule)
	case in.Phase == waypost.PhaseTLS && cause == TLS, in.Phase == waypost.PhaseAuth && cause == Auth:
		// Not the network: it fails the same way until somebody changes something.
		return verdict(waypost.OutcomeRouteDown, cause, rule)
	}
	return verdict(waypost.OutcomeTemporary, cause, rule)
}

// errorCause names the cause of an error by what it is, then by where it came up.
func errorCause(in Input) (Cause, string) {
	var (
		dns      *net.DNSError
		timeout  net.Error
		protocol textproto.ProtocolError
		verify   *tls.CertificateVerificationError
		host     x509.HostnameError
		unknown  x509.UnknownAuthorityError
		invalid  x509.CertificateInvalidError
		record   tls.RecordHeaderError
		alert    tls.AlertError
	)
	err := in.Err
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled):
		return Unknown, "interrupted"
	case in.Phase == waypost.PhaseDNS, errors.As(err, &dns):
		return DNS, "DNS error"
	case errors.As(err, &verify), errors.As(err, &host), errors.As(err, &unknown), errors.As(err, &invalid):
		return TLS, "certificate error"
	case errors.As(err, &record), errors.As(err, &alert):
		return TLS, "TLS error"
	case errors.As(err, &protocol):
		return Protocol, "protocol error"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return Timeout, "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Connect, "connection lost"
	}
	switch in.Phase {
	case waypost.PhaseDNS:
		return DNS, "DNS error"
	case waypost.PhaseConnect:
		return Connect, "connect error"
	case waypost.PhaseTLS:
		return TLS, "TLS error"
	case waypost.PhaseAuth:
		return Auth, "login error"
	case waypost.PhaseRoute:
		return Unknown, "error before the route"
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return Connect, "connection lost"
	}
	return Unknown, "unknown error"
}
