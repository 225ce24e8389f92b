package waypost

import "time"

// Slow is what a reply asks of whoever sends on: for so long, less over that route and
// to that site. The zero value asks for nothing.
type Slow struct {
	How SlowHow
	For time.Duration
}

// SlowHow is in which way to send less.
type SlowHow string

// The ways, from the mildest.
const (
	SlowRecipient   SlowHow = "recipient"   // only the recipient wants a rest, not the site
	SlowConnections SlowHow = "connections" // fewer connections
	SlowRate        SlowHow = "rate"        // fewer mails a minute
	SlowSuspend     SlowHow = "suspend"     // none at all
)

// SlowHows lists all ways in the order of the constants.
func SlowHows() []SlowHow { return []SlowHow{SlowRecipient, SlowConnections, SlowRate, SlowSuspend} }

// OfSite reports whether it is the whole site, or relay, that asks, not one recipient.
func (s Slow) OfSite() bool { return s.How != "" && s.How != SlowRecipient }
