package message

import (
	"encoding/json"
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/waypost"
)

// Limits of control fields.
const (
	maxTags          = 10
	maxTagRunes      = 64
	maxMetadataKeys  = 20
	maxMetadataBytes = 4096
	maxKey           = 255
	maxOperator      = 200
)

// Controls is what the sender asks of Waypost in header fields. Zero values mean
// that the field is missing.
type Controls struct {
	Kind           waypost.Kind
	Lane           waypost.Lane
	SendAt         time.Time
	ExpiresAt      time.Time
	Tags           []string
	Metadata       map[string]string
	Operator       string // id or name, as given
	IdempotencyKey string
	Unsubscribe    *bool // nil: not said
}

// ReadControls reads the control fields. A field that is there twice, or whose value
// is not what docs/headers.md says, is an Invalid error (5.6.0) that names it: a
// control that is silently ignored would send mail at the wrong time or twice.
func ReadControls(h *Header) (Controls, error) {
	var c Controls
	for i := range h.fields {
		f := &h.fields[i]
		var err error
		switch {
		case f.is("Idempotency-Key"):
			c.IdempotencyKey, err = readKey(f.text())
		case !hasPrefixFold(f.raw, "X-Waypost-"):
			continue
		case f.is("X-Waypost-Kind"):
			c.Kind, err = readName(f.text(), waypost.ParseKind, "event, report, balance, security, test or other")
		case f.is("X-Waypost-Lane"):
			c.Lane, err = readName(f.text(), waypost.ParseLane, "alarm, transactional, report or bulk")
		case f.is("X-Waypost-Send-At"):
			c.SendAt, err = readTime(f.text())
		case f.is("X-Waypost-Expires-At"):
			c.ExpiresAt, err = readTime(f.text())
		case f.is("X-Waypost-Tags"):
			c.Tags, err = readTags(DecodeText(f.text()))
		case f.is("X-Waypost-Metadata"):
			c.Metadata, err = readMetadata(f.text())
		case f.is("X-Waypost-Operator"):
			c.Operator, err = readOperator(DecodeText(f.text()))
		case f.is("X-Waypost-Unsubscribe"):
			c.Unsubscribe, err = readYes(f.text())
		default:
			continue
		}
		name := string(f.raw[:f.name])
		if err != nil {
			return Controls{}, controlError(name, err.Error())
		}
		if h.Count(name) > 1 {
			return Controls{}, controlError(name, "is there twice")
		}
	}
	return c, nil
}

// problem is what is wrong with a value, as the end of a sentence that begins with
// the name of the field.
type problem string

func (p problem) Error() string { return string(p) }

func controlError(name, what string) error {
	return &waypost.Error{
		Kind: waypost.Invalid, Code: "bad_control", Field: name, SMTP: "5.6.0",
		Message: "header field " + name + " " + what,
	}
}

func readName[T any](s string, parse func(string) (T, bool), names string) (T, error) {
	v, ok := parse(strings.ToLower(s))
	if !ok {
		return v, problem("must be one of " + names)
	}
	return v, nil
}

func readTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), nil
	}
	t, err := mail.ParseDate(s)
	if err != nil {
		return time.Time{}, problem("must be a time such as 2026-01-31T08:00:00Z (RFC 3339 or RFC 5322)")
	}
	return t.UTC(), nil
}

func readTags(s string) ([]string, error) {
	var tags []string
	for tag := range strings.SplitSeq(s, ",") {
		if tag = strings.TrimSpace(tag); tag == "" {
			continue
		}
		if utf8.RuneCountInString(tag) > maxTagRunes || len(tags) == maxTags {
			return nil, problem("must be at most 10 tags of at most 64 characters, separated by commas")
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

func readMetadata(s string) (map[string]string, error) {
	var m map[string]string
	switch {
	case len(s) > maxMetadataBytes:
		return nil, problem("is longer than 4096 bytes")
	case json.Unmarshal([]byte(decodeWords(s)), &m) != nil:
		return nil, problem(`must be a JSON object of strings, such as {"unit":"4711"}`)
	case len(m) > maxMetadataKeys:
		return nil, problem("has more than 20 keys")
	}
	return m, nil
}

func readYes(s string) (*bool, error) {
	yes := strings.EqualFold(s, "yes")
	if !yes && !strings.EqualFold(s, "no") {
		return nil, problem("must be yes or no")
	}
	return &yes, nil
}

func readOperator(s string) (string, error) {
	if s == "" || len(s) > maxOperator {
		return "", problem("must name an operator")
	}
	return s, nil
}

func readKey(s string) (string, error) {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return "", problem("must be visible ASCII")
		}
	}
	if s == "" || len(s) > maxKey {
		return "", problem("must have 1 to 255 characters")
	}
	return s, nil
}
