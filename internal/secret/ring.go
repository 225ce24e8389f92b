package secret

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the length of an instance key in bytes.
const KeySize = 32

// The sealed form is version, key id, nonce, ciphertext with tag.
const (
	version    = 1
	idSize     = 4
	headerSize = 1 + idSize
	minSealed  = headerSize + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
)

// HKDF info strings (RFC 5869 section 3.2): one per use, so that no derived key
// says anything about another. Changing one orphans what it made.
const (
	infoSeal   = "waypost seal v1"
	infoID     = "waypost key id v1"
	infoCheck  = "waypost key check v1"
	infoDerive = "waypost derive v1 "
)

// Errors of Open, matched with errors.Is.
var (
	// ErrUnknownKey means that the value was sealed with a key the ring does not have.
	ErrUnknownKey = errors.New("sealed with another instance key")
	// ErrCorrupt means that the value was damaged, or sealed for another context.
	ErrCorrupt = errors.New("sealed value is damaged or belongs elsewhere")
)

// Ring holds the current instance key and the older ones it replaced. It is safe
// for concurrent use.
type Ring struct {
	keys []instanceKey // the current one first
}

type instanceKey struct {
	root []byte
	id   [idSize]byte
	aead cipher.AEAD
}

// NewRing returns a ring of raw keys of KeySize bytes, the current one first.
func NewRing(current []byte, older ...[]byte) (*Ring, error) {
	r := &Ring{}
	for _, raw := range append([][]byte{current}, older...) {
		key, err := newInstanceKey(raw)
		if err != nil {
			return nil, err
		}
		if r.find(key.id) != nil {
			return nil, errors.New("instance key: the same key is given twice")
		}
		r.keys = append(r.keys, key)
	}
	return r, nil
}

func newInstanceKey(raw []byte) (instanceKey, error) {
	if len(raw) != KeySize {
		return instanceKey{}, fmt.Errorf("instance key: want %d bytes, got %d", KeySize, len(raw))
	}
	if bytes.Count(raw, raw[:1]) == KeySize {
		return instanceKey{}, errors.New("instance key: all bytes are equal, this is not a random key")
	}
	key := instanceKey{root: bytes.Clone(raw)}
	copy(key.id[:], key.derive(infoID, idSize))
	var err error
	key.aead, err = chacha20poly1305.NewX(key.derive(infoSeal, chacha20poly1305.KeySize))
	return key, err
}

// derive returns size bytes of HKDF-SHA256 output (RFC 5869). The root key is
// uniformly random, so no salt is needed.
func (k instanceKey) derive(info string, size int) []byte {
	out, err := hkdf.Key(sha256.New, k.root, nil, info, size)
	if err != nil { // only for a size over 255 hashes
		panic(err)
	}
	return out
}

func (k instanceKey) check() string {
	return base64.RawURLEncoding.EncodeToString(k.derive(infoCheck, 16))
}

func (r *Ring) find(id [idSize]byte) *instanceKey {
	for i := range r.keys {
		if r.keys[i].id == id {
			return &r.keys[i]
		}
	}
	return nil
}

// Seal encrypts plaintext with the current key for the place that context names,
// for example "gateway.password/<operator id>". The result is 45 bytes longer than
// plaintext and differs every time.
func (r *Ring) Seal(context string, plaintext []byte) []byte {
	key := r.keys[0]
	out := make([]byte, headerSize+chacha20poly1305.NonceSizeX, minSealed+len(plaintext))
	out[0] = version
	copy(out[1:], key.id[:])
	nonce := out[headerSize:]
	_, _ = rand.Read(nonce) // never fails: crypto/rand crashes the program instead
	return key.aead.Seal(out, nonce, plaintext, additionalData(out[:headerSize], context))
}

// Open decrypts what Seal made for the same context with any key of the ring. The
// error is ErrUnknownKey or ErrCorrupt.
func (r *Ring) Open(context string, sealed []byte) ([]byte, error) {
	if len(sealed) < minSealed || sealed[0] != version {
		return nil, ErrCorrupt
	}
	key := r.find([idSize]byte(sealed[1:headerSize]))
	if key == nil {
		return nil, ErrUnknownKey
	}
	nonce, ciphertext := sealed[headerSize:headerSize+chacha20poly1305.NonceSizeX], sealed[headerSize+chacha20poly1305.NonceSizeX:]
	plaintext, err := key.aead.Open(nil, nonce, ciphertext, additionalData(sealed[:headerSize], context))
	if err != nil {
		return nil, ErrCorrupt
	}
	return plaintext, nil
}

// additionalData binds a value to its place; the header has a fixed length, so the
// two cannot be confused.
func additionalData(header []byte, context string) []byte {
	return append(bytes.Clone(header), context...)
}

// SealText is Seal for a Text.
func (r *Ring) SealText(context string, plaintext Text) []byte {
	return r.Seal(context, []byte(plaintext.Reveal()))
}

// OpenText is Open into a Text.
func (r *Ring) OpenText(context string, sealed []byte) (Text, error) {
	plaintext, err := r.Open(context, sealed)
	return NewText(string(plaintext)), err
}

// Stale reports whether a sealed value was not sealed with the current key and so
// has to be sealed again before the older key can be dropped.
func (r *Ring) Stale(sealed []byte) bool {
	return len(sealed) < headerSize || !bytes.Equal(sealed[1:headerSize], r.keys[0].id[:])
}

// KeyCheck returns the key-check value of the current key: 22 characters that tell
// nothing about the key and differ between keys. It is stored in the database.
func (r *Ring) KeyCheck() string { return r.keys[0].check() }

// HasKeyCheck reports whether check is the key-check value of any key of the ring.
func (r *Ring) HasKeyCheck(check string) bool {
	found := 0
	for _, key := range r.keys {
		found |= subtle.ConstantTimeCompare([]byte(key.check()), []byte(check))
	}
	return found == 1
}

// Derive returns a 32-byte key for the use that label names, for example
// "verp" or "credential", made from the current key.
func (r *Ring) Derive(label string) []byte {
	return r.keys[0].derive(infoDerive+label, KeySize)
}

// DeriveAll returns Derive of every key of the ring, the current one first: what
// was made before a rotation has to be recognized after it.
func (r *Ring) DeriveAll(label string) [][]byte {
	out := make([][]byte, 0, len(r.keys))
	for _, key := range r.keys {
		out = append(out, key.derive(infoDerive+label, KeySize))
	}
	return out
}

// Format implements fmt.Formatter and reveals nothing, whatever the verb.
func (r *Ring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }
