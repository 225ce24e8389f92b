package smtpd_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/smtpd"
)

// scriptConn is a client that says what is in its script and goes away.
type scriptConn struct {
	pipeConn
	script []byte
	piece  int
	closed chan struct{}
	once   sync.Once

	mu  sync.Mutex
	out bytes.Buffer
}

func (c *scriptConn) Read(p []byte) (int, error) {
	if len(c.script) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.piece)], c.script)
	c.script = c.script[n:]
	return n, nil
}

func (c *scriptConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

func (c *scriptConn) Close() error                     { c.once.Do(func() { close(c.closed) }); return nil }
func (c *scriptConn) SetReadDeadline(time.Time) error  { return nil }
func (c *scriptConn) SetWriteDeadline(time.Time) error { return nil }

// FuzzCommands plays any input to a session in each of its states. Every line must get one
// well-formed reply, or the session must end.
func FuzzCommands(f *testing.F) {
	states := []string{
		"",
		"EHLO x\r\n",
		"EHLO x\r\nAUTH LOGIN\r\n",
		"EHLO x\r\nAUTH PLAIN AHUAa2V5\r\n",
		"EHLO x\r\nMAIL FROM:<a@b.test>\r\n",
		"EHLO x\r\nMAIL FROM:<a@b.test> SMTPUTF8\r\nRCPT TO:<c@d.test>\r\n",
		"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n",
	}
	for i := range states {
		for _, s := range []string{
			"QUIT\r\n", "MAIL FROM:<@a,@b:\"x\\\"y\"@c.test> SIZE=10 BODY=8BITMIME AUTH=<>\r\n", "RCPT TO:<\"a@b\"@c>\r\n", "STARTTLS\r\n",
			"AUTH PLAIN =\r\n", "AUTH LOGIN dQ==\r\na2V5\r\n", "*\r\n", "x\r\n.\r\nRSET\r\n", "\n.\n", "NOOP\nNOOP\r\n", "\x00\xff\r\n",
		} {
			f.Add(byte(i), uint16(7), []byte(s))
		}
	}
	b := &backend{network: noNetwork}
	panics := make(chan any, 1)
	srv := smtpd.New(smtpd.Options{
		Hostname: "mx.test", Accepter: b, Authenticator: b, Limiter: b, MaxMessageSize: 10_000, MaxRecipients: 10,
		OnPanic: func(v any) { panics <- v },
	})
	ln := newPipeListener()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background(), ln, smtpd.ListenerOptions{}) }()
	f.Cleanup(func() {
		_ = srv.Shutdown(context.Background())
		<-served
	})
	replyLine := regexp.MustCompile(`^(?:220 mx\.test ESMTP|250[ -][A-Za-z0-9. ]+|334 [A-Za-z0-9=]*|354 .+|([245])[0-9][0-9] ([245])\.[0-9]{1,3}\.[0-9]{1,3} [ -~]+)$`)
	f.Fuzz(func(t *testing.T, state byte, piece uint16, input []byte) {
		script := append([]byte(states[int(state)%len(states)]), input...)
		lines := bytes.Count(script, []byte("\n"))
		c := &scriptConn{script: script, piece: int(piece) + 1, closed: make(chan struct{})}
		ln.conns <- net.Conn(c)
		<-c.closed
		select {
		case v := <-panics:
			t.Fatalf("panic: %v", v)
		default:
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		replies := 0
		for line := range bytes.Lines(c.out.Bytes()) {
			text, ok := bytes.CutSuffix(line, []byte("\r\n"))
			m := replyLine.FindSubmatch(text)
			if !ok || m == nil || !bytes.Equal(m[1], m[2]) || len(line) > 512 {
				t.Fatalf("reply line %q", line)
			}
			if text[3] == ' ' {
				replies++
			}
		}
		// The greeting, one for each line (or for an endless last one), a farewell.
		if replies > lines+3 {
			t.Fatalf("%d replies to %d lines: %q", replies, lines, c.out.Bytes())
		}
	})
}
