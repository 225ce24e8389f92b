package waypost

import (
	"slices"
	"time"
)

// Scope is a permission of a credential.
type Scope string

// The scopes.
const (
	ScopeSend      Scope = "send"          // submit mail
	ScopeSecurity  Scope = "send:security" // submit kind security
	ScopeAlarm     Scope = "send:alarm"    // submit into lane alarm by asking
	ScopeRead      Scope = "read"          // messages, deliveries, events, conservation
	ScopeContent   Scope = "read:content"  // raw content
	ScopeControl   Scope = "control"       // retry, cancel, hold, release
	ScopeSettings  Scope = "settings"      // gateway, senders, suppressions
	ScopeOperators Scope = "operators"     // platform only: manage operators and their credentials
)

// DefaultScopes are those of a credential made without naming any.
func DefaultScopes() []Scope {
	return []Scope{ScopeSend, ScopeRead, ScopeContent, ScopeControl, ScopeSettings}
}

// AllScopes lists every scope there is.
func AllScopes() []Scope {
	return []Scope{
		ScopeSend, ScopeSecurity, ScopeAlarm, ScopeRead, ScopeContent,
		ScopeControl, ScopeSettings, ScopeOperators,
	}
}

// FromPolicy says what happens to a From that is not one of the operator's senders.
type FromPolicy string

// The policies.
const (
	FromReplace FromPolicy = "replace"
	FromRefuse  FromPolicy = "refuse"
)

// Principal is who asks, after authentication.
type Principal struct {
	CredentialID string
	UserID       string // a person who signed in, instead of a credential
	OperatorID   string // "" for a platform credential that named none
	Platform     bool   // the credential is the platform's
	Test         bool   // a test key: its mail always goes to the sandbox
	Scopes       []Scope
	DefaultKind  Kind // "" for none
	FromPolicy   FromPolicy
}

// Has reports whether the principal holds a scope.
func (p Principal) Has(s Scope) bool {
	return slices.Contains(p.Scopes, s)
}

// Actor names the principal in events.
func (p Principal) Actor() string {
	if p.UserID != "" {
		return "user:" + p.UserID
	}
	return "credential:" + p.CredentialID
}

// Submission is a mail as handed over, whatever protocol brought it.
type Submission struct {
	Principal  Principal
	OperatorID string
	Source     string // "smtp", "api", "panel", "notice", "forward", "test": for the Received field and the log
	Peer       string // client address, "" if there is none
	HelloName  string // what an SMTP client called itself
	Protocol   string // "ESMTPSA" and the like (RFC 3848), "HTTP" ...

	MailFrom   string   // envelope sender as given; the route decides what is used
	Recipients []string // envelope recipients, at least one
	Message    []byte   // header block, empty line, body; CRLF line ends
	Clean      bool     // bare CR, bare LF and NUL were refused as the message came in

	Kind           Kind // "" lets header, credential default and "other" decide, in this order
	Lane           Lane // "" derives it from the kind
	SendAt         time.Time
	ExpiresAt      time.Time
	Tags           []string
	Metadata       map[string]string
	IdempotencyKey string
	Unsubscribe    *bool  // whether it offers to unsubscribe from its kind; nil: as usual for that
	BatchID        string // set when one request became several messages
	Once           *Once  // set for test mails only
	Again          *Again // set for what was accepted before, only
	BodySHA256     []byte // set by callers whose request is more than Message; else made from it
}

// Again marks a submission as one that was accepted before, so that it has the operator's
// signature already, and says whose doing it is, for the audit log.
type Again struct {
	Of string // id of the message
	By Actor
}

// Receipt is the answer to a submission.
type Receipt struct {
	ID         string // the message's, or the batch's if it was split
	Deliveries []ReceiptDelivery
	Replayed   bool // an earlier submission with the same idempotency key; nothing was accepted now
}

// ReceiptDelivery is one recipient in a receipt.
type ReceiptDelivery struct {
	ID        string `json:"id"`
	MessageID string `json:"message_id"`
	To        string `json:"to"`
	Status    State  `json:"status"`
	Reason    string `json:"reason,omitempty"` // of one that is suppressed
}

// Message is one accepted mail. Header and Body are present only where a caller
// asked for content.
type Message struct {
	ID         string
	OperatorID string
	BatchID    string // "" unless split from one request
	Credential string
	Source     string
	Kind       Kind
	Lane       Lane
	Test       bool // accepted with a test key
	MailFrom   string
	From       Address // header From after accept
	Subject    string
	HeaderID   string // Message-ID field, with brackets
	Size       int64  // header and body, bytes
	Tags       []string
	Metadata   map[string]string
	Created    time.Time
	SendAt     time.Time
	Expires    time.Time
	Erased     time.Time // content removed at; zero while kept
	Header     []byte    // ends with the empty line
	Body       []byte
	BodyID     string
	EightBit   bool // header or body has a byte over 127
	HeaderUTF8 bool // header has a byte over 127: needs SMTPUTF8 (RFC 6532)
}
