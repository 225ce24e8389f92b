package waypost

import "time"

// Suppression is an address an operator must not mail.
type Suppression struct {
	OperatorID string
	Address    string // normalized
	Reason     SuppressionReason
	Detail     string
	Created    time.Time
	Expires    time.Time // zero: for ever
	Hits       int       // how often it was found, at least 1
	MessageID  string    // the mail that showed it last; "" for a person's word
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

// SuppressionPolicy says how long addresses are suppressed by what happened to mail for
// them. Unsubscribing and a person's word have no policy: they last until they are taken back.
type SuppressionPolicy struct {
	Hard       time.Duration // the first time an address turns out not to work
	HardMost   time.Duration // each time after that it is twice as long, up to this
	Soft       time.Duration // an address that keeps refusing, a full mailbox for one
	SoftCount  int           // so many given-up mails
	SoftWithin time.Duration // within this time
	Complaint  time.Duration
}

// DefaultSuppressionPolicy is the one that holds unless the owner sets another.
func DefaultSuppressionPolicy() SuppressionPolicy {
	const day = 24 * time.Hour
	return SuppressionPolicy{Hard: 7 * day, HardMost: 365 * day, Soft: day, SoftCount: 3, SoftWithin: 7 * day, Complaint: 365 * day}
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
