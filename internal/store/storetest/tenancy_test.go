package storetest_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// everything reads all rows of all tables as text.
func everything(t *testing.T, db *storetest.DB) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, table := range tables(t, db) {
		if table == "commit_mark" { // counts transactions, whatever they do
			continue
		}
		if table == "instance" { // the change number may rise
			continue
		}
		all[table] = rawRows(t, db, "SELECT * FROM "+table+" ORDER BY 1, 2")
	}
	return all
}

// TestNoTenantReachesAnother calls every method of Store as one operator with the ids
// of another.
func TestNoTenantReachesAnother(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, s := t.Context(), db.Store
		victim := newOperator(t, db, waypost.ProductServermate).ID
		thief := newOperator(t, db, waypost.ProductServermate).ID
		if err := s.SaveEmailSettings(ctx, waypost.CommandLine(), victim, store.EmailSettings{
			Gateway: waypost.GatewaySMTP, Relay: &store.StoredRelay{Relay: waypost.Relay{Host: "h", Port: 25}, Sealed: []byte("s")},
			DefaultSender: &waypost.Sender{Address: "s@example.test"},
		}); err != nil {
			t.Fatal(err)
		}
		credential := store.Credential{ID: waypost.NewID(), OperatorID: victim}
		if err := db.System.CreateCredential(ctx, waypost.CommandLine(), credential, []byte("hash")); err != nil {
			t.Fatal(err)
		}
		if err := s.AddSuppression(ctx, waypost.CommandLine(), victim, waypost.Suppression{Address: "bad@example.test", Reason: waypost.SuppressedManual}); err != nil {
			t.Fatal(err)
		}
		if err := s.Unsubscribe(ctx, waypost.Suppression{OperatorID: victim, Address: "gone@example.test", Kind: waypost.KindEvent}); err != nil {
			t.Fatal(err)
		}
		if err := s.AddExempt(ctx, waypost.CommandLine(), victim, "boss@example.test", storetest.Now()); err != nil {
			t.Fatal(err)
		}
		hook, removed, called := newWebhook(t, db, victim), newWebhook(t, db, victim), waypost.NewID()
		if err := s.RecordWebhookTest(ctx, waypost.CommandLine(), waypost.WebhookCall{
			ID: called, OperatorID: victim, WebhookID: hook, State: waypost.WebhookFailed, Body: []byte("{}"), Created: storetest.Now(), Finished: storetest.Now(),
		}, storetest.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReplayWebhook(ctx, waypost.CommandLine(), victim, hook, storetest.Now(), storetest.Now(), storetest.Now()); err != nil {
			t.Fatal(err)
		}
		senders, err := s.Senders(ctx, victim)
		if err != nil || len(senders) != 1 {
			t.Fatal(senders, err)
		}
		domain := proveDomain(t, db, victim, "example.test")
		batch := batchOf(2, waypost.KindEvent)
		for i := range batch.Messages {
			batch.Messages[i].OperatorID, batch.Deliveries[i].OperatorID = victim, victim
		}
		batch.OperatorID = victim
		if err := s.Accept(ctx, batch); err != nil {
			t.Fatal(err)
		}
		sent := claim(t, db, system.Claim{Key: keyOf(batch.Deliveries[0]), Limit: 1})[0]
		waiting := batch.Deliveries[0].ID
		if waiting == sent.ID {
			waiting = batch.Deliveries[1].ID
		}
		f := result(sent, waypost.Delivered)
		f.Sandbox = &system.SandboxMail{Subject: "Hi", Header: []byte("h"), Body: []byte("b")}
		finish(t, db, f)
		report(t, db, waypost.Feedback{DeliveryID: sent.ID, Sort: waypost.FeedbackComplaint, At: storetest.Now()})
		a := storetest.Mail{OperatorID: victim, Key: "key"}.Accepting()
		if err := s.Accept(ctx, a); err != nil {
			t.Fatal(err)
		}
		mails, _, err := s.SandboxList(ctx, victim, "", 10)
		if err != nil || len(mails) != 1 {
			t.Fatal(mails, err)
		}

		// Each returns whether something of the victim came back.
		calls := map[string]func(op string) (bool, error){
			"Operator": func(op string) (bool, error) {
				o, err := s.Operator(ctx, op)
				return o.ID == victim, err
			},
			"Relay":         func(op string) (bool, error) { r, err := s.Relay(ctx, op); return r != nil, err },
			"Domains":       func(op string) (bool, error) { l, err := s.Domains(ctx, op); return len(l) > 0, err },
			"Domain":        func(op string) (bool, error) { d, err := s.Domain(ctx, op, domain.ID); return d.ID != "", err },
			"ProvenDomains": func(op string) (bool, error) { l, err := s.ProvenDomains(ctx, op); return len(l) > 0, err },
			"AuditLog": func(op string) (bool, error) {
				l, err := s.AuditLog(ctx, op, "", 10)
				return slices.ContainsFunc(l, func(e waypost.AuditEntry) bool { return e.OperatorID == victim }), err
			},
			"DomainEvents": func(op string) (bool, error) {
				l, err := s.DomainEvents(ctx, op, "example.test", "", 10)
				return len(l) > 0, err
			},
			"Sender":  func(op string) (bool, error) { d, err := s.Sender(ctx, op, senders[0].ID); return d.ID != "", err },
			"Senders": func(op string) (bool, error) { l, err := s.Senders(ctx, op); return len(l) > 0, err },
			"Suppressions": func(op string) (bool, error) {
				l, _, err := s.Suppressions(ctx, op, store.SuppressionFilter{}, "", 10)
				return len(l) > 0, err
			},
			"Exempt": func(op string) (bool, error) { l, _, err := s.Exempt(ctx, op, "", 10); return len(l) > 0, err },
			"SuppressionsFor": func(op string) (bool, error) {
				m, err := s.SuppressionsFor(ctx, op, []string{"bad@example.test"})
				return len(m) > 0, err
			},
			"HasSuppressions": func(op string) (bool, error) { return s.HasSuppressions(ctx, op) },
			"Credentials":     func(op string) (bool, error) { l, err := s.Credentials(ctx, op); return len(l) > 0, err },
			"CredentialPage":  func(op string) (bool, error) { l, err := s.CredentialPage(ctx, op, "", 10); return len(l) > 0, err },
			"Credential":      func(op string) (bool, error) { c, err := s.Credential(ctx, op, credential.ID); return c.ID != "", err },
			"FindIdempotency": func(op string) (bool, error) { i, err := s.FindIdempotency(ctx, op, "key"); return i != nil, err },
			"Messages": func(op string) (bool, error) {
				for _, f := range []store.MessageFilter{
					{},
					{Recipient: "0@example.test"},
					{Recipient: "0*"},
					{Recipient: "@example.test"},
					{BatchID: batch.Messages[0].BatchID},
					{State: waypost.Bounced},
				} {
					p, err := s.Messages(ctx, op, f)
					if err != nil || len(p.Messages) > 0 {
						return true, err
					}
				}
				return false, nil
			},
			"Message": func(op string) (bool, error) {
				_, one := s.Message(ctx, op, batch.Messages[0].ID)
				_, all := s.Message(ctx, op, batch.Messages[0].BatchID)
				return one == nil || all == nil, errors.Join(one, all)
			},
			"Attempts": func(op string) (bool, error) {
				l, err := s.Attempts(ctx, op, sent.MessageID)
				return len(l) > 0, err
			},
			"Feedback": func(op string) (bool, error) {
				l, err := s.Feedback(ctx, op, sent.MessageID)
				return len(l) > 0, err
			},
			"Events": func(op string) (bool, error) {
				l, err := s.Events(ctx, op, batch.Messages[0].ID)
				return len(l) > 0, err
			},
			"Waiting": func(op string) (bool, error) {
				m, err := s.Waiting(ctx, op, []string{batch.Messages[0].ID, batch.Messages[1].ID})
				return len(m) > 0, err
			},
			"Content": func(op string) (bool, error) {
				h, _, err := s.Content(ctx, op, batch.Messages[0].ID)
				return h != nil, err
			},
			"ContentSize": func(op string) (bool, error) {
				n, err := s.ContentSize(ctx, op, batch.Messages[0].ID)
				return n > 0, err
			},
			"Delivery": func(op string) (bool, error) { d, err := s.Delivery(ctx, op, waiting); return d.ID != "", err },
			"Conservation": func(op string) (bool, error) {
				c, err := s.Conservation(ctx, op)
				return c.Accepted+c.Queued > 0, err
			},
			"Totals": func(op string) (bool, error) { c, err := s.Totals(ctx, op); return c.Accepted > 0, err },
			"Standing": func(op string) (bool, error) {
				q, err := s.Standing(ctx, op)
				return !q.Oldest.IsZero(), err
			},
			"Delays": func(op string) (bool, error) { l, err := s.Delays(ctx, op); return len(l) > 0, err },
			"Rollup": func(op string) (bool, error) {
				h, err := s.Rollup(ctx, op, time.Now().Add(-2*time.Hour), time.Now().Add(2*time.Hour))
				return len(h) > 0, err
			},
			"Webhooks": func(op string) (bool, error) { l, err := s.Webhooks(ctx, op); return len(l) > 0, err },
			"Webhook":  func(op string) (bool, error) { w, err := s.Webhook(ctx, op, hook); return w.ID != "", err },
			"WebhookCalls": func(op string) (bool, error) {
				l, _, err := s.WebhookCalls(ctx, op, hook, store.WebhookCallFilter{}, "", 10)
				return len(l) > 0, err
			},
			"WebhookCall": func(op string) (bool, error) {
				c, _, err := s.WebhookCall(ctx, op, hook, called)
				return c.ID != "", err
			},
			"WebhookReplays": func(op string) (bool, error) { l, err := s.WebhookReplays(ctx, op, hook); return len(l) > 0, err },
			"WebhookBacklog": func(op string) (bool, error) { n, err := s.WebhookBacklog(ctx, op, hook); return n > 0, err },
			"SandboxList":    func(op string) (bool, error) { l, _, err := s.SandboxList(ctx, op, "", 10); return len(l) > 0, err },
			"SandboxEntry": func(op string) (bool, error) {
				m, err := s.SandboxEntry(ctx, op, mails[0].ID)
				return m.ID != "" && m.Data == nil, err
			},
			"SandboxMail": func(op string) (bool, error) { m, err := s.SandboxMail(ctx, op, mails[0].ID); return m.ID != "", err },
		}
		// These change something, for the victim if they can.
		changes := map[string]func(op string) (bool, error){
			"Control": func(op string) (bool, error) {
				var errs []error
				for _, action := range []store.ControlAction{store.Hold, store.Release, store.Retry, store.Cancel} {
					_, err := s.Control(ctx, waypost.CommandLine(), op, waiting, action, storetest.Now())
					errs = append(errs, err)
				}
				return false, errors.Join(errs...)
			},
			"ControlMessage": func(op string) (bool, error) {
				var errs []error
				for _, action := range []store.ControlAction{store.Hold, store.Release, store.Retry, store.Cancel} {
					_, err := s.ControlMessage(ctx, waypost.CommandLine(), op, a.Messages[0].ID, action, storetest.Now())
					errs = append(errs, err)
				}
				return false, errors.Join(errs...)
			},
			"ChangeSender": func(op string) (bool, error) {
				return false, s.ChangeSender(ctx, waypost.CommandLine(), op, senders[0].ID, new("thief"), true)
			},
			"LookAtDomain": func(op string) (bool, error) {
				return false, s.LookAtDomain(ctx, op, domain.ID, storetest.Now(), storetest.Now())
			},
			"SetDomainProof": func(op string) (bool, error) {
				return false, s.SetDomainProof(ctx, waypost.CommandLine(), op, domain.ID, "thief", storetest.Now())
			},
			"RevokeCredential": func(op string) (bool, error) {
				return false, s.RevokeCredential(ctx, waypost.CommandLine(), op, credential.ID)
			},
			"RemoveExempt": func(op string) (bool, error) {
				return false, s.RemoveExempt(ctx, waypost.CommandLine(), op, "boss@example.test")
			},
			"Resubscribe": func(op string) (bool, error) {
				return false, s.Resubscribe(ctx, waypost.Recipient(), op, "gone@example.test", waypost.KindEvent)
			},
			"RemoveSuppression": func(op string) (bool, error) {
				return false, s.RemoveSuppression(ctx, waypost.CommandLine(), op, "bad@example.test", waypost.SuppressedManual, "")
			},
			"ChangeWebhook": func(op string) (bool, error) {
				w, err := s.ChangeWebhook(ctx, waypost.CommandLine(), op, hook, store.WebhookChange{Description: new("thief")}, storetest.Now())
				return w.ID != "" && op == thief, err
			},
			"RotateWebhook": func(op string) (bool, error) {
				return false, s.RotateWebhook(ctx, waypost.CommandLine(), op, hook, []byte("thief"), storetest.Now())
			},
			"EnableWebhook": func(op string) (bool, error) {
				w, err := s.EnableWebhook(ctx, waypost.CommandLine(), op, hook, storetest.Now())
				return w.ID != "" && op == thief, err
			},
			"ResendWebhookCall": func(op string) (bool, error) {
				return false, s.ResendWebhookCall(ctx, waypost.CommandLine(), op, hook, called, storetest.Now())
			},
			"ReplayWebhook": func(op string) (bool, error) {
				_, err := s.ReplayWebhook(ctx, waypost.CommandLine(), op, hook, storetest.Now(), storetest.Now(), storetest.Now())
				if op == victim && waypost.KindOf(err) == waypost.Conflict { // one is under way
					err = nil
				}
				return false, err
			},
			"RecordWebhookTest": func(op string) (bool, error) {
				return false, s.RecordWebhookTest(ctx, waypost.CommandLine(), waypost.WebhookCall{
					ID: waypost.NewID(), OperatorID: op, WebhookID: hook, State: waypost.WebhookFailed, Body: []byte("{}"),
				}, storetest.Now())
			},
			"SandboxEmpty": func(op string) (bool, error) {
				n, err := s.SandboxEmpty(ctx, waypost.CommandLine(), op)
				return n > 0, err
			},
		}
		// These have nothing of another operator in their arguments, or no operator.
		apart := []string{
			"Accept", "AddExempt", "AddSender", "AddSuppression", "AddWebhook", "Allowed", "ApplyControl", "ClaimDomain", "Engine", "ImportSuppressions", "Node", "PlatformSettings", "SaveEmailSettings", "SaveOperator", "TryImport", "Unsubscribe", "Write",
		}
		covered := map[string]bool{}
		for _, name := range apart {
			covered[name] = true
		}
		before := everything(t, db)
		for name, call := range calls {
			covered[name] = true
			if got, err := call(thief); got && name != "Operator" || err != nil && waypost.KindOf(err) != waypost.NotFound {
				t.Errorf("%s: another operator's data, or %v", name, err)
			}
			if got, err := call(victim); !got || err != nil {
				t.Errorf("%s: nothing of its own: %v", name, err)
			}
		}
		for name, call := range changes {
			covered[name] = true
			if got, err := call(thief); got || err != nil && waypost.KindOf(err) != waypost.NotFound {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
		if diff := cmp.Diff(before, everything(t, db)); diff != "" {
			t.Errorf("something was changed: %s", diff)
		}
		for name, call := range changes {
			if _, err := call(victim); err != nil {
				t.Errorf("%s: not even its own: %v", name, err)
			}
		}
		// Last, for what they remove is used above.
		for name, remove := range map[string]func(op string) error{
			"DisableWebhook": func(op string) error {
				_, err := s.DisableWebhook(ctx, waypost.CommandLine(), op, hook, storetest.Now())
				return err
			},
			"RemoveWebhook": func(op string) error { return s.RemoveWebhook(ctx, waypost.CommandLine(), op, removed) },
			"RemoveDomain":  func(op string) error { return s.RemoveDomain(ctx, waypost.CommandLine(), op, domain.ID) },
			"RemoveSender":  func(op string) error { return s.RemoveSender(ctx, waypost.CommandLine(), op, senders[0].ID) },
		} {
			covered[name] = true
			wantKind(t, remove(thief), waypost.NotFound)
			if err := remove(victim); err != nil {
				t.Errorf("%s: not even its own: %v", name, err)
			}
		}
		for method := range reflect.TypeFor[*store.Store]().Methods() {
			if !covered[method.Name] {
				t.Errorf("method %s is not covered", method.Name)
			}
		}
	})
}

// An accept may name its own operator only: what is inside is checked by who builds
// it, but a key of another operator must never be met.
func TestIdempotencyKeysAreEachOperatorsOwn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		for _, operator := range []string{"a", "b"} {
			accept(t, db, storetest.Mail{OperatorID: operator, Key: "same"})
		}
		wantKind(t, db.Store.Accept(context.Background(), storetest.Mail{OperatorID: "b", Key: "same"}.Accepting()), waypost.Conflict)
	})
}
