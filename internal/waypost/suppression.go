package waypost

import (
	"strings"
	"time"
)

// Suppression is an address an operator must not mail.
type Suppression struct {
	OperatorID string
	Address    string // normalized
	Reason     SuppressionReason
	Kind       Kind // "" for mail of every kind
	Detail     string
	Created    time.Time
	Expires    time.Time      // zero: for ever
	Hits       int            // how often it was found, at least 1
	MessageID  string         // the mail that showed it last; "" for none
	Via        SuppressionVia // "" if it is from before this was noted
}

// InForce reports whether it holds at a time.
func (n Suppression) InForce(now time.Time) bool { return n.Expires.IsZero() || n.Expires.After(now) }

// AllKinds asks for suppressions that are for mail of every kind, where "" asks for any.
const AllKinds Kind = "all"

// SuppressionVia is how a suppression came about.
type SuppressionVia string

// The ways.
const (
	ViaMail     SuppressionVia = "mail"      // a bounce or a complaint
	ViaOneClick SuppressionVia = "one_click" // the recipient, in its mail program (RFC 8058)
	ViaPage     SuppressionVia = "page"      // the recipient, on the page behind the link
	ViaAPI      SuppressionVia = "api"
	ViaPanel    SuppressionVia = "panel"
	ViaImport   SuppressionVia = "import"
	ViaCommand  SuppressionVia = "command"
)

// ByRecipient reports whether it is the recipient's own word.
func (v SuppressionVia) ByRecipient() bool { return v == ViaOneClick || v == ViaPage }

// ViaOf is how an actor adds one.
func ViaOf(by Actor) SuppressionVia {
	switch {
	case strings.HasPrefix(by.ID, "user:"):
		return ViaPanel
	case strings.HasPrefix(by.ID, "credential:"):
		return ViaAPI
	}
	return ViaCommand
}

// SuppressionReason says why an address is suppressed.
type SuppressionReason string

// The reasons. Mail of kind security passes soft, complaint and unsubscribe.
const (
	SuppressedManual      SuppressionReason = "manual"
	SuppressedHard        SuppressionReason = "hard_bounce"
	SuppressedSoft        SuppressionReason = "soft_bounce"
	SuppressedComplaint   SuppressionReason = "complaint"
	SuppressedUnsubscribe SuppressionReason = "unsubscribe"
)

// Word reports whether a suppression for this reason is somebody's word, which holds for
// exempt addresses too, rather than what became of mail.
func (r SuppressionReason) Word() bool {
	return r == SuppressedManual || r == SuppressedUnsubscribe
}

// SuppressionPolicy says how long addresses are suppressed by what happened to mail for
// them, and by what they say themselves. What an operator adds has no policy: it lasts as
// long as the operator says.
type SuppressionPolicy struct {
	Hard        time.Duration // the first time an address turns out not to work
	HardMost    time.Duration // each time after that it is twice as long, up to this
	Soft        time.Duration // an address that keeps refusing, a full mailbox for one
	SoftCount   int           // so many given-up mails
	SoftWithin  time.Duration // within this time
	Complaint   time.Duration
	Unsubscribe time.Duration
}

// DefaultSuppressionPolicy is the one that holds unless the owner sets another.
func DefaultSuppressionPolicy() SuppressionPolicy {
	const day = 24 * time.Hour
	return SuppressionPolicy{Hard: 7 * day, HardMost: 365 * day, Soft: day, SoftCount: 3, SoftWithin: 7 * day, Complaint: 365 * day, Unsubscribe: 365 * day}
}

// Symptom is what happened to a mail that speaks against its address: a bounce that is the
// recipient's fault, or a complaint. What becomes of it is the policy's to say.
type Symptom struct {
	Reason     SuppressionReason // hard_bounce, soft_bounce or complaint
	OperatorID string
	Address    string // of the recipient
	MessageID  string // the evidence: its page shows the rest
	Detail     string // in the other side's words
	At         time.Time
}
