package panel

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) overviewRoutes() []page {
	return []page{
		{"GET /overview", tenantRead, p.overviewPage},
	}
}

const (
	lastOnOverview = 10

	// Bounces are worth a look from so many a day and such a share of what was tried on.
	manyBounces = 20
	bounceShare = 0.05

	// attentionMost bounds how many domains, and how many senders, are named one by one.
	attentionMost = 5
)

func (p *panel) overviewPage(q *request) error {
	totals, err := p.Store.Totals(q.Context(), q.operator())
	if err != nil {
		return err
	}
	standing, err := p.Store.Standing(q.Context(), q.operator())
	if err != nil {
		return err
	}
	v := view.Overview{Now: q.overviewNow(totals, standing), Empty: totals.Accepted == 0, Write: q.mayWrite()}
	if q.isFragment() {
		return q.fragment(view.NowPart(q.frame(""), v.Now))
	}
	if v.Attention, err = q.attention(standing); err != nil {
		return err
	}
	title := q.T("overview.title")
	if v.Empty {
		return q.show(title, view.OverviewPage(q.frame(title), v))
	}
	s := q.span(p.Now())
	hours, err := p.Store.Rollup(q.Context(), q.operator(), s.from(), s.end)
	if err != nil {
		return err
	}
	var sum store.Counts
	v.Chart, sum = q.chart(q.T("chart.title"), "/overview", s, hours)
	v.Balance = q.balance(totals)
	if v.Stats, err = q.overviewStats(sum); err != nil {
		return err
	}
	if v.Last, err = q.lastMessages(); err != nil {
		return err
	}
	return q.show(title, view.OverviewPage(q.frame(title), v))
}

// overviewNow is how the queue and the gateway stand.
func (q *request) overviewNow(totals store.Counts, s store.Standing) view.OverviewNow {
	queued := totals.Accepted - totals.Final()
	v := view.OverviewNow{Poll: "/overview", Gateway: q.gatewayHealth()}
	waiting := view.Figure{Label: q.T("overview.waiting"), Value: q.Number(queued)}
	if queued > 0 {
		waiting.Path = "/messages?state=queued"
	}
	held := view.Figure{Label: q.T("overview.held"), Value: q.Number(s.Held), Hint: q.T("overview.held_hint")}
	if s.MoreHeld {
		held.Value += "+"
	}
	oldest := view.Figure{Label: q.T("overview.oldest"), Value: "–", Hint: q.T("overview.nothing_waits")}
	if !s.Oldest.IsZero() {
		oldest.Value, oldest.Hint = q.Took(max(0, q.panel.Now().Sub(s.Oldest))), q.T("overview.since", "When", q.Moment(s.Oldest))
		if s.Sampled {
			oldest.Hint = q.T("overview.since_or_older", "When", q.Moment(s.Oldest))
		}
	}
	v.Figures = []view.Figure{waiting, held, oldest}
	return v
}

// gatewayHealth says whether mail leaves, and if not, why.
func (q *request) gatewayHealth() view.GatewayHealth {
	a := q.account
	h := view.GatewayHealth{Path: "/settings/email", Name: q.Label("gateway", gatewayName(a.Gateway)), State: "ok", Label: q.T("overview.gateway_ok")}
	switch {
	case a.Suspended:
		h.State, h.Label = "suspended", q.T("overview.gateway_suspended")
	case a.Gateway == "":
		h.State, h.Label = "missing", q.T("overview.gateway_none")
	case a.Withdrawn:
		h.State, h.Label = "error", q.T("overview.gateway_withdrawn")
	case a.Gateway == waypost.GatewaySMTP && a.Relay == nil:
		h.State, h.Label = "missing", q.T("overview.gateway_no_server")
	case a.Gateway == waypost.GatewaySMTP && a.RelayHealth.Failing():
		h.State, h.Label, h.Why = "failing", q.T("overview.gateway_failing", "Since", q.Moment(a.RelayHealth.FailingSince)), a.RelayHealth.Reason
	case a.Level() != waypost.LevelOK && !q.panel.Platform.Sandbox():
		level := q.levelState(a.Level())
		h.State, h.Label = level.State, level.Label
	case a.Gateway == waypost.GatewayBuiltin && q.panel.Platform.Sandbox():
		h.State, h.Label, h.Path = "warning", q.T("overview.gateway_sandbox"), "/mailbox"
	}
	return h
}

// gatewayName is the name of a gateway among the texts.
func gatewayName(g waypost.GatewayType) string {
	if g == "" {
		return "none"
	}
	return string(g)
}

// overviewStats are the numbers of the period.
func (q *request) overviewStats(sum store.Counts) ([]view.Figure, error) {
	list := []view.Figure{
		{Label: q.T("overview.accepted"), Value: q.Number(sum.Accepted)},
		{Label: q.T("overview.delivered"), Value: q.Number(sum.Delivered), Path: "/messages?state=delivered"},
		{Label: q.T("overview.bounced"), Value: q.Number(sum.Bounced), Path: "/messages?state=bounced"},
	}
	if share, ok := rate(sum); ok {
		list = append(list, view.Figure{Label: q.T("overview.rate"), Value: q.Percent(share), Hint: q.T("overview.rate_hint")})
	}
	delays, err := q.panel.Store.Delays(q.Context(), q.operator())
	if err != nil || len(delays) == 0 {
		return list, err
	}
	slices.Sort(delays)
	return append(list, view.Figure{
		Label: q.T("overview.took"), Value: q.Took(delays[len(delays)/2]), Hint: q.N("overview.took_hint", int64(len(delays))),
	}), nil
}

// balance is what became of everything: the parts make the sum.
func (q *request) balance(totals store.Counts) view.Balance {
	b := view.Balance{Sum: q.Number(totals.Accepted)}
	for _, state := range allStates() {
		n := totals.Accepted - totals.Final()
		if state.Final() {
			n = *totals.Of(state)
		}
		b.Parts = append(b.Parts, view.Part{State: string(state), Label: q.Label("state", string(state)), Value: q.Number(n)})
	}
	return b
}

func (q *request) lastMessages() ([]view.MessageRow, error) {
	found, err := q.panel.Store.Messages(q.Context(), q.operator(), store.MessageFilter{Limit: lastOnOverview})
	if err != nil {
		return nil, err
	}
	var rows []view.MessageRow
	for i := range found.Messages {
		m := &found.Messages[i]
		row := view.MessageRow{Path: "/messages/" + m.ID, At: q.Moment(m.Created), To: m.Recipient, States: q.states(m.States)}
		row.Subject, row.Plain = q.subject(&m.Message)
		if m.Recipients > 1 {
			row.More = q.T("messages.more", "Count", q.Number(int64(m.Recipients-1)))
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// attention is what the operator should see to, the most urgent first.
func (q *request) attention(s store.Standing) ([]view.Attention, error) {
	list := q.gatewayAttention()
	domains, err := q.domainAttention()
	if err != nil {
		return nil, err
	}
	list = append(list, domains...)
	list = append(list, q.senderAttention()...)
	now := q.panel.Now()
	hours, err := q.panel.Store.Rollup(q.Context(), q.operator(), now.Add(-23*time.Hour), now)
	if err != nil {
		return nil, err
	}
	var day store.Counts
	for _, h := range hours {
		day.Add(h.Counts)
	}
	if tried := day.Delivered + day.Bounced; day.Bounced >= manyBounces && float64(day.Bounced) > bounceShare*float64(tried) {
		list = append(list, view.Attention{
			Kind: "warning", Title: q.T("attention.bounces_title"),
			Text: q.T("attention.bounces", "Bounced", q.Number(day.Bounced), "Tried", q.Number(tried)), Path: "/messages?state=bounced", Link: q.T("attention.to_bounced"),
		})
	}
	if s.Held > 0 {
		list = append(list, view.Attention{
			Kind: "info", Title: q.N("attention.held_title", s.Held), Text: q.T("attention.held"), Path: "/messages?state=queued", Link: q.T("attention.to_queued"),
		})
	}
	return list, nil
}

func (q *request) gatewayAttention() []view.Attention {
	a := q.account
	settings := func(title, text string) view.Attention {
		return view.Attention{Kind: "danger", Title: title, Text: text, Path: "/settings/email", Link: q.T("attention.to_settings")}
	}
	var list []view.Attention
	if a.Suspended {
		list = append(list, view.Attention{Kind: "danger", Title: q.T("attention.suspended_title"), Text: q.T("attention.suspended")})
	}
	switch {
	case a.Gateway == "":
		list = append(list, settings(q.T("attention.no_gateway_title"), q.T("attention.no_gateway")))
	case a.Withdrawn:
		list = append(list, settings(q.T("attention.withdrawn_title"), q.T("attention.withdrawn")))
	case a.Gateway == waypost.GatewaySMTP && a.Relay == nil:
		list = append(list, settings(q.T("attention.no_server_title"), q.T("attention.no_server")))
	case a.Gateway == waypost.GatewaySMTP && a.RelayHealth.Failing():
		h := a.RelayHealth
		failing := settings(q.T("attention.failing_title"), q.T("attention.failing", "Since", q.Moment(h.FailingSince), "Next", q.Clock(h.NextProbe)))
		failing.Quote = h.Reason
		list = append(list, failing)
	case a.Level() != waypost.LevelOK && !q.panel.Platform.Sandbox():
		level := settings(q.Label("reputation_title", string(a.Level())), q.levelText(a))
		level.Path = "/settings/email#reputation"
		if a.Level() == waypost.LevelWarned {
			level.Kind = "warning"
		}
		list = append(list, level)
	}
	return list
}

// domainAttention names the domains whose records are not as they were.
func (q *request) domainAttention() ([]view.Attention, error) {
	domains, err := q.panel.Store.Domains(q.Context(), q.operator())
	if err != nil {
		return nil, err
	}
	var list []view.Attention
	for _, d := range domains {
		parts := drifted(d)
		if len(parts) == 0 || len(list) == attentionMost {
			continue
		}
		titles := make([]string, len(parts))
		for i, part := range parts {
			titles[i] = q.Label("record_title", string(part))
		}
		names := strings.Join(titles, ", ")
		a := view.Attention{Kind: "warning", Path: "/domains/" + d.ID, Link: q.T("attention.to_domain")}
		if d.Authorized.IsZero() {
			a.Kind = "danger"
			a.Title, a.Text = q.T("attention.lapsed_title", "Domain", d.Name), q.T("attention.lapsed", "Records", names)
		} else {
			a.Title, a.Text = q.T("attention.drifted_title", "Domain", d.Name), q.T("attention.drifted", "Records", names)
		}
		list = append(list, a)
	}
	return list, nil
}

// drifted lists the records of a domain that were right and, beyond doubt, are not now.
func drifted(d store.CheckedDomain) []verify.Part {
	var w verify.Watch
	if d.Watch == "" || json.Unmarshal([]byte(d.Watch), &w) != nil {
		return nil
	}
	var parts []verify.Part
	for part, doubt := range w.Doubts {
		if doubt.Told {
			parts = append(parts, part)
		}
	}
	slices.Sort(parts)
	return parts
}

func (q *request) senderAttention() []view.Attention {
	var list []view.Attention
	for _, s := range q.account.Senders {
		if s.State != waypost.SenderRejected || len(list) == attentionMost {
			continue
		}
		list = append(list, view.Attention{
			Kind: "warning", Title: q.T("attention.rejected_title", "Address", s.Address), Text: q.T("attention.rejected"), Quote: s.Reason,
			Path: "/domains#senders", Link: q.T("attention.to_senders"),
		})
	}
	return list
}
