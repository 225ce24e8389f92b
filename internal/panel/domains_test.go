package panel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// nasty is what people with bad intentions publish and type.
const nasty = "\"><script>alert(1)</script>\u202Egnp.exe"

// supported is a world in which support decides about senders, and the platform's upstream
// signs if upstream says so.
func supported(t testing.TB, upstream bool, change ...func(*panel.Options)) *world {
	t.Helper()
	ring, err := secret.NewRing([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	var accounts *account.Service
	w := newWorld(t, append([]func(*panel.Options){func(o *panel.Options) {
		accounts = account.New(account.Options{
			Store: o.Store, System: o.System.(account.System), Directory: o.Directory, Ring: ring, Platform: o.Platform,
			ApproveSenders: true, UpstreamSigns: upstream,
		})
		o.Accounts, o.Approve, o.UpstreamSigns = accounts, true, upstream
	}}, change...)...)
	w.accounts = accounts
	return w
}

// claim adds a domain of an operator.
func (w *world) claim(t testing.TB, operatorID, name string) store.CheckedDomain {
	t.Helper()
	d, err := w.accounts.ClaimDomain(t.Context(), waypost.CommandLine(), operatorID, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// checked saves what a check of a domain found, now; senders that waited for it are
// assigned.
func (w *world) checked(t testing.TB, id string, authorized bool, items ...verify.Item) {
	t.Helper()
	d, err := w.db.System.AnyDomain(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	now := waypost.FromMillis(time.Now().UnixMilli())
	text, err := json.Marshal(verify.Report{Items: items, At: now})
	if err != nil {
		t.Fatal(err)
	}
	save := store.DomainCheck{CheckedDomain: d, Before: d.Checked, Assign: true}
	save.Report, save.Checked, save.Next = string(text), now, now.Add(24*time.Hour)
	if !save.Checked.After(d.Checked) {
		save.Checked = d.Checked.Add(time.Millisecond)
	}
	if authorized {
		save.Proven, save.Authorized = now, now
	}
	if _, err := w.db.System.SaveDomainCheck(t.Context(), save); err != nil {
		t.Fatal(err)
	}
	w.dir.Forget(d.OperatorID)
}

// findings are records in every verdict, some of them hostile.
func findings() []verify.Item {
	return []verify.Item{
		{
			Part: verify.Ownership, Required: true, Verdict: verify.OK, Found: []string{"waypost_verify.abc"},
			Record: verify.Record{Type: "TXT", Name: "shop.example", Value: "waypost_verify.abc"},
		},
		{
			Part: verify.DKIM1, Required: true, Verdict: verify.Wrong, Found: []string{nasty, strings.Repeat("x", 10000)},
			Record: verify.Record{Type: "CNAME", Name: "wp1._domainkey.shop.example", Value: "dkim1.platform.example."},
			Advice: []verify.Advice{{Code: "dkim_wrong", Level: verify.AdviceError, Text: "The record points elsewhere."}},
		},
		{
			Part: verify.SPFPart, Required: true, Verdict: verify.Missing,
			Record: verify.Record{Type: "TXT", Name: "shop.example", Value: "v=spf1 include:spf.platform.example -all"},
			Advice: []verify.Advice{
				{Code: verify.SPFLookups, Level: verify.AdviceError, Text: "It takes 12 DNS lookups: include:a takes 11."},
				{Code: verify.SPFPTR, Level: verify.AdviceNote, Term: "ptr" + nasty, Domain: "other.example", Text: "It uses ptr."},
				{Code: "from_the_future", Level: verify.AdviceNote, Text: "A sentence without a translation."},
			},
		},
		{
			Part: verify.DMARCPart, Required: true, Verdict: verify.Unknown, Record: verify.Record{Type: "TXT", Name: "_dmarc.shop.example", Value: "v=DMARC1; p=none;"},
			Advice:  []verify.Advice{{Code: "dns_unknown", Level: verify.AdviceWarning, Text: "The name servers did not answer."}},
			Servers: "Not all name servers have the same yet; different at ns2.shop.example.",
		},
		{
			Part: verify.ReturnPath, Verdict: verify.Missing, Record: verify.Record{Type: "CNAME", Name: "bounce.shop.example", Value: "bounce.platform.example."},
			Advice: []verify.Advice{{Code: "return_path_missing", Level: verify.AdviceNote, Text: "Recommended."}},
		},
	}
}

// allRight are records that are as they should be.
func allRight() []verify.Item {
	list := findings()[:1]
	list = append(list, verify.Item{
		Part: verify.DKIM1, Required: true, Verdict: verify.OK, Record: verify.Record{Type: "CNAME", Name: "wp1._domainkey.shop.example", Value: "dkim1.platform.example."},
	})
	return list
}

func TestWhoHasNoDomainIsLedThroughTheSteps(t *testing.T) {
	w := newWorld(t)
	v := w.visitor(t, w.operator(t, "Acme"), waypost.RoleAdmin)
	v.open("/domains").wants("Domains and senders", "Mail leaves as Acme <no-reply@platform.example>, because no own address has been added yet.",
		"1 Prove Next", "2 Authorize Later", "3 Use it Later", "You have no domain here yet.", "No own address yet.", "Add domain", "Add address")
}

func TestAClaimedDomainShowsWhatToPublish(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	got := v.post("/domains", "domain", " Shop.EXAMPLE. ")
	domains, err := w.db.Store.Domains(t.Context(), op)
	if err != nil || len(domains) != 1 || got.status != http.StatusSeeOther || got.location() != "/domains/"+domains[0].ID {
		t.Fatalf("%d %s: %+v, %v", got.status, got.location(), domains, err)
	}
	page := v.open(got.location())
	page.wants("shop.example", "The domain is added.", "Not proven yet", "The records are being looked up.", "The domain was added. (in the panel)")
	log, err := w.db.Store.AuditLog(t.Context(), op, "", 1)
	if err != nil || log[0].Action != "domain.claim" || log[0].Target != "shop.example" || log[0].Actor.Name != v.user.Login {
		t.Errorf("%+v, %v", log, err)
	}
	v.open("/domains").wants("shop.example Not proven yet – Not checked yet")
}

func TestADomainThatCannotBeClaimedIsRefusedAtItsField(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	w.claim(t, op, "mine.example")
	for typed, want := range map[string]string{
		"":                          "Give a domain of your own",
		"co.uk":                     "Give a domain of your own",
		"192.0.2.1":                 "Give a domain of your own",
		"mail.platform.example":     "Give a domain of your own",
		nasty:                       "Give a domain of your own",
		strings.Repeat("a.", 10000): "Give a domain of your own",
		"mine.example":              "You have this domain already.",
	} {
		got := v.post("/domains", "domain", typed)
		got.wants(want)
		got.lacks("<script>alert")
		if got.status != http.StatusUnprocessableEntity || got.value("domain") != strings.TrimSpace(typed) {
			t.Errorf("%.40q: %d, typed %.40q", typed, got.status, got.value("domain"))
		}
	}
}

func TestEveryVerdictIsShownWithWhatToDo(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "shop.example")
	w.checked(t, d.ID, false, findings()...)
	v := w.visitor(t, op, waypost.RoleAdmin)
	page := v.open("/domains/" + d.ID)
	page.wants("1 of 4 required records are right", "Proof of ownership Found", "DKIM, first key Wrong", "SPF Missing", "DMARC Not known", "Return path Recommended Missing",
		"Name in most panels wp1._domainkey", "Name in most panels @", "and has to point to dkim1.platform.example.", "Different at: ns2.shop.example",
		"It takes 12 DNS lookups: include:a takes 11.", "This stands in the SPF record of other.example", "A sentence without a translation.",
		"wp1._domainkey.shop.example. 3600 IN CNAME dkim1.platform.example.")
	page.lacks("<script>alert", "The record points elsewhere.", "In detail:")
	if strings.Contains(page.text(), "IN TXT \"waypost_verify") {
		t.Error("what is published already is in the zone file")
	}
	v.open("/domains").wants("shop.example Not proven yet 1 of 4 required records are right")

	spanish := v.get("/domains/" + d.ID + "?lang=es")
	if spanish.status == http.StatusOK && strings.Contains(spanish.text(), "Falta") {
		spanish.wants("En detalle (en inglés): It takes 12 DNS lookups: include:a takes 11.", "Prueba de propiedad Encontrado", "A sentence without a translation.")
	} else {
		t.Error(spanish.text())
	}
}

func TestADoubledNameIsShownAsThePanelOfTheDomainWantsIt(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "mail.shop.example")
	record := verify.Record{Type: "CNAME", Name: "wp1._domainkey.mail.shop.example", Value: "dkim1.platform.example."}
	v := w.visitor(t, op, waypost.RoleAdmin)
	w.checked(t, d.ID, false, verify.Item{Part: verify.DKIM1, Required: true, Verdict: verify.Missing, Record: record})
	v.open("/domains/" + d.ID).wants("Name in most panels wp1._domainkey.mail ")
	w.checked(t, d.ID, false, verify.Item{Part: verify.DKIM1, Required: true, Verdict: verify.Missing, Record: record, Advice: []verify.Advice{
		{Code: "dkim_name_doubled", Level: verify.AdviceError, Text: "The record is at twice the domain."},
	}})
	v.open("/domains/"+d.ID).wants("As the name, enter wp1._domainkey only.", "Name in most panels wp1._domainkey Copy")
}

// seen is the address that a page which is open asks.
func (a answer) seen() string {
	a.t.Helper()
	_, rest, _ := strings.Cut(a.body, `hx-get="`)
	path, _, ok := strings.Cut(rest, `"`)
	if !ok {
		a.t.Fatalf("nothing asks again:\n%s", a.body)
	}
	return strings.ReplaceAll(path, "&amp;", "&")
}

func TestAPageThatIsOpenGetsOnlyWhatHasChanged(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "shop.example")
	w.checked(t, d.ID, false, findings()...)
	v := w.visitor(t, op, waypost.RoleViewer)
	path := v.open("/domains/" + d.ID).seen()
	same := v.part(path)
	if strings.Contains(same.body, "hx-swap-oob") || same.seen() != path {
		t.Errorf("nothing has changed:\n%s", same.body)
	}
	w.checked(t, d.ID, false, findings()...) // the same at a later time
	if again := v.part(path); strings.Contains(again.body, "hx-swap-oob") {
		t.Errorf("only the time has changed:\n%s", again.body)
	}
	w.checked(t, d.ID, true, allRight()...)
	changed := v.part(path)
	changed.wants("Everything is right.", "Authorized", "2 of 2 required records are right")
	if strings.Count(changed.body, "hx-swap-oob") != 2 || strings.Contains(changed.body, "<html") || changed.seen() == path {
		t.Errorf("%s", changed.body)
	}
}

func TestADomainIsCheckedEachMinuteWhileSomebodyLooks(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "shop.example")
	w.checked(t, d.ID, false, findings()...)
	v := w.visitor(t, op, waypost.RoleViewer)
	began := time.Now().Truncate(time.Millisecond)
	v.open("/domains/" + d.ID)
	got, err := w.db.Store.Domain(t.Context(), op, d.ID)
	if err != nil || got.Next.Sub(got.Checked) != time.Minute || got.Looked.Before(began) {
		t.Fatalf("checked %s, looked %s, next %s, %v", got.Checked, got.Looked, got.Next, err)
	}
	v.part("/domains/" + d.ID)
	if again, err := w.db.Store.Domain(t.Context(), op, d.ID); err != nil || !again.Looked.Equal(got.Looked) {
		t.Errorf("a page that asks every few seconds writes each time: %s, %v", again.Looked, err)
	}
}

func TestTooManyChecksAreRefusedKindly(t *testing.T) {
	w := newWorld(t)
	a, b := w.operator(t, "Alpha"), w.operator(t, "Bravo")
	alpha, bravo := w.visitor(t, a, waypost.RoleAdmin), w.visitor(t, b, waypost.RoleAdmin)
	d := w.claim(t, a, "alpha.example")
	var got answer
	for range 40 {
		if got = alpha.post("/domains/" + d.ID + "/check"); got.status != http.StatusSeeOther {
			break
		}
	}
	got.wants("That was too many checks within a short time.", "alpha.example")
	if got.status != http.StatusTooManyRequests {
		t.Errorf("%d", got.status)
	}
	got = alpha.post("/domains", "domain", "second.example")
	got.wants("That was too many checks within a short time.")
	if got.status != http.StatusTooManyRequests || got.value("domain") != "second.example" {
		t.Errorf("%d, typed %q", got.status, got.value("domain"))
	}
	if got = bravo.post("/domains", "domain", "bravo.example"); got.status != http.StatusSeeOther {
		t.Errorf("another operator pays for it: %d %s", got.status, got.text())
	}
}

func TestALinkIsMadeForSoManyDays(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	d, other := w.claim(t, op, "shop.example"), w.claim(t, op, "other.example")
	v := w.visitor(t, op, waypost.RoleAdmin)
	for _, days := range []string{"", "0", "31", "-1", "many", nasty} {
		got := v.post("/domains/"+d.ID+"/link", "days", days)
		got.wants("Give a number of days from 1 to 30.")
		got.lacks("<script>alert")
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("%q: %d", days, got.status)
		}
	}
	made := v.post("/domains/"+d.ID+"/link", "days", "3").location()
	token, ok := strings.CutPrefix(made, "/domains/"+d.ID+"?link=")
	l, valid := w.options.LinkKeys.Read(token)
	if left := time.Until(l.Expires); !ok || !valid || l.DomainID != d.ID || l.OperatorID != op || left > 72*time.Hour || left < 71*time.Hour {
		t.Fatalf("%s: %+v", made, l)
	}
	page := v.open(made)
	page.wants("Your link", w.url+"/dns/"+token)
	w.stranger(t).open("/dns/" + token).wants("DNS records of shop.example")
	for name, path := range map[string]string{
		"the page of another domain": "/domains/" + other.ID + "?link=" + token, "one that is made up": "/domains/" + d.ID + "?link=https://evil.example/",
	} {
		if strings.Contains(v.open(path).text(), "Your link") {
			t.Errorf("%s shows a link", name)
		}
	}
	viewer := w.visitor(t, op, waypost.RoleViewer)
	if strings.Contains(viewer.open(made).text(), "Your link") {
		t.Error("a viewer is shown a link")
	}
}

func TestADomainIsRemovedAfterAQuestion(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "shop.example")
	v := w.visitor(t, op, waypost.RoleAdmin)
	v.open("/domains/" + d.ID).wants("Remove shop.example? Its senders stay in the list")
	if got := v.post("/domains/" + d.ID + "/remove"); got.location() != "/domains" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	v.open("/domains").wants("Removed.", "You have no domain here yet.")
	log, err := w.db.Store.AuditLog(t.Context(), op, "", 1)
	if err != nil || log[0].Action != "domain.remove" || log[0].Actor.Name != v.user.Login {
		t.Errorf("%+v, %v", log, err)
	}
	if got := v.get("/domains/" + d.ID); got.status != http.StatusNotFound {
		t.Errorf("%d", got.status)
	}
}

func TestAViewerSeesDomainsAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "shop.example")
	w.checked(t, d.ID, true, allRight()...)
	sender, err := w.accounts.AddSender(t.Context(), waypost.CommandLine(), op, account.NewSender{Address: "alarm@shop.example"})
	if err != nil {
		t.Fatal(err)
	}
	v := w.visitor(t, op, waypost.RoleViewer)
	for _, path := range []string{"/domains", "/domains/" + d.ID, "/senders/" + sender.ID} {
		page := v.open(path)
		page.wants("shop.example")
		page.lacks(`action="/domains`, `action="/senders`, "/remove", "/check")
	}
	for _, path := range []string{"/domains", "/domains/" + d.ID + "/check", "/domains/" + d.ID + "/link", "/domains/" + d.ID + "/remove"} {
		if got := v.post(path, "domain", "new.example", "days", "3"); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

func TestAPlatformWithoutADomainHasNothingToPublish(t *testing.T) {
	w := newWorld(t, func(o *panel.Options) {
		ring, err := secret.NewRing([]byte("0123456789abcdef0123456789abcdef"))
		if err != nil {
			t.Fatal(err)
		}
		o.Platform, o.Domains = route.Platform{}, sandboxed{}
		o.Accounts = account.New(account.Options{Store: o.Store, System: o.System.(account.System), Directory: o.Directory, Ring: ring})
	})
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "shop.example") // from when the platform had one
	v := w.visitor(t, op, waypost.RoleAdmin)
	page := v.open("/domains")
	page.wants("The platform has no domain of its own yet.", "shop.example")
	page.lacks(`action="/domains"`)
	got := v.post("/domains", "domain", "other.example")
	got.wants("The platform has no domain of its own yet.")
	if got.status != http.StatusUnprocessableEntity {
		t.Errorf("%d", got.status)
	}
	got = v.post("/domains/" + d.ID + "/check")
	got.wants("The platform has no domain of its own yet, so there is nothing to publish.")
	if got.status != http.StatusConflict {
		t.Errorf("%d", got.status)
	}
}

// sandboxed answers for a platform without a domain.
type sandboxed struct{}

func (sandboxed) CheckNow(context.Context, string, string) (store.CheckedDomain, error) {
	return store.CheckedDomain{}, waypost.NewError(waypost.Conflict, "sandbox", "the built-in gateway is a sandbox")
}

func TestOneSentenceSaysWhatMailLeavesAs(t *testing.T) {
	w := supported(t, false)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	says := func(want string) {
		t.Helper()
		v.open("/domains").wants(want)
	}
	add := func(n account.NewSender) waypost.Sender {
		t.Helper()
		s, err := w.accounts.AddSender(t.Context(), waypost.CommandLine(), op, n)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	as := "Mail leaves as Fleet <no-reply@platform.example>, because "
	says("because no own address has been added yet.")
	add(account.NewSender{Address: "*@shop.example"})
	says("because none of your addresses is the default one.")
	s := add(account.NewSender{Address: "alarm@shop.example", Name: "Fleet", Default: true})
	says(as + "the domain shop.example is not authorized yet.")
	d := w.claim(t, op, "shop.example")
	w.checked(t, d.ID, true, allRight()...)
	says("Mail leaves as Fleet <alarm@shop.example>.")
	v.open("/domains").wants("1 Prove Done", "2 Authorize Done", "3 Use it Done", "Used on the built-in gateway.")
	if _, err := w.accounts.RejectSender(t.Context(), waypost.CommandLine(), s.ID, "Not yours."); err != nil {
		t.Fatal(err)
	}
	says(as + "the platform's support rejected alarm@shop.example.")
	waiting := add(account.NewSender{Address: "other@shop.example", Name: "Fleet", Default: true})
	says(as + "other@shop.example waits for the approval of the platform's support.")
	if _, err := w.accounts.AssignSender(t.Context(), waypost.CommandLine(), waiting); err != nil {
		t.Fatal(err)
	}
	if err := w.accounts.RemoveDomain(t.Context(), waypost.CommandLine(), op, d.ID); err != nil {
		t.Fatal(err)
	}
	says(as + "the domain shop.example is not authorized any more.")
	if _, err := w.accounts.SaveEmail(t.Context(), waypost.CommandLine(), op, account.Update{
		From: "Fleet <other@shop.example>", Gateway: &account.GatewayUpdate{Type: waypost.GatewaySMTP, Host: "mail.shop.example", Port: 587, Security: waypost.SecurityStartTLS},
	}); err != nil {
		t.Fatal(err)
	}
	says("Mail leaves through your own SMTP server as Fleet <other@shop.example>.")
}

func TestTheHistoryOfADomainIsToldInPlainWords(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "shop.example")
	v := w.visitor(t, op, waypost.RoleViewer)
	at := time.Now().Add(time.Minute)
	event := func(kind waypost.DomainEventType, actor, detail string) waypost.DomainEvent {
		at = at.Add(time.Second)
		return waypost.DomainEvent{OperatorID: op, DomainID: d.ID, Name: d.Name, Type: kind, Actor: actor, Detail: detail, At: at}
	}
	read, err := w.db.System.AnyDomain(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	save := store.DomainCheck{CheckedDomain: read, Before: read.Checked, Events: []waypost.DomainEvent{
		event(waypost.DomainProven, "policy", "the record of the operator that had proven it before is gone"),
		event(waypost.DomainAuthorized, "policy", ""),
		event(waypost.DomainDrifted, "policy", "the SPF record is missing"),
		event(waypost.DomainMended, "policy", "the SPF record is right again"),
		event(waypost.DomainLapsed, "policy", "the DKIM record that mail is signed with is gone"),
		event(waypost.DomainSenderAdded, "credential:1", "alarm@shop.example"),
		event(waypost.DomainSenderRejected, "user:1", "alarm@shop.example: "+nasty),
		event("from_the_future", "policy", nasty),
	}}
	save.Checked = time.Now()
	if _, err := w.db.System.SaveDomainCheck(t.Context(), save); err != nil {
		t.Fatal(err)
	}
	page := v.open("/domains/" + d.ID)
	page.lacks("<script>alert")
	page.wants("The domain was added. (by the platform)", "The domain was proven. The record of the operator that had proven it before is gone.",
		"The domain is authorized; its addresses are used.", "SPF: not right any more (Missing).", "SPF: right again.",
		"mail leaves with the platform's address. The DKIM record that mail is signed with is gone.",
		"The sender alarm@shop.example was added. (through the API)", "The sender alarm@shop.example was rejected: "+strings.Join(strings.Fields(nasty), " "),
		"from_the_future")
	for i := range 12 {
		if _, err := w.accounts.AddSender(t.Context(), waypost.CommandLine(), op, account.NewSender{Address: fmt.Sprintf("a%d@shop.example", i)}); err != nil {
			t.Fatal(err)
		}
	}
	page = v.open("/domains/" + d.ID)
	_, rest, _ := strings.Cut(page.body, `rel="next" href="`)
	next, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatal("there is no next page of the history")
	}
	if older := v.open(strings.ReplaceAll(next, "&amp;", "&")); strings.Contains(older.text(), "a11@shop.example was added") {
		t.Error("the next page begins anew")
	}
}
