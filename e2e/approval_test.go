package e2e_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/client"
)

// support is the platform's own client.
func (n *internet) support() *client.Client {
	key, _ := n.credential("--platform")
	return client.New("http://"+n.addr("http"), key)
}

// contacted makes an operator that has a contact.
func (n *internet) contacted(name, contact string) *client.Client {
	id := n.installation.operator(name, "servermate")
	must(n.support().ChangeOperator(n.installation.t.Context(), id, client.OperatorChange{Contact: &contact}))(n.installation.t)
	key, _ := n.credential("--operator", id)
	return client.New("http://"+n.addr("http"), key)
}

// waiting are the addresses in support's queue.
func waiting(t testing.TB, c *client.Client) (list []client.WaitingSender) {
	t.Helper()
	for s, err := range c.WaitingSenders(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

// notices are the subjects of the platform's own mail to an address.
func (n *internet) notices(to string) (subjects []string) {
	n.installation.t.Helper()
	for _, m := range n.messages("--operator", "00000000-0000-7000-8000-000000000000") {
		if m.To == to {
			subjects = append(subjects, m.Subject)
		}
	}
	return subjects
}

func wantCode(t testing.TB, err error, code string) *client.Error {
	t.Helper()
	e, ok := errors.AsType[*client.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	return e
}

// With approval switched on nothing is assigned by itself, and nothing is assigned that
// receivers would not believe.
func TestSupportApprovesASenderOnlyAfterItsTestMailCameBack(t *testing.T) {
	n := newInternetWith(t, []string{"APPROVE_SENDERS=true"}, "operator.test")
	c, support := n.contacted("Fleet", "admin@contact.test"), n.support()
	sender := must(c.AddSender(t.Context(), "alarm@operator.test", "Fleet Alarm", true))(t)
	anyone := must(c.AddSender(t.Context(), "*@operator.test", "", false))(t)
	spam := must(c.AddSender(t.Context(), "offers@operator.test", "", false))(t)
	if got := waiting(t, support); len(got) != 3 || got[0].ID != sender.ID || got[0].OperatorName != "Fleet" || got[0].DomainState != "unclaimed" {
		t.Errorf("%+v", got)
	}
	d := must(c.ClaimDomain(t.Context(), "operator.test"))(t)
	_, err := support.ApproveSender(t.Context(), sender.ID, true)
	says(t, wantCode(t, err, "domain_not_authorized").Detail, "operator.test", "publishes")

	n.publish(d)
	if d = must(c.CheckDomain(t.Context(), d.ID))(t); d.State != "authorized" {
		t.Fatalf("%+v", d)
	}
	late := must(c.AddSender(t.Context(), "late@operator.test", "", false))(t)
	for _, s := range must(c.Senders(t.Context()))(t) {
		if s.State != "requested" {
			t.Errorf("%s is %s by itself", s.Address, s.State)
		}
	}
	if got := verified(t, c); got.From != "no-reply@"+platform {
		t.Errorf("before approval it leaves as %s", got.From)
	}

	// The key was withdrawn, and nobody has noticed yet.
	n.set(record(t, d, "dkim1").Record.Name, `TXT "v=DKIM1; p="`)
	n.set("bounce.operator.test")
	_, err = support.ApproveSender(t.Context(), sender.ID, true)
	failed := wantCode(t, err, "test_failed")
	if len(failed.Fields) == 0 || !strings.Contains(failed.Detail, "stays requested") {
		t.Errorf("%+v", failed)
	}
	if got := waiting(t, support); len(got) != 4 {
		t.Errorf("a sender that failed its test is not in the queue: %+v", got)
	}
	n.publish(d)

	if got, err := support.ApproveSender(t.Context(), sender.ID, false); err != nil || got.State != "assigned" || got.DecidedAt.IsZero() {
		t.Fatalf("%+v, %v", got, err)
	}
	if got := verified(t, c); got.From != "alarm@operator.test" || got.DMARC.Result != "pass" {
		t.Errorf("%+v", got)
	}
	if got, err := support.ApproveSender(t.Context(), anyone.ID, false); err != nil || got.State != "assigned" {
		t.Errorf("any address at the domain: %+v, %v", got, err)
	}
	_, err = support.ApproveSender(t.Context(), sender.ID, false)
	wantCode(t, err, "sender_decided")

	if _, err := support.RejectSender(t.Context(), spam.ID, " "); err == nil {
		t.Error("rejected without a reason")
	}
	if got, err := support.RejectSender(t.Context(), spam.ID, "We send no offers."); err != nil || got.State != "rejected" {
		t.Errorf("%+v, %v", got, err)
	}
	if got := waiting(t, support); len(got) != 1 || got[0].ID != late.ID || got[0].DomainState != "authorized" {
		t.Errorf("%+v", got)
	}
	for _, s := range must(c.Senders(t.Context()))(t) {
		if s.ID == spam.ID && s.Reason != "We send no offers." {
			t.Errorf("%+v", s)
		}
	}
	subjects := n.notices("admin@contact.test")
	for _, want := range []string{"Your sender address is in use", "Your sender address was rejected"} {
		if !slices.Contains(subjects, want) {
			t.Errorf("no mail %q to the contact: %q", want, subjects)
		}
	}

	// Asking again is removing and adding.
	if err := c.RemoveSender(t.Context(), spam.ID); err != nil {
		t.Fatal(err)
	}
	if got := must(c.AddSender(t.Context(), "offers@operator.test", "", false))(t); got.State != "requested" || got.Reason != "" {
		t.Errorf("%+v", got)
	}
}

// Where no mail comes in, support has to say that it checked by other means.
func TestWithoutAReturnPathApprovalTakesForce(t *testing.T) {
	n := newInternetWith(t, []string{"APPROVE_SENDERS=true", "BOUNCE_ADDR="}, "operator.test")
	c, support := n.operator("Fleet"), n.support()
	sender := must(c.AddSender(t.Context(), "alarm@operator.test", "", true))(t)
	d := must(c.ClaimDomain(t.Context(), "operator.test"))(t)
	n.publish(d)
	must(c.CheckDomain(t.Context(), d.ID))(t)
	_, err := support.ApproveSender(t.Context(), sender.ID, false)
	says(t, wantCode(t, err, "verify_impossible").Detail, "BOUNCE_ADDR", "force")
	if got, err := support.ApproveSender(t.Context(), sender.ID, true); err != nil || got.State != "assigned" {
		t.Errorf("%+v, %v", got, err)
	}
}

// Whoever runs the DNS gets a link, enters what the page says, and sees it become right.
func TestTheLinkedPageShowsADomainBecomeRight(t *testing.T) {
	n := newInternet(t, "operator.test")
	c := n.operator("Fleet")
	d := must(c.ClaimDomain(t.Context(), "operator.test"))(t)
	link := must(c.LinkDomain(t.Context(), d.ID, 1))(t)
	page := func() string {
		t.Helper()
		res, err := http.Get(link.URL) //nolint:forbidigo // a test of the server
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%d %s, %v", res.StatusCode, text, err)
		}
		return string(text)
	}
	text := page()
	says(t, text, record(t, d, "ownership").Record.Value, record(t, d, "dkim1").Record.Name, "0 of 5 required records are right")
	n.publish(d)
	must(c.CheckDomain(t.Context(), d.ID))(t)
	says(t, page(), "Everything is right.", "5 of 5 required records are right.")
}

// An upstream that signs: its records, its key, and no signature of ours.
func TestAnUpstreamThatSignsHasItsOwnRecords(t *testing.T) {
	n := newInternetWith(t, []string{
		"UPSTREAM_URL=smtp://127.0.0.1:9", "UPSTREAM_MODE=instead", "UPSTREAM_SIGNS=true", "VERIFY_PREFIX=mandrill", "SPF_INCLUDE=spf.mandrillapp.com",
		"DKIM_SELECTORS=mte1,mte2", "DKIM_TARGETS=dkim1.mandrillapp.com,dkim2.mandrillapp.com",
	}, "operator.test", "mandrillapp.com")
	c, support := n.operator("Fleet"), n.support()
	n.set("spf.mandrillapp.com", `TXT "v=spf1 ip4:192.0.2.0/24 -all"`)
	d := must(c.ClaimDomain(t.Context(), "operator.test"))(t)
	if own := record(t, d, "ownership"); own.Record.Value != "" || own.Advice[0].Code != "ownership_key_awaited" {
		t.Errorf("%+v", own)
	}
	var ids []string
	for w, err := range support.WaitingDomains(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, w.ID)
	}
	if !slices.Equal(ids, []string{d.ID}) {
		t.Errorf("waiting for a key: %v", ids)
	}
	d = must(support.SetDomainKey(t.Context(), d.ID, "Ab3_dEf-Gh1JkL"))(t)
	for part, want := range map[string][3]string{
		"ownership": {"TXT", "operator.test", "mandrill_verify.Ab3_dEf-Gh1JkL"},
		"dkim1":     {"CNAME", "mte1._domainkey.operator.test", "dkim1.mandrillapp.com."},
		"dkim2":     {"CNAME", "mte2._domainkey.operator.test", "dkim2.mandrillapp.com."},
	} {
		if r := record(t, d, part).Record; [3]string{r.Type, r.Name, r.Value} != want {
			t.Errorf("%s: %+v, want %v", part, r, want)
		}
	}
	says(t, record(t, d, "spf").Record.Value, "include:spf.mandrillapp.com")
	n.publish(d)
	if got := must(c.CheckDomain(t.Context(), d.ID))(t); got.State != "proven" || record(t, got, "dkim1").Advice[0].Code != "dkim_no_key" {
		t.Errorf("without a key of the upstream: %+v", got)
	}
	for _, name := range []string{"dkim1", "dkim2"} {
		n.set(name+".mandrillapp.com", `TXT "v=DKIM1; k=rsa; p=AAAA"`)
	}
	if got := must(c.CheckDomain(t.Context(), d.ID))(t); got.State != "authorized" || len(got.Records) != 5 {
		t.Errorf("with it: %+v", got)
	}
}
