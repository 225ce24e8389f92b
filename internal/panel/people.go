package panel

import (
	_ "embed" // the list of time zones
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/panel/locale"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/web"
)

// Longest values of fields about people, in characters.
const (
	maxPersonName = 200
	maxMail       = 254
	maxLoginName  = 100
	maxPasswords  = 1000
	maxID         = 100 // more than ids and cursors have
)

// wrong is what is wrong with a form: a text for each field, and under "" for the whole.
type wrong struct {
	status int
	texts  map[string]string
}

// wrongField is a form with one field that is wrong.
func wrongField(field, text string) *wrong {
	return &wrong{http.StatusUnprocessableEntity, map[string]string{field: text}}
}

// text is what is wrong with a field, "" for nothing.
func (w *wrong) text(field string) string {
	if w == nil {
		return ""
	}
	return w.texts[field]
}

// code is the status of the page that shows the form.
func (w *wrong) code() int {
	if w == nil {
		return http.StatusOK
	}
	return w.status
}

// wrong sorts errors: what a person can put right is for the form, all else comes back.
// Fields that the form does not have are told of above it.
func (q *request) wrong(err error, fields ...string) (*wrong, error) {
	problems, ok := errors.AsType[account.Problems](err)
	if !ok {
		e, ok := errors.AsType[*waypost.Error](err)
		if !ok {
			return nil, err
		}
		problems = account.Problems{e}
	}
	w := &wrong{http.StatusUnprocessableEntity, map[string]string{}}
	for _, e := range problems {
		switch e.Kind {
		case waypost.Invalid:
		case waypost.Conflict, waypost.RateLimited, waypost.Unavailable:
			w.status, _ = web.Status(e.Kind)
		default:
			return nil, err
		}
		field := ""
		for _, f := range fields {
			if f == e.Field {
				field = f
			}
		}
		if w.texts[field] == "" {
			w.texts[field] = q.reason(e)
		}
	}
	return w, nil
}

// reason says in the person's language what an error says, as far as there is a text.
func (q *request) reason(e *waypost.Error) string {
	if key := "problem." + e.Code; q.Has(key) {
		return q.T(key)
	}
	if key := "problem.field_" + e.Field; e.Kind == waypost.Invalid && q.Has(key) {
		return q.T(key)
	}
	return e.Message
}

// newPassword reads a new password that was typed twice. It is not trimmed: what is typed
// counts.
func (q *request) newPassword() (string, *wrong) {
	password := q.FormValue("password")
	if password != q.FormValue("again") {
		return "", wrongField("again", q.T("people.again_differs"))
	}
	return password, nil
}

// passwordFields are the fields of a new password.
func (q *request) passwordFields(w *wrong) (password, again view.Field) {
	password = view.Field{
		Name: "password", Label: q.T("people.new_password"), Type: "password", Auto: "new-password", Max: maxPasswords,
		Hint: q.T("people.password_hint"), Error: w.text("password"),
	}
	again = view.Field{Name: "again", Label: q.T("people.password_again"), Type: "password", Auto: "new-password", Max: maxPasswords, Error: w.text("again")}
	return password, again
}

// languageField lets choose a language of the panel; none goes by the browser.
func (q *request) languageField(value string) view.Field {
	f := view.Field{Name: "language", Label: q.T("people.language"), Value: value}
	if !locale.Known(value) {
		f.Value = ""
	}
	f.Options = append(f.Options, view.Option{Label: q.T("people.language_auto")})
	for _, l := range locale.Languages() {
		f.Options = append(f.Options, view.Option{Value: l.Code, Label: l.Name})
	}
	return f
}

// roleField lets choose a role of one side.
func (q *request) roleField(value string, staff bool, w *wrong) view.Field {
	roles := []waypost.Role{waypost.RoleAdmin, waypost.RoleViewer}
	if staff {
		roles = []waypost.Role{waypost.RoleSupport, waypost.RoleAuditor, waypost.RoleOwner}
	}
	f := view.Field{Name: "role", Label: q.T("people.role"), Value: value, Error: w.text("role")}
	for _, r := range roles {
		f.Options = append(f.Options, view.Option{Value: string(r), Label: q.Label("role", string(r)), Hint: q.Label("role_hint", string(r))})
	}
	return f
}

// state of a user, in one word.
func stateOf(u waypost.User) string {
	switch {
	case u.Disabled:
		return "disabled"
	case !u.Active:
		return "invited"
	}
	return "active"
}

//go:embed zones.txt
var zoneNames string

// zones lists the time zones that people choose from.
func zones() []string { return strings.Fields(zoneNames) }

// zone finds the time zone that somebody means, who may type the city only. What is none
// comes back as it is.
func zone(text string) string {
	text = strings.TrimSpace(text)
	name := strings.ReplaceAll(text, " ", "_")
	found := ""
	for _, z := range zones() {
		if strings.EqualFold(z, name) {
			return z
		}
		if _, city, ok := strings.Cut(z, "/"); ok && found == "" && strings.EqualFold(city[strings.LastIndexByte(city, '/')+1:], name) {
			found = z
		}
	}
	if found != "" {
		return found
	}
	return text
}

// sessionRow is a session as shown.
func (p *panel) sessionRow(q *request, s waypost.UserSession) view.Session {
	row := view.Session{ID: s.ID, Browser: browser(s.Agent), Peer: s.Peer, Created: s.Created, Seen: s.Seen, Ended: !s.Ended.IsZero(), This: s.ID == q.session.ID}
	if s.ActingFor != "" {
		row.Acting = p.operatorName(q, s.ActingFor)
	}
	return row
}

func (p *panel) sessionRows(q *request, list []waypost.UserSession) []view.Session {
	rows := make([]view.Session, len(list))
	for i, s := range list {
		rows[i] = p.sessionRow(q, s)
	}
	return rows
}

// operatorName is the name of an operator, or its id if it is gone.
func (p *panel) operatorName(q *request, id string) string {
	if id == "" {
		return ""
	}
	if a, err := p.Directory.Get(q.Context(), id); err == nil {
		return a.Name
	}
	return id
}

// browser says in two words what a browser calls itself in many. What is not known comes
// back as it is.
func browser(agent string) string {
	pick := func(words ...string) string {
		for i := 0; i+1 < len(words); i += 2 {
			if strings.Contains(agent, words[i]) {
				return words[i+1]
			}
		}
		return ""
	}
	// Each pretends to be those after it.
	name := pick("Edg/", "Edge", "EdgA/", "Edge", "OPR/", "Opera", "YaBrowser/", "Yandex Browser", "SamsungBrowser/", "Samsung Internet",
		"Firefox/", "Firefox", "FxiOS/", "Firefox", "CriOS/", "Chrome", "Chrome/", "Chrome", "Safari/", "Safari", "curl/", "curl")
	system := pick("iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows", "Mac OS X", "macOS", "CrOS", "ChromeOS", "Linux", "Linux")
	switch {
	case name == "" && agent == "":
		return "–"
	case name == "":
		if runes := []rune(agent); len(runes) > 80 {
			return string(runes[:80]) + "…"
		}
		return agent
	case system == "":
		return name
	}
	return name + ", " + system
}

// year is how long a browser keeps what a person chose.
const year = 365 * 24 * time.Hour
