package waypost

import (
	"context"
	"time"
)

// Job is one message with some of its recipients, ready to be tried over a route.
// Whoever carries it out calls Report once per delivery it settled; those it did
// not report count as untried.
type Job struct {
	Account    *Account
	Route      RouteKind
	Relay      *Relay // where to, for routes relay and upstream
	Site       string // recipient domain, for route direct
	Lane       Lane
	Message    *Message
	Deliveries []Delivery
	Pinned     bool // a delivery's last try may have arrived: no other route, not even a fallback

	// Resolved, if set, hears on route direct which MX hosts the site has, by the name that
	// they go by together, before any of them is dialed. On an error the job must not go
	// on now: what is open counts as untried.
	Resolved func(mx string) error
	// MayTalk is asked right before MAIL for a delivery. An error means that it must
	// not be tried now: it was cancelled, held, or the lease may be gone.
	MayTalk func(d *Delivery) error
	// MayDot is asked right before the final dot. On an error the connection is
	// dropped instead, which is a certain non-delivery.
	MayDot func() error
	// AfterDot governs the wait for the reply once MayDot has said yes; the context of
	// the job ends earlier, when a shutdown lets go of whoever has not got that far.
	AfterDot context.Context //nolint:containedctx // the second half of the job's own context
	// Report tells what became of Deliveries[i]. Number and DeliveryID of the attempt
	// are filled in by the receiver.
	Report func(i int, a Attempt)
	// Step, if set, hears each stage as it happens: the test mail shows them.
	Step func(Step)
}

// Step is one stage of an attempt, for people who watch.
type Step struct {
	Phase   Phase     `json:"phase"`
	Started time.Time `json:"started"`
	Millis  int64     `json:"took_ms"`
	OK      bool      `json:"ok"`
	Detail  string    `json:"detail"`          // what was done: host, address, certificate
	Reply   string    `json:"reply,omitempty"` // the server's own words
}

// Handover is the right to try an accepted message at once, from memory. Exactly one
// of Start and Cancel must be called.
type Handover struct {
	Lease   string    // incarnation to write into the deliveries
	RetryAt time.Time // their next time, should this node die
	Start   func()    // after the commit
	Cancel  func()    // if there was none
	Refused error     // why a test mail is not taken; nil: no room, try again
}

// Once makes a submission a test mail: tried a single time, by this node, over
// exactly these settings.
type Once struct {
	Account *Account // with the settings under test, saved or not
	Step    func(Step)
	Done    func(Attempt, State)
}
