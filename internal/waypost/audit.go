package waypost

import "time"

// Actor is who changes something.
type Actor struct {
	ID   string // "user:ID", "credential:ID", "cli", "policy", "recipient"
	Name string // how people know it: a login, the name of a key; "" if the id says it
	Peer string // the address it came from, "" from inside
}

// Policy is the actor of what happens by itself.
func Policy() Actor { return Actor{ID: "policy"} }

// CommandLine is the actor of commands on the server.
func CommandLine() Actor { return Actor{ID: "cli"} }

// Recipient is the actor of what a recipient of mail says by a link in it. Where from is not
// kept.
func Recipient() Actor { return Actor{ID: "recipient"} }

// AuditEntry records who changed what. Entries are only ever appended.
type AuditEntry struct {
	ID         string
	OperatorID string // whose it concerns; the platform's own for what is the platform's
	Actor      Actor
	Action     string // "sender.add": noun and verb
	Target     string // what was changed, as people call it: an address, a name, an id
	Detail     Detail // what about it, in one line without secrets
	At         time.Time
}
