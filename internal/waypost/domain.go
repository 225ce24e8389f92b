package waypost

import (
	"strings"
	"time"
)

// Domain is a DNS domain that an operator claims, proves to own and authorizes the
// platform to send for. A subdomain is a domain of its own.
type Domain struct {
	ID         string
	OperatorID string
	Name       string    // A-labels, lower case, no final dot
	Proof      string    // the key of its ownership record
	Proven     time.Time // since when ownership is proven, zero while it is not
	Authorized time.Time // since when its senders are used, zero while they are not
	ReturnPath bool      // bounce.<name> leads to us
	Created    time.Time
}

// State is how far the domain has come: "claimed", "proven" or "authorized".
func (d Domain) State() string {
	switch {
	case !d.Authorized.IsZero():
		return "authorized"
	case !d.Proven.IsZero():
		return "proven"
	default:
		return "claimed"
	}
}

// DomainEventType says what happened to a domain.
type DomainEventType string

// What happens to domains.
const (
	DomainClaimed    DomainEventType = "claimed"
	DomainProven     DomainEventType = "proven"
	DomainTaken      DomainEventType = "taken"      // another operator proved it after the old record was gone
	DomainAuthorized DomainEventType = "authorized" // senders at it are used
	DomainLapsed     DomainEventType = "lapsed"     // they are not any more
	DomainDrifted    DomainEventType = "drifted"    // a record is not as it should be
	DomainMended     DomainEventType = "mended"     // it is again
	DomainRemoved    DomainEventType = "removed"

	// What happens to the senders at a domain, claimed or not.
	DomainSenderAdded    DomainEventType = "sender_added"
	DomainSenderAssigned DomainEventType = "sender_assigned"
	DomainSenderRejected DomainEventType = "sender_rejected"
	DomainSenderRemoved  DomainEventType = "sender_removed"
)

// DomainEvent is a fact about a domain, kept even when the domain is given up.
type DomainEvent struct {
	ID         string
	OperatorID string
	DomainID   string // "" for those of senders
	Name       string // the domain's
	Type       DomainEventType
	Actor      string // "policy", "credential:<id>"
	Detail     string // in a sentence for people, "" if the type says it all; of a sender, its address first
	At         time.Time
}

// DomainFor returns the domain of an address if the operator has proven it, and whether
// it has.
func (a *Account) DomainFor(addr string) (Domain, bool) {
	name := DomainOf(addr)
	for _, d := range a.Domains {
		if strings.EqualFold(d.Name, name) {
			return d, true
		}
	}
	return Domain{}, false
}
