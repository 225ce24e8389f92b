package panel

import (
	"context"
	"strings"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) userRoutes() []page {
	routes := []page{
		{"GET /platform/users", platformRead, p.usersPage},
		{"GET /platform/users/new", platformWrite, p.userForm},
		{"POST /platform/users/new", platformWrite, p.makeUser},
	}
	return append(routes, personRoutes("/platform/users", platformWrite, p.anyUser)...)
}

// usersPage lists everybody, or the users of one operator, or the platform's staff.
func (p *panel) usersPage(q *request) error {
	l := view.People{Staff: true}
	if q.mayWrite() {
		l.New = "/platform/users/new"
	}
	s := q.staff()
	if s.Manages("") {
		l.NewStaff = "/platform/users/new?staff=1"
	}
	if login := q.value("login"); login != "" {
		u, err := p.Users.ByLogin(q.Context(), login)
		switch {
		case err == nil && s.Manages(u.OperatorID):
			return q.redirect("/platform/users/"+u.ID, "")
		case err == nil:
			l.Rows = []view.Person{p.userRow(q, u)}
		case waypost.KindOf(err) != waypost.NotFound:
			return err
		}
		return p.showUsers(q, l, "")
	}
	var list []waypost.User
	operatorID, err := p.chosenOperator(q)
	switch {
	case waypost.KindOf(err) == waypost.NotFound:
		l.Operator.Error = q.T("people.no_operator")
		return p.showUsers(q, l, q.value("operator"))
	case err != nil:
		return err
	case operatorID == "":
		list, err = p.Users.ListAll(q.Context(), q.typed("after", maxID), peoplePage+1)
	default:
		l.Shown = p.operatorName(q, operatorID)
		list, err = p.Users.List(q.Context(), operatorID, q.typed("after", maxID), peoplePage+1)
	}
	if err != nil {
		return err
	}
	q.page1(&l, &list)
	for _, u := range list {
		l.Rows = append(l.Rows, p.userRow(q, u))
	}
	return p.showUsers(q, l, l.Shown)
}

func (p *panel) showUsers(q *request, l view.People, operator string) error {
	names, err := p.operatorNames(q.Context())
	if err != nil {
		return err
	}
	l.Names = names
	l.Operator.Name, l.Operator.Label, l.Operator.Value, l.Operator.Auto = "operator", q.T("nav.operator"), operator, "off"
	l.Login = view.Field{Name: "login", Label: q.T("people.login"), Value: q.value("login"), Auto: "off", Max: maxLoginName}
	title := q.T("nav.users")
	return q.show(title, view.PeoplePage(q.frame(title), title, l))
}

func (p *panel) userRow(q *request, u waypost.User) view.Person {
	row := q.personRow(u)
	if u.OperatorID != "" {
		row.Operator, row.OperatorPath = p.operatorName(q, u.OperatorID), "/platform/users?operator="+u.OperatorID
	}
	if q.staff().Manages(u.OperatorID) {
		row.Path = "/platform/users/" + u.ID
	}
	return row
}

// shownOperators is how many operators a field suggests; others are typed.
const shownOperators = 200

// operatorNames are suggestions for a field that asks for an operator.
func (p *panel) operatorNames(ctx context.Context) ([]view.Name, error) {
	list, err := p.Accounts.Operators(ctx, waypost.PlatformOperatorID, shownOperators)
	if err != nil {
		return nil, err
	}
	names := make([]view.Name, len(list))
	for i, o := range list {
		names[i] = view.Name{ID: o.ID, Name: o.Name}
	}
	return names, nil
}

// chosenOperator is the id of the operator that the request names by its id or its name, ""
// if it names none. The error is NotFound for one that is not there.
func (p *panel) chosenOperator(q *request) (string, error) {
	text := q.value("operator")
	if text == "" {
		return "", nil
	}
	if _, ok := waypost.ParseID(text); ok {
		a, err := p.Directory.Get(q.Context(), strings.ToLower(text))
		if err != nil {
			return "", err
		}
		return a.ID, nil
	}
	const step = 1000
	for cursor := ""; ; {
		list, err := p.Accounts.Operators(q.Context(), cursor, step)
		if err != nil {
			return "", err
		}
		for _, o := range list {
			if strings.EqualFold(o.Name, text) {
				return o.ID, nil
			}
		}
		if len(list) < step {
			return "", waypost.NewError(waypost.NotFound, "not_found", "no such operator")
		}
		cursor = list[len(list)-1].ID
	}
}

// anyUser is the user that the address names, if the person may look after it.
func (p *panel) anyUser(q *request) (*person, error) {
	id, err := q.pathID("id")
	if err != nil {
		return nil, err
	}
	u, err := p.Users.Any(q.Context(), id)
	if err != nil {
		return nil, err
	}
	if !q.staff().Manages(u.OperatorID) {
		return nil, waypost.NewError(waypost.Forbidden, "role", "the role does not allow this")
	}
	return &person{u, p, q, "/platform/users"}, nil
}

func (p *panel) userForm(q *request) error { return p.showUserForm(q, nil) }

// showUserForm is the form for a user of an operator or, for the owner, for staff.
func (p *panel) showUserForm(q *request, w *wrong) error {
	staff := q.value("staff") != ""
	if staff && !q.staff().Manages("") {
		return waypost.NewError(waypost.Forbidden, "role", "the role does not allow this")
	}
	role, title := waypost.RoleAdmin, q.T("people.invite")
	if staff {
		role, title = waypost.RoleSupport, q.T("people.invite_staff")
	}
	i := q.inviteForm("/platform/users", role, w)
	i.Email.Required = false // not with a password
	q.passwordNow(&i, w)
	if staff {
		i.Action += "?staff=1"
		return q.showInvite(title, i, w)
	}
	var err error
	if i.Names, err = p.operatorNames(q.Context()); err != nil {
		return err
	}
	i.Operator = view.Field{Name: "operator", Label: q.T("nav.operator"), Value: q.value("operator"), Auto: "off", Required: true, Error: w.text("operator")}
	if _, ok := waypost.ParseID(i.Operator.Value); ok {
		i.Operator.Value = p.operatorName(q, i.Operator.Value)
	}
	return q.showInvite(title, i, w)
}

// passwordNow lets choose between an invitation and a password.
func (q *request) passwordNow(i *view.Invite, w *wrong) {
	invite := view.Option{Value: "invite", Label: q.T("people.how_invite"), Hint: q.T("people.how_invite_hint")}
	if q.panel.Platform.Sandbox() {
		invite.Label, invite.Hint = q.T("people.how_link"), q.T("people.how_link_hint")
	}
	i.How = view.Field{Name: "how", Label: q.T("people.how"), Value: q.value("how"), Options: []view.Option{
		invite,
		{Value: "password", Label: q.T("people.how_password"), Hint: q.T("people.how_password_hint")},
	}}
	if i.How.Value != "password" {
		i.How.Value = "invite"
	}
	i.Password, i.Again = q.passwordFields(w)
}

func (p *panel) makeUser(q *request) error {
	operatorID, w := "", (*wrong)(nil)
	if q.value("staff") == "" {
		var err error
		if operatorID, w, err = p.operatorOf(q); err != nil {
			return err
		}
	} else if !q.staff().Manages("") {
		return waypost.NewError(waypost.Forbidden, "role", "the role does not allow this")
	}
	if w == nil {
		back := "/platform/users"
		if operatorID != "" {
			back += "?operator=" + operatorID
		}
		var err error
		if w, err = p.inviteOrCreate(q, operatorID, back); err != nil || w == nil {
			return err
		}
	}
	return p.showUserForm(q, w)
}

// operatorOf is the operator that a form names, or what is wrong with that.
func (p *panel) operatorOf(q *request) (string, *wrong, error) {
	id, err := p.chosenOperator(q)
	switch {
	case waypost.KindOf(err) == waypost.NotFound, err == nil && (id == "" || id == waypost.PlatformOperatorID):
		return "", wrongField("operator", q.T("people.no_operator")), nil
	case err != nil:
		return "", nil, err
	}
	return id, nil, nil
}

// inviteOrCreate makes the user that the form describes, and answers; or it says what is
// wrong.
func (p *panel) inviteOrCreate(q *request, operatorID, back string) (*wrong, error) {
	n := q.invitedUser(operatorID)
	fields := []string{"email", "name", "login", "role", "password"}
	if q.value("how") != "password" {
		issued, err := p.invite(q, n)
		if err != nil {
			return q.wrong(err, fields...)
		}
		return nil, p.deliverInvitation(q, issued, back)
	}
	password, w := q.newPassword()
	if w != nil {
		return w, nil
	}
	if _, err := p.Users.Create(q.Context(), q.by(), n, password); err != nil {
		return q.wrong(err, fields...)
	}
	return nil, q.redirect(back, "added")
}
