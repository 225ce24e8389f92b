package classify

import "time"

// Slow is what a reply asks of whoever sends on: for so long, less over that route and
// to that site. The zero value asks for nothing.
type Slow struct {
	How How
	For time.Duration
}

// How is in which way to send less.
type How string

// The ways, from the mildest.
const (
	HowRecipient   How = "recipient"   // only the recipient wants a rest, not the site
	HowConnections How = "connections" // fewer connections
	HowRate        How = "rate"        // fewer mails a minute
	HowSuspend     How = "suspend"     // none at all
)

// Hows lists all ways in the order of the constants.
func Hows() []How { return []How{HowRecipient, HowConnections, HowRate, HowSuspend} }
