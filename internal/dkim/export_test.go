package dkim

import (
	"crypto"
	"crypto/rsa"
	"io"
)

// CanonicalField is appendField, for its properties.
func CanonicalField(name string, value []byte) []byte { return appendField(nil, name, value) }

// LyingEngine returns an engine that signs, but not what it is given.
func LyingEngine() *Engine {
	return &Engine{name: "liar", load: func(private *rsa.PrivateKey) (crypto.Signer, error) {
		return liar{private}, nil
	}}
}

type liar struct{ *rsa.PrivateKey }

func (l liar) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return l.PrivateKey.Sign(random, make([]byte, len(digest)), opts)
}

// Try is what OpenEngine makes of an engine before it trusts it.
func (e *Engine) Try() error { return e.try() }

// IdleKey returns a key whose signatures are zeros and cost nothing, for measuring
// all the rest.
func IdleKey() *Key { return &Key{signer: idle{}} }

type idle struct{}

func (idle) Public() crypto.PublicKey { return nil }

func (idle) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return make([]byte, 256), nil }
