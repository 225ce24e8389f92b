package route

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/waypost/waypost/internal/waypost"
)

// UpstreamMode says how the platform's upstream relay is used.
type UpstreamMode string

// The modes.
const (
	UpstreamOff      UpstreamMode = "off"
	UpstreamInstead  UpstreamMode = "instead"  // all mail of the built-in gateway goes through it
	UpstreamFallback UpstreamMode = "fallback" // behind direct delivery, when no MX can be connected to
)

// Platform is what routing knows of the installation.
type Platform struct {
	Domain       string          // "": the built-in gateway is a sandbox
	From         waypost.Address // default sender
	Upstream     *waypost.Relay  // nil for none
	UpstreamMode UpstreamMode
}

// Sandbox reports whether the built-in gateway leads nowhere.
func (p Platform) Sandbox() bool { return p.Domain == "" }

// Owns reports whether an address is at the platform's domain, or below it.
func (p Platform) Owns(addr string) bool {
	domain := strings.TrimSuffix(waypost.DomainOf(addr), ".")
	if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = ascii
	}
	for _, own := range []string{p.Domain, waypost.DomainOf(p.From.Email)} {
		if own != "" && (domain == own || strings.HasSuffix(domain, "."+own)) {
			return true
		}
	}
	return false
}

// Mail is what routing needs to know of a delivery.
type Mail struct {
	Kind   waypost.Kind
	Test   bool // accepted with a test key
	Queued time.Time
}

// Decision is a route, or the reason why there is none now.
type Decision struct {
	Route waypost.RouteKind  // "" for none
	Relay *waypost.Relay     // for routes relay and upstream
	Why   string             // in a sentence for people: why this route, or why it waits
	Wait  waypost.WaitReason // why it waits, "" with a route
	Until time.Time          // when there may be a route again; zero: when somebody changes something
	Probe bool               // the relay is failing and this is the one try that finds out
}

// Pick chooses the route of an attempt made now.
func Pick(p Platform, a *waypost.Account, m Mail, now time.Time) Decision {
	if a.Suspended && m.Kind != waypost.KindSecurity {
		return Decision{Why: "the operator is suspended", Wait: waypost.WaitSuspended}
	}
	if m.Test {
		return Decision{Route: waypost.RouteSandbox, Why: "submitted with a test key"}
	}
	if a.Withdrawn {
		return Decision{Why: "the operator's product no longer includes the gateway it is bound to", Wait: waypost.WaitWithdrawn}
	}
	switch a.Gateway {
	case waypost.GatewaySMTP:
		return pickRelay(a, now)
	case waypost.GatewayBuiltin:
		return pickBuiltin(p, a, m)
	default:
		return Decision{Why: "no gateway is bound", Wait: waypost.WaitNoGateway}
	}
}

func pickRelay(a *waypost.Account, now time.Time) Decision {
	if a.Relay == nil {
		return Decision{Why: "the operator's SMTP server has no settings", Wait: waypost.WaitNoServer}
	}
	if h := a.RelayHealth; h.Failing() {
		if now.Before(h.NextProbe) {
			return Decision{
				Why:   fmt.Sprintf("%s is failing: %s", a.Relay.Host, h.Reason),
				Until: h.NextProbe, Wait: waypost.WaitRelayFailing,
			}
		}
		return Decision{
			Route: waypost.RouteRelay, Relay: a.Relay, Probe: true,
			Why: fmt.Sprintf("finding out whether %s works again", a.Relay.Host),
		}
	}
	return Decision{Route: waypost.RouteRelay, Relay: a.Relay, Why: "the operator's SMTP server"}
}

func pickBuiltin(p Platform, a *waypost.Account, m Mail) Decision {
	if p.Sandbox() {
		return Decision{Route: waypost.RouteSandbox, Why: "no platform domain is set"}
	}
	if a.Paused() && m.Kind != waypost.KindSecurity {
		return Decision{Why: "the operator is paused on the built-in gateway: " + pausedFor(a.Reputation.Why), Wait: waypost.WaitPaused}
	}
	if p.Upstream != nil && p.UpstreamMode == UpstreamInstead {
		return Decision{Route: waypost.RouteUpstream, Relay: p.Upstream, Why: "the platform's upstream relay"}
	}
	return Decision{Route: waypost.RouteDirect, Why: "the built-in gateway"}
}

func pausedFor(why waypost.ReputationCause) string {
	if why == waypost.CauseComplaints {
		return "too many recipients called its mail spam"
	}
	return "too much of its mail went to addresses that do not exist"
}
