package view

import (
	"strconv"
	"time"
)

// Keys is the list of an operator's API keys.
type Keys struct {
	Rows        []Key
	Write       bool
	First, Next string
}

// Key is an API key as shown, without what proves it.
type Key struct {
	ID, Name, Hint         string
	Test                   bool
	Scopes, Networks       []string
	Kind                   string // the usual kind of its mail, "" for none
	Refuses                bool   // a From that is not the operator's
	Created, Used, Revoked time.Time
}

// called is what a key is called.
func (k Key) called() string {
	if k.Name != "" {
		return k.Name
	}
	return k.Hint + "…"
}

// CredentialForm is the form that makes a key.
type CredentialForm struct {
	Name, Mode, Scopes, Kind, Policy, Networks Field
	Problem                                    string
}

// NewKey is a key that was just made, shown once.
type NewKey struct {
	Key           string
	Test          bool
	Curl, SMTP    string // commands that use it; SMTP is "" where nothing listens
	Host          string
	StartTLS, TLS int // ports, 0 for none
}

func port(n int) string { return strconv.Itoa(n) }
