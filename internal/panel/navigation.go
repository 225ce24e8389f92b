package panel

import (
	"net/url"
	"strconv"

	"github.com/waypost/waypost/internal/panel/view"
)

// navigation is what the person can go to.
func (p *panel) navigation(q *request) []view.Section {
	link := func(path, key string) view.Link { return view.Link{Path: path, Label: q.T("nav." + key)} }
	var sections []view.Section
	if q.account != nil {
		mail := view.Section{Title: q.account.Name, Links: []view.Link{
			link("/overview", "overview"), link("/messages", "messages"), link("/settings/email", "email"), link("/domains", "domains"),
			link("/suppressions", "suppressions"), link("/mailbox", "sandbox"),
		}}
		mail.Links = append(mail.Links, link("/keys", "keys"), link("/webhooks", "webhooks"), link("/team", "team"), link("/audit", "audit"))
		sections = append(sections, mail)
	}
	if platformRead.allows(q.session) {
		staff := view.Section{Title: q.T("nav.platform"), Links: []view.Link{
			link("/platform", "overview"), link("/platform/operators", "operators"), link("/platform/requests", "requests"),
			link("/platform/queue", "queue"), link("/platform/dns", "dns"), link("/platform/mailbox", "sandbox"), link("/platform/products", "entitlement"),
			link("/platform/settings", "platform_settings"), link("/platform/nodes", "nodes"), link("/platform/users", "users"), link("/platform/audit", "audit"),
		}}
		sections = append(sections, staff)
	}
	return sections
}

// start is the first page for who is signed in.
func (p *panel) start(q *request) error {
	switch {
	case q.session == nil:
		return q.redirect("/sign-in", "")
	case q.session.User.OperatorID == "" && q.session.ActingFor == "":
		return q.redirect("/platform", "")
	}
	return q.redirect("/overview", "")
}

func escape(text string) string { return url.QueryEscape(text) }

func status3(status int) string { return strconv.Itoa(status) }
