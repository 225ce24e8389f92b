package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Text is a secret in memory. However it is printed (fmt with any verb, slog,
// encoding/json, text encoders), it shows as "[redacted]", or as nothing if it is
// empty. The zero value is the empty secret.
type Text struct {
	// A pointer, because fmt cannot call the methods of an unexported field and
	// would print what it holds: this way that is an address.
	value *string
}

// NewText returns s as a secret.
func NewText(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{value: &s}
}

// Reveal returns the secret itself.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// Empty reports whether there is no secret.
func (t Text) Empty() bool { return t.Reveal() == "" }

// Equal compares two secrets in a time that depends on their lengths only.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other.Reveal())) == 1
}

// String implements fmt.Stringer and reveals nothing.
func (t Text) String() string {
	if t.Empty() {
		return ""
	}
	return redacted
}

// Format implements fmt.Formatter and reveals nothing, whatever the verb.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue implements slog.LogValuer and reveals nothing.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText implements encoding.TextMarshaler, which JSON, XML and YAML use too,
// and reveals nothing.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
