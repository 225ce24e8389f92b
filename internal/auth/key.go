package auth

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
)

// The parts of a key.
const (
	prefixLive = "wp_live_"
	prefixTest = "wp_test_"
	keyBytes   = 20 // 160 bits
	keyLength  = len(prefixLive) + keyBytes*8/5
	hintLength = 12 // shown in lists: the prefix and 20 of the 160 bits
)

// The alphabet of RFC 4648 section 6 in lower case, which survives more keyboards.
const alphabet = "abcdefghijklmnopqrstuvwxyz234567"

func newKey(test bool) string {
	var b [keyBytes]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand crashes the program instead
	prefix := prefixLive
	if test {
		prefix = prefixTest
	}
	return prefix + base32.NewEncoding(alphabet).EncodeToString(b[:])
}

// wellFormed reports whether a text can be a key.
func wellFormed(key string) bool {
	if len(key) != keyLength || (!strings.HasPrefix(key, prefixLive) && !strings.HasPrefix(key, prefixTest)) {
		return false
	}
	return strings.Trim(key[len(prefixLive):], alphabet) == ""
}
