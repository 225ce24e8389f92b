package api_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/api"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/waypost"
)

// mirror is a return path that sees what a test makes it see.
type mirror struct {
	mu   sync.Mutex
	sees waypost.Reception
	sent []string // From of what was to be delivered
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

// passed is what is made of a mail that is as it should be.
func passed(from string) waypost.Reception {
	return waypost.Reception{From: from, DMARC: waypost.DMARCResult{Result: "pass", Domain: waypost.DomainOf(from), Policy: "none"}}
}

// told collects notices.
type told struct {
	mu   sync.Mutex
	list []string
}

func (n *told) SendersAssigned(_ context.Context, _ string, senders []waypost.Sender) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range senders {
		n.list = append(n.list, s.Address+" assigned")
	}
}

func (n *told) SenderRejected(_ context.Context, s waypost.Sender) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, s.Address+" rejected: "+s.Reason)
}

func (n *told) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.list)
}

// supported is a world in which support decides about senders.
func supported(t testing.TB, change ...func(*api.Options)) (*world, *mirror, *told) {
	t.Helper()
	m, n := &mirror{}, &told{}
	ring, err := secret.NewRing([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, append([]func(*api.Options){func(o *api.Options) {
		o.Tests, o.Notices, o.TestWait = tester(*o, m), n, 10*time.Second
		o.Accounts = account.New(account.Options{
			Store: o.Store, System: o.Sandbox.(account.System), Directory: o.Directory, Ring: ring, Platform: o.Platform,
			ApproveSenders: true, UpstreamSigns: true,
		})
	}}, change...)...)
	w.peer.set(func(j *waypost.Job) {
		m.mu.Lock()
		m.sent = append(m.sent, j.Message.From.Email)
		m.mu.Unlock()
		reports(waypost.OutcomeDelivered, waypost.Reply{Code: 250}, "")(j)
	})
	return w, m, n
}

// candidate makes a sender whose domain is authorized.
func (w *world) candidate(t testing.TB, c tenant, address string) client.Sender {
	t.Helper()
	d, err := c.ClaimDomain(t.Context(), waypost.DomainOf(address))
	if err != nil {
		t.Fatal(err)
	}
	w.checked(t, d.ID, true)
	s, err := c.AddSender(t.Context(), address, "", false)
	if err != nil || s.State != "requested" {
		t.Fatalf("%+v, %v", s, err)
	}
	return s
}

func (c tenant) senderState(t testing.TB, id string) string {
	t.Helper()
	list, err := c.Senders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if s.ID == id {
			return s.State
		}
	}
	return "gone"
}

func TestASenderIsAssignedOnlyIfItsTestMailPasses(t *testing.T) {
	w, m, n := supported(t)
	c := w.tenant(t, "Acme")
	sender := w.candidate(t, c, "alarm@shop.example")
	fails := passed("alarm@shop.example")
	fails.DMARC.Result, fails.Problems = "fail", []string{"The key is not there."}
	replaced := passed("no-reply@platform.example")
	for name, tt := range map[string]struct {
		sees  waypost.Reception
		words string
	}{
		"DMARC fails":   {fails, "dmarc=fail"},
		"another From":  {replaced, "no-reply@platform.example instead of alarm@shop.example"},
		"nothing known": {waypost.Reception{From: "alarm@shop.example"}, "dmarc="},
	} {
		m.see(tt.sees)
		_, err := w.root.ApproveSender(t.Context(), sender.ID, true)
		wantRefusal(t, err, 409, "test_failed", "")
		contains(t, err.Error(), tt.words)
		if got := c.senderState(t, sender.ID); got != "requested" {
			t.Errorf("%s: %s", name, got)
		}
	}
	m.see(fails)
	_, err := w.root.ApproveSender(t.Context(), sender.ID, false)
	contains(t, fmt.Sprintf("%+v", refused(t, err).Fields), "The key is not there.")
	if len(n.all()) != 0 {
		t.Errorf("told %v", n.all())
	}

	m.see(passed("alarm@shop.example"))
	got, err := w.root.ApproveSender(t.Context(), sender.ID, false)
	if err != nil || got.State != "assigned" {
		t.Fatalf("%+v, %v", got, err)
	}
	if !slices.Equal(n.all(), []string{"alarm@shop.example assigned"}) {
		t.Errorf("told %v", n.all())
	}
	if len(m.sent) == 0 || slices.ContainsFunc(m.sent, func(from string) bool { return from != "alarm@shop.example" }) {
		t.Errorf("test mails left as %v", m.sent)
	}
	_, err = w.root.ApproveSender(t.Context(), sender.ID, false)
	wantRefusal(t, err, 409, "sender_decided", "")
}

func TestATestMailThatIsNotDeliveredAssignsNothing(t *testing.T) {
	w, _, _ := supported(t)
	c := w.tenant(t, "Acme")
	sender := w.candidate(t, c, "alarm@shop.example")
	w.peer.set(reports(waypost.OutcomePermanent, waypost.Reply{Code: 550, Text: "no such user"}, "recipient_unknown"))
	_, err := w.root.ApproveSender(t.Context(), sender.ID, false)
	wantRefusal(t, err, 409, "test_failed", "")
	contains(t, fmt.Sprintf("%v %+v", err, refused(t, err).Fields), "was not delivered", "no such user")
	if got := c.senderState(t, sender.ID); got != "requested" {
		t.Error(got)
	}
}

func TestAnyAddressAtADomainIsTestedAsPostmaster(t *testing.T) {
	w, m, _ := supported(t)
	c := w.tenant(t, "Acme")
	sender := w.candidate(t, c, "*@shop.example")
	m.see(passed("postmaster@shop.example"))
	if got, err := w.root.ApproveSender(t.Context(), sender.ID, false); err != nil || got.State != "assigned" {
		t.Errorf("%+v, %v", got, err)
	}
	if !slices.Equal(m.sent, []string{"postmaster@shop.example"}) {
		t.Errorf("%v", m.sent)
	}
}

func TestASenderWaitsForItsDomain(t *testing.T) {
	w, m, _ := supported(t)
	c := w.tenant(t, "Acme")
	sender, err := c.AddSender(t.Context(), "alarm@shop.example", "", false)
	if err != nil {
		t.Fatal(err)
	}
	m.see(passed("alarm@shop.example"))
	_, err = w.root.ApproveSender(t.Context(), sender.ID, true)
	wantRefusal(t, err, 409, "domain_not_authorized", "")
	contains(t, err.Error(), "shop.example")
	if len(m.sent) != 0 {
		t.Errorf("sent as %v", m.sent)
	}
	_, err = w.root.ApproveSender(t.Context(), waypost.NewID(), true)
	wantRefusal(t, err, 404, "not_found", "")
}

func TestWithoutAReturnPathApprovalHasToBeForced(t *testing.T) {
	w, _, n := supported(t, func(o *api.Options) { o.Tests = nil })
	c := w.tenant(t, "Acme")
	sender := w.candidate(t, c, "alarm@shop.example")
	for _, body := range []string{"", "{}", `{"force":false}`} {
		res, text := request(t, "POST", w.url+"/v1/platform/senders/"+sender.ID+"/approve", w.root.Key, optional(body))
		wantProblem(t, res, text, 409, "verify_impossible", "")
	}
	if got, err := w.root.ApproveSender(t.Context(), sender.ID, true); err != nil || got.State != "assigned" || len(n.all()) != 1 {
		t.Errorf("%+v, %v, told %v", got, err, n.all())
	}
}

func TestARejectedSenderSaysWhyAndMayAskAgain(t *testing.T) {
	w, _, n := supported(t)
	c := w.tenant(t, "Acme")
	sender := w.candidate(t, c, "alarm@shop.example")
	for _, reason := range []string{" ", "two\nlines", strings.Repeat("x", 1001), "\u202eoffers"} {
		if _, err := w.root.RejectSender(t.Context(), sender.ID, reason); refused(t, err).Status != http.StatusUnprocessableEntity {
			t.Errorf("%q: %v", reason, err)
		}
	}
	got, err := w.root.RejectSender(t.Context(), sender.ID, "Not your brand.")
	if err != nil || got.State != "rejected" || got.Reason != "Not your brand." || got.DecidedAt.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	if !slices.Equal(n.all(), []string{"alarm@shop.example rejected: Not your brand."}) {
		t.Errorf("told %v", n.all())
	}
	_, err = w.root.RejectSender(t.Context(), sender.ID, "Again.")
	wantRefusal(t, err, 409, "sender_decided", "")
	_, err = w.root.ApproveSender(t.Context(), sender.ID, true)
	wantRefusal(t, err, 409, "sender_decided", "")
	if err := c.RemoveSender(t.Context(), sender.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := c.AddSender(t.Context(), "alarm@shop.example", "", false); err != nil || got.State != "requested" || got.Reason != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAnAssignedSenderCanBeTakenBack(t *testing.T) {
	w, m, _ := supported(t)
	c := w.tenant(t, "Acme")
	sender := w.candidate(t, c, "alarm@shop.example")
	m.see(passed("alarm@shop.example"))
	if _, err := w.root.ApproveSender(t.Context(), sender.ID, false); err != nil {
		t.Fatal(err)
	}
	if got, err := w.root.RejectSender(t.Context(), sender.ID, "Spam."); err != nil || got.State != "rejected" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTheQueueOfSendersHasAllOperatorsOldestFirst(t *testing.T) {
	w, _, _ := supported(t)
	a, b := w.tenant(t, "Acme"), w.tenant(t, "Bravo")
	first := w.candidate(t, a, "alarm@shop.example")
	second, err := b.AddSender(t.Context(), "info@unclaimed.example", "Info", false)
	if err != nil {
		t.Fatal(err)
	}
	third, err := b.AddSender(t.Context(), "bravo@platform.example", "", false)
	if err != nil {
		t.Fatal(err)
	}
	got := collect(t, w.root.WaitingSenders(t.Context()))
	want := []string{
		first.ID + " alarm@shop.example Acme authorized", second.ID + " info@unclaimed.example Bravo unclaimed", third.ID + " bravo@platform.example Bravo platform",
	}
	var list []string
	for _, s := range got {
		list = append(list, fmt.Sprint(s.ID, " ", s.Address, " ", s.OperatorName, " ", s.DomainState))
	}
	if !slices.Equal(list, want) || got[0].OperatorID != a.id {
		t.Errorf("got %v, want %v", list, want)
	}
	res, text := request(t, "GET", w.url+"/v1/platform/senders?limit=1", w.root.Key, nil)
	if res.StatusCode != http.StatusOK || !strings.Contains(text, `"next":"`+first.ID+`"`) {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	if _, text = request(t, "GET", w.url+"/v1/platform/senders?limit=5&cursor="+second.ID, w.root.Key, nil); strings.Contains(text, second.ID) || !strings.Contains(text, third.ID) {
		t.Error(text)
	}
}

func TestAnAddressOfThePlatformNeedsNoDomainOfItsOwn(t *testing.T) {
	w, m, _ := supported(t)
	c := w.tenant(t, "Acme")
	sender, err := c.AddSender(t.Context(), "acme@platform.example", "", false)
	if err != nil {
		t.Fatal(err)
	}
	m.see(passed("acme@platform.example"))
	if got, err := w.root.ApproveSender(t.Context(), sender.ID, false); err != nil || got.State != "assigned" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSupportEntersTheKeyThatAnUpstreamAsksFor(t *testing.T) {
	w, _, _ := supported(t)
	c := w.tenant(t, "Acme")
	d, err := c.ClaimDomain(t.Context(), "shop.example")
	if err != nil {
		t.Fatal(err)
	}
	if got := collect(t, w.root.WaitingDomains(t.Context())); len(got) != 1 || got[0].ID != d.ID || got[0].Domain != "shop.example" || got[0].OperatorName != "Acme" {
		t.Errorf("%+v", got)
	}
	for _, key := range []string{"", "short", "with space in it", "dots.are.not.in.it", strings.Repeat("x", 201)} {
		_, err := w.root.SetDomainKey(t.Context(), d.ID, key)
		wantRefusal(t, err, 422, "invalid", "body.key")
	}
	_, err = w.root.SetDomainKey(t.Context(), waypost.NewID(), "0123456789abc")
	wantRefusal(t, err, 404, "not_found", "")
	if got, err := w.root.SetDomainKey(t.Context(), d.ID, "0123456789abc"); err != nil || got.ID != d.ID {
		t.Errorf("%+v, %v", got, err)
	}
	if got := collect(t, w.root.WaitingDomains(t.Context())); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	// The same key again leaves what was proven with it.
	w.checked(t, d.ID, true)
	if got, err := w.root.SetDomainKey(t.Context(), d.ID, "0123456789abc"); err != nil || got.State != "authorized" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := w.root.SetDomainKey(t.Context(), d.ID, "another-key-9"); err != nil || got.State != "claimed" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestKeysOfDomainsAreOurOwnWhereNoUpstreamSigns(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	d, err := c.ClaimDomain(t.Context(), "shop.example")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.root.SetDomainKey(t.Context(), d.ID, "0123456789abc")
	wantRefusal(t, err, 409, "upstream_does_not_sign", "")
	if got := collect(t, w.root.WaitingDomains(t.Context())); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestOnlyThePlatformDecidesAboutSenders(t *testing.T) {
	w, _, _ := supported(t)
	c := w.tenant(t, "Acme", waypost.AllScopes()[:7]...)
	sender := w.candidate(t, c, "alarm@shop.example")
	_, err := c.ApproveSender(t.Context(), sender.ID, true)
	wantRefusal(t, err, 403, "scope_missing", "")
	_, err = c.RejectSender(t.Context(), sender.ID, "x")
	wantRefusal(t, err, 403, "scope_missing", "")
	key, _, err := w.auth.Create(t.Context(), waypost.CommandLine(), auth.CreateRequest{Platform: true, Name: "reader", Scopes: []waypost.Scope{waypost.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.New(w.url, key).ApproveSender(t.Context(), sender.ID, true)
	wantRefusal(t, err, 403, "scope_missing", "")
	if got := c.senderState(t, sender.ID); got != "requested" {
		t.Error(got)
	}
}
