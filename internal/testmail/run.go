package testmail

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// maxSteps bounds what is kept of one: a domain may have many MX hosts.
const maxSteps = 500

// Run is a test mail under way, or not long over. It is safe for concurrent use.
type Run struct {
	operatorID string
	began      time.Time
	arrived    <-chan waypost.Reception // nil unless it comes back to us

	done chan struct{} // closed once it was tried
	back chan struct{} // closed once it has come back

	mu   sync.Mutex
	seen Snapshot
}

// Snapshot is how far a test mail is. It shares nothing that changes later.
type Snapshot struct {
	ID     string // the message's
	To     string // where it goes
	Verify bool   // it comes back to this server; false if it is known from the store only

	Done    bool             // it was tried, and is tried once
	State   waypost.State    // queued until it was tried
	Steps   []waypost.Step   // so far
	Attempt *waypost.Attempt // how it was tried; nil before
	Reason  string           // known from the store only: why the delivery is where it is
	Relay   *waypost.Relay   // the own SMTP server under test, without its password; nil for the built-in gateway, or if not known any more

	Reception *waypost.Reception // what a receiver makes of it; nil before it has come back
	Awaited   bool               // it was delivered and has not come back yet; it may never
}

func newRun(r Request, to string, arrived <-chan waypost.Reception) *Run {
	run := &Run{
		operatorID: r.Account.ID, arrived: arrived, done: make(chan struct{}), back: make(chan struct{}),
		seen: Snapshot{To: to, Verify: r.Verify, State: waypost.Queued},
	}
	if r.Account.Gateway == waypost.GatewaySMTP && r.Account.Relay != nil {
		relay := *r.Account.Relay
		relay.Password = ""
		run.seen.Relay = &relay
	}
	return run
}

// storedRun is what is stored of a test mail. Nobody here hears how it goes on.
func storedRun(id string, d *waypost.Delivery, attempts []waypost.Attempt) *Run {
	run := &Run{
		operatorID: d.OperatorID, done: make(chan struct{}), back: make(chan struct{}),
		seen: Snapshot{ID: id, To: d.Recipient, Done: d.State.Final(), State: d.State, Reason: d.Reason},
	}
	close(run.done)
	for i := range attempts {
		a := &attempts[i]
		run.seen.Attempt = a
		run.seen.Steps = append(run.seen.Steps, waypost.Step{
			Phase: a.Phase, Started: a.Started, Millis: a.Took.Milliseconds(), OK: a.Outcome == waypost.OutcomeDelivered,
			Detail: a.Host + " " + a.Address, Reply: a.Reply.String(),
		})
	}
	return run
}

// step and end may be called before begin: the mail leaves at once.
func (r *Run) step(s waypost.Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen.Steps) < maxSteps {
		r.seen.Steps = append(r.seen.Steps, s)
	}
}

func (r *Run) end(a waypost.Attempt, state waypost.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.seen.Done {
		r.seen.Done, r.seen.Attempt, r.seen.State = true, &a, state
		close(r.done)
	}
}

// begin takes the id that the mail was accepted under. Nobody else has the run yet but the
// queue, which calls step and end only.
func (r *Run) begin(id string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen.ID, r.began = id, now
}

func (r *Run) is(operatorID, id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.operatorID == operatorID && r.seen.ID == id
}

// Wait waits until the mail was tried and, if it was delivered to us, until it has come back;
// at most for a while, and until ctx ends.
func (r *Run) Wait(ctx context.Context, atMost time.Duration) {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
		return
	case <-ctx.Done():
		return
	}
	if !r.Snapshot().Awaited {
		return
	}
	select {
	case reception := <-r.arrived:
		r.take(reception)
	case <-r.back: // somebody else took it
	case <-timer.C:
	case <-ctx.Done():
	}
}

// take notes what was made of the mail.
func (r *Run) take(reception waypost.Reception) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen.Reception == nil {
		r.seen.Reception = &reception
		close(r.back)
	}
}

// Snapshot returns how far it is.
func (r *Run) Snapshot() Snapshot {
	select {
	case reception := <-r.arrived: // a nil channel never yields
		r.take(reception)
	default:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.seen
	s.Steps = slices.Clone(s.Steps)
	s.Awaited = r.arrived != nil && s.Reception == nil && s.State == waypost.Delivered
	return s
}

// Objection is what speaks against a sender whose test mail was to come back.
type Objection string

// The objections.
const (
	NoObjection   Objection = ""
	NotTried      Objection = "not_tried" // not yet
	NotDelivered  Objection = "not_delivered"
	NotBack       Objection = "not_back"        // delivered, but it has not come back
	LeftAsAnother Objection = "left_as_another" // its From is not the sender's
	NotBelieved   Objection = "not_believed"    // DMARC does not pass
)

// Objection returns what speaks against the sender with an address, whose test mail this is.
// Only without any its mail may leave with this From: it came back with it, and DMARC passes.
func (s Snapshot) Objection(address string) Objection {
	switch r := s.Reception; {
	case r == nil && !s.Done:
		return NotTried
	case r == nil && s.State != waypost.Delivered:
		return NotDelivered
	case r == nil:
		return NotBack
	case waypost.NormalizeAddress(r.From) != waypost.NormalizeAddress(address):
		return LeftAsAnother
	case r.DMARC.Result != "pass":
		return NotBelieved
	default:
		return NoObjection
	}
}
