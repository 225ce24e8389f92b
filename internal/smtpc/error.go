package smtpc

import (
	"errors"
	"fmt"
	"net/textproto"
	"os"

	"github.com/waypost/waypost/internal/waypost"
)

// Error tells where a session stopped and why. For one mail it means: nobody has
// it, unless Phase is waypost.PhaseDot and Reply is empty (Uncertain).
type Error struct {
	Phase waypost.Phase
	Reply waypost.Reply // the peer's words, Code 0 if it said none
	Err   error         // what went wrong on our side of the wire, nil when Reply says it all
	Stale bool          // a kept session turned out dead before it answered MAIL: another one may be tried at once
}

func (e *Error) Error() string {
	text := "smtp " + string(e.Phase) + ": "
	switch {
	case e.Err == nil:
		return text + e.Reply.String()
	case e.Reply.Code == 0:
		return text + e.Err.Error()
	default:
		return text + e.Reply.String() + " (" + e.Err.Error() + ")"
	}
}

func (e *Error) Unwrap() error { return e.Err }

// Uncertain reports whether the peer may have taken the mail although no reply
// says so (RFC 1047).
func (e *Error) Uncertain() bool { return e.Phase.Reached() && e.Reply.Code == 0 }

// What can go wrong besides the network, matched with errors.Is. Where the peer
// broke the protocol a textproto.ProtocolError is in the chain.
var (
	ErrProtocol    error = textproto.ProtocolError("reply is not SMTP")
	ErrReplyLength error = textproto.ProtocolError("reply too long")
	ErrInjection   error = textproto.ProtocolError("data in plaintext behind the reply to STARTTLS")
	ErrUnusable          = errors.New("session can carry no more mail")
	ErrNoStartTLS        = errors.New("server does not offer STARTTLS")
	ErrNoMechanism       = errors.New("server offers no login that we know (PLAIN, LOGIN, CRAM-MD5)")
	ErrChallenge         = errors.New("unexpected challenge during login")
	ErrCredentials       = errors.New("user name or password cannot be sent: it holds a NUL or is empty")
	ErrSlow              = fmt.Errorf("server takes what we send too slowly: %w", os.ErrDeadlineExceeded)
	ErrHelo              = errors.New("HELO name is not a host name or address literal")
)
