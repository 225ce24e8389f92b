package reputation_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/reputation"
	"github.com/waypost/waypost/internal/waypost"
)

func figures(ended, bounced, complaints int64) waypost.GatewayFigures {
	return waypost.GatewayFigures{Ended: ended, Bounced: bounced, Complaints: complaints}
}

func TestTheWorstOfBothWindowsAndBothSharesCounts(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name      string
		day, week waypost.GatewayFigures
		want      waypost.ReputationLevel
		why       waypost.ReputationCause
	}{
		{"nothing", figures(0, 0, 0), figures(0, 0, 0), waypost.LevelOK, ""},
		{"one of eight", figures(8, 1, 0), figures(8, 1, 0), waypost.LevelOK, ""},
		{"all of ninety-nine", figures(99, 99, 0), figures(99, 99, 0), waypost.LevelOK, ""},
		{"nine of a hundred may be chance", figures(100, 9, 0), figures(100, 9, 0), waypost.LevelOK, ""},
		{"a quarter of a hundred is none", figures(100, 25, 0), figures(100, 25, 0), waypost.LevelPaused, waypost.CauseBounces},
		{"an honest list", figures(20_000, 600, 5), figures(140_000, 4_200, 60), waypost.LevelOK, ""},
		{"six percent", figures(10_000, 600, 0), figures(10_000, 600, 0), waypost.LevelWarned, waypost.CauseBounces},
		{"nine percent", figures(10_000, 900, 0), figures(10_000, 900, 0), waypost.LevelSlowed, waypost.CauseBounces},
		{"the limit itself is not over it beyond doubt", figures(10_000, 1_000, 0), figures(10_000, 1_000, 0), waypost.LevelSlowed, waypost.CauseBounces},
		{"twelve percent", figures(10_000, 1_200, 0), figures(10_000, 1_200, 0), waypost.LevelPaused, waypost.CauseBounces},
		{"a bad day in a good week", figures(2_000, 300, 0), figures(100_000, 1_500, 0), waypost.LevelPaused, waypost.CauseBounces},
		{"a bad week and a quiet day", figures(5, 0, 0), figures(10_000, 1_200, 0), waypost.LevelPaused, waypost.CauseBounces},
		{"four complaints", figures(100, 0, 4), figures(100, 0, 4), waypost.LevelOK, ""},
		{"five of a hundred complain", figures(100, 0, 5), figures(100, 0, 5), waypost.LevelPaused, waypost.CauseComplaints},
		{"one in five hundred complains", figures(20_000, 0, 40), figures(20_000, 0, 40), waypost.LevelWarned, waypost.CauseComplaints},
		{"one in two hundred complains", figures(20_000, 0, 100), figures(20_000, 0, 100), waypost.LevelSlowed, waypost.CauseComplaints},
		{"complaints are worse than the bounces", figures(10_000, 600, 100), figures(10_000, 600, 100), waypost.LevelPaused, waypost.CauseComplaints},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := waypost.ReputationWindows{Day: c.day, Week: c.week}
			r := reputation.Judge(waypost.DefaultReputationPolicy(), waypost.Reputation{OperatorID: "op"}, w, false, now)
			if r.Now() != c.want || r.Why != c.why {
				t.Errorf("%s for %q, want %s for %q", r.Now(), r.Why, c.want, c.why)
			}
			if c.want != waypost.LevelOK && (!r.Since.Equal(now) || !r.Frozen.Equal(now) || r.Figures != w || r.By != "policy") {
				t.Errorf("%+v", r)
			}
			trusted := reputation.Judge(waypost.DefaultReputationPolicy(), waypost.Reputation{}, w, true, now)
			if trusted.Now().Rank() > waypost.LevelWarned.Rank() || (trusted.Now() == waypost.LevelOK) != (c.want == waypost.LevelOK) {
				t.Errorf("a trusted one is %s", trusted.Now())
			}
			off := waypost.DefaultReputationPolicy()
			off.Off = true
			if r := reputation.Judge(off, waypost.Reputation{}, w, false, now); r != (waypost.Reputation{}) {
				t.Errorf("judged though it is off: %+v", r)
			}
		})
	}
}

func TestALevelFallsAfterACalmWhileAndNotBefore(t *testing.T) {
	p, now := waypost.DefaultReputationPolicy(), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	day := func(bounced int64) waypost.ReputationWindows {
		return waypost.ReputationWindows{Day: figures(10_000, bounced, 0), Week: figures(10_000, bounced, 0)}
	}
	r := waypost.Reputation{OperatorID: "op"}
	step := func(after time.Duration, bounced int64, want waypost.ReputationLevel) {
		t.Helper()
		now = now.Add(after)
		if r = reputation.Judge(p, r, day(bounced), false, now); r.Now() != want {
			t.Fatalf("at %v with %d bounces: %s, want %s", now, bounced, r.Now(), want)
		}
	}
	step(0, 950, waypost.LevelSlowed)
	frozen := r.Frozen
	step(time.Hour, 780, waypost.LevelSlowed) // below the rate, but not clearly
	step(24*time.Hour, 780, waypost.LevelSlowed)
	step(time.Hour, 600, waypost.LevelSlowed) // clearly below
	step(5*time.Hour, 600, waypost.LevelSlowed)
	step(time.Minute, 780, waypost.LevelSlowed) // not any more: the while begins anew
	step(time.Minute, 600, waypost.LevelSlowed)
	step(5*time.Hour+59*time.Minute, 600, waypost.LevelSlowed)
	step(time.Minute, 600, waypost.LevelWarned)
	if !r.Frozen.Equal(frozen) {
		t.Error("the limit grew while it was slowed down")
	}
	step(time.Hour, 100, waypost.LevelWarned)
	step(6*time.Hour, 100, waypost.LevelOK)
	if !r.Frozen.IsZero() || !r.TroubleAt.IsZero() {
		t.Errorf("%+v", r)
	}
	step(time.Hour, 1_300, waypost.LevelPaused) // at once
	step(1000*time.Hour, 0, waypost.LevelPaused)
	if r.TroubleAt.IsZero() {
		t.Error("the limit does not start over")
	}
	r = reputation.Lift(r, waypost.CommandLine(), figures(7, 3, 1), now)
	if r.Level != waypost.LevelOK || r.Base != figures(7, 3, 1) || !r.CountedFrom.Equal(now) || !r.TroubleAt.Equal(now) || r.By != "cli" {
		t.Errorf("%+v", r)
	}
	// A pause of one who is trusted from then on is over at the next look.
	paused := waypost.Reputation{Level: waypost.LevelPaused}
	if got := reputation.Judge(p, paused, day(1_300), true, now); got.Level != waypost.LevelWarned {
		t.Errorf("%+v", got)
	}
}

func TestTheLimitGrowsWithAgeAndRecord(t *testing.T) {
	p, born := waypost.DefaultReputationPolicy(), time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	o := waypost.Operator{ID: "op", Created: born}
	for age, want := range map[time.Duration]int{
		0: 1_000, day - 1: 1_000, day: 2_500, 3*day - 1: 2_500, 3 * day: 10_000, 7 * day: 25_000, 14 * day: 100_000, 30*day - 1: 100_000, 30 * day: 0, 4000 * day: 0,
	} {
		if got := reputation.Limit(p, o, waypost.Reputation{}, born.Add(age)); got != want {
			t.Errorf("at the age of %v: %d, want %d", age, got, want)
		}
	}
	later := born.Add(100 * day)
	with := func(change func(*waypost.ReputationPolicy, *waypost.Operator, *waypost.Reputation)) int {
		p, o, r := p, o, waypost.Reputation{}
		change(&p, &o, &r)
		return reputation.Limit(p, o, r, later)
	}
	for name, c := range map[string]struct{ got, want int }{
		"paused two days ago": {with(func(_ *waypost.ReputationPolicy, _ *waypost.Operator, r *waypost.Reputation) {
			r.TroubleAt = later.Add(-2 * day)
		}), 2_500},
		"warned since its fifth day": {with(func(_ *waypost.ReputationPolicy, _ *waypost.Operator, r *waypost.Reputation) {
			r.Frozen = born.Add(5 * day)
		}), 10_000},
		"a limit of its own": {with(func(_ *waypost.ReputationPolicy, o *waypost.Operator, _ *waypost.Reputation) { o.PerDay = 77 }), 77},
		"trusted": {with(func(_ *waypost.ReputationPolicy, o *waypost.Operator, r *waypost.Reputation) {
			o.Trusted, o.PerDay, r.TroubleAt = true, 77, later
		}), 0},
		"the platform itself": {with(func(_ *waypost.ReputationPolicy, o *waypost.Operator, r *waypost.Reputation) {
			o.ID, r.TroubleAt = waypost.PlatformOperatorID, later
		}), 0},
		"off": {with(func(p *waypost.ReputationPolicy, _ *waypost.Operator, r *waypost.Reputation) {
			p.Off, r.TroubleAt = true, later
		}), 0},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", name, c.got, c.want)
		}
	}
}

func TestMoreBouncesNeverMakeItBetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 100_000).Draw(t, "recipients")
		k := rapid.Int64Range(0, n).Draw(t, "bounces")
		c := rapid.Int64Range(0, n).Draw(t, "complaints")
		level := func(bounced, complaints int64) int {
			f := figures(n, bounced, complaints)
			return reputation.Judge(waypost.DefaultReputationPolicy(), waypost.Reputation{}, waypost.ReputationWindows{Day: f, Week: f}, false, time.Unix(1, 0)).Now().Rank()
		}
		if level(k, c) > level(min(n, k+1), c) || level(k, c) > level(k, min(n, c+1)) {
			t.Error("a level fell with more of it")
		}
		if sure := reputation.Sure(k, n); sure < 0 || n > 0 && sure > float64(k)/float64(n) {
			t.Errorf("%d of %d is %v for sure", k, n, sure)
		}
	})
}

func TestAShareCountsForWhatItIsBeyondDoubt(t *testing.T) {
	if got := fmt.Sprintf("%.3f %.3f %.3f", reputation.Sure(1, 8), reputation.Sure(19, 100), reputation.Sure(1_094, 10_000)); got != "0.012 0.100 0.100" {
		t.Error(got)
	}
}
