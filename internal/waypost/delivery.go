package waypost

import "time"

// State is where a delivery stands. Queued covers scheduled, leased, deferred and
// held; the rest are final, except that a person or a late bounce may still move
// some of them (see CanBecome).
type State string

// The states.
const (
	Queued     State = "queued"
	Delivered  State = "delivered"
	Bounced    State = "bounced"
	Expired    State = "expired"
	Cancelled  State = "cancelled"
	Suppressed State = "suppressed"
	Uncertain  State = "uncertain"
)

// FinalStates lists the final states in the order counters and reports use.
func FinalStates() []State {
	return []State{Delivered, Bounced, Expired, Cancelled, Suppressed, Uncertain}
}

// Final reports whether the delivery is counted as done.
func (s State) Final() bool { return s != Queued && s != "" }

// CanBecome reports whether a delivery in state s may move to state to. Every
// write of a state goes through this table:
//
//	queued     -> any final state
//	uncertain  -> queued (a person or the policy says retry), delivered, bounced, cancelled
//	delivered  -> bounced (a late bounce)
//
// The rest stay where they are: trying a bounced mail again is a new message.
func (s State) CanBecome(to State) bool {
	switch s {
	case Queued:
		return to.Final()
	case Uncertain:
		return to == Queued || to == Delivered || to == Bounced || to == Cancelled
	case Delivered:
		return to == Bounced
	case Bounced, Expired, Cancelled, Suppressed:
	}
	return false
}

// Outcome is how one attempt ended for one recipient.
type Outcome string

// The outcomes. Only Permanent blames the recipient or the message; RouteDown
// blames the path (or us) and costs the delivery nothing but time.
const (
	OutcomeDelivered Outcome = "delivered" // 2yz after the final dot
	OutcomeTemporary Outcome = "temporary" // try again later
	OutcomePermanent Outcome = "permanent" // never try again
	OutcomeUncertain Outcome = "uncertain" // dot sent, no reply
	OutcomeRouteDown Outcome = "route_down"
	OutcomeUntried   Outcome = "untried" // given back without having said MAIL (shutdown, control, lost lease)
)

// UncertainPolicy is what an operator wants done when no reply came after the dot.
type UncertainPolicy string

// The policies. For mail of kind security, hold acts as retry: its content must
// not wait for a person.
const (
	UncertainRetry  UncertainPolicy = "retry"
	UncertainHold   UncertainPolicy = "hold"
	UncertainAssume UncertainPolicy = "assume_delivered"
)

// Delivery is one recipient of a message.
type Delivery struct {
	ID         string
	OperatorID string
	MessageID  string
	Recipient  string // envelope address as submitted
	Site       string // where direct mail for it goes: the recipient domain, A-labels, lower case; see TestSite
	Kind       Kind
	Lane       Lane

	State    State
	Held     bool   // waits for a person; only meaningful while queued
	Control  string // "", ControlCancel or ControlHold: asked for while leased, settled by the holder
	Attempts int    // attempts begun
	Step     int    // temporary failures so far: the place in the retry schedule
	NextAt   time.Time
	Expires  time.Time

	Lease string // incarnation of the node that works on it, "" if nobody does
	Epoch int64  // raised by every claim; fences Finish

	Route  RouteKind // of the last attempt
	Reason string    // why it is where it is, for people: last words of the remote, or why it waits
	Cause  string    // classify's cause of the last failure, or ""

	Created time.Time
	Updated time.Time
}

// TestSite is put before the site of a delivery made with a test key: such mail has a
// queue of its own, because it goes to the sandbox whatever gateway is bound.
const TestSite = "test/"

// Control requests on a leased delivery.
const (
	ControlCancel = "cancel"
	ControlHold   = "hold"
)

// Attempt is one try of a delivery over one route, with the remote's own words.
type Attempt struct {
	DeliveryID string
	Number     int // 1 for the first
	Route      RouteKind
	Host       string // MX host or relay, "" if none was reached
	Address    string // ip:port dialed, "" if none was
	TLS        string // "TLS 1.3 TLS_AES_128_GCM_SHA256", "" for plaintext
	Phase      Phase  // the last phase entered
	Outcome    Outcome
	Cause      string // classify's cause, "" when delivered
	Rule       string // the rule that named it, "" when delivered
	Reply      Reply
	Slow       Slow // what the reply asks for; not kept
	Started    time.Time
	Took       time.Duration
}
