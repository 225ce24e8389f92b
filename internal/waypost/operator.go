package waypost

import "time"

// PlatformOperatorID is the operator that the platform itself sends as: notices
// leave from it. It exists from the first start and cannot be removed.
const PlatformOperatorID = "00000000-0000-7000-8000-000000000000"

// Product is what an operator bought. It decides which gateways the operator may use.
type Product string

// The products.
const (
	ProductServermate Product = "servermate"
	ProductCloud      Product = "cloud"
	ProductOnPremise  Product = "on_premise"
)

// Products lists them in the order people read them in.
func Products() []Product { return []Product{ProductServermate, ProductCloud, ProductOnPremise} }

// ParseProduct returns the product named s, and whether there is one.
func ParseProduct(s string) (Product, bool) {
	switch p := Product(s); p {
	case ProductServermate, ProductCloud, ProductOnPremise:
		return p, true
	}
	return "", false
}

// Operator is a tenant: a white-label reseller of the platform.
type Operator struct {
	ID        string
	ParentID  string // "" for a direct child of the platform
	Name      string // also the display name when the platform's address stands in for its own
	Product   Product
	Contact   string // where notices go, "" for nowhere
	Suspended bool
	Gateway   GatewayType // bound gateway, "" for none
	Uncertain UncertainPolicy
	ReplyTo   string // default Reply-To, "" for none
	Signature Signature
	PerMinute int  // mails that each node accepts a minute; 0 for no limit
	PerDay    int  // recipients a day on the built-in gateway; 0 for as many as age and record allow
	Trusted   bool // no such limit, and nothing worse than a warning
	Created   time.Time
}

// OperatorFilter picks operators; its zero value picks all.
type OperatorFilter struct {
	Name     string // a part of the name, or the whole id; case does not matter
	ParentID string
	Trouble  OperatorTrouble
}

// OperatorTrouble is why an operator needs a look.
type OperatorTrouble string

// The troubles.
const (
	TroubleSuspended OperatorTrouble = "suspended"
	TroubleFailing   OperatorTrouble = "failing" // its relay
	TroubleGateway   OperatorTrouble = "gateway" // none is bound, or one that its product does not allow
	TroubleGuard     OperatorTrouble = "guard"   // warned, slowed or paused on the built-in gateway
)

// OperatorTroubles lists them.
func OperatorTroubles() []OperatorTrouble {
	return []OperatorTrouble{TroubleGuard, TroubleFailing, TroubleGateway, TroubleSuspended}
}

// OperatorEntry is an operator in a listing of all.
type OperatorEntry struct {
	Operator
	ParentName   string
	Withdrawn    bool      // the product does not allow the bound gateway
	FailingSince time.Time // of its relay, if it is bound; zero while it works
	FailingWhy   string
	Level        ReputationLevel // on the built-in gateway, if it is bound
}

// RemovedOperator is an operator that was deleted.
type RemovedOperator struct {
	ID        string
	Name      string
	Deleted   time.Time
	Finished  time.Time // when nothing was left of it but counters and the audit log; zero before
	Messages  int64     // removed so far
	Cancelled int64     // deliveries among them that were queued
}

// Entitlement says whether operators of a product may use a gateway.
type Entitlement struct {
	Product Product
	Gateway GatewayType
	Allowed bool
	Initial bool // bound to a new operator of the product
}

// Signature is appended to every mail of an operator. Either part may be empty;
// the missing one is then made from the other.
type Signature struct {
	Text string `json:"text"`
	HTML string `json:"html"`
}

// Empty reports whether there is nothing to append.
func (s Signature) Empty() bool { return s.Text == "" && s.HTML == "" }

// SenderState is the state of a sender on the built-in gateway.
type SenderState string

// The sender states. They concern the built-in gateway only.
const (
	SenderRequested SenderState = "requested"
	SenderAssigned  SenderState = "assigned"
	SenderRejected  SenderState = "rejected"
)

// Sender is a From address of an operator.
type Sender struct {
	ID         string
	OperatorID string
	Address    string // "local@domain", or "*@domain" for any address at exactly that domain
	Name       string
	State      SenderState
	Default    bool
	Reason     string // why it was rejected
	Decided    time.Time
	Created    time.Time
}

// Matches reports whether an address is this sender's.
func (s Sender) Matches(addr string) bool {
	want, got := NormalizeAddress(s.Address), NormalizeAddress(addr)
	if want == got {
		return true
	}
	return len(want) > 2 && want[:2] == "*@" && DomainOf(got) == want[2:]
}
