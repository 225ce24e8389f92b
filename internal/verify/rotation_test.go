package verify_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/verify"
)

// rotated is the platform's two keys on a simulated clock, and what the DNS shows of the
// one that does not sign.
type rotated struct {
	signing, other verify.RotationKey
	sight          verify.Sight
	now            time.Time

	switches, replacements, announcements, proposals int
}

const (
	day  = 24 * time.Hour
	keep = 37 * day
)

func rules() verify.RotationRules { return verify.RotationRules{Keep: keep, Propose: 180 * day} }

func published() verify.Sight {
	return verify.Sight{Authoritative: verify.OK, Recursive: verify.OK, TTL: time.Hour}
}

func newRotated() *rotated {
	now := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	return &rotated{
		now: now, sight: published(),
		signing: verify.RotationKey{Selector: "wp1", Created: now, Started: now, Announced: now},
		other:   verify.RotationKey{Selector: "wp2", Created: now, Announced: now},
	}
}

// look looks once and does what follows, as the server does.
func (r *rotated) look() verify.RotationStep {
	s := verify.JudgeRotation(r.signing, r.other, r.sight, rules(), r.now)
	switch {
	case s.Replace:
		r.replacements++
		r.other = verify.RotationKey{Selector: r.other.Selector, Created: r.now}
	case s.Switch:
		r.switches++
		was := s.Signing
		was.Started, was.Proposed, was.Wanted, was.Retired = time.Time{}, time.Time{}, time.Time{}, r.now
		r.signing, r.other = s.Other, was
		r.signing.Started, r.signing.Wanted = r.now, time.Time{}
	default:
		r.signing, r.other = s.Signing, s.Other
		if s.Announce {
			r.announcements++
		}
		if s.Propose {
			r.proposals++
		}
	}
	return s
}

// over looks whenever it is due until a time has passed.
func (r *rotated) over(d time.Duration) {
	for end := r.now.Add(d); ; {
		next := r.look().Next
		if next.After(end) || !next.After(r.now) && next.Equal(end) {
			r.now = end
			return
		}
		if !next.After(r.now) {
			next = r.now.Add(time.Second)
		}
		r.now = next
	}
}

func TestARotationWaitsForTheRecordAndThenForOneTTL(t *testing.T) {
	r := newRotated()
	r.over(day)
	if r.switches != 0 {
		t.Fatal("nobody asked for a rotation")
	}
	r.sight = verify.Sight{Authoritative: verify.Missing, Recursive: verify.Missing}
	r.over(2 * time.Hour)
	r.other.Wanted = r.now
	r.over(30 * day)
	if got := verify.StatusOf(r.signing, r.other, rules()); r.switches != 0 || got.State != verify.RotationRecord {
		t.Fatalf("a key that is not published signs: %+v", got)
	}
	r.sight = verify.Sight{Authoritative: verify.OK, Recursive: verify.Missing, TTL: time.Hour}
	r.over(3 * time.Hour)
	if got := verify.StatusOf(r.signing, r.other, rules()); r.switches != 0 || got.State != verify.RotationCaches || !got.Until.IsZero() {
		t.Fatalf("a key that caches do not have signs: %+v", got)
	}
	r.sight = published()
	r.over(59 * time.Minute)
	if got := verify.StatusOf(r.signing, r.other, rules()); r.switches != 0 || got.Until.Sub(r.now) > 2*time.Minute {
		t.Fatalf("before the TTL has passed: %+v", got)
	}
	r.over(2 * time.Minute)
	if r.switches != 1 || r.signing.Selector != "wp2" || r.other.Selector != "wp1" {
		t.Fatalf("%+v", r)
	}
}

func TestTheLongestTTLCounts(t *testing.T) {
	r := newRotated()
	r.sight = verify.Sight{Authoritative: verify.Wrong, Recursive: verify.Wrong, TTL: day} // the key that was there before
	r.look()
	r.sight = verify.Sight{Authoritative: verify.OK, Recursive: verify.OK, TTL: time.Minute}
	r.other.Wanted = r.now
	r.over(23 * time.Hour)
	if r.switches != 0 {
		t.Fatal("caches may still have the record that was there before")
	}
	if r.over(2 * time.Hour); r.switches != 1 {
		t.Errorf("%+v", r)
	}
}

func TestARecordThatGoesAwayBeginsAgain(t *testing.T) {
	r := newRotated()
	r.other.Wanted = r.now
	r.over(50 * time.Minute)
	r.sight.Recursive = verify.Wrong
	r.look()
	r.sight = published()
	r.over(50 * time.Minute)
	if r.switches != 0 {
		t.Error("the time before it went away counts")
	}
	// Silence neither counts against it nor for it.
	r.sight = verify.Sight{Authoritative: verify.Unknown, Recursive: verify.Unknown}
	r.over(3 * day)
	if r.switches != 0 {
		t.Error("a switch while the DNS was silent")
	}
	r.sight = published()
	if r.over(time.Minute); r.switches != 1 {
		t.Errorf("%+v", r)
	}
}

func TestAKeyThatHasSignedIsKeptThenReplacedAndAnnounced(t *testing.T) {
	r := newRotated()
	r.other.Wanted = r.now
	r.over(2 * time.Hour)
	retired := r.other.Retired
	if r.switches != 1 || retired.IsZero() {
		t.Fatalf("%+v", r)
	}
	if got := verify.StatusOf(r.signing, r.other, rules()); got.State != verify.RotationKeeping || !got.Until.Equal(retired.Add(keep)) {
		t.Errorf("%+v", got)
	}
	r.over(retired.Add(keep).Sub(r.now) - time.Second)
	if r.replacements != 0 {
		t.Fatal("replaced before the last mail has arrived")
	}
	r.sight = verify.Sight{Authoritative: verify.Wrong, Recursive: verify.Wrong, TTL: time.Hour}
	r.over(time.Minute)
	if r.replacements != 1 || r.announcements != 1 || !r.other.Retired.IsZero() || r.other.Announced.IsZero() {
		t.Fatalf("%+v", r)
	}
	r.other.Wanted = r.now
	r.over(10 * day)
	if r.switches != 1 {
		t.Fatal("the new key signs before it is published")
	}
	r.sight = published()
	r.over(2 * time.Hour)
	if r.switches != 2 || r.signing.Selector != "wp1" || r.announcements != 1 {
		t.Errorf("%+v", r)
	}
}

func TestARotationIsProposedOnceForEachKey(t *testing.T) {
	r := newRotated()
	r.over(179 * day)
	if r.proposals != 0 {
		t.Error("proposed too early")
	}
	r.over(100 * day)
	if r.proposals != 1 {
		t.Errorf("proposed %d times", r.proposals)
	}
	r.other.Wanted = r.now
	r.over(179 * day)
	if r.switches != 1 || r.proposals != 1 {
		t.Errorf("the age of a key is how long it signs: %+v", r)
	}
	if r.over(2 * day); r.proposals != 2 {
		t.Errorf("proposed %d times", r.proposals)
	}
}

// Whatever the DNS shows and whenever a rotation is asked for: a key begins to sign only
// if it was asked, is published now, and was so at caches for a TTL; what stopped signing
// stays for its time.
func TestNoKeySignsThatIsNotPublished(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRotated()
		verdicts := rapid.SampledFrom([]verify.Verdict{verify.OK, verify.OK, verify.OK, verify.Missing, verify.Wrong, verify.Unknown})
		var seen, cached time.Time // since when it was not known to be away
		note := func(since *time.Time, v verify.Verdict, begin bool) {
			switch {
			case v == verify.Missing || v == verify.Wrong:
				*since = time.Time{}
			case v == verify.OK && begin && since.IsZero():
				*since = r.now
			}
		}
		for range rapid.IntRange(1, 200).Draw(t, "looks") {
			r.sight = verify.Sight{Authoritative: verdicts.Draw(t, "authoritative"), Recursive: verdicts.Draw(t, "recursive"), TTL: time.Hour}
			if rapid.Bool().Draw(t, "asked") && r.other.Retired.IsZero() && r.other.Wanted.IsZero() {
				r.other.Wanted = r.now
			}
			note(&seen, r.sight.Authoritative, true)
			note(&cached, r.sight.Recursive, !seen.IsZero())
			if seen.IsZero() {
				cached = time.Time{}
			}
			before := *r
			r.look()
			if r.switches > before.switches {
				if before.other.Wanted.IsZero() || !before.other.Retired.IsZero() || r.sight.Authoritative != verify.OK ||
					r.sight.Recursive != verify.OK || cached.IsZero() || r.now.Sub(cached) < time.Hour {
					t.Fatalf("%+v", before)
				}
			}
			if r.replacements > before.replacements {
				if r.now.Sub(before.other.Retired) < keep {
					t.Fatalf("replaced too early: %+v", before)
				}
				seen, cached = time.Time{}, time.Time{}
			}
			r.now = r.now.Add(rapid.SampledFrom([]time.Duration{time.Second, 20 * time.Minute, time.Hour, 20 * day}).Draw(t, "pause"))
		}
	})
}
