package queue

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/waypost"
)

// settled is what settle decided, in short.
type settled struct {
	State    waypost.State
	Event    waypost.EventType
	Attempts int
	Step     int
	Wait     bool // due later, by the schedule
	Route    waypost.RouteKind
	Cause    string
	Actor    string
	Attempt  bool // it is recorded
}

func TestSettle(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	back := now.Add(7 * time.Minute)
	const relay, direct = waypost.RouteRelay, waypost.RouteDirect
	deferred := settled{waypost.Queued, waypost.EventDeferred, 3, 3, true, direct, "rate", "", true}
	again := settled{waypost.Queued, waypost.EventUncertain, 3, 3, true, direct, "uncertain", "", true}
	for name, tc := range map[string]struct {
		outcome waypost.Outcome
		code    int
		policy  waypost.UncertainPolicy
		kind    waypost.Kind
		back    time.Time
		once    bool
		want    settled
	}{
		"delivered":                 {outcome: waypost.OutcomeDelivered, code: 250, want: settled{waypost.Delivered, waypost.EventDelivered, 3, 2, false, direct, "", "", true}},
		"permanent":                 {outcome: waypost.OutcomePermanent, code: 550, want: settled{waypost.Bounced, waypost.EventBounced, 3, 2, false, direct, "rate", "", true}},
		"temporary":                 {outcome: waypost.OutcomeTemporary, code: 451, want: deferred},
		"unknown":                   {outcome: "something new", want: deferred},
		"route down without a time": {outcome: waypost.OutcomeRouteDown, code: 554, want: deferred},
		"route down with a time": {
			outcome: waypost.OutcomeRouteDown, code: 535, back: back,
			want: settled{waypost.Queued, waypost.EventDeferred, 3, 2, false, direct, "rate", "", true},
		},
		"untried": {
			outcome: waypost.OutcomeUntried,
			want:    settled{waypost.Queued, waypost.EventReleased, 2, 2, false, relay, "connect", "", false},
		},
		"uncertain, no policy":      {outcome: waypost.OutcomeUncertain, want: again},
		"uncertain, retry":          {outcome: waypost.OutcomeUncertain, policy: waypost.UncertainRetry, want: again},
		"uncertain, hold, security": {outcome: waypost.OutcomeUncertain, policy: waypost.UncertainHold, kind: waypost.KindSecurity, want: again},
		"uncertain, hold": {
			outcome: waypost.OutcomeUncertain, policy: waypost.UncertainHold,
			want: settled{waypost.Uncertain, waypost.EventUncertain, 3, 2, false, direct, "uncertain", "", true},
		},
		"uncertain, assume": {
			outcome: waypost.OutcomeUncertain, policy: waypost.UncertainAssume,
			want: settled{waypost.Delivered, waypost.EventDelivered, 3, 2, false, direct, "uncertain", "policy", true},
		},
		"uncertain, assume, security": {
			outcome: waypost.OutcomeUncertain, policy: waypost.UncertainAssume, kind: waypost.KindSecurity,
			want: settled{waypost.Delivered, waypost.EventDelivered, 3, 2, false, direct, "uncertain", "policy", true},
		},
		"once, delivered": {
			outcome: waypost.OutcomeDelivered, code: 250, once: true,
			want: settled{waypost.Delivered, waypost.EventDelivered, 3, 2, false, direct, "", "", true},
		},
		"once, temporary": {
			outcome: waypost.OutcomeTemporary, code: 451, once: true,
			want: settled{waypost.Expired, waypost.EventExpired, 3, 3, false, direct, "rate", "", true},
		},
		"once, login refused": {
			outcome: waypost.OutcomeRouteDown, code: 535, once: true,
			want: settled{waypost.Bounced, waypost.EventBounced, 3, 3, false, direct, "rate", "", true},
		},
		"once, no connection": {
			outcome: waypost.OutcomeRouteDown, once: true,
			want: settled{waypost.Expired, waypost.EventExpired, 3, 3, false, direct, "rate", "", true},
		},
		"once, uncertain": {
			outcome: waypost.OutcomeUncertain, once: true,
			want: settled{waypost.Uncertain, waypost.EventUncertain, 3, 3, false, direct, "uncertain", "", true},
		},
		"once, uncertain, assume": {
			outcome: waypost.OutcomeUncertain, policy: waypost.UncertainAssume, once: true,
			want: settled{waypost.Delivered, waypost.EventDelivered, 3, 2, false, direct, "uncertain", "policy", true},
		},
		"once, untried": {
			outcome: waypost.OutcomeUntried, once: true,
			want: settled{waypost.Expired, waypost.EventExpired, 2, 2, false, relay, "connect", "", false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := waypost.Delivery{
				ID: "d", Kind: tc.kind, Lane: waypost.LaneTransactional, State: waypost.Queued, Attempts: 3, Step: 2,
				Route: relay, Cause: "connect", Expires: now.Add(time.Hour),
			}
			a := waypost.Attempt{Outcome: tc.outcome, Route: direct, Cause: "rate", Reply: waypost.Reply{Code: tc.code, Text: "words"}}
			f := settle(d, a, tc.policy, tc.back, tc.once, now)
			got := settled{f.State, f.Event, f.Attempts, f.Step, f.NextAt.After(now.Add(4*time.Minute)) && tc.back.IsZero(), f.Route, f.Cause, f.Actor, f.Attempt != nil}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if !tc.back.IsZero() && !f.NextAt.Equal(tc.back) {
				t.Errorf("next at %v", f.NextAt)
			}
		})
	}
}

func TestMailThatMayHaveArrivedStaysMarkedUntilItIsFinal(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	d := waypost.Delivery{State: waypost.Queued, Attempts: 2, Route: waypost.RouteRelay, Cause: causeUncertain}
	for _, o := range []waypost.Outcome{
		waypost.OutcomeTemporary, waypost.OutcomeRouteDown, waypost.OutcomeUntried, waypost.OutcomeUncertain,
	} {
		f := settle(d, waypost.Attempt{Outcome: o, Route: waypost.RouteRelay, Cause: "rate"}, "", time.Time{}, false, now)
		if f.Cause != causeUncertain || f.Route != waypost.RouteRelay {
			t.Errorf("%s: cause %q, route %q", o, f.Cause, f.Route)
		}
	}
	f := settle(d, waypost.Attempt{Outcome: waypost.OutcomePermanent, Route: waypost.RouteRelay, Cause: "bad_mailbox"}, "", time.Time{}, false, now)
	if f.Cause != "bad_mailbox" {
		t.Errorf("cause %q", f.Cause)
	}
}

// Whatever comes out of settle is a move the states allow, with an event that says so.
func TestSettleOnlyMakesAllowedMoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.UnixMilli(1_700_000_000_000)
		d := waypost.Delivery{
			State: waypost.Queued, Attempts: rapid.IntRange(1, 50).Draw(t, "attempts"), Step: rapid.IntRange(0, 50).Draw(t, "step"),
			Kind:  rapid.SampledFrom([]waypost.Kind{waypost.KindEvent, waypost.KindSecurity, waypost.KindTest}).Draw(t, "kind"),
			Lane:  rapid.SampledFrom(waypost.Lanes()).Draw(t, "lane"),
			Cause: rapid.SampledFrom([]string{"", causeUncertain, "rate"}).Draw(t, "cause"),
		}
		a := waypost.Attempt{
			Outcome: rapid.SampledFrom([]waypost.Outcome{
				waypost.OutcomeDelivered, waypost.OutcomeTemporary, waypost.OutcomePermanent, waypost.OutcomeUncertain,
				waypost.OutcomeRouteDown, waypost.OutcomeUntried, "",
			}).Draw(t, "outcome"),
			Reply: waypost.Reply{Code: rapid.SampledFrom([]int{0, 250, 421, 451, 535, 550}).Draw(t, "code")},
		}
		policy := rapid.SampledFrom([]waypost.UncertainPolicy{"", waypost.UncertainRetry, waypost.UncertainHold, waypost.UncertainAssume}).Draw(t, "policy")
		once := rapid.Bool().Draw(t, "once")
		f := settle(d, a, policy, time.Time{}, once, now)
		switch {
		case f.State != waypost.Queued && !waypost.Queued.CanBecome(f.State):
			t.Fatalf("became %s", f.State)
		case once && f.State == waypost.Queued:
			t.Fatal("a test mail is queued again")
		case d.Kind == waypost.KindSecurity && !once && f.State == waypost.Uncertain:
			t.Fatal("security mail waits for a person")
		case f.Event == "":
			t.Fatal("no event")
		case f.NextAt.Before(now):
			t.Fatal("due in the past")
		case f.State == waypost.Bounced && !once && a.Outcome != waypost.OutcomePermanent:
			t.Fatalf("bounced by %s", a.Outcome)
		}
	})
}

func TestBackoffStaysWithinTheSchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lane := rapid.SampledFrom(waypost.Lanes()).Draw(t, "lane")
		step := rapid.IntRange(-3, 100).Draw(t, "step")
		s := Schedule(lane)
		want := s[min(max(step, 1), len(s))-1]
		got := backoff(lane, step)
		if got < want-want/10 || got > want+want/10 {
			t.Fatalf("step %d of %s: %v, schedule says %v", step, lane, got, want)
		}
	})
}

func TestScheduleStartsEarlyAndOnlyGrows(t *testing.T) {
	first := map[waypost.Lane]time.Duration{
		waypost.LaneAlarm: 30 * time.Second, waypost.LaneTransactional: time.Minute, waypost.LaneReport: time.Minute, waypost.LaneBulk: time.Minute,
	}
	for _, lane := range waypost.Lanes() {
		s := Schedule(lane)
		if s[0] != first[lane] {
			t.Errorf("%s starts with %v", lane, s[0])
		}
		for i := 1; i < len(s); i++ {
			if s[i] < s[i-1] {
				t.Errorf("%s: %v after %v", lane, s[i], s[i-1])
			}
		}
	}
}

func TestSiteBackoffDoublesUpToABound(t *testing.T) {
	for n, want := range map[int]time.Duration{
		-1: 30 * time.Second, 1: 30 * time.Second, 2: time.Minute, 3: 2 * time.Minute, 5: 8 * time.Minute, 6: 15 * time.Minute, 1000: 15 * time.Minute,
	} {
		if got := siteBackoff(n); got != want {
			t.Errorf("closure %d: %v, want %v", n, got, want)
		}
	}
}

func TestVerdictOf(t *testing.T) {
	for name, tc := range map[string]struct {
		outcome waypost.Outcome
		phase   waypost.Phase
		code    int
		want    verdict
	}{
		"delivered":            {waypost.OutcomeDelivered, waypost.PhaseDot, 250, good},
		"no such user":         {waypost.OutcomePermanent, waypost.PhaseRcpt, 550, good},
		"content refused":      {waypost.OutcomePermanent, waypost.PhaseDot, 554, good},
		"no such domain":       {waypost.OutcomePermanent, waypost.PhaseDNS, 556, neutral},
		"erased":               {waypost.OutcomePermanent, waypost.PhaseRoute, 0, neutral},
		"login refused":        {waypost.OutcomeRouteDown, waypost.PhaseAuth, 535, bad},
		"no reply to the dot":  {waypost.OutcomeUncertain, waypost.PhaseDot, 0, bad},
		"greylisted":           {waypost.OutcomeTemporary, waypost.PhaseRcpt, 451, good},
		"later, after the dot": {waypost.OutcomeTemporary, waypost.PhaseDot, 451, good},
		"closing, at RCPT":     {waypost.OutcomeTemporary, waypost.PhaseRcpt, 421, bad},
		"lost at RCPT":         {waypost.OutcomeTemporary, waypost.PhaseRcpt, 0, bad},
		"later, at MAIL":       {waypost.OutcomeTemporary, waypost.PhaseMail, 451, neutral},
		"closing, at MAIL":     {waypost.OutcomeTemporary, waypost.PhaseMail, 421, bad},
		"later, at DATA":       {waypost.OutcomeTemporary, waypost.PhaseData, 450, neutral},
		"lost in DATA":         {waypost.OutcomeTemporary, waypost.PhaseData, 0, bad},
		"not resolved":         {waypost.OutcomeTemporary, waypost.PhaseDNS, 0, bad},
		"no connection":        {waypost.OutcomeTemporary, waypost.PhaseConnect, 0, bad},
		"not greeted":          {waypost.OutcomeTemporary, waypost.PhaseGreet, 450, bad},
		"hello refused":        {waypost.OutcomeTemporary, waypost.PhaseHello, 450, bad},
		"TLS failed":           {waypost.OutcomeTemporary, waypost.PhaseTLS, 0, bad},
		"cannot be signed":     {waypost.OutcomeTemporary, waypost.PhaseRoute, 0, neutral},
		"untried":              {waypost.OutcomeUntried, "", 0, neutral},
		"an outcome to come":   {"new", waypost.PhaseDot, 250, neutral},
	} {
		a := waypost.Attempt{Outcome: tc.outcome, Phase: tc.phase, Reply: waypost.Reply{Code: tc.code}}
		if got := verdictOf(&a); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}
