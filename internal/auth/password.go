package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed" // the list of common passwords
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/waypost/waypost/internal/waypost"
)

// Lengths of a password, in bytes. There is no rule about what is in it: such rules make
// passwords worse (NIST SP 800-63B section 3.1.1.2).
const (
	minPassword = 10
	maxPassword = 1000
)

// The text of well-known passwords that are long enough, one a line in lower case.
//
//go:embed passwords.txt
var commonPasswords string

// checkPassword says why a password will not do. names are what everybody knows of the
// user.
func checkPassword(password string, names ...string) error {
	switch {
	case !utf8.ValidString(password):
		return badPassword("password_invalid", "this is not UTF-8")
	case len(password) < minPassword:
		return badPassword("password_short", fmt.Sprintf("at least %d characters", minPassword))
	case len(password) > maxPassword:
		return badPassword("password_long", fmt.Sprintf("at most %d characters", maxPassword))
	}
	lower := strings.ToLower(norm.NFC.String(password))
	for _, name := range names {
		if name != "" && lower == strings.ToLower(name) {
			return badPassword("password_same", "must differ from login and e-mail address")
		}
	}
	for common := range strings.SplitSeq(commonPasswords, "\n") {
		if lower == common {
			return badPassword("password_common", "one of the passwords that are tried first: choose another one")
		}
	}
	return nil
}

func badPassword(code, message string) error {
	return &waypost.Error{Kind: waypost.Invalid, Code: code, Field: "password", Message: message}
}

// cost is what one hash takes (RFC 9106 section 3.1).
type cost struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

// usualCost is the least that RFC 9106 section 4 and OWASP leave standing for a server
// that others ask: 19 MiB and some 20 ms.
func usualCost() cost { return cost{memory: 19 * 1024, time: 2, threads: 1} }

const (
	saltSize    = 16
	keySize     = 32
	hashSlots   = 1  // hashes at once in each line: 38 MiB in both
	hashWaiting = 64 // and this many wait, about two seconds
)

// line lets some in at once, and some others wait for that.
type line struct {
	slots   chan struct{}
	waiting chan struct{} // and those who are in
}

func newLine() line {
	return line{slots: make(chan struct{}, hashSlots), waiting: make(chan struct{}, hashSlots+hashWaiting)}
}

// busy reports whether the next one has to wait.
func (l *line) busy() bool { return len(l.slots) == cap(l.slots) }

// enter waits for a slot; leave gives it back.
func (l *line) enter(ctx context.Context) error {
	select {
	case l.waiting <- struct{}{}:
	default:
		return waypost.NewError(waypost.Unavailable, "busy", "too many people sign in right now: try again in a moment")
	}
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		<-l.waiting
		return fmt.Errorf("wait for a hash: %w", ctx.Err())
	}
}

func (l *line) leave() {
	<-l.slots
	<-l.waiting
}

// hasher makes and checks hashes of passwords. However many ask, it takes the memory of its
// slots. Strangers, who may be as many as they like, have a line of their own, so that who
// has proved something, or comes from where the user signed in before, does not wait behind
// them.
type hasher struct {
	cost      cost
	strangers line
	known     line
}

func newHasher(memory uint32) *hasher {
	c := usualCost()
	if memory > 0 {
		c.memory = memory
	}
	return &hasher{cost: c, strangers: newLine(), known: newLine()}
}

// hash returns the argon2id hash of a password as a PHC string. No stranger sets a password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.known.enter(ctx); err != nil {
		return "", err
	}
	defer h.known.leave()
	salt := random(saltSize)
	return phc(h.cost, salt, h.cost.key(password, salt, keySize)), nil
}

// verify reports whether a password belongs to a PHC string, and whether that should be
// made anew at today's cost. Without a string it takes as long, and the answer is no. It waits
// in one of the lines.
func (h *hasher) verify(ctx context.Context, l *line, stored, password string) (ok, stale bool, err error) {
	nobody := stored == ""
	if nobody {
		stored = phc(h.cost, random(saltSize), random(keySize))
	}
	c, salt, key, err := parsePHC(stored)
	if err != nil {
		return false, false, err
	}
	if len(password) > maxPassword { // no password is
		password, nobody = "", true
	}
	if err := l.enter(ctx); err != nil {
		return false, false, err
	}
	defer l.leave()
	same := subtle.ConstantTimeCompare(c.key(password, salt, len(key)), key) == 1
	return same && !nobody, c != h.cost || len(key) != keySize, nil
}

// key derives the key. The same characters can be typed as different bytes, so the
// password is composed first (RFC 8265 section 4.2.2).
func (c cost) key(password string, salt []byte, size int) []byte {
	return argon2.IDKey([]byte(norm.NFC.String(password)), salt, c.time, c.memory, c.threads, uint32(size))
}

// phc writes the PHC string format, which argon2's own tools use too.
func phc(c cost, salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.time, c.threads,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}

// errHash says nothing about the hash on purpose.
var errHash = errors.New("stored password hash is damaged")

func parsePHC(text string) (c cost, salt, key []byte, err error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, errHash
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.threads); err != nil || n != 3 {
		return c, nil, nil, errHash
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[4])
	key, keyErr := base64.RawStdEncoding.DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(salt) < 8 || len(key) < 16 || len(key) > 64 ||
		c.time < 1 || c.time > 16 || c.threads < 1 || c.memory > 1<<20 || c.memory < 8*uint32(c.threads) {
		return c, nil, nil, errHash
	}
	return c, salt, key, nil
}

func random(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b) // never fails: crypto/rand crashes the program instead
	return b
}
