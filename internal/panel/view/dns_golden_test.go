package view_test

import (
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/panel/view"
)

// someRecords are records in every verdict, some of them hostile.
func someRecords() view.Records {
	card := func(id, verdict string) view.Record {
		return view.Record{
			ID: id, Title: "Title", Why: "Purpose", Type: "TXT", Name: "name.shop.example", Short: "name", Value: "value", Verdict: verdict, Label: "Label", Required: true,
		}
	}
	right, missing, wrong, unknown, recommended := card("r1", "ok"), card("r2", "missing"), card("r3", "wrong"), card("r4", "unknown"), card("r5", "missing")
	missing.Advice = []view.RecordAdvice{{Level: "error", Text: "Add it."}}
	wrong.Title, wrong.Why, wrong.Name, wrong.Short, wrong.Value = hostile, hostile, hostile, hostile, strings.Repeat("x", 10000)
	wrong.Found, wrong.Servers = []string{hostile, "plain"}, hostile
	wrong.Advice = []view.RecordAdvice{{Level: "error", Text: hostile, Original: hostile}, {Level: "warning", Text: "Heed this."}, {Level: "note", Text: "Good to know."}}
	unknown.Value = ""
	recommended.Required = false
	return view.Records{List: []view.Record{right, missing, wrong, unknown, recommended}, Zone: "; " + hostile + "\nname. 3600 IN TXT \"value\"\n", HasCNAME: true}
}

func TestRecordsInEveryVerdict(t *testing.T) {
	p := frame(t)
	golden(t, "dns-records", view.RecordList(p, someRecords()))
}

func TestThePageOfDomains(t *testing.T) {
	p := frame(t)
	steps := []view.Step{
		{Number: "1", Title: "Prove", Text: "How", State: "done", Label: "Done"},
		{Number: "2", Title: "Authorize", Text: "How", State: "now", Label: "Next"},
		{Number: "3", Title: "Use", Text: "How", State: "later", Label: "Later"},
	}
	claim := view.Field{Name: "domain", Label: "Domain", Required: true}
	add := view.SenderForm{Address: view.Field{Name: "address", Label: "Address"}, Name: view.Field{Name: "name", Label: "Name"}, Default: view.Field{Name: "default", Label: "Default"}}
	golden(t, "domains-empty", view.DomainsPage(p, view.Domains{Write: true, Now: view.Now{Kind: "info", Text: "Mail leaves."}, Steps: steps, Claim: claim, Add: add}))
	full := view.Domains{
		Write: true, Steps: steps, Claim: claim, Add: add, Problem: hostile, OwnServer: true, Next: "/domains?after=x#senders",
		Now:     view.Now{Kind: "warning", Text: hostile, Path: "/settings/email", Label: "Settings"},
		Domains: []view.DomainRow{{ID: "d1", Name: hostile, Unicode: hostile, State: "authorized", Label: "Authorized", Right: "5 of 5", Checked: "now"}},
		Senders: []view.SenderRow{
			{ID: "s1", Address: hostile, Name: hostile, State: "rejected", Label: "Rejected", About: hostile, Default: true},
			{ID: "s2", Address: "*@shop.example", State: "requested", Label: "Requested", About: "Waits.", Path: "/domains/d1", PathLabel: "See"},
		},
	}
	full.Claim.Value, full.Claim.Error, full.Add.Problem = hostile, hostile, hostile
	golden(t, "domains-full", view.DomainsPage(p, full))
	full.Write = false
	golden(t, "domains-viewer", view.DomainsPage(p, full))
	sender := view.Sender{Row: full.Senders[1], Write: true, Name: view.Field{Name: "name", Label: "Name", Value: hostile}, Question: hostile}
	sender.Row.CanBeDefault = true
	golden(t, "senders-one", view.SenderPage(p, sender))
}

func someDomain() view.Domain {
	return view.Domain{
		ID: "d1", Name: hostile, Unicode: hostile, Write: true, Problem: hostile, Question: hostile, First: "/domains/d1#history", Next: "/domains/d1?before=e9#history",
		Live: view.DomainLive{
			Path: "/domains/d1?seen=abc", Every: "5s", State: "proven", Label: "Proven", Kind: "info", Summary: "Publish the rest.", Right: "1 of 4", Checked: "Just now.",
			Records: someRecords(), Changed: true,
		},
		Link:    view.LinkForm{Days: view.Field{Name: "days", Label: "Days", Value: "7"}, URL: "https://mail.example.net/dns/token", Expires: "tomorrow"},
		History: []view.HistoryEntry{{At: "now", Text: hostile, By: hostile}, {At: "before", Text: "The domain was added."}},
	}
}

func TestThePageOfADomain(t *testing.T) {
	p, v := frame(t), someDomain()
	golden(t, "domain", view.DomainPage(p, v))
	golden(t, "domain-live", view.DomainLiveParts(p, v.Live))
	v.Live.Changed = false
	golden(t, "domain-live-same", view.DomainLiveParts(p, v.Live))
	v.Write, v.Link.URL, v.Problem, v.Live.Records = false, "", "", view.Records{}
	golden(t, "domain-viewer", view.DomainPage(p, v))
}

func TestThePageBehindALink(t *testing.T) {
	p := frame(t)
	p.Title = hostile
	golden(t, "dns-linked", view.DNSDocument(p, view.DNSPage{Domain: hostile, Refresh: "60", Expires: "tomorrow", Live: someDomain().Live}))
	golden(t, "dns-linked-gone", view.DNSDocument(p, view.DNSPage{Text: "It has ended."}))
}

func TestTheRequestsForSupport(t *testing.T) {
	p := frame(t)
	row := view.RequestRow{ID: "s1", Address: hostile, Name: hostile, OperatorID: "o1", Operator: hostile, State: "authorized", Label: "Authorized", Since: "yesterday"}
	golden(t, "requests-empty", view.RequestsPage(p, view.Requests{Write: true, Automatic: true, Upstream: true}))
	golden(t, "requests", view.RequestsPage(p, view.Requests{
		Write: true, Upstream: true, Senders: []view.RequestRow{row, {ID: "s2", Address: "*@a.example", OperatorID: "gone", State: "unclaimed", Label: "Not added", Since: "now"}},
		First: "/platform/requests", Next: "/platform/requests?after=s2", Keys: []view.KeyRow{{ID: "d1", Domain: hostile, OperatorID: "o1", Operator: hostile, Since: "now"}},
	}))
	v := view.Request{Row: row, Write: true, Ready: true, Receives: true, From: hostile, Problem: hostile, Words: []string{hostile}, Reason: view.Field{Name: "reason", Label: "Reason", Value: hostile, Error: hostile}}
	golden(t, "request", view.RequestPage(p, v))
	v.Receives, v.Problem = false, ""
	golden(t, "request-force", view.RequestPage(p, v))
	v.Ready, v.Write = false, false
	golden(t, "request-auditor", view.RequestPage(p, v))
	golden(t, "requests-key", view.KeyPage(p, view.KeyForm{Row: view.KeyRow{ID: "d1", Domain: hostile, OperatorID: "o1", Operator: hostile}, Key: view.Field{Name: "key", Label: "Key", Value: hostile}}))
}

func TestThePlatformsDomainAndKeys(t *testing.T) {
	p := frame(t)
	rotation := view.Rotation{Signing: "wp1", Since: "since March", Other: hostile, About: hostile, May: true, Question: hostile}
	golden(t, "dns-platform", view.PlatformDNSPage(p, view.PlatformDNS{Rotation: rotation, Problem: hostile}))
	rotation.Again = true
	report := &view.PlatformReport{Kind: "warning", Summary: "Not all.", Checked: "Just now.", Records: someRecords()}
	golden(t, "dns-platform-report", view.PlatformDNSPage(p, view.PlatformDNS{Rotation: rotation, Report: report}))
	golden(t, "dns-platform-upstream", view.PlatformDNSPage(p, view.PlatformDNS{Rotation: view.Rotation{Upstream: true}}))
	golden(t, "dns-platform-sandbox", view.PlatformDNSPage(p, view.PlatformDNS{Sandbox: true}))
}
