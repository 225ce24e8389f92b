package smtpc_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/smtpc"
)

// dial opens a session to a fake and closes it with the test.
func dial(t testing.TB, addr string, opts smtpc.Options) *smtpc.Session {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if opts.HELO == "" {
		opts.HELO = "client.test"
	}
	s := smtpc.New(conn, opts)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// open returns a session that has said EHLO.
func open(t testing.TB, fake *mailtest.SMTP, opts smtpc.Options) *smtpc.Session {
	t.Helper()
	s := dial(t, fake.Addr(), opts)
	must(t, s.Greet(t.Context()))
	must(t, s.Hello(t.Context()))
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func letter(to ...string) smtpc.Mail {
	return smtpc.Mail{
		From: "a@client.test", Recipients: to,
		Message: [][]byte{[]byte("Subject: hello\r\n"), []byte("\r\n"), []byte("How are you?\r\n")},
	}
}

const letterText = "Subject: hello\r\n\r\nHow are you?\r\n"

// counter counts the writes on a connection and what is in them.
type counter struct {
	net.Conn
	mu     sync.Mutex
	writes []string
}

func (c *counter) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.writes = append(c.writes, string(p))
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// trace collects Steps.
type trace struct {
	mu    sync.Mutex
	steps []smtpc.Step
}

func (r *trace) add(s smtpc.Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, s)
}

// text is everything a person could read in the trace.
func (r *trace) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, s := range r.steps {
		b.WriteString(string(s.Phase) + " | " + s.Command + " | " + s.Reply.String())
		if s.Err != nil {
			b.WriteString(" | " + s.Err.Error())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
