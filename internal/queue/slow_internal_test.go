package queue

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/waypost"
)

func asks(how waypost.SlowHow, length time.Duration) waypost.Slow {
	return waypost.Slow{How: how, For: length}
}

func TestRepeatedRequestsLastLonger(t *testing.T) {
	now := time.Now()
	d := newDestination("site s", 20)
	for n, want := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 4 * time.Hour} {
		d.told(asks(waypost.SlowSuspend, 15*time.Minute), "421 later", now, now)
		if got := d.slow.suspended.until.Sub(now); got != want || d.slow.suspended.times != n+1 {
			t.Fatalf("request %d lasts %v, want %v", d.slow.suspended.times, got, want)
		}
		// Those that were under way hear the same, which is no news.
		later := now.Add(time.Second)
		if d.told(asks(waypost.SlowSuspend, 15*time.Minute), "421 later", now, later) {
			t.Fatal("news from the same cohort")
		}
		if d.slow.suspended.times != n+1 || d.slow.suspended.until.Sub(now) != want {
			t.Fatal("the same cohort made it longer")
		}
		now = d.slow.suspended.until.Add(slowAgain / 2)
	}
	now = d.slow.suspended.until.Add(slowAgain)
	d.told(asks(waypost.SlowSuspend, 15*time.Minute), "421 later", now, now)
	if got := d.slow.suspended; got.until.Sub(now) != 15*time.Minute || got.times != 1 || !got.since.Equal(now) {
		t.Errorf("after a long rest: %+v", got)
	}
}

func TestProviderThatAsksForADayGetsIt(t *testing.T) {
	now := time.Now()
	d := newDestination("site s", 20)
	for range 2 {
		d.told(asks(waypost.SlowSuspend, 24*time.Hour), "421 tomorrow", now, now)
		if got := d.slow.suspended.until.Sub(now); got != 24*time.Hour {
			t.Errorf("%v", got)
		}
		now = d.slow.suspended.until
	}
}

func TestAlarmThatIsToldAgainKeepsTheSuspensionGoing(t *testing.T) {
	now := time.Now()
	d := newDestination("site s", 20)
	d.told(asks(waypost.SlowSuspend, 15*time.Minute), "421 later", now, now)
	now = now.Add(10 * time.Minute)
	d.told(asks(waypost.SlowSuspend, 15*time.Minute), "421 still", now.Add(-time.Second), now)
	if got := d.slow.suspended; got.until.Sub(now) != 15*time.Minute || got.times != 1 || got.words != "421 still" {
		t.Errorf("%+v", got)
	}
	if d.free(0, now) != 1 || d.free(1, now) != 0 || d.shut(0, now) || !d.shut(1, now) {
		t.Error("not for alarms only")
	}
	d.relay = true
	if d.free(0, now) != 1 {
		t.Error("no alarm may look whether a relay takes mail again: nobody's login is refused there")
	}
}

func TestRateIsATenthOfThePaceWithinItsBounds(t *testing.T) {
	for had, want := range map[int]float64{0: 1, 5: 1, 50: 5, 1000: 10} {
		now := time.Now()
		d := newDestination("site s", 20)
		for range had {
			d.count(now)
		}
		d.told(asks(waypost.SlowRate, 15*time.Minute), "421 slower", now, now)
		if got := d.rateAt(now); got != want {
			t.Errorf("of %d a minute %v are left, want %v", had, got, want)
		}
		now = now.Add(time.Minute)
		d.told(asks(waypost.SlowRate, 15*time.Minute), "421 slower", now, now)
		if got := d.rateAt(now); got != max(1, want/2) {
			t.Errorf("of %v are left %v when it is asked for again", want, got)
		}
	}
}

func TestRateOpensInSteps(t *testing.T) {
	now := time.Now()
	d := newDestination("site s", 20)
	for range 100 {
		d.count(now)
	}
	d.told(asks(waypost.SlowRate, 15*time.Minute), "421 slower", now, now)
	now = now.Add(15*time.Minute - time.Second)
	for _, want := range []float64{10, 20, 40, 80, farFromLimit} {
		if got := d.rateAt(now); got != want {
			t.Errorf("%v a minute after %v, want %v", got, now.Sub(d.slow.rate.asked), want)
		}
		now = now.Add(slowStep)
	}
	if d.turns(1, now) != unlimited || d.interval(now) != 0 {
		t.Error("still limited")
	}
	// What was asked too early a second time is a repeat.
	d.told(asks(waypost.SlowRate, 15*time.Minute), "421 slower", now, now)
	if got := d.slow.rate; got.until.Sub(now) != 30*time.Minute || got.times != 2 {
		t.Errorf("%+v", got)
	}
}

func TestAlarmGoesOneAheadOfTheRateAndNoFurther(t *testing.T) {
	now := time.Now()
	d := newDestination("site s", 20)
	d.told(asks(waypost.SlowRate, 15*time.Minute), "421 slower", now, now) // one a minute
	if d.free(1, now) != 0 || d.free(0, now) != 1 {
		t.Fatalf("others %d, alarm %d", d.free(1, now), d.free(0, now))
	}
	d.spend(now)
	if d.free(0, now) != 0 || d.free(0, now.Add(time.Minute)) != 1 || d.free(1, now.Add(time.Minute)) != 0 {
		t.Error("the second alarm does not wait, or others do not wait for it")
	}
	if d.free(1, now.Add(2*time.Minute)) != 1 {
		t.Error("others get no turn")
	}
}

func TestFewerConnectionsThanWereTooMany(t *testing.T) {
	now := time.Now()
	d := newDestination("site s", 20)
	d.window, d.active = 20, 12
	d.told(asks(waypost.SlowConnections, 30*time.Minute), "421 too many connections", now, now)
	if d.limit(now) != 1 || d.slow.most != 11 {
		t.Errorf("limit %d, at most %d", d.limit(now), d.slow.most)
	}
	for d.active = 11; d.active > 3; d.active-- { // the rest of the cohort is refused, too
		d.told(asks(waypost.SlowConnections, 30*time.Minute), "421 too many connections", now, now.Add(time.Second))
	}
	if d.slow.connections.times != 1 || d.slow.most != 3 {
		t.Errorf("%+v, at most %d", d.slow.connections, d.slow.most)
	}
	for range 100 {
		d.judge(good, "", now)
	}
	if d.limit(now) != 3 || d.limit(now.Add(30*time.Minute)) != 20 {
		t.Errorf("limit %d, and %d when the time is over", d.limit(now), d.limit(now.Add(30*time.Minute)))
	}
}

func TestWhoAsksForLessMailHasNotFailed(t *testing.T) {
	a := &waypost.Attempt{Outcome: waypost.OutcomeTemporary, Phase: waypost.PhaseGreet, Reply: waypost.Reply{Code: 421}}
	if verdictOf(a) != bad {
		t.Error("a 421 that asks for nothing is no failure")
	}
	a.Slow = asks(waypost.SlowRate, time.Minute)
	if verdictOf(a) != neutral {
		t.Error("a 421 that asks for less mail is a failure")
	}
	a.Phase, a.Outcome = waypost.PhaseAuth, waypost.OutcomeRouteDown
	if verdictOf(a) != bad {
		t.Error("a refused login is no failure")
	}
}

// Whatever is asked for, no more goes than that, and in the end something does.
func TestSlowedDestinationKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now()
		d := newDestination("d", rapid.IntRange(1, 30).Draw(t, "most"))
		d.relay = rapid.Bool().Draw(t, "relay")
		var begun []time.Time // of other lanes than the alarms
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			switch rapid.IntRange(0, 7).Draw(t, "what") {
			case 0:
				d.judge(good, "", now)
				d.active = max(0, d.active-1)
			case 1, 2:
				now = now.Add(time.Duration(rapid.IntRange(0, 900).Draw(t, "seconds")) * time.Second)
			case 3:
				how := rapid.SampledFrom([]waypost.SlowHow{waypost.SlowConnections, waypost.SlowRate, waypost.SlowSuspend}).Draw(t, "how")
				length := time.Duration(rapid.IntRange(1, 180).Draw(t, "minutes")) * time.Minute
				before := d.slow
				d.told(asks(how, length), "421", now.Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "age"))*time.Second), now)
				for _, r := range []struct{ was, is request }{
					{before.connections, d.slow.connections}, {before.rate, d.slow.rate}, {before.suspended, d.slow.suspended},
				} {
					if r.is.until.Before(r.was.until) || r.is.lasts > max(length, slowMost, r.was.lasts) || r.is.until.Sub(now) > max(r.is.lasts, r.was.until.Sub(now)) {
						t.Fatalf("from %+v to %+v", r.was, r.is)
					}
				}
				begun = nil
			case 4:
				d.active = max(0, d.active-1)
			default:
				lane := rapid.IntRange(0, laneCount-1).Draw(t, "lane")
				for d.free(lane, now) > 0 {
					if lane > 0 && d.slow.suspended.inForce(now) {
						t.Fatal("a session to a suspended site")
					}
					d.spend(now)
					d.active++
					if lane > 0 && d.slow.rate.inForce(now) {
						begun = append(begun, now)
					}
				}
			}
			if d.slow.rate.inForce(now) {
				recent := 0
				for _, at := range begun {
					if now.Sub(at) < time.Minute {
						recent++
					}
				}
				if recent > slowFastest {
					t.Fatalf("%d in a minute, at a rate of %v", recent, d.slow.pace)
				}
			}
			if d.slow.pace != 0 && (d.slow.pace < slowestPace || d.slow.pace > slowFastest) {
				t.Fatalf("%v a minute", d.slow.pace)
			}
			if at := d.opens(1, now); d.active == 0 && d.free(1, at.Add(time.Nanosecond)) < 1 && at.After(now) {
				t.Fatalf("nobody there when it opens at %v: %+v", at, d.slow)
			}
		}
		d.active = 0
		now = now.Add(8 * time.Hour)
		if d.slow.remembers(now) || d.free(1, now) < 1 || d.interval(now) != 0 {
			t.Fatalf("%+v", d.slow)
		}
	})
}

// What a session carries after its first mail is counted mail by mail.
func TestSessionUnderARateCountsEachOfItsMails(t *testing.T) {
	now := time.Now()
	d := newDestination("site s", 20)
	r := &result{j: &job{dest: d, lane: 1, route: waypost.RouteDirect}}
	first, second, third := &waypost.Delivery{ID: "1"}, &waypost.Delivery{ID: "2"}, &waypost.Delivery{ID: "3"}
	if r.goesOn(first, now) != nil {
		t.Error("the first mail does not go")
	}
	d.told(asks(waypost.SlowRate, 15*time.Minute), "421 slower", now, now) // one a minute
	if r.goesOn(first, now) != nil {
		t.Error("the first mail does not go over another session")
	}
	if r.goesOn(second, now) == nil || r.why != "421 slower" {
		t.Errorf("a second mail goes at once; %q", r.why)
	}
	now = now.Add(time.Minute)
	if r.goesOn(second, now) != nil || r.goesOn(third, now) == nil {
		t.Error("not one a minute")
	}
}
