package panel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) domainsRoutes() []page {
	return []page{
		{"GET /domains", tenantRead, p.domainsPage},
		{"POST /domains", tenantWrite, p.claimDomain},
		{"GET /domains/{id}", tenantRead, p.domainPage},
		{"POST /domains/{id}/check", tenantWrite, p.checkDomain},
		{"POST /domains/{id}/link", tenantWrite, p.linkDomain},
		{"POST /domains/{id}/remove", tenantWrite, p.removeDomain},

		{"GET /dns/{token}", anybody, p.linkedPage},
	}
}

const (
	lookSoon       = time.Minute      // a domain that somebody looks at is checked that soon
	lookNoted      = 20 * time.Second // how often it is noted that somebody looks
	firstCheckTime = 10 * time.Second // how long the page after a claim waits for the first check
	sendersOnPage  = 50
)

// domainsForm is what was typed on the page of domains, and what is wrong with it.
type domainsForm struct {
	domain, address, name string
	makeDefault           bool
	problems              map[string]string // by field; "claim" and "sender" for those of no field
}

func (p *panel) domainsPage(q *request) error {
	return q.showDomains(http.StatusOK, domainsForm{domain: q.value("domain")})
}

// showDomains shows the page of domains and senders.
func (q *request) showDomains(status int, f domainsForm) error {
	domains, err := q.panel.Store.Domains(q.Context(), q.operator())
	if err != nil {
		return err
	}
	senders, err := q.panel.Store.Senders(q.Context(), q.operator())
	if err != nil {
		return err
	}
	v := view.Domains{
		Write: q.mayWrite(), Now: q.leavesAs(), Steps: q.steps(domains, senders), Problem: f.problems["claim"], Sandbox: q.panel.Platform.Sandbox(),
		OwnServer: q.account.Gateway == waypost.GatewaySMTP, Claim: view.Field{
			Name: "domain", Label: q.T("domains.domain"), Hint: q.T("domains.claim_hint"), Value: f.domain, Error: f.problems["domain"],
			Auto: "off", Mode: "url", Required: true, Max: 300,
		}, Add: view.SenderForm{
			Problem: f.problems["sender"],
			Address: view.Field{
				Name: "address", Label: q.T("senders.address"), Hint: q.T("senders.address_hint"), Value: f.address, Error: f.problems["address"],
				Auto: "off", Mode: "email", Required: true, Max: 254,
			},
			Name: q.nameField(f.name, f.problems["name"]),
			Default: view.Field{
				Name: "default", Label: q.T("senders.default"), Value: strconv.FormatBool(f.makeDefault), Error: f.problems["default"], Hint: q.T("senders.default_hint"),
			},
		},
	}
	for _, d := range domains {
		v.Domains = append(v.Domains, q.domainRow(d))
	}
	after := q.URL.Query().Get("after")
	for _, s := range senders { // by address, at most account's bound of them
		if s.Address <= after {
			v.First = "/domains#senders"
			continue
		}
		if len(v.Senders) == sendersOnPage {
			v.Next = "/domains?after=" + escape(v.Senders[sendersOnPage-1].Address) + "#senders"
			break
		}
		v.Senders = append(v.Senders, q.senderRow(s, domains))
	}
	return q.showStatus(status, q.T("domains.title"), view.DomainsPage(q.frame(q.T("domains.title")), v))
}

func (q *request) domainRow(d store.CheckedDomain) view.DomainRow {
	row := view.DomainRow{
		ID: d.ID, Name: d.Name, Unicode: unicodeName(d.Name), State: d.State(), Label: q.Label("domain_state", d.State()),
		Right: "–", Checked: q.T("domains.not_checked"),
	}
	if r := reportOf(d); len(r.Items) > 0 {
		row.Right = q.right(r)
	}
	if !d.Checked.IsZero() {
		row.Checked = q.Moment(d.Checked)
	}
	return row
}

// right says how many of the required records are right.
func (q *request) right(r verify.Report) string {
	right, required := count(r)
	return q.T("domains.right", "Right", q.Number(int64(right)), "All", q.Number(int64(required)))
}

// unicodeName is an internationalized name as people write it, "" for one that reads the
// same, or that cannot be written so without deceiving (UTS 46).
func unicodeName(name string) string {
	if !strings.Contains(name, "xn--") {
		return ""
	}
	text, err := idna.Display.ToUnicode(name)
	if err != nil || text == name {
		return ""
	}
	return text
}

// leavesAs says what mail of the operator leaves as now, and why.
func (q *request) leavesAs() view.Now {
	a, platform := q.account, q.panel.Platform
	settings := func(kind, text string) view.Now {
		return view.Now{Kind: kind, Text: text, Path: "/settings/email", Label: q.T("domains.to_settings")}
	}
	switch {
	case a.Gateway == "" || a.Withdrawn:
		return settings("warning", q.T("domains.now_none"))
	case a.Gateway == waypost.GatewaySMTP:
		if _, ok := a.DefaultSender(); !ok {
			return settings("info", q.T("domains.now_own_any"))
		}
		from := route.From(platform, a, waypost.RouteRelay, route.DefaultFrom(platform, a)).Address
		return settings("info", q.T("domains.now_own", "From", account.Mailbox(from)))
	case platform.Sandbox():
		return view.Now{Kind: "info", Text: q.T("domains.now_sandbox")}
	}
	chosen := route.From(platform, a, waypost.RouteDirect, route.DefaultFrom(platform, a))
	if !chosen.Replaced {
		return view.Now{Kind: "success", Text: q.T("domains.now_as", "From", account.Mailbox(chosen.Address))}
	}
	return view.Now{Kind: "info", Text: q.T("domains.now_default", "From", account.Mailbox(chosen.Address), "Reason", q.whyDefault(a))}
}

// whyDefault says why mail leaves with the platform's address.
func (q *request) whyDefault(a *waypost.Account) string {
	s, ok := a.DefaultSender()
	domain, proven := a.DomainFor(s.Address)
	switch {
	case !ok && len(a.Senders) == 0:
		return q.T("domains.why_no_sender")
	case !ok:
		return q.T("domains.why_no_default")
	case s.State == waypost.SenderRejected:
		return q.T("domains.why_rejected", "Address", s.Address)
	case (!proven || domain.Authorized.IsZero()) && s.State == waypost.SenderAssigned:
		return q.T("domains.why_lapsed", "Domain", waypost.DomainOf(s.Address))
	case !proven || domain.Authorized.IsZero():
		return q.T("domains.why_open", "Domain", waypost.DomainOf(s.Address))
	default:
		return q.T("domains.why_waiting", "Address", s.Address)
	}
}

// steps are the way to an own address, with how far the operator is.
func (q *request) steps(domains []store.CheckedDomain, senders []waypost.Sender) []view.Step {
	var done [3]bool
	for _, d := range domains {
		done[0] = done[0] || !d.Proven.IsZero()
		done[1] = done[1] || !d.Authorized.IsZero()
		for _, s := range senders {
			done[2] = done[2] || s.State == waypost.SenderAssigned && !d.Authorized.IsZero() && waypost.DomainOf(s.Address) == d.Name
		}
	}
	var list []view.Step
	next := "now"
	for i, name := range []string{"prove", "authorize", "use"} {
		s := view.Step{Number: strconv.Itoa(i + 1), Title: q.T("step." + name), Text: q.T("step." + name + "_about"), State: "done"}
		if !done[i] {
			s.State, next = next, "later"
		}
		s.Label = q.Label("step_state", s.State)
		list = append(list, s)
	}
	return list
}

// problemText is the text of an error that a person can do something about; ok is false
// for any other.
func (q *request) problemText(err error) (text string, ok bool) {
	e := waypost.AsError(err)
	switch e.Kind {
	case waypost.Invalid, waypost.Conflict, waypost.RateLimited:
	default:
		return "", false
	}
	if q.Has("problem." + e.Code) {
		return q.T("problem." + e.Code), true
	}
	return e.Message, true
}

// fieldProblems sorts what is wrong by field, each in the words of set; an error about no
// field of it is returned.
func (q *request) fieldProblems(err error, set string) (map[string]string, error) {
	list, ok := errors.AsType[account.Problems](err)
	if !ok {
		return nil, err
	}
	problems := map[string]string{}
	for _, e := range list {
		problems[e.Field] = cmp.Or(q.maybe(set+".wrong_"+e.Field), e.Message)
	}
	return problems, nil
}

// maybe is the text of a key, "" if there is none.
func (q *request) maybe(key string) string {
	if !q.Has(key) {
		return ""
	}
	return q.T(key)
}

func (p *panel) claimDomain(q *request) error {
	f := domainsForm{domain: q.value("domain")}
	refuse := func(status int, field, text string) error {
		f.problems = map[string]string{field: text}
		return q.showDomains(status, f)
	}
	if err := p.Asks.Allow(q.operator()); err != nil {
		return refuse(http.StatusTooManyRequests, "claim", q.T("domains.too_many_checks"))
	}
	claimed, err := p.Accounts.ClaimDomain(q.Context(), q.by(), q.operator(), f.domain)
	if problems, other := q.fieldProblems(err, "domains"); err != nil && other == nil {
		f.problems = problems
		return q.showDomains(http.StatusUnprocessableEntity, f)
	}
	if text, ok := q.problemText(err); err != nil && ok {
		return refuse(http.StatusUnprocessableEntity, "domain", text)
	}
	if err != nil {
		return err
	}
	p.firstCheck(q, claimed)
	return q.redirect("/domains/"+claimed.ID, "domain_claimed")
}

// firstCheck has a domain checked, which tells what to publish. It is the watcher's work
// all the same: what it cannot find out now it finds out later.
func (p *panel) firstCheck(q *request, d store.CheckedDomain) {
	ctx, cancel := context.WithTimeout(q.Context(), firstCheckTime)
	defer cancel()
	_, _ = p.Domains.CheckNow(ctx, d.OperatorID, d.ID)
}

func (p *panel) domainPage(q *request) error {
	d, checking, err := p.look(q.Context(), q.operator(), q.PathValue("id"))
	if err != nil {
		return err
	}
	if q.isFragment() {
		return q.sendLive(q.live("/domains/"+d.ID, d, checking))
	}
	return q.showDomain(http.StatusOK, d, checking, "", "")
}

// look reads a domain that somebody looks at, and has it checked if the last check is a
// minute ago: checking reports that.
func (p *panel) look(ctx context.Context, operatorID, id string) (d store.CheckedDomain, checking bool, err error) {
	if d, err = p.Store.Domain(ctx, operatorID, id); err != nil {
		return d, false, err
	}
	now := p.Now()
	due := d.Checked.Add(lookSoon)
	if checking = !due.After(now); checking {
		due = now
	}
	if now.Sub(d.Looked) < lookNoted && !d.Next.After(due) {
		return d, checking, nil // a page asks every few seconds: what is noted is not written again
	}
	return d, checking, p.Store.LookAtDomain(ctx, operatorID, id, now, due)
}

// showDomain shows the page of a domain. problem is why something was not done, days what
// was typed for a link that could not be made; "" for none.
func (q *request) showDomain(status int, d store.CheckedDomain, checking bool, problem, days string) error {
	v := view.Domain{
		ID: d.ID, Name: d.Name, Unicode: unicodeName(d.Name), Write: q.mayWrite(), Problem: problem, Live: q.live("/domains/"+d.ID, d, checking),
		Question: q.T("domains.remove_question", "Domain", d.Name), Link: view.LinkForm{Days: view.Field{
			Name: "days", Label: q.T("dnslink.days"), Value: strconv.Itoa(defaultLinkDays), Type: "number", Mode: "numeric", Required: true,
		}},
	}
	if days != "" {
		v.Link.Days.Value, v.Link.Days.Error = days, q.T("dnslink.wrong_days")
	}
	// The link that was just made comes back in the address; only one that is right is shown.
	token := q.URL.Query().Get("link")
	if l, ok := q.panel.LinkKeys.Read(token); ok && l.DomainID == d.ID && l.OperatorID == q.operator() && q.mayWrite() {
		v.Link.URL, v.Link.Expires = q.base+"/dns/"+token, q.Moment(l.Expires)
	}
	if err := q.fillHistory(&v); err != nil {
		return err
	}
	return q.showStatus(status, d.Name, view.DomainPage(q.frame(d.Name), v))
}

// live is what changes about a domain while somebody looks at the page at path.
func (q *request) live(path string, d store.CheckedDomain, checking bool) view.DomainLive {
	r := reportOf(d)
	records := q.records(d.Name, r)
	records.Zone = verify.Zone(r)
	v := view.DomainLive{
		State: d.State(), Label: q.Label("domain_state", d.State()), Records: records, Every: "5s",
		Checked: q.T("domains.checked_at", "When", q.Exactly(d.Checked)),
	}
	if checking {
		v.Every, v.Checked = "2s", q.T("domains.checked_again", "When", q.Exactly(d.Checked))
	}
	if d.Checked.IsZero() {
		v.Checked = q.T("domains.checking_first")
	}
	if len(r.Items) > 0 {
		v.Right = q.right(r)
	}
	v.Kind, v.Summary = q.summary(d.Domain, r)
	seen := fingerprint(v, d.Report)
	v.Changed = seen != q.URL.Query().Get("seen")
	v.Path = path + "?seen=" + seen
	return v
}

// fingerprint stands for all that a page shows of a domain but the time of its check.
func fingerprint(v view.DomainLive, report string) string {
	h := fnv.New64a()
	before, _, _ := strings.Cut(report, `"at":`)
	_, _ = fmt.Fprint(h, v.State, v.Summary, v.Label, before) // never fails
	return strconv.FormatUint(h.Sum64(), 36)
}

// sendLive answers a page that is open.
func (q *request) sendLive(v view.DomainLive) error {
	return q.fragment(view.DomainLiveParts(q.frame(""), v))
}

// summary says in a sentence how far a domain is.
func (q *request) summary(d waypost.Domain, r verify.Report) (kind, text string) {
	right, required := count(r)
	authorized := !d.Authorized.IsZero()
	switch {
	case len(r.Items) == 0:
		return "info", q.T("domains.about_new")
	case authorized && right < required:
		return "warning", q.T("domains.about_drifted")
	case authorized && allRight(r):
		return "success", q.T("domains.about_done")
	case authorized:
		return "success", q.T("domains.about_recommended")
	case !d.Proven.IsZero():
		return "info", q.T("domains.about_proven")
	default:
		return "info", q.T("domains.about_claimed")
	}
}

func allRight(r verify.Report) bool {
	for _, item := range r.Items {
		if item.Verdict != verify.OK {
			return false
		}
	}
	return true
}

func (p *panel) checkDomain(q *request) error {
	d, err := p.Store.Domain(q.Context(), q.operator(), q.PathValue("id"))
	if err != nil {
		return err
	}
	if p.Asks.Allow(q.operator()) != nil {
		return q.showDomain(http.StatusTooManyRequests, d, false, q.T("domains.too_many_checks"), "")
	}
	if _, err = p.Domains.CheckNow(q.Context(), q.operator(), d.ID); err != nil {
		if text, ok := q.problemText(err); ok {
			return q.showDomain(http.StatusConflict, d, false, text, "")
		}
		return err
	}
	return q.redirect("/domains/"+d.ID, "domain_checked")
}

func (p *panel) removeDomain(q *request) error {
	if err := p.Accounts.RemoveDomain(q.Context(), q.by(), q.operator(), q.PathValue("id")); err != nil {
		return err
	}
	return q.redirect("/domains", "removed")
}

// How many days a link works: if nobody says, and at most.
const (
	defaultLinkDays = 7
	maxLinkDays     = 30
)

func (p *panel) linkDomain(q *request) error {
	d, err := p.Store.Domain(q.Context(), q.operator(), q.PathValue("id"))
	if err != nil {
		return err
	}
	days, err := strconv.Atoi(q.value("days"))
	if err != nil || days < 1 || days > maxLinkDays {
		return q.showDomain(http.StatusUnprocessableEntity, d, false, "", cmp.Or(q.value("days"), "0"))
	}
	expires := p.Now().AddDate(0, 0, days).Truncate(time.Second)
	token, ok := p.LinkKeys.Token(verify.Link{OperatorID: q.operator(), DomainID: d.ID, Expires: expires})
	if !ok {
		return waypost.NewError(waypost.NotFound, "not_found", "no such domain")
	}
	return q.redirect("/domains/"+d.ID+"?link="+token, "")
}
