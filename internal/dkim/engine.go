package dkim

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
)

const goEngineName = "crypto/rsa"

// Engine does the RSA arithmetic of the keys parsed with it. It is safe for
// concurrent use.
type Engine struct {
	name   string
	reason string
	load   func(*rsa.PrivateKey) (crypto.Signer, error) // nil: a key signs by itself
}

// OpenEngine returns the fastest engine there is: libcrypto.so.3 if it can be
// opened and a signature of it convinces crypto/rsa, else crypto/rsa, and then
// Reason tells why. Once is enough for a process. It makes a key to try, which
// takes some tens of milliseconds of CPU.
func OpenEngine() *Engine {
	engine, err := openLibcrypto()
	if err == nil {
		err = engine.try()
	}
	if err != nil {
		return &Engine{name: goEngineName, reason: err.Error()}
	}
	return engine
}

// GoEngine returns the engine that is crypto/rsa.
func GoEngine() *Engine { return &Engine{name: goEngineName} }

// Name returns what signs, for people: "libcrypto 3.0.19" or "crypto/rsa".
func (e *Engine) Name() string { return e.name }

// Reason returns why OpenEngine fell back to crypto/rsa, "" if it did not.
func (e *Engine) Reason() string { return e.reason }

// try signs with a throw-away key.
func (e *Engine) try() error {
	private, err := rsa.GenerateKey(rand.Reader, newKeyBits)
	if err != nil {
		return fmt.Errorf("generate key: %w", err)
	}
	signer, err := e.load(private)
	if err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	if err := prove(signer, &private.PublicKey); err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	return nil
}

// prove has a signer sign and crypto/rsa verify it.
func prove(signer crypto.Signer, public *rsa.PublicKey) error {
	digest := sha256.Sum256([]byte("waypost dkim engine check"))
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature)
}
