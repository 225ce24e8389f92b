package panel

import (
	"strings"
	"time"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/reputation"
	"github.com/waypost/waypost/internal/waypost"
)

// reputation is how the built-in gateway treats an operator's mail; nil for who does not use
// it.
func (q *request) reputation(a *waypost.Account) (*view.Reputation, error) {
	if a.Gateway != waypost.GatewayBuiltin || a.ID == waypost.PlatformOperatorID || a.Guard.Off || q.panel.Platform.Sandbox() {
		return nil, nil //nolint:nilnil // there is nothing to show
	}
	r, err := q.panel.Accounts.Reputation(q.Context(), a.ID, q.panel.Now())
	if err != nil {
		return nil, err
	}
	v := &view.Reputation{State: q.levelState(r.Applied), Text: q.levelText(a)}
	fact := func(label, value string) {
		v.Facts = append(v.Facts, view.OperatorFact{Label: q.T(label), Value: value})
	}
	if r.Applied != waypost.LevelOK {
		fact("reputation.since", q.Moment(r.Since))
	}
	fact("reputation.day", q.gatewayFigures(r.Windows.Day))
	fact("reputation.week", q.gatewayFigures(r.Windows.Week))
	fact("reputation.rates", q.T("reputation.rates_value", "Bounces", q.rates(r.Policy.Bounces), "Complaints", q.rates(r.Policy.Complaints)))
	used := q.T("reputation.limit_none", "Used", q.Number(r.Used))
	if r.PerDay > 0 {
		used = q.T("reputation.limit_used", "Used", q.Number(r.Used), "Limit", q.Number(int64(r.PerDay)))
	}
	fact("reputation.limit", used)
	if r.Trusted {
		fact("operators.trusted", q.T("reputation.trusted"))
	}
	return v, nil
}

// levelState is the badge of a level.
func (q *request) levelState(l waypost.ReputationLevel) view.State {
	state := map[waypost.ReputationLevel]string{waypost.LevelWarned: "warning", waypost.LevelSlowed: "warning", waypost.LevelPaused: "error"}[l]
	if state == "" {
		state = "ok"
	}
	return view.State{State: state, Label: q.Label("reputation_level", string(l))}
}

// levelText says what the level of an operator means for its mail, and what to do.
func (q *request) levelText(a *waypost.Account) string {
	level := a.Level()
	if level == waypost.LevelOK {
		return q.T("reputation_text.ok")
	}
	text := []string{q.T("reputation_text."+string(level), "Count", q.Number(int64(a.SlowedTo())))}
	if a.Reputation.Why != "" {
		text = append(text, q.Label("reputation_cause", string(a.Reputation.Why)))
	}
	return strings.Join(text, " ")
}

// gatewayFigures are figures in a sentence.
func (q *request) gatewayFigures(f waypost.GatewayFigures) string {
	if f.Ended == 0 {
		return "–"
	}
	return q.T("reputation.figures", "Ended", q.Number(f.Ended), "Bounced", q.Number(f.Bounced), "Bounces", q.FinePercent(f.BounceShare()),
		"Complained", q.Number(f.Complaints), "Complaints", q.FinePercent(f.ComplaintShare()))
}

func (q *request) rates(r waypost.Rates) string {
	var list []string
	for _, rate := range []float64{r.Warn, r.Slow, r.Pause} {
		text := "–"
		if rate > 0 {
			text = q.FinePercent(rate / 100)
		}
		list = append(list, text)
	}
	return strings.Join(list, " / ")
}

// dayLimit is how many recipients a day an operator may have, in words.
func (q *request) dayLimit(a *waypost.Account, now time.Time) string {
	if n := reputation.Limit(a.Guard, a.Operator, a.Reputation, now); n > 0 {
		return q.Number(int64(n))
	}
	return q.T("operators.no_limit")
}

// liftReputation lets an operator's mail go again by the built-in gateway.
func (p *panel) liftReputation(q *request) error {
	o, err := p.pathOperator(q)
	if err != nil {
		return err
	}
	if err := p.Accounts.LiftReputation(q.Context(), q.by(), o.ID, p.Now()); err != nil {
		return err
	}
	return q.redirect("/platform/operators/"+o.ID, "reputation_lifted")
}
