package waypost

import "time"

// ReputationLevel is how the built-in gateway treats an operator's mail, by what became of
// the mail before.
type ReputationLevel string

// The levels, from good to bad. They concern the built-in gateway only, and never mail of
// kind security.
const (
	LevelOK     ReputationLevel = "ok"
	LevelWarned ReputationLevel = "warned" // nothing is held up, but the limit of recipients grows no further
	LevelSlowed ReputationLevel = "slowed" // so many recipients a minute
	LevelPaused ReputationLevel = "paused" // it waits until a person of the platform lifts that
)

// ReputationLevels lists them from good to bad.
func ReputationLevels() []ReputationLevel {
	return []ReputationLevel{LevelOK, LevelWarned, LevelSlowed, LevelPaused}
}

// Rank is the place of a level from good to bad, 0 for ok.
func (l ReputationLevel) Rank() int {
	switch l {
	case LevelWarned:
		return 1
	case LevelSlowed:
		return 2
	case LevelPaused:
		return 3
	case LevelOK:
	}
	return 0
}

// ReputationCause is what a level is about.
type ReputationCause string

// The causes.
const (
	CauseBounces    ReputationCause = "bounces"    // mail to addresses that do not exist
	CauseComplaints ReputationCause = "complaints" // recipients call it spam
)

// GatewayFigures are what became of an operator's mail on the built-in gateway in some time.
type GatewayFigures struct {
	Ended      int64 `json:"ended"`      // deliveries that it delivered or that bounced
	Bounced    int64 `json:"bounced"`    // of these, for addresses or domains that do not exist
	Complaints int64 `json:"complaints"` // of these, called spam by the recipient
}

// Add adds other to f.
func (f *GatewayFigures) Add(other GatewayFigures) {
	f.Ended += other.Ended
	f.Bounced += other.Bounced
	f.Complaints += other.Complaints
}

// BounceShare is the share of what bounced, 0 to 1.
func (f GatewayFigures) BounceShare() float64 { return f.share(f.Bounced) }

// ComplaintShare is the share of complaints, 0 to 1.
func (f GatewayFigures) ComplaintShare() float64 { return f.share(f.Complaints) }

func (f GatewayFigures) share(n int64) float64 {
	if f.Ended <= 0 {
		return 0
	}
	return float64(n) / float64(f.Ended)
}

// ReputationWindows are the figures of the sliding windows.
type ReputationWindows struct {
	Day  GatewayFigures `json:"day"`  // 24 h
	Week GatewayFigures `json:"week"` // 7 d
}

// Reputation is how an operator stands with the built-in gateway. Its zero value is that of
// one of whom nothing is known, which is ok.
type Reputation struct {
	OperatorID  string
	Level       ReputationLevel   // "" for ok
	Since       time.Time         // of the level
	Why         ReputationCause   // "" for ok, or a person's decision
	Figures     ReputationWindows // what it was judged by when the level was set
	Frozen      time.Time         // when it left ok; zero while ok
	CalmSince   time.Time         // since when a lower level would do; zero for not
	TroubleAt   time.Time         // the limit of recipients starts over from then; zero for from creation
	CountedFrom time.Time         // what was sent before is forgiven; zero for everything
	Base        GatewayFigures    // what the hour of CountedFrom had by then
	By          string            // who set the level: Actor.ID
}

// Now is the level, never "".
func (r Reputation) Now() ReputationLevel {
	if r.Level == "" {
		return LevelOK
	}
	return r.Level
}

// Rates are the shares from which on an operator is warned, slowed and paused, in percent.
type Rates struct {
	Warn, Slow, Pause float64 // 0 for never
}

// RampStep is how many recipients a day an operator may have up to an age.
type RampStep struct {
	Days       int // since it was created, or last paused
	Recipients int
}

// ReputationPolicy is what the guard of the built-in gateway goes by.
type ReputationPolicy struct {
	Off        bool // nobody is judged or limited
	Bounces    Rates
	Complaints Rates
	Least      int        // recipients in a window that is judged at all
	LeastSpam  int        // complaints in a window that count at all
	PerMinute  int        // recipients a minute and node of a slowed operator
	Ramp       []RampStep // by age; after the last step there is no limit
}

// DefaultReputationPolicy is the one that holds unless the owner sets another.
func DefaultReputationPolicy() ReputationPolicy {
	return ReputationPolicy{
		Bounces:    Rates{Warn: 5, Slow: 8, Pause: 10},
		Complaints: Rates{Warn: 0.1, Slow: 0.3, Pause: 0.5},
		Least:      100, LeastSpam: 5, PerMinute: 10,
		Ramp: []RampStep{{1, 1_000}, {3, 2_500}, {7, 10_000}, {14, 25_000}, {30, 100_000}},
	}
}

// ReputationCase is an operator to judge.
type ReputationCase struct {
	Reputation Reputation
	Windows    ReputationWindows
	Trusted    bool
}
