package dkim

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Errors of signing, matched with errors.Is.
var (
	ErrNoFrom     = errors.New("dkim: header has no From field")
	ErrSignerName = errors.New("dkim: signing domain or selector is not a DNS name")
)

// Signer signs for a domain with one key. It is a value; any number of goroutines
// may use it.
type Signer struct {
	Domain   string // d=: A-labels, no final dot
	Selector string // s=: the record is at Selector._domainkey.Domain
	Key      *Key   // not nil
}

// Sign returns the DKIM-Signature field of a message, with its CRLF, to be put
// before the header. The header's fields end with CRLF; the empty line after them
// may be there or not. The body is as BodyHash takes it. Now becomes t=.
func (s Signer) Sign(header, body []byte, now time.Time) ([]byte, error) {
	return s.SignWithBodyHash(header, BodyHash(body), now)
}

// SignWithBodyHash is Sign for a body whose hash is known.
func (s Signer) SignWithBodyHash(header []byte, bodyHash [sha256.Size]byte, now time.Time) ([]byte, error) {
	if !isDNSName(s.Domain) || !isDNSName(s.Selector) {
		return nil, ErrSignerName
	}
	fields := signedFields(header)
	names := signedNames()

	sig := newFolded("DKIM-Signature:")
	sig.add(" ", "v=1;")
	sig.add(" ", "a=rsa-sha256;")
	sig.add(" ", "c=relaxed/relaxed;")
	sig.add(" ", "d="+s.Domain+";")
	sig.add(" ", "s="+s.Selector+";")
	sig.add(" ", "t="+strconv.FormatInt(now.Unix(), 10)+";")

	// The hash runs over the fields in the order of h=, and of fields with the same
	// name from the last one up (RFC 6376 section 5.4.2). A name without a field
	// left adds nothing to the hash.
	signed := make([]byte, 0, len(header)+512)
	listed := make([]string, 0, len(fields)+oversigned)
	for n, name := range names {
		before := len(listed)
		for _, f := range slices.Backward(fields) {
			if f.name == n {
				signed = append(appendField(signed, name, f.value), "\r\n"...)
				listed = append(listed, name)
			}
		}
		if len(listed) == 0 {
			return nil, ErrNoFrom // RFC 6376 section 5.4: From MUST be signed
		}
		if n < alwaysOversigned || n < oversigned && len(listed) > before {
			listed = append(listed, name)
		}
	}
	last := len(listed) - 1
	sep, lead := " ", "h="
	for _, name := range listed[:last] {
		sig.add(sep, lead+name+":")
		sep, lead = "", ""
	}
	sig.add(sep, listed[last]+";")

	sig.add(" ", "bh="+base64.StdEncoding.EncodeToString(bodyHash[:])+";")

	// Last of all goes this field itself, with an empty b= and without CRLF (RFC
	// 6376 section 3.7).
	sig.add(" ", "b=")
	signed = appendField(signed, "DKIM-Signature", sig.value())
	digest := sha256.Sum256(signed)
	b, err := s.Key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("dkim: sign for %s._domainkey.%s: %w", s.Selector, s.Domain, err)
	}
	sig.addBroken(base64.StdEncoding.EncodeToString(b))
	return append(sig.text, "\r\n"...), nil
}

// isDNSName reports whether a name is made of the characters of host names and
// the underscore, which keeps it from breaking out of its tag.
func isDNSName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		case c == '.' && i > 0 && i < len(name)-1 && name[i-1] != '.':
		default:
			return false
		}
	}
	return name != "" && len(name) <= 253
}
