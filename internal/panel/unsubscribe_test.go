package panel_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/unsubscribe"
	"github.com/waypost/waypost/internal/waypost"
)

// withLinks is a world in which people unsubscribe.
func withLinks(t testing.TB) *world {
	t.Helper()
	ring, err := secret.NewRing([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	return newWorld(t, func(o *panel.Options) {
		o.Unsubscribe = unsubscribe.Links{Base: "https://mail.example.com", Sealer: ring}
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
}

// optOut is the path of a link for anna@customers.example and event mail.
func (w *world) optOut(operatorID string, change ...func(*unsubscribe.Link)) string {
	l := unsubscribe.Link{OperatorID: operatorID, MessageID: waypost.NewID(), Kind: waypost.KindEvent, Address: "anna@customers.example"}
	for _, f := range change {
		f(&l)
	}
	return unsubscribe.Path + w.options.Unsubscribe.Token(l)
}

// suppressed lists an operator's suppressions as "address reason kind via".
func (w *world) suppressed(t testing.TB, operatorID string) string {
	t.Helper()
	found, _, err := w.db.Store.Suppressions(t.Context(), operatorID, store.SuppressionFilter{}, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, n := range found {
		list = append(list, strings.Join([]string{n.Address, string(n.Reason), string(n.Kind), string(n.Via)}, " "))
	}
	return strings.Join(list, ", ")
}

// click is what a mail program does (RFC 8058 section 3.2): a request without cookies, in
// one of the two encodings.
func click(t testing.TB, address string, form bool) *http.Response {
	t.Helper()
	var res *http.Response
	var err error
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if form {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		if err := w.WriteField("List-Unsubscribe", "One-Click"); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		res, err = client.Post(address, w.FormDataContentType(), &body)
	} else {
		res, err = client.PostForm(address, url.Values{"List-Unsubscribe": {"One-Click"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

const oneClicked = "anna@customers.example unsubscribe event one_click"

func TestOneClickUnsubscribes(t *testing.T) {
	for name, form := range map[string]bool{"multipart": true, "urlencoded": false} {
		t.Run(name, func(t *testing.T) {
			w := withLinks(t)
			op, other := w.operator(t, "Acme"), w.operator(t, "Other")
			path := w.optOut(op)
			for range 3 { // as often as it likes
				res := click(t, w.url+path, form)
				if res.StatusCode != http.StatusOK || len(res.Cookies()) != 0 || res.Header.Get("Location") != "" {
					t.Fatalf("%s, %v", res.Status, res.Header)
				}
			}
			if got := w.suppressed(t, op); got != oneClicked {
				t.Error(got)
			}
			if got := w.suppressed(t, other); got != "" {
				t.Errorf("of another operator: %s", got)
			}
			if log := w.log.String(); strings.Contains(log, "anna@") || strings.Contains(log, "127.0.0.1") {
				t.Errorf("the log tells who it was: %s", log)
			}
			// The next event mail stops, within this process at once.
			m := w.send(t, op, "Anna@Customers.example", "Zone left")
			found, err := w.db.Store.Message(t.Context(), op, m)
			if err != nil || found.Deliveries[0].State != waypost.Suppressed || found.Deliveries[0].Reason != "unsubscribe" {
				t.Errorf("%+v, %v", found.Deliveries, err)
			}
		})
	}
}

func TestLookingAtALinkChangesNothing(t *testing.T) {
	w := withLinks(t)
	op := w.operator(t, "Acme & Söhne")
	path := w.optOut(op)
	v := w.stranger(t)
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		if got := v.do(method, path, nil); got.status != http.StatusOK || len(got.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d %v", method, got.status, got.header)
		}
	}
	page := v.open(path)
	page.wants("Acme & Söhne", "Do you want to stop notifications about events from Acme & Söhne to a…@customers.example?", "Unsubscribe")
	page.lacks("anna@", "Fleetmail", op)
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow, noarchive", "X-Content-Type-Options": "nosniff",
	} {
		if got := page.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self'") || strings.Contains(policy, "unsafe") {
		t.Error(policy)
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodOptions} {
		v.do(method, path, nil)
	}
	// Nor does a request that says something else.
	for _, body := range []string{"", "List-Unsubscribe=Two-Clicks", "List-Unsubscribe=", "x=y", "List-Unsubscribe=One-Click" + strings.Repeat("x", 10000), "%zz"} {
		if got := v.do(http.MethodPost, path, strings.NewReader(body), "Content-Type", "application/x-www-form-urlencoded"); got.status < 400 {
			t.Errorf("%.40q: %d", body, got.status)
		}
	}
	if got := v.do(http.MethodPost, path+"?List-Unsubscribe=One-Click", nil); got.status != http.StatusBadRequest {
		t.Errorf("said in the address: %d", got.status)
	}
	if got := w.suppressed(t, op); got != "" {
		t.Error(got)
	}
}

func TestAPersonUnsubscribesAndComesBack(t *testing.T) {
	w := withLinks(t)
	op := w.operator(t, "Acme")
	path := w.optOut(op)
	// Browsers say nothing of where a form comes from that is on such a page.
	send := func(path, form string) answer {
		return w.stranger(t).do(http.MethodPost, path, strings.NewReader(form), "Content-Type", "application/x-www-form-urlencoded", "Origin", "null", "Sec-Fetch-Site", "same-origin")
	}
	if err := w.db.Store.AddSuppression(t.Context(), waypost.CommandLine(), op, waypost.Suppression{Address: "anna@customers.example", Reason: waypost.SuppressedComplaint}); err != nil {
		t.Fatal(err)
	}
	done := send(path, "unsubscribe=yes")
	done.wants("You are unsubscribed", "Acme sends no more notifications about events to a…@customers.example.", "That was a mistake: subscribe again")
	if got := w.suppressed(t, op); got != "anna@customers.example complaint  command, anna@customers.example unsubscribe event page" {
		t.Error(got)
	}
	if !strings.Contains(done.body, `action="`+path+`/back"`) {
		t.Error("no way back")
	}
	for range 2 {
		send(path+"/back", "").wants("You are subscribed again", "is withdrawn")
	}
	if got := w.suppressed(t, op); got != "anna@customers.example complaint  command" {
		t.Errorf("the way back lifts %s", got)
	}
	admin := w.visitor(t, op, waypost.RoleAdmin)
	admin.open("/audit").wants("Subscribed again", "Recipient of mail", "anna@customers.example")
	send(path, "unsubscribe=yes")
	admin.open("/suppressions?kind=event").wants("anna@customers.example", "Event notification", "On the page to unsubscribe", "Show the mail")
	admin.open("/suppressions?kind=report").wants("Nothing found")
	if got := admin.post("/suppressions/remove", "address", "anna@customers.example", "reason", "unsubscribe", "kind", "event"); got.location() != "/suppressions" {
		t.Errorf("%d %s", got.status, got.text())
	}
}

func TestALinkOfATestMailChangesNothing(t *testing.T) {
	w := withLinks(t)
	op := w.operator(t, "Acme")
	path := w.optOut(op, func(l *unsubscribe.Link) { l.Test = true })
	if res := click(t, w.url+path, true); res.StatusCode != http.StatusOK {
		t.Error(res.Status)
	}
	w.stranger(t).post(path, "unsubscribe", "yes").wants("This link is from a test message, so nothing was changed.")
	if got := w.suppressed(t, op); got != "" {
		t.Error(got)
	}
}

func TestAForgedLinkTellsNothing(t *testing.T) {
	w := withLinks(t)
	op := w.operator(t, "Acme")
	good := w.optOut(op)
	v := w.stranger(t)
	first := v.get("/u/nothing")
	first.wants("This link does not work")
	first.lacks("Acme", "Fleetmail", "<form")
	for i, path := range []string{"/u/" + strings.Repeat("A", 138), good[:len(good)-2], good + "x"} {
		peer := "192.0.2." + string(rune('1'+i))
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			got := v.do(method, path, strings.NewReader("List-Unsubscribe=One-Click"), "Content-Type", "application/x-www-form-urlencoded", "X-Forwarded-For", peer)
			if got.status != http.StatusNotFound || got.text() != first.text() {
				t.Errorf("%s %s: %d %s", method, path, got.status, got.text())
			}
		}
	}
	if got := w.suppressed(t, op); got != "" {
		t.Error(got)
	}
	status := 0
	for range 30 {
		status = v.get("/u/nothing").status
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("guessed thirty times: %d", status)
	}
	if got := v.get(good); got.status != http.StatusOK { // who has a link is let in all the same
		t.Errorf("a good one afterwards: %d", got.status)
	}
}

func TestAMailProgramOfManyIsNotStoppedButOnePersonIs(t *testing.T) {
	w := withLinks(t)
	op := w.operator(t, "Acme")
	for i := range 100 {
		path := w.optOut(op, func(l *unsubscribe.Link) {
			l.Address = string(rune('a'+i%26)) + string(rune('a'+i/26)) + "@customers.example"
		})
		if res := click(t, w.url+path, false); res.StatusCode != http.StatusOK {
			t.Fatalf("person %d: %s", i, res.Status)
		}
	}
	path, status := w.optOut(op), 0
	for range 12 {
		status = click(t, w.url+path, false).StatusCode
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("said twelve times: %d", status)
	}
}

func TestLinksOfOperatorsThatAreGoneOrSuspended(t *testing.T) {
	w := withLinks(t)
	gone := w.optOut(waypost.NewID())
	v := w.stranger(t)
	if got := v.get(gone); got.status != http.StatusGone {
		t.Errorf("%d", got.status)
	} else {
		got.wants("Nothing left to unsubscribe from")
	}
	if res := click(t, w.url+gone, true); res.StatusCode != http.StatusOK {
		t.Errorf("one click: %s", res.Status)
	}
	op := w.operator(t, "Acme")
	if _, err := w.accounts.Suspend(t.Context(), waypost.CommandLine(), op); err != nil {
		t.Fatal(err)
	}
	if res := click(t, w.url+w.optOut(op), true); res.StatusCode != http.StatusOK || w.suppressed(t, op) != oneClicked {
		t.Errorf("suspended: %s, %s", res.Status, w.suppressed(t, op))
	}
}

func TestThePageToUnsubscribeSpeaksTheLanguageOfWhoReads(t *testing.T) {
	w := withLinks(t)
	path := w.optOut(w.operator(t, "Acme"))
	for accept, want := range map[string]string{
		"es-MX": "¿Quiere dejar de recibir notificaciones de eventos de Acme", "pt-BR": "Deseja deixar de receber", "ru": "Больше не получать уведомления о событиях", "ja": "Do you want to stop",
	} {
		w.stranger(t).do(http.MethodGet, path, nil, "Accept-Language", accept).wants(want)
	}
	w.stranger(t).get(path + "?lang=ru").wants("Отписаться")
}
