package waypost

import "time"

// Feedback is what somebody reported about a delivery after it had left, and proved to be
// about this one.
type Feedback struct {
	DeliveryID string
	Sort       FeedbackSort
	Cause      string            // of a bounce: classify's
	Rule       string            // of a bounce: the rule that named the cause
	Symptom    SuppressionReason // what it says about the recipient's address; "" for nothing
	Detail     string            // the reporter's own words
	Reporter   string            // as it calls itself, and its address
	At         time.Time
}

// FeedbackSort is what feedback there is.
type FeedbackSort string

// The sorts.
const (
	FeedbackBounce    FeedbackSort = "bounce"
	FeedbackComplaint FeedbackSort = "complaint"
)
