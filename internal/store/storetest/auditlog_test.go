package storetest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

func TestEveryChangeByAPersonIsInTheAuditLog(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		by := waypost.Actor{ID: "user:anna", Name: "anna", Peer: "192.0.2.7"}
		o, err := db.System.CreateOperator(ctx, by, waypost.Operator{Name: "Acme", Product: waypost.ProductServermate})
		if err != nil {
			t.Fatal(err)
		}
		d := waypost.Domain{ID: waypost.NewID(), OperatorID: o.ID, Name: "acme.test", Proof: "p", Created: now}
		sender := waypost.Sender{ID: waypost.NewID(), OperatorID: o.ID, Address: "a@acme.test", State: waypost.SenderRequested, Created: now}
		key := store.Credential{ID: waypost.NewID(), OperatorID: o.ID, Name: "tracker"}
		decided := sender
		decided.State, decided.Decided = waypost.SenderRejected, now
		waiting := accept(t, db, storetest.Mail{OperatorID: o.ID, At: now}).Deliveries[0]
		for _, step := range []func() error{
			func() error { return db.Store.ClaimDomain(ctx, by, o.ID, d, 9) },
			func() error { return db.Store.SetDomainProof(ctx, by, o.ID, d.ID, "q", now) },
			func() error { return db.Store.AddSender(ctx, by, o.ID, sender, 9) },
			func() error { return db.System.DecideSender(ctx, by, decided, waypost.SenderRequested) },
			func() error { return db.Store.ChangeSender(ctx, by, o.ID, sender.ID, new("A"), true) },
			func() error { return db.Store.RemoveSender(ctx, by, o.ID, sender.ID) },
			func() error { return db.Store.RemoveDomain(ctx, by, o.ID, d.ID) },
			func() error {
				return db.Store.SaveEmailSettings(ctx, by, o.ID, store.EmailSettings{
					Gateway: waypost.GatewaySMTP, Relay: &store.StoredRelay{Relay: waypost.Relay{Host: "mail.acme.test", Port: 587, Security: waypost.SecurityStartTLS, Username: "u"}, Sealed: []byte("sealed-password")},
					Signature: waypost.Signature{Text: "Acme"},
				})
			},
			func() error {
				return db.Store.SaveOperator(ctx, by, o.ID, func(o *waypost.Operator) error { o.Suspended = true; return nil })
			},
			func() error { return db.System.CreateCredential(ctx, by, key, []byte("hash")) },
			func() error { return db.Store.RevokeCredential(ctx, by, o.ID, key.ID) },
			func() error { return db.Store.RevokeCredential(ctx, by, o.ID, key.ID) }, // changes nothing
			func() error {
				return db.Store.AddSuppression(ctx, by, o.ID, waypost.Suppression{Address: "Gone@x.test", Reason: waypost.SuppressedManual})
			},
			func() error {
				return db.Store.RemoveSuppression(ctx, by, o.ID, "gone@x.test", waypost.SuppressedManual, "")
			},
			func() error {
				_, err := db.Store.Control(ctx, by, o.ID, waiting.ID, store.Hold, now)
				return err
			},
			func() error {
				_, _, _, err := db.System.ControlWhere(ctx, by, system.Where{OperatorID: o.ID}, store.Cancel, now)
				return err
			},
		} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		// What fails leaves nothing.
		wantKind(t, db.Store.RemoveSender(ctx, by, o.ID, sender.ID), waypost.NotFound)

		list, err := db.Store.AuditLog(ctx, o.ID, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range slices.Backward(list) {
			if e.Actor != by || e.At.IsZero() || strings.Contains(string(e.Detail), "sealed") {
				t.Errorf("%+v", e)
			}
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Action, e.Target, e.Detail)))
		}
		want := []string{
			"operator.create Acme servermate", "domain.claim acme.test", "domain.key acme.test", "sender.add a@acme.test requested",
			"sender.rejected a@acme.test", "sender.change a@acme.test default", "sender.remove a@acme.test", "domain.remove acme.test",
			`settings.save  gateway: "smtp", was "builtin"; server mail.acme.test port 587 starttls; username: "u", was ""; the server's password was set; signature`, "operator.suspend Acme",
			"credential.create tracker []", "credential.revoke tracker", "suppression.add gone@x.test manual", "suppression.remove gone@x.test manual",
			"delivery.hold " + waiting.Recipient + " " + waiting.ID, "queue.cancel all",
		}
		if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			t.Errorf("%q", got)
		}
		whole, err := db.System.AuditLog(ctx, "", 100)
		if err != nil || len(whole) != len(list) {
			t.Errorf("%d of %d, %v", len(whole), len(list), err)
		}
		if older, err := db.Store.AuditLog(ctx, o.ID, list[3].ID, 2); err != nil || len(older) != 2 || older[0].ID != list[4].ID {
			t.Errorf("%+v, %v", older, err)
		}
	})
}

func TestAnAuditEntryIsBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		by := waypost.Actor{ID: "user:x", Name: strings.Repeat("é", 2000)}
		s := waypost.Suppression{Address: "a@x.test", Reason: waypost.SuppressedManual, Created: time.Now()}
		if err := db.Store.AddSuppression(t.Context(), by, "op", s); err != nil {
			t.Fatal(err)
		}
		list, err := db.Store.AuditLog(t.Context(), "op", "", 1)
		if err != nil || len(list) != 1 || len(list[0].Actor.Name) > 1000 || !strings.HasSuffix(list[0].Actor.Name, "é…") {
			t.Errorf("%+v, %v", list, err)
		}
		o, err := db.System.CreateOperator(t.Context(), by, waypost.Operator{Name: "Acme", Product: waypost.ProductServermate})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Store.SaveOperator(t.Context(), by, o.ID, func(o *waypost.Operator) error { o.Name = by.Name; return nil }); err != nil {
			t.Fatal(err)
		}
		// Half a code is of no use to anybody, half a sentence is.
		list, err = db.Store.AuditLog(t.Context(), o.ID, "", 1)
		if d := string(list[0].Detail); err != nil || len(d) > 1000 || !strings.HasPrefix(d, `name: "éé`) || !strings.HasSuffix(d, "é…") {
			t.Errorf("%s, %v", d, err)
		}
	})
}

func TestTheAuditLogSaysHowAServerWasChanged(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o, err := db.System.CreateOperator(t.Context(), waypost.CommandLine(), waypost.Operator{Name: "Acme", Product: waypost.ProductServermate})
		if err != nil {
			t.Fatal(err)
		}
		relay := store.StoredRelay{Relay: waypost.Relay{Host: "mail.acme.test", Port: 587, Security: waypost.SecurityStartTLS, Username: "u"}, Sealed: []byte("one")}
		for _, c := range []struct {
			change func(r *store.StoredRelay)
			want   string
		}{
			{func(*store.StoredRelay) {}, `gateway: "smtp", was "builtin"; server mail.acme.test port 587 starttls; username: "u", was ""; the server's password was set`},
			{func(r *store.StoredRelay) { r.TrustAll = true }, "any certificate is trusted"},
			{func(r *store.StoredRelay) { r.TrustAll, r.Sealed = false, []byte("two") }, "certificates are checked; the server's password was set"},
			{func(r *store.StoredRelay) { r.Username, r.Sealed = "", nil }, `username: "", was "u"; the server's password was removed`},
			{func(r *store.StoredRelay) { r.Port = 25; r.Security = waypost.SecurityNone }, "server mail.acme.test port 25 none"},
			{func(*store.StoredRelay) {}, ""},
		} {
			c.change(&relay)
			saved := relay
			if err := db.Store.SaveEmailSettings(t.Context(), waypost.CommandLine(), o.ID, store.EmailSettings{Gateway: waypost.GatewaySMTP, Relay: &saved}); err != nil {
				t.Fatal(err)
			}
			log, err := db.Store.AuditLog(t.Context(), o.ID, "", 1)
			if err != nil || log[0].Detail.String() != c.want {
				t.Errorf("%s, want %s, %v", log[0].Detail, c.want, err)
			}
		}
	})
}
