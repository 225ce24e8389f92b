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
	Reputation   Reputation
	Guard        ReputationPolicy // of the built-in gateway
}

// Level is how the built-in gateway treats the operator's mail; ok on its own server.
func (a *Account) Level() ReputationLevel {
	level := a.Reputation.Now()
	switch {
	case a.Gateway != GatewayBuiltin || a.Guard.Off:
		return LevelOK
	case a.Trusted && level.Rank() > LevelWarned.Rank():
		return LevelWarned
	}
	return level
}

// Paused reports whether the built-in gateway keeps all mail of the operator back but that
// of kind security.
func (a *Account) Paused() bool { return a.Level() == LevelPaused }

// SlowedTo is how many recipients a minute the built-in gateway takes of the operator on
// each node, alarms and mail of kind security aside; 0 for any number.
func (a *Account) SlowedTo() int {
	if a.Level() == LevelSlowed {
		return max(1, a.Guard.PerMinute)
	}
	return 0
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
