package waypost

import (
	"encoding/json"
	"fmt"
	"strings"
)

// reputationValues are the policy for people and programs. The ramp is a text of a line for
// each step: "7: 10000" for up to 10,000 recipients a day until an age of 7 days.
type reputationValues struct {
	On             bool    `json:"on"`
	BounceWarn     float64 `json:"bounce_warn"`
	BounceSlow     float64 `json:"bounce_slow"`
	BouncePause    float64 `json:"bounce_pause"`
	ComplaintWarn  float64 `json:"complaint_warn"`
	ComplaintSlow  float64 `json:"complaint_slow"`
	ComplaintPause float64 `json:"complaint_pause"`
	Least          int     `json:"least_recipients"`
	LeastSpam      int     `json:"least_complaints"`
	PerMinute      int     `json:"slow_per_minute"`
	Ramp           string  `json:"ramp"`
}

func (p ReputationPolicy) values() reputationValues {
	steps := make([]string, len(p.Ramp))
	for i, s := range p.Ramp {
		steps[i] = fmt.Sprintf("%d: %d", s.Days, s.Recipients)
	}
	return reputationValues{
		On: !p.Off, BounceWarn: p.Bounces.Warn, BounceSlow: p.Bounces.Slow, BouncePause: p.Bounces.Pause,
		ComplaintWarn: p.Complaints.Warn, ComplaintSlow: p.Complaints.Slow, ComplaintPause: p.Complaints.Pause,
		Least: p.Least, LeastSpam: p.LeastSpam, PerMinute: p.PerMinute, Ramp: strings.Join(steps, "\n"),
	}
}

// MarshalJSON writes the policy as it is kept.
func (p ReputationPolicy) MarshalJSON() ([]byte, error) { return json.Marshal(p.values()) }

// UnmarshalJSON reads it; what the text does not have stays as it is.
func (p *ReputationPolicy) UnmarshalJSON(text []byte) error {
	v := p.values()
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	*p = ReputationPolicy{
		Off: !v.On, Bounces: Rates{v.BounceWarn, v.BounceSlow, v.BouncePause}, Complaints: Rates{v.ComplaintWarn, v.ComplaintSlow, v.ComplaintPause},
		Least: v.Least, LeastSpam: v.LeastSpam, PerMinute: v.PerMinute, Ramp: parseRamp(v.Ramp),
	}
	return nil
}

// parseRamp reads the lines of a ramp. One that is none becomes a step that Check refuses.
func parseRamp(text string) []RampStep {
	var steps []RampStep
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		var s RampStep
		var rest string
		if n, _ := fmt.Sscanf(line+" .", "%d: %d %s", &s.Days, &s.Recipients, &rest); n != 3 || rest != "." {
			s = RampStep{}
		}
		steps = append(steps, s)
	}
	return steps
}

// Bounds of a policy.
const (
	maxRampSteps = 20
	maxRampDays  = 3650
	maxPolicy    = 1_000_000_000 // recipients
)

// Check refuses rates that are none, and a ramp that does not rise.
func (p ReputationPolicy) Check() error {
	for _, r := range []struct {
		prefix string
		rates  Rates
	}{{"bounce_", p.Bounces}, {"complaint_", p.Complaints}} {
		least := 0.0
		for _, v := range []struct {
			key  string
			rate float64
		}{{"warn", r.rates.Warn}, {"slow", r.rates.Slow}, {"pause", r.rates.Pause}} {
			switch {
			case v.rate == 0:
			case v.rate < 0 || v.rate > 100:
				return FieldError(r.prefix+v.key, "must be from 0 to 100 percent; 0 is never")
			case v.rate < least:
				return FieldError(r.prefix+v.key, "must not be less than the rate of what is milder")
			default:
				least = v.rate
			}
		}
	}
	for _, v := range []struct {
		key   string
		value int
	}{{"least_recipients", p.Least}, {"least_complaints", p.LeastSpam}, {"slow_per_minute", p.PerMinute}} {
		if v.value < 1 || v.value > 1_000_000 {
			return FieldError(v.key, "must be from 1 to 1,000,000")
		}
	}
	if len(p.Ramp) > maxRampSteps {
		return FieldError("ramp", fmt.Sprintf("must have at most %d lines", maxRampSteps))
	}
	var last RampStep
	for _, s := range p.Ramp {
		if s.Days <= last.Days || s.Days > maxRampDays || s.Recipients < max(1, last.Recipients) || s.Recipients > maxPolicy {
			return FieldError("ramp", `must have a line for each step, as "7: 10000": up to which age in days, and how many recipients a day; both rise`)
		}
		last = s
	}
	return nil
}
