package route

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// ReturnPath makes the envelope senders of the built-in gateway: one per delivery
// (VERP), so that every bounce names its delivery, with a MAC, so that a forged one
// does not.
type ReturnPath struct {
	Domain string // "bounce.<platform domain>"
	Key    []byte
}

const (
	returnPathPrefix = "b-"
	returnPathMAC    = 8 // bytes kept of the MAC
)

func returnPathEncoding() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// Address returns the return path of a delivery, "" if its id is not a UUID.
func (r ReturnPath) Address(deliveryID string) string {
	id, ok := waypost.ParseID(deliveryID)
	if !ok {
		return ""
	}
	return returnPathPrefix + returnPathEncoding().EncodeToString(append(id[:], r.mac(id)...)) + "@" + r.Domain
}

// Delivery returns the id of the delivery an address was made for, and whether it is
// genuine. Case does not matter: some servers change it on the way back.
func (r ReturnPath) Delivery(address string) (string, bool) {
	local, domain, ok := strings.Cut(strings.ToLower(address), "@")
	if !ok || domain != strings.ToLower(r.Domain) || !strings.HasPrefix(local, returnPathPrefix) {
		return "", false
	}
	raw, err := returnPathEncoding().DecodeString(local[len(returnPathPrefix):])
	if err != nil || len(raw) != 16+returnPathMAC {
		return "", false
	}
	var id [16]byte
	copy(id[:], raw)
	if !hmac.Equal(raw[16:], r.mac(id)) {
		return "", false
	}
	return waypost.FormatID(id), true
}

func (r ReturnPath) mac(id [16]byte) []byte {
	h := hmac.New(sha256.New, r.Key)
	h.Write(id[:])
	return h.Sum(nil)[:returnPathMAC]
}
