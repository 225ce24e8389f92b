package view_test

import (
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
)

// counts are those of a row of a chart.
func counts(n int64) []view.ChartCount {
	list := []view.ChartCount{{Value: 6 * n}}
	for _, s := range waypost.FinalStates() {
		list = append(list, view.ChartCount{State: s, Value: n})
	}
	return list
}

func chart() view.Chart {
	return view.Chart{
		Title: hostile, Path: "/overview", Period: "7d", About: hostile, Sum: counts(1234), Rows: []view.ChartRow{
			{Label: hostile, Title: hostile, Counts: counts(-1)}, {Label: "Mar 4", Title: "Mar 4, 2026", Counts: counts(1235)},
		},
	}
}

func figures() []view.Figure {
	return []view.Figure{{Label: hostile, Value: hostile, Hint: hostile, Path: "/messages?state=queued"}, {Label: "Held", Value: "0"}}
}

func attention() []view.Attention {
	return []view.Attention{
		{Kind: "danger", Title: hostile, Text: hostile, Quote: strings.Repeat("x", 10_000), Path: "/settings/email", Link: hostile}, {Kind: "info", Title: "Only a title"},
	}
}

func balance() view.Balance {
	return view.Balance{Sum: "1,234", Parts: []view.Part{{State: "queued", Label: hostile, Value: "1,234"}, {State: "delivered", Label: "Delivered", Value: "0"}}}
}

func TestTheOverviewOfAnOperator(t *testing.T) {
	p := frame(t)
	golden(t, "overview-empty", view.OverviewPage(p, view.Overview{Empty: true, Write: true, Now: view.OverviewNow{Poll: "/overview", Gateway: view.GatewayHealth{Name: "None", State: "missing", Label: "None"}}}))
	golden(t, "overview-full", view.OverviewPage(p, view.Overview{
		Attention: attention(), Chart: chart(), Stats: figures(), Balance: balance(),
		Now: view.OverviewNow{Poll: "/overview", Figures: figures(), Gateway: view.GatewayHealth{Name: hostile, State: "failing", Label: hostile, Why: hostile, Path: "/settings/email"}},
		Last: []view.MessageRow{
			{Path: "/messages/1", At: "now", To: hostile, More: "+3", Subject: hostile, States: []view.State{{State: "queued", Label: hostile}}},
			{Path: "/messages/2", At: "now", To: "a@b.example", Subject: "(no subject)", Plain: true},
		},
	}))
}

func TestTheOverviewOfThePlatform(t *testing.T) {
	p := frame(t)
	golden(t, "platform-empty", view.PlatformPage(p, view.PlatformOverview{Empty: true, Now: view.PlatformNow{Poll: "/platform"}}))
	golden(t, "platform-full", view.PlatformPage(p, view.PlatformOverview{
		Attention: attention(), Chart: chart(), Stats: figures(), Balance: balance(),
		Now: view.PlatformNow{Poll: "/platform", Figures: figures(), Lanes: []view.LaneRow{{Label: hostile, Queued: "1", Sessions: "2"}}},
		Trouble: []view.TroubleList{{
			Title: hostile, State: "failing", More: "/platform/operators?trouble=failing",
			Rows: []view.TroubleRow{{Name: hostile, Path: "/platform/operators/1", Text: hostile, Quote: hostile}, {Name: "Acme", Path: "/platform/operators/2"}},
		}},
	}))
}

func TestThePagesOfOperators(t *testing.T) {
	p := frame(t)
	field := view.Field{Name: "name", Label: "Name", Value: hostile, Error: hostile}
	golden(t, "operators-empty", view.OperatorsPage(p, view.Operators{Write: true, Name: field, Trouble: field}))
	golden(t, "operators-none", view.OperatorsPage(p, view.Operators{Active: true, Name: field, Trouble: field, Parent: hostile, ParentName: hostile, Short: true, First: "/a", Next: "/b"}))
	golden(t, "operators-full", view.OperatorsPage(p, view.Operators{
		Write: true, Name: field, Trouble: field, Next: "/platform/operators?cursor=1", Removals: []view.Removal{{ID: "1", Name: hostile, Since: "now", Messages: "12"}},
		Rows: []view.OperatorRow{
			{ID: "1", Name: hostile, Product: "Cloud", Gateway: "None", States: []view.State{{State: "suspended", Label: hostile}}, ParentID: "2", ParentName: hostile, Accepted: "1", Ended: hostile},
			{ID: "2", Name: "Platform", Platform: true, Accepted: "–"},
		},
	}))
	form := view.OperatorForm{
		Title: hostile, Problem: hostile, Name: field, Product: field, Contact: field, Parent: field, Uncertain: field, PerMinute: field,
		Names: []view.Name{{ID: "1", Name: hostile}},
	}
	golden(t, "operators-new", view.OperatorFormPage(p, form))
	form.ID = "1"
	golden(t, "operators-edit", view.OperatorFormPage(p, form))
	golden(t, "operators-delete", view.DeleteOperatorPage(p, view.DeleteOperator{ID: "1", Name: hostile, What: []string{hostile}, Confirm: field}))
	golden(t, "operators-removing", view.RemovedOperatorPage(p, view.Removal{ID: "1", Name: hostile, Since: "then", Messages: "1", Cancelled: "2"}))
	golden(t, "operators-removed", view.RemovedOperatorPage(p, view.Removal{ID: "1", Name: hostile, Since: "then", Messages: "1", Cancelled: "2", Finished: "now"}))
	golden(t, "operator-plain", view.OperatorPage(p, view.Operator{ID: "1", Name: "Acme"}))
	o := view.Operator{
		ID: "1", Name: hostile, States: []view.State{{State: "active", Label: "Active"}}, Attention: attention(), Facts: []view.OperatorFact{{Label: hostile, Value: hostile, Mono: true}},
		ParentID: "2", ParentName: hostile, Figures: figures(), Domains: []view.OperatorDomain{{Name: hostile, State: "warning", Label: hostile}},
		Senders: []view.OperatorSender{{Address: hostile, State: "requested", Label: hostile, Default: true}}, More: true, SuspendAsk: hostile, Write: true, Enter: true,
	}
	golden(t, "operator-full", view.OperatorPage(p, o))
	o.Suspended = true
	golden(t, "operator-suspended", view.OperatorPage(p, o))
	row := view.ProductRow{
		Label: hostile, Allowed: []view.ProductGateway{{Field: "a", Label: hostile, Allowed: true}, {Field: "b", Label: "B"}},
		Initial: view.Field{Name: "initial_cloud", Label: hostile, Value: "smtp", Error: hostile, Options: []view.Option{{Label: "None"}, {Value: "smtp", Label: hostile}}}, InitialLabel: hostile,
	}
	products := view.Products{Gateways: []string{hostile, "B"}, Rows: []view.ProductRow{row}, Problem: hostile, Write: true}
	golden(t, "products-owner", view.ProductsPage(p, products))
	products.Write = false
	golden(t, "products-read", view.ProductsPage(p, products))
	settings := view.PlatformSettings{Write: true, Sections: []view.SettingsSection{{
		Name: "return_path", Title: hostile, About: hostile, Problem: hostile, Fields: []view.Field{
			{Name: "courtesy", Label: hostile, Value: hostile, Hint: hostile, Error: hostile, Rows: 3},
			{Name: "forward", Label: hostile, Type: "checkbox", Value: "true"},
			{Name: "hard_hours", Label: hostile, Value: hostile, Mode: "numeric"},
		},
	}}}
	golden(t, "platform-settings-owner", view.PlatformSettingsPage(p, settings))
	settings.Write = false
	golden(t, "platform-settings-read", view.PlatformSettingsPage(p, settings))
}

func TestThePagesOfTheQueueAndTheNodes(t *testing.T) {
	p := frame(t)
	field := view.Field{Name: "operator", Label: "Operator", Value: hostile, Error: hostile}
	golden(t, "queue-empty", view.QueuePage(p, view.Queue{Now: view.QueueNow{Poll: "/platform/queue", Sessions: "none"}}))
	golden(t, "queue-full", view.QueuePage(p, view.Queue{
		Operator: field, Domain: field, Names: []view.Name{{Name: hostile}}, Active: true, First: "/a", Next: "/b", Sizes: []view.QueueSizeRow{{ID: "1", Name: hostile, Queued: "1", Held: "2"}},
		Now: view.QueueNow{Poll: "/platform/queue", Sessions: hostile, More: hostile, Destinations: []view.DestinationRow{{
			Name: hostile, Kind: hostile, OperatorID: "1", Operator: hostile, State: "failing", Label: hostile, Sessions: "1", Waiting: "2", Rate: "3", Why: hostile,
		}}},
		Backlogs: []view.BacklogRow{{OperatorID: "1", Operator: "", Site: hostile, Path: "/platform/queue/deliveries?operator=1", Waiting: "1,000+", Oldest: "1 h ago", Wait: hostile, Words: hostile}},
	}))
	golden(t, "deliveries-empty", view.DeliveriesPage(p, view.Deliveries{}))
	golden(t, "deliveries-full", view.DeliveriesPage(p, view.Deliveries{
		Operator: field, Domain: field, State: field, Active: true, Done: hostile, Unfinished: true, Scope: hostile, All: true, Next: "/b",
		Rows:     []view.DeliveryRow{{To: hostile, ID: "1", OperatorID: "1", Operator: hostile, Lane: "Alarm", State: "held", Label: hostile, Tries: "1 try", Expires: "then", Wait: hostile, Words: strings.Repeat("x", 10_000)}},
		Controls: []view.QueueControl{{Label: hostile, Ask: hostile, Hidden: [][2]string{{"operator", hostile}}, Danger: true}, {Label: "Hold", Ask: "?"}},
	}))
	golden(t, "nodes-empty", view.NodesPage(p, view.Nodes{Poll: "/platform/nodes"}))
	golden(t, "nodes-full", view.NodesPage(p, view.Nodes{
		Poll: "/platform/nodes", Nodes: []view.NodeRow{{Name: hostile, Incarnation: hostile, Started: "then", Quiet: hostile, State: "failing", Label: hostile}, {Name: "here", Here: true, State: "ok", Label: "Working"}},
		Self: []view.OperatorFact{{Label: hostile, Value: hostile, Mono: true}}, Health: []view.Health{{Label: hostile, State: "failing", Value: hostile, Text: hostile}, {Label: "Disk", State: "ok", Value: "Good"}},
	}))
}
