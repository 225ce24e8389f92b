package verify_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// parts are those of every report; the return path is only recommended.
func parts() []verify.Part {
	return []verify.Part{verify.Ownership, verify.DKIM1, verify.DKIM2, verify.SPFPart, verify.DMARCPart, verify.ReturnPath}
}

// report has verdict ok for all parts but those given.
func report(but map[verify.Part]verify.Verdict) verify.Report {
	var r verify.Report
	for _, p := range parts() {
		item := verify.Item{Part: p, Required: p != verify.ReturnPath, Verdict: verify.OK}
		if v, ok := but[p]; ok {
			item.Verdict = v
		}
		r.Items = append(r.Items, item)
	}
	return r
}

func all(v verify.Verdict) map[verify.Part]verify.Verdict {
	but := map[verify.Part]verify.Verdict{}
	for _, p := range parts() {
		but[p] = v
	}
	return but
}

// watched is a domain that is checked when its checks are due, on a simulated clock.
type watched struct {
	domain waypost.Domain
	watch  verify.Watch
	looked time.Time
	now    time.Time
	waits  []time.Duration
	events []waypost.DomainEventType
}

func newWatched() *watched {
	return &watched{
		domain: waypost.Domain{ID: "d", OperatorID: "op", Name: "example.test"},
		now:    time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC),
	}
}

// settled is one that has been authorized for a day.
func settled() *watched {
	w := newWatched()
	w.check(report(nil))
	w.check(report(nil))
	w.events, w.waits = nil, nil
	return w
}

func (w *watched) check(r verify.Report) {
	c := verify.Judge(w.domain, w.watch, r, verify.DKIM1, w.looked, w.now)
	w.domain, w.watch = c.Domain, c.Watch
	for _, e := range c.Events {
		w.events = append(w.events, e.Type)
	}
	w.waits = append(w.waits, c.Next.Sub(w.now))
	w.now = c.Next
}

// over checks the same again until a time has passed.
func (w *watched) over(d time.Duration, r verify.Report) {
	for end := w.now.Add(d); !w.now.After(end); {
		w.check(r)
	}
}

func (w *watched) want(t *testing.T, proven, authorized bool, events ...waypost.DomainEventType) {
	t.Helper()
	if !w.domain.Proven.IsZero() != proven || !w.domain.Authorized.IsZero() != authorized {
		t.Errorf("proven %v, authorized %v", w.domain.Proven, w.domain.Authorized)
	}
	if diff := cmp.Diff(events, w.events); diff != "" {
		t.Error(diff)
	}
	w.events = nil
}

func TestADomainIsProvenAndAuthorizedStepByStep(t *testing.T) {
	w := newWatched()
	w.check(report(all(verify.Missing)))
	w.want(t, false, false)
	but := all(verify.Missing)
	but[verify.Ownership] = verify.OK
	w.check(report(but))
	w.want(t, true, false, waypost.DomainProven)
	for _, p := range []verify.Part{verify.DKIM1, verify.DKIM2, verify.SPFPart} {
		but[p] = verify.OK
		w.check(report(but))
		w.want(t, true, false)
	}
	but[verify.DMARCPart] = verify.OK
	w.check(report(but))
	w.want(t, true, true, waypost.DomainAuthorized)
	if w.domain.ReturnPath {
		t.Error("a return path that is not there is used")
	}
	w.check(report(nil))
	w.want(t, true, true)
	if !w.domain.ReturnPath {
		t.Error("the return path is not used")
	}
}

func TestOwnershipAloneIsNotEnoughAndNothingIsWithoutIt(t *testing.T) {
	w := newWatched()
	w.over(48*time.Hour, report(map[verify.Part]verify.Verdict{verify.Ownership: verify.Wrong}))
	w.want(t, false, false)
}

func TestChecksComeOftenAtFirstAndDailyForEver(t *testing.T) {
	w := newWatched()
	w.over(5*24*time.Hour, report(all(verify.Missing)))
	if w.waits[0] != time.Minute || !slices.IsSorted(w.waits) || w.waits[len(w.waits)-1] != 24*time.Hour {
		t.Errorf("%v", w.waits)
	}
	hours := 0
	for _, wait := range w.waits {
		if wait >= 30*time.Minute && wait <= 4*time.Hour {
			hours++
		}
	}
	if hours < 4 {
		t.Errorf("not enough checks while caches fill: %v", w.waits)
	}
	w = settled()
	w.over(3*24*time.Hour, report(nil))
	if diff := cmp.Diff(slices.Repeat([]time.Duration{24 * time.Hour}, len(w.waits)), w.waits); diff != "" {
		t.Error(diff)
	}
}

func TestWhileSomebodyLooksItIsCheckedEveryMinute(t *testing.T) {
	for name, r := range map[string]verify.Report{"unfinished": report(all(verify.Missing)), "authorized": report(nil)} {
		w := settled()
		w.over(10*24*time.Hour, r) // the back-off has come far
		for range 20 {
			w.looked = w.now
			w.check(r)
			if last := w.waits[len(w.waits)-1]; last > time.Minute {
				t.Fatalf("%s: checked again after %v", name, last)
			}
		}
	}
}

func TestASigningRecordThatStaysAwayEndsTheAuthorization(t *testing.T) {
	for _, verdict := range []verify.Verdict{verify.Missing, verify.Wrong} {
		w := settled()
		gone := report(map[verify.Part]verify.Verdict{verify.DKIM1: verdict})
		began := w.now
		w.check(gone)
		w.want(t, true, true) // seen once: it may be a name server that is behind
		w.over(10*time.Minute, gone)
		for len(w.events) == 0 && w.now.Sub(began) < 24*time.Hour {
			w.check(gone)
		}
		if took := w.now.Sub(began); took > 30*time.Minute {
			t.Errorf("mail fell back after %v", took)
		}
		w.want(t, true, false, waypost.DomainDrifted, waypost.DomainLapsed)
		w.check(report(nil))
		w.want(t, true, true, waypost.DomainMended, waypost.DomainAuthorized)
	}
}

func TestARecordThatComesBackInTimeIsNoDrift(t *testing.T) {
	for _, p := range []verify.Part{verify.Ownership, verify.DKIM1, verify.SPFPart} {
		w := settled()
		gone := report(map[verify.Part]verify.Verdict{p: verify.Missing})
		for range 20 { // again and again
			w.check(gone)
			w.check(gone)
			w.check(report(nil))
		}
		w.want(t, true, true)
	}
}

func TestDriftOfWhatDoesNotSignOnlyWarns(t *testing.T) {
	for _, p := range []verify.Part{verify.DKIM2, verify.SPFPart, verify.DMARCPart} {
		w := settled()
		w.over(10*24*time.Hour, report(map[verify.Part]verify.Verdict{p: verify.Missing}))
		w.want(t, true, true, waypost.DomainDrifted) // once
		w.check(report(nil))
		w.want(t, true, true, waypost.DomainMended)
	}
	w := settled()
	w.over(24*time.Hour, report(map[verify.Part]verify.Verdict{verify.ReturnPath: verify.Missing}))
	w.want(t, true, true)
	if w.domain.ReturnPath {
		t.Error("a return path that is gone is used")
	}
}

func TestLostOwnershipEndsEverything(t *testing.T) {
	w := settled()
	w.over(time.Hour, report(map[verify.Part]verify.Verdict{verify.Ownership: verify.Missing}))
	w.want(t, false, false, waypost.DomainDrifted, waypost.DomainLapsed)
	w.check(report(nil))
	w.want(t, true, true, waypost.DomainMended, waypost.DomainProven, waypost.DomainAuthorized)
}

// DNS trouble on our side changes nothing, whatever came before.
func TestNothingFollowsFromNotKnowing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWatched()
		draw := func() verify.Report {
			but := map[verify.Part]verify.Verdict{}
			for _, p := range parts() {
				but[p] = rapid.SampledFrom([]verify.Verdict{verify.OK, verify.OK, verify.Missing, verify.Wrong, verify.Unknown}).Draw(r, string(p))
			}
			return report(but)
		}
		for range rapid.IntRange(0, 20).Draw(r, "checks") {
			w.check(draw())
		}
		before := w.domain
		w.events = nil
		for range rapid.IntRange(1, 50).Draw(r, "in the dark") {
			w.check(report(all(verify.Unknown)))
			w.now = w.now.Add(time.Hour)
		}
		if w.domain != before || len(w.events) != 0 {
			r.Fatalf("%+v became %+v: %v", before, w.domain, w.events)
		}
	})
}

// Whatever happens, authorization is never without proof, and each state change is an
// event.
func TestEveryChangeOfStateIsAnEvent(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWatched()
		proven, authorized := false, false
		for range rapid.IntRange(1, 60).Draw(r, "checks") {
			but := map[verify.Part]verify.Verdict{}
			for _, p := range parts() {
				but[p] = rapid.SampledFrom([]verify.Verdict{verify.OK, verify.OK, verify.OK, verify.Missing, verify.Unknown}).Draw(r, string(p))
			}
			w.events = nil
			w.check(report(but))
			if rapid.Bool().Draw(r, "late") {
				w.now = w.now.Add(time.Hour)
			}
			for _, e := range w.events {
				switch e {
				case waypost.DomainProven:
					proven = true
				case waypost.DomainAuthorized:
					authorized = true
				case waypost.DomainLapsed:
					authorized = false
				}
			}
			if !w.domain.Authorized.IsZero() != authorized || authorized && w.domain.Proven.IsZero() {
				r.Fatalf("%+v after %v", w.domain, w.events)
			}
			if proven && w.domain.Proven.IsZero() {
				proven = false
				if !slices.Contains(w.events, waypost.DomainDrifted) {
					r.Fatalf("ownership was lost without an event: %v", w.events)
				}
			}
		}
	})
}
