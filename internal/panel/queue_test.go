package panel_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// backlog gives two operators mail that waits.
func (w *world) backlog(t *testing.T) (acme, bolt string) {
	t.Helper()
	acme, bolt = w.operator(t, "Acme"), w.operator(t, "Bolt")
	w.peer.set(reports(waypost.OutcomeTemporary, waypost.Reply{Code: 451, Enhanced: "4.7.1", Text: hostileText}, "greylist"))
	for op, to := range map[string][]string{acme: {"a@one.example", "b@two.example", "c@two.example"}, bolt: {"d@two.example"}} {
		for _, address := range to {
			w.until(t, op, w.send(t, op, address, "waits"), waypost.Queued)
		}
	}
	return acme, bolt
}

// queued counts deliveries of an operator by how they stand.
func (w *world) queued(t *testing.T, operatorID, cond string) int64 {
	t.Helper()
	return w.db.Int(t, "SELECT COUNT(*) FROM delivery WHERE operator_id = $1 AND "+cond, operatorID)
}

func TestAnEmptyQueueSaysSo(t *testing.T) {
	w := newWorld(t)
	v := w.visitor(t, "", waypost.RoleAuditor)
	v.open("/platform/queue").wants("Nothing is being sent at this moment.", "Nothing is waiting", "0 of 200 sessions")
	v.open("/platform/queue/deliveries").wants("Nothing is waiting")
}

func TestTheQueueIsShownByOperatorAndDomain(t *testing.T) {
	w := newWorld(t)
	acme, _ := w.backlog(t)
	v := w.visitor(t, "", waypost.RoleAuditor)
	got := v.open("/platform/queue")
	got.wants("one.example Acme 1", "two.example Acme 2", "two.example Bolt 1", "Next try", hostileText, "Operators with the most queued mail", "Acme 3", "Bolt 1")
	got.lacks("<script>alert", "/platform/queue/control")
	v.open("/platform/queue?operator=bolt").wants("two.example Bolt 1")
	v.open("/platform/queue?operator=bolt").lacks(">Acme</a>")
	v.open("/platform/queue?domain=%40ONE.example").wants("one.example Acme 1")
	v.open("/platform/queue?domain=nowhere.example").wants("Nothing is waiting")
	v.open("/platform/queue?operator=Nobody").wants("There is no such operator.")
	v.open("/platform/queue?operator=" + acme + "&domain=two.example").lacks(">Bolt<")
	for _, path := range []string{"/platform/queue", "/platform/queue/deliveries"} {
		for _, query := range []string{"?cursor=%00%ff", "?cursor=waiting|x|y", "?cursor=key|x&operator=acme", "?domain=" + strings.Repeat("x", 5000), "?domain=%3Cscript%3E&operator=", "?state=%27", "?lang=xx"} {
			if got := v.get(path + query); got.status >= http.StatusInternalServerError {
				t.Errorf("%s%s: %d", path, query, got.status)
			}
		}
	}
	part := v.part("/platform/queue")
	part.lacks("<html", "two.example Acme")
	part.wants("Being sent by this node")
}

func TestTheQueueShowsWhereItIsSending(t *testing.T) {
	w := newWorld(t)
	gate := make(chan struct{})
	defer close(gate)
	w.peer.set(func(j *waypost.Job) {
		for i := range j.Deliveries {
			_ = j.MayTalk(&j.Deliveries[i])
		}
		<-gate
	})
	op := w.operator(t, "Acme")
	w.send(t, op, "a@slow.example", "x")
	v := w.visitor(t, "", waypost.RoleAuditor)
	for end := time.Now().Add(5 * time.Second); ; {
		if strings.Contains(v.open("/platform/queue").text(), "slow.example Mail domain Open 1 of 5 now, 20 at most") {
			break
		}
		if time.Now().After(end) {
			t.Fatal(v.open("/platform/queue").text())
		}
	}
	v.open("/platform/queue/deliveries?state=leased").wants("a@slow.example", "Being sent", "Being tried now")
}

func TestTheQueueShowsWhoAskedForLessMailAndEndsIt(t *testing.T) {
	w := newWorld(t)
	w.peer.set(func(j *waypost.Job) {
		_ = j.Resolved("mx.slow.example")
		for i := range j.Deliveries {
			j.Report(i, waypost.Attempt{
				Route: j.Route, Phase: waypost.PhaseMail, Outcome: waypost.OutcomeTemporary, Cause: "rate",
				Reply: waypost.Reply{Code: 421, Enhanced: "4.7.0", Text: "<b@slow.example> " + hostileText}, Slow: waypost.Slow{How: waypost.SlowSuspend, For: time.Hour},
			})
		}
	})
	acme, bolt := w.operator(t, "Acme"), w.operator(t, "Bolt")
	w.until(t, acme, w.send(t, acme, "b@slow.example", "x"), waypost.Queued)
	auditor := w.visitor(t, "", waypost.RoleAuditor)
	for end := time.Now().Add(5 * time.Second); ; {
		if strings.Contains(auditor.open("/platform/queue").text(), "slow.example Mail domain Suspended until ") {
			break
		}
		if time.Now().After(end) {
			t.Fatal(auditor.open("/platform/queue").text())
		}
	}
	got := auditor.open("/platform/queue")
	got.wants("As the other side asked, since ", "421 4.7.0 ... ", hostileText)
	got.lacks("<script>alert", "/platform/queue/hurry")
	// What is said of the site is for all who wait for it; the backlog below is its operator's own.
	if site, _, _ := strings.Cut(got.text(), "Waiting by operator and domain"); strings.Contains(site, "b@slow.example") {
		t.Error("the site's words name a recipient")
	}
	// Mail of another operator waits for the same, and its people read why.
	id := w.send(t, bolt, "c@slow.example", "x")
	reader := w.visitor(t, bolt, waypost.RoleViewer)
	page := reader.open("/messages/" + id)
	page.wants("slow.example asked for less mail from us.", hostileText)
	page.lacks("b@slow.example")

	staff := w.visitor(t, "", waypost.RoleSupport)
	staff.open("/platform/queue").wants("Try now")
	node := w.queue.Incarnation()
	for _, form := range [][]string{{"node", "another", "name", "mx mx.slow.example"}, {"node", node, "name", "mx unknown.example"}} {
		staff.post("/platform/queue/hurry", form...)
		staff.open("/platform/queue").wants("Nothing was changed.", "Suspended until")
	}
	if got := auditor.post("/platform/queue/hurry", "node", node, "name", "mx mx.slow.example"); got.status != http.StatusForbidden {
		t.Errorf("an auditor ends it: %d", got.status)
	}
	w.peer.set(reports(waypost.OutcomeDelivered, waypost.Reply{Code: 250}, ""))
	staff.post("/platform/queue/hurry", "node", node, "name", "mx mx.slow.example")
	staff.open("/platform/queue").wants("The slow-down has ended.")
	w.until(t, bolt, id, waypost.Delivered)
}

func TestWaitingMailIsListedWithWhatItWaitsFor(t *testing.T) {
	w := newWorld(t)
	acme, bolt := w.backlog(t)
	v := w.visitor(t, "", waypost.RoleAuditor)
	got := v.open("/platform/queue/deliveries")
	got.wants("a@one.example", "d@two.example", "Acme", "Bolt", "Tried before", "1 try", "Next try", hostileText)
	got.lacks("<script>alert", "/platform/queue/control")
	if _, err := w.accounts.Suspend(t.Context(), waypost.CommandLine(), bolt); err != nil {
		t.Fatal(err)
	}
	v.open("/platform/queue/deliveries?operator="+bolt).wants("d@two.example", "The operator is suspended")
	v.open("/platform/queue/deliveries?operator=" + acme).lacks("d@two.example")
	v.open("/platform/queue/deliveries?state=held").wants("Nothing is waiting")
	for i := range 60 {
		a := storetest.Mail{OperatorID: acme, To: []string{fmt.Sprintf("n%d@many.example", i)}, In: time.Hour}.Accepting()
		if err := w.db.Store.Accept(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	first := v.open("/platform/queue/deliveries?domain=many.example&did=hold&done=1")
	second := v.open(nextOf(t, first))
	for i := range 60 {
		row := fmt.Sprintf(">n%d@many.example<", i)
		if n := strings.Count(first.body, row) + strings.Count(second.body, row); n != 1 {
			t.Errorf("%s is shown %d times", row, n)
		}
	}
	second.wants("First page")
	second.lacks("did=hold")
	// Of an operator that is gone, too.
	if err := w.accounts.RemoveOperator(t.Context(), waypost.CommandLine(), bolt); err != nil {
		t.Fatal(err)
	}
	v.open("/platform/queue/deliveries?domain=two.example").wants("d@two.example", "The operator was deleted")
}

func TestStaffHoldsReleasesAndCancelsMail(t *testing.T) {
	w := newWorld(t)
	acme, bolt := w.backlog(t)
	staff := w.visitor(t, "", waypost.RoleSupport)
	staff.open("/platform/queue/deliveries?operator="+acme+"&domain=two.example").wants("It concerns all waiting mail of Acme to two.example", "Hold this mail until somebody releases it?")
	do := func(want string, form ...string) {
		t.Helper()
		got := staff.post("/platform/queue/control", form...)
		if got.status != http.StatusSeeOther {
			t.Fatalf("%v: %d %s", form, got.status, got.text())
		}
		staff.open(got.location()).wants(want)
	}
	do("Hold: done with 2 deliveries.", "action", "hold", "operator", acme, "domain", "two.example")
	if n := w.queued(t, acme, "held"); n != 2 || w.queued(t, bolt, "held") != 0 {
		t.Errorf("%d held", n)
	}
	do("Hold: done with 1 delivery. It did not fit 2 of them.", "action", "hold", "operator", "Acme")
	do("Release: done with 2 deliveries.", "action", "release", "domain", "two.example")
	do("Cancel: done with 1 delivery.", "action", "cancel", "operator", bolt)
	if n := w.queued(t, bolt, "state = 'cancelled'"); n != 1 {
		t.Errorf("%d cancelled", n)
	}
	w.peer.set(nil)
	do("Release: done with 1 delivery.", "action", "release", "all", "true")
	do("Try now: done with", "action", "retry", "operator", acme)
	for end := time.Now().Add(5 * time.Second); w.queued(t, acme, "state = 'delivered'") != 3; {
		if time.Now().After(end) {
			t.Fatalf("not all of it left: %d", w.queued(t, acme, "state = 'delivered'"))
		}
	}
	if log := w.audited(t, acme); !slices.Contains(log, "queue.hold") {
		t.Error(log)
	}
	if log := w.audited(t, waypost.PlatformOperatorID); !slices.Contains(log, "queue.release") {
		t.Error(log)
	}
}

// slow runs out of time in the middle of an action on much mail.
type slow struct{ panel.System }

func (slow) ControlWhere(context.Context, waypost.Actor, waypost.QueueWhere, store.ControlAction, time.Time) (done, pending, skipped int, err error) {
	return 400, 1, 2, fmt.Errorf("hold: wait for commit: %w", context.DeadlineExceeded)
}

func TestAnActionThatIsNotFinishedInTimeSaysHowFarItCame(t *testing.T) {
	w := newWorld(t, func(o *panel.Options) { o.System = slow{o.System} })
	acme, _ := w.backlog(t)
	staff := w.visitor(t, "", waypost.RoleSupport)
	got := staff.post("/platform/queue/control", "action", "hold", "operator", acme)
	if got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.text())
	}
	page := staff.open(got.location())
	page.wants("Hold: done with 400 deliveries. 1 is being sent right now", "It did not fit 2 of them. The time was up before all of it was done. Do it again for the rest.")
	if !strings.Contains(page.body, `<div class="alert wp-break alert-warning" role="status">`) {
		t.Error("it looks as if all was well")
	}
}

func TestEachOperatorFindsInItsLogWhatStaffDidWithMailToADomain(t *testing.T) {
	w := newWorld(t)
	acme, bolt := w.backlog(t)
	staff := w.visitor(t, "", waypost.RoleSupport)
	staff.post("/platform/queue/control", "action", "hold", "domain", "two.example")
	for _, operator := range []string{acme, bolt, waypost.PlatformOperatorID} {
		if log := w.audited(t, operator); !slices.Contains(log, "queue.hold") {
			t.Errorf("%s: %v", operator, log)
		}
	}
	w.visitor(t, acme, waypost.RoleViewer).open("/audit").wants("Held waiting mail", "two.example", staff.user.Login)
}

func TestWhatIsDoneWithMailHasToBeMeant(t *testing.T) {
	w := newWorld(t)
	acme, _ := w.backlog(t)
	staff := w.visitor(t, "", waypost.RoleSupport)
	for name, c := range map[string]struct {
		form   []string
		status int
	}{
		"nothing":        {nil, http.StatusUnprocessableEntity},
		"no action":      {[]string{"operator", acme}, http.StatusUnprocessableEntity},
		"other action":   {[]string{"action", "delete", "operator", acme}, http.StatusUnprocessableEntity},
		"no scope":       {[]string{"action", "cancel"}, http.StatusUnprocessableEntity},
		"all, not meant": {[]string{"action", "cancel", "all", "false"}, http.StatusUnprocessableEntity},
		"nobody":         {[]string{"action", "cancel", "operator", "Nobody"}, http.StatusNotFound},
		"unknown id":     {[]string{"action", "cancel", "operator", waypost.NewID()}, http.StatusNotFound},
	} {
		if got := staff.post("/platform/queue/control", c.form...); got.status != c.status {
			t.Errorf("%s: %d %s", name, got.status, got.text())
		}
	}
	for role, v := range map[string]*visitor{
		"auditor": w.visitor(t, "", waypost.RoleAuditor), "admin": w.visitor(t, acme, waypost.RoleAdmin), "viewer": w.visitor(t, acme, waypost.RoleViewer),
	} {
		if got := v.post("/platform/queue/control", "action", "cancel", "all", "true"); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", role, got.status)
		}
	}
	if n := w.queued(t, acme, "state = 'queued' AND NOT held"); n != 3 {
		t.Errorf("%d are left", n)
	}
	got := staff.open("/platform/queue/deliveries?did=<script>&done=x&pending=-1&skipped=99999999999999999999")
	got.lacks("<script>&", `role="status"`)
	staff.open("/platform/queue/deliveries?did=hold&done=x&pending=2&skipped=-5").wants("Hold: done with 0 deliveries. 2 are being sent right now")
}

// process stands in for the program around the panel.
type process struct{ m panel.Machine }

func (p process) Machine(context.Context) panel.Machine { return p.m }

func TestNodesAndHealthAreShown(t *testing.T) {
	now := time.Now()
	good := panel.Machine{
		Version: "1.2.3", Started: now.Add(-3 * time.Hour), Listeners: []panel.Listener{{Name: "smtp", Addr: "127.0.0.1:2525"}}, Signer: "libcrypto",
		Database: "sqlite", DatabaseTook: 2 * time.Millisecond, DatabaseSize: 5 << 20, DiskFree: 50 << 30, DiskReserve: 256 << 20, AuditAt: now.Add(-time.Minute),
	}
	bad := panel.Machine{
		Version: hostileText, Started: now, Signer: "crypto/rsa", SignerWhy: "no libcrypto.so.3 " + hostileText, Database: "postgres", DatabaseDown: true,
		DiskFree: 1 << 20, DiskReserve: 256 << 20, DiskShort: true, AuditAt: now, AuditFindings: 3, UnnamedProxy: "172.17.0.1",
	}
	for name, c := range map[string]struct {
		o     func(*panel.Options)
		wants []string
		start []string // on the overview
	}{
		"good": {func(o *panel.Options) { o.Process = process{good} }, []string{
			"answers here", "Working", "1.2.3", "3 h", "Listens for SMTP 127.0.0.1:2525", "libcrypto", "SQLite, 5.0 MiB, answered in 2 ms", "50 GiB free, reserve 256.0 MiB", "All mail was accounted for",
		}, []string{"2 of 2", "50 GiB"}},
		"bad": {func(o *panel.Options) { o.Process = process{bad} }, []string{
			"PostgreSQL does not answer", "1.0 MiB free", "No mail is accepted", "3 numbers that are not what they have to be", "Signatures take more processor time", hostileText,
		}, []string{"The disk is nearly full", "The books do not add up", "3 numbers", "All people seem to come from one address", "set WAYPOST_TRUSTED_PROXIES=172.17.0.1"}},
		"not yet": {func(o *panel.Options) { o.Process = process{panel.Machine{Database: "sqlite"}} }, []string{"Not yet", "No mail is signed here"}, nil},
		"unknown": {func(*panel.Options) {}, []string{"Nodes and health", "Contact with the database"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.o)
			w.db.Exec(t, "INSERT INTO node (incarnation, name, beat, started) VALUES ('other-run', 'node-b', 7, $1)", now.UnixMilli())
			v := w.visitor(t, "", waypost.RoleAuditor)
			got := v.open("/platform/nodes")
			got.wants(append(c.wants, "node-a", "node-b", "other-run", "Not known yet")...)
			got.lacks("<script>alert")
			v.open("/platform").wants(c.start...)
			part := v.part("/platform/nodes")
			part.lacks("<html")
			part.wants("node-b")
		})
	}
}
