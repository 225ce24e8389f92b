package classify_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/waypost"
)

func TestPositiveReplyToDotIsDelivered(t *testing.T) {
	t.Parallel()
	rules := classify.BuiltIn()
	v := rules.Classify(classify.Input{Phase: dot, Reply: waypost.Reply{Code: 250}})
	if v.Outcome != waypost.OutcomeDelivered || v.Cause != "" || v.Blame != "" {
		t.Errorf("got %+v", v)
	}
	if v := rules.Classify(classify.Input{Phase: rcpt, Reply: waypost.Reply{Code: 250}}); v.Outcome != temporary {
		t.Errorf("250 to RCPT is no delivery: %+v", v)
	}
}

func TestErrorsWithoutReply(t *testing.T) {
	t.Parallel()
	rules := classify.BuiltIn()
	tests := map[string]struct {
		phase   waypost.Phase
		err     error
		outcome waypost.Outcome
		cause   classify.Cause
	}{
		"reset after the dot":      {dot, syscall.ECONNRESET, waypost.OutcomeUncertain, classify.Connect},
		"timeout after the dot":    {dot, os.ErrDeadlineExceeded, waypost.OutcomeUncertain, classify.Timeout},
		"nonsense after the dot":   {dot, textproto.ProtocolError("x"), waypost.OutcomeUncertain, classify.Protocol},
		"cancelled after the dot":  {dot, context.Canceled, waypost.OutcomeUncertain, classify.Unknown},
		"reset in the message":     {data, fmt.Errorf("write: %w", syscall.ECONNRESET), temporary, classify.Connect},
		"closed before DATA":       {rcpt, io.EOF, temporary, classify.Connect},
		"timeout at MAIL":          {mail, os.ErrDeadlineExceeded, temporary, classify.Timeout},
		"refused connection":       {waypost.PhaseConnect, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, temporary, classify.Connect},
		"connect timeout":          {waypost.PhaseConnect, context.DeadlineExceeded, temporary, classify.Timeout},
		"DNS failure":              {waypost.PhaseDNS, &net.DNSError{Err: "server misbehaving"}, temporary, classify.DNS},
		"DNS failure while dialed": {waypost.PhaseConnect, &net.DNSError{Err: "no such host", IsNotFound: true}, temporary, classify.DNS},
		"bad certificate":          {stls, &tls.CertificateVerificationError{Err: errors.New("expired")}, routeDown, classify.TLS},
		"not TLS":                  {stls, tls.RecordHeaderError{Msg: "x"}, routeDown, classify.TLS},
		"handshake alert":          {stls, &net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, routeDown, classify.TLS},
		"handshake timeout":        {stls, os.ErrDeadlineExceeded, temporary, classify.Timeout},
		"no login mechanism":       {auth, errors.New("nothing in common"), routeDown, classify.Auth},
		"login timeout":            {auth, os.ErrDeadlineExceeded, temporary, classify.Timeout},
		"key unreadable":           {waypost.PhaseRoute, errors.New("no key"), temporary, classify.Unknown},
		"interrupted":              {mail, context.Canceled, temporary, classify.Unknown},
		"reply too long":           {greet, textproto.ProtocolError("too long"), temporary, classify.Protocol},
		"anything else":            {mail, errors.New("?"), temporary, classify.Unknown},
		"nothing at all":           {mail, nil, temporary, classify.Unknown},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, route := range []waypost.RouteKind{direct, relay, up} {
				v := rules.Classify(classify.Input{Phase: tt.phase, Err: tt.err, Route: route})
				if v.Outcome != tt.outcome || v.Cause != tt.cause {
					t.Errorf("%s: got %s, %s (rule %q), want %s, %s", route, v.Outcome, v.Cause, v.Rule, tt.outcome, tt.cause)
				}
			}
		})
	}
}

// Promise 5 for replies that nobody foresaw.
func TestPermanentOnlyWherePeersMaySaySo(t *testing.T) {
	t.Parallel()
	rules := classify.BuiltIn()
	rapid.Check(t, func(t *rapid.T) {
		in := classify.Input{
			Phase: rapid.SampledFrom([]waypost.Phase{
				waypost.PhaseRoute, waypost.PhaseConnect, greet, hello, stls, auth, mail, rcpt, data, dot,
			}).Draw(t, "phase"),
			Route: rapid.SampledFrom([]waypost.RouteKind{direct, relay, up}).Draw(t, "route"),
			Reply: waypost.Reply{
				Code:     rapid.IntRange(0, 999).Draw(t, "code"),
				Enhanced: rapid.SampledFrom([]string{"", "5.1.1", "5.7.1", "5.3.4", "5.6.7", "4.2.2", "5.7.60", "5.4.5", "2.0.0"}).Draw(t, "enhanced"),
				Text:     rapid.SampledFrom([]string{"", "relay denied", "user unknown", "mailbox full", "too many recipients", "spam"}).Draw(t, "text"),
			},
		}
		v := rules.Classify(in)
		late := in.Phase == rcpt || in.Phase == data || in.Phase == dot
		switch v.Outcome {
		case waypost.OutcomePermanent:
			about := strings.HasPrefix(in.Reply.Enhanced, "5.6.") || in.Reply.Enhanced == "5.3.4" || v.Cause == classify.TooBig
			if !in.Reply.Permanent() || (!late && !(in.Phase == mail && about)) {
				t.Fatalf("permanent without right: %+v -> %+v", in, v)
			}
		case waypost.OutcomeDelivered:
			if in.Phase != dot || in.Reply.Code/100 != 2 {
				t.Fatalf("delivered without a 2yz to the dot: %+v", in)
			}
		case waypost.OutcomeUncertain:
			if in.Phase != dot || in.Reply.Code != 0 {
				t.Fatalf("uncertain although it is known: %+v", in)
			}
		case waypost.OutcomeTemporary, waypost.OutcomeRouteDown:
		case waypost.OutcomeUntried:
			t.Fatalf("untried is not for classify to say: %+v", in)
		}
		if v.Suppress() && (v.Outcome != permanent || v.Blame != classify.BlameRecipient) {
			t.Fatalf("suppresses for what is not the recipient's: %+v -> %+v", in, v)
		}
	})
}

func TestOnlyUnknownMailboxesSuppress(t *testing.T) {
	t.Parallel()
	rules := classify.BuiltIn()
	for line, want := range map[string]bool{
		"550 5.1.1 User unknown": true,
		"554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using zen.spamhaus.org": false,
		"552 5.2.2 mailbox full": false,
		"550":                    false,
	} {
		if v := rules.Classify(classify.Input{Phase: rcpt, Route: direct, Reply: reply(t, line)}); v.Suppress() != want {
			t.Errorf("%s: suppress %v, want %v", line, v.Suppress(), want)
		}
	}
}

func TestEveryCauseIsExplained(t *testing.T) {
	t.Parallel()
	for _, c := range classify.Causes() {
		if c.Explain() == "" || c.Blame() == "" {
			t.Errorf("%s has no explanation or nobody to blame", c)
		}
	}
}

func BenchmarkClassify(b *testing.B) {
	rules := classify.BuiltIn()
	in := classify.Input{Phase: rcpt, Route: direct, Reply: waypost.Reply{Code: 450, Enhanced: "", Text: "later, please: we are quite busy at the moment"}}
	for b.Loop() {
		rules.Classify(in)
	}
}
