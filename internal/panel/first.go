package panel

import (
	"context"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) firstRoutes() []page {
	return []page{
		{"GET " + auth.PathFirst + "{token}", anybody, p.firstForm},
		{"POST " + auth.PathFirst + "{token}", anybody, p.makeOwner},

		{"GET /platform/start", ownerOnly, p.setupPage},
		{"POST /platform/start/operator", ownerOnly, p.setupOperator},
		{"POST /platform/start/admin", ownerOnly, p.setupAdmin},
		{"POST /platform/start/hide", ownerOnly, p.hideSetup},
		{"POST /platform/start/show", ownerOnly, p.unhideSetup},
	}
}

// firstForm asks the owner of a new installation who it is.
func (p *panel) firstForm(q *request) error {
	q.hush()
	return p.showFirst(q, nil)
}

func (p *panel) showFirst(q *request, w *wrong) error {
	valid := false
	if p.First != nil {
		var err error
		if valid, err = p.First.Valid(q.Context(), q.PathValue("token")); err != nil {
			return err
		}
	}
	if !valid {
		return q.showBadLink("first")
	}
	f := view.First{Action: q.URL.Path, Problem: w.text("")}
	f.Name = view.Field{Name: "name", Label: q.T("people.name"), Value: q.value("name"), Auto: "name", Max: maxPersonName, Error: w.text("name")}
	f.Email = view.Field{
		Name: "email", Label: q.T("people.email"), Hint: q.T("first.email_hint"), Value: q.value("email"), Type: "email", Auto: "email", Max: maxMail, Error: w.text("email"),
	}
	f.Login = view.Field{Name: "login", Label: q.T("people.login"), Value: q.value("login"), Auto: "username", Required: true, Max: maxLoginName, Error: w.text("login")}
	f.Password, f.Again = q.passwordFields(w)
	return q.showStatus(w.code(), q.T("first.title"), view.FirstForm(q.frame(""), f))
}

// makeOwner makes the owner, signs it in, and leads on.
func (p *panel) makeOwner(q *request) error {
	q.hush()
	password, w := q.newPassword()
	if w == nil && p.First != nil {
		owner, err := p.First.CreateOwner(q.Context(), q.PathValue("token"), auth.NewUser{
			Login: q.value("login"), Email: q.value("email"), Name: q.value("name"), Language: q.Code,
		}, password, q.peer)
		if err == nil {
			got, err := p.Users.SignIn(q.Context(), owner.Login, password, q.peer, q.UserAgent())
			if err != nil { // the owner is there: it can sign in as ever
				return q.redirect("/sign-in", "password_set")
			}
			return q.enterWith(got, "/platform/start")
		}
		// A token that is not valid, or that somebody was quicker with, shows as such.
		if kind := waypost.KindOf(err); kind != waypost.NotFound && kind != waypost.Conflict {
			if w, err = q.wrong(err, "name", "email", "login", "password"); err != nil {
				return err
			}
		}
	}
	return p.showFirst(q, w)
}

// setupCookie is set by who does not want to be reminded of the first steps.
const setupCookie = "waypost_setup"

// setup is how far a new installation is. Nothing of it is kept: each step is done when
// what it is about is there.
type setup struct {
	operator *waypost.Operator // the first one
	admin    bool              // it has a user
	mail     bool              // it has sent something
}

func (p *panel) setup(ctx context.Context) (setup, error) {
	var s setup
	list, err := p.Accounts.Operators(ctx, waypost.PlatformOperatorID, 1)
	if err != nil || len(list) == 0 {
		return s, err
	}
	s.operator = &list[0]
	users, err := p.Users.List(ctx, s.operator.ID, "", 1)
	if err != nil {
		return s, err
	}
	s.admin = len(users) > 0
	sent, err := p.Store.Totals(ctx, s.operator.ID)
	s.mail = sent.Accepted > 0
	return s, err
}

// steps are the steps with how each one stands, done ones first shut.
func (p *panel) steps(s setup) []view.SetupStep {
	steps := []view.SetupStep{
		{Name: "owner", Done: true},
		{Name: "domain", Done: !p.Platform.Sandbox()},
		{Name: "operator", Done: s.operator != nil},
		{Name: "admin", Done: s.admin, Blocked: s.operator == nil},
		{Name: "mail", Done: s.mail, Blocked: s.operator == nil},
	}
	for i := range steps {
		steps[i].Number = i + 1
		if i+1 < len(steps) {
			steps[i].Skip = steps[i+1].Name
		}
	}
	return steps
}

// setupCard is what the overview of the platform shows of the first steps: nil when all are
// done, when the person does not want to see it, or when it is not the owner.
func (p *panel) setupCard(q *request) (*view.SetupCard, error) {
	if !ownerOnly.allows(q.session) || q.cookie(setupCookie) == "hidden" {
		return nil, nil //nolint:nilnil // nothing to show
	}
	s, err := p.setup(q.Context())
	if err != nil {
		return nil, err
	}
	c := &view.SetupCard{Steps: p.steps(s)}
	if c.Left() == 0 {
		return nil, nil //nolint:nilnil // nothing to show
	}
	return c, nil
}

func (p *panel) setupPage(q *request) error { return p.showSetup(q, q.value("step"), nil) }

// showSetup shows all steps, one of them open: the one asked for, or the first that is not
// done.
func (p *panel) showSetup(q *request, open string, w *wrong) error {
	s, err := p.setup(q.Context())
	if err != nil {
		return err
	}
	v := view.Setup{Steps: p.steps(s), Problem: w.text(""), Sandbox: p.Platform.Sandbox(), Domain: p.Platform.Domain, Hidden: q.cookie(setupCookie) == "hidden"}
	for i := range v.Steps {
		step := &v.Steps[i]
		if open == "" && !step.Done && !step.Blocked {
			open = step.Name
		}
		step.Open = step.Name == open
	}
	v.Settings = "WAYPOST_PLATFORM_DOMAIN=mail.example.net\nWAYPOST_HOSTNAME=mx1.example.net\nWAYPOST_SENDING_ADDRESSES=192.0.2.10\n" +
		"WAYPOST_BOUNCE_ADDR=0.0.0.0:25\nWAYPOST_PUBLIC_URL=https://mail.example.net\n"
	v.Operator.Name = view.Field{Name: "name", Label: q.T("setup.operator_name"), Value: q.value("name"), Required: true, Max: maxPersonName, Error: w.text("name")}
	v.Operator.Product = view.Field{Name: "product", Label: q.T("setup.product"), Value: q.value("product"), Error: w.text("product")}
	for _, product := range []waypost.Product{waypost.ProductServermate, waypost.ProductCloud, waypost.ProductOnPremise} {
		v.Operator.Product.Options = append(v.Operator.Product.Options, view.Option{Value: string(product), Label: q.Label("product", string(product))})
	}
	v.Operator.Contact = view.Field{
		Name: "contact", Label: q.T("setup.contact"), Hint: q.T("setup.contact_hint"), Value: q.value("contact"), Type: "email", Max: maxMail, Error: w.text("contact"),
	}
	if s.operator != nil {
		v.OperatorID, v.OperatorName = s.operator.ID, s.operator.Name
		v.Admin = q.inviteForm("/platform/start", waypost.RoleAdmin, w)
		v.Admin.Problem, v.Admin.Email.Required = "", false
		q.passwordNow(&v.Admin, w)
	}
	title := q.T("setup.title")
	return q.showStatus(w.code(), title, view.SetupPage(q.frame(title), v))
}

func (p *panel) setupOperator(q *request) error {
	_, err := p.Accounts.CreateOperator(q.Context(), q.by(), account.NewOperator{
		Name: q.value("name"), Product: waypost.Product(q.value("product")), Contact: q.value("contact"),
	})
	if err != nil {
		w, err := q.wrong(err, "name", "product", "contact")
		if err != nil {
			return err
		}
		return p.showSetup(q, "operator", w)
	}
	return q.redirect("/platform/start", "added")
}

// setupAdmin makes the first user of the first operator.
func (p *panel) setupAdmin(q *request) error {
	s, err := p.setup(q.Context())
	if err != nil {
		return err
	}
	if s.operator == nil {
		return q.redirect("/platform/start", "")
	}
	w, err := p.inviteOrCreate(q, s.operator.ID, "/platform/start")
	if err != nil || w == nil {
		return err
	}
	return p.showSetup(q, "admin", w)
}

func (p *panel) hideSetup(q *request) error {
	q.setCookie(setupCookie, "hidden", year)
	return q.redirect("/platform", "setup_hidden")
}

func (p *panel) unhideSetup(q *request) error {
	q.setCookie(setupCookie, "", 0)
	return q.redirect("/platform/start", "")
}
