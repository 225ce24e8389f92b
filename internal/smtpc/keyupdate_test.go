package smtpc_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/smtpc"
)

// Types of records and handshake messages (RFC 8446 sections 5.1 and 4).
const (
	recordHandshake = 22
	recordData      = 23
	keyUpdate       = 24
)

// keys protect one direction of a TLS 1.3 connection (RFC 8446 sections 5.2, 5.3 and
// 7.3).
type keys struct {
	suite  uint16
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	count  uint64
}

func newKeys(suite uint16, secret []byte) (*keys, error) {
	k := &keys{suite: suite, secret: secret}
	size := 16
	if suite == tls.TLS_CHACHA20_POLY1305_SHA256 {
		size = chacha20poly1305.KeySize
	}
	key, err := k.expand("key", size)
	if err != nil {
		return nil, err
	}
	if k.iv, err = k.expand("iv", 12); err != nil {
		return nil, err
	}
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		k.aead, err = cipher.NewGCM(block)
		return k, err
	case tls.TLS_CHACHA20_POLY1305_SHA256: // what the library takes where AES is slow
		k.aead, err = chacha20poly1305.New(key)
		return k, err
	}
	return nil, errors.New("cipher suite " + tls.CipherSuiteName(suite))
}

func (k *keys) expand(label string, size int) ([]byte, error) {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(append(append(info, byte(len(label))), label...), 0)
	return hkdf.Expand(sha256.New, k.secret, string(info), size)
}

// next are the keys after a KeyUpdate.
func (k *keys) next() (*keys, error) {
	secret, err := k.expand("traffic upd", sha256.Size)
	if err != nil {
		return nil, err
	}
	return newKeys(k.suite, secret)
}

func (k *keys) nonce() []byte {
	nonce := slices.Clone(k.iv)
	last := nonce[len(nonce)-8:]
	binary.BigEndian.PutUint64(last, binary.BigEndian.Uint64(last)^k.count)
	k.count++
	return nonce
}

// keyed is the server's side of a TLS connection after the handshake. The library
// offers no way to ask for a KeyUpdate, so the records are made here.
type keyed struct {
	net.Conn
	in, out *keys
	updates int // KeyUpdates from the client
}

// newKeyed makes the handshake with a library and takes over from it.
func newKeyed(conn net.Conn, cert tls.Certificate) (*keyed, error) {
	var log bytes.Buffer
	c := tls.Server(conn, &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, KeyLogWriter: &log,
	})
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	suite := c.ConnectionState().CipherSuite
	k := &keyed{Conn: conn}
	for line := range strings.Lines(log.String()) {
		words := strings.Fields(line)
		secret, err := hex.DecodeString(words[len(words)-1])
		if err != nil {
			return nil, err
		}
		switch words[0] {
		case "CLIENT_TRAFFIC_SECRET_0":
			k.in, err = newKeys(suite, secret)
		case "SERVER_TRAFFIC_SECRET_0":
			k.out, err = newKeys(suite, secret)
		}
		if err != nil {
			return nil, err
		}
	}
	return k, nil
}

func (k *keyed) send(kind byte, content []byte) error {
	header := binary.BigEndian.AppendUint16([]byte{recordData, 3, 3}, uint16(len(content)+1+k.out.aead.Overhead()))
	record := k.out.aead.Seal(header, k.out.nonce(), append(slices.Clone(content), kind), header)
	_, err := k.Write(record)
	return err
}

func (k *keyed) say(line string) error { return k.send(recordData, []byte(line+"\r\n")) }

// askForUpdate changes our keys and wants the client to do the same (RFC 8446 section
// 4.6.3).
func (k *keyed) askForUpdate() error {
	if err := k.send(recordHandshake, []byte{keyUpdate, 0, 0, 1, 1}); err != nil {
		return err
	}
	var err error
	k.out, err = k.out.next()
	return err
}

// hear returns what the client says up to end.
func (k *keyed) hear(end string) (string, error) {
	said := ""
	for !strings.HasSuffix(said, end) {
		content, err := k.record()
		if err != nil {
			return said, err
		}
		said += content
	}
	return said, nil
}

// record reads one record and returns its data, "" for a KeyUpdate.
func (k *keyed) record() (string, error) {
	header := make([]byte, 5)
	if _, err := io.ReadFull(k, header); err != nil {
		return "", err
	}
	record := make([]byte, binary.BigEndian.Uint16(header[3:]))
	if _, err := io.ReadFull(k, record); err != nil {
		return "", err
	}
	content, err := k.in.aead.Open(nil, k.in.nonce(), record, header)
	if err != nil {
		return "", fmt.Errorf("after %d key updates: %w", k.updates, err)
	}
	kind := content[len(content)-1]
	content = content[:len(content)-1]
	if kind == recordHandshake && content[0] == keyUpdate {
		k.updates++
		k.in, err = k.in.next()
		return "", err
	}
	return string(content), err
}

// stalling lets half of the first write after it is armed through, and the rest once
// the client has read what the server says then.
type stalling struct {
	net.Conn
	armed   atomic.Bool
	stalled chan struct{}
	said    chan struct{} // by the server
	half    bool          // the first half is through
	heard   bool
}

func (c *stalling) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.heard = c.heard || (n > 0 && c.half)
	return n, err
}

func (c *stalling) Write(p []byte) (int, error) {
	switch {
	case !c.armed.Load() || c.heard:
		return c.Conn.Write(p)
	case c.half:
		return 0, os.ErrDeadlineExceeded
	}
	n, err := c.Conn.Write(p[:len(p)/2])
	if err != nil {
		return n, err
	}
	c.half = true
	close(c.stalled)
	<-c.said
	return n, os.ErrDeadlineExceeded
}

func TestKeyUpdateDuringAStalledWriteIsAnswered(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string]int{"in the message": 5000, "at the dot": 100} { // of 64 bytes
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cert, _ := mailtest.SelfSigned(t, "mx.test")
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			must(t, err)
			defer l.Close()
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
			must(t, err)
			client := &stalling{Conn: conn, stalled: make(chan struct{}), said: make(chan struct{})}
			s := smtpc.New(client, smtpc.Options{HELO: "client.test"})
			defer s.Close()

			var k *keyed
			var first, second string
			serve := func() error {
				conn, err := l.Accept()
				if err != nil {
					return err
				}
				defer conn.Close()
				if k, err = newKeyed(conn, cert); err != nil {
					return err
				}
				var errs []error
				say := func(line string) { errs = append(errs, k.say(line)) }
				hear := func(end string) string {
					said, err := k.hear(end)
					errs = append(errs, err)
					return said
				}
				say("220 mx.test")
				hear("\r\n")
				say("250-mx.test\r\n250 PIPELINING")
				hear("DATA\r\n")
				client.armed.Store(true)
				say("250 a\r\n250 b\r\n354 go")
				<-client.stalled
				errs = append(errs, k.askForUpdate())
				close(client.said)
				first = hear("\r\n.\r\n")
				errs = append(errs, k.askForUpdate()) // and again while the client waits for us
				say("250 queued")
				hear("DATA\r\n")
				say("250 a\r\n250 b\r\n354 go")
				second = hear("\r\n.\r\n")
				say("250 queued")
				return errors.Join(errs...)
			}
			served := make(chan error, 1)
			go func() { served <- serve() }()

			must(t, s.ImplicitTLS(t.Context(), insecure()))
			must(t, s.Greet(t.Context()))
			must(t, s.Hello(t.Context()))
			m := letter("x@mx.test")
			text := strings.Repeat(strings.Repeat("x", 62)+"\r\n", lines)
			m.Message = [][]byte{[]byte(text)}
			_, err1 := s.Send(t.Context(), m)
			_, err2 := s.Send(t.Context(), letter("x@mx.test"))
			must(t, s.Close())
			if err := <-served; err != nil || err1 != nil || err2 != nil {
				t.Fatalf("first mail: %v; second: %v; server: %v", err1, err2, err)
			}
			if first != text+".\r\n" || second != letterText+".\r\n" || k.updates != 2 {
				t.Errorf("%d and %d bytes arrived, %d key updates", len(first), len(second), k.updates)
			}
		})
	}
}
