package waypost

// Account is an operator with all that accepting and delivering its mail needs: one
// consistent reading, shared and never changed after it was made.
type Account struct {
	Operator
	Relay        *Relay // own SMTP server with its password opened; nil if none is saved
	RelayHealth  RelayHealth
	Senders      []Sender
	Domains      []Domain // proven ones
	Suppressions bool     // there is at least one: look recipients up
	Withdrawn    bool     // the product no longer includes the bound gateway
}

// DefaultSender returns the operator's default sender, and whether it has one. A
// wildcard cannot be one: it names no address.
func (a *Account) DefaultSender() (Sender, bool) {
	for _, s := range a.Senders {
		if s.Default && s.Address[0] != '*' {
			return s, true
		}
	}
	return Sender{}, false
}

// SenderFor returns the sender an address belongs to, and whether there is one. An
// exact address wins over a wildcard.
func (a *Account) SenderFor(addr string) (Sender, bool) {
	var wildcard *Sender
	for i, s := range a.Senders {
		if !s.Matches(addr) {
			continue
		}
		if s.Address[0] != '*' {
			return s, true
		}
		wildcard = &a.Senders[i]
	}
	if wildcard != nil {
		return *wildcard, true
	}
	return Sender{}, false
}
