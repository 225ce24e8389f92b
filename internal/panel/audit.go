package panel

import (
	"cmp"
	"context"
	"strings"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) auditRoutes() []page {
	return []page{
		{"GET /audit", tenantRead, p.auditPage},
		{"GET /platform/audit", platformRead, p.platformAudit},
	}
}

const auditPage = 50

// auditPage lists what was changed of the operator, and by whom.
func (p *panel) auditPage(q *request) error {
	list, err := p.Store.AuditLog(q.Context(), q.operator(), q.typed("before", maxID), auditPage+1)
	if err != nil {
		return err
	}
	v := view.Audit{}
	if err := p.auditRows(q, &v, list); err != nil {
		return err
	}
	title := q.T("nav.audit")
	return q.show(title, view.AuditPage(q.frame(title), v))
}

// platformAudit is the same for everybody, or for one operator.
func (p *panel) platformAudit(q *request) error {
	v := view.Audit{Platform: true}
	var err error
	if v.Names, err = p.operatorNames(q.Context()); err != nil {
		return err
	}
	v.Operator = view.Field{Name: "operator", Label: q.T("nav.operator"), Value: q.value("operator"), Auto: "off"}
	title := q.T("nav.audit")
	operatorID, err := p.chosenOperator(q)
	if id := strings.ToLower(q.value("operator")); waypost.KindOf(err) == waypost.NotFound {
		if _, gone := p.removedName(q, id); gone { // its log is kept
			operatorID, err = id, nil
		}
	}
	var list []waypost.AuditEntry
	switch {
	case waypost.KindOf(err) == waypost.NotFound:
		v.Operator.Error = q.T("people.no_operator")
		return q.show(title, view.AuditPage(q.frame(title), v))
	case err != nil:
		return err
	case operatorID == "":
		list, err = p.System.AuditLog(q.Context(), q.typed("before", maxID), auditPage+1)
	default:
		v.Shown = p.auditedOperator(q, operatorID)
		v.Operator.Value = v.Shown
		list, err = p.Store.AuditLog(q.Context(), operatorID, q.typed("before", maxID), auditPage+1)
	}
	if err != nil {
		return err
	}
	if err := p.auditRows(q, &v, list); err != nil {
		return err
	}
	return q.show(title, view.AuditPage(q.frame(title), v))
}

// auditRows puts entries, read one longer than a page, into words.
func (p *panel) auditRows(q *request, v *view.Audit, list []waypost.AuditEntry) error {
	if q.value("before") != "" {
		v.First = q.with("before", "")
	}
	if len(list) > auditPage {
		list = list[:auditPage]
		v.Next = q.with("before", list[auditPage-1].ID)
	}
	keys := map[string]string{}
	for _, e := range list {
		who, err := p.whoDid(q, e, keys)
		if err != nil {
			return err
		}
		row := view.AuditRow{
			At: e.At, Who: who, Peer: e.Actor.Peer, What: q.actionLabel(e.Action), Target: q.auditTarget(e), Detail: q.auditDetail(e),
		}
		if v.Platform {
			row.Operator, row.OperatorPath = p.auditedOperator(q, e.OperatorID), "/platform/audit?operator="+e.OperatorID
		}
		v.Rows = append(v.Rows, row)
	}
	return nil
}

// actionLabel is an action in words: the text for its name with the dots as underscores.
func (q *request) actionLabel(action string) string {
	if text := q.Label("audit", strings.ReplaceAll(action, ".", "_")); text != strings.ReplaceAll(action, ".", "_") {
		return text
	}
	return action
}

func (p *panel) auditedOperator(q *request, id string) string {
	if id == waypost.PlatformOperatorID {
		return q.T("nav.platform")
	}
	name := p.operatorName(q, id)
	if removed, gone := p.removedName(q, id); name == id && gone {
		return removed
	}
	return name
}

// removedName is the name that a deleted operator had.
func (p *panel) removedName(q *request, id string) (string, bool) {
	if _, ok := waypost.ParseID(id); !ok {
		return "", false
	}
	o, err := p.System.RemovedOperator(q.Context(), id)
	return o.Name, err == nil
}

// whoDid is who did what an entry says. Keys are looked up once for a page.
func (p *panel) whoDid(q *request, e waypost.AuditEntry, keys map[string]string) (string, error) {
	kind, id, _ := strings.Cut(e.Actor.ID, ":")
	switch kind {
	case "cli":
		return q.T("log.cli"), nil
	case "policy":
		return q.T("log.policy"), nil
	case "recipient":
		return q.T("log.recipient"), nil
	case "credential":
		if e.Actor.Name != "" {
			return q.T("log.key", "Name", e.Actor.Name), nil
		}
		name, ok := keys[id]
		if !ok {
			var err error
			if name, err = p.keyName(q.Context(), q, e.OperatorID, id); err != nil {
				return "", err
			}
			keys[id] = name
		}
		return name, nil
	}
	return cmp.Or(e.Actor.Name, e.Actor.ID), nil
}

// keyName is what a key is called for who reads about an operator: those of the platform
// have no name there.
func (p *panel) keyName(ctx context.Context, q *request, operatorID, id string) (string, error) {
	owner, name, err := p.System.CredentialName(ctx, id)
	switch {
	case waypost.KindOf(err) == waypost.NotFound:
		return q.T("log.key", "Name", id), nil
	case err != nil:
		return "", err
	case owner == operatorID || platformRead.allows(q.session):
		return q.T("log.key", "Name", name), nil
	}
	return q.T("log.platform_key"), nil
}
