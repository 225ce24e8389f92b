package panel

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) accountRoutes() []page {
	return []page{
		{"GET /account", signedIn, p.accountPage},
		{"POST /account", signedIn, p.saveAccount},
		{"POST /account/password", signedIn, p.changePassword},
		{"GET /account/totp", signedIn, p.totpPage},
		{"POST /account/totp", signedIn, p.enrollTOTP},
		{"POST /account/totp/confirm", signedIn, p.confirmTOTP},
		{"POST /account/totp/off", signedIn, p.disableTOTP},
		{"POST /account/sessions/end", signedIn, p.endOtherSessions},
		{"POST /account/sessions/{id}/end", signedIn, p.endSession},
	}
}

// shownSignIns is how many of the last sign-ins a person sees.
const shownSignIns = 20

// profile is what a person can change of itself.
type profile struct{ name, email, language, zone, theme string }

func (q *request) profile() profile {
	u := q.session.User
	return profile{u.Name, u.Email, u.Language, u.TimeZone, q.theme}
}

func (p *panel) accountPage(q *request) error { return p.showAccount(q, q.profile(), nil) }

// showAccount shows the page with one of its forms as it was typed.
func (p *panel) showAccount(q *request, f profile, w *wrong) error {
	u := q.session.User
	sessions, err := p.Users.Sessions(q.Context(), u.ID)
	if err != nil {
		return err
	}
	signIns, err := p.Users.SignIns(q.Context(), u.ID, shownSignIns)
	if err != nil {
		return err
	}
	a := view.Account{
		Login: u.Login, Role: q.Label("role", string(u.Role)), TOTP: u.TOTP, Problem: w.text(""), Zones: zones(),
		Sessions: p.sessionRows(q, sessions), SignIns: p.sessionRows(q, signIns),
	}
	if u.OperatorID != "" {
		a.Operator = p.operatorName(q, u.OperatorID)
	}
	if u.TOTP {
		if a.RecoveryLeft, err = p.Users.RecoveryCodes(q.Context(), u.ID); err != nil {
			return err
		}
	}
	a.Name = view.Field{Name: "name", Label: q.T("people.name"), Value: f.name, Auto: "name", Max: maxPersonName, Error: w.text("name")}
	a.Email = view.Field{Name: "email", Label: q.T("people.email"), Value: f.email, Type: "email", Auto: "email", Max: maxMail, Error: w.text("email")}
	if u.SignsInByMail() {
		a.Email.Hint = q.T("people.email_login")
	}
	a.Confirm = view.Field{
		Name: "confirm", Label: q.T("account.confirm"), Hint: q.T("account.confirm_hint"), Type: "password", Auto: "current-password", Max: maxPasswords, Error: w.text("confirm"),
	}
	a.Language = q.languageField(f.language)
	a.Zone = view.Field{Name: "time_zone", Label: q.T("account.zone"), Value: f.zone, Hint: q.T("account.zone_hint"), Auto: "off", Max: 64, Error: w.text("time_zone")}
	a.Theme = view.Field{Name: "theme", Label: q.T("theme.label"), Value: f.theme}
	for _, theme := range []string{"auto", "light", "dark"} {
		a.Theme.Options = append(a.Theme.Options, view.Option{Value: theme, Label: q.T("theme." + theme)})
	}
	a.Current = view.Field{
		Name: "current_password", Label: q.T("account.current"), Type: "password", Auto: "current-password", Max: maxPasswords, Error: w.text("current_password"),
	}
	a.Password, a.Again = q.passwordFields(w)
	a.TOTPPassword = view.Field{
		Name: "totp_password", Label: q.T("account.current"), Type: "password", Auto: "current-password", Max: maxPasswords, Error: w.text("totp_password"),
	}
	return q.showStatus(w.code(), q.T("account.title"), view.AccountPage(q.frame(q.T("account.title")), a))
}

// saveAccount saves what a person says about itself. A new address takes the password: links
// that set another one go there.
func (p *panel) saveAccount(q *request) error {
	f := profile{q.value("name"), q.value("email"), q.value("language"), zone(q.value("time_zone")), q.value("theme")}
	before := q.session.User
	moved := waypost.NormalizeAddress(f.email) != before.Email
	var err error
	if moved {
		err = p.Users.VerifyPassword(q.Context(), *q.session, q.FormValue("confirm"))
		if waypost.KindOf(err) == waypost.Invalid {
			return p.showAccount(q, f, wrongField("confirm", q.T("account.confirm_wrong")))
		}
	}
	var saved waypost.User
	if err == nil {
		saved, err = p.Users.Change(q.Context(), q.by(), before.OperatorID, before.ID, func(u *waypost.User) {
			u.Name, u.Email, u.Language, u.TimeZone = f.name, f.email, f.language, f.zone
		})
	}
	if err != nil {
		w, err := q.wrong(err, "name", "email", "time_zone")
		if err != nil {
			return err
		}
		return p.showAccount(q, f, w)
	}
	if saved.Email != before.Email {
		p.tell(q, addressLetter(before, saved))
	}
	switch f.theme {
	case "light", "dark":
		q.setCookie(themeCookie, f.theme, year)
	default:
		q.setCookie(themeCookie, "", 0)
	}
	return q.redirect("/account", "saved")
}

func (p *panel) changePassword(q *request) error {
	password, w := q.newPassword()
	if w == nil {
		err := p.Users.ChangePassword(q.Context(), *q.session, q.FormValue("current_password"), password)
		if err == nil {
			p.tell(q, letter{to: q.session.User, text: "letter.password_"})
			return q.redirect("/account", "password_changed")
		}
		if w, err = q.wrong(err, "current_password", "password"); err != nil {
			return err
		}
	}
	return p.showAccount(q, q.profile(), w)
}

// enrollTOTP makes a new secret for the app of the person.
func (p *panel) enrollTOTP(q *request) error {
	if _, err := p.Users.Enroll(q.Context(), *q.session, q.FormValue("totp_password")); err != nil {
		if waypost.AsError(err).Code == "totp_on" { // sent twice
			return q.redirect("/account", "")
		}
		return p.wrongTOTPPassword(q, err)
	}
	return q.redirect("/account/totp", "")
}

// wrongTOTPPassword shows the password that the form about two-step sign-in takes as wrong.
func (p *panel) wrongTOTPPassword(q *request, err error) error {
	w, err := q.wrong(err, "current_password")
	if err != nil {
		return err
	}
	if text := w.text("current_password"); text != "" { // the field of the other form
		w.texts["totp_password"] = text
		delete(w.texts, "current_password")
	}
	return p.showAccount(q, q.profile(), w)
}

// totpRefused leads back when there is nothing to set up.
func (p *panel) totpRefused(q *request, err error) error {
	if waypost.KindOf(err) == waypost.Conflict {
		return q.redirect("/account", "")
	}
	return err
}

func (p *panel) totpPage(q *request) error { return p.showTOTP(q, nil) }

func (p *panel) showTOTP(q *request, w *wrong) error {
	e, err := p.Users.Enrolled(q.Context(), *q.session)
	if err != nil {
		return p.totpRefused(q, err)
	}
	s := view.TOTPSetup{
		Image:  "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(e.SVG.Reveal())),
		Secret: e.Secret.Reveal(), URI: e.URI.Reveal(),
		Code: view.Field{
			Name: "code", Label: q.T("totp.code"), Auto: "one-time-code", Mode: "numeric", Mono: true, Required: true, Max: 20, Error: w.text("code"),
		},
	}
	return q.showStatus(w.code(), q.T("account.totp"), view.TOTPPage(q.frame(q.T("account.totp")), s))
}

// confirmTOTP switches two-step sign-in on and shows the recovery codes. It answers with the
// page itself: the codes are nowhere to be read again.
func (p *panel) confirmTOTP(q *request) error {
	codes, err := p.Users.Confirm(q.Context(), *q.session, q.value("code"))
	if waypost.KindOf(err) == waypost.Conflict { // sent twice
		return q.redirect("/account", "")
	}
	if err != nil {
		w, err := q.wrong(err, "code")
		if err != nil {
			return err
		}
		if text := w.text(""); text != "" { // too many tries
			w.texts["code"] = text
		}
		return p.showTOTP(q, w)
	}
	p.tell(q, letter{to: q.session.User, text: "letter.totp_on_"})
	title := q.T("recovery.title")
	text := q.T("recovery.file", "Brand", p.Brand.Name, "Login", q.session.User.Login) + "\r\n\r\n" + strings.Join(codes, "\r\n") + "\r\n"
	return q.show(title, view.RecoveryPage(q.frame(title), view.Recovery{Codes: codes, File: "data:text/plain;charset=utf-8," + url.PathEscape(text)}))
}

func (p *panel) disableTOTP(q *request) error {
	was, err := p.Users.DisableTOTP(q.Context(), *q.session, q.FormValue("totp_password"))
	if err != nil {
		return p.wrongTOTPPassword(q, err)
	}
	if was {
		p.tell(q, letter{to: q.session.User, text: "letter.totp_"})
	}
	return q.redirect("/account", "totp_off")
}

// endSession ends one session of the person. That it has ended already is no error.
func (p *panel) endSession(q *request) error {
	u := q.session.User
	if q.PathValue("id") == q.session.ID {
		return p.signOut(q)
	}
	id, err := q.pathID("id")
	if err != nil {
		return err
	}
	err = p.Users.RevokeSession(q.Context(), q.by(), u.OperatorID, u.ID, id)
	if err != nil && waypost.KindOf(err) != waypost.NotFound {
		return err
	}
	return q.redirect("/account", "session_ended")
}

func (p *panel) endOtherSessions(q *request) error {
	u := q.session.User
	if _, err := p.Users.RevokeSessions(q.Context(), q.by(), u.OperatorID, u.ID, q.session.ID); err != nil {
		return err
	}
	return q.redirect("/account", "sessions_ended")
}

// staff is the session as that of the platform's staff: whoever acts for an operator is
// still who it is on the platform's pages.
func (q *request) staff() auth.Session {
	s := *q.session
	s.ActingFor = ""
	return s
}
