package view_test

import (
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/panel/view"
)

// endless is far more than anybody types.
func endless() string { return strings.Repeat("x", 10_000) }

// field is a field with all that a field can have.
func field(name, value string) view.Field {
	return view.Field{Name: name, Label: name, Value: value, Hint: "A hint", Error: hostile, Options: []view.Option{{Value: "a", Label: hostile, Hint: hostile}, {Value: value, Label: "B", Selected: true}}}
}

func sessions() []view.Session {
	return []view.Session{
		{ID: "s1", Browser: hostile, Peer: hostile, Created: moment(), Seen: moment(), Acting: hostile},
		{ID: "s2", Browser: "Firefox, Linux", Peer: "2001:db8::1", Created: moment(), Seen: moment().Add(time.Hour), This: true},
		{ID: "s3", Browser: endless(), Peer: "192.0.2.7", Created: moment(), Seen: moment(), Ended: true},
	}
}

func TestAPersonsOwnPages(t *testing.T) {
	p := frame(t)
	a := view.Account{Login: "ann", Role: "Owner", Sessions: sessions()[1:2], SignIns: sessions()[1:]}
	a.Name, a.Email, a.Confirm = view.Field{Name: "name", Label: "Name"}, view.Field{Name: "email", Label: "E-mail"}, view.Field{Name: "confirm", Type: "password"}
	a.TOTPPassword = view.Field{Name: "totp_password", Type: "password"}
	a.Language, a.Zone, a.Zones = view.Field{Name: "language"}, view.Field{Name: "time_zone"}, []string{"UTC", "Europe/Madrid"}
	golden(t, "account", view.AccountPage(p, a))
	a = view.Account{
		Login: hostile, Role: hostile, Operator: hostile, Problem: hostile, TOTP: true, RecoveryLeft: 1, Sessions: sessions(), SignIns: sessions(), Zones: []string{hostile},
		Name: field("name", endless()), Email: field("email", hostile), Confirm: field("confirm", ""), Language: field("language", "en"), Zone: field("time_zone", hostile),
		Theme: field("theme", "dark"), Current: field("current_password", ""), Password: field("password", ""), Again: field("again", ""), TOTPPassword: field("totp_password", ""),
	}
	golden(t, "account-hostile", view.AccountPage(p, a))
	golden(t, "account-totp", view.TOTPPage(p, view.TOTPSetup{Image: "data:image/svg+xml;base64,AA==", Secret: "ABCDEFGHIJ", URI: "otpauth://totp/x?secret=ABC", Code: field("code", hostile)}))
	golden(t, "account-recovery", view.RecoveryPage(p, view.Recovery{Codes: []string{"aaaa-bbbb-cccc-dddd", "eeee-ffff-gggg-hhhh"}, File: "data:text/plain;charset=utf-8,aaaa%0D%0A"}))
}

func people() []view.Person {
	return []view.Person{
		{ID: "u1", Login: "ann", Name: "Ann", Email: "ann@acme.example", Role: "Administrator", State: "active", StateLabel: "Active", TOTP: true, LastLogin: moment(), Path: "/team/u1", You: true},
		{ID: "u2", Login: hostile, Name: hostile, Email: hostile, Role: hostile, State: "invited", StateLabel: hostile, Operator: hostile, OperatorPath: "/platform/users?operator=x"},
		{ID: "u3", Login: "bob", Name: endless(), State: "disabled", StateLabel: "Disabled", Path: "/team/u3"},
	}
}

func TestThePagesOfATeam(t *testing.T) {
	p := frame(t)
	golden(t, "team-empty", view.PeoplePage(p, "Team", view.People{New: "/team/new"}))
	golden(t, "team", view.PeoplePage(p, "Team", view.People{New: "/team/new", Rows: people(), First: "/team", Next: "/team?after=u3"}))
	golden(t, "team-viewer", view.PeoplePage(p, "Team", view.People{Rows: people()[1:2]}))
	golden(t, "users", view.PeoplePage(p, "Users", view.People{
		Staff: true, New: "/platform/users/new", NewStaff: "/platform/users/new?staff=1", Rows: people(), Operator: field("operator", hostile), Login: field("login", hostile),
		Names: []view.Name{{"o1", hostile}, {"o2", "Acme"}}, Shown: hostile, Problem: hostile,
	}))
	invite := view.Invite{
		Action: "/platform/users/new", Back: "/platform/users", Operator: field("operator", ""), Names: []view.Name{{"o1", hostile}}, Email: field("email", hostile),
		Name: field("name", endless()), Login: field("login", hostile), Role: field("role", "admin"), Language: field("language", "en"), How: field("how", "invite"),
		Password: field("password", ""), Again: field("again", ""), Problem: hostile,
	}
	golden(t, "users-invite", view.InvitePage(p, "Invite", invite))
	invite.Operator, invite.How, invite.Problem = view.Field{}, view.Field{}, ""
	golden(t, "team-invite", view.InvitePage(p, "Invite", invite))
	golden(t, "team-handed", view.HandedPage(p, view.Handed{Person: hostile, Link: "https://x.example/invite/abc", Expires: moment(), Back: "/team"}))
	for i, u := range people() {
		v := view.PersonPage{
			Person: u, Back: "/team", Created: moment(), NameField: field("name", u.Name), EmailField: field("email", u.Email), RoleField: field("role", "admin"),
			Sessions: sessions()[:i], Problem: hostile, NoMail: i == 2, ResetCommand: "waypost user reset --login " + u.Login,
		}
		golden(t, "team-person-"+u.State, view.PersonView(p, v))
	}
	active := people()[0]
	active.You = false
	golden(t, "team-person", view.PersonView(p, view.PersonPage{Person: active, Back: "/team", Created: moment(), Sessions: sessions()}))
}

func TestThePagesOfKeys(t *testing.T) {
	p := frame(t)
	golden(t, "keys-empty", view.KeysPage(p, view.Keys{Write: true}))
	keys := []view.Key{
		{ID: "k1", Name: hostile, Hint: hostile, Scopes: []string{hostile}, Networks: []string{hostile}, Kind: hostile, Refuses: true, Created: moment(), Used: moment()},
		{ID: "k2", Hint: "wp_test_abcd", Test: true, Scopes: []string{"Send mail", "See messages"}, Created: moment()},
		{ID: "k3", Name: endless(), Hint: "wp_live_abcd", Created: moment(), Revoked: moment()},
	}
	golden(t, "keys", view.KeysPage(p, view.Keys{Rows: keys, Write: true, First: "/keys", Next: "/keys?before=k3"}))
	golden(t, "keys-viewer", view.KeysPage(p, view.Keys{Rows: keys[:1]}))
	golden(t, "keys-new", view.KeyFormPage(p, view.CredentialForm{
		Name: field("name", hostile), Mode: field("mode", "live"), Scopes: field("scopes", "send"), Kind: field("default_kind", ""), Policy: field("from_policy", "refuse"),
		Networks: field("networks", endless()), Problem: hostile,
	}))
	golden(t, "keys-created", view.KeyCreatedPage(p, view.NewKey{Key: "wp_live_abc", Test: true, Curl: "curl " + hostile, SMTP: "curl " + hostile, Host: hostile, StartTLS: 587, TLS: 465}))
	golden(t, "keys-created-api", view.KeyCreatedPage(p, view.NewKey{Key: "wp_live_abc", Curl: "curl x"}))
}

func TestThePagesOfTheAuditLog(t *testing.T) {
	p := frame(t)
	rows := []view.AuditRow{
		{At: moment(), Who: hostile, Peer: hostile, What: hostile, Target: hostile, Detail: hostile, Operator: hostile, OperatorPath: "/platform/audit?operator=x"},
		{At: moment(), Who: "By itself", What: "Added a sender", Target: endless()},
	}
	golden(t, "audit", view.AuditPage(p, view.Audit{Rows: rows, First: "/audit", Next: "/audit?before=x"}))
	golden(t, "audit-platform", view.AuditPage(p, view.Audit{Rows: rows, Platform: true, Operator: field("operator", hostile), Names: []view.Name{{"o1", hostile}}, Shown: hostile}))
}

func TestThePagesOfLinks(t *testing.T) {
	p := frame(t)
	golden(t, "links-forgot", view.ForgotForm(p, view.Forgot{Who: field("who", hostile), Problem: hostile}))
	golden(t, "links-reset", view.SetPasswordForm(p, view.SetPassword{Action: "/reset/x", Login: hostile, Password: field("password", ""), Again: field("again", ""), Problem: hostile}))
	golden(t, "links-invite", view.SetPasswordForm(p, view.SetPassword{Action: "/invite/x", Login: hostile, Invited: true, Password: field("password", ""), Again: field("again", "")}))
	golden(t, "links-bad", view.BadLinkPage(p, view.BadLink{Text: hostile, Path: "/forgot", Button: hostile}))
	l := view.Letter{Lang: "en", Brand: hostile, Subject: hostile, Greeting: hostile, Parts: []string{hostile, endless()}, Link: "https://x.example/reset/abc", Button: hostile, Valid: "Once.", Note: hostile}
	golden(t, "links-letter", view.LetterHTML(l))
	if got := (view.Letter{Greeting: "Hello,", Parts: []string{"One.", "Two."}, Link: "https://x.example/reset/abc", Valid: "Once.", Note: "Ignore it.", Brand: "Fleetmail"}).Text(); got !=
		"Hello,\n\nOne.\n\nTwo.\n\nhttps://x.example/reset/abc\n\nOnce.\n\nIgnore it.\n\n-- \nFleetmail\n" {
		t.Errorf("%q", got)
	}
}

func TestThePagesOfTheFirstSteps(t *testing.T) {
	p := frame(t)
	golden(t, "first", view.FirstForm(p, view.First{
		Action: "/first/x", Name: field("name", hostile), Email: field("email", hostile), Login: field("login", hostile), Password: field("password", ""), Again: field("again", ""), Problem: hostile,
	}))
	steps := []view.SetupStep{
		{Name: "owner", Number: 1, Done: true, Skip: "domain"},
		{Name: "domain", Number: 2, Open: true, Skip: "operator"},
		{Name: "operator", Number: 3, Skip: "admin"},
		{Name: "admin", Number: 4, Blocked: true, Skip: "mail"},
		{Name: "mail", Number: 5, Blocked: true},
	}
	s := view.Setup{Steps: steps, Sandbox: true, Settings: "WAYPOST_PLATFORM_DOMAIN=mail.example.net\n", Problem: hostile}
	s.Operator.Name, s.Operator.Product, s.Operator.Contact = field("name", hostile), field("product", "cloud"), field("contact", hostile)
	golden(t, "first-steps", view.SetupPage(p, s))
	golden(t, "first-reminder", view.SetupReminder(p, view.SetupCard{Steps: steps}))
	for i := range steps {
		steps[i].Blocked = false
		steps[i].Done = i < 3
	}
	s = view.Setup{Steps: steps, Domain: hostile, OperatorID: "o1", OperatorName: hostile, Hidden: true, Admin: view.Invite{Email: field("email", ""), Role: field("role", "admin"), How: field("how", "invite")}}
	golden(t, "first-steps-operator", view.SetupPage(p, s))
	steps[3].Done, steps[4].Done = true, true
	golden(t, "first-steps-done", view.SetupPage(p, s))
}
