package deliver

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/waypost/waypost/internal/waypost"
)

// words says for people what a network error means; other errors speak for themselves.
func words(phase waypost.Phase, err error) string {
	during := ""
	switch phase {
	case waypost.PhaseGreet:
		during = " before greeting us"
	case waypost.PhaseHello, waypost.PhaseAuth, waypost.PhaseMail, waypost.PhaseRcpt, waypost.PhaseData:
		during = " at " + commandName(phase)
	case waypost.PhaseTLS:
		during = " during the TLS handshake"
	case waypost.PhaseDot:
		during = " after the final dot, without saying whether it has the mail"
	case waypost.PhaseConnect:
	case waypost.PhaseRoute, waypost.PhaseDNS:
		return err.Error()
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server closed the connection" + during
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to that address: " + err.Error()
	}
	timeout, ok := errors.AsType[net.Error](err)
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || (ok && timeout.Timeout()) {
		if phase == waypost.PhaseConnect {
			return "no answer to the connection in time; a firewall may swallow it"
		}
		return "the server did not answer in time" + during
	}
	return err.Error()
}

func commandName(p waypost.Phase) string {
	switch p {
	case waypost.PhaseHello:
		return "EHLO"
	case waypost.PhaseAuth:
		return "the login"
	case waypost.PhaseMail:
		return "MAIL FROM"
	case waypost.PhaseRcpt:
		return "RCPT TO"
	default:
		return "DATA"
	}
}
