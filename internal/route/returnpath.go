package route

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// BounceDomain is the domain of return paths below a domain: the platform's, or that of an
// operator whose CNAME there leads to the platform's.
func BounceDomain(domain string) string { return "bounce." + domain }

// ReturnPath makes the envelope senders of the built-in gateway: one per delivery
// (VERP), so that every bounce names its delivery, with a MAC, so that a forged one
// does not.
type ReturnPath struct {
	Domain string // "bounce.<platform domain>", A-labels
	Key    []byte // secret of this installation
}

// Id and MAC together are 25 bytes: exactly 40 characters of base32, so no character
// has bits that nobody looks at.
const (
	returnPathPrefix = "b-"
	returnPathID     = 16
	returnPathMAC    = 9 // bytes kept of the MAC
	returnPathLocal  = len(returnPathPrefix) + (returnPathID+returnPathMAC)/5*8
)

// Address returns the return path of a delivery, "" if its id is not a UUID.
func (r ReturnPath) Address(deliveryID string) string {
	id, ok := waypost.ParseID(deliveryID)
	if !ok {
		return ""
	}
	raw := r.mac(append(make([]byte, 0, returnPathID+sha256.Size), id[:]...))
	return returnPathPrefix + strings.ToLower(base32.StdEncoding.EncodeToString(raw)) + "@" + r.Domain
}

// Delivery returns the id of the delivery an address was made for, and whether it is
// genuine. Case does not matter: some servers change it on the way back.
func (r ReturnPath) Delivery(address string) (string, bool) {
	local, domain, ok := strings.Cut(address, "@")
	// Equal lengths leave no room for characters outside ASCII that fold into it.
	if !ok || len(local) != returnPathLocal || len(domain) != len(r.Domain) || !strings.EqualFold(domain, r.Domain) ||
		!strings.EqualFold(local[:len(returnPathPrefix)], returnPathPrefix) {
		return "", false
	}
	// What the decoder skips, line ends, makes the result too short.
	raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(local[len(returnPathPrefix):]))
	if err != nil || len(raw) != returnPathID+returnPathMAC {
		return "", false
	}
	id := [returnPathID]byte(raw)
	if !hmac.Equal(raw, r.mac(append(make([]byte, 0, returnPathID+sha256.Size), id[:]...))) {
		return "", false
	}
	return waypost.FormatID(id), true
}

// mac appends the MAC of an id to it.
func (r ReturnPath) mac(id []byte) []byte {
	h := hmac.New(sha256.New, r.Key)
	h.Write(id)
	return h.Sum(id)[:returnPathID+returnPathMAC]
}
