package account_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/reputation"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	simulatedDays = 30
	aDay          = 24 * time.Hour
)

// simulation is 30 days of mail over the built-in gateway. The store, the counting, the
// judging and the limits are the real ones; what is made up is the mail.
type simulation struct {
	*world
	t         *testing.T
	chance    *rand.Rand
	start     time.Time
	step      time.Duration
	operators []*simulated
	byID      map[string]*simulated
	reports   map[time.Duration][]lateReport // what is reported in a step about mail that was delivered before
}

// simulated is an operator of the simulation.
type simulated struct {
	waypost.Operator
	label      string
	perDay     float64 // mails on a working day
	bounces    func(at time.Duration) float64
	complaints func(at time.Duration) float64
	culprit    bool
	from       time.Duration // since when it misbehaves

	account                *waypost.Account
	backlog, refused, sent int64
	since                  waypost.GatewayFigures // what became of its mail since it misbehaves
	warnings               int
	worst                  waypost.ReputationLevel
	paused                 time.Duration
}

type lateReport struct {
	o       *simulated
	ended   time.Time
	figures waypost.GatewayFigures
}

// TestThirtyDaysOfTwoHundredOperators is the promise of the guard: of 200 operators three
// misbehave; these are paused, and nobody else is slowed down or paused.
func TestThirtyDaysOfTwoHundredOperators(t *testing.T) {
	if testing.Short() {
		t.Skip("shortened: make test runs it without the race detector")
	}
	s := &simulation{
		world: newWorld(t), t: t, chance: rand.New(rand.NewPCG(20, 26)),
		start: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), // a Monday
		step:  time.Hour, byID: map[string]*simulated{}, reports: map[time.Duration][]lateReport{},
	}
	s.populate()
	for at := time.Duration(0); at < simulatedDays*aDay; at += s.step {
		s.mail(at)
		s.judge(at + s.step)
	}
	s.conclude()
}

// populate makes the operators: three that misbehave, some that could be taken for such,
// and many that are just there.
func (s *simulation) populate() {
	always := func(share float64) func(time.Duration) float64 { return func(time.Duration) float64 { return share } }
	natural := func() func(time.Duration) float64 { return always(0.002 + 0.028*s.chance.Float64()) }
	few := func() func(time.Duration) float64 { return always(0.0005 * s.chance.Float64()) }
	s.add(&simulated{ // comes on the sixth day, with its list
		label: "bought list, 25 % bad", culprit: true, perDay: 5_000, from: 5 * aDay, bounces: always(0.25), complaints: always(0.001),
	}, -5*aDay)
	s.add(&simulated{
		label: "rotting list, 2 to 12 % bad in 15 days", culprit: true, perDay: 3_000, complaints: always(0.0003),
		bounces: func(at time.Duration) float64 { return min(0.12, 0.02+0.10*at.Hours()/(15*24)) },
	}, 400*aDay)
	s.add(&simulated{
		label: "unwanted mail, 1 % complaints", culprit: true, perDay: 2_000, from: 3 * aDay, bounces: always(0.01),
		complaints: func(at time.Duration) float64 {
			if at < 3*aDay {
				return 0.0002
			}
			return 0.01
		},
	}, 400*aDay)
	s.add(&simulated{
		label: "one bad day, 7 % bad", perDay: 4_000, complaints: always(0.0002),
		bounces: func(at time.Duration) float64 {
			if at >= 10*aDay && at < 11*aDay {
				return 0.07
			}
			return 0.01
		},
	}, 200*aDay)
	for range 6 {
		s.add(&simulated{label: "one bounce of eight", perDay: 8, bounces: always(1.0 / 8), complaints: always(0)}, 100*aDay)
	}
	for range 10 {
		s.add(&simulated{label: "new", perDay: 100 + 600*s.chance.Float64(), bounces: natural(), complaints: few()}, -time.Duration(s.chance.IntN(20))*aDay)
	}
	for len(s.operators) < 200 { // 5 to 20,000 mails a day, each order of magnitude as likely
		s.add(&simulated{label: "honest", perDay: 5 * math.Pow(4_000, s.chance.Float64()), bounces: natural(), complaints: few()}, 100*aDay)
	}
}

func (s *simulation) add(o *simulated, age time.Duration) {
	made, err := s.system.CreateOperator(s.t.Context(), waypost.CommandLine(), waypost.Operator{
		Name: o.label, Product: waypost.ProductServermate, Created: s.start.Add(-age),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	o.Operator = made
	s.operators, s.byID[made.ID] = append(s.operators, o), o
}

// mail is what the operators do in one step.
func (s *simulation) mail(at time.Duration) {
	now := s.start.Add(at)
	var tally store.Tally
	for _, late := range s.reports[at] {
		tally.Builtin(late.o.ID, waypost.KindEvent, late.ended, now.Add(s.step), late.figures)
	}
	delete(s.reports, at)
	for _, o := range s.operators {
		if now.Before(o.Created) {
			continue
		}
		var err error
		if o.account, err = s.dir.Get(s.t.Context(), o.ID); err != nil {
			s.t.Fatal(err)
		}
		accepted := s.fitting(o, s.wanted(o, at), now)
		if accepted > 0 {
			tally.Accepted(o.ID, waypost.KindEvent, now, accepted)
			tally.BuiltinAccepted(o.ID, waypost.KindEvent, now, accepted)
		}
		o.backlog += accepted
		s.deliver(&tally, o, s.leaving(o), at)
	}
	if err := s.store.Write(s.t.Context(), func(ctx context.Context, tx *engine.Tx) error { return tally.Write(ctx, tx, "node-a") }); err != nil {
		s.t.Fatal(err)
	}
}

// wanted is how many mails an operator hands over in a step: most by day, fewer at the
// weekend.
func (s *simulation) wanted(o *simulated, at time.Duration) int64 {
	mean := o.perDay * s.step.Hours() / 24
	now := s.start.Add(at)
	if day := now.Weekday(); day == time.Saturday || day == time.Sunday {
		mean *= 0.4
	}
	mean *= 1 - 0.7*math.Cos(2*math.Pi*(now.Sub(now.Truncate(aDay))+s.step/2).Hours()/24)
	if mean > 40 {
		return max(0, int64(math.Round(mean+math.Sqrt(mean)*s.chance.NormFloat64())))
	}
	n := int64(0)
	for p := s.chance.Float64(); p > math.Exp(-mean); n++ {
		p *= s.chance.Float64()
	}
	return n
}

// fitting is how many of them are accepted today.
func (s *simulation) fitting(o *simulated, n int64, now time.Time) int64 {
	limit := reputation.Limit(o.account.Guard, o.Operator, o.account.Reputation, now)
	if limit == 0 || n == 0 {
		return n
	}
	used, err := s.store.BuiltinAccepted(s.t.Context(), o.ID, now.Add(-aDay))
	if err != nil {
		s.t.Fatal(err)
	}
	fit := min(n, max(0, int64(limit)-used))
	o.refused += n - fit
	return fit
}

// leaving is how many of those that wait leave in a step.
func (s *simulation) leaving(o *simulated) int64 {
	if o.account.Paused() {
		return 0
	}
	n := o.backlog
	if most := o.account.SlowedTo(); most > 0 {
		n = min(n, int64(float64(most)*s.step.Minutes()))
	}
	return n
}

// deliver makes up what becomes of n mails. One bounce of seven is reported within hours,
// complaints within two days.
func (s *simulation) deliver(tally *store.Tally, o *simulated, n int64, at time.Duration) {
	if n == 0 {
		return
	}
	now := s.start.Add(at)
	bad := s.of(n, o.bounces(at))
	late := s.of(bad, 1.0/7)
	complaints := s.of(n-bad, o.complaints(at))
	tally.Moved(o.ID, waypost.KindEvent, waypost.Queued, waypost.Delivered, now, n-bad+late)
	tally.Moved(o.ID, waypost.KindEvent, waypost.Queued, waypost.Bounced, now, bad-late)
	tally.Builtin(o.ID, waypost.KindEvent, now, now.Add(s.step), waypost.GatewayFigures{Ended: n, Bounced: bad - late})
	for range late {
		s.later(o, at, 6*time.Hour, waypost.GatewayFigures{Bounced: 1})
	}
	for range complaints {
		s.later(o, at, 2*aDay, waypost.GatewayFigures{Complaints: 1})
	}
	o.backlog -= n
	o.sent += n
	if at >= o.from {
		o.since.Add(waypost.GatewayFigures{Ended: n, Bounced: bad, Complaints: complaints})
	}
}

func (s *simulation) later(o *simulated, at, within time.Duration, f waypost.GatewayFigures) {
	then := at + s.step*time.Duration(1+s.chance.Int64N(max(1, int64(within/s.step))))
	s.reports[then] = append(s.reports[then], lateReport{o, s.start.Add(at), f})
}

// of is how many of n have something that a share of all has.
func (s *simulation) of(n int64, share float64) (k int64) {
	for range n {
		if s.chance.Float64() < share {
			k++
		}
	}
	return k
}

// judge looks at the operators as the chore does.
func (s *simulation) judge(at time.Duration) {
	changed, err := s.JudgeReputations(s.t.Context(), s.start.Add(at))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range changed {
		o := s.byID[r.OperatorID]
		if r.Level.Rank() > o.worst.Rank() {
			o.worst = r.Level
		}
		if r.Level == waypost.LevelWarned {
			o.warnings++
		}
		if r.Level == waypost.LevelPaused {
			o.paused = at
		}
		s.t.Logf("day %4.1f  %-40s %-6s for %-10s  %s", at.Hours()/24, o.label, r.Level, r.Why, shares(r.Figures))
	}
}

func shares(w waypost.ReputationWindows) string {
	one := func(f waypost.GatewayFigures) string {
		return fmt.Sprintf("%.1f %% bounces, %.2f %% complaints of %d", 100*f.BounceShare(), 100*f.ComplaintShare(), f.Ended)
	}
	return one(w.Day) + " in 24 h; " + one(w.Week) + " in 7 d"
}

// conclude looks who was touched, and tells what it cost.
func (s *simulation) conclude() {
	t := s.t
	var touched []string
	var all, others, refused, warned int64
	for _, o := range s.operators {
		all += o.sent
		if o.culprit {
			if o.worst != waypost.LevelPaused {
				t.Errorf("%s: %s, not paused", o.label, o.worst)
			}
			t.Logf("%-40s paused %.1f days after it began, %d recipients, %d bounces and %d complaints later; %d wait, %d were put off by the limit of the day",
				o.label, (o.paused-o.from).Hours()/24, o.since.Ended, o.since.Bounced, o.since.Complaints, o.backlog, o.refused)
			continue
		}
		others += o.sent
		refused += o.refused
		if o.warnings > 0 {
			warned++
		}
		if o.worst.Rank() > waypost.LevelWarned.Rank() || o.backlog > 0 {
			touched = append(touched, fmt.Sprintf("%s: %s, %d wait", o.label, o.worst, o.backlog))
		}
	}
	if len(touched) > 0 {
		t.Errorf("operators that did nothing wrong were held up:\n%s", strings.Join(touched, "\n"))
	}
	if refused > 0 || warned > 1 { // the one with a bad day
		t.Errorf("of the others %d were warned, and %d mails put off by the limit of the day", warned, refused)
	}
	t.Logf("%d operators, %d recipients; of the other %d, with %d recipients, %d warned, none slowed down or paused",
		len(s.operators), all, len(s.operators)-3, others, warned)
}
