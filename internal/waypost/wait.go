package waypost

import "time"

// WaitReason is what a queued delivery waits for.
type WaitReason string

// The reasons. They are shown and translated: they are added to, never renamed.
const (
	WaitControl      WaitReason = "control"       // cancel or hold was asked for while it was being tried
	WaitOtherNode    WaitReason = "other_node"    // another node has it
	WaitTrying       WaitReason = "trying"        // it is being tried now
	WaitHeld         WaitReason = "held"          // somebody has to release it
	WaitSuspended    WaitReason = "suspended"     // the operator is
	WaitWithdrawn    WaitReason = "withdrawn"     // the product lost the gateway
	WaitNoGateway    WaitReason = "no_gateway"    // none is bound
	WaitNoServer     WaitReason = "no_server"     // the own server has no settings
	WaitRelayFailing WaitReason = "relay_failing" // the own server does not work
	WaitScheduled    WaitReason = "scheduled"     // it was to leave later
	WaitRetry        WaitReason = "retry"         // the last try failed
	WaitResults      WaitReason = "results"       // of other mails, which cannot be recorded
	WaitLeftAlone    WaitReason = "left_alone"    // the server failed too often
	WaitSlowed       WaitReason = "slowed"        // the other side asked for less mail
	WaitServerBusy   WaitReason = "server_busy"   // all sessions there are in use
	WaitBusy         WaitReason = "busy"          // all sessions are in use
	WaitShare        WaitReason = "share"         // other mail of the operator uses its share
	WaitTurn         WaitReason = "turn"          // nothing in particular
)

// Wait says why a queued delivery is not being tried now; the zero value is nothing to say.
type Wait struct {
	Reason WaitReason
	Until  time.Time // nothing happens before; zero where nobody knows. With WaitSlowed: nothing or less
	Who    string    // the server or site it is about, "" for none
	Shared int       // how many other domains have the same MX hosts and wait with it
	Words  string    // the other side's, or those of who holds it; "" for none
	Text   string    // all of it in a sentence
}
