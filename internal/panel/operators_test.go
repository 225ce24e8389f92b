package panel_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func TestOperatorsAreListedWithHowTheyStand(t *testing.T) {
	w := newWorld(t)
	staff := w.visitor(t, "", waypost.RoleSupport)
	staff.open("/platform/operators").wants("the platform itself", "New operator")
	acme, down := w.operator(t, "Acme"), w.operator(t, hostileText[:28])
	if _, err := w.accounts.Suspend(t.Context(), waypost.CommandLine(), down); err != nil {
		t.Fatal(err)
	}
	child, err := w.accounts.CreateOperator(t.Context(), waypost.CommandLine(), account.NewOperator{Name: "Child", Product: waypost.ProductCloud, ParentID: acme})
	if err != nil {
		t.Fatal(err)
	}
	w.until(t, acme, w.send(t, acme, "a@b.example", "x"), waypost.Delivered)
	got := staff.open("/platform/operators")
	got.wants("Acme", "1 accepted", "1 delivered, 0 bounced", "Suspended", "Child", "No gateway", "Active", hostileText[:28])
	got.lacks("<script>alert")
	if !strings.Contains(got.body, `<a class="wp-break" href="/platform/operators/`+acme+`">Acme</a>`) {
		t.Error("the parent is no link")
	}
	names := func(query string) string {
		t.Helper()
		var list []string
		text := staff.open("/platform/operators" + query).body
		for name, id := range map[string]string{"Acme": acme, "Child": child.ID, "Down": down, "Platform": waypost.PlatformOperatorID} {
			if strings.Contains(text, `<th scope="row" class="fw-normal"><a class="wp-break" href="/platform/operators/`+id+`"`) {
				list = append(list, name)
			}
		}
		slices.Sort(list)
		return strings.Join(list, " ")
	}
	for query, want := range map[string]string{
		"": "Acme Child Down Platform", "?name=aCM": "Acme", "?name=" + child.ID: "Child", "?name=nobody": "", "?name=%25": "", "?parent=" + acme: "Child",
		"?trouble=suspended": "Down", "?trouble=gateway": "Child", "?trouble=failing": "", "?trouble=<x>": "Acme Child Down Platform", "?cursor=" + acme: "Platform",
	} {
		if got := names(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	staff.open("/platform/operators?name=nobody").wants("No operator fits")
	staff.open("/platform/operators?parent=" + acme).wants("below Acme")
	staff.open("/platform/operators?name=a%00b%ff&cursor=%00").wants("No operator fits")
}

func TestOperatorsAreListedPageByPageInThePanel(t *testing.T) {
	w := newWorld(t)
	for i := range 60 {
		w.operator(t, fmt.Sprint("Operator ", i))
	}
	auditor := w.visitor(t, "", waypost.RoleAuditor)
	first := auditor.open("/platform/operators")
	first.lacks("New operator", "First page")
	second := auditor.open(nextOf(t, first))
	second.wants("First page")
	second.lacks(`rel="next"`)
	for i := range 60 {
		row := fmt.Sprintf(">Operator %d<", i)
		if n := strings.Count(first.body, row) + strings.Count(second.body, row); n != 1 {
			t.Errorf("%s is shown %d times", row, n)
		}
	}
}

func TestAnOperatorIsCreated(t *testing.T) {
	w := newWorld(t)
	acme := w.operator(t, "Acme")
	staff := w.visitor(t, "", waypost.RoleSupport)
	staff.open("/platform/operators/new").wants("Name", "Product", "Mails a minute")
	got := staff.post("/platform/operators", "name", " Bolt ", "product", "cloud", "contact", "it@bolt.example", "parent", "acme", "uncertain", "hold", "per_minute", "90")
	if got.status != http.StatusSeeOther {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	id := got.location()[strings.LastIndexByte(got.location(), '/')+1:]
	o, err := w.db.Store.Operator(t.Context(), id)
	if err != nil || o.Name != "Bolt" || o.Product != waypost.ProductCloud || o.Contact != "it@bolt.example" || o.ParentID != acme || o.Uncertain != waypost.UncertainHold || o.PerMinute != 90 {
		t.Errorf("%+v, %v", o, err)
	}
	staff.open(got.location()).wants("The operator was created.", "Bolt", "Acme", "Cloud", "90 mails a minute", "Wait for a person", "it@bolt.example", "No gateway")
	if log := w.audited(t, id); !slices.Equal(log, []string{"operator.create"}) {
		t.Error(log)
	}
	for name, c := range map[string]struct {
		form []string
		want string
	}{
		"no name":      {[]string{"name", " ", "product", "cloud", "uncertain", "retry"}, "Give the operator a name."},
		"long name":    {[]string{"name", strings.Repeat("x", 10_000), "product", "cloud", "uncertain", "retry"}, "At most 200 characters"},
		"no product":   {[]string{"name", "A", "product", "vhs", "uncertain", "retry"}, "Choose a product."},
		"no address":   {[]string{"name", "A", "product", "cloud", "contact", "x", "uncertain", "retry"}, "This is not an e-mail address."},
		"no number":    {[]string{"name", "A", "product", "cloud", "per_minute", "many", "uncertain", "retry"}, "Give a number up to 1,000,000"},
		"negative":     {[]string{"name", "A", "product", "cloud", "per_minute", "-1", "uncertain", "retry"}, "Give a number up to 1,000,000"},
		"no parent":    {[]string{"name", "A", "product", "cloud", "parent", "Nobody", "uncertain", "retry"}, "There is no such operator."},
		"no policy":    {[]string{"name", "A", "product", "cloud", "uncertain", "pray"}, "Choose one of the three."},
		"turned round": {[]string{"name", "a\u202eb", "product", "cloud", "uncertain", "retry"}, "no control characters"},
		"nothing":      {nil, "Give the operator a name."},
	} {
		got := staff.post("/platform/operators", c.form...)
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", name, got.status)
		}
		got.wants(c.want)
		for i := 0; i+1 < len(c.form); i += 2 {
			if c.form[i] != "product" && c.form[i] != "uncertain" && got.value(c.form[i]) != strings.TrimSpace(c.form[i+1]) {
				t.Errorf("%s: what was typed in %s is lost", name, c.form[i])
			}
		}
	}
}

func TestAnOperatorIsChanged(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	staff := w.visitor(t, "", waypost.RoleSupport)
	form := staff.open("/platform/operators/" + op + "/edit")
	if form.value("name") != "Acme" || form.value("per_minute") != "" {
		t.Error("the form does not show what is saved")
	}
	got := staff.post("/platform/operators/"+op, "name", "Acme "+`"><script>alert(1)</script>`, "product", "cloud", "contact", "", "uncertain", "assume_delivered", "per_minute", "5")
	if got.location() != "/platform/operators/"+op {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	page := staff.open(got.location())
	page.wants("Saved.", `Acme "><script>alert(1)</script>`, "Gateway not included", "5 mails a minute", "Take it as delivered")
	page.lacks("<script>alert")
	got = staff.post("/platform/operators/"+op, "name", "", "product", "cloud", "uncertain", "retry", "contact", "typed")
	if got.status != http.StatusUnprocessableEntity || got.value("contact") != "typed" {
		t.Errorf("%d %q", got.status, got.value("contact"))
	}
	got.wants("Give the operator a name.", "This is not an e-mail address.")
	if got := staff.post("/platform/operators/"+waypost.NewID(), "name", "A", "product", "cloud", "uncertain", "retry"); got.status != http.StatusNotFound {
		t.Errorf("unknown: %d", got.status)
	}
}

func TestTheLimitOfAnOperatorCountsAtOnce(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	staff := w.visitor(t, "", waypost.RoleSupport)
	if got := staff.post("/platform/operators/"+op, "name", "Acme", "product", "servermate", "uncertain", "retry", "per_minute", "2"); got.status != http.StatusSeeOther {
		t.Fatal(got.text())
	}
	for range 2 {
		w.send(t, op, "a@b.example", "x")
	}
	_, err := w.submit.Accept(t.Context(), waypost.Submission{
		Principal: waypost.Principal{OperatorID: op, Scopes: []waypost.Scope{waypost.ScopeSend}, FromPolicy: waypost.FromReplace}, OperatorID: op,
		Recipients: []string{"a@b.example"}, Message: []byte("From: a@b.example\r\n\r\nx"),
	})
	if e := waypost.AsError(err); e.Kind != waypost.RateLimited || e.Code != "operator_rate_limited" {
		t.Errorf("%v", err)
	}
}

func TestASuspendedOperatorIsStoppedAndResumed(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	w.refusesForNow()
	w.until(t, op, w.send(t, op, "a@b.example", "late"), waypost.Queued)
	staff := w.visitor(t, "", waypost.RoleSupport)
	page := staff.open("/platform/operators/" + op)
	page.wants("Stop the mail of Acme? 1 queued delivery waits", "Security mail still leaves")
	if got := staff.post("/platform/operators/" + op + "/suspend"); got.location() != "/platform/operators/"+op {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	staff.open("/platform/operators/"+op).wants("The operator is suspended.", "Its mail waits", "Resume")
	w.visitor(t, op, waypost.RoleAdmin).open("/overview").wants("Your mail is stopped", "In the queue 1")
	if got := staff.post("/platform/operators/" + op + "/resume"); got.location() != "/platform/operators/"+op {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	staff.open("/platform/operators/"+op).wants("The operator is resumed.", "Active")
	log := w.audited(t, op)
	if !slices.Contains(log, "operator.suspend") || !slices.Contains(log, "operator.resume") {
		t.Error(log)
	}
	for _, action := range []string{"suspend", "resume"} {
		if got := staff.post("/platform/operators/" + waypost.NewID() + "/" + action); got.status != http.StatusNotFound {
			t.Errorf("%s of nobody: %d", action, got.status)
		}
	}
	got := staff.post("/platform/operators/" + waypost.PlatformOperatorID + "/suspend")
	if got.status != http.StatusConflict {
		t.Errorf("the platform: %d", got.status)
	}
	got.wants("cannot be suspended or deleted")
	staff.open("/platform/operators/"+waypost.PlatformOperatorID).lacks("/suspend", "/delete")
}

func TestSigningInAsAnOperatorIsRecordedThere(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	staff := w.visitor(t, "", waypost.RoleSupport)
	if got := staff.post("/platform/operators/" + op + "/enter"); got.location() != "/overview" {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	staff.open("/overview").wants("You are signed in as Acme", "Back to the platform")
	if got := staff.post("/platform/leave"); got.location() != "/platform/operators/"+op {
		t.Errorf("%d %s", got.status, got.location())
	}
	staff.open("/platform/operators/" + op).lacks("You are signed in as")
	if got := staff.post("/platform/leave"); got.location() != "/" {
		t.Errorf("twice: %d %s", got.status, got.location())
	}
	admin := w.visitor(t, op, waypost.RoleAdmin)
	admin.open("/audit").wants(staff.user.Login)
	log := w.audited(t, op)
	if !slices.Contains(log, "operator.sign_in_as") || !slices.Contains(log, "operator.sign_out_as") {
		t.Error(log)
	}
	if got := staff.post("/platform/operators/" + waypost.NewID() + "/enter"); got.status != http.StatusNotFound {
		t.Errorf("nobody: %d", got.status)
	}
	if got := admin.post("/platform/leave"); got.location() != "/" {
		t.Errorf("an admin: %d %s", got.status, got.location())
	}
}

func TestWhoOnlyReadsSeesNoButtonsForOperators(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	auditor := w.visitor(t, "", waypost.RoleAuditor)
	auditor.open("/platform/operators").lacks("/platform/operators/new")
	page := auditor.open("/platform/operators/" + op)
	page.wants("Acme", "Built-in gateway")
	page.lacks("/enter", "/edit", "/suspend", "/delete")
	for _, path := range []string{"/new", "/" + op + "/edit", "/" + op + "/delete"} {
		if got := auditor.get("/platform/operators" + path); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	for _, path := range []string{"", "/" + op, "/" + op + "/suspend", "/" + op + "/delete", "/" + op + "/enter"} {
		for role, v := range map[string]*visitor{"auditor": auditor, "admin": w.visitor(t, op, waypost.RoleAdmin), "viewer": w.visitor(t, op, waypost.RoleViewer)} {
			if got := v.post("/platform/operators"+path, "name", "Acme"); got.status != http.StatusForbidden {
				t.Errorf("%s, %s: %d", path, role, got.status)
			}
		}
	}
	if o, err := w.db.Store.Operator(t.Context(), op); err != nil || o.Suspended {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestDeletingAnOperatorTakesItsName(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme  Tracking")
	w.fates(t, op)
	admin := w.visitor(t, op, waypost.RoleAdmin)
	staff := w.visitor(t, "", waypost.RoleSupport)
	path := "/platform/operators/" + op
	staff.open(path+"/delete").wants("3 queued deliveries are cancelled", "Its people cannot sign in any more", "Its domains are given up", "cannot be undone")
	for _, name := range []string{"", "acme tracking", "Acme", strings.Repeat("x", 10_000), hostileText} {
		got := staff.post(path+"/delete", "name", name)
		if got.status != http.StatusUnprocessableEntity || got.value("name") != strings.TrimSpace(name) {
			t.Errorf("%q: %d", name, got.status)
		}
		got.wants("This is not the operator's name. Nothing was deleted.")
	}
	before, err := w.db.Store.Conservation(t.Context(), op)
	if err != nil {
		t.Fatal(err)
	}
	if got := staff.post(path+"/delete", "name", "Acme Tracking"); got.location() != path {
		t.Fatalf("%d: %s", got.status, got.text())
	}
	staff.open(path).wants("The operator was deleted.", "Nobody can sign in or send as it", "Messages removed 0")
	staff.open("/platform/operators").wants("Acme Tracking was deleted on")
	staff.open("/platform").wants("Acme Tracking is being deleted")
	if got := admin.get("/overview"); got.location() != "/sign-in?next=%2Foverview" {
		t.Errorf("its admin is still in: %d %s", got.status, got.text())
	}
	if got := admin.post("/sign-in", "login", admin.user.Login, "password", password); got.status != http.StatusUnauthorized {
		t.Errorf("its admin signs in: %d", got.status)
	}
	if got := staff.post(path+"/enter", "name", "x"); got.status != http.StatusNotFound {
		t.Errorf("signing in as it: %d", got.status)
	}
	if got := staff.post(path+"/delete", "name", "Acme Tracking"); got.location() != path {
		t.Errorf("twice: %d", got.status)
	}
	for _, at := range []time.Time{time.Now(), time.Now().Add(time.Hour)} {
		for more := true; more; {
			if more, err = w.db.System.RemoveSome(t.Context(), at); err != nil {
				t.Fatal(err)
			}
		}
	}
	staff.open(path).wants("nothing of it is left but its counters", fmt.Sprintf("Queued deliveries cancelled %d", before.Queued))
	staff.open("/platform/operators").lacks("was deleted on")
	staff.open("/platform/audit").wants("Deleted the operator")
	after, err := w.db.Store.Conservation(t.Context(), op)
	if err != nil || after.Accepted != before.Accepted || after.Cancelled != before.Cancelled+before.Queued || after.Queued != 0 || !after.Balanced {
		t.Errorf("%+v, was %+v, %v", after, before, err)
	}
	if findings, err := w.db.System.Audit(t.Context()); err != nil || len(findings) != 0 {
		t.Error(findings, err)
	}
	if found, err := w.db.Store.Messages(t.Context(), op, store.MessageFilter{}); err != nil || len(found.Messages) != 0 {
		t.Error(found, err)
	}
}

func TestThePlatformItselfCannotBeDeleted(t *testing.T) {
	w := newWorld(t)
	staff := w.visitor(t, "", waypost.RoleOwner)
	for _, got := range []answer{
		staff.get("/platform/operators/" + waypost.PlatformOperatorID + "/delete"),
		staff.post("/platform/operators/"+waypost.PlatformOperatorID+"/delete", "name", "Platform"),
	} {
		if got.status != http.StatusConflict {
			t.Errorf("%d: %s", got.status, got.text())
		}
	}
	for _, id := range []string{waypost.NewID(), "%00", strings.Repeat("x", 5000)} {
		for _, got := range []answer{staff.get("/platform/operators/" + id), staff.get("/platform/operators/" + id + "/delete"), staff.post("/platform/operators/" + id + "/delete")} {
			if got.status != http.StatusNotFound {
				t.Errorf("%.40s: %d", id, got.status)
			}
		}
	}
}

// Staff whose operator is deleted under it is itself again.
func TestActingForADeletedOperatorEndsByItself(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	acting := w.actingFor(t, op)
	if err := w.accounts.RemoveOperator(t.Context(), waypost.CommandLine(), op); err != nil {
		t.Fatal(err)
	}
	w.users.Changed(t.Context())
	if got := acting.get("/overview"); got.location() != "/platform/operators" {
		t.Errorf("%d %s", got.status, got.location())
	}
	acting.open("/platform/operators").lacks("You are signed in as")
}

// The settings of the platform's own operator decide where links for new passwords go.
func TestOnlyTheOwnerActsAsThePlatformAndNobodyRedirectsItsMail(t *testing.T) {
	w := withTester(t, nil)
	path := "/platform/operators/" + waypost.PlatformOperatorID
	support := w.visitor(t, "", waypost.RoleSupport)
	support.open(path).lacks("Sign in as")
	got := support.post(path + "/enter")
	got.wants("Only the owner signs in as the platform itself.")
	if got.status != http.StatusForbidden {
		t.Errorf("support: %d", got.status)
	}
	owner := w.visitor(t, "", waypost.RoleOwner)
	owner.open(path).wants("Sign in as")
	if got := owner.post(path + "/enter"); got.status != http.StatusSeeOther {
		t.Fatalf("the owner: %d %s", got.status, got.text())
	}
	for _, form := range []string{"/settings/email", "/settings/email/test"} {
		got := owner.post(form, append(server(), "to", "me@acme.example")...)
		got.wants("The platform's own mail leaves through the built-in gateway.")
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", form, got.status)
		}
	}
	owner.post("/suppressions", "address", "boss@platform.example", "detail", "x").wants("What the platform itself writes is not suppressed")
	_, err := w.users.Create(t.Context(), waypost.CommandLine(), auth.NewUser{
		OperatorID: waypost.PlatformOperatorID, Login: "mallory", Email: "mallory@platform.example", Role: waypost.RoleAdmin,
	}, password)
	if waypost.KindOf(err) != waypost.Conflict {
		t.Errorf("a user of the platform's operator: %v", err)
	}
}

func TestASuspendedOperatorsPeopleLookAndChangeNothing(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	admin := w.visitor(t, op, waypost.RoleAdmin)
	if _, err := w.accounts.Suspend(t.Context(), waypost.CommandLine(), op); err != nil {
		t.Fatal(err)
	}
	admin.open("/settings/email").lacks("Save</button>")
	admin.open("/messages")
	for _, form := range []string{"/settings/email", "/keys/new", "/team/new", "/suppressions"} {
		got := admin.post(form, "gateway", "builtin")
		got.wants("You can look at everything but change nothing.")
		if got.status != http.StatusForbidden {
			t.Errorf("%s: %d", form, got.status)
		}
	}
	if got := w.actingFor(t, op).post("/settings/email", "gateway", "builtin"); got.status != http.StatusSeeOther {
		t.Errorf("support: %d %s", got.status, got.text())
	}
}

func TestAnOperatorIsMovedBelowAnother(t *testing.T) {
	w := newWorld(t)
	acme, bolt, child := w.operator(t, "Acme"), w.operator(t, "Bolt"), w.operator(t, "Child")
	staff := w.visitor(t, "", waypost.RoleSupport)
	save := func(id, name, parent string) answer {
		t.Helper()
		return staff.post("/platform/operators/"+id, "name", name, "product", "servermate", "uncertain", "retry", "parent", parent)
	}
	below := func(id, want string) {
		t.Helper()
		if o, err := w.db.Store.Operator(t.Context(), id); err != nil || o.ParentID != want {
			t.Errorf("below %q, want %q, %v", o.ParentID, want, err)
		}
	}
	save(bolt, "Bolt", "acme")
	save(child, "Child", bolt)
	below(bolt, acme)
	below(child, bolt)
	if got := staff.open("/platform/operators/" + child + "/edit").value("parent"); got != "Bolt" {
		t.Errorf("the form says %q", got)
	}
	for _, parent := range []string{"Child", "Bolt", "Acme", "nobody"} {
		got := save(acme, "Changed", parent)
		got.wants("no such operator")
		if got.status != http.StatusUnprocessableEntity || got.value("parent") != parent {
			t.Errorf("below %s: %d", parent, got.status)
		}
	}
	below(acme, "")
	staff.open("/platform/operators/" + acme).lacks("Changed") // nothing was saved
	save(child, "Child", "")
	below(child, "")
	staff.open("/platform/audit?operator="+child).wants("Changed the operator", "Parent operator: Bolt (before: –)")
	staff.open("/platform/operators/" + waypost.PlatformOperatorID + "/edit").lacks("parent")
}

func TestTheAuditLogOfADeletedOperatorIsStillRead(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	if err := w.accounts.RemoveOperator(t.Context(), waypost.CommandLine(), op); err != nil {
		t.Fatal(err)
	}
	w.visitor(t, "", waypost.RoleAuditor).open("/platform/audit?operator="+op).wants("Acme", "Deleted the operator")
}
