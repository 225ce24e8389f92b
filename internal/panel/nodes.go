package panel

import (
	"strings"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/queue"
)

func (p *panel) nodesRoutes() []page {
	return []page{
		{"GET /platform/nodes", platformRead, p.nodesPage},
	}
}

func (p *panel) nodesPage(q *request) error {
	nodes, err := p.System.Nodes(q.Context())
	if err != nil {
		return err
	}
	s := p.Queue.Snapshot(0)
	v := view.Nodes{Poll: "/platform/nodes"}
	for _, n := range nodes {
		row := view.NodeRow{Name: n.Name, Incarnation: n.Incarnation, Started: q.Moment(n.Started), Here: n.Incarnation == s.Incarnation}
		state := nodeState(n, s)
		row.State, row.Label = nodeLook(state), q.Label("node_state", state)
		if quiet, ok := s.Peers[n.Incarnation]; ok && !row.Here && state == nodeSilent {
			row.Quiet = q.T("nodes.quiet", "Time", q.Took(quiet))
		}
		v.Nodes = append(v.Nodes, row)
	}
	v.Health, v.Self = p.health(q, s)
	if q.isFragment() {
		return q.fragment(view.NodesPart(q.frame(""), v))
	}
	title := q.T("nodes.title")
	return q.show(title, view.NodesPage(q.frame(title), v))
}

func nodeLook(state string) string {
	switch state {
	case nodeHere, nodeAlive:
		return "ok"
	case nodeSilent:
		return "failing"
	}
	return "queued"
}

// health is what this process knows of itself and what it runs on.
func (p *panel) health(q *request, s queue.Snapshot) (list []view.Health, self []view.OperatorFact) {
	add := func(label, state, value, text string) {
		list = append(list, view.Health{Label: label, State: state, Value: value, Text: text})
	}
	good, bad := q.T("nodes.good"), q.T("nodes.bad")
	if s.Cut {
		add(q.T("nodes.lease"), "failing", bad, q.T("nodes.cut"))
	} else {
		add(q.T("nodes.lease"), "ok", good, "")
	}
	if s.Unsaved > 0 {
		add(q.T("nodes.results"), "failing", bad, q.N("nodes.unsaved", int64(s.Unsaved)))
	}
	m := p.machine(q)
	if m == nil {
		return list, self
	}
	engine := q.Label("database", m.Database)
	switch {
	case m.DatabaseDown:
		add(q.T("nodes.database"), "failing", bad, q.T("nodes.database_down", "Engine", engine))
	case m.DatabaseSize > 0:
		add(q.T("nodes.database"), "ok", good, q.T("nodes.database_size", "Engine", engine, "Size", q.bytes(m.DatabaseSize), "Took", q.Took(m.DatabaseTook)))
	default:
		add(q.T("nodes.database"), "ok", good, q.T("nodes.database_answers", "Engine", engine, "Took", q.Took(m.DatabaseTook)))
	}
	disk := q.T("nodes.disk_free", "Free", q.bytes(m.DiskFree), "Reserve", q.bytes(m.DiskReserve))
	switch {
	case m.DiskShort:
		add(q.T("nodes.disk"), "failing", bad, disk+" "+q.T("nodes.disk_short"))
	case m.DiskFree > 0:
		add(q.T("nodes.disk"), "ok", good, disk)
	}
	switch {
	case m.AuditAt.IsZero():
		add(q.T("nodes.audit"), "", q.T("nodes.not_yet"), q.T("nodes.audit_other"))
	case m.AuditFindings > 0:
		add(q.T("nodes.audit"), "failing", bad, q.N("platform.audit", int64(m.AuditFindings)))
	default:
		add(q.T("nodes.audit"), "ok", good, q.T("nodes.audit_good", "When", q.Moment(m.AuditAt)))
	}
	switch {
	case m.Signer == "":
		add(q.T("nodes.signer"), "", q.T("nodes.not_used"), q.T("nodes.no_signer"))
	case m.SignerWhy != "":
		add(q.T("nodes.signer"), "warning", m.Signer, q.T("nodes.slow_signer")+" "+m.SignerWhy)
	default:
		add(q.T("nodes.signer"), "ok", m.Signer, "")
	}
	self = []view.OperatorFact{
		{Label: q.T("nodes.version"), Value: m.Version, Mono: true},
		{Label: q.T("nodes.running"), Value: q.Took(max(0, p.Now().Sub(m.Started)))},
		{Label: q.T("nodes.node"), Value: s.Node, Mono: true},
		{
			Label: q.T("platform.sessions"),
			Value: q.T("platform.of", "Some", q.Number(int64(s.Sessions)), "All", q.Number(int64(s.MostSessions))),
		},
		{Label: q.T("nodes.memory"), Value: q.Number(int64(s.Deliveries))},
	}
	for _, l := range m.Listeners {
		self = append(self, view.OperatorFact{Label: q.T("nodes.listens", "Name", strings.ToUpper(l.Name)), Value: l.Addr, Mono: true})
	}
	return list, self
}
