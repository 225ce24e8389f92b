package panel

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) operatorsRoutes() []page {
	return []page{
		{"GET /platform/operators", platformRead, p.operatorsPage},
		{"POST /platform/operators", platformWrite, p.createOperator},
		{"GET /platform/operators/new", platformWrite, p.newOperatorPage},
		{"GET /platform/operators/{id}", platformRead, p.operatorPage},
		{"POST /platform/operators/{id}", platformWrite, p.changeOperator},
		{"GET /platform/operators/{id}/edit", platformWrite, p.editOperatorPage},
		{"POST /platform/operators/{id}/suspend", platformWrite, p.suspendOperator},
		{"POST /platform/operators/{id}/resume", platformWrite, p.resumeOperator},
		{"POST /platform/operators/{id}/lift", platformWrite, p.liftReputation},
		{"GET /platform/operators/{id}/delete", platformWrite, p.deleteOperatorPage},
		{"POST /platform/operators/{id}/delete", platformWrite, p.deleteOperator},
		{"POST /platform/operators/{id}/enter", platformWrite, p.enterOperator},
		{"POST /platform/leave", signedIn, p.leaveOperator},
	}
}

const (
	operatorsOnPage = 50
	namesOnPage     = 10 // domains, and senders, on the page of an operator
	maxOperatorName = 200
)

func (p *panel) operatorsPage(q *request) error {
	f := waypost.OperatorFilter{Name: q.typed("name", 300), ParentID: q.typed("parent", 100), Trouble: waypost.OperatorTrouble(q.typed("trouble", 20))}
	v := view.Operators{
		Write: q.mayWrite(), Parent: f.ParentID, Active: f != waypost.OperatorFilter{},
		Name:    view.Field{Name: "name", Label: q.T("operators.search_name"), Value: f.Name, Auto: "off", Max: maxOperatorName},
		Trouble: view.Field{Name: "trouble", Label: q.T("operators.trouble"), Value: string(f.Trouble), Options: []view.Option{{Label: q.T("operators.all")}}},
	}
	for _, kind := range waypost.OperatorTroubles() {
		v.Trouble.Options = append(v.Trouble.Options, view.Option{Value: string(kind), Label: q.Label("trouble", string(kind))})
	}
	if f.ParentID != "" {
		v.ParentName = p.operatorName(q, f.ParentID)
	}
	cursor := q.typed("cursor", 100)
	found, next, err := p.System.FindOperators(q.Context(), f, cursor, operatorsOnPage)
	if err != nil {
		return err
	}
	v.First, v.Next = q.pages(cursor, next)
	v.Short = next != "" && f.Name != "" && len(found) < operatorsOnPage
	if v.Rows, err = p.operatorRows(q, found); err != nil {
		return err
	}
	if !v.Active && cursor == "" {
		removals, err := p.System.Removals(q.Context())
		if err != nil {
			return err
		}
		for _, o := range removals {
			v.Removals = append(v.Removals, q.removal(o))
		}
	}
	title := q.T("operators.title")
	return q.show(title, view.OperatorsPage(q.frame(title), v))
}

func (p *panel) operatorRows(q *request, found []waypost.OperatorEntry) ([]view.OperatorRow, error) {
	ids := make([]string, len(found))
	for i, o := range found {
		ids[i] = o.ID
	}
	traffic, err := p.System.Traffic(q.Context(), ids, p.Now().Add(-23*time.Hour))
	if err != nil {
		return nil, err
	}
	var rows []view.OperatorRow
	for _, o := range found {
		row := view.OperatorRow{
			ID: o.ID, Name: o.Name, Product: q.Label("product", string(o.Product)), Gateway: q.Label("operator_gateway", gatewayName(o.Gateway)),
			ParentID: o.ParentID, ParentName: cmp.Or(o.ParentName, o.ParentID), Platform: o.ID == waypost.PlatformOperatorID, Accepted: "–",
		}
		if c := traffic[o.ID]; c != (store.Counts{}) {
			row.Accepted = q.N("operators.accepted", c.Accepted)
			row.Ended = q.T("operators.ended", "Delivered", q.Number(c.Delivered), "Bounced", q.Number(c.Bounced))
		}
		row.States = q.operatorStates(o.Suspended, o.Gateway, o.Withdrawn, o.FailingSince, o.Level)
		rows = append(rows, row)
	}
	return rows, nil
}

// operatorStates says in a word or two how an operator stands.
func (q *request) operatorStates(suspended bool, g waypost.GatewayType, withdrawn bool, failing time.Time, level waypost.ReputationLevel) []view.State {
	var list []view.State
	add := func(state, label string) { list = append(list, view.State{State: state, Label: label}) }
	if suspended {
		add("suspended", q.T("operators.suspended"))
	}
	switch {
	case g == "":
		add("missing", q.T("operators.no_gateway"))
	case withdrawn:
		add("error", q.T("operators.withdrawn"))
	case g == waypost.GatewaySMTP && !failing.IsZero():
		add("failing", q.T("operators.failing"))
	case g == waypost.GatewayBuiltin && level.Rank() > 0:
		list = append(list, q.levelState(level))
	}
	if len(list) == 0 {
		add("active", q.T("operators.active"))
	}
	return list
}

func (q *request) removal(o waypost.RemovedOperator) view.Removal {
	r := view.Removal{ID: o.ID, Name: o.Name, Since: q.Moment(o.Deleted), Messages: q.Number(o.Messages), Cancelled: q.Number(o.Cancelled)}
	if !o.Finished.IsZero() {
		r.Finished = q.Moment(o.Finished)
	}
	return r
}

// operatorInput is what was typed about an operator.
type operatorInput struct {
	id, name, product, contact, parent, uncertain, perMinute, perDay string
	trusted                                                          bool
}

func (p *panel) newOperatorPage(q *request) error {
	in := operatorInput{product: string(waypost.ProductServermate), uncertain: string(waypost.UncertainRetry)}
	if parent := q.typed("parent", 100); parent != "" {
		in.parent = p.operatorName(q, parent)
	}
	return p.showOperatorForm(q, in, nil)
}

// typedOperator reads the form.
func (q *request) typedOperator() operatorInput {
	return operatorInput{
		name: q.value("name"), product: q.value("product"), contact: q.value("contact"), parent: q.value("parent"), uncertain: q.value("uncertain"),
		perMinute: q.value("per_minute"), perDay: q.value("per_day"), trusted: q.value("trusted") == "true",
	}
}

// limits reads the limits; what is no number is wrong.
func (in operatorInput) limits(q *request) (perMinute, perDay int, w *wrong) {
	read := func(field, text string) int {
		if text == "" {
			return 0
		}
		n, err := strconv.Atoi(text)
		if err != nil && w == nil {
			w = wrongField(field, q.T("problem.field_"+field))
		}
		return n
	}
	return read("per_minute", in.perMinute), read("per_day", in.perDay), w
}

func (p *panel) showOperatorForm(q *request, in operatorInput, w *wrong) error {
	title := q.T("operators.new_title")
	if in.id != "" {
		title = q.T("operators.edit_title", "Operator", p.operatorName(q, in.id))
	}
	f := view.OperatorForm{
		ID: in.id, Title: title, Problem: w.text(""), Platform: in.id == waypost.PlatformOperatorID,
		Name:    view.Field{Name: "name", Label: q.T("operators.name"), Hint: q.T("operators.name_hint"), Value: in.name, Error: w.text("name"), Required: true, Max: maxOperatorName},
		Product: view.Field{Name: "product", Label: q.T("operators.product"), Hint: q.T("operators.product_hint"), Value: in.product, Error: w.text("product")},
		Contact: view.Field{
			Name: "contact", Label: q.T("operators.contact"), Hint: q.T("operators.contact_hint"), Value: in.contact, Error: w.text("contact"), Type: "email", Max: maxMail,
		},
		Parent: view.Field{
			Name: "parent", Label: q.T("operators.parent"), Hint: q.T("operators.parent_hint"), Value: in.parent, Error: w.text("parent_id"), Auto: "off", Max: 300,
		},
		Uncertain: view.Field{Name: "uncertain", Label: q.T("operators.uncertain"), Hint: q.T("operators.uncertain_hint"), Value: in.uncertain, Error: w.text("uncertain")},
		PerMinute: view.Field{
			Name: "per_minute", Label: q.T("operators.per_minute"), Hint: q.T("operators.per_minute_hint"), Value: in.perMinute, Error: w.text("per_minute"),
			Mode: "numeric", Max: 10,
		},
		PerDay: view.Field{
			Name: "per_day", Label: q.T("operators.per_day"), Hint: q.T("operators.per_day_hint"), Value: in.perDay, Error: w.text("per_day"),
			Mode: "numeric", Max: 12,
		},
		Trusted: view.Field{Name: "trusted", Label: q.T("operators.trusted"), Hint: q.T("operators.trusted_hint"), Value: strconv.FormatBool(in.trusted)},
	}
	for _, product := range waypost.Products() {
		f.Product.Options = append(f.Product.Options, view.Option{Value: string(product), Label: q.Label("product", string(product))})
	}
	for _, u := range []waypost.UncertainPolicy{waypost.UncertainRetry, waypost.UncertainHold, waypost.UncertainAssume} {
		f.Uncertain.Options = append(f.Uncertain.Options, view.Option{
			Value: string(u), Label: q.Label("uncertain_policy", string(u)), Hint: q.Label("uncertain_policy_hint", string(u)),
		})
	}
	if !f.Platform {
		var err error
		if f.Names, err = p.operatorNames(q.Context()); err != nil {
			return err
		}
	}
	return q.showStatus(w.code(), title, view.OperatorFormPage(q.frame(title), f))
}

func (p *panel) createOperator(q *request) error {
	in := q.typedOperator()
	perMinute, perDay, wrong := in.limits(q)
	if wrong != nil {
		return p.showOperatorForm(q, in, wrong)
	}
	parent, err := p.operatorCalled(q.Context(), in.parent)
	if waypost.KindOf(err) == waypost.NotFound {
		return p.showOperatorForm(q, in, wrongField("parent_id", q.T("operators.no_such")))
	}
	if err != nil {
		return err
	}
	o, err := p.Accounts.CreateOperator(q.Context(), q.by(), account.NewOperator{
		Name: in.name, Product: waypost.Product(in.product), Contact: in.contact, ParentID: parent,
		Uncertain: waypost.UncertainPolicy(in.uncertain), PerMinute: perMinute,
		PerDay: perDay, Trusted: in.trusted,
	})
	if err != nil {
		w, err := q.wrongOperator(err, in)
		if err != nil {
			return err
		}
		return p.showOperatorForm(q, in, w)
	}
	return q.redirect("/platform/operators/"+o.ID, "operator_created")
}

// wrongOperator is what is wrong with what was typed.
func (q *request) wrongOperator(err error, in operatorInput) (*wrong, error) {
	w, err := q.wrong(err, "name", "product", "contact", "parent_id", "uncertain", "per_minute", "per_day")
	if err == nil && in.name == "" {
		w.texts["name"] = q.T("operators.name_missing")
	}
	return w, err
}

// operatorCalled is the id of the operator that is meant by its id or its name, "" for "".
// The error is NotFound.
func (p *panel) operatorCalled(ctx context.Context, text string) (string, error) {
	text = storable(text, 1000)
	if text == "" {
		return "", nil
	}
	for cursor := ""; ; {
		found, next, err := p.System.FindOperators(ctx, waypost.OperatorFilter{Name: text}, cursor, operatorsOnPage)
		if err != nil {
			return "", err
		}
		for _, o := range found {
			if o.ID == text || strings.EqualFold(o.Name, text) {
				return o.ID, nil
			}
		}
		if cursor = next; cursor == "" {
			return "", waypost.NewError(waypost.NotFound, "not_found", "no such operator")
		}
	}
}

// pathOperator reads the operator that the path names.
func (p *panel) pathOperator(q *request) (waypost.Operator, error) {
	id, err := q.pathID("id")
	if err != nil {
		return waypost.Operator{}, err
	}
	return p.Store.Operator(q.Context(), id)
}

func (p *panel) editOperatorPage(q *request) error {
	o, err := p.pathOperator(q)
	if err != nil {
		return err
	}
	in := operatorInput{id: o.ID, parent: p.operatorName(q, o.ParentID), name: o.Name, product: string(o.Product), contact: o.Contact, uncertain: string(o.Uncertain), trusted: o.Trusted}
	if o.PerMinute > 0 {
		in.perMinute = strconv.Itoa(o.PerMinute)
	}
	if o.PerDay > 0 {
		in.perDay = strconv.Itoa(o.PerDay)
	}
	return p.showOperatorForm(q, in, nil)
}

func (p *panel) changeOperator(q *request) error {
	o, err := p.pathOperator(q)
	if err != nil {
		return err
	}
	in := q.typedOperator()
	in.id = o.ID
	perMinute, perDay, wrong := in.limits(q)
	if wrong != nil {
		return p.showOperatorForm(q, in, wrong)
	}
	parent := o.ParentID // several may have its name
	if in.parent != p.operatorName(q, parent) {
		parent, err = p.operatorCalled(q.Context(), in.parent)
	}
	if waypost.KindOf(err) == waypost.NotFound {
		return p.showOperatorForm(q, in, wrongField("parent_id", q.T("operators.no_such")))
	}
	if err != nil {
		return err
	}
	err = p.Accounts.ChangeOperator(q.Context(), q.by(), o.ID, account.OperatorChange{
		ParentID: &parent,
		Name:     &in.name, Product: new(waypost.Product(in.product)), Contact: &in.contact,
		Uncertain: new(waypost.UncertainPolicy(in.uncertain)), PerMinute: &perMinute,
		PerDay: &perDay, Trusted: &in.trusted,
	})
	if err != nil {
		w, err := q.wrongOperator(err, in)
		if err != nil {
			return err
		}
		return p.showOperatorForm(q, in, w)
	}
	return q.redirect("/platform/operators/"+o.ID, "saved")
}

func (p *panel) suspendOperator(q *request) error {
	o, err := p.pathOperator(q)
	if err != nil {
		return err
	}
	if _, err := p.Accounts.Suspend(q.Context(), q.by(), o.ID); err != nil {
		return err
	}
	return q.redirect("/platform/operators/"+o.ID, "operator_suspended")
}

func (p *panel) resumeOperator(q *request) error {
	o, err := p.pathOperator(q)
	if err != nil {
		return err
	}
	if _, err := p.Accounts.Resume(q.Context(), q.by(), o.ID); err != nil {
		return err
	}
	return q.redirect("/platform/operators/"+o.ID, "operator_resumed")
}

// enterOperator lets staff act for an operator.
func (p *panel) enterOperator(q *request) error {
	id, err := q.pathID("id")
	if err != nil {
		return err
	}
	if err := p.Users.ActFor(q.Context(), *q.session, id); err != nil {
		return err
	}
	return q.redirect("/overview", "")
}

// leaveOperator lets staff be itself again.
func (p *panel) leaveOperator(q *request) error {
	acting := q.session.ActingFor
	if acting == "" {
		return q.redirect("/", "")
	}
	if err := p.Users.StopActing(q.Context(), *q.session); err != nil {
		return err
	}
	return q.redirect("/platform/operators/"+acting, "")
}
