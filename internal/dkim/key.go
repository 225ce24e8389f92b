package dkim

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
)

// Sizes of RSA keys in bits. Every verifier must take 1024 to 4096, none needs to
// take others (RFC 8301 section 3.2).
const (
	minKeyBits = 1024
	newKeyBits = 2048
	maxKeyBits = 4096
)

// Errors of keys, matched with errors.Is. They say nothing about the key's bytes.
var (
	ErrKeySyntax = errors.New("dkim: not an RSA private key in PKCS #8 DER")
	ErrKeySize   = errors.New("dkim: RSA key not of 1024 to 4096 bits")
	ErrAlgorithm = errors.New("dkim: keys sign SHA-256 digests with PKCS #1 v1.5 only")
)

// Key is an RSA private key, parsed once and ready to sign. It is a crypto.Signer;
// any number of goroutines may use it.
type Key struct {
	signer crypto.Signer
	public *rsa.PublicKey
	record string
	engine string // name of what signs
}

// GenerateKey returns a new RSA-2048 private key in PKCS #8 DER. It takes some
// tens of milliseconds of CPU.
func GenerateKey() ([]byte, error) {
	private, err := rsa.GenerateKey(rand.Reader, newKeyBits)
	if err != nil {
		return nil, fmt.Errorf("dkim: generate key: %w", err)
	}
	return x509.MarshalPKCS8PrivateKey(private)
}

// ParseKey returns the key in a PKCS #8 DER, to be used with an engine; nil is
// crypto/rsa. A key that the engine's library does not sign well with, by the
// judgement of crypto/rsa, is left to crypto/rsa; Key.String tells.
func ParseKey(der []byte, engine *Engine) (*Key, error) {
	// The parser's own words are dropped: they may quote the bytes they stumble over.
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, ErrKeySyntax
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, ErrKeySyntax
	}
	if bits := private.N.BitLen(); bits < minKeyBits || bits > maxKeyBits {
		return nil, ErrKeySize
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return nil, ErrKeySyntax
	}
	key := &Key{
		signer: private,
		public: &private.PublicKey,
		// The DER within p= is a SubjectPublicKeyInfo, as RFC 6376 appendix C makes it.
		record: "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public),
		engine: goEngineName,
	}
	if engine != nil && engine.load != nil {
		if signer, err := engine.load(private); err == nil && prove(signer, key.public) == nil {
			key.signer, key.engine = signer, engine.name
		}
	}
	return key, nil
}

// Record returns the text of the TXT record to publish at
// <selector>._domainkey.<domain> (RFC 6376 section 3.6.1).
func (k *Key) Record() string { return k.record }

// Public returns the *rsa.PublicKey.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Sign returns the PKCS #1 v1.5 signature of a SHA-256 digest. It needs no random
// bytes, so the same digest always gets the same signature.
func (k *Key) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss || opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, ErrAlgorithm
	}
	return k.signer.Sign(random, digest, crypto.SHA256)
}

// String tells the size of the key and what signs with it; nothing secret.
func (k *Key) String() string {
	return fmt.Sprintf("RSA-%d, %s", k.public.N.BitLen(), k.engine)
}

// SplitTXT splits the text of a TXT record into the strings that a zone file or a
// DNS message carries it in: 255 bytes each but the last (RFC 1035 section 3.3).
func SplitTXT(text string) []string {
	var parts []string
	for len(text) > 255 {
		parts = append(parts, text[:255])
		text = text[255:]
	}
	return append(parts, text)
}
