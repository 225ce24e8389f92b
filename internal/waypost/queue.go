package waypost

import "time"

// QueueState is where a queued delivery stands.
type QueueState string

// The queue states.
const (
	QueueLeased    QueueState = "leased"    // a node works on it
	QueueHeld      QueueState = "held"      // waits for a person
	QueueDeferred  QueueState = "deferred"  // tried before, waits for its next time
	QueueScheduled QueueState = "scheduled" // never tried, waits for its time or its turn
)

// QueueStates lists them.
func QueueStates() []QueueState {
	return []QueueState{QueueScheduled, QueueDeferred, QueueHeld, QueueLeased}
}

// QueueFilter picks queued deliveries; its zero value picks all.
type QueueFilter struct {
	OperatorID string
	Domain     string // of the recipient, in A-labels
	Lane       Lane
	State      QueueState
}

// QueueWhere names deliveries to control: one of any state by id, or all queued ones of
// an operator, to a domain, both, or everywhere.
type QueueWhere struct {
	DeliveryID string
	OperatorID string
	Domain     string // of the recipient, in A-labels
	All        bool   // must be set if nothing else is
}

// Backlog is the mail of one operator to one site that waits in rows; what a node has in
// its memory is not in it. Counting stops at a bound.
type Backlog struct {
	OperatorID string
	Site       string
	Waiting    int64
	More       bool      // there are more than were counted
	Oldest     time.Time // when the oldest of those counted was accepted
	Next       time.Time // when the next one is due
	Reason     string    // why one of them waits, in the remote's words; "" if none was tried
}

// QueueSize is how much of an operator's mail is queued, leased and held included.
type QueueSize struct {
	OperatorID string
	Name       string // "" of one that was deleted
	Queued     int64
}

// Node is a process that may hold leases.
type Node struct {
	Incarnation string
	Name        string
	Beat        int64
	Started     time.Time
}
