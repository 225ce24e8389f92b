package panel

import (
	"time"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) platformRoutes() []page {
	return []page{
		{"GET /platform", platformRead, p.platformPage},
	}
}

// troubleShown is how many operators of each kind of trouble the overview names.
const troubleShown = 5

// deadAfter is how long the number of another node may stand still.
const deadAfter = 30 * time.Second

func (p *panel) platformPage(q *request) error {
	totals, err := p.System.AllTotals(q.Context())
	if err != nil {
		return err
	}
	machine := p.machine(q)
	v := view.PlatformOverview{Empty: totals.Accepted == 0}
	if v.Now, err = p.platformNow(q, totals, machine); err != nil {
		return err
	}
	if q.isFragment() {
		return q.fragment(view.PlatformNowPart(q.frame(""), v.Now))
	}
	if v.Setup, err = p.setupCard(q); err != nil {
		return err
	}
	if v.Attention, err = p.platformAttention(q, machine); err != nil {
		return err
	}
	if v.Trouble, err = p.trouble(q); err != nil {
		return err
	}
	title := q.T("platform.title")
	if v.Empty {
		return q.show(title, view.PlatformPage(q.frame(title), v))
	}
	s := q.span(p.Now())
	hours, err := p.Store.Rollup(q.Context(), store.AllOperators, s.from(), s.end)
	if err != nil {
		return err
	}
	var sum store.Counts
	v.Chart, sum = q.chart(q.T("chart.title"), "/platform", s, hours)
	v.Balance = q.balance(totals)
	v.Stats = []view.Figure{
		{Label: q.T("overview.accepted"), Value: q.Number(sum.Accepted)},
		{Label: q.T("overview.delivered"), Value: q.Number(sum.Delivered)},
		{Label: q.T("overview.bounced"), Value: q.Number(sum.Bounced)},
	}
	if share, ok := rate(sum); ok {
		v.Stats = append(v.Stats, view.Figure{Label: q.T("overview.rate"), Value: q.Percent(share), Hint: q.T("overview.rate_hint")})
	}
	return q.show(title, view.PlatformPage(q.frame(title), v))
}

// machine is what this process knows about itself; nil if nobody tells.
func (p *panel) machine(q *request) *Machine {
	if p.Process == nil {
		return nil
	}
	m := p.Process.Machine(q.Context())
	return &m
}

func (p *panel) platformNow(q *request, totals store.Counts, m *Machine) (view.PlatformNow, error) {
	v := view.PlatformNow{Poll: "/platform"}
	depth, err := p.System.QueueDepth(q.Context())
	if err != nil {
		return v, err
	}
	held, err := p.System.Held(q.Context(), "")
	if err != nil {
		return v, err
	}
	nodes, err := p.System.Nodes(q.Context())
	if err != nil {
		return v, err
	}
	s := p.Queue.Snapshot(0)
	alive := 0
	for _, n := range nodes {
		if nodeState(n, s) != nodeSilent {
			alive++
		}
	}
	v.Figures = []view.Figure{
		{Label: q.T("overview.waiting"), Value: q.Number(totals.Accepted - totals.Final()), Path: "/platform/queue"},
		{Label: q.T("overview.held"), Value: q.upTo(held, heldBound), Path: "/platform/queue/deliveries?state=held"},
		{
			Label: q.T("platform.sessions"), Value: q.Number(int64(s.Sessions)),
			Hint: q.T("platform.sessions_hint", "Most", q.Number(int64(s.MostSessions)), "Deliveries", q.Number(int64(s.Deliveries))),
		},
		{
			Label: q.T("nodes.nodes"), Value: q.T("platform.of", "Some", q.Number(int64(alive)), "All", q.Number(int64(len(nodes)))), Hint: q.T("platform.nodes_hint"),
			Path: "/platform/nodes",
		},
	}
	if m != nil && m.DiskFree > 0 {
		v.Figures = append(v.Figures, view.Figure{Label: q.T("nodes.disk"), Value: q.bytes(m.DiskFree), Path: "/platform/nodes"})
	}
	for i, lane := range waypost.Lanes() {
		row := view.LaneRow{Label: q.Label("message_lane", string(lane)), Queued: q.Number(depth[lane])}
		if i < len(s.Lanes) {
			row.Sessions = q.Number(int64(s.Lanes[i].Sessions))
		}
		v.Lanes = append(v.Lanes, row)
	}
	return v, nil
}

// heldBound is up to how many held deliveries are counted.
const heldBound = 1000

// upTo is a number that was counted up to a bound.
func (q *request) upTo(n, bound int64) string {
	if n >= bound {
		return q.Number(bound) + "+"
	}
	return q.Number(n)
}

// bytes is a size that may be large.
func (q *request) bytes(n int64) string {
	if n < 1<<30 {
		return q.Size(n)
	}
	return q.Number(n>>30) + " GiB"
}

// What is known of a node.
const (
	nodeHere   = "here"   // the one that answers
	nodeAlive  = "alive"  // its number moves
	nodeSilent = "silent" // its number stands still
	nodeFresh  = "fresh"  // not watched long enough to know
)

func nodeState(n waypost.Node, s queue.Snapshot) string {
	quiet, watched := s.Peers[n.Incarnation]
	switch {
	case n.Incarnation == s.Incarnation:
		return nodeHere
	case !watched:
		return nodeFresh
	case quiet >= deadAfter:
		return nodeSilent
	}
	return nodeAlive
}

// platformAttention is what the staff should see to, the most urgent first.
func (p *panel) platformAttention(q *request, m *Machine) ([]view.Attention, error) {
	var list []view.Attention
	add := func(kind, title, text, path, link string) {
		list = append(list, view.Attention{Kind: kind, Title: title, Text: text, Path: path, Link: link})
	}
	if m != nil && m.DiskShort {
		add("danger", q.T("platform.disk_title"), q.T("platform.disk", "Free", q.bytes(m.DiskFree), "Reserve", q.bytes(m.DiskReserve)), "/platform/nodes", q.T("nav.nodes"))
	}
	if m != nil && m.AuditFindings > 0 {
		add("danger", q.T("platform.audit_title"), q.N("platform.audit", int64(m.AuditFindings)), "/platform/nodes", q.T("nav.nodes"))
	}
	if s := p.Queue.Snapshot(0); s.Cut || s.Unsaved > 0 {
		add("danger", q.T("platform.cut_title"), q.T("platform.cut"), "/platform/nodes", q.T("nav.nodes"))
	}
	if m != nil && m.UnnamedProxy != "" {
		add("warning", q.T("platform.proxy_title"), q.T("platform.proxy", "Peer", m.UnnamedProxy), "", "")
	}
	waiting, err := p.System.SendersWaitingCount(q.Context())
	if err != nil {
		return nil, err
	}
	if waiting > 0 {
		add("info", q.N("platform.requests_title", waiting), q.T("platform.requests"), "/platform/requests", q.T("nav.requests"))
	}
	removals, err := p.System.Removals(q.Context())
	if err != nil {
		return nil, err
	}
	for i, o := range removals {
		if i == troubleShown {
			break
		}
		add("info", q.T("platform.removal_title", "Operator", o.Name), q.T("platform.removal"), "/platform/operators/"+o.ID, q.T("platform.show"))
	}
	return list, nil
}

// trouble names operators whose mail does not leave.
func (p *panel) trouble(q *request) ([]view.TroubleList, error) {
	var lists []view.TroubleList
	for _, kind := range waypost.OperatorTroubles() {
		found, _, err := p.System.FindOperators(q.Context(), waypost.OperatorFilter{Trouble: kind}, "", troubleShown+1)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			continue
		}
		list := view.TroubleList{Title: q.Label("trouble", string(kind)), State: "failing"}
		if len(found) > troubleShown {
			found, list.More = found[:troubleShown], "/platform/operators?trouble="+string(kind)
		}
		for _, o := range found {
			row := view.TroubleRow{Name: o.Name, Path: "/platform/operators/" + o.ID}
			switch kind {
			case waypost.TroubleFailing:
				row.Text, row.Quote = q.T("overview.gateway_failing", "Since", q.Moment(o.FailingSince)), o.FailingWhy
			case waypost.TroubleGateway:
				row.Text = q.T("overview.gateway_none")
				if o.Withdrawn {
					row.Text = q.T("platform.withdrawn", "Gateway", q.Label("gateway", gatewayName(o.Gateway)), "Product", q.Label("product", string(o.Product)))
				}
			case waypost.TroubleGuard:
				row.Text = q.Label("reputation_level", string(o.Level))
			case waypost.TroubleSuspended:
			}
			list.Rows = append(list.Rows, row)
		}
		lists = append(lists, list)
	}
	return lists, nil
}
