package panel_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// secretOf is in everything that another operator must not see.
const secretOf = "victims-own"

// victim has one of everything, each under its id.
func (w *world) victim(t *testing.T) (operatorID string, ids map[string]string, person *visitor) {
	t.Helper()
	op := w.operator(t, secretOf)
	message := w.send(t, op, secretOf+"@rcpt.example", secretOf)
	found, err := w.db.Store.Message(t.Context(), op, message)
	if err != nil {
		t.Fatal(err)
	}
	domain, err := w.accounts.ClaimDomain(t.Context(), waypost.CommandLine(), op, secretOf+".example")
	if err != nil {
		t.Fatal(err)
	}
	sender := waypost.Sender{ID: waypost.NewID(), OperatorID: op, Address: "a@" + secretOf + ".example", State: waypost.SenderRequested}
	if err := w.db.Store.AddSender(t.Context(), waypost.CommandLine(), op, sender, 10); err != nil {
		t.Fatal(err)
	}
	_, key, err := w.options.Auth.Create(t.Context(), waypost.CommandLine(), auth.CreateRequest{OperatorID: op, Name: secretOf})
	if err != nil {
		t.Fatal(err)
	}
	hook, _, err := w.accounts.CreateWebhook(t.Context(), waypost.CommandLine(), op, account.NewWebhook{URL: "https://hooks.example/" + secretOf})
	if err != nil {
		t.Fatal(err)
	}
	user := w.visitor(t, op, waypost.RoleViewer)
	sessions, err := w.users.Sessions(t.Context(), user.user.ID)
	if err != nil {
		t.Fatal(err)
	}
	test := w.visitor(t, op, waypost.RoleAdmin).post("/settings/email/test", "gateway", "builtin", "to", "a@"+secretOf+".example").location()
	return op, map[string]string{
		"/messages/{id}": message, "/deliveries/{id}": found.Deliveries[0].ID, "/domains/{id}": domain.ID, "/senders/{id}": sender.ID,
		"/keys/{id}": key.ID, "/team/{id}": user.user.ID, "/account/sessions/{id}": sessions[0].ID,
		"/settings/email/test/{id}": test[strings.LastIndexByte(test, '/')+1:], "/mailbox/{id}": waypost.NewID(), "/webhooks/{id}": hook.ID,
	}, user
}

// everywhere calls f with each route and a path for it that is about the victim's things.
func everywhere(t *testing.T, ids map[string]string, f func(t *testing.T, r panel.Route, method, path string)) {
	t.Helper()
	for _, r := range panel.Routes() {
		method, path, _ := strings.Cut(r.Pattern, " ")
		if open, rest, ok := strings.Cut(path, "{id}"); ok && strings.HasPrefix(r.Access, "tenant") || ok && r.Access == "signed in" {
			id, known := ids[open+"{id}"]
			if !known {
				t.Errorf("%s: this table does not say whose thing to try: add one to victim", r.Pattern)
				continue
			}
			path = open + id + rest
		}
		path = strings.NewReplacer("{$}", "", "{id}", waypost.NewID(), "{token}", "nothing", "{number}", "0", "{delivery}", ids["/deliveries/{id}"],
			"{action}", "cancel", "{cid}", "x", "{call}", waypost.NewID(), "{section}", "return_path", "{operator}", waypost.NewID()).Replace(path)
		if strings.Contains(path, "{") {
			t.Errorf("%s: this table does not know all of its parts", r.Pattern)
			continue
		}
		t.Run(r.Pattern, func(t *testing.T) { f(t, r, method, path) })
	}
}

func (v *visitor) try(method, path string) answer {
	v.t.Helper()
	if method == http.MethodGet {
		return v.get(path)
	}
	return v.post(path)
}

func TestEveryRouteLetsInWhoMayAndNobodyElse(t *testing.T) {
	w := withTester(t, nil)
	_, ids, _ := w.victim(t)
	op := w.operator(t, "Bravo")
	people := map[waypost.Role]*visitor{}
	for _, role := range []waypost.Role{waypost.RoleAdmin, waypost.RoleViewer} {
		people[role] = w.visitor(t, op, role)
	}
	for _, role := range []waypost.Role{waypost.RoleOwner, waypost.RoleSupport, waypost.RoleAuditor} {
		people[role] = w.visitor(t, "", role)
	}
	may := map[string][]waypost.Role{
		"tenant read":    {waypost.RoleAdmin, waypost.RoleViewer, waypost.RoleOwner, waypost.RoleSupport},
		"tenant write":   {waypost.RoleAdmin, waypost.RoleOwner, waypost.RoleSupport},
		"platform read":  {waypost.RoleOwner, waypost.RoleSupport, waypost.RoleAuditor},
		"platform write": {waypost.RoleOwner, waypost.RoleSupport},
		"owner":          {waypost.RoleOwner},
		"signed in":      {waypost.RoleAdmin, waypost.RoleViewer, waypost.RoleOwner, waypost.RoleSupport, waypost.RoleAuditor},
	}
	stranger := w.stranger(t)
	everywhere(t, ids, func(t *testing.T, r panel.Route, method, path string) {
		if r.Access == "anybody" {
			if got := stranger.try(method, path); got.status >= http.StatusInternalServerError {
				t.Errorf("%d", got.status)
			}
			return
		}
		if got := stranger.try(method, path); got.status != http.StatusSeeOther || !strings.HasPrefix(got.location(), "/sign-in") {
			t.Errorf("a stranger gets %d", got.status)
		}
		if strings.Contains(r.Pattern, "sessions/end") { // would sign out who is needed below
			return
		}
		for role, v := range people {
			got := v.try(method, path)
			allowed := slices.Contains(may[r.Access], role)
			switch {
			case got.status >= http.StatusInternalServerError:
				t.Errorf("%s gets %d: %s", role, got.status, got.text())
			case allowed && got.status == http.StatusForbidden:
				t.Errorf("%s may not: %s", role, got.text())
			case !allowed && got.status != http.StatusForbidden:
				t.Errorf("%s gets %d", role, got.status)
			}
		}
	})
}

func TestNobodyReachesAnotherOperatorsThings(t *testing.T) {
	w := withTester(t, nil)
	victim, ids, person := w.victim(t)
	thief := w.visitor(t, w.operator(t, "Bravo"), waypost.RoleAdmin)
	acting := w.actingFor(t, thief.user.OperatorID)
	before := w.everything(t, victim)
	everywhere(t, ids, func(t *testing.T, r panel.Route, method, path string) {
		if !strings.HasPrefix(r.Access, "tenant") && r.Access != "signed in" || r.Pattern == "POST /platform/leave" { // would end acting
			return
		}
		for name, v := range map[string]*visitor{"an admin": thief, "acting staff": acting} {
			got := v.try(method, path)
			// To end a session that is not there is to find it ended.
			if strings.Contains(r.Pattern, "{id}") && got.status != http.StatusNotFound && !strings.HasPrefix(path, "/account/sessions/") {
				t.Errorf("%s gets %d: %s", name, got.status, got.text())
			}
			if strings.Contains(got.body, secretOf) {
				t.Errorf("%s sees what is another operator's: %s", name, got.text())
			}
		}
	})
	if after := w.everything(t, victim); after != before {
		t.Errorf("something was changed:\n%s\nwas\n%s", after, before)
	}
	person.open("/messages") // its session goes on
}

// everything is what there is of an operator, in a text to compare.
func (w *world) everything(t *testing.T, operatorID string) string {
	t.Helper()
	var b strings.Builder
	s := w.db.Store
	senders, err1 := s.Senders(t.Context(), operatorID)
	domains, err2 := s.Domains(t.Context(), operatorID)
	keys, err3 := s.Credentials(t.Context(), operatorID)
	messages, err4 := s.Messages(t.Context(), operatorID, store.MessageFilter{})
	log, err5 := s.AuditLog(t.Context(), operatorID, "", 1000)
	for _, err := range []error{err1, err2, err3, err4, err5} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range senders {
		b.WriteString(x.ID + x.Address + x.Name + string(x.State) + "\n")
	}
	for _, x := range domains {
		b.WriteString(x.ID + x.Name + x.Looked.String() + "\n")
	}
	for _, x := range keys {
		b.WriteString(x.ID + x.Revoked.String() + "\n")
	}
	for _, x := range messages.Messages {
		b.WriteString(x.ID + "\n")
	}
	for _, x := range log {
		b.WriteString(x.ID + x.Action + "\n")
	}
	return b.String()
}
