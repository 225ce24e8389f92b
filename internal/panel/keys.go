package panel

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) keyRoutes() []page {
	return []page{
		{"GET /keys", tenantRead, p.keysPage},
		{"GET /keys/new", tenantWrite, p.keyForm},
		{"POST /keys/new", tenantWrite, p.createKey},
		{"POST /keys/{id}/revoke", tenantWrite, p.revokeKey},
	}
}

const (
	keysPage    = 50
	maxNetworks = 100
)

func (p *panel) keysPage(q *request) error {
	list, err := p.Store.CredentialPage(q.Context(), q.operator(), q.typed("before", maxID), keysPage+1)
	if err != nil {
		return err
	}
	v := view.Keys{Write: q.mayWrite()}
	if q.value("before") != "" {
		v.First = q.with("before", "")
	}
	if len(list) > keysPage {
		list = list[:keysPage]
		v.Next = q.with("before", list[keysPage-1].ID)
	}
	for _, c := range list {
		v.Rows = append(v.Rows, q.keyRow(c))
	}
	return q.show(q.T("nav.keys"), view.KeysPage(q.frame(q.T("nav.keys")), v))
}

func (q *request) keyRow(c store.Credential) view.Key {
	row := view.Key{
		ID: c.ID, Name: c.Name, Hint: c.Hint, Test: c.Test, Created: c.Created, Used: c.Used, Revoked: c.Revoked,
		Kind: q.Label("kind", string(c.DefaultKind)), Refuses: c.FromPolicy == waypost.FromRefuse,
	}
	for _, s := range c.Scopes {
		row.Scopes = append(row.Scopes, q.scopeLabel("scope", s))
	}
	for _, n := range c.Networks {
		row.Networks = append(row.Networks, n.String())
	}
	return row
}

// scopeLabel is the text for a scope, whose name has what keys of texts do not.
func (q *request) scopeLabel(set string, s waypost.Scope) string {
	return q.Label(set, strings.ReplaceAll(string(s), ":", "_"))
}

// scopes are those that an operator's key may have.
func scopes() []waypost.Scope {
	return slices.DeleteFunc(waypost.AllScopes(), func(s waypost.Scope) bool { return s == waypost.ScopeOperators })
}

// granted reports whether only the platform gives a scope: such mail passes suspension and
// limits, or overtakes that of others.
func granted(s waypost.Scope) bool { return s == waypost.ScopeSecurity || s == waypost.ScopeAlarm }

// newKey is a key to create, as typed.
type newKey struct {
	name, mode, kind, policy, networks string
	scopes                             []string
}

func (p *panel) keyForm(q *request) error {
	n := newKey{mode: "live", policy: string(waypost.FromReplace)}
	for _, s := range waypost.DefaultScopes() {
		n.scopes = append(n.scopes, string(s))
	}
	return q.showKeyForm(n, nil)
}

func (q *request) showKeyForm(n newKey, w *wrong) error {
	f := view.CredentialForm{Problem: w.text("")}
	f.Name = view.Field{Name: "name", Label: q.T("keys.name"), Hint: q.T("keys.name_hint"), Value: n.name, Required: true, Max: maxPersonName, Error: w.text("name")}
	f.Mode = view.Field{Name: "mode", Label: q.T("keys.mode"), Value: n.mode}
	for _, mode := range []string{"live", "test"} {
		f.Mode.Options = append(f.Mode.Options, view.Option{Value: mode, Label: q.Label("key_mode", mode), Hint: q.Label("key_mode_hint", mode)})
	}
	f.Scopes = view.Field{Name: "scopes", Label: q.T("keys.scopes"), Error: w.text("scopes")}
	for _, s := range scopes() {
		o := view.Option{Value: string(s), Label: q.scopeLabel("scope", s), Hint: q.scopeLabel("scope_hint", s), Selected: slices.Contains(n.scopes, string(s))}
		if granted(s) && !q.isStaff() {
			o.Disabled, o.Selected, o.Hint = true, false, o.Hint+" "+q.T("keys.scope_support")
		}
		f.Scopes.Options = append(f.Scopes.Options, o)
	}
	f.Kind = view.Field{Name: "default_kind", Label: q.T("keys.kind"), Hint: q.T("keys.kind_hint"), Value: n.kind, Error: w.text("default_kind"), Options: []view.Option{
		{Value: "", Label: q.T("keys.kind_none")},
	}}
	for _, k := range []waypost.Kind{waypost.KindEvent, waypost.KindReport, waypost.KindBalance, waypost.KindSecurity} {
		f.Kind.Options = append(f.Kind.Options, view.Option{Value: string(k), Label: q.Label("kind", string(k))})
	}
	f.Policy = view.Field{Name: "from_policy", Label: q.T("keys.policy"), Value: n.policy, Error: w.text("from_policy")}
	for _, policy := range []waypost.FromPolicy{waypost.FromReplace, waypost.FromRefuse} {
		f.Policy.Options = append(f.Policy.Options, view.Option{
			Value: string(policy), Label: q.Label("from_policy", string(policy)), Hint: q.Label("from_policy_hint", string(policy)),
		})
	}
	if q.isStaff() { // elsewhere, others may be at home
		f.Networks = view.Field{
			Name: "networks", Label: q.T("keys.networks"), Hint: q.T("keys.networks_hint"), Value: n.networks, Rows: 3, Max: 10_000, Mono: true, Error: w.text("networks"),
		}
	}
	title := q.T("keys.create")
	return q.showStatus(w.code(), title, view.KeyFormPage(q.frame(title), f))
}

// createKey makes a key and answers with the page that shows it: it can be read nowhere
// else.
func (p *panel) createKey(q *request) error {
	n := newKey{
		name: q.value("name"), mode: q.value("mode"), kind: q.value("default_kind"), policy: q.value("from_policy"), networks: q.value("networks"),
		scopes: q.Form["scopes"],
	}
	if n.name == "" {
		return q.showKeyForm(n, wrongField("name", q.T("keys.name_missing")))
	}
	if len(n.scopes) == 0 { // the service would take the usual ones
		return q.showKeyForm(n, wrongField("scopes", q.T("keys.scopes_missing")))
	}
	networks, bad := parseNetworks(n.networks)
	if bad != "" {
		return q.showKeyForm(n, wrongField("networks", q.T("keys.network_bad", "Network", bad)))
	}
	if len(networks) > 0 && !q.isStaff() {
		return q.showKeyForm(n, wrongField("", q.T("keys.networks_support")))
	}
	if len(networks) > maxNetworks {
		return q.showKeyForm(n, wrongField("networks", q.T("keys.networks_many", "Count", q.Number(maxNetworks))))
	}
	r := auth.CreateRequest{
		OperatorID: q.operator(), Name: n.name, Networks: networks, Test: n.mode == "test", DefaultKind: waypost.Kind(n.kind), FromPolicy: waypost.FromPolicy(n.policy),
	}
	for _, s := range n.scopes {
		if granted(waypost.Scope(s)) && !q.isStaff() {
			return q.showKeyForm(n, wrongField("scopes", q.T("keys.scope_support")))
		}
		r.Scopes = append(r.Scopes, waypost.Scope(s))
	}
	key, c, err := p.Auth.Create(q.Context(), q.by(), r)
	if err != nil {
		w, err := q.wrong(err, "name", "scopes", "default_kind", "from_policy", "networks")
		if err != nil {
			return err
		}
		return q.showKeyForm(n, w)
	}
	title := q.T("keys.created")
	return q.show(title, view.KeyCreatedPage(q.frame(title), p.shownKey(q, key, c)))
}

// parseNetworks reads networks and single addresses, with anything between. bad is the first
// that is neither.
func parseNetworks(text string) (list []netip.Prefix, bad string) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,;\t\r\n", r) }) {
		n, err := netip.ParsePrefix(word)
		if addr, addrErr := netip.ParseAddr(word); err != nil && addrErr == nil {
			n, err = netip.PrefixFrom(addr.WithZone(""), addr.BitLen()), nil
		}
		if err != nil {
			return nil, word
		}
		list = append(list, n)
	}
	return list, ""
}

// shownKey is a new key with examples that work as they are.
func (p *panel) shownKey(q *request, key string, c store.Credential) view.NewKey {
	v := view.NewKey{Key: key, Test: c.Test}
	if slices.Contains(c.Scopes, waypost.ScopeSend) {
		v.Curl = "curl " + q.base + "/v1/messages \\\n" +
			"  -H \"Authorization: Bearer " + key + "\" -H \"Content-Type: application/json\" \\\n" +
			"  -d '{\"to\": [{\"email\": \"" + exampleTo + "\"}], \"subject\": \"" + exampleSubject + "\", \"text\": \"" + exampleText + "\"}'"
	} else {
		v.Curl = "curl " + q.base + "/v1/messages -H \"Authorization: Bearer " + key + "\""
		return v
	}
	s := p.Submission
	if s.Host == "" || s.StartTLS == 0 && s.TLS == 0 {
		return v
	}
	v.Host, v.StartTLS, v.TLS = s.Host, s.StartTLS, s.TLS
	address, secure := "smtp://"+net.JoinHostPort(s.Host, strconv.Itoa(s.StartTLS)), " --ssl-reqd"
	if s.StartTLS == 0 {
		address, secure = "smtps://"+net.JoinHostPort(s.Host, strconv.Itoa(s.TLS)), ""
	}
	if s.SelfSigned {
		secure += " --insecure"
	}
	v.SMTP = "printf 'From: alerts@example.com\\r\\nTo: " + exampleTo + "\\r\\nSubject: " + exampleSubject + "\\r\\n\\r\\n" + exampleText + "\\r\\n' | \\\n" +
		"  curl " + address + secure + " --user 'waypost:" + key + "' \\\n" +
		"  --mail-from alerts@example.com --mail-rcpt " + exampleTo + " -T -"
	return v
}

// What the examples send.
const (
	exampleTo      = "driver@example.com"
	exampleSubject = "Speeding alert"
	exampleText    = "Truck 7 drove 97 km/h."
)

func (p *panel) revokeKey(q *request) error {
	id, err := q.pathID("id")
	if err != nil {
		return err
	}
	if err := p.Auth.Revoke(q.Context(), q.by(), q.operator(), id); err != nil {
		return err
	}
	return q.redirect("/keys", "key_revoked")
}
