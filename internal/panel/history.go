package panel

import (
	"strings"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// historyOnPage is how many facts about a domain are shown at once.
const historyOnPage = 10

// fillHistory fills in what happened to a domain, newest first.
func (q *request) fillHistory(v *view.Domain) error {
	before := q.URL.Query().Get("before")
	found, err := q.panel.Store.DomainEvents(q.Context(), q.operator(), v.Name, before, historyOnPage+1)
	if err != nil {
		return err
	}
	if before != "" {
		v.First = "/domains/" + v.ID + "#history"
	}
	for _, e := range found {
		if len(v.History) == historyOnPage {
			v.Next = "/domains/" + v.ID + "?before=" + found[historyOnPage-1].ID + "#history"
			break
		}
		v.History = append(v.History, view.HistoryEntry{At: q.Moment(e.At), Text: q.eventText(e), By: q.eventBy(e.Actor)})
	}
	return nil
}

// eventText says in plain words what happened.
func (q *request) eventText(e waypost.DomainEvent) string {
	key := "domain_event." + string(e.Type)
	if !q.Has(key) {
		return strings.TrimSpace(string(e.Type) + " " + e.Detail)
	}
	address, reason, _ := strings.Cut(e.Detail, ": ")
	switch e.Type {
	case waypost.DomainSenderRejected:
		if reason == "" {
			reason = "–"
		}
		return q.T(key, "Address", address, "Reason", reason)
	case waypost.DomainSenderAdded, waypost.DomainSenderAssigned, waypost.DomainSenderRemoved:
		return q.T(key, "Address", e.Detail)
	case waypost.DomainDrifted, waypost.DomainMended:
		part, verdict, ok := verify.ReadDrift(e.Detail)
		if !ok {
			return q.T(key, "Record", e.Detail, "Verdict", "–")
		}
		return q.T(key, "Record", q.Label("record_title", string(part)), "Verdict", q.Label("verdict", string(verdict)))
	default:
		return strings.TrimSpace(q.T(key) + " " + q.eventWhy(e.Detail))
	}
}

// eventWhy translates the sentences that explain events.
func (q *request) eventWhy(detail string) string {
	if key, ok := eventReasons()[detail]; ok {
		return q.T("domain_why." + key)
	}
	return detail
}

// eventReasons are the sentences, as verify and store write them.
func eventReasons() map[string]string {
	return map[string]string{
		"the ownership record is gone":                                             "ownership_gone",
		"ownership is not proven any more":                                         "not_proven",
		"the DKIM record that mail is signed with is gone":                         "dkim_gone",
		"its ownership key was changed":                                            "key_changed",
		"the record of the operator that had proven it before is gone":             "other_gone",
		"its ownership record is gone, and another operator has proven the domain": "other_proven",
	}
}

// eventBy says who did it, "" for what happens by itself.
func (q *request) eventBy(actor string) string {
	kind, _, _ := strings.Cut(actor, ":")
	if kind == "policy" || kind == "" {
		return ""
	}
	return q.Label("event_by", kind)
}
