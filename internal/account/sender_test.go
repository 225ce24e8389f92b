package account_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

func (w *world) addSender(t testing.TB, operatorID string, n account.NewSender) waypost.Sender {
	t.Helper()
	s, err := w.AddSender(t.Context(), waypost.CommandLine(), operatorID, n)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := w.store.Sender(t.Context(), operatorID, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stored, s); diff != "" {
		t.Errorf("what is returned is not what is kept:\n%s", diff)
	}
	return s
}

// defaults lists the default senders; there may be one at most.
func (w *world) defaults(t testing.TB, operatorID string) []string {
	t.Helper()
	var list []string
	for _, s := range w.get(t, operatorID).Senders {
		if s.Default {
			list = append(list, s.Address)
		}
	}
	return list
}

func TestAddSenderKeepsOneFormOfAnAddress(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, waypost.ProductServermate)
	for address, want := range map[string]string{
		" Alarm@Sender.TEST ": "alarm@sender.test",
		"a@b\u00fccher.test":  "a@xn--bcher-kva.test",
		"*@Sender.test":       "*@sender.test",
		"*@b\u00fccher.test":  "*@xn--bcher-kva.test",
		"a+b@sender.test":     "a+b@sender.test",
		"**@sender.test":      "**@sender.test", // an address like others, not a wildcard
		"a@mail.sender.test":  "a@mail.sender.test",
	} {
		s := w.addSender(t, op, account.NewSender{Address: address, Name: "  Fleet  "})
		if s.Address != want || s.Name != "Fleet" || s.State != waypost.SenderRequested || s.Default {
			t.Errorf("%q: %+v", address, s)
		}
	}
	for _, again := range []string{"ALARM@sender.test", "a@xn--bcher-kva.test", "A@B\u00dcCHER.test", "*@SENDER.test", "*@xn--bcher-kva.test"} {
		if _, err := w.AddSender(t.Context(), waypost.CommandLine(), op, account.NewSender{Address: again}); waypost.KindOf(err) != waypost.Conflict {
			t.Errorf("%q: %v", again, err)
		}
	}
}

func TestAddSenderRefusesWhatIsNoAddress(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, waypost.ProductServermate)
	for _, tc := range []struct {
		n    account.NewSender
		want []string
	}{
		{account.NewSender{}, []string{"address"}},
		{account.NewSender{Address: "sender.test"}, []string{"address"}},
		{account.NewSender{Address: "@sender.test"}, []string{"address"}},
		{account.NewSender{Address: "a@"}, []string{"address"}},
		{account.NewSender{Address: "a b@sender.test"}, []string{"address"}},
		{account.NewSender{Address: "a@sender..test"}, []string{"address"}},
		{account.NewSender{Address: "a\r\n@sender.test"}, []string{"address"}},
		{account.NewSender{Address: "Fleet <a@sender.test>"}, []string{"address"}},
		{account.NewSender{Address: "a@sender.test, b@sender.test"}, []string{"address"}},
		{account.NewSender{Address: strings.Repeat("a", 65) + "@sender.test"}, []string{"address"}},
		{account.NewSender{Address: "*"}, []string{"address"}},
		{account.NewSender{Address: "*@"}, []string{"address"}},
		{account.NewSender{Address: "*@*"}, []string{"address"}},
		{account.NewSender{Address: "*@test"}, []string{"address"}},
		{account.NewSender{Address: "*@*.sender.test"}, []string{"address"}},
		{account.NewSender{Address: "*@a@sender.test"}, []string{"address"}},
		{account.NewSender{Address: "*@sender.test\r\nx"}, []string{"address"}},
		{account.NewSender{Address: "*@sender.test", Default: true}, []string{"default"}},
		{account.NewSender{Address: "a@sender.test", Name: "x\r\nBcc: y"}, []string{"name"}},
		{account.NewSender{Address: "a@sender.test", Name: "x\u202ey"}, []string{"name"}},
		{account.NewSender{Address: "a@sender.test", Name: "\xff"}, []string{"name"}},
		{account.NewSender{Address: "a@sender.test", Name: strings.Repeat("\u00fc", 201)}, []string{"name"}},
		{account.NewSender{Address: "x", Name: "\x00"}, []string{"address", "name"}},
	} {
		_, err := w.AddSender(t.Context(), waypost.CommandLine(), op, tc.n)
		if diff := cmp.Diff(tc.want, fields(err)); diff != "" {
			t.Errorf("%.80q: %v", tc.n.Address, err)
		}
	}
	if n := len(w.get(t, op).Senders); n != 0 {
		t.Errorf("%d were added", n)
	}
	w.addSender(t, op, account.NewSender{Address: "a@sender.test", Name: strings.Repeat("\u00fc", 200)})
}

func TestASenderAtAnAuthorizedDomainIsAssigned(t *testing.T) {
	w := newWorld(t)
	op, other := w.operator(t, waypost.ProductServermate), w.operator(t, waypost.ProductServermate)
	d := w.authorize(t, w.claim(t, op, "b\u00fccher.test"), true)
	for address, want := range map[string]waypost.SenderState{
		"a@b\u00fccher.test":      waypost.SenderAssigned,
		"*@xn--bcher-kva.test":    waypost.SenderAssigned,
		"a@mail.b\u00fccher.test": waypost.SenderRequested, // a domain of its own
		"a@xb\u00fccher.test":     waypost.SenderRequested,
		"*@other.test":            waypost.SenderRequested,
	} {
		s := w.addSender(t, op, account.NewSender{Address: address})
		if s.State != want || s.Decided.IsZero() == (want == waypost.SenderAssigned) {
			t.Errorf("%s: %+v", address, s)
		}
	}
	if s := w.addSender(t, other, account.NewSender{Address: "a@b\u00fccher.test"}); s.State != waypost.SenderRequested {
		t.Errorf("at a domain of somebody else: %+v", s)
	}
	w.authorize(t, d, false)
	if s := w.addSender(t, op, account.NewSender{Address: "b@b\u00fccher.test"}); s.State != waypost.SenderRequested {
		t.Errorf("at a domain that is proven only: %+v", s)
	}
}

func TestTheOwnerMayWantToApproveSenders(t *testing.T) {
	w := newWorld(t)
	w.Service = account.New(account.Options{
		Store: w.store, System: w.system, Directory: w.dir, Ring: w.ring, ApproveSenders: true,
		Platform: route.Platform{Domain: "platform.example", From: waypost.Address{Email: "no-reply@platform.example"}},
	})
	op := w.operator(t, waypost.ProductServermate)
	w.authorize(t, w.claim(t, op, "sender.test"), true)
	if s := w.addSender(t, op, account.NewSender{Address: "a@sender.test"}); s.State != waypost.SenderRequested || !s.Decided.IsZero() {
		t.Errorf("%+v", s)
	}
}

func TestThereIsOneDefaultSender(t *testing.T) {
	w := newWorld(t)
	op, other := w.operator(t, waypost.ProductServermate), w.operator(t, waypost.ProductServermate)
	want := func(list ...string) {
		t.Helper()
		if got := w.defaults(t, op); !slices.Equal(got, list) {
			t.Errorf("default: %v, want %v", got, list)
		}
	}
	foreign := w.addSender(t, other, account.NewSender{Address: "x@sender.test", Default: true})
	a := w.addSender(t, op, account.NewSender{Address: "a@sender.test"})
	want()
	b := w.addSender(t, op, account.NewSender{Address: "b@sender.test", Default: true})
	want("b@sender.test")
	w.addSender(t, op, account.NewSender{Address: "c@sender.test", Default: true})
	want("c@sender.test")
	if s, err := w.ChangeSender(t.Context(), waypost.CommandLine(), op, a.ID, nil, true); err != nil || !s.Default || s.Name != "" {
		t.Errorf("%+v, %v", s, err)
	}
	want("a@sender.test")
	if _, err := w.AddSender(t.Context(), waypost.CommandLine(), op, account.NewSender{Address: "B@sender.test", Default: true}); waypost.KindOf(err) != waypost.Conflict {
		t.Errorf("%v", err)
	}
	want("a@sender.test") // a refusal moves nothing
	wild := w.addSender(t, op, account.NewSender{Address: "*@sender.test"})
	if _, err := w.ChangeSender(t.Context(), waypost.CommandLine(), op, wild.ID, nil, true); !slices.Equal(fields(err), []string{"default"}) {
		t.Errorf("%v", err)
	}
	if _, err := w.ChangeSender(t.Context(), waypost.CommandLine(), op, foreign.ID, nil, true); waypost.KindOf(err) != waypost.NotFound {
		t.Errorf("%v", err)
	}
	want("a@sender.test")
	if err := w.RemoveSender(t.Context(), waypost.CommandLine(), op, b.ID); err != nil {
		t.Fatal(err)
	}
	want("a@sender.test")
	if err := w.RemoveSender(t.Context(), waypost.CommandLine(), op, a.ID); err != nil {
		t.Fatal(err)
	}
	want()
	if got := w.defaults(t, other); !slices.Equal(got, []string{"x@sender.test"}) {
		t.Errorf("of the other: %v", got)
	}
}

func TestChangeSenderChangesTheName(t *testing.T) {
	w := newWorld(t)
	op, other := w.operator(t, waypost.ProductServermate), w.operator(t, waypost.ProductServermate)
	s := w.addSender(t, op, account.NewSender{Address: "a@sender.test", Name: "Old", Default: true})
	name := func(s string) *string { return &s }
	for given, want := range map[string]string{" New ": "New", "": "", "B\u00fcro": "B\u00fcro"} {
		got, err := w.ChangeSender(t.Context(), waypost.CommandLine(), op, s.ID, name(given), false)
		if err != nil || got.Name != want || !got.Default || got.Address != s.Address || got.State != s.State {
			t.Errorf("%q: %+v, %v", given, got, err)
		}
		if senders := w.get(t, op).Senders; senders[0].Name != want {
			t.Errorf("not used at once: %+v", senders)
		}
	}
	for _, bad := range []string{"a\nb", "a\u2028b", strings.Repeat("x", 201)} {
		if _, err := w.ChangeSender(t.Context(), waypost.CommandLine(), op, s.ID, name(bad), false); !slices.Equal(fields(err), []string{"name"}) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, c := range []struct{ operator, id string }{{other, s.ID}, {op, "unknown"}} {
		if _, err := w.ChangeSender(t.Context(), waypost.CommandLine(), c.operator, c.id, name("x"), false); waypost.KindOf(err) != waypost.NotFound {
			t.Errorf("%v", err)
		}
		if err := w.RemoveSender(t.Context(), waypost.CommandLine(), c.operator, c.id); waypost.KindOf(err) != waypost.NotFound {
			t.Errorf("%v", err)
		}
	}
}

func TestSendersAreBounded(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, waypost.ProductServermate)
	for n := range 1000 {
		s := waypost.Sender{ID: waypost.NewID(), OperatorID: op, Address: fmt.Sprintf("a%d@sender.test", n), State: waypost.SenderRequested}
		if err := w.store.AddSender(t.Context(), waypost.CommandLine(), op, s, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.AddSender(t.Context(), waypost.CommandLine(), op, account.NewSender{Address: "more@sender.test"})
	if waypost.KindOf(err) != waypost.Conflict || waypost.AsError(err).Code != "too_many_senders" {
		t.Errorf("%v", err)
	}
	if err := w.RemoveSender(t.Context(), waypost.CommandLine(), op, w.get(t, op).Senders[0].ID); err != nil {
		t.Fatal(err)
	}
	w.addSender(t, op, account.NewSender{Address: "more@sender.test"})
}
