package smtpd_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost/waypost/internal/smtpd"
	"github.com/waypost/waypost/internal/waypost"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(benchClientEnv); addr != "" {
		if err := benchClient(addr, os.Args[len(os.Args)-1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// backend is the Accepter, Authenticator, Limiter and Metrics of tests.
type backend struct {
	accept  func(ctx context.Context, s waypost.Submission) (waypost.Receipt, error)
	network func(peer netip.Addr) (waypost.Principal, bool, error)
	allow   func(p waypost.Principal) error

	mu     sync.Mutex
	mails  []waypost.Submission
	counts map[string]int
	logins []string // "user/password" of each
	known  string   // a password that was right before
}

func (b *backend) Accept(ctx context.Context, s waypost.Submission) (waypost.Receipt, error) {
	if b.accept != nil {
		return b.accept(ctx, s)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails = append(b.mails, s)
	return waypost.Receipt{ID: "id-1"}, nil
}

func (b *backend) Password(_ context.Context, _ netip.Addr, user, password string) (waypost.Principal, error) {
	b.mu.Lock()
	b.logins = append(b.logins, user+"/"+password)
	b.mu.Unlock()
	switch password {
	case "key":
		return waypost.Principal{CredentialID: "cred-" + user}, nil
	case "broken":
		return waypost.Principal{}, context.DeadlineExceeded
	case "away":
		return waypost.Principal{}, waypost.NewError(waypost.Unavailable, "", "database away")
	}
	return waypost.Principal{}, waypost.NewError(waypost.Unauthenticated, "", "no such key")
}

func (b *backend) Recognizes(password string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return password == b.known
}

// recognize makes a password one that was right before, and forgets the logins.
func (b *backend) recognize(password string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known, b.logins = password, nil
}

func (b *backend) seen() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.logins)
}

func (b *backend) Network(_ context.Context, peer netip.Addr) (waypost.Principal, bool, error) {
	if b.network != nil {
		return b.network(peer)
	}
	return waypost.Principal{CredentialID: "network"}, true, nil
}

func (b *backend) Allow(_ context.Context, p waypost.Principal) error {
	if b.allow != nil {
		return b.allow(p)
	}
	return nil
}

func (b *backend) Connection(result string)       { b.count("connection " + result) }
func (b *backend) Login(result string)            { b.count("login " + result) }
func (b *backend) Message(result string, _ int64) { b.count("message " + result) }

func (b *backend) count(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts == nil {
		b.counts = make(map[string]int)
	}
	b.counts[what]++
}

func (b *backend) counted(what string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts[what]
}

func (b *backend) received() []waypost.Submission {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mails
}

func noNetwork(netip.Addr) (waypost.Principal, bool, error) {
	return waypost.Principal{}, false, nil
}

// server is a running Server on a real socket.
type server struct {
	*smtpd.Server
	t    testing.TB
	addr string
}

type setup struct {
	smtpd.Options
	smtpd.ListenerOptions
	from string // what the clients' address looks like to the server
}

func start(t testing.TB, b *backend, mod func(*setup)) *server {
	t.Helper()
	o := setup{Options: smtpd.Options{
		Hostname: "mx.test", Accepter: b, Authenticator: b, Limiter: b, Metrics: b,
		OnPanic: func(v any) { t.Errorf("panic in session: %v", v) },
	}}
	if mod != nil {
		mod(&o)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Server: smtpd.New(o.Options), t: t, addr: ln.Addr().String()}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), fakeOrigin{ln, o.from}, o.ListenerOptions) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

// fakeOrigin makes connections look as if they came from another address.
type fakeOrigin struct {
	net.Listener
	from string
}

func (l fakeOrigin) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil || l.from == "" {
		return conn, err
	}
	return fakeConn{conn.(*net.TCPConn), net.TCPAddrFromAddrPort(netip.MustParseAddrPort(l.from))}, nil
}

type fakeConn struct {
	*net.TCPConn
	addr net.Addr
}

func (c fakeConn) RemoteAddr() net.Addr { return c.addr }

// client speaks raw SMTP.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// dial connects and reads the greeting.
func (s *server) dial() *client {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	c := newClient(s.t, conn)
	c.want("220 mx.test ESMTP")
	return c
}

// hello is dial and EHLO.
func (s *server) hello() *client {
	s.t.Helper()
	c := s.dial()
	c.cmd("EHLO client.test", "250-mx.test")
	return c
}

func newClient(t testing.TB, conn net.Conn) *client {
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second)) // a test that hangs should fail
	t.Cleanup(func() { conn.Close() })
	return &client{t, conn, bufio.NewReader(conn)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(s)); err != nil {
		c.t.Fatalf("send %.60q: %v", s, err)
	}
}

// reply reads one reply, its lines joined by LF.
func (c *client) reply() string {
	c.t.Helper()
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("read reply: %v (got %q %q)", err, lines, line)
		}
		if !strings.HasSuffix(line, "\r\n") {
			c.t.Fatalf("reply line %q has no CRLF", line)
		}
		line = strings.TrimSuffix(line, "\r\n")
		lines = append(lines, line)
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "\n")
		}
	}
}

// want reads a reply, which must begin with prefix.
func (c *client) want(prefix string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("got reply %q, want %q", got, prefix)
	}
	return got
}

// cmd sends a line and wants a reply.
func (c *client) cmd(line, prefix string) string {
	c.t.Helper()
	c.send(line + "\r\n")
	got := c.reply()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("%.80q: got reply %q, want %q", line, got, prefix)
	}
	return got
}

// wantClosed fails unless the server closes without another word.
func (c *client) wantClosed() {
	c.t.Helper()
	if b, err := c.r.ReadByte(); err == nil {
		rest, _ := c.r.ReadString('\n')
		c.t.Fatalf("got %q, want the connection closed", string(b)+rest)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatal("connection still open")
	}
}

// envelope begins a transaction up to the 354.
func (c *client) envelope() {
	c.t.Helper()
	c.cmd("MAIL FROM:<a@b.test>", "250 2.1.0 ")
	c.cmd("RCPT TO:<c@d.test>", "250 2.1.5 ")
	c.cmd("DATA", "354 ")
}

func (c *client) startTLS(config *tls.Config) {
	c.t.Helper()
	c.cmd("STARTTLS", "220 2.0.0 ")
	conn := tls.Client(c.conn, config)
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
}

// certificate returns the two ends of TLS for "mx.test".
func certificate(t testing.TB) (srv, cli *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.test"}, DNSNames: []string{"mx.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: pool, ServerName: "mx.test", MinVersion: tls.VersionTLS12}
}
