package panel_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// ended makes the built-in gateway know of so much mail of an operator, and judges it.
func (w *world) ended(t *testing.T, operator string, f waypost.GatewayFigures) {
	t.Helper()
	now := time.Now()
	err := w.db.Store.Write(t.Context(), func(ctx context.Context, tx *engine.Tx) error {
		var tally store.Tally
		tally.Builtin(operator, waypost.KindEvent, now, now, f)
		tally.BuiltinAccepted(operator, waypost.KindEvent, now, f.Ended)
		return tally.Write(ctx, tx, "node")
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.accounts.JudgeReputations(t.Context(), now); err != nil {
		t.Fatal(err)
	}
}

func TestBothSeeWhatTheBuiltinGatewayDoesAndWhy(t *testing.T) {
	w := newWorld(t)
	op, other := w.operator(t, "Acme"), w.operator(t, "Bolt")
	admin, staff, auditor := w.visitor(t, op, waypost.RoleAdmin), w.visitor(t, "", waypost.RoleSupport), w.visitor(t, "", waypost.RoleAuditor)
	admin.open("/settings/email").wants("Built-in gateway", "In order", "Mail leaves as usual.", "0 of 1,000", "5.00%")
	w.ended(t, op, waypost.GatewayFigures{Ended: 2_000, Bounced: 140})
	admin.open("/overview").wants("The built-in gateway warns you", "Nothing is held up yet", "Too many recipients do not exist")
	w.ended(t, op, waypost.GatewayFigures{Ended: 1_000, Bounced: 300, Complaints: 1})
	for name, v := range map[string]*visitor{"/overview": admin, "/settings/email": admin, "/platform/operators/" + op: staff} {
		got := v.open(name)
		got.wants("Paused", "All mail waits but security mail", "Too many recipients do not exist")
	}
	admin.open("/settings/email").wants("440 of 3,000 recipients do not exist", "1 called the mail spam", "3,000 of 1,000")
	admin.open("/settings/email").lacks("Lift")
	page := staff.open("/platform/operators/" + op)
	page.wants("Lift", "440 of 3,000 recipients do not exist")
	auditor.open("/platform/operators/" + op).lacks("Lift")
	list := staff.open("/platform/operators?trouble=guard")
	list.wants("Acme", "Paused")
	list.lacks("Bolt")
	staff.open("/platform/operators/" + other).wants("In order")
	staff.open("/platform/audit?operator="+op).wants("The built-in gateway paused the operator", "Recipients that do not exist: 440 of 3,000 in 24 hours")
	admin.open("/audit").wants("The built-in gateway warned the operator")

	if got := auditor.post("/platform/operators/" + op + "/lift"); got.status != http.StatusForbidden {
		t.Errorf("an auditor lifts: %d", got.status)
	}
	got := staff.post("/platform/operators/" + op + "/lift")
	if got.status != http.StatusSeeOther {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	staff.open(got.location()).wants("Lifted.", "In order")
	staff.open("/platform/audit?operator=" + op).wants("The built-in gateway takes the operator's mail as usual")
	admin.open("/overview").lacks("has paused your mail")
}

func TestAMailOfAPausedOperatorSaysWhyItWaits(t *testing.T) {
	w := withTester(t, nil)
	op := w.operator(t, "Acme")
	w.ended(t, op, waypost.GatewayFigures{Ended: 1_000, Bounced: 300})
	if err := w.db.Store.SaveOperator(t.Context(), waypost.CommandLine(), op, func(o *waypost.Operator) error { o.PerDay = 5_000; return nil }); err != nil {
		t.Fatal(err)
	}
	w.dir.Forget(op)
	id := w.send(t, op, "a@b.example", "waits")
	admin := w.visitor(t, op, waypost.RoleAdmin)
	admin.open("/messages/" + id).wants("The built-in gateway keeps your mail back")
	admin.open("/messages").wants("paused on the built-in gateway")
	got := admin.post("/settings/email/test", "gateway", "builtin", "to", "a@b.example")
	if text := got.text(); !strings.Contains(text, "test mails too") {
		t.Errorf("a test mail: %d %s", got.status, text)
	}
}

func TestStaffSetsAnOperatorsLimitOfTheDay(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	staff := w.visitor(t, "", waypost.RoleSupport)
	form := []string{"name", "Acme", "product", "servermate", "uncertain", "retry"}
	staff.open("/platform/operators/"+op).wants("Recipients in 24 hours", "1,000")
	if got := staff.post("/platform/operators/"+op, append(form, "per_day", "many")...); got.status != http.StatusUnprocessableEntity || got.value("per_day") != "many" {
		t.Errorf("%d", got.status)
	}
	if got := staff.post("/platform/operators/"+op, append(form, "per_day", "7000", "trusted", "true")...); got.status != http.StatusSeeOther {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	o, err := w.db.Store.Operator(t.Context(), op)
	if err != nil || o.PerDay != 7_000 || !o.Trusted {
		t.Errorf("%+v, %v", o, err)
	}
	page := staff.open("/platform/operators/" + op)
	page.wants("No limit, and nothing worse than a warning")
	if got := staff.open("/platform/operators/" + op + "/edit"); got.value("per_day") != "7000" || !strings.Contains(got.body, `name="trusted" type="checkbox" value="true" checked`) {
		t.Error("the form does not show what is saved")
	}
	staff.open("/platform/audit?operator="+op).wants("Trusted: no limit of recipients a day", "Recipients in 24 hours: 7,000 (before: By age and record)")
	if got := staff.post("/platform/operators/"+op, form...); got.status != http.StatusSeeOther {
		t.Fatalf("%d", got.status)
	}
	if o, err := w.db.Store.Operator(t.Context(), op); err != nil || o.PerDay != 0 || o.Trusted {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestTheOwnerSetsTheGuardsPolicy(t *testing.T) {
	w := newWorld(t)
	owner := w.visitor(t, "", waypost.RoleOwner)
	form := []string{
		"on", "true", "bounce_warn", "2.5", "bounce_slow", "4", "bounce_pause", "6", "complaint_warn", "0.05", "complaint_slow", "0.2", "complaint_pause", "0.4",
		"least_recipients", "200", "least_complaints", "5", "slow_per_minute", "30", "ramp", "2: 500\r\n5: 1000",
	}
	owner.open("/platform/settings").wants("Guard of the built-in gateway", "7: 10000")
	if got := owner.post("/platform/settings/reputation", form...); got.status != http.StatusSeeOther {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	got, err := w.db.Store.PlatformSettings(t.Context())
	if err != nil || got.Reputation.Bounces != (waypost.Rates{Warn: 2.5, Slow: 4, Pause: 6}) || len(got.Reputation.Ramp) != 2 || got.Reputation.Off || got.Reputation.PerMinute != 30 {
		t.Errorf("%+v, %v", got.Reputation, err)
	}
	form[3] = "5"
	refused := owner.post("/platform/settings/reputation", form...)
	if refused.status != http.StatusUnprocessableEntity || refused.value("bounce_warn") != "5" {
		t.Errorf("%d", refused.status)
	}
}
