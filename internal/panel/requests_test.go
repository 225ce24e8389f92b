package panel_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/testmail"
	"github.com/waypost/waypost/internal/waypost"
)

// mirror is a return path that sees what a test makes it see, and collects notices.
type mirror struct {
	mu   sync.Mutex
	sees waypost.Reception
	sent []string // From of what was to be delivered
	told []string
}

func (m *mirror) New(time.Time) (string, <-chan waypost.Reception, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	arrived := make(chan waypost.Reception, 1)
	if m.sees.From != "" {
		arrived <- m.sees
	}
	return "test-once@bounce.platform.example", arrived, true
}

func (m *mirror) see(r waypost.Reception) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sees = r
}

func (m *mirror) SendersAssigned(_ context.Context, _ string, senders []waypost.Sender) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range senders {
		m.told = append(m.told, s.Address+" assigned")
	}
}

func (m *mirror) SenderRejected(_ context.Context, s waypost.Sender) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = append(m.told, s.Address+" rejected: "+s.Reason)
}

// deciding is a world in which support decides about senders; with a mirror it receives
// test mails.
func deciding(t testing.TB, m *mirror, receives, upstream bool) *world {
	t.Helper()
	w := supported(t, upstream, func(o *panel.Options) {
		tests := testmail.Options{Store: o.Store, Accepter: o.Accepter, Platform: o.Platform}
		if receives {
			tests.Addresses = m
		}
		o.Tester, o.Notices = testmail.New(tests), m
	})
	w.peer.set(func(j *waypost.Job) {
		m.mu.Lock()
		m.sent = append(m.sent, j.Message.From.Email)
		m.mu.Unlock()
		reports(waypost.OutcomeDelivered, waypost.Reply{Code: 250}, "")(j)
	})
	return w
}

// candidate makes a sender that waits, its domain authorized.
func (w *world) candidate(t testing.TB, operatorID, address string) waypost.Sender {
	t.Helper()
	w.checked(t, w.claim(t, operatorID, waypost.DomainOf(address)).ID, true, allRight()...)
	return w.sender(t, operatorID, account.NewSender{Address: address, Name: "Fleet"})
}

func (w *world) stateOf(t testing.TB, s waypost.Sender) waypost.SenderState {
	t.Helper()
	got, err := w.db.Store.Sender(t.Context(), s.OperatorID, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	return got.State
}

func TestSendersThatWaitAreListedForSupport(t *testing.T) {
	m := &mirror{}
	w := deciding(t, m, true, false)
	v := w.visitor(t, "", waypost.RoleSupport)
	v.open("/platform/requests").wants("Requests", "Nobody waits.")
	op := w.operator(t, "Acme <b>Ltd</b>")
	w.candidate(t, op, "alarm@shop.example")
	w.sender(t, op, account.NewSender{Address: "lost@nowhere.example", Name: nasty[:20]})
	page := v.open("/platform/requests")
	page.wants("alarm@shop.example Fleet Acme <b>Ltd</b> Authorized", "lost@nowhere.example", "Not added", "Decide")
	page.lacks("<b>Ltd", "<script>alert")
	auditor := w.visitor(t, "", waypost.RoleAuditor)
	auditor.open("/platform/requests").wants("alarm@shop.example", "Open")
}

func TestALongQueueOfSendersGoesOnPages(t *testing.T) {
	w := deciding(t, &mirror{}, true, false)
	op := w.operator(t, "Acme")
	for i := range 60 {
		w.sender(t, op, account.NewSender{Address: fmt.Sprintf("a%02d@shop.example", i)})
	}
	v := w.visitor(t, "", waypost.RoleSupport)
	page := v.open("/platform/requests")
	if !strings.Contains(page.body, "a49@shop.example") || strings.Contains(page.body, "a50@shop.example") {
		t.Error(page.text())
	}
	_, rest, _ := strings.Cut(page.body, `rel="next" href="`)
	next, _, _ := strings.Cut(rest, `"`)
	page = v.open(next)
	if page.wants("a50@shop.example", "a59@shop.example"); strings.Contains(page.body, "a49@shop.example") {
		t.Error(page.text())
	}
}

func TestASenderIsApprovedOnlyAfterItsTestMailCameBack(t *testing.T) {
	m := &mirror{}
	w := deciding(t, m, true, false)
	s := w.candidate(t, w.operator(t, "Acme"), "alarm@shop.example")
	v := w.visitor(t, "", waypost.RoleSupport)
	path := "/platform/requests/" + s.ID
	v.open(path).wants("alarm@shop.example", "Acme", "A test mail leaves over the built-in gateway as Fleet <alarm@shop.example>", "Test and approve", "Reject the sender")

	believed := waypost.Reception{From: s.Address, DMARC: waypost.DMARCResult{Result: "pass"}}
	fails, another := believed, believed
	fails.DMARC.Result, fails.Problems, fails.Results = "fail", []string{"The key is not there " + nasty}, "dkim=fail"
	another.From = "no-reply@platform.example"
	for _, tt := range []struct {
		sees  waypost.Reception
		words []string
	}{
		{fails, []string{"The sender was not approved", "DMARC does not pass.", "The key is not there", "dkim=fail"}},
		{another, []string{"The test mail did not leave as alarm@shop.example."}},
	} {
		m.see(tt.sees)
		got := v.post(path+"/approve", "force", "true") // where a test is possible, it decides
		got.wants(tt.words...)
		got.lacks("<script>alert")
		if got.status != http.StatusConflict || w.stateOf(t, s) != waypost.SenderRequested {
			t.Errorf("%d, %s", got.status, w.stateOf(t, s))
		}
	}
	m.see(believed)
	if got := v.post(path + "/approve"); got.location() != "/platform/requests" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	v.open("/platform/requests").wants("The sender is approved.", "Nobody waits.")
	if w.stateOf(t, s) != waypost.SenderAssigned || !slices.Equal(m.told, []string{"alarm@shop.example assigned"}) {
		t.Errorf("%s, told %v", w.stateOf(t, s), m.told)
	}
	if slices.ContainsFunc(m.sent, func(from string) bool { return from != s.Address }) || len(m.sent) == 0 {
		t.Errorf("test mails left as %v", m.sent)
	}
	log, err := w.db.System.AuditLog(t.Context(), "", 20)
	if err != nil || !slices.ContainsFunc(log, func(e waypost.AuditEntry) bool { return e.Actor.Name == v.user.Login && e.Target == s.Address }) {
		t.Errorf("%+v, %v", log, err)
	}
	got := v.get(path)
	got.wants("This sender has been decided about already")
	if got.status != http.StatusConflict {
		t.Errorf("%d", got.status)
	}
}

func TestATestMailThatIsNotDeliveredApprovesNothing(t *testing.T) {
	m := &mirror{}
	w := deciding(t, m, true, false)
	s := w.candidate(t, w.operator(t, "Acme"), "alarm@shop.example")
	w.peer.set(reports(waypost.OutcomePermanent, waypost.Reply{Code: 550, Text: "no such user"}, "recipient_unknown"))
	v := w.visitor(t, "", waypost.RoleSupport)
	got := v.post("/platform/requests/" + s.ID + "/approve")
	got.wants("The test mail was not delivered.", "no such user")
	if got.status != http.StatusConflict || w.stateOf(t, s) != waypost.SenderRequested {
		t.Errorf("%d, %s: %s", got.status, w.stateOf(t, s), got.text())
	}
}

func TestWithoutAReturnPathSomebodyHasToSayThatItWasChecked(t *testing.T) {
	m := &mirror{}
	w := deciding(t, m, false, false)
	op := w.operator(t, "Acme")
	s := w.candidate(t, op, "alarm@shop.example")
	v := w.visitor(t, "", waypost.RoleOwner)
	path := "/platform/requests/" + s.ID
	v.open(path).wants("WAYPOST_BOUNCE_ADDR is off", "Approve without a test", "Did you check that mail from Fleet <alarm@shop.example> arrives and passes DMARC?")
	if got := v.post(path + "/approve"); got.status != http.StatusConflict || w.stateOf(t, s) != waypost.SenderRequested {
		t.Errorf("without a word: %d, %s", got.status, w.stateOf(t, s))
	}
	if got := v.post(path+"/approve", "force", "true"); got.status != http.StatusSeeOther || w.stateOf(t, s) != waypost.SenderAssigned {
		t.Errorf("%d, %s", got.status, w.stateOf(t, s))
	}
	if len(m.sent) != 0 {
		t.Errorf("sent %v", m.sent)
	}
	early := w.sender(t, op, account.NewSender{Address: "early@open.example"})
	v.open("/platform/requests/" + early.ID).wants("It cannot be approved yet, because its domain is not authorized.")
	if got := v.post("/platform/requests/"+early.ID+"/approve", "force", "true"); got.status != http.StatusConflict || w.stateOf(t, early) != waypost.SenderRequested {
		t.Errorf("before its domain: %d, %s", got.status, w.stateOf(t, early))
	}
}

func TestASenderIsRejectedWithAReason(t *testing.T) {
	m := &mirror{}
	w := deciding(t, m, true, false)
	op := w.operator(t, "Acme")
	s := w.candidate(t, op, "alarm@shop.example")
	v := w.visitor(t, "", waypost.RoleSupport)
	path := "/platform/requests/" + s.ID + "/reject"
	for _, reason := range []string{"", "two\nlines", "left\u202Eright", strings.Repeat("x", 10000)} {
		got := v.post(path, "reason", reason)
		got.wants("Say why, in one line of at most 1000 characters")
		if got.status != http.StatusUnprocessableEntity || got.value("reason") != reason || w.stateOf(t, s) != waypost.SenderRequested {
			t.Errorf("%.20q: %d, typed %.20q", reason, got.status, got.value("reason"))
		}
	}
	if got := v.post(path, "reason", "Not yours, <b>sorry</b>."); got.location() != "/platform/requests" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	if w.stateOf(t, s) != waypost.SenderRejected || !slices.Equal(m.told, []string{"alarm@shop.example rejected: Not yours, <b>sorry</b>."}) {
		t.Errorf("%s, told %v", w.stateOf(t, s), m.told)
	}
	w.visitor(t, op, waypost.RoleViewer).open("/domains").wants("Rejected by the platform's support: Not yours, <b>sorry</b>.")
}

func TestAnAuditorReadsRequestsAndDecidesNothing(t *testing.T) {
	w := deciding(t, &mirror{}, true, true)
	op := w.operator(t, "Acme")
	s := w.candidate(t, op, "alarm@shop.example")
	v := w.visitor(t, "", waypost.RoleAuditor)
	for _, path := range []string{"/platform/requests", "/platform/requests/" + s.ID} {
		v.open(path).lacks("/approve", "/reject", "/platform/domain-keys")
	}
	for _, path := range []string{"/platform/requests/" + s.ID + "/approve", "/platform/requests/" + s.ID + "/reject", "/platform/domain-keys/" + s.ID} {
		if got := v.post(path, "reason", "no", "key", "0123456789"); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if got := w.visitor(t, op, waypost.RoleAdmin).get("/platform/requests"); got.status != http.StatusForbidden {
		t.Errorf("an operator sees them: %d", got.status)
	}
}

func TestSupportEntersTheUpstreamsKeyOfADomain(t *testing.T) {
	w := deciding(t, &mirror{}, true, true)
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "shop.example")
	v := w.visitor(t, "", waypost.RoleSupport)
	v.open("/platform/requests").wants("Domains that wait for a key", "shop.example Acme", "Enter key")
	path := "/platform/domain-keys/" + d.ID
	v.open(path).wants("shop.example", "Acme", "what follows the dot")
	for _, key := range []string{"", "short", nasty, "mandrill_verify.0123456789"} {
		got := v.post(path, "key", key)
		got.wants("8 to 200 letters, digits, hyphens and underscores.")
		if got.status != http.StatusUnprocessableEntity || got.value("key") != key {
			t.Errorf("%q: %d, typed %q", key, got.status, got.value("key"))
		}
	}
	if got := v.post(path, "key", "0123456789abcdef"); got.location() != "/platform/requests" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	if got, err := w.db.Store.Domain(t.Context(), op, d.ID); err != nil || got.Proof != "0123456789abcdef" {
		t.Errorf("%+v, %v", got, err)
	}
	v.open("/platform/requests").wants("No domain waits for a key.")
	if got := v.get("/platform/domain-keys/" + waypost.NewID()); got.status != http.StatusNotFound {
		t.Errorf("%d", got.status)
	}
	if strings.Contains(newDeciding(t).open("/platform/requests").text(), "wait for a key") {
		t.Error("keys are asked for where the platform makes its own")
	}
}

// newDeciding is somebody of support where no upstream signs.
func newDeciding(t testing.TB) *visitor {
	t.Helper()
	return deciding(t, &mirror{}, true, false).visitor(t, "", waypost.RoleSupport)
}
