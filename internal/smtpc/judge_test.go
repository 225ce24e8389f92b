package smtpc_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/smtpc"
)

// judge is go-smtp's server, which was written by somebody else.
type judge struct {
	mu   sync.Mutex
	data [][]byte
	to   []string
	opts *gosmtp.MailOptions
}

func (j *judge) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return &judgeSession{j}, nil }

type judgeSession struct{ j *judge }

func (s *judgeSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *judgeSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, u, p string) error {
		if u != user || p != password {
			return errors.New("wrong")
		}
		return nil
	}), nil
}

func (s *judgeSession) Mail(_ string, opts *gosmtp.MailOptions) error {
	s.j.mu.Lock()
	defer s.j.mu.Unlock()
	s.j.opts, s.j.to = opts, nil
	return nil
}

func (s *judgeSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if strings.HasPrefix(to, "bad") {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.j.mu.Lock()
	defer s.j.mu.Unlock()
	s.j.to = append(s.j.to, to)
	return nil
}

func (s *judgeSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.j.mu.Lock()
	defer s.j.mu.Unlock()
	s.j.data = append(s.j.data, data)
	return nil
}

func (s *judgeSession) Reset()        {}
func (s *judgeSession) Logout() error { return nil }

// startJudge serves until the test ends.
func startJudge(t testing.TB) (*judge, string) {
	t.Helper()
	j := &judge{}
	server := gosmtp.NewServer(j)
	server.Domain = "judge.test"
	server.AllowInsecureAuth = true
	server.EnableSMTPUTF8 = true
	cert, _ := mailtest.SelfSigned(t, "judge.test")
	server.TLSConfig = insecure()
	server.TLSConfig.Certificates = append(server.TLSConfig.Certificates, cert)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return j, l.Addr().String()
}

func TestJudgeUnderstandsUs(t *testing.T) {
	t.Parallel()
	j, addr := startJudge(t)
	s := dial(t, addr, smtpc.Options{})
	must(t, s.Greet(t.Context()))
	must(t, s.Hello(t.Context()))
	must(t, s.StartTLS(t.Context(), insecure()))
	must(t, s.Auth(t.Context(), user, password))
	m := letter("x@judge.test", "bad@judge.test", "y@judge.test")
	m.EightBit = true
	res, err := s.Send(t.Context(), m)
	must(t, err)
	if !res.Recipients[0].Delivered() || res.Recipients[1].Reply.Enhanced != "5.1.1" || !res.Recipients[2].Delivered() {
		t.Errorf("got %q", outcome(res))
	}
	if diff := cmp.Diff([]string{"x@judge.test", "y@judge.test"}, j.to); diff != "" {
		t.Error(diff)
	}
	if j.opts.Body != gosmtp.Body8BitMIME || j.opts.Size != int64(len(letterText)) || string(j.data[0]) != letterText {
		t.Errorf("the judge got %+v, %q", j.opts, j.data)
	}
	must(t, s.Quit(t.Context()))
}

// message draws lines of dots, CRs and text, cut into pieces anywhere.
func message(t *rapid.T) (pieces [][]byte, whole []byte) {
	line := rapid.OneOf(
		rapid.SampledFrom([]string{"", ".", "..", ".x", "x.", ".\t", "-.-"}),
		rapid.StringMatching(`[ -~é]{0,80}`),
	)
	whole = []byte(strings.Join(rapid.SliceOfN(line, 0, 60).Draw(t, "lines"), "\r\n"))
	if rapid.Bool().Draw(t, "big") {
		whole = bytes.Repeat(append(whole, ".dot\r\n"...), rapid.IntRange(1, 400).Draw(t, "times"))
	}
	rest := whole
	for len(rest) > 0 {
		n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
		pieces = append(pieces, rest[:n])
		rest = rest[n:]
	}
	return pieces, whole
}

// Whatever the lines, cuts and layers, the judge gets the bytes that were given,
// with a last CRLF if one was missing.
func TestMessageArrivesUnchanged(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		j, addr := startJudge(t)
		s := dial(t, addr, smtpc.Options{})
		must(t, s.Greet(t.Context()))
		must(t, s.Hello(t.Context()))
		if secure {
			must(t, s.StartTLS(t.Context(), insecure()))
		}
		rapid.Check(t, func(rt *rapid.T) {
			m := letter("x@judge.test")
			var want []byte
			m.Message, want = message(rt)
			if len(want) > 0 && !bytes.HasSuffix(want, []byte("\r\n")) {
				want = append(bytes.Clone(want), "\r\n"...)
			}
			before := bytes.Join(m.Message, nil)
			res, err := s.Send(t.Context(), m)
			if err != nil || !res.Recipients[0].Delivered() {
				rt.Fatalf("%v, %q", err, outcome(res))
			}
			j.mu.Lock()
			got := j.data[len(j.data)-1]
			j.data = nil
			j.mu.Unlock()
			if !bytes.Equal(got, want) {
				rt.Fatalf("got  %q\nwant %q", got, want)
			}
			if !bytes.Equal(before, bytes.Join(m.Message, nil)) {
				rt.Fatal("Send changed the caller's pieces")
			}
			if res.Size != int64(len(want)) {
				rt.Fatalf("declared %d bytes of %d", res.Size, len(want))
			}
		})
	}
}
