package storetest_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

func newOperator(t *testing.T, db *storetest.DB, product waypost.Product) waypost.Operator {
	t.Helper()
	o, err := db.System.CreateOperator(t.Context(), waypost.CommandLine(), waypost.Operator{Name: "Operator", Product: product, Contact: "boss@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAnOperatorStartsWithWhatItsProductAllows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		for product, want := range map[waypost.Product]waypost.GatewayType{
			waypost.ProductServermate: waypost.GatewayBuiltin, waypost.ProductCloud: "", waypost.ProductOnPremise: "",
		} {
			o := newOperator(t, db, product)
			if o.Gateway != want || o.ID == "" || o.Uncertain != waypost.UncertainRetry {
				t.Errorf("%+v", o)
			}
			got, err := db.Store.Operator(t.Context(), o.ID)
			if diff := cmp.Diff(o, got); diff != "" || err != nil {
				t.Error(diff, err)
			}
		}
		allowed, err := db.Store.Allowed(t.Context(), waypost.ProductCloud)
		if diff := cmp.Diff(map[waypost.GatewayType]bool{"builtin": false, "smtp": true}, allowed); diff != "" || err != nil {
			t.Error(diff, err)
		}
		_, err = db.System.CreateOperator(t.Context(), waypost.CommandLine(), waypost.Operator{Product: "toaster"})
		wantKind(t, err, waypost.Invalid)
		_, err = db.System.CreateOperator(t.Context(), waypost.CommandLine(), waypost.Operator{Product: waypost.ProductCloud, ParentID: "nobody"})
		wantKind(t, err, waypost.Invalid)
		_, err = db.System.CreateOperator(t.Context(), waypost.CommandLine(), waypost.Operator{Product: waypost.ProductCloud, Gateway: waypost.GatewayBuiltin})
		wantKind(t, err, waypost.Forbidden)
		parent := newOperator(t, db, waypost.ProductCloud)
		child, err := db.System.CreateOperator(t.Context(), waypost.CommandLine(), waypost.Operator{
			Product: waypost.ProductCloud, Gateway: waypost.GatewaySMTP, ParentID: parent.ID,
		})
		if err != nil || child.Gateway != waypost.GatewaySMTP {
			t.Error(child, err)
		}
		_, err = db.System.CreateOperator(t.Context(), waypost.CommandLine(), child)
		wantKind(t, err, waypost.Conflict)
	})
}

func TestOperatorsAreListedInPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		for range 2 {
			if err := db.System.EnsurePlatform(t.Context(), "Platform"); err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]bool{waypost.PlatformOperatorID: true}
		for range 4 {
			want[newOperator(t, db, waypost.ProductCloud).ID] = true
		}
		got := map[string]bool{}
		for cursor := ""; ; {
			page, err := db.System.Operators(t.Context(), cursor, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page {
				got[o.ID] = true
			}
			if len(page) < 2 {
				break
			}
			cursor = page[1].ID
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		platform, err := db.Store.Operator(t.Context(), waypost.PlatformOperatorID)
		if err != nil || platform.Name != "Platform" || platform.Gateway != waypost.GatewayBuiltin {
			t.Error(platform, err)
		}
	})
}

func TestSaveOperatorWritesAllOrNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOperator(t, db, waypost.ProductServermate)
		want := o
		want.Name, want.Suspended, want.Contact, want.Uncertain, want.ReplyTo = "New", true, "", waypost.UncertainHold, "re@example.test"
		want.Signature = waypost.Signature{Text: "--\nGrüße", HTML: "<p>Grüße</p>"}
		err := db.Store.SaveOperator(t.Context(), waypost.CommandLine(), o.ID, func(o *waypost.Operator) error {
			*o = want
			o.ID, o.Created = "another", time.Time{} // these stay
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		no := errors.New("no")
		if err := db.Store.SaveOperator(t.Context(), waypost.CommandLine(), o.ID, func(o *waypost.Operator) error { o.Name = "x"; return no }); !errors.Is(err, no) {
			t.Error(err)
		}
		got, err := db.Store.Operator(t.Context(), o.ID)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
		wantKind(t, db.Store.SaveOperator(t.Context(), waypost.CommandLine(), "nobody", func(*waypost.Operator) error { return nil }), waypost.NotFound)
		_, err = db.Store.Operator(t.Context(), "nobody")
		wantKind(t, err, waypost.NotFound)
	})
}

func TestEmailSettingsAreSavedInOneStep(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		id := newOperator(t, db, waypost.ProductServermate).ID
		if r, err := db.Store.Relay(t.Context(), id); r != nil || err != nil {
			t.Fatal(r, err)
		}
		relay := &store.StoredRelay{
			Relay:  waypost.Relay{Host: "mail.example.test", Port: 587, Security: waypost.SecurityStartTLS, TrustAll: true, Username: "u"},
			Sealed: []byte("sealed"),
		}
		save := func(e store.EmailSettings) {
			t.Helper()
			if err := db.Store.SaveEmailSettings(t.Context(), waypost.CommandLine(), id, e); err != nil {
				t.Fatal(err)
			}
		}
		signature := waypost.Signature{Text: "t", HTML: "h"}
		save(store.EmailSettings{
			Gateway: waypost.GatewaySMTP, Relay: relay, DefaultSender: &waypost.Sender{Address: "Info@Example.test", Name: "Info"},
			ReplyTo: "re@example.test", Signature: signature,
		})
		o, err := db.Store.Operator(t.Context(), id)
		if err != nil || o.Gateway != waypost.GatewaySMTP || o.ReplyTo != "re@example.test" || o.Signature != signature || o.Contact == "" {
			t.Errorf("%+v, %v", o, err)
		}
		health := waypost.RelayHealth{
			OperatorID: id, FailingSince: storetest.Now(), Reason: "535 no", NextProbe: storetest.Now().Add(time.Minute), Probes: 3,
			NoticeSent: storetest.Now(),
		}
		if err := db.System.SetRelayHealth(t.Context(), health); err != nil {
			t.Fatal(err)
		}
		if n, err := db.System.RelaysFailing(t.Context()); n != 1 || err != nil {
			t.Error(n, err)
		}
		// Saving the same server again, or another gateway, keeps it and its health.
		save(store.EmailSettings{Gateway: waypost.GatewaySMTP, Relay: relay})
		save(store.EmailSettings{Gateway: waypost.GatewayBuiltin})
		want := *relay
		want.Health = health
		got, err := db.Store.Relay(t.Context(), id)
		if diff := cmp.Diff(&want, got, cmpopts.IgnoreFields(store.StoredRelay{}, "Updated")); diff != "" || err != nil || got.Updated.IsZero() {
			t.Fatal(diff, err)
		}
		for name, edit := range map[string]func(*store.StoredRelay){
			"host":     func(r *store.StoredRelay) { r.Host = "other.example.test" },
			"security": func(r *store.StoredRelay) { r.Security = waypost.SecurityTLS },
			"password": func(r *store.StoredRelay) { r.Sealed = []byte("another") },
			"none":     func(r *store.StoredRelay) { r.Sealed, r.Username = nil, "" },
		} {
			next := *relay
			edit(&next)
			save(store.EmailSettings{Relay: relay})
			if err := db.System.SetRelayHealth(t.Context(), health); err != nil {
				t.Fatal(err)
			}
			save(store.EmailSettings{Relay: &next})
			got, err := db.Store.Relay(t.Context(), id)
			if err != nil || got.Health.Failing() || got.Health.Probes != 0 || got.Relay != next.Relay || string(got.Sealed) != string(next.Sealed) {
				t.Errorf("after another %s: %+v, %v", name, got, err)
			}
		}
		wantKind(t, db.System.SetRelayHealth(t.Context(), waypost.RelayHealth{OperatorID: "nobody"}), waypost.NotFound)
		wantKind(t, db.Store.SaveEmailSettings(t.Context(), waypost.CommandLine(), "nobody", store.EmailSettings{Relay: relay}), waypost.NotFound)
		if r, err := db.Store.Relay(t.Context(), "nobody"); r != nil || err != nil {
			t.Error("half of the settings was saved")
		}
	})
}

// assign is the decision about a sender that is still requested.
func assign(db *storetest.DB, operatorID, address string) error {
	senders, err := db.Store.Senders(context.Background(), operatorID)
	if err != nil {
		return err
	}
	for _, s := range senders {
		if s.Address == address {
			s.State = waypost.SenderAssigned
			return db.System.DecideSender(context.Background(), waypost.CommandLine(), s, waypost.SenderRequested)
		}
	}
	return errors.New("no such sender")
}

func TestThereIsOneDefaultSender(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		id := newOperator(t, db, waypost.ProductServermate).ID
		for _, s := range []waypost.Sender{{Address: "a@example.test"}, {Address: "b@example.test", Name: "B"}, {Address: "A@example.test", Name: "A"}} {
			if err := db.Store.SaveEmailSettings(t.Context(), waypost.CommandLine(), id, store.EmailSettings{DefaultSender: &s}); err != nil {
				t.Fatal(err)
			}
			if s.Name == "B" {
				if err := assign(db, id, "a@example.test"); err != nil {
					t.Fatal(err)
				}
			}
		}
		senders, err := db.Store.Senders(t.Context(), id)
		if diff := cmp.Diff([]waypost.Sender{
			{OperatorID: id, Address: "a@example.test", Name: "A", State: waypost.SenderAssigned, Default: true},
			{OperatorID: id, Address: "b@example.test", Name: "B", State: waypost.SenderRequested},
		}, senders, cmpopts.IgnoreFields(waypost.Sender{}, "ID", "Created")); diff != "" || err != nil {
			t.Error(diff, err)
		}
	})
}

func TestCredentials(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		c := store.Credential{
			ID: waypost.NewID(), OperatorID: "op", Name: "tracker", Hint: "wp_live_ab", Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
			Scopes: waypost.DefaultScopes(), Test: true, DefaultKind: waypost.KindEvent, FromPolicy: waypost.FromRefuse, Created: storetest.Now(),
		}
		platform := store.Credential{ID: waypost.NewID(), Hint: "wp_plat", Scopes: waypost.AllScopes(), Created: storetest.Now()}
		for i, c := range []store.Credential{c, platform} {
			if err := db.System.CreateCredential(t.Context(), waypost.CommandLine(), c, []byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := db.System.CredentialByHash(t.Context(), []byte{0})
		compare := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
		if diff := cmp.Diff(&c, got, compare); diff != "" || err != nil {
			t.Error(diff, err)
		}
		if got, err := db.System.CredentialByHash(t.Context(), []byte("wrong")); got != nil || err != nil {
			t.Error(got, err)
		}
		for name, list := range map[string]func() ([]store.Credential, error){
			"operator": func() ([]store.Credential, error) { return db.Store.Credentials(t.Context(), "op") },
			"networks": func() ([]store.Credential, error) { return db.System.NetworkCredentials(t.Context()) },
			"one":      func() ([]store.Credential, error) { return db.System.AllCredentials(t.Context(), "op") },
		} {
			got, err := list()
			if diff := cmp.Diff([]store.Credential{c}, got, compare); diff != "" || err != nil {
				t.Error(name, diff, err)
			}
		}
		if got, err := db.System.PlatformCredentials(t.Context()); len(got) != 1 || got[0].ID != platform.ID || err != nil {
			t.Error(got, err)
		}
		if got, err := db.System.AllCredentials(t.Context(), ""); len(got) != 2 || err != nil {
			t.Error(got, err)
		}
		wantKind(t, db.System.CreateCredential(t.Context(), waypost.CommandLine(), store.Credential{ID: waypost.NewID()}, []byte{1}), waypost.Conflict)
		for range 2 { // twice is no error
			if err := db.Store.RevokeCredential(t.Context(), waypost.CommandLine(), "op", c.ID); err != nil {
				t.Error(err)
			}
			if err := db.System.RevokeAny(t.Context(), waypost.CommandLine(), platform.ID); err != nil {
				t.Error(err)
			}
		}
		for i := range 2 {
			if got, err := db.System.CredentialByHash(t.Context(), []byte{byte(i)}); err != nil || got.Revoked.IsZero() {
				t.Error(got, err)
			}
		}
		if got, err := db.System.NetworkCredentials(t.Context()); len(got) != 0 || err != nil {
			t.Error(got, err)
		}
		wantKind(t, db.System.RevokeAny(t.Context(), waypost.CommandLine(), "nobody"), waypost.NotFound)
		wantKind(t, db.Store.RevokeCredential(t.Context(), waypost.CommandLine(), "op", platform.ID), waypost.NotFound)
	})
}

func TestNetworksOfTwoOperatorsNeverOverlap(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		n := byte(0)
		create := func(operator string, networks ...string) error {
			n++
			c := store.Credential{ID: waypost.NewID(), OperatorID: operator}
			for _, text := range networks {
				c.Networks = append(c.Networks, netip.MustParsePrefix(text))
			}
			return db.System.CreateCredential(t.Context(), waypost.CommandLine(), c, []byte{n})
		}
		if err := create("a", "192.0.2.0/24", "2001:db8::/32"); err != nil {
			t.Fatal(err)
		}
		for _, network := range []string{"192.0.2.0/24", "192.0.2.7/32", "192.0.0.0/16", "0.0.0.0/0", "2001:db8:1::/48"} {
			wantKind(t, create("b", "198.51.100.0/24", network), waypost.Conflict)
			wantKind(t, create("", network), waypost.Conflict)
		}
		if err := create("a", "192.0.2.7/32"); err != nil {
			t.Errorf("its own: %v", err)
		}
		if err := create("b", "192.0.3.0/24"); err != nil {
			t.Errorf("the one beside: %v", err)
		}
		list, err := db.System.NetworkCredentials(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			if err := db.System.RevokeAny(t.Context(), waypost.CommandLine(), c.ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := create("b", "192.0.2.0/24"); err != nil {
			t.Errorf("a revoked one: %v", err)
		}
	})
}

func TestSuppressions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		add := func(operator string, s waypost.Suppression) {
			t.Helper()
			if err := db.Store.AddSuppression(t.Context(), waypost.CommandLine(), operator, s); err != nil {
				t.Fatal(err)
			}
		}
		if has, err := db.Store.HasSuppressions(t.Context(), "op"); has || err != nil {
			t.Error(has, err)
		}
		now := storetest.Now()
		add("op", waypost.Suppression{Address: "A@Example.test", Reason: waypost.SuppressedManual, Detail: "old", Created: now})
		add("op", waypost.Suppression{Address: "a@example.test", Reason: waypost.SuppressedManual, Detail: "new"})
		add("op", waypost.Suppression{Address: "a@example.test", Reason: waypost.SuppressedHard, Expires: now.Add(time.Hour)})
		add("op", waypost.Suppression{Address: "a@example.test", Reason: waypost.SuppressedSoft, Expires: now.Add(-time.Second)})
		add("op", waypost.Suppression{Address: "b_b@other.test", Reason: waypost.SuppressedManual})
		add("op", waypost.Suppression{Address: "bxb@another.test", Reason: waypost.SuppressedManual})
		add("other", waypost.Suppression{Address: "a@example.test", Reason: waypost.SuppressedComplaint})
		for f, want := range map[store.SuppressionFilter]int{
			{}:                                 4, // one has expired
			{Address: "A@example.test"}:        2,
			{Address: "b*"}:                    2,
			{Address: "b_*"}:                   1,
			{Address: "@other.test"}:           1,
			{Address: "@_ther.test"}:           0,
			{Address: "%"}:                     0,
			{Reason: waypost.SuppressedManual}: 3,
			{Address: "a@example.test", Reason: waypost.SuppressedHard}: 1,
		} {
			seen := map[waypost.Suppression]bool{}
			for cursor := ""; ; {
				list, next, err := db.Store.Suppressions(t.Context(), "op", f, cursor, 2)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range list {
					seen[s] = true
				}
				if next == "" {
					break
				}
				cursor = next
			}
			if len(seen) != want {
				t.Errorf("%+v: %d, want %d", f, len(seen), want)
			}
		}
		addrs := []string{"A@EXAMPLE.test", "free@example.test"}
		for range 300 {
			addrs = append(addrs, waypost.NewID()+"@example.test")
		}
		addrs = append(addrs, "b_b@other.test")
		hits, err := db.Store.SuppressionsFor(t.Context(), "op", addrs)
		if err != nil || len(hits) != 2 || len(hits["a@example.test"]) != 2 || len(hits["b_b@other.test"]) != 1 {
			t.Errorf("%+v, %v", hits, err)
		}
		for _, s := range hits["a@example.test"] {
			if s.Reason == waypost.SuppressedManual && (s.Detail != "new" || !s.Created.Equal(now)) {
				t.Errorf("%+v", s)
			}
		}
		if err := db.Store.RemoveSuppression(t.Context(), waypost.CommandLine(), "op", "A@example.test", waypost.SuppressedManual, ""); err != nil {
			t.Error(err)
		}
		wantKind(t, db.Store.RemoveSuppression(t.Context(), waypost.CommandLine(), "op", "A@example.test", waypost.SuppressedManual, ""), waypost.NotFound)
	})
}

func TestBothSpellingsOfADomainAreOneAddress(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		const unicode, ascii = "Anna@MÜNCHEN.test", "anna@xn--mnchen-3ya.test"
		for _, spelling := range []string{unicode, ascii} {
			if err := db.Store.AddSuppression(t.Context(), waypost.CommandLine(), "op", waypost.Suppression{Address: spelling, Reason: waypost.SuppressedManual}); err != nil {
				t.Fatal(err)
			}
			accept(t, db, storetest.Mail{To: []string{spelling}})
		}
		for _, spelling := range []string{unicode, ascii, "@münchen.test", "@xn--mnchen-3ya.test"} {
			list, _, err := db.Store.Suppressions(t.Context(), "op", store.SuppressionFilter{Address: spelling}, "", 0)
			if err != nil || len(list) != 1 {
				t.Errorf("%s: %d suppressions, %v", spelling, len(list), err)
			}
		}
		for _, spelling := range []string{unicode, ascii} {
			found, err := db.Store.SuppressionsFor(t.Context(), "op", []string{spelling})
			if err != nil || len(found[store.NormalizeAddress(spelling)]) != 1 {
				t.Errorf("%s: %+v, %v", spelling, found, err)
			}
			page, err := db.Store.Messages(t.Context(), "op", store.MessageFilter{Recipient: spelling})
			if err != nil || len(page.Messages) != 2 {
				t.Errorf("%s: %d messages, %v", spelling, len(page.Messages), err)
			}
		}
	})
}

func TestEveryChangeIsNoticed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		id := newOperator(t, db, waypost.ProductServermate).ID
		relay := &store.StoredRelay{Relay: waypost.Relay{Host: "h", Port: 25}}
		credential := store.Credential{ID: waypost.NewID(), OperatorID: id}
		another := store.Credential{ID: waypost.NewID(), OperatorID: id}
		waiting := accept(t, db, storetest.Mail{}).Deliveries[0].ID
		suppression := waypost.Suppression{Address: "a@example.test", Reason: waypost.SuppressedManual}
		for _, step := range []struct {
			name string
			do   func() error
		}{
			{"CreateOperator", func() error {
				_, err := db.System.CreateOperator(ctx, waypost.CommandLine(), waypost.Operator{Product: waypost.ProductCloud})
				return err
			}},
			{"EnsurePlatform", func() error { return db.System.EnsurePlatform(ctx, "P") }},
			{"SaveOperator (suspend)", func() error {
				return db.Store.SaveOperator(ctx, waypost.CommandLine(), id, func(o *waypost.Operator) error { o.Suspended = true; return nil })
			}},
			{"SaveEmailSettings", func() error {
				return db.Store.SaveEmailSettings(ctx, waypost.CommandLine(), id, store.EmailSettings{Relay: relay, DefaultSender: &waypost.Sender{Address: "s@x.test"}})
			}},
			{"DecideSender", func() error { return assign(db, id, "s@x.test") }},
			{"SetRelayHealth", func() error { return db.System.SetRelayHealth(ctx, waypost.RelayHealth{OperatorID: id}) }},
			{"CreateCredential", func() error { return db.System.CreateCredential(ctx, waypost.CommandLine(), credential, []byte("1")) }},
			{"CreateCredential", func() error { return db.System.CreateCredential(ctx, waypost.CommandLine(), another, []byte("2")) }},
			{"RevokeCredential", func() error { return db.Store.RevokeCredential(ctx, waypost.CommandLine(), id, credential.ID) }},
			{"RevokeAny", func() error { return db.System.RevokeAny(ctx, waypost.CommandLine(), another.ID) }},
			{"AddDKIMKey", func() error { return db.System.AddDKIMKey(ctx, system.DKIMKey{Selector: "s", Sealed: []byte("k")}) }},
			{"AddSuppression (first)", func() error { return db.Store.AddSuppression(ctx, waypost.CommandLine(), id, suppression) }},
			{"RemoveSuppression", func() error {
				return db.Store.RemoveSuppression(ctx, waypost.CommandLine(), id, suppression.Address, suppression.Reason, "")
			}},
			{"Control", func() error {
				_, err := db.Store.Control(ctx, waypost.CommandLine(), "op", waiting, store.Hold, storetest.Now())
				return err
			}},
			{"ControlWhere", func() error {
				_, _, _, err := db.System.ControlWhere(ctx, waypost.CommandLine(), system.Where{All: true}, store.Release, storetest.Now())
				return err
			}},
		} {
			before := change(t, db)
			if err := step.do(); err != nil {
				t.Errorf("%s: %v", step.name, err)
			}
			if change(t, db) <= before {
				t.Errorf("%s: nobody notices", step.name)
			}
		}
	})
}

func TestInstanceKeysAndChores(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		if err := db.System.InitInstance(ctx, "another"); err != nil {
			t.Fatal(err)
		}
		if got, err := db.System.Instance(ctx); got != "key check" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		for _, k := range []system.DKIMKey{
			{Selector: "wp1", Sealed: []byte("1"), Signs: true, Created: storetest.Now()},
			{Selector: "wp2", Sealed: []byte("2"), Created: storetest.Now()},
			{Selector: "wp3", Sealed: []byte("3"), Signs: true, Created: storetest.Now()},
		} {
			if err := db.System.AddDKIMKey(ctx, k); err != nil {
				t.Fatal(err)
			}
		}
		wantKind(t, db.System.AddDKIMKey(ctx, system.DKIMKey{Selector: "wp1", Sealed: []byte("x"), Signs: true}), waypost.Conflict)
		keys, err := db.System.DKIMKeys(ctx)
		if err != nil || len(keys) != 3 || keys[0].Signs || keys[1].Signs || !keys[2].Signs || string(keys[0].Sealed) != "1" {
			t.Errorf("%+v, %v", keys, err)
		}
		now := storetest.Now()
		for i, c := range []struct {
			at   time.Duration
			want bool
		}{{0, true}, {0, false}, {59 * time.Second, false}, {time.Minute, true}, {time.Minute, false}} {
			at := now.Add(c.at)
			if got, err := db.System.TakeChore(ctx, "retention", "me", at, at.Add(time.Minute)); got != c.want || err != nil {
				t.Errorf("take %d: %v, %v", i, got, err)
			}
		}
	})
}
