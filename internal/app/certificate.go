package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/config"
)

// certificate serves the certificate of the listeners and reads its files again when
// they change, so that a renewal needs no restart.
type certificate struct {
	cert, key string

	mu      sync.Mutex
	current *tls.Certificate
	stamp   time.Time // modification time of what was read
	checked time.Time
}

// certificateCheck is how often the files are looked at.
const certificateCheck = time.Minute

// openCertificate uses the configured files, or a self-signed certificate that is
// made at the first start.
func openCertificate(c config.Config) (*certificate, error) {
	t := &certificate{cert: c.TLSCert, key: c.TLSKey}
	if t.cert == "" {
		t.cert, t.key = filepath.Join(c.DataDir, certFile), filepath.Join(c.DataDir, certKeyFile)
		if _, err := os.Stat(t.cert); errors.Is(err, os.ErrNotExist) {
			if err := selfSign(t.cert, t.key, c.Hostname); err != nil {
				return nil, fmt.Errorf("self-signed certificate: %w", err)
			}
		}
	}
	if err := t.load(); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return t, nil
}

func (t *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: t.get}
}

func (t *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.checked) > certificateCheck {
		t.checked = now
		if info, err := os.Stat(t.cert); err == nil && !info.ModTime().Equal(t.stamp) {
			_ = t.load() // half-written files: the one in use stays, the next look gets the new one
		}
	}
	return t.current, nil
}

func (t *certificate) load() error {
	info, err := os.Stat(t.cert)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(t.cert, t.key)
	if err != nil {
		return err
	}
	t.current, t.stamp = &pair, info.ModTime()
	return nil
}

func selfSign(certPath, keyPath, host string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host, "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	// The key first: a certificate without one would look finished.
	if err := os.WriteFile(keyPath, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(certPath, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}
