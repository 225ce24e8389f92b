package deliver

import (
	"errors"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/waypost"
)

// reached is how far the connections to the hosts of a site got.
type reached struct {
	dialed    bool // the guard let one of them pass
	connected bool
	silent    bool // nobody answered
	refused   bool // somebody did, with a no
}

// note takes in how talking to an address ended.
func (r *reached) note(in classify.Input, addr netip.Addr) {
	if _, refused := errors.AsType[*guard.Refused](in.Err); refused {
		return
	}
	r.dialed = true
	switch {
	case in.Phase != waypost.PhaseConnect:
		r.connected = true
	case timedOut(in.Err), noWay(in.Err) && addr.Unmap().Is4():
		r.silent = true
	case noWay(in.Err): // says nothing: a machine without IPv6 finds no way to any such address
	default:
		r.refused = true
	}
}

// nothing reports whether it looks as it does where port 25 is closed on the way: no
// answer, or a router's that there is no way. Who refuses a connection was reached.
func (r *reached) nothing() bool { return r.silent && !r.refused && !r.connected }

// outage notices that no MX at all can be connected to: port 25 is closed to us. Then
// all mail takes another way, so what one operator can stage must not be enough: anyone
// may point domains at hosts that say nothing.
type outage struct {
	mu     sync.Mutex
	silent map[string]map[string]bool // sites that said nothing since one answered, by operator
	worked time.Time                  // when one answered last
	until  time.Time
	probed time.Time // when a mail was let through last
	prober string    // the operator of that mail

	// Whose mail went direct last and when, and when that of anyone else did.
	last           string
	lastAt, elseAt time.Time
}

const (
	// outageSites is how many different sites must be silent in a row. Each counts once
	// for every operator whose mail met it, but no operator counts for more than
	// outageShare, and all together must come to outageSum: two of them at least.
	outageSites = 3
	outageShare = 2
	outageSum   = 4
	// outageAlone is how many sites it takes where nobody else has sent for outageQuiet.
	outageAlone = 10
	outageQuiet = 24 * time.Hour
	// outageTime is how long direct delivery is left alone, but for a mail each
	// outageProbe that tries it. The operator that tried last waits longer: its domains
	// may be silent for reasons of their own, and others are to find out, too.
	outageTime  = 10 * time.Minute
	outageProbe = 30 * time.Second
	outageAgain = 3 * outageProbe
)

// sending notes that an operator's mail is tried directly.
func (o *outage) sending(operator string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if operator != o.last {
		o.last, o.elseAt = operator, o.lastAt
	}
	o.lastAt = time.Now()
}

// failed notes that a site of an operator's mail said nothing to a connection begun at
// since.
func (o *outage) failed(operator, site string, since time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.worked.After(since) {
		return // the port was open while this one was waited for
	}
	if o.silent == nil {
		o.silent = map[string]map[string]bool{}
	}
	sites := o.silent[operator]
	if sites == nil {
		sites = map[string]bool{}
		o.silent[operator] = sites
	}
	if len(sites) < outageAlone {
		sites[site] = true
	}
	if now := time.Now(); o.proven(operator, now) {
		o.until, o.silent = now.Add(outageTime), nil
		o.probed, o.prober = now, operator
	}
}

// proven reports whether the silence can only be ours. o.mu is held.
func (o *outage) proven(operator string, now time.Time) bool {
	sum, sites := 0, map[string]bool{}
	for _, of := range o.silent {
		sum += min(len(of), outageShare)
		maps.Copy(sites, of)
	}
	if len(sites) >= outageSites && sum >= outageSum {
		return true
	}
	other := o.lastAt
	if operator == o.last {
		other = o.elseAt
	}
	alone := other.IsZero() || now.Sub(other) >= outageQuiet
	return alone && len(o.silent[operator]) >= outageAlone
}

// answered notes that a host was connected to.
func (o *outage) answered() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.worked = time.Now()
	o.silent, o.until = nil, time.Time{}
}

// diverts reports whether a mail of an operator is to take another way. If not, probe
// says that it only tries whether direct delivery works again; what is urgent is not
// held up by that.
func (o *outage) diverts(operator string, urgent bool) (diverts, probe bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if !now.Before(o.until) {
		return false, false
	}
	wait := outageProbe
	if operator == o.prober {
		wait = outageAgain
	}
	if urgent || now.Sub(o.probed) < wait {
		return true, false
	}
	o.probed, o.prober = now, operator
	return false, true
}
