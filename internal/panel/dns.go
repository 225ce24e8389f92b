package panel

import (
	"net/http"
	"strings"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) dnsRoutes() []page {
	return []page{
		{"GET /platform/dns", platformRead, p.platformDNS},
		{"GET /platform/dns/report", platformRead, p.platformReport},
		{"POST /platform/dns/rotate", ownerOnly, p.rotateKeys},
	}
}

// platformDNS shows the page at once; a look at all records takes seconds, so the report is
// loaded afterwards.
func (p *panel) platformDNS(q *request) error {
	return q.showPlatformDNS(http.StatusOK, view.PlatformDNS{})
}

// platformReport is the report alone, and with the page around it for who has no scripts.
func (p *panel) platformReport(q *request) error {
	if p.Platform.Sandbox() {
		return q.redirect("/platform/dns", "")
	}
	if p.Asks.Allow(waypost.PlatformOperatorID) != nil {
		problem := q.T("domains.too_many_checks")
		if q.isFragment() {
			return q.fragment(view.Alert("warning", "", problem))
		}
		return q.showPlatformDNS(http.StatusTooManyRequests, view.PlatformDNS{Problem: problem})
	}
	found, err := p.PlatformDNS.CheckPlatform(q.Context())
	if err != nil {
		return err
	}
	right, required := count(found)
	records := q.records(p.Platform.Domain, found)
	for i, item := range found.Items { // some parts mean something else here
		records.List[i].Title, records.List[i].Why = q.Label("platform_record_title", string(item.Part)), q.Label("platform_record_why", string(item.Part))
	}
	records.Zone = missing(found)
	r := view.PlatformReport{
		Kind: "success", Summary: q.T("dns.right"), Checked: q.T("domains.checked_at", "When", q.Exactly(found.At)),
		Records: records,
	}
	if right < required {
		r.Kind, r.Summary = "warning", q.T("dns.wrong", "Right", q.Number(int64(right)), "All", q.Number(int64(required)))
	}
	if q.isFragment() {
		return q.fragment(view.PlatformReportPart(q.frame(""), r))
	}
	return q.showPlatformDNS(http.StatusOK, view.PlatformDNS{Report: &r})
}

// missing are the records that are still to be published, as lines of a zone file: but for
// names of addresses, which are in a zone of somebody else.
func missing(r verify.Report) string {
	var b strings.Builder
	for _, item := range r.Items {
		if item.Verdict != verify.OK && item.Record.Value != "" && item.Record.Type != "PTR" {
			b.WriteString(item.Record.ZoneLine() + "\n")
		}
	}
	return b.String()
}

// showPlatformDNS shows the page; v has the report, or what went wrong.
func (q *request) showPlatformDNS(status int, v view.PlatformDNS) error {
	p := q.panel
	v.Sandbox, v.Rotation.Upstream = p.Platform.Sandbox(), p.UpstreamSigns
	if !v.Sandbox && !v.Rotation.Upstream {
		s, err := p.PlatformDNS.KeyRotation(q.Context())
		if err != nil {
			return err
		}
		v.Rotation = q.rotation(s)
	}
	return q.showStatus(status, q.T("dns.title"), view.PlatformDNSPage(q.frame(""), v))
}

func (q *request) rotation(s verify.RotationStatus) view.Rotation {
	until := "–"
	if !s.Until.IsZero() {
		until = q.Moment(s.Until)
	}
	r := view.Rotation{
		Signing: s.Signing.Selector, Other: s.Other.Selector, About: q.T("rotation."+string(s.State), "Other", s.Other.Selector, "Until", until),
		May:   ownerOnly.allows(q.session) && s.State != verify.RotationKeeping,
		Again: s.State == verify.RotationRecord || s.State == verify.RotationCaches, Question: q.T("dns.rotate_question", "Other", s.Other.Selector),
	}
	if !s.Signing.Started.IsZero() {
		r.Since = q.T("dns.since", "When", q.Date(s.Signing.Started))
	}
	return r
}

func (p *panel) rotateKeys(q *request) error {
	_, err := p.PlatformDNS.RotateKeys(q.Context(), q.by())
	if text, ok := q.problemText(err); err != nil && ok {
		return q.showPlatformDNS(http.StatusConflict, view.PlatformDNS{Problem: text})
	}
	if err != nil {
		return err
	}
	return q.redirect("/platform/dns#keys", "rotation_asked")
}
