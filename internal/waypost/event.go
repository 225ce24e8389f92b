package waypost

import "time"

// EventType names a fact about a delivery or message.
type EventType string

// The event types. An event that moves a delivery's state has From and To set.
const (
	EventAccepted   EventType = "accepted" // message; Count deliveries entered state queued
	EventSuppress   EventType = "suppressed"
	EventDelivered  EventType = "delivered"
	EventDeferred   EventType = "deferred"
	EventBounced    EventType = "bounced"
	EventExpired    EventType = "expired"
	EventCancelled  EventType = "cancelled"
	EventUncertain  EventType = "uncertain"
	EventHeld       EventType = "held"
	EventReleased   EventType = "released"
	EventRetried    EventType = "retried"    // a person or program asked for another try now
	EventRequested  EventType = "requested"  // cancel or hold asked for while leased
	EventRecovered  EventType = "recovered"  // the lease of a dead incarnation was taken back
	EventErased     EventType = "erased"     // content removed
	EventComplained EventType = "complained" // the recipient called it spam
)

// Event is an append-only fact, written in the transaction of the change it records.
type Event struct {
	ID         string
	OperatorID string
	MessageID  string
	DeliveryID string // "" for a fact about the whole message
	Type       EventType
	From, To   State  // state before and after, "" where none changed
	Count      int    // deliveries concerned, 1 unless it is about a message
	Attempt    int    // number of the attempt behind it, 0 if none
	Actor      string // "", or who asked: "user:ID", "credential:ID", "cli", "policy", "node:ID"
	Detail     string // for people; never content, never a secret
	At         time.Time
}
