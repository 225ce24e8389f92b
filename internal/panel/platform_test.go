package panel_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func TestThePlatformsOverviewAddsUpAllOperators(t *testing.T) {
	w := newWorld(t)
	staff := w.visitor(t, "", waypost.RoleAuditor)
	staff.open("/platform").wants("No mail yet", "Create an operator", "mail of every operator can leave")
	acme, bolt := w.operator(t, "Acme"), w.operator(t, "Bolt")
	w.fates(t, acme)
	w.peer.set(nil)
	for range 4 {
		w.until(t, bolt, w.send(t, bolt, "x@x.example", "x"), waypost.Delivered)
	}
	got := staff.open("/platform")
	var want store.Counts
	var queued int64
	for _, op := range []string{acme, bolt} {
		c, err := w.db.Store.Conservation(t.Context(), op)
		if err != nil || !c.Balanced {
			t.Fatal(c, err)
		}
		want.Add(c.Counts)
		queued += c.Queued
	}
	parts := got.parts()
	if len(parts) != 8 || parts[0] != queued || parts[1] != want.Delivered || parts[2] != want.Bounced || parts[7] != want.Accepted {
		t.Errorf("%v, want %+v and %d queued", parts, want, queued)
	}
	sums, _ := got.drawn()
	for _, s := range waypost.FinalStates() {
		if sums[string(s)] != *want.Of(s) {
			t.Errorf("%d %s are drawn, there are %d", sums[string(s)], s, *want.Of(s))
		}
	}
	got.wants("In the queue 3", "Held 1", "Nodes 1 of 1", "Alarm 0", "Normal 3")
	part := staff.part("/platform")
	part.lacks("<html", "data-chart")
	part.wants("In the queue 3")
}

func TestThePlatformsOverviewNamesWhoHasTrouble(t *testing.T) {
	w := newWorld(t)
	ctx, by := t.Context(), waypost.CommandLine()
	down, stopped, lost := w.operator(t, "Down "+hostileText[:28]), w.operator(t, "Stopped"), w.operator(t, "Lost")
	if err := w.db.Store.SaveEmailSettings(ctx, by, down, store.EmailSettings{
		Gateway: waypost.GatewaySMTP, Relay: &store.StoredRelay{Relay: waypost.Relay{Host: "h", Port: 25}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.db.System.SetRelayHealth(ctx, waypost.RelayHealth{OperatorID: down, FailingSince: time.Now(), Reason: "535 " + hostileText, NextProbe: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.accounts.Suspend(ctx, by, stopped); err != nil {
		t.Fatal(err)
	}
	if err := w.db.Store.SaveOperator(ctx, by, lost, func(o *waypost.Operator) error { o.Product = waypost.ProductCloud; return nil }); err != nil {
		t.Fatal(err)
	}
	for range 7 {
		if _, err := w.db.System.CreateOperator(ctx, by, waypost.Operator{Name: "New", Product: waypost.ProductOnPremise}); err != nil {
			t.Fatal(err)
		}
	}
	s := waypost.Sender{ID: waypost.NewID(), OperatorID: lost, Address: "x@asks.example", State: waypost.SenderRequested}
	if err := w.db.Store.AddSender(ctx, by, lost, s, 10); err != nil {
		t.Fatal(err)
	}
	got := w.visitor(t, "", waypost.RoleAuditor).open("/platform")
	got.wants("SMTP server failing", "535 "+hostileText, "Suspended", "Stopped", "No usable gateway", "Show all", "1 sender waits for approval")
	got.lacks("<script>alert")
	for _, link := range []string{"/platform/operators/" + down, "/platform/operators/" + stopped, "/platform/operators?trouble=gateway", "/platform/requests"} {
		if !strings.Contains(got.body, `href="`+link+`"`) {
			t.Errorf("no way to %s", link)
		}
	}
}

func TestTheOwnerChangesThePlatformsSettings(t *testing.T) {
	w := newWorld(t)
	owner := w.visitor(t, "", waypost.RoleOwner)
	owner.open("/platform/settings").wants("Addresses that do not work", "What the writer is told")
	got := owner.post("/platform/settings/return_path", "courtesy", "Nobody reads here.\r\nWrite to help@fleet.example.", "forward", "true")
	if got.location() != "/platform/settings" {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	kept, err := w.db.System.PlatformSettings(t.Context())
	if err != nil || kept.ReturnPath.Courtesy != "Nobody reads here.\nWrite to help@fleet.example." || !kept.ReturnPath.Forward || kept.Suppression != waypost.DefaultSuppressionPolicy() {
		t.Errorf("%+v, %v", kept, err)
	}
	page := owner.open("/platform/settings")
	page.wants("Nobody reads here.", "It takes effect within a second.")
	for wrong, text := range map[string]string{"0": "must be from 1 hour", "1.5": "Enter a number.", "soon": "Enter a number.", "1e300": "Enter a number.", "": "Enter a number."} {
		got = owner.post("/platform/settings/suppression", "hard_hours", wrong, "hard_most_hours", "100", "soft_hours", "24", "soft_count", "3",
			"soft_within_hours", "168", "complaint_hours", "7", "unsubscribe_hours", "8760")
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("%q: %d", wrong, got.status)
		}
		got.wants(text)
		if !strings.Contains(got.body, `value="7"`) {
			t.Errorf("%q: what was typed is lost", wrong)
		}
	}
	if kept, err := w.db.System.PlatformSettings(t.Context()); err != nil || kept.Suppression != waypost.DefaultSuppressionPolicy() {
		t.Errorf("%+v, %v", kept, err)
	}
	log := owner.open("/platform/audit")
	log.wants("Changed the settings of the platform", "What the writer is told: ")
	for _, role := range []waypost.Role{waypost.RoleSupport, waypost.RoleAuditor} {
		v := w.visitor(t, "", role)
		v.open("/platform/settings").wants("Only the owner of the platform can change this.", "Nobody reads here.")
	}
}

func TestTheOwnerSaysWhichGatewaysProductsInclude(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	owner := w.visitor(t, "", waypost.RoleOwner)
	admin := w.visitor(t, op, waypost.RoleAdmin)
	page := owner.open("/platform/products")
	page.wants("ServerMate", "Cloud", "On-premise", "New operators start with", "Save")
	form := []string{
		"allowed_servermate_smtp", "true", "allowed_cloud_smtp", "true", "initial_cloud", "smtp", "allowed_on_premise_smtp", "true",
		"initial_servermate", "", "initial_on_premise", "",
	}
	if got := owner.post("/platform/products", form...); got.location() != "/platform/products" {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	owner.open("/platform/products").wants("It takes effect within a second.")
	for end := time.Now().Add(time.Second); !strings.Contains(admin.open("/overview").text(), "Your gateway is not part of your product any more"); {
		if time.Now().After(end) {
			t.Fatal("not within a second")
		}
	}
	log := w.audited(t, waypost.PlatformOperatorID)
	if n := len(slices.DeleteFunc(log, func(a string) bool { return a != "entitlement.change" })); n != 2 {
		t.Errorf("%d changes are recorded", n)
	}
	// What is wrong is said where it is, and nothing is saved.
	got := owner.post("/platform/products", append(form, "initial_on_premise", "builtin", "initial_servermate", "builtin")...)
	if got.status != http.StatusSeeOther { // the first value of a field counts
		t.Errorf("%d", got.status)
	}
	got = owner.post("/platform/products", "allowed_cloud_smtp", "true", "initial_cloud", "builtin")
	if got.status != http.StatusUnprocessableEntity {
		t.Errorf("%d: %s", got.status, got.text())
	}
	got.wants("New operators cannot start with a gateway that the product does not include.")
	if !strings.Contains(got.body, `<option value="builtin" selected>`) {
		t.Error("what was chosen is lost")
	}
	before, err := w.db.System.Entitlements(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	owner.post("/platform/products") // nothing was sent
	if after, err := w.db.System.Entitlements(t.Context()); err != nil || !slices.Equal(before, after) {
		t.Errorf("%+v, %v", after, err)
	}
	for _, role := range []waypost.Role{waypost.RoleSupport, waypost.RoleAuditor} {
		v := w.visitor(t, "", role)
		page := v.open("/platform/products")
		page.wants("Only the owner of the platform can change this.", "Included", "Not included")
		page.lacks("<select", `type="checkbox"`)
		if got := v.post("/platform/products", form...); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", role, got.status)
		}
	}
}
