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
	Created   time.Time
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
