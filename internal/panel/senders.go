package panel

import (
	"net/http"
	"strings"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) sendersRoutes() []page {
	return []page{
		{"POST /senders", tenantWrite, p.addSender},
		{"GET /senders/{id}", tenantRead, p.senderPage},
		{"POST /senders/{id}", tenantWrite, p.renameSender},
		{"POST /senders/{id}/default", tenantWrite, p.defaultSender},
		{"POST /senders/{id}/remove", tenantWrite, p.removeSender},
	}
}

// nameField is the field of a display name.
func (q *request) nameField(value, problem string) view.Field {
	return view.Field{
		Name: "name", Label: q.T("senders.name"), Hint: q.T("senders.name_hint", "Operator", q.account.Name), Value: value, Error: problem, Auto: "off", Max: 200,
	}
}

func (p *panel) addSender(q *request) error {
	f := domainsForm{address: q.value("address"), name: q.value("name"), makeDefault: q.value("default") == "true"}
	_, err := p.Accounts.AddSender(q.Context(), q.by(), q.operator(), account.NewSender{Address: f.address, Name: f.name, Default: f.makeDefault})
	if err == nil {
		return q.redirect("/domains#senders", "added")
	}
	var other error
	if f.problems, other = q.fieldProblems(err, "senders"); other != nil {
		text, ok := q.problemText(other)
		if !ok {
			return other
		}
		f.problems = map[string]string{"sender": text}
	}
	return q.showDomains(http.StatusUnprocessableEntity, f)
}

func (p *panel) senderPage(q *request) error {
	s, err := p.Store.Sender(q.Context(), q.operator(), q.PathValue("id"))
	if err != nil {
		return err
	}
	return q.showSender(http.StatusOK, s, s.Name, "")
}

// showSender shows the page of a sender; name is what is typed, problem what is wrong
// with it.
func (q *request) showSender(status int, s waypost.Sender, name, problem string) error {
	domains, err := q.panel.Store.Domains(q.Context(), q.operator())
	if err != nil {
		return err
	}
	v := view.Sender{Row: q.senderRow(s, domains), Write: q.mayWrite(), Name: q.nameField(name, problem), Question: q.T("senders.remove_question", "Address", s.Address)}
	return q.showStatus(status, s.Address, view.SenderPage(q.frame(s.Address), v))
}

// senderRow shows a sender, and what has to be done until it is used.
func (q *request) senderRow(s waypost.Sender, domains []store.CheckedDomain) view.SenderRow {
	row := view.SenderRow{
		ID: s.ID, Address: s.Address, Name: s.Name, State: string(s.State), Label: q.Label("sender_state", string(s.State)), Default: s.Default,
		CanBeDefault: !s.Default && !strings.HasPrefix(s.Address, "*@"),
	}
	name := waypost.DomainOf(s.Address)
	// The platform's own domain is nobody's to authorize; its support assigns there.
	known, authorized := false, name == waypost.DomainOf(q.panel.Platform.From.Email)
	for _, d := range domains {
		if d.Name == name {
			known, authorized = true, !d.Authorized.IsZero()
			row.Path, row.PathLabel = "/domains/"+d.ID, q.T("senders.to_domain")
		}
	}
	switch {
	case s.State == waypost.SenderRejected:
		row.About = q.T("senders.rejected", "Reason", s.Reason)
		row.Path = ""
	case authorized && s.State == waypost.SenderAssigned:
		row.About, row.Path = q.T("senders.in_use"), ""
	case authorized:
		row.About, row.Path = q.T("senders.waiting"), ""
	case known && s.State == waypost.SenderAssigned:
		row.State = "warning"
		row.About = q.T("senders.lapsed")
	case known:
		row.About = q.T("senders.open")
	default:
		row.About = q.T("senders.unclaimed", "Domain", name)
		if q.mayWrite() && !q.panel.Platform.Sandbox() {
			row.Path, row.PathLabel = "/domains?domain="+escape(name), q.T("senders.to_claim")
		}
	}
	return row
}

func (p *panel) renameSender(q *request) error {
	name := q.value("name")
	_, err := p.Accounts.ChangeSender(q.Context(), q.by(), q.operator(), q.PathValue("id"), &name, false)
	if err == nil {
		return q.redirect("/senders/"+q.PathValue("id"), "saved")
	}
	problems, err := q.fieldProblems(err, "senders")
	if err != nil {
		return err
	}
	s, err := p.Store.Sender(q.Context(), q.operator(), q.PathValue("id"))
	if err != nil {
		return err
	}
	return q.showSender(http.StatusUnprocessableEntity, s, name, problems["name"])
}

func (p *panel) defaultSender(q *request) error {
	_, err := p.Accounts.ChangeSender(q.Context(), q.by(), q.operator(), q.PathValue("id"), nil, true)
	if err != nil {
		return err
	}
	return q.redirect("/senders/"+q.PathValue("id"), "saved")
}

func (p *panel) removeSender(q *request) error {
	if err := p.Accounts.RemoveSender(q.Context(), q.by(), q.operator(), q.PathValue("id")); err != nil {
		return err
	}
	return q.redirect("/domains#senders", "removed")
}
