package panel

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) suppressionsRoutes() []page {
	return []page{
		{"GET /suppressions", tenantRead, p.suppressionsPage},
		{"POST /suppressions", tenantWrite, p.addSuppression},
		{"GET /suppressions.csv", tenantRead, p.suppressionsCSV},
		{importPattern, tenantWrite, p.importSuppressions},
		{"POST /suppressions/remove", tenantWrite, p.removeSuppression},
		{"POST /suppressions/exempt", tenantWrite, p.addExempt},
		{"POST /suppressions/exempt/remove", tenantWrite, p.removeExempt},
	}
}

// suppressionReasons lists the reasons, the most frequent first.
func suppressionReasons() []waypost.SuppressionReason {
	return []waypost.SuppressionReason{
		waypost.SuppressedHard, waypost.SuppressedSoft, waypost.SuppressedComplaint, waypost.SuppressedUnsubscribe, waypost.SuppressedManual,
	}
}

// suppressionDays are the terms to choose from; 0 is for ever.
func suppressionDays() []struct {
	value string
	days  int
} {
	return []struct {
		value string
		days  int
	}{{"never", 0}, {"week", 7}, {"month", 30}, {"quarter", 90}, {"year", 365}}
}

// suppressionKinds are the kinds of mail an address can be suppressed for.
func suppressionKinds() []waypost.Kind {
	return []waypost.Kind{waypost.KindEvent, waypost.KindReport, waypost.KindBalance, waypost.KindOther, waypost.KindSecurity}
}

// kindOptions are these as choices, after the words for all of them.
func (q *request) kindOptions(first, all string) []view.Option {
	list := []view.Option{{Value: first, Label: all}}
	for _, k := range suppressionKinds() {
		list = append(list, view.Option{Value: string(k), Label: q.Label("kind", string(k))})
	}
	return list
}

// newSuppression is the form as typed, and what is wrong with it.
type newSuppression struct {
	address, detail, expires string
	kind                     string
	exempt                   string      // in the form for exempt addresses
	file                     *fileImport // in the form for files; nil if it was not sent
	problems                 map[string]string
}

func (p *panel) suppressionsPage(q *request) error {
	return q.showSuppressions(http.StatusOK, newSuppression{expires: "never"})
}

func (q *request) showSuppressions(status int, n newSuppression) error {
	f := q.suppressionFilter()
	cursor := storable(q.URL.Query().Get("cursor"), 400)
	list, next, err := q.panel.Accounts.Suppressions(q.Context(), q.operator(), f, cursor, 50)
	if err != nil {
		return err
	}
	v := view.Suppressions{Write: q.mayWrite(), Active: f.Address != "" || f.Reason != "" || f.Kind != "", Add: q.suppressionForm(n), Open: len(n.problems) > 0 && n.problems["exempt"] == ""}
	if err := q.showExempt(&v, n); err != nil {
		return err
	}
	v.Import = q.importView(n.file)
	v.Address = view.Field{
		Name: "find", Label: q.T("suppressions.address"), Hint: q.T("messages.recipient_hint"), Value: f.Address, Auto: "off", Max: 254,
	}
	v.Reason = view.Field{Name: "reason", Label: q.T("suppressions.reason"), Value: string(f.Reason), Options: []view.Option{{Label: q.T("messages.any")}}}
	for _, r := range suppressionReasons() {
		v.Reason.Options = append(v.Reason.Options, view.Option{Value: string(r), Label: q.Label("suppression_reason", string(r))})
	}
	v.Kind = view.Field{Name: "kind", Label: q.T("suppressions.kind"), Value: string(f.Kind), Options: q.kindOptions("", q.T("messages.any"))}
	v.First, v.Next = q.pages(cursor, next)
	for _, s := range list {
		row := view.Suppression{
			Address: s.Address, Reason: string(s.Reason), Label: q.Label("suppression_reason", string(s.Reason)), Detail: s.Detail, At: q.Date(s.Created),
			Kind: string(s.Kind), Expires: q.T("suppressions.never"), Ask: q.T("suppressions.ask", "Address", s.Address),
		}
		if s.Kind == "" {
			row.Kind, row.KindLabel = string(waypost.AllKinds), q.T("suppressions.all_kinds")
		} else {
			row.KindLabel = q.Label("kind", string(s.Kind))
		}
		if s.Via.ByRecipient() {
			row.Via = q.Label("suppression_via", string(s.Via))
		}
		if !s.Expires.IsZero() {
			row.Expires = q.Date(s.Expires)
		}
		if s.MessageID != "" {
			row.Message = "/messages/" + s.MessageID
		}
		v.Rows = append(v.Rows, row)
	}
	return q.showStatus(status, q.T("suppressions.title"), view.SuppressionsPage(q.frame(""), v))
}

func (q *request) suppressionForm(n newSuppression) view.SuppressionForm {
	f := view.SuppressionForm{
		Address: view.Field{
			Name: "address", Label: q.T("suppressions.address"), Value: n.address, Error: n.problems["address"], Type: "email", Auto: "off", Required: true, Max: 254,
		},
		Detail: view.Field{
			Name: "detail", Label: q.T("suppressions.detail"), Hint: q.T("suppressions.detail_hint"), Value: n.detail, Error: n.problems["detail"], Max: 200,
		},
		Kind:    view.Field{Name: "of_kind", Label: q.T("suppressions.kind"), Value: n.kind, Options: q.kindOptions("", q.T("suppressions.all_kinds"))},
		Expires: view.Field{Name: "expires", Label: q.T("suppressions.expires"), Value: n.expires, Error: n.problems["expires"]},
	}
	for _, term := range suppressionDays() {
		f.Expires.Options = append(f.Expires.Options, view.Option{Value: term.value, Label: q.Label("suppression_term", term.value)})
	}
	return f
}

func (p *panel) addSuppression(q *request) error {
	n := newSuppression{address: q.typed("address", 300), detail: q.typed("detail", 2000), expires: q.value("expires"), kind: q.value("of_kind"), problems: map[string]string{}}
	add := account.NewSuppression{Address: n.address, Detail: n.detail}
	if slices.Contains(suppressionKinds(), waypost.Kind(n.kind)) {
		add.Kind = waypost.Kind(n.kind)
	}
	for _, term := range suppressionDays() {
		if term.value == n.expires && term.days > 0 {
			add.Expires = p.Now().Add(time.Duration(term.days) * 24 * time.Hour).UTC().Truncate(time.Millisecond)
		}
	}
	_, err := p.Accounts.AddSuppression(q.Context(), q.by(), q.operator(), add)
	if err == nil {
		return q.redirect("/suppressions", "suppression_added")
	}
	list, ok := errors.AsType[account.Problems](err)
	if !ok {
		return err
	}
	for _, e := range list {
		n.problems[e.Field] = e.Message
		if key := "suppressions.bad_" + e.Field; q.Has(key) {
			n.problems[e.Field] = q.T(key)
		}
	}
	return q.showSuppressions(http.StatusUnprocessableEntity, n)
}

func (p *panel) removeSuppression(q *request) error {
	reason := waypost.SuppressionReason(q.value("reason"))
	if !slices.Contains(suppressionReasons(), reason) {
		return waypost.NewError(waypost.NotFound, "not_found", "")
	}
	kind := waypost.Kind(q.value("kind"))
	if _, ok := waypost.ParseKind(string(kind)); !ok { // of a page from before there were kinds
		kind = waypost.AllKinds
	}
	err := p.Accounts.RemoveSuppression(q.Context(), q.by(), q.operator(), q.typed("address", 300), reason, kind)
	if waypost.KindOf(err) == waypost.Invalid { // no address at all
		return waypost.NewError(waypost.NotFound, "not_found", "")
	}
	if err != nil {
		return err
	}
	return q.redirect("/suppressions", "suppression_removed")
}

// exemptShown is how many exempt addresses are shown at once.
const exemptShown = 200

// showExempt fills in the addresses that nothing but a person suppresses.
func (q *request) showExempt(v *view.Suppressions, n newSuppression) error {
	cursor := storable(q.URL.Query().Get("exempt"), 300)
	list, next, err := q.panel.Accounts.Exempt(q.Context(), q.operator(), cursor, exemptShown)
	if err != nil {
		return err
	}
	v.Exempt.Add = view.Field{
		Name: "exempt", Label: q.T("suppressions.address"), Value: n.exempt, Error: n.problems["exempt"], Type: "email", Auto: "off", Required: true, Max: 254,
	}
	v.Exempt.Open = n.problems["exempt"] != "" || cursor != ""
	if next != "" {
		v.Exempt.Next = q.with("exempt", next)
	}
	for _, address := range list {
		v.Exempt.Addresses = append(v.Exempt.Addresses, view.ExemptAddress{Address: address, Ask: q.T("suppressions.unexempt_ask", "Address", address)})
	}
	return nil
}

func (p *panel) addExempt(q *request) error {
	n := newSuppression{exempt: q.typed("exempt", 300), expires: "never"}
	err := p.Accounts.AddExempt(q.Context(), q.by(), q.operator(), n.exempt)
	if waypost.KindOf(err) == waypost.Invalid {
		n.problems = map[string]string{"exempt": q.T("suppressions.bad_address")}
		return q.showSuppressions(http.StatusUnprocessableEntity, n)
	}
	if err != nil {
		return err
	}
	return q.redirect("/suppressions", "exempt_added")
}

func (p *panel) removeExempt(q *request) error {
	err := p.Accounts.RemoveExempt(q.Context(), q.by(), q.operator(), q.typed("address", 300))
	if waypost.KindOf(err) == waypost.Invalid {
		return waypost.NewError(waypost.NotFound, "not_found", "")
	}
	if err != nil {
		return err
	}
	return q.redirect("/suppressions", "exempt_removed")
}
