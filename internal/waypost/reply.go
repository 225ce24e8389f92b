package waypost

import (
	"strconv"
	"strings"
)

// Reply is one SMTP reply, bounded and made safe to store and show.
type Reply struct {
	Code     int    `json:"code,omitempty"`     // 0: no reply was read
	Enhanced string `json:"enhanced,omitempty"` // RFC 3463 "X.Y.Z", "" if the server sent none
	Text     string `json:"text,omitempty"`     // lines joined by "\n", without codes, valid UTF-8
}

// Positive reports a 2yz or 3yz reply.
func (r Reply) Positive() bool { return r.Code >= 200 && r.Code < 400 }

// Permanent reports a 5yz reply.
func (r Reply) Permanent() bool { return r.Code >= 500 && r.Code < 600 }

func (r Reply) String() string {
	if r.Code == 0 {
		return r.Text
	}
	var b strings.Builder
	b.WriteString(strconv.Itoa(r.Code))
	if r.Enhanced != "" {
		b.WriteByte(' ')
		b.WriteString(r.Enhanced)
	}
	if r.Text != "" {
		b.WriteByte(' ')
		b.WriteString(r.Text)
	}
	return b.String()
}

// Phase is the step of an attempt at which something was said or went wrong.
type Phase string

// The phases in the order an attempt goes through them.
const (
	PhaseRoute   Phase = "route" // picking the route, reading keys, signing
	PhaseDNS     Phase = "dns"
	PhaseConnect Phase = "connect" // TCP
	PhaseGreet   Phase = "greet"   // 220
	PhaseHello   Phase = "hello"   // EHLO, HELO
	PhaseTLS     Phase = "tls"     // STARTTLS or implicit TLS
	PhaseAuth    Phase = "auth"
	PhaseMail    Phase = "mail"
	PhaseRcpt    Phase = "rcpt"
	PhaseData    Phase = "data" // from DATA up to, not including, the final dot
	PhaseDot     Phase = "dot"  // the final dot has been sent
)

// Reached reports whether a peer may have taken the mail although no reply says
// so: the final dot was sent (RFC 1047).
func (p Phase) Reached() bool { return p == PhaseDot }
