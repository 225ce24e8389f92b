package deliver

import (
	"sync"

	"github.com/waypost/waypost/internal/dkim"
	"github.com/waypost/waypost/internal/waypost"
)

// signatureKey is what a signature depends on: the bytes of a message never change,
// but for its From.
type signatureKey struct {
	message  string
	from     waypost.Address
	replaced bool
	signer   dkim.Signer
}

// keptSignatures is how many signatures are remembered: enough for the jobs of a
// message with many recipient domains, which start close together.
const keptSignatures = 512

// signatures remembers the last signatures, since making one is the dearest part of
// sending a small mail.
type signatures struct {
	mu    sync.Mutex
	made  map[signatureKey]*signature
	order [keptSignatures]signatureKey
	next  int
}

type signature struct {
	once  sync.Once
	field []byte
	err   error
}

func newSignatures() *signatures {
	return &signatures{made: make(map[signatureKey]*signature, keptSignatures)}
}

// get returns the signature for a key, made once however many ask. An error is not
// remembered.
func (s *signatures) get(key signatureKey, sign func() ([]byte, error)) ([]byte, error) {
	s.mu.Lock()
	sig := s.made[key]
	if sig == nil {
		sig = &signature{err: errUnsigned} // stands if sign panics
		delete(s.made, s.order[s.next])
		s.order[s.next] = key
		s.next = (s.next + 1) % keptSignatures
		s.made[key] = sig
	}
	s.mu.Unlock()
	sig.once.Do(func() { sig.field, sig.err = sign() })
	if sig.err != nil {
		s.mu.Lock()
		if s.made[key] == sig {
			delete(s.made, key)
		}
		s.mu.Unlock()
	}
	return sig.field, sig.err
}
