package message

import (
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// A mail with more trace fields than maxReceived is taken to be in a loop (RFC 5321
// section 6.3). Our own tell sooner: an operator's server may hand a mail back to us
// for another recipient, but not again and again.
const (
	maxReceived = 50
	maxPassed   = 5
)

// Action is what an edit does to a field.
type Action string

// The actions.
const (
	Remove         Action = "remove"
	RemoveWithFrom Action = "remove if From is replaced"
	Replace        Action = "replace"     // when the caller says with what
	AddIfMissing   Action = "add"         // when it is missing or empty, and there is a value
	AddOnTop       Action = "add on top"  // above everything that is there
	FoldLong       Action = "fold"        // lines over 998 bytes, at their white space
	Sign           Action = "sign on top" // by package dkim, with what it signs
)

// Stage is when an edit happens.
type Stage string

// The stages.
const (
	AtAccept  Stage = "accept"  // once, before the mail is stored
	AtAttempt Stage = "attempt" // for each try, on a copy; the stored header stays
)

// Edit is one change to the header of a submitted mail.
type Edit struct {
	Field  string // name; a trailing "*" stands for any rest, "*" for every field
	Action Action
	When   Stage
	Why    string
}

// Edits returns every change made to the header of a submitted mail, in the order
// in which it is made. Accept and ForAttempt execute these rows and do nothing else;
// docs/headers.md shows them.
func Edits() []Edit {
	return []Edit{
		{"Bcc", Remove, AtAccept, "blind recipients stay blind (RFC 5322 section 3.6.3)"},
		{"Resent-Bcc", Remove, AtAccept, "as Bcc (RFC 5322 section 3.6.6)"},
		{"Return-Path", Remove, AtAccept, "only the server of the final delivery writes it (RFC 5321 section 4.4)"},
		{"X-Waypost-Kind", Remove, AtAccept, "control: kind of the mail; read first"},
		{"X-Waypost-Lane", Remove, AtAccept, "control: lane; read first"},
		{"X-Waypost-Send-At", Remove, AtAccept, "control: not before this time; read first"},
		{"X-Waypost-Expires-At", Remove, AtAccept, "control: not after this time; read first"},
		{"X-Waypost-Tags", Remove, AtAccept, "control: tags, separated by commas; read first"},
		{"X-Waypost-Metadata", Remove, AtAccept, "control: a JSON object of strings; read first"},
		{"X-Waypost-Operator", Remove, AtAccept, "control: operator of a platform credential's mail; read first"},
		{"X-Waypost-Unsubscribe", Remove, AtAccept, "control: whether to offer unsubscribing; read first"},
		{"X-Waypost-*", Remove, AtAccept, "the name space is ours; unknown controls do not leave the house"},
		{"Idempotency-Key", Remove, AtAccept, "control: key against double submission; read first"},
		{"From", Replace, AtAccept, "not one of the operator's senders: its default sender takes the place"},
		{"Sender", RemoveWithFrom, AtAccept, "it names the replaced address"},
		{"Reply-To", AddIfMissing, AtAccept, "the operator's reply address, if it has one"},
		{"Message-ID", AddIfMissing, AtAccept, "every mail needs one (RFC 5322 section 3.6.4), and retries must keep it"},
		{"Date", AddIfMissing, AtAccept, "required (RFC 5322 section 3.6.1)"},
		{"List-Unsubscribe", AddIfMissing, AtAccept, "one click stops mail of this kind (RFC 8058); only if the mail offers it and is for one recipient"},
		{"List-Unsubscribe-Post", AddIfMissing, AtAccept, "with the field above (RFC 8058 section 3.1)"},
		{"*", FoldLong, AtAccept, "longer lines are refused or cut by other servers (RFC 5322 section 2.1.1)"},
		{"Received", AddOnTop, AtAccept, "trace (RFC 5321 section 4.4)"},
		{"From", Replace, AtAttempt, "the route does not allow the stored From"},
		{"Sender", RemoveWithFrom, AtAttempt, "it names the replaced address"},
		{"DKIM-Signature", Sign, AtAttempt, "on the built-in gateway; signatures of others are kept"},
	}
}

// AcceptEdit holds the values for the edits at accept.
type AcceptEdit struct {
	From            *waypost.Address // replaces From; nil keeps it
	ReplyTo         string           // the operator's Reply-To, an address list; "" for none
	ID              string           // left side of a new Message-ID
	MessageIDDomain string           // and its right side
	Now             time.Time        // for Date and Received
	Unsubscribe     string           // https link for List-Unsubscribe; "" for none
	Received        Received
}

// Accept makes the edits of accepting and returns the value of the Message-ID field,
// with its brackets. More than 50 Received fields, or more than 5 that name e.Received.By
// as the host that wrote them, are Invalid (5.4.6). After an error the header is not to
// be used.
func (h *Header) Accept(e AcceptEdit) (messageID string, err error) {
	if n := h.Count("Received"); n > maxReceived {
		return "", loopError("the mail has " + strconv.Itoa(n) + " Received fields")
	}
	if n := h.passed(e.Received.By); n > maxPassed {
		return "", loopError("the mail has been here " + strconv.Itoa(n) + " times")
	}
	for _, edit := range Edits() {
		if edit.When != AtAccept {
			continue
		}
		if err := h.apply(edit, e); err != nil {
			return "", err
		}
	}
	return h.Get("Message-ID"), nil
}

func loopError(why string) error {
	return &waypost.Error{Kind: waypost.Invalid, Code: "routing_loop", SMTP: "5.4.6", Message: "routing loop: " + why}
}

// ForAttempt makes the edits of an attempt on a stored header block: From becomes
// from. With nil the block itself comes back.
func ForAttempt(block []byte, from *waypost.Address) []byte {
	if from == nil {
		return block
	}
	h := readHeader(block)
	for _, edit := range Edits() {
		if edit.When != AtAttempt {
			continue
		}
		// FormatAddress makes a value that is never refused.
		if err := h.apply(edit, AcceptEdit{From: from}); err != nil {
			return block
		}
	}
	return h.Bytes()
}

// apply executes one row.
func (h *Header) apply(edit Edit, e AcceptEdit) error {
	switch edit.Action {
	case Remove:
		if prefix, ok := strings.CutSuffix(edit.Field, "*"); ok {
			h.delPrefix(prefix)
		} else {
			h.Del(edit.Field)
		}
	case RemoveWithFrom:
		if e.From != nil {
			h.Del(edit.Field)
		}
	case Replace:
		return h.put(h.Set, edit.Field, e)
	case AddIfMissing:
		if h.Get(edit.Field) == "" {
			return h.put(h.Set, edit.Field, e)
		}
	case AddOnTop:
		return h.put(h.Prepend, edit.Field, e)
	case FoldLong:
		h.foldLong()
	case Sign: // the signature covers the finished header, so package dkim adds it last
	}
	return nil
}

func (h *Header) put(how func(name, value string) error, name string, e AcceptEdit) error {
	value, err := e.value(name)
	if err != nil || value == "" {
		return err
	}
	return how(name, value)
}

// value returns what an edit writes into a field, "" for nothing.
func (e AcceptEdit) value(name string) (string, error) {
	switch name {
	case "From":
		if e.From != nil {
			return FormatAddress(*e.From), nil
		}
	case "Reply-To":
		if e.ReplyTo != "" {
			list, err := ParseAddressList(e.ReplyTo)
			return FormatAddressList(list), err
		}
	case "Message-ID":
		return "<" + e.ID + "@" + e.MessageIDDomain + ">", nil
	case "Date":
		return FormatDate(e.Now), nil
	case "List-Unsubscribe":
		if e.Unsubscribe != "" {
			return "<" + e.Unsubscribe + ">", nil
		}
	case "List-Unsubscribe-Post":
		if e.Unsubscribe != "" {
			return "List-Unsubscribe=One-Click", nil
		}
	case "Received":
		return e.Received.Value(e.Now), nil
	}
	return "", nil
}
