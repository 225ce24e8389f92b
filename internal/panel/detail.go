package panel

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/waypost/waypost/internal/panel/locale"
	"github.com/waypost/waypost/internal/waypost"
)

// detail puts facts into the reader's language, the texts being those of a set. It reports
// false for what has no facts, and for facts that are newer than the texts.
func (q *request) detail(set string, d waypost.Detail) (list []string, ok bool) {
	for _, f := range d.Facts() {
		if !q.Has(set + "." + string(f.Code)) {
			return nil, false
		}
		list = append(list, q.fact(set+"."+string(f.Code), f))
	}
	return list, len(list) > 0
}

// fact is the text of a key, filled in. A number of things is called count.
func (q *request) fact(key string, f waypost.Fact) string {
	var pairs []any
	for name, value := range f.Args {
		pairs = append(pairs, capital(name), q.factValue(name, value))
	}
	if field, ok := f.Args["field"].(string); ok {
		pairs = append(pairs, "Field", q.fieldLabel(field), "Is", q.fieldValue(field, f.Args["is"]), "Was", q.fieldValue(field, f.Args["was"]))
	}
	if count, ok := f.Args["count"].(json.Number); ok {
		if n, err := count.Int64(); err == nil {
			return q.N(key, n, pairs...)
		}
	}
	return q.T(key, pairs...)
}

// factValue writes a value: a number as people of the language do, one of a set by its
// name there, everything else as it is.
func (q *request) factValue(name string, value any) string {
	if number, ok := value.(json.Number); ok && name != "port" {
		if n, err := number.Int64(); err == nil {
			return q.Number(n)
		}
	}
	text := fmt.Sprint(value)
	switch name {
	case "security":
		return q.Label("security", text)
	case "fault":
		return q.Label("spf_fault", text)
	case "failure":
		return q.Label("dns_failure", text)
	case "why":
		return q.Label("gives_up", text)
	}
	return text
}

// capital begins a name as the names in texts do.
func capital(name string) string {
	if name == "" {
		return name
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// fieldLabel is what a field is called on the page where it is changed.
func (q *request) fieldLabel(field string) string {
	key, ok := map[string]string{
		"name": "people.name", "email": "people.email", "login": "people.login", "role": "people.role", "language": "people.language", "time_zone": "account.zone",
		"product": "operators.product", "contact": "operators.contact", "uncertain": "operators.uncertain", "gateway": "operators.gateway",
		"per_minute": "operators.per_minute", "parent": "operators.parent", "reply_to": "email.reply_to", "username": "email.username",
	}[field]
	if ok {
		return q.T(key)
	}
	for _, section := range waypost.SettingsSections() {
		if text := q.maybe("platform_settings." + section + "_" + field); text != "" {
			return text
		}
	}
	return field
}

// fieldValue writes what a field has, "–" for nothing.
func (q *request) fieldValue(field string, value any) string {
	text := q.factValue(field, value)
	if text == "" || value == nil {
		return "–"
	}
	switch field {
	case "role", "product":
		return q.Label(field, text)
	case "gateway":
		return q.Label("operator_gateway", text)
	case "parent":
		if q.isStaff() { // names of others are the platform's to know
			return q.panel.auditedOperator(q, text)
		}
	case "uncertain":
		return q.Label("uncertain_policy", text)
	case "per_minute":
		if text == "0" {
			return q.T("operators.no_limit")
		}
	case "language":
		for _, l := range locale.Languages() {
			if l.Code == text {
				return l.Name
			}
		}
	}
	return text
}

// auditDetail is what an entry of the audit log says more.
func (q *request) auditDetail(e waypost.AuditEntry) string {
	if list, ok := q.detail("detail", e.Detail); ok {
		return strings.Join(list, "; ")
	}
	set, known := map[string]string{
		"credential.create": "scope", "operator.create": "product", "operator.sign_in_as": "role", "operator.sign_out_as": "role",
		"sender.add": "sender_state", "suppression.add": "suppression_reason", "suppression.remove": "suppression_reason",
		"user.create": "role", "user.remove": "role",
	}[e.Action]
	if !known {
		return e.Detail.String()
	}
	values := []string{e.Detail.String()}
	if e.Action == "credential.create" && json.Unmarshal([]byte(e.Detail), &values) != nil {
		return e.Detail.String()
	}
	for i := range values {
		if set == "scope" {
			values[i] = q.scopeLabel(set, waypost.Scope(values[i]))
			continue
		}
		values[i] = q.Label(set, values[i])
	}
	return strings.Join(values, ", ")
}

// auditTarget is what an entry of the audit log is about.
func (q *request) auditTarget(e waypost.AuditEntry) string {
	switch {
	case strings.HasPrefix(e.Action, "queue.") && e.Target == "all":
		return q.T("log.all_mail")
	case e.Action == "platform.settings":
		return cmp.Or(q.maybe("platform_settings."+e.Target), e.Target)
	case e.Action == "entitlement.change":
		product, gateway, _ := strings.Cut(e.Target, ", ")
		return q.Label("product", product) + ", " + q.Label("operator_gateway", gateway)
	}
	return e.Target
}
