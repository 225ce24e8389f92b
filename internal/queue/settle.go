package queue

import (
	"strings"
	"time"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// causeUncertain marks a delivery whose last try may have arrived: it stays on its
// route.
const causeUncertain = "uncertain"

// settle turns the result of an attempt into the delivery's next state. It is the
// whole policy, and pure.
//
//	delivered   -> delivered
//	permanent   -> bounced
//	temporary   -> queued, at the next time of the lane's schedule
//	route down  -> queued, when a relay may be tried again; the schedule advances only
//	               on routes of our own, which have no such time
//	uncertain   -> by the operator's policy: queued on the same route, uncertain, or delivered
//	untried     -> queued, due now, and the attempt is not counted
//
// A delivery that may have arrived already stays marked so until it is final, whatever
// its later tries bring. A test mail is tried once: anything but delivered is final.
func settle(d waypost.Delivery, a waypost.Attempt, policy waypost.UncertainPolicy, routeBack time.Time, once bool, now time.Time) *system.Finish {
	f := &system.Finish{
		Delivery: d, State: waypost.Queued, Attempts: d.Attempts, Step: d.Step, NextAt: now,
		Route: a.Route, Cause: a.Cause, Reason: a.Reply.String(), Attempt: &a, At: now,
	}
	switch a.Outcome {
	case waypost.OutcomeDelivered:
		f.State, f.Event, f.Cause = waypost.Delivered, waypost.EventDelivered, ""
	case waypost.OutcomePermanent:
		f.State, f.Event, f.Symptom = waypost.Bounced, waypost.EventBounced, symptom(a)
	case waypost.OutcomeRouteDown:
		f.Event, f.NextAt = waypost.EventDeferred, routeBack
		if routeBack.IsZero() {
			f.Step++
			f.NextAt = now.Add(backoff(d.Lane, f.Step))
		}
	case waypost.OutcomeUncertain:
		settleUncertain(f, d, policy, now)
	case waypost.OutcomeUntried:
		f.Event, f.Attempt, f.Attempts = waypost.EventReleased, nil, max(0, d.Attempts-1)
		f.Route, f.Cause = d.Route, d.Cause
	default: // temporary, and whatever is unknown
		f.Event = waypost.EventDeferred
		f.Step++
		f.NextAt = now.Add(backoff(d.Lane, f.Step))
	}
	// A recipient that wants a rest gets one, but an alarm would be worth nothing after it.
	if rest := now.Add(a.Slow.For); f.State == waypost.Queued && a.Slow.How == waypost.SlowRecipient && d.Lane != waypost.LaneAlarm && rest.After(f.NextAt) {
		f.NextAt = rest
	}
	if pinnedTo(&d) != "" && f.State == waypost.Queued {
		f.Cause, f.Route = d.Cause, d.Route
	}
	if once {
		f.Symptom = "" // who tests an address means to find out
		settleOnce(f, a)
	}
	return f
}

func settleUncertain(f *system.Finish, d waypost.Delivery, policy waypost.UncertainPolicy, now time.Time) {
	if policy == waypost.UncertainHold && d.Kind == waypost.KindSecurity {
		policy = waypost.UncertainRetry // its content must not wait for a person
	}
	f.Cause = causeUncertain
	switch policy {
	case waypost.UncertainHold:
		f.State, f.Event = waypost.Uncertain, waypost.EventUncertain
	case waypost.UncertainAssume:
		f.State, f.Event, f.Actor = waypost.Delivered, waypost.EventDelivered, "policy"
		f.Reason = "no reply after the final dot; assumed delivered: " + f.Reason
	default:
		f.Event = waypost.EventUncertain
		f.Step++
		f.NextAt = now.Add(backoff(d.Lane, f.Step))
	}
}

func settleOnce(f *system.Finish, a waypost.Attempt) {
	if f.State != waypost.Queued {
		return
	}
	switch {
	case a.Outcome == waypost.OutcomeUncertain:
		f.State, f.Event = waypost.Uncertain, waypost.EventUncertain
	case a.Reply.Permanent():
		f.State, f.Event = waypost.Bounced, waypost.EventBounced
	default:
		f.State, f.Event = waypost.Expired, waypost.EventExpired
	}
	f.NextAt = f.At
}

// symptom is what a bounce for a cause says about the address. Only what is the recipient's
// fault says anything: an address behind a block list works.
func symptom(a waypost.Attempt) waypost.SuppressionReason {
	switch classify.Cause(a.Cause) {
	case classify.BadMailbox:
		if strings.HasPrefix(a.Reply.Enhanced, "4.") { // of two minds
			return waypost.SuppressedSoft
		}
		return waypost.SuppressedHard
	case classify.MailboxFull, classify.BadDomain:
		return waypost.SuppressedSoft
	default:
		return ""
	}
}
