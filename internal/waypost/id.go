package waypost

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// NewID returns a UUIDv7 (RFC 9562 section 5.7) in its canonical text form. Ids made later
// sort after earlier ones, to a quarter of a microsecond, so a table keyed by id grows at
// its right edge and a period of time is a range of ids.
func NewID() string { return NewIDAt(time.Now()) }

// NewIDAt is NewID for a given instant.
func NewIDAt(at time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(at.UnixMilli())<<16)
	_, _ = rand.Read(b[8:]) // never fails since Go 1.24
	// The 12 bits after the millisecond are the fraction of it (section 6.2, method 3).
	fraction := uint16(at.Nanosecond() % 1e6 * 4096 / 1e6)
	b[6], b[7] = byte(fraction>>8)|0x70, byte(fraction)
	b[8] = b[8]&0x3f | 0x80
	return formatID(b)
}

// FirstIDAt returns the smallest id an instant can have: the lower bound of an
// id range that begins at that instant.
func FirstIDAt(at time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(at.UnixMilli())<<16)
	b[6] = 0x70
	b[8] = 0x80
	return formatID(b)
}

// ParseID returns the 16 bytes of a canonical UUID text, and whether it is one.
func ParseID(id string) ([16]byte, bool) {
	var b [16]byte
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return b, false
	}
	var digits [32]byte
	n := 0
	for i := range len(id) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			continue
		}
		digits[n] = id[i]
		n++
	}
	if _, err := hex.Decode(b[:], digits[:]); err != nil {
		return b, false
	}
	return b, true
}

// FormatID is the inverse of ParseID.
func FormatID(b [16]byte) string { return formatID(b) }

func formatID(b [16]byte) string {
	var out [36]byte
	hex.Encode(out[0:8], b[0:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:36], b[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// Millis is an instant as stored: unix milliseconds, 0 meaning "never" or "not set".
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// FromMillis is the inverse of Millis, in UTC.
func FromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
