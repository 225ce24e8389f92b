package submit_test

import (
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/submit"
	"github.com/waypost/waypost/internal/unsubscribe"
	"github.com/waypost/waypost/internal/waypost"
)

const fleet = "01900000-0000-7000-8000-00000000f1ee"

// withLinks is a world whose mails can offer to unsubscribe, with an operator fleet.
func withLinks(t testing.TB) (*world, unsubscribe.Links) {
	t.Helper()
	ring, err := secret.NewRing([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	links := unsubscribe.Links{Base: "https://mail.platform.test", Sealer: ring}
	w := newWorld(t, func(o *submit.Options) { o.Links = links })
	w.accounts[fleet] = newAccount(fleet)
	w.accounts[waypost.PlatformOperatorID] = newAccount(waypost.PlatformOperatorID)
	return w, links
}

// fleetMail is a mail of operator fleet.
func fleetMail(kind waypost.Kind, fields ...string) waypost.Submission {
	s := submission(fields...)
	s.Principal.OperatorID, s.Kind, s.Principal.Scopes = fleet, kind, waypost.AllScopes()
	return s
}

func (w *world) storedHeader(id string) *message.Header {
	w.t.Helper()
	h, err := message.ParseHeader(w.stored(id).Header, message.Limits{})
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// offered is what the link in a stored mail stands for.
func (w *world) offered(links unsubscribe.Links, id string) (unsubscribe.Link, bool) {
	w.t.Helper()
	h := w.storedHeader(id)
	value := h.Get("List-Unsubscribe")
	if value == "" && h.Count("List-Unsubscribe-Post") == 0 {
		return unsubscribe.Link{}, false
	}
	if h.Get("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click" || h.Count("List-Unsubscribe") != 1 || !links.Made(value) {
		w.t.Errorf("half an offer: %q", h.Bytes())
	}
	link, ok := links.Read(strings.TrimSuffix(strings.TrimPrefix(value, "<"+links.Base+unsubscribe.Path), ">"))
	return link, ok
}

func TestMailOffersToUnsubscribeFromItsKind(t *testing.T) {
	w, links := withLinks(t)
	yes, no := true, false
	for _, tt := range []struct {
		kind   waypost.Kind
		said   *bool
		fields []string
		want   bool
	}{
		{kind: waypost.KindEvent, want: true},
		{kind: waypost.KindReport, want: true},
		{kind: waypost.KindOther},
		{kind: waypost.KindBalance},
		{kind: waypost.KindSecurity},
		{kind: waypost.KindEvent, said: &no},
		{kind: waypost.KindOther, said: &yes, want: true},
		{kind: waypost.KindBalance, said: &yes},
		{kind: waypost.KindSecurity, said: &yes},
		{kind: waypost.KindEvent, fields: []string{"X-Waypost-Unsubscribe: no"}},
		{kind: waypost.KindOther, fields: []string{"X-Waypost-Unsubscribe: YES"}, want: true},
		{kind: waypost.KindSecurity, fields: []string{"X-Waypost-Unsubscribe: yes"}},
		{kind: waypost.KindOther, said: &no, fields: []string{"X-Waypost-Unsubscribe: yes"}},
	} {
		s := fleetMail(tt.kind, tt.fields...)
		s.Unsubscribe, s.Recipients = tt.said, []string{"Someone@Example.test"}
		r := w.mustAccept(s)
		got, ok := w.offered(links, r.ID)
		want := unsubscribe.Link{OperatorID: fleet, MessageID: r.ID, Kind: tt.kind, Address: "someone@example.test"}
		if ok != tt.want || ok && got != want {
			t.Errorf("%s %v: %+v, %v", tt.kind, tt.fields, got, ok)
		}
		if w.storedHeader(r.ID).Count("X-Waypost-Unsubscribe") != 0 {
			t.Error("the control leaves the house")
		}
	}
}

func TestMailThatIsNotForOneRecipientOrSaysItselfOffersNothing(t *testing.T) {
	w, links := withLinks(t)
	two := fleetMail(waypost.KindEvent)
	two.Recipients = append(two.Recipients, "another@example.test")
	platform := fleetMail(waypost.KindEvent)
	platform.Principal.OperatorID = waypost.PlatformOperatorID
	for name, s := range map[string]waypost.Submission{"two recipients": two, "the platform's own": platform} {
		if got, ok := w.offered(links, w.mustAccept(s).ID); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, own := range [][]string{
		{"List-Unsubscribe: <mailto:stop@op.test>"},
		{"List-Unsubscribe: <https://op.test/stop>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"},
		{"List-Unsubscribe-Post: List-Unsubscribe=One-Click"},
	} {
		h := w.storedHeader(w.mustAccept(fleetMail(waypost.KindEvent, own...)).ID)
		for _, field := range own {
			name, value, _ := strings.Cut(field, ": ")
			if h.Get(name) != value || h.Count(name) != 1 {
				t.Errorf("%v became %q", own, h.Bytes())
			}
		}
		if len(own) == 1 && h.Count("List-Unsubscribe")+h.Count("List-Unsubscribe-Post") != 1 {
			t.Errorf("%v became %q", own, h.Bytes())
		}
	}
}

func TestMailOfATestKeySaysSoInItsLink(t *testing.T) {
	w, links := withLinks(t)
	s := fleetMail(waypost.KindEvent)
	s.Principal.Test = true
	if got, ok := w.offered(links, w.mustAccept(s).ID); !ok || !got.Test {
		t.Errorf("%+v, %v", got, ok)
	}
}

func TestMailSentAgainUnsubscribesWhoItGoesTo(t *testing.T) {
	w, links := withLinks(t)
	first := w.stored(w.mustAccept(fleetMail(waypost.KindEvent)).ID)
	again := fleetMail(waypost.KindEvent)
	again.Recipients, again.Again = []string{"colleague@example.test"}, &waypost.Again{Of: first.ID, By: waypost.CommandLine()}
	again.Message = append(append([]byte(nil), first.Header...), first.Body...)
	if got, ok := w.offered(links, w.mustAccept(again).ID); !ok || got.Address != "colleague@example.test" {
		t.Errorf("to a colleague: %+v, %v", got, ok)
	}
	again.Recipients = []string{"colleague@example.test", "another@example.test"}
	if got, ok := w.offered(links, w.mustAccept(again).ID); ok {
		t.Errorf("to two: %+v", got)
	}
}

func TestWhoUnsubscribedFromOneKindGetsTheOthers(t *testing.T) {
	w := newWorld(t, nil)
	w.accounts["op"].Suppressions = true
	if err := w.db.Store.Unsubscribe(t.Context(), waypost.Suppression{OperatorID: "op", Address: "someone@example.test", Kind: waypost.KindReport}); err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[waypost.Kind]waypost.State{
		waypost.KindReport: waypost.Suppressed, waypost.KindEvent: waypost.Queued, waypost.KindBalance: waypost.Queued,
		waypost.KindOther: waypost.Queued, waypost.KindSecurity: waypost.Queued,
	} {
		s := submission()
		s.Kind, s.Principal.Scopes = kind, waypost.AllScopes()
		got := w.mustAccept(s).Deliveries[0]
		if got.Status != want || (got.Reason == "unsubscribe") != (want == waypost.Suppressed) {
			t.Errorf("%s: %+v", kind, got)
		}
	}
}
