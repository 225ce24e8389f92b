package panel

import (
	"cmp"
	"log/slog"
	"net/http"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/obs"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) teamRoutes() []page {
	routes := []page{
		{"GET /team", tenantRead, p.teamPage},
		{"GET /team/new", tenantWrite, p.teamInviteForm},
		{"POST /team/new", tenantWrite, p.teamInvite},
	}
	return append(routes, personRoutes("/team", tenantWrite, p.member)...)
}

// personRoutes are what can be done with a user: find says with which, and fails for who may
// not.
func personRoutes(base string, a access, find func(*request) (*person, error)) []page {
	with := func(do func(*person) error) func(*request) error {
		return func(q *request) error {
			u, err := find(q)
			if err != nil {
				return err
			}
			return do(u)
		}
	}
	other := func(do func(*person) error) func(*request) error {
		return with(func(u *person) error {
			if u.ID == u.q.session.User.ID { // nobody locks itself out by accident
				return u.refuse(waypost.NewError(waypost.Conflict, "yourself", "this is you"))
			}
			return do(u)
		})
	}
	return []page{
		{"GET " + base + "/{id}", a, with(func(u *person) error { return u.show(nil) })},
		{"POST " + base + "/{id}", a, other((*person).change)},
		{"POST " + base + "/{id}/invite", a, other((*person).inviteAgain)},
		{"POST " + base + "/{id}/reset", a, other((*person).reset)},
		{"POST " + base + "/{id}/disable", a, other((*person).disable)},
		{"POST " + base + "/{id}/enable", a, other((*person).enable)},
		{"POST " + base + "/{id}/totp", a, other((*person).dropTOTP)},
		{"POST " + base + "/{id}/sessions", a, other((*person).endSessions)},
		{"POST " + base + "/{id}/remove", a, other((*person).remove)},
	}
}

// peoplePage is how many users are on a page.
const peoplePage = 50

// teamPage lists the users of the operator. A viewer sees them, too.
func (p *panel) teamPage(q *request) error {
	list, err := p.Users.List(q.Context(), q.operator(), q.typed("after", maxID), peoplePage+1)
	if err != nil {
		return err
	}
	l := view.People{}
	if q.mayWrite() {
		l.New = "/team/new"
	}
	q.page1(&l, &list)
	for _, u := range list {
		row := q.personRow(u)
		if q.mayWrite() {
			row.Path = "/team/" + u.ID
		}
		l.Rows = append(l.Rows, row)
	}
	return q.show(q.T("nav.team"), view.PeoplePage(q.frame(q.T("nav.team")), q.T("nav.team"), l))
}

// page1 cuts a list that was read one longer than a page, and says what comes next.
func (q *request) page1(l *view.People, list *[]waypost.User) {
	if q.value("after") != "" {
		l.First = q.with("after", "")
	}
	if len(*list) > peoplePage {
		*list = (*list)[:peoplePage]
		l.Next = q.with("after", (*list)[peoplePage-1].ID)
	}
}

func (q *request) personRow(u waypost.User) view.Person {
	state := stateOf(u)
	return view.Person{
		ID: u.ID, Login: u.Login, Name: u.Name, Email: u.Email, Role: q.Label("role", string(u.Role)), State: state, StateLabel: q.Label("user_state", state),
		TOTP: u.TOTP, LastLogin: u.LastLogin, You: u.ID == q.session.User.ID,
	}
}

func (p *panel) teamInviteForm(q *request) error {
	return q.showInvite(q.T("people.invite"), q.inviteForm("/team", waypost.RoleAdmin, nil), nil)
}

// inviteForm is the form of an invitation as it was typed.
func (q *request) inviteForm(base string, role waypost.Role, w *wrong) view.Invite {
	i := view.Invite{Action: base + "/new", Back: base, Problem: w.text("")}
	i.Email = view.Field{Name: "email", Label: q.T("people.email"), Value: q.value("email"), Type: "email", Required: true, Max: maxMail, Error: w.text("email")}
	i.Name = view.Field{Name: "name", Label: q.T("people.name"), Value: q.value("name"), Max: maxPersonName, Error: w.text("name")}
	i.Login = view.Field{Name: "login", Label: q.T("people.login"), Hint: q.T("people.login_hint"), Value: q.value("login"), Auto: "off", Max: maxLoginName, Error: w.text("login")}
	i.Role = q.roleField(cmp.Or(q.value("role"), string(role)), role.Platform(), w)
	i.Language = q.languageField(q.value("language"))
	if q.Method == http.MethodGet {
		i.Language = q.languageField(q.Code)
	}
	i.Language.Hint = q.T("people.language_hint")
	return i
}

func (q *request) showInvite(title string, i view.Invite, w *wrong) error {
	return q.showStatus(w.code(), title, view.InvitePage(q.frame(title), title, i))
}

// invitedUser is the user that the form of an invitation describes.
func (q *request) invitedUser(operatorID string) auth.NewUser {
	return auth.NewUser{
		OperatorID: operatorID, Email: q.value("email"), Login: cmp.Or(q.value("login"), q.value("email")), Name: q.value("name"),
		Role: waypost.Role(q.value("role")), Language: q.value("language"),
	}
}

func (p *panel) teamInvite(q *request) error {
	issued, err := p.invite(q, q.invitedUser(q.operator()))
	if err != nil {
		w, err := q.wrong(err, "email", "name", "login", "role")
		if err != nil {
			return err
		}
		return q.showInvite(q.T("people.invite"), q.inviteForm("/team", waypost.RoleAdmin, w), w)
	}
	return p.deliverInvitation(q, issued, "/team")
}

// invite makes a user without a password, unless the invitation could not be mailed.
func (p *panel) invite(q *request, n auth.NewUser) (auth.Issued, error) {
	to := waypost.User{OperatorID: n.OperatorID, Email: waypost.NormalizeAddress(n.Email)}
	if err := p.mayPost(letter{to: to, path: auth.PathInvite}); err != nil {
		return auth.Issued{}, err
	}
	return p.Users.Invite(q.Context(), q.by(), n)
}

// deliverInvitation mails an invitation. An installation whose mail goes nowhere shows the
// link instead, to who made the user: there is no other way to bring it.
func (p *panel) deliverInvitation(q *request, issued auth.Issued, back string) error {
	l := p.inviteLetter(q, issued)
	if p.Platform.Sandbox() {
		title := q.T("people.handed")
		h := view.Handed{Person: cmp.Or(issued.User.Name, issued.User.Login), Link: p.lettersLead() + l.path, Expires: issued.Expires, Back: back}
		return q.show(title, view.HandedPage(q.frame(title), h))
	}
	if err := p.post(q.Context(), l); err != nil {
		p.Log.Error("cannot send an invitation", slog.String("user", issued.User.ID), obs.Error(err))
		return q.redirect(back, "invite_unsent")
	}
	return q.redirect(back, "invited")
}

// person is a user somebody else looks after, in one request.
type person struct {
	waypost.User
	p    *panel
	q    *request
	base string // of the paths: "/team"
}

// member is the user of the operator that the address names.
func (p *panel) member(q *request) (*person, error) {
	id, err := q.pathID("id")
	if err != nil {
		return nil, err
	}
	u, err := p.Users.User(q.Context(), q.operator(), id)
	return &person{u, p, q, "/team"}, err
}

func (u *person) path() string { return u.base + "/" + u.ID }

// show shows the person with the form as it was typed, if it was.
func (u *person) show(w *wrong) error {
	q := u.q
	sessions, err := u.p.Users.Sessions(q.Context(), u.ID)
	if err != nil {
		return err
	}
	v := view.PersonPage{
		Person: q.personRow(u.User), Back: u.base, Created: u.Created, Sessions: u.p.sessionRows(q, sessions), Problem: w.text(""),
		NoMail: u.p.Platform.Sandbox(), ResetCommand: "waypost user reset --login " + u.Login,
	}
	v.Path = u.path()
	if u.OperatorID != "" && u.base != "/team" {
		v.Operator, v.OperatorPath = u.p.operatorName(q, u.OperatorID), u.base+"?operator="+u.OperatorID
	}
	name, email, role := u.Name, u.Email, string(u.Role)
	if q.Method == http.MethodPost && q.Form.Has("role") {
		name, email, role = q.value("name"), q.value("email"), q.value("role")
	}
	v.NameField = view.Field{Name: "name", Label: q.T("people.name"), Value: name, Max: maxPersonName, Error: w.text("name")}
	v.EmailField = view.Field{Name: "email", Label: q.T("people.email"), Value: email, Type: "email", Max: maxMail, Error: w.text("email")}
	if u.SignsInByMail() {
		v.EmailField.Hint = q.T("people.email_login")
	}
	v.RoleField = q.roleField(role, u.OperatorID == "", w)
	title := cmp.Or(u.Name, u.Login)
	return q.showStatus(w.code(), title, view.PersonView(q.frame(title), v))
}

// refuse shows the person with the reason why something was not done.
func (u *person) refuse(err error, fields ...string) error {
	w, err := u.q.wrong(err, fields...)
	if err != nil {
		return err
	}
	return u.show(w)
}

func (u *person) change() error {
	q := u.q
	saved, err := u.p.Users.Change(q.Context(), q.by(), u.OperatorID, u.ID, func(e *waypost.User) {
		e.Name, e.Email, e.Role = q.value("name"), q.value("email"), waypost.Role(q.value("role"))
	})
	if err != nil {
		return u.refuse(err, "name", "email", "role")
	}
	if saved.Email != u.Email {
		u.p.tell(q, addressLetter(u.User, saved))
	}
	return q.redirect(u.path(), "saved")
}

func (u *person) setDisabled(disabled bool, flash string) error {
	_, err := u.p.Users.Change(u.q.Context(), u.q.by(), u.OperatorID, u.ID, func(e *waypost.User) { e.Disabled = disabled })
	if err != nil {
		return u.refuse(err)
	}
	return u.q.redirect(u.path(), flash)
}

func (u *person) disable() error { return u.setDisabled(true, "user_disabled") }
func (u *person) enable() error  { return u.setDisabled(false, "user_enabled") }

func (u *person) inviteAgain() error {
	// The invitation before this one is worth nothing then, so this one has to get through.
	if err := u.p.mayPost(letter{to: u.User, path: auth.PathInvite}); err != nil {
		return u.refuse(err)
	}
	issued, err := u.p.Users.InviteAgain(u.q.Context(), u.q.by(), u.OperatorID, u.ID)
	if err != nil {
		return u.refuse(err)
	}
	return u.p.deliverInvitation(u.q, issued, u.path())
}

// reset mails a link to set another password. It is never shown: who has it is the user.
func (u *person) reset() error {
	switch {
	case u.p.Platform.Sandbox():
		return u.refuse(waypost.NewError(waypost.Conflict, "no_mail", "no mail leaves this installation"))
	case u.Email == "":
		return u.refuse(waypost.NewError(waypost.Conflict, "no_address", "the user has no e-mail address"))
	}
	if err := u.p.mayPost(letter{to: u.User, path: auth.PathReset}); err != nil {
		return u.refuse(err)
	}
	issued, err := u.p.Users.IssueReset(u.q.Context(), u.q.by(), u.OperatorID, u.ID)
	if err == nil {
		err = u.p.post(u.q.Context(), u.p.resetLetter(issued, u.q.Code))
	}
	if err != nil {
		return u.refuse(err)
	}
	return u.q.redirect(u.path(), "reset_sent")
}

func (u *person) dropTOTP() error {
	was, err := u.p.Users.DropTOTP(u.q.Context(), u.q.by(), u.OperatorID, u.ID)
	if err != nil {
		return err
	}
	if was {
		u.p.tell(u.q, letter{to: u.User, text: "letter.totp_"})
	}
	return u.q.redirect(u.path(), "totp_off")
}

func (u *person) endSessions() error {
	if _, err := u.p.Users.RevokeSessions(u.q.Context(), u.q.by(), u.OperatorID, u.ID, ""); err != nil {
		return err
	}
	return u.q.redirect(u.path(), "sessions_ended")
}

func (u *person) remove() error {
	err := u.p.Users.Remove(u.q.Context(), u.q.by(), u.OperatorID, u.ID)
	if waypost.KindOf(err) == waypost.NotFound { // sent twice
		err = nil
	}
	if err != nil {
		return u.refuse(err)
	}
	return u.q.redirect(u.base, "removed")
}
