package deliver

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

// maxWords bounds a text of ours, in bytes: it is stored with every recipient.
const maxWords = 1 << 10

// fit makes a text safe to store and to show, in one line of at most maxWords. An error
// may quote whatever a server sent: its certificate can name hosts of 50 KB, with
// commands for a terminal among them.
func fit(text string) string {
	text = strings.ReplaceAll(smtpc.Printable(text), "\n", " ")
	if len(text) <= maxWords {
		return text
	}
	const more = " ..."
	end := maxWords - len(more)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + more
}

// words says for people what an error means: network errors in words of ours, others
// speak for themselves. The operator reads it, so it is about the other server and has
// no address of our network.
func words(phase waypost.Phase, err error) string { return fit(meaning(phase, err)) }

func meaning(phase waypost.Phase, err error) string {
	if e, ok := errors.AsType[*smtpc.Error](err); ok && e.Err != nil {
		err = e.Err
	}
	if e, ok := errors.AsType[*guard.Refused](err); ok {
		return e.Error() // and not what wraps it, which may name the address
	}
	if e, ok := errors.AsType[*dns.DestinationError](err); ok {
		return e.Error()
	}
	if text := lookUpWords(err); text != "" {
		return text
	}
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
		return plainly(err)
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server closed the connection" + during
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: connection refused"
	case noWay(err):
		return "there is no way to that address: " + plainly(err)
	case errors.Is(err, smtpc.ErrSlow):
		return "the server took too long to read what we sent" + during
	case timedOut(err) && phase == waypost.PhaseConnect:
		return "no answer to the connection in time; a firewall may swallow it"
	case timedOut(err):
		return "the server did not answer in time" + during
	}
	return plainly(err)
}

// lookUpWords is the text of an error of the DNS without the server of ours that was
// asked, "" if err is none.
func lookUpWords(err error) string {
	if e, ok := errors.AsType[*dns.Error](err); ok {
		told := *e
		told.Server, told.Err = "", nil
		return told.Error()
	}
	e, ok := errors.AsType[*net.DNSError](err)
	switch {
	case !ok:
		return ""
	case e.IsNotFound:
		return "DNS lookup of " + e.Name + ": no such host"
	case e.IsTimeout:
		return "DNS lookup of " + e.Name + ": no answer in time"
	default:
		return "DNS lookup of " + e.Name + " failed"
	}
}

// plainly is the text of an error without the addresses of both ends, of which one is
// ours.
func plainly(err error) string {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		told := *e
		told.Net, told.Source, told.Addr = "", nil, nil
		return told.Error()
	}
	return err.Error()
}

func timedOut(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || (ok && timeout.Timeout())
}

func noWay(err error) bool {
	return errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
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
