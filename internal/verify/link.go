package verify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// Link leads whoever has it to the page with the records of one domain.
type Link struct {
	OperatorID, DomainID string
	Expires              time.Time // to the second
}

// LinkKeys sign links with the first and know them by any.
type LinkKeys [][]byte

// Parts of a token, in bytes: the domain's id, the operator's, the last second, and the
// HMAC of these.
const (
	tokenIDs  = 16 + 16
	tokenText = tokenIDs + 8
)

// Token writes the token of a link; ok is false if its ids are none.
func (k LinkKeys) Token(l Link) (token string, ok bool) {
	domain, ok1 := waypost.ParseID(l.DomainID)
	operator, ok2 := waypost.ParseID(l.OperatorID)
	b := append(domain[:], operator[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(l.Expires.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(b, linkMAC(k[0], b)...)), ok1 && ok2
}

// Read reads a token that was made with one of the keys, whether it has expired or not.
func (k LinkKeys) Read(token string) (Link, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != tokenText+sha256.Size {
		return Link{}, false
	}
	text, mac := b[:tokenText], b[tokenText:]
	for _, key := range k {
		if hmac.Equal(mac, linkMAC(key, text)) { // takes the same time for any wrong one
			return Link{
				DomainID: waypost.FormatID([16]byte(text[:16])), OperatorID: waypost.FormatID([16]byte(text[16:tokenIDs])),
				Expires: time.Unix(int64(binary.BigEndian.Uint64(text[tokenIDs:])), 0),
			}, true
		}
	}
	return Link{}, false
}

func linkMAC(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}
