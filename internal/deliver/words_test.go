package deliver

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

// between is an error of a connection from an address of ours.
func between(err error) error {
	return &net.OpError{
		Op: "dial", Net: "tcp", Err: err,
		Source: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3)}, Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25},
	}
}

func TestWordsForPeopleSayWhatHappenedAndWhen(t *testing.T) {
	for _, tt := range []struct {
		phase waypost.Phase
		err   error
		want  string
	}{
		{waypost.PhaseData, io.EOF, "the server closed the connection at DATA"},
		{waypost.PhaseDot, fmt.Errorf("read: %w", syscall.ECONNRESET), "the server closed the connection after the final dot, without saying whether it has the mail"},
		{waypost.PhaseGreet, os.ErrDeadlineExceeded, "the server did not answer in time before greeting us"},
		{waypost.PhaseConnect, os.ErrDeadlineExceeded, "no answer to the connection in time; a firewall may swallow it"},
		{waypost.PhaseConnect, syscall.ECONNREFUSED, "nothing listens there: connection refused"},
		{waypost.PhaseDNS, io.EOF, "EOF"},
		{waypost.PhaseAuth, errors.New("server offers no login that we know"), "server offers no login that we know"},
		{waypost.PhaseData, &smtpc.Error{Phase: waypost.PhaseData, Err: smtpc.ErrSlow}, "the server took too long to read what we sent at DATA"},
		{waypost.PhaseConnect, between(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "there is no way to that address: dial: connect: no route to host"},
		{waypost.PhaseMail, between(os.NewSyscallError("write", syscall.ENOBUFS)), "dial: write: no buffer space available"},
		{waypost.PhaseRoute, between(errors.New("x")), "dial: x"},
		{waypost.PhaseConnect, between(&guard.Refused{Addr: netip.MustParseAddr("10.1.2.3"), Why: guard.Private}), "destination refused: private address"},
		{waypost.PhaseDNS, &dns.Error{Name: "a.test", Type: "MX", Failure: dns.Network, Server: "10.0.0.53:53", Err: between(io.EOF)}, "DNS MX lookup of a.test: server not reachable"},
		{waypost.PhaseDNS, &dns.DestinationError{Domain: "a.test", Reason: "the domain does not exist", Err: &dns.Error{Name: "a.test", Type: "MX", Failure: dns.NXDomain}}, "a.test: the domain does not exist"},
		{waypost.PhaseDNS, &net.DNSError{Name: "a.test", Server: "10.0.0.53:53", Err: "read udp 10.1.2.3:4->10.0.0.53:53: i/o timeout", IsTimeout: true}, "DNS lookup of a.test: no answer in time"},
		{waypost.PhaseDNS, &net.DNSError{Name: "a.test", Server: "10.0.0.53:53", Err: "no such host", IsNotFound: true}, "DNS lookup of a.test: no such host"},
		{waypost.PhaseDNS, &net.DNSError{Name: "a.test", Server: "10.0.0.53:53", Err: "server misbehaving"}, "DNS lookup of a.test failed"},
		{waypost.PhaseTLS, errors.New("x509: \x1b[31mred\r\nand more\u202e"), "x509: [31mred and more"},
	} {
		if got := words(tt.phase, tt.err); got != tt.want {
			t.Errorf("words(%s, %v) = %q, want %q", tt.phase, tt.err, got, tt.want)
		}
	}
}

func TestLongTextIsCutBetweenRunes(t *testing.T) {
	for n := range 4 {
		got := fit(strings.Repeat("x", n) + strings.Repeat("€", 1000))
		if len(got) > maxWords || len(got) < maxWords-3 || !utf8.ValidString(got) || !strings.HasSuffix(got, "€ ...") {
			t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-10:])
		}
	}
	if whole := strings.Repeat("x", maxWords); fit(whole) != whole {
		t.Error("what fits was cut")
	}
}
