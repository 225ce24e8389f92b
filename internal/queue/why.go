package queue

import (
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// Why says in a sentence why a queued delivery is not being tried now.
func (q *Queue) Why(a *waypost.Account, d *waypost.Delivery) string { return q.Waits(a, d).Text }

// Waits says why a queued delivery is not being tried now.
func (q *Queue) Waits(a *waypost.Account, d *waypost.Delivery) waypost.Wait {
	now := time.Now()
	switch {
	case d.State != waypost.Queued:
		return waypost.Wait{}
	case d.Lease != "" && d.Control != "":
		return waypost.Wait{Reason: waypost.WaitControl, Words: d.Control, Text: d.Control + " was asked for and takes effect before the next step"}
	case d.Lease != "" && d.Lease != q.lease.incarnation:
		return waypost.Wait{Reason: waypost.WaitOtherNode, Text: "with another node, which tries it when it is its turn"}
	case d.Lease != "" && q.started(d.ID):
		return waypost.Wait{Reason: waypost.WaitTrying, Text: "being tried now"}
	case d.Held:
		return waypost.Wait{Reason: waypost.WaitHeld, Words: d.Reason, Text: "held: " + orText(d.Reason, "waits until somebody releases it")}
	}
	decision := route.Pick(q.o.Platform, a, route.Mail{Kind: d.Kind, Test: isTest(d)}, now)
	if decision.Route == "" {
		w := waypost.Wait{Reason: decision.Wait, Until: decision.Until, Text: decision.Why}
		if decision.Wait == waypost.WaitRelayFailing {
			w.Who, w.Words = a.Relay.Host, a.RelayHealth.Reason
		}
		if !w.Until.IsZero() {
			w.Text += "; next try at " + stamp(w.Until)
		}
		return w
	}
	if w, ok := q.waitsForSite(d, decision, now); ok {
		return w
	}
	if d.Lease == "" && d.NextAt.After(now) { // what is in memory has a next time in case that we die
		if d.Attempts == 0 {
			return waypost.Wait{Reason: waypost.WaitScheduled, Until: d.NextAt, Text: "scheduled for " + stamp(d.NextAt)}
		}
		return waypost.Wait{
			Reason: waypost.WaitRetry, Until: d.NextAt, Words: d.Reason,
			Text: "next try at " + stamp(d.NextAt) + ": " + orText(d.Reason, "the last try did not get through"),
		}
	}
	return q.waitsForRoom(d, decision, now)
}

// waitsForSite is Waits for mail whose destination has asked for less, for longer than
// until its own next time.
func (q *Queue) waitsForSite(d *waypost.Delivery, decision route.Decision, now time.Time) (w waypost.Wait, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	name := q.destinationName(d.OperatorID, d.Site, decision.Route, now)
	dest := q.dests[name]
	if dest == nil {
		return w, false
	}
	how, r := dest.slow.slowest(now)
	lane, next := d.Lane.Rank(), later(d.NextAt, now)
	if d.Lease != "" {
		next = now // what is in memory has a next time in case that we die
	}
	switch {
	case r == nil, now.Before(dest.closed):
		return w, false
	case how == waypost.SlowSuspend:
		if !dest.shut(lane, now) || !r.until.After(next) {
			return w, false
		}
	case next.After(now), dest.free(lane, now) > 0:
		return w, false
	}
	w = waypost.Wait{Reason: waypost.WaitSlowed, Until: r.until, Words: r.words}
	var site string
	switch decision.Route {
	case waypost.RouteRelay:
		w.Who = decision.Relay.Host
		site = w.Who
	case waypost.RouteUpstream:
		site = "the platform's relay"
	default:
		w.Who = d.Site
		site = "the MX of " + d.Site
		if w.Shared = q.sites.domains[name] - 1; w.Shared > 0 {
			site += fmt.Sprintf(", shared with %d other domains,", w.Shared)
			if w.Shared == 1 {
				site = "the MX of " + d.Site + ", shared with another domain,"
			}
		}
		w.Shared = max(w.Shared, 0)
	}
	asked := map[waypost.SlowHow]string{
		waypost.SlowConnections: "asked for fewer connections",
		waypost.SlowRate:        fmt.Sprintf("asked for less mail and gets about %.0f a minute", dest.rateAt(now)),
		waypost.SlowSuspend:     "asked to be left alone",
	}[how]
	w.Text = site + " " + asked + " until " + stamp(r.until) + ": " + r.words
	return w, true
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// waitsForRoom is Waits for what may go now.
func (q *Queue) waitsForRoom(d *waypost.Delivery, decision route.Decision, now time.Time) waypost.Wait {
	q.mu.Lock()
	defer q.mu.Unlock()
	dest := q.dests[q.destinationName(d.OperatorID, d.Site, decision.Route, now)]
	name, who := "", ""
	if dest != nil {
		name = dest.name
	}
	switch decision.Route {
	case waypost.RouteRelay:
		who = decision.Relay.Host
	case waypost.RouteDirect:
		name = d.Site
		who = name
	case waypost.RouteUpstream, waypost.RouteSandbox: // the platform's business
	}
	lane := d.Lane.Rank()
	room := rooms(&q.laneBusy, &q.reserved, q.o.Sessions)[lane]
	switch {
	case len(q.unsaved) > 0:
		return waypost.Wait{Reason: waypost.WaitResults, Text: "waits until the results of other mails can be recorded"}
	case dest != nil && now.Before(dest.closed):
		return waypost.Wait{
			Reason: waypost.WaitLeftAlone, Until: dest.closed, Who: who, Words: dest.why,
			Text: name + " is left alone until " + stamp(dest.closed) + ": " + dest.why,
		}
	case dest != nil && dest.free(lane, now) <= 0:
		return waypost.Wait{Reason: waypost.WaitServerBusy, Who: who, Text: "all sessions to " + name + " are in use"}
	case room.own+room.common == 0:
		return waypost.Wait{Reason: waypost.WaitBusy, Text: "all sessions are in use"}
	case !q.admits(room, lane, d.OperatorID):
		return waypost.Wait{Reason: waypost.WaitShare, Text: "other mail of the operator has all the sessions that it may have now"}
	default:
		return waypost.Wait{Reason: waypost.WaitTurn, Text: "waits for its turn"}
	}
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// started reports whether a delivery is in a session or about to be.
func (q *Queue) started(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ours[id]
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
