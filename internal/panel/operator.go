package panel

import (
	"net/http"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
)

// operatorPage is one operator, or what is known of one that was deleted.
func (p *panel) operatorPage(q *request) error {
	id, err := q.pathID("id")
	if err != nil {
		return err
	}
	a, err := p.Directory.Get(q.Context(), id)
	if waypost.KindOf(err) == waypost.NotFound {
		return p.removedOperatorPage(q, id)
	}
	if err != nil {
		return err
	}
	v := view.Operator{
		ID: a.ID, Name: a.Name, Suspended: a.Suspended, Platform: a.ID == waypost.PlatformOperatorID, Write: q.mayWrite(), Facts: q.operatorFacts(a),
		States: q.operatorStates(a.Suspended, a.Gateway, a.Withdrawn, a.RelayHealth.FailingSince, a.Level()),
	}
	v.Enter = v.Write && (!v.Platform || ownerOnly.allows(q.session))
	if a.ParentID != "" {
		v.ParentID, v.ParentName = a.ParentID, p.operatorName(q, a.ParentID)
	}
	if a.Gateway == waypost.GatewaySMTP && a.RelayHealth.Failing() {
		v.Attention = append(v.Attention, view.Attention{
			Kind: "warning", Title: q.T("overview.gateway_failing", "Since", q.Moment(a.RelayHealth.FailingSince)), Quote: a.RelayHealth.Reason,
		})
	}
	if a.Suspended {
		v.Attention = append(v.Attention, view.Attention{Kind: "warning", Title: q.T("operators.suspended"), Text: q.T("operators.suspended_about")})
	}
	if v.Reputation, err = q.reputation(a); err != nil {
		return err
	}
	if v.Reputation != nil && v.Write && a.Reputation.Now() != waypost.LevelOK {
		v.Reputation.Path, v.Reputation.LiftAsk = "/platform/operators/"+a.ID+"/lift", q.T("reputation.lift_ask", "Operator", a.Name)
	}
	if err := p.operatorMail(q, &v); err != nil {
		return err
	}
	if err := p.operatorNamesOf(q, a, &v); err != nil {
		return err
	}
	return q.show(a.Name, view.OperatorPage(q.frame(a.Name), v))
}

func (q *request) operatorFacts(a *waypost.Account) []view.OperatorFact {
	gateway := q.Label("operator_gateway", gatewayName(a.Gateway))
	if a.Gateway == waypost.GatewaySMTP && a.Relay != nil {
		gateway += ", " + a.Relay.Host
	}
	contact, limit := a.Contact, q.T("operators.no_limit")
	if contact == "" {
		contact = "–"
	}
	if a.PerMinute > 0 {
		limit = q.N("operators.limit", int64(a.PerMinute))
	}
	return []view.OperatorFact{
		{Label: q.T("operators.product"), Value: q.Label("product", string(a.Product))},
		{Label: q.T("operators.gateway"), Value: gateway},
		{Label: q.T("operators.contact"), Value: contact},
		{Label: q.T("operators.uncertain"), Value: q.Label("uncertain_policy", string(a.Uncertain))},
		{Label: q.T("operators.per_minute"), Value: limit},
		{Label: q.T("operators.per_day"), Value: q.dayLimit(a, q.panel.Now())},
		{Label: q.T("operators.created"), Value: q.Moment(a.Created)},
		{Label: q.T("operators.identifier"), Value: a.ID, Mono: true},
	}
}

// operatorMail fills in how the mail of an operator stands.
func (p *panel) operatorMail(q *request, v *view.Operator) error {
	totals, err := p.Store.Totals(q.Context(), v.ID)
	if err != nil {
		return err
	}
	standing, err := p.Store.Standing(q.Context(), v.ID)
	if err != nil {
		return err
	}
	traffic, err := p.System.Traffic(q.Context(), []string{v.ID}, p.Now().Add(-23*time.Hour))
	if err != nil {
		return err
	}
	day := traffic[v.ID]
	queued := totals.Accepted - totals.Final()
	if v.SuspendAsk = q.T("operators.suspend_ask_none", "Operator", v.Name); queued > 0 {
		v.SuspendAsk = q.N("operators.suspend_ask", queued, "Operator", v.Name)
	}
	queue := "/platform/queue/deliveries?operator=" + v.ID
	waiting := view.Figure{Label: q.T("overview.waiting"), Value: q.Number(queued), Path: queue}
	if !standing.Oldest.IsZero() {
		waiting.Hint = q.T("overview.since", "When", q.Moment(standing.Oldest))
	}
	v.Figures = []view.Figure{
		{Label: q.T("operators.day_accepted"), Value: q.Number(day.Accepted)},
		{Label: q.T("operators.day_delivered"), Value: q.Number(day.Delivered)},
		{Label: q.T("operators.day_bounced"), Value: q.Number(day.Bounced)},
		waiting,
		{Label: q.T("overview.held"), Value: q.upTo(standing.Held, heldBound), Path: queue + "&state=held"},
	}
	return nil
}

// operatorNamesOf fills in domains and senders in short.
func (p *panel) operatorNamesOf(q *request, a *waypost.Account, v *view.Operator) error {
	domains, err := p.Store.Domains(q.Context(), a.ID)
	if err != nil {
		return err
	}
	for _, d := range domains[:min(len(domains), namesOnPage)] {
		state, label := d.State(), q.Label("domain_state", d.State())
		if len(drifted(d)) > 0 {
			state, label = "warning", q.T("operators.drifted")
		}
		v.Domains = append(v.Domains, view.OperatorDomain{Name: d.Name, State: state, Label: label})
	}
	for _, s := range a.Senders[:min(len(a.Senders), namesOnPage)] {
		v.Senders = append(v.Senders, view.OperatorSender{
			Address: s.Address, State: string(s.State), Label: q.Label("sender_state", string(s.State)), Default: s.Default,
		})
	}
	v.More = len(domains) > namesOnPage || len(a.Senders) > namesOnPage
	return nil
}

func (p *panel) removedOperatorPage(q *request, id string) error {
	o, err := p.System.RemovedOperator(q.Context(), id)
	if err != nil {
		return err
	}
	return q.show(o.Name, view.RemovedOperatorPage(q.frame(o.Name), q.removal(o)))
}

// deleteOperatorPage says what deleting an operator does, and asks for its name.
func (p *panel) deleteOperatorPage(q *request) error { return p.showDeleteOperator(q, nil) }

func (p *panel) showDeleteOperator(q *request, w *wrong) error {
	o, err := p.pathOperator(q)
	if err != nil {
		return err
	}
	if o.ID == waypost.PlatformOperatorID {
		return waypost.NewError(waypost.Conflict, "platform_operator", "the platform itself cannot be deleted")
	}
	totals, err := p.Store.Totals(q.Context(), o.ID)
	if err != nil {
		return err
	}
	children, _, err := p.System.FindOperators(q.Context(), waypost.OperatorFilter{ParentID: o.ID}, "", 1)
	if err != nil {
		return err
	}
	v := view.DeleteOperator{ID: o.ID, Name: o.Name, Confirm: view.Field{
		Name: "name", Label: q.T("operators.delete_confirm", "Name", o.Name), Value: q.value("name"), Error: w.text("name"), Auto: "off", Required: true,
	}}
	if queued := totals.Accepted - totals.Final(); queued > 0 {
		v.What = append(v.What, q.N("operators.delete_queued", queued))
	}
	v.What = append(v.What, q.T("operators.delete_access"), q.T("operators.delete_domains"), q.T("operators.delete_data"), q.T("operators.delete_kept"))
	if len(children) > 0 {
		v.What = append(v.What, q.T("operators.delete_children"))
	}
	v.What = append(v.What, q.T("operators.delete_final"))
	title := q.T("operators.delete_title", "Operator", o.Name)
	return q.showStatus(w.code(), title, view.DeleteOperatorPage(q.frame(title), v))
}

func (p *panel) deleteOperator(q *request) error {
	o, err := p.pathOperator(q)
	if waypost.KindOf(err) == waypost.NotFound && q.PathValue("id") != "" {
		if _, gone := p.System.RemovedOperator(q.Context(), storable(q.PathValue("id"), 100)); gone == nil { // by somebody else, or twice
			return q.redirect("/platform/operators/"+q.PathValue("id"), "")
		}
	}
	if err != nil {
		return err
	}
	if !sameName(q.value("name"), o.Name) {
		return p.showDeleteOperator(q, &wrong{http.StatusUnprocessableEntity, map[string]string{"name": q.T("operators.delete_other_name")}})
	}
	if err := p.Accounts.RemoveOperator(q.Context(), q.by(), o.ID); err != nil {
		return err
	}
	return q.redirect("/platform/operators/"+o.ID, "operator_deleted")
}

// sameName compares a name that was typed: spaces and what keyboards do to them aside.
func sameName(typed, name string) bool {
	return typed != "" && strings.Join(strings.Fields(typed), " ") == strings.Join(strings.Fields(name), " ")
}
