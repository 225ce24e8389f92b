package panel

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/provider"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) emailRoutes() []page {
	return []page{
		{"GET /settings/email", tenantRead, p.emailPage},
		{"POST /settings/email", tenantWrite, p.saveEmail},
		{"POST /settings/email/preview", tenantRead, p.previewSignature},
		{"POST /settings/email/test", tenantWrite, p.testEmail},
		{"GET /settings/email/test/{id}", tenantRead, p.showTest},
	}
}

// emailForm is the settings as typed.
type emailForm struct {
	gateway, preset, host, port, security, username, password  string
	trustAll, auth                                             bool
	fromEmail, fromName, replyTo, signatureText, signatureHTML string
}

// savedForm is the form that shows what is saved.
func savedForm(s account.Settings) emailForm {
	f := emailForm{
		replyTo: s.ReplyTo, signatureText: s.Signature.Text, signatureHTML: s.Signature.HTML, preset: provider.OtherID,
		security: string(waypost.SecurityStartTLS), port: strconv.Itoa(waypost.SecurityStartTLS.Port()), auth: true,
	}
	if s.Gateway != nil {
		f.gateway = string(s.Gateway.Type)
	}
	if g := s.SMTP; g != nil {
		f.host, f.port, f.security, f.trustAll, f.auth = g.Host, strconv.Itoa(g.Port), string(g.Security), g.TrustAll, g.Auth != nil
		if g.Auth != nil {
			f.username = g.Auth.Username
		}
		if known, ok := provider.ByHost(g.Host); ok {
			f.preset = known.ID
		}
	}
	if from, err := message.ParseAddressList(s.From); err == nil && len(from) == 1 {
		f.fromEmail, f.fromName = from[0].Email, from[0].Name
	}
	return f
}

// typedForm is the form as it was sent. A password is not trimmed: what is typed counts.
func typedForm(q *request) emailForm {
	lines := func(name string) string { return strings.ReplaceAll(q.FormValue(name), "\r\n", "\n") }
	return emailForm{
		gateway: q.value("gateway"), preset: q.value("preset"), host: q.value("host"), port: q.value("port"), security: q.value("security"),
		username: q.value("username"), password: q.FormValue("password"), trustAll: q.value("trust_all") == "true", auth: q.value("auth") == "true",
		fromEmail: q.value("from_email"), fromName: q.value("from_name"), replyTo: q.value("reply_to"),
		signatureText: lines("signature_text"), signatureHTML: lines("signature_html"),
	}
}

// update is what the form asks for.
func (f emailForm) update() account.Update {
	u := account.Update{
		ReplyTo: f.replyTo, Signature: account.Signature{Text: strings.TrimRight(f.signatureText, "\n "), HTML: strings.TrimRight(f.signatureHTML, "\n ")},
		From: account.Mailbox(waypost.Address{Name: f.fromName, Email: f.fromEmail}),
	}
	switch waypost.GatewayType(f.gateway) {
	case "":
	case waypost.GatewayBuiltin:
		u.Gateway = &account.GatewayUpdate{Type: waypost.GatewayBuiltin}
	default:
		port, err := strconv.Atoi(f.port)
		if err != nil || port <= 0 {
			port = -1 // refused with the reason at its field
		}
		if f.port == "" {
			port = 0 // the usual one
		}
		u.Gateway = &account.GatewayUpdate{
			Type: waypost.GatewayType(f.gateway), Host: f.host, Port: port, Security: waypost.Security(f.security), TrustAll: f.trustAll,
		}
		if f.auth {
			u.Gateway.Auth = &account.AuthUpdate{Username: f.username, Password: f.password}
		}
	}
	return u
}

func (p *panel) emailPage(q *request) error {
	saved, err := p.Accounts.EmailSettings(q.Context(), q.operator())
	if err != nil {
		return err
	}
	return q.showEmail(http.StatusOK, saved, savedForm(saved), nil)
}

func (p *panel) saveEmail(q *request) error {
	f := typedForm(q)
	_, err := p.Accounts.SaveEmail(q.Context(), q.by(), q.operator(), f.update())
	if err == nil {
		return q.redirect("/settings/email", "saved")
	}
	problems, err := q.emailProblems(err)
	if err != nil {
		return err
	}
	saved, err := p.Accounts.EmailSettings(q.Context(), q.operator())
	if err != nil {
		return err
	}
	return q.showEmail(http.StatusUnprocessableEntity, saved, f, problems)
}

// emailProblems sorts what is wrong by field of the form; an error that is about none is
// returned.
func (q *request) emailProblems(err error) (map[string]string, error) {
	list, ok := errors.AsType[account.Problems](err)
	if !ok {
		e := waypost.AsError(err)
		if e.Field == "" {
			return nil, err
		}
		list = account.Problems{e}
	}
	names := map[string]string{
		"gateway.type": "gateway", "gateway.host": "host", "gateway.port": "port", "gateway.security": "security", "gateway.trust_all": "trust_all",
		"gateway.auth.username": "username", "gateway.auth.password": "password", "from": "from_email", "reply_to": "reply_to",
		"signature.text": "signature_text", "signature.html": "signature_html", "to": "to",
	}
	problems := map[string]string{}
	for _, e := range list {
		name := names[e.Field]
		if _, first := problems[name]; first {
			continue
		}
		problems[name] = e.Message
		if key := "email.wrong_" + name; q.Has(key) {
			problems[name] = q.T(key)
		}
		switch {
		case name == "password" && q.value("password") != "":
			problems[name] = e.Message
		case e.Code == "gateway_not_allowed":
			problems[name] = q.T("email.not_in_product")
		case e.Code == "platform_gateway":
			problems[name] = q.T("email.platform_gateway")
		case e.Code == "queue_too_long":
			problems[name] = q.T("problem.queue_too_long")
		}
	}
	return problems, nil
}

// showEmail shows the page: what is saved, what is typed and what is wrong with it.
func (q *request) showEmail(status int, saved account.Settings, f emailForm, problems map[string]string) error {
	v := view.Email{
		Write: q.mayWrite(), Wrong: len(problems) > 0, PasswordSaved: saved.SMTP != nil && saved.SMTP.Auth != nil && saved.SMTP.Auth.PasswordSet,
		InUse: q.inUse(saved), Failing: q.failing(saved), Warnings: q.emailWarnings(saved, f), Presets: q.presets(f.preset),
		Fields: q.emailFields(saved, f, problems),
	}
	reputation, err := q.reputation(q.account)
	if err != nil {
		return err
	}
	v.Reputation = reputation
	return q.showStatus(status, q.T("email.title"), view.EmailPage(q.frame(""), v))
}

func (q *request) emailFields(saved account.Settings, f emailForm, problems map[string]string) view.EmailFields {
	field := func(name, value string) view.Field {
		hint := ""
		if q.Has("email." + name + "_hint") {
			hint = q.T("email." + name + "_hint")
		}
		return view.Field{Name: name, Label: q.T("email." + name), Value: value, Hint: hint, Error: problems[name], Disabled: !q.mayWrite()}
	}
	fields := view.EmailFields{
		Gateway: field("gateway", f.gateway), Preset: field("preset", f.preset), Host: field("host", f.host), Port: field("port", f.port),
		Security: field("security", f.security), TrustAll: field("trust_all", strconv.FormatBool(f.trustAll)), Auth: field("auth", strconv.FormatBool(f.auth)),
		Username: field("username", f.username), Password: field("password", ""), FromEmail: field("from_email", f.fromEmail), FromName: field("from_name", f.fromName),
		ReplyTo: field("reply_to", f.replyTo), SignatureText: field("signature_text", f.signatureText), SignatureHTML: field("signature_html", f.signatureHTML),
		To: field("to", q.session.User.Email),
	}
	fields.Gateway.Options = q.gateways(saved)
	fields.Preset.Options = presetOptions()
	for _, s := range []waypost.Security{waypost.SecurityStartTLS, waypost.SecurityTLS, waypost.SecurityNone} {
		fields.Security.Options = append(fields.Security.Options, view.Option{
			Value: string(s), Label: q.Label("security", string(s)), Fill: fill("port", strconv.Itoa(s.Port())),
		})
	}
	fields.Password.Type, fields.Password.Auto = "password", "new-password"
	fields.Username.Auto, fields.Host.Auto, fields.Host.Mode, fields.Port.Mode = "off", "off", "url", "numeric"
	fields.FromEmail.Type, fields.To.Type = "email", "email"
	fields.SignatureText.Rows, fields.SignatureHTML.Rows, fields.SignatureHTML.Mono = 5, 5, true
	return fields
}

// gateways are the choices; one that the product does not include is grey and says so.
func (q *request) gateways(saved account.Settings) []view.Option {
	var list []view.Option
	for _, g := range []waypost.GatewayType{waypost.GatewayBuiltin, waypost.GatewaySMTP} {
		o := view.Option{Value: string(g), Label: q.Label("gateway", string(g)), Hint: q.T("email.about_" + string(g))}
		switch {
		case !slices.Contains(saved.Allowed, g):
			o.Disabled, o.Hint = true, q.T("email.not_in_product")
		case g == waypost.GatewayBuiltin:
			o.Label += " (" + q.T("email.recommended") + ")"
		}
		if !q.mayWrite() {
			o.Disabled = true
		}
		list = append(list, o)
	}
	return list
}

// inUse tells in a sentence what mail leaves with now.
func (q *request) inUse(saved account.Settings) string {
	use := saved.FromInUse
	switch {
	case saved.Gateway == nil:
		return q.T("email.in_use_none")
	case use == nil || use.Address == "":
		return q.T("email.in_use_own", "Gateway", q.Label("gateway", string(saved.Gateway.Type)))
	}
	from := use.Address
	if use.Name != "" {
		from = use.Name + " <" + use.Address + ">"
	}
	text := q.T("email.in_use", "Gateway", q.Label("gateway", string(saved.Gateway.Type)), "From", from)
	if use.Reason != "" && saved.Gateway.Type == waypost.GatewayBuiltin {
		text += " " + q.T("email.in_use_default")
	}
	return text
}

func (q *request) failing(saved account.Settings) *view.EmailFailing {
	h := saved.RelayHealth
	if h == nil {
		return nil
	}
	return &view.EmailFailing{Since: q.Moment(h.FailingSince), Reason: h.Reason, Next: q.Clock(h.NextProbe)}
}

// emailWarnings are what is risky about the settings on the screen.
func (q *request) emailWarnings(saved account.Settings, f emailForm) []string {
	var list []string
	if f.gateway == string(waypost.GatewaySMTP) {
		if f.trustAll && f.security != string(waypost.SecurityNone) {
			list = append(list, q.T("email.warn_trust_all"))
		}
		if f.security == string(waypost.SecurityNone) && f.auth {
			list = append(list, q.T("email.warn_plain"))
		}
	}
	if saved.Gateway == nil {
		list = append(list, q.T("email.warn_none"))
	}
	return list
}

func presetOptions() []view.Option {
	var list []view.Option
	for _, p := range provider.All() {
		if p.ID == provider.OtherID {
			list = append(list, view.Option{Value: p.ID, Label: p.Name})
			continue
		}
		values := []string{"host", p.Host, "security", string(p.Security), "port", strconv.Itoa(p.Port), "auth", "true", "trust_all", "false"}
		if p.Username == provider.UsernameFixed {
			values = append(values, "username", p.Login)
		}
		list = append(list, view.Option{Value: p.ID, Label: p.Name, Fill: fill(values...)})
	}
	return list
}

// presets are what each provider wants.
func (q *request) presets(chosen string) []view.EmailPreset {
	var list []view.EmailPreset
	for _, p := range provider.All() {
		v := view.EmailPreset{ID: p.ID, Name: p.Name, Docs: p.Docs, Chosen: p.ID == chosen, Username: q.UsernameHelp(p.Username), Login: p.Login}
		for _, n := range p.Notes {
			v.Notes = append(v.Notes, q.Note(n))
		}
		for _, other := range p.Variants {
			v.Hosts = append(v.Hosts, [2]string{other.Name, other.Host})
		}
		for _, other := range p.Other {
			v.Ports = append(v.Ports, strconv.Itoa(other.Port)+" ("+q.Label("security", string(other.Security))+")")
		}
		list = append(list, v)
	}
	return list
}

// fill writes what a choice fills in, as panel.js reads it.
func fill(pairs ...string) string {
	values := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	b, err := json.Marshal(values)
	if err != nil { // strings can always be written
		return ""
	}
	return string(b)
}
