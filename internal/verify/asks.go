package verify

import (
	"github.com/waypost/waypost/internal/limit"
	"github.com/waypost/waypost/internal/waypost"
)

// Asks bound the checks that each operator asks for, wherever it does: a check is dozens
// of questions to name servers that are not ours. They are safe for concurrent use.
type Asks struct{ limits *limit.Limits }

// NewAsks returns a new count.
func NewAsks() *Asks { return &Asks{limit.New(10.0/60, 30)} }

// Allow counts a check that an operator asks for. The error is RateLimited.
func (a *Asks) Allow(operatorID string) error {
	if a.limits.Allow(operatorID) {
		return nil
	}
	return waypost.NewError(waypost.RateLimited, "rate_limited",
		"too many checks: ten a minute are allowed, and while you look the domain is checked every minute anyway")
}
