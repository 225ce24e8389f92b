package storetest_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// claimDomain adds a domain as an operator does.
func claimDomain(t testing.TB, db *storetest.DB, operatorID, name string) store.CheckedDomain {
	t.Helper()
	d := waypost.Domain{ID: waypost.NewID(), OperatorID: operatorID, Name: name, Proof: "proof of " + operatorID, Created: storetest.Now().Add(-2 * time.Second)}
	if err := db.Store.ClaimDomain(t.Context(), waypost.CommandLine(), operatorID, d, 100); err != nil {
		t.Fatal(err)
	}
	got, err := db.Store.Domain(t.Context(), operatorID, d.ID)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// proven is the outcome of a check that found everything in order.
func proven(d store.CheckedDomain) store.DomainCheck {
	now := storetest.Now()
	c := store.DomainCheck{CheckedDomain: d, Before: d.Checked, Assign: true, Events: []waypost.DomainEvent{{
		OperatorID: d.OperatorID, DomainID: d.ID, Name: d.Name, Type: waypost.DomainAuthorized, Actor: "policy", At: now.Add(-time.Second),
	}}}
	c.Proven, c.Authorized, c.Checked, c.Next = now, now, d.Checked.Add(time.Second), now.Add(time.Hour)
	if d.Checked.IsZero() {
		c.Checked = now
	}
	return c
}

func proveDomain(t testing.TB, db *storetest.DB, operatorID, name string) store.CheckedDomain {
	t.Helper()
	d := claimDomain(t, db, operatorID, name)
	if _, err := db.System.SaveDomainCheck(t.Context(), proven(d)); err != nil {
		t.Fatal(err)
	}
	return d
}

func eventTypes(t testing.TB, db *storetest.DB, operatorID, name string) []waypost.DomainEventType {
	t.Helper()
	list, err := db.Store.DomainEvents(t.Context(), operatorID, name, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	var types []waypost.DomainEventType
	for _, e := range slices.Backward(list) {
		types = append(types, e.Type)
	}
	return types
}

func TestAClaimIsOneOfManyUntilItIsProven(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		first, second := claimDomain(t, db, "a", "example.test"), claimDomain(t, db, "b", "example.test")
		err := db.Store.ClaimDomain(ctx, waypost.CommandLine(), "a", waypost.Domain{ID: waypost.NewID(), Name: "example.test"}, 100)
		wantKind(t, err, waypost.Conflict)
		if _, err := db.System.SaveDomainCheck(ctx, proven(first)); err != nil {
			t.Fatal(err)
		}
		// The database itself lets nobody else have it.
		_, err = db.System.SaveDomainCheck(ctx, proven(second))
		wantKind(t, err, waypost.Conflict)
		if got, err := db.Store.Domain(ctx, "b", second.ID); err != nil || !got.Proven.IsZero() || !got.Checked.IsZero() {
			t.Errorf("%+v, %v", got, err)
		}
		// Until the first one loses it, in the same transaction.
		taken := proven(second)
		owner, err := db.Store.Domain(ctx, "a", first.ID)
		if err != nil {
			t.Fatal(err)
		}
		taken.From = &owner
		taken.Events = append(taken.Events, waypost.DomainEvent{
			OperatorID: "a", DomainID: first.ID, Name: "example.test", Type: waypost.DomainTaken, Actor: "policy", At: storetest.Now(),
		})
		if _, err := db.System.SaveDomainCheck(ctx, taken); err != nil {
			t.Fatal(err)
		}
		if a, err := db.Store.ProvenDomains(ctx, "a"); err != nil || len(a) != 0 {
			t.Errorf("%+v, %v", a, err)
		}
		if b, err := db.Store.ProvenDomains(ctx, "b"); err != nil || len(b) != 1 || b[0].Authorized.IsZero() {
			t.Errorf("%+v, %v", b, err)
		}
		if got := eventTypes(t, db, "a", "example.test"); !slices.Equal(got, []waypost.DomainEventType{"claimed", "authorized", "taken"}) {
			t.Errorf("%v", got)
		}
	})
}

func TestACheckThatSomethingOvertookIsNotSaved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		d := claimDomain(t, db, "op", "example.test")
		if _, err := db.System.SaveDomainCheck(ctx, proven(d)); err != nil {
			t.Fatal(err)
		}
		_, err := db.System.SaveDomainCheck(ctx, proven(d)) // read before the other was saved
		wantKind(t, err, waypost.Conflict)
		d, _ = db.Store.Domain(ctx, "op", d.ID)
		if err := db.Store.SetDomainProof(ctx, waypost.CommandLine(), "op", d.ID, "another", storetest.Now()); err != nil {
			t.Fatal(err)
		}
		_, err = db.System.SaveDomainCheck(ctx, proven(d)) // of the old proof
		wantKind(t, err, waypost.Conflict)
		if err := db.Store.RemoveDomain(ctx, waypost.CommandLine(), "op", d.ID); err != nil {
			t.Fatal(err)
		}
		_, err = db.System.SaveDomainCheck(ctx, proven(d))
		wantKind(t, err, waypost.Conflict)
		if got := eventTypes(t, db, "op", "example.test"); !slices.Equal(got, []waypost.DomainEventType{"claimed", "authorized", "lapsed", "removed"}) {
			t.Errorf("%v", got)
		}
	})
}

func TestSendersAreAssignedWithTheirDomain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		want := map[string]waypost.SenderState{
			"alarm@example.test": waypost.SenderAssigned, "*@example.test": waypost.SenderAssigned,
			"no@example.test": waypost.SenderRejected, "x@sub.example.test": waypost.SenderRequested, "x@notexample.test": waypost.SenderRequested,
		}
		for address, state := range want {
			s := waypost.Sender{ID: waypost.NewID(), Address: address, State: waypost.SenderRequested, Created: now}
			if state == waypost.SenderRejected {
				s.State = state
			}
			if err := db.Store.AddSender(ctx, waypost.CommandLine(), "op", s, 100); err != nil {
				t.Fatal(err)
			}
		}
		other := waypost.Sender{ID: waypost.NewID(), Address: "alarm@example.test", State: waypost.SenderRequested, Created: now}
		if err := db.Store.AddSender(ctx, waypost.CommandLine(), "other", other, 100); err != nil {
			t.Fatal(err)
		}
		d := claimDomain(t, db, "op", "example.test")
		held := proven(d)
		held.Assign = false // the owner decides
		if assigned, err := db.System.SaveDomainCheck(ctx, held); err != nil || len(assigned) != 0 {
			t.Fatal(assigned, err)
		}
		d, _ = db.Store.Domain(ctx, "op", d.ID)
		if assigned, err := db.System.SaveDomainCheck(ctx, proven(d)); err != nil || len(assigned) != 2 {
			t.Fatal(assigned, err)
		}
		got, err := db.Store.Senders(ctx, "op")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range got {
			if s.State != want[s.Address] {
				t.Errorf("%s is %s", s.Address, s.State)
			}
		}
		if s, err := db.Store.Sender(ctx, "other", other.ID); err != nil || s.State != waypost.SenderRequested {
			t.Errorf("another operator's sender: %+v, %v", s, err)
		}
		waiting, err := db.System.SendersWaiting(ctx, "", 10)
		if err != nil || len(waiting) != 3 {
			t.Errorf("%+v, %v", waiting, err)
		}
		decided, err := db.System.AnySender(ctx, other.ID)
		if err != nil || decided.OperatorID != "other" {
			t.Fatalf("%+v, %v", decided, err)
		}
		decided.State, decided.Reason, decided.Decided = waypost.SenderRejected, "not yours", now
		if err := db.System.DecideSender(ctx, waypost.CommandLine(), decided, waypost.SenderRequested); err != nil {
			t.Error(err)
		}
		if s, _ := db.Store.Sender(ctx, "other", other.ID); s.State != waypost.SenderRejected || s.Reason != "not yours" || !s.Decided.Equal(now) {
			t.Errorf("%+v", s)
		}
		// Who read it before, or means another operator's, decides nothing.
		decided.State = waypost.SenderAssigned
		wantKind(t, db.System.DecideSender(ctx, waypost.CommandLine(), decided, waypost.SenderRequested), waypost.Conflict)
		decided.OperatorID = "op"
		wantKind(t, db.System.DecideSender(ctx, waypost.CommandLine(), decided, waypost.SenderRejected), waypost.Conflict)
		_, err = db.System.AnySender(ctx, "nothing")
		wantKind(t, err, waypost.NotFound)
	})
}

func TestTheHistoryOfADomainHasItsSenders(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		op := newOperator(t, db, waypost.ProductServermate).ID
		add := func(address string, state waypost.SenderState) waypost.Sender {
			s := waypost.Sender{ID: waypost.NewID(), OperatorID: op, Address: address, State: state, Created: now}
			if err := db.Store.AddSender(ctx, waypost.Actor{ID: "credential:x"}, op, s, 3); err != nil {
				t.Fatal(err)
			}
			return s
		}
		first, second := add("first@example.test", waypost.SenderRequested), add("second@example.test", waypost.SenderAssigned)
		first.State, first.Reason, first.Decided = waypost.SenderRejected, "not your brand", now.Add(time.Second)
		if err := db.System.DecideSender(ctx, waypost.Actor{ID: "credential:support"}, first, waypost.SenderRequested); err != nil {
			t.Fatal(err)
		}
		if err := db.Store.RemoveSender(ctx, waypost.Actor{ID: "credential:y"}, op, second.ID); err != nil {
			t.Fatal(err)
		}
		save := store.EmailSettings{DefaultSender: &waypost.Sender{Address: "Third@example.test"}}
		for range 2 { // the second time nothing happens to it
			if err := db.Store.SaveEmailSettings(ctx, waypost.Actor{ID: "credential:z"}, op, save); err != nil {
				t.Fatal(err)
			}
		}
		save.DefaultSender.State = waypost.SenderAssigned
		if err := db.Store.SaveEmailSettings(ctx, waypost.Actor{ID: "credential:z"}, op, save); err != nil {
			t.Fatal(err)
		}
		list, err := db.Store.DomainEvents(ctx, op, "example.test", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, e := range slices.Backward(list) {
			got[e.Detail] += fmt.Sprintf("%s by %s; ", e.Type, e.Actor)
		}
		want := map[string]string{
			"first@example.test":                 "sender_added by credential:x; ",
			"first@example.test: not your brand": "sender_rejected by credential:support; ",
			"second@example.test":                "sender_added by credential:x; sender_assigned by policy; sender_removed by credential:y; ",
			"third@example.test":                 "sender_added by credential:z; sender_assigned by policy; ",
		}
		if !maps.Equal(got, want) {
			t.Errorf("%q", got)
		}
		add("fourth@example.test", waypost.SenderRequested)
		err = db.Store.AddSender(ctx, waypost.CommandLine(), op, waypost.Sender{ID: waypost.NewID(), Address: "fifth@example.test", State: waypost.SenderRequested, Created: now}, 3)
		if waypost.KindOf(err) != waypost.Conflict || waypost.AsError(err).Code != "too_many_senders" {
			t.Errorf("%v", err)
		}
	})
}

func TestDomainsWithoutAKeyAreListedUntilTheyHaveOne(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		claimDomain(t, db, "op", "keyed.test")
		d := waypost.Domain{ID: waypost.NewID(), Name: "keyless.test", Created: storetest.Now()}
		if err := db.Store.ClaimDomain(ctx, waypost.CommandLine(), "op", d, 100); err != nil {
			t.Fatal(err)
		}
		got, err := db.System.DomainsWithoutProof(ctx, "", 10)
		if err != nil || len(got) != 1 || got[0].ID != d.ID || got[0].OperatorID != "op" {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := db.System.DomainsWithoutProof(ctx, d.ID, 10); err != nil || len(got) != 0 {
			t.Errorf("after the last one: %+v, %v", got, err)
		}
		if err := db.Store.SetDomainProof(ctx, waypost.CommandLine(), "op", d.ID, "a-key", storetest.Now()); err != nil {
			t.Fatal(err)
		}
		if got, err := db.System.DomainsWithoutProof(ctx, "", 10); err != nil || len(got) != 0 {
			t.Errorf("with its key: %+v, %v", got, err)
		}
	})
}

func TestDomainsAreTakenWhenTheyAreDue(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		d := claimDomain(t, db, "op", "example.test")
		now := storetest.Now()
		if due, err := db.System.DomainDue(ctx, now); !due || err != nil {
			t.Errorf("a new claim is not due: %v", err)
		}
		taken, err := db.System.TakeDomains(ctx, now, now.Add(time.Minute), 10)
		if err != nil || len(taken) != 1 || taken[0].ID != d.ID {
			t.Fatal(taken, err)
		}
		if again, err := db.System.TakeDomains(ctx, now, now.Add(time.Minute), 10); err != nil || len(again) != 0 {
			t.Errorf("taken twice: %+v, %v", again, err)
		}
		if due, err := db.System.DomainDue(ctx, now); due || err != nil {
			t.Errorf("still due: %v", err)
		}
		// Whoever looks brings the next check forward, and never puts it off.
		if err := db.Store.LookAtDomain(ctx, "op", d.ID, now, now.Add(10*time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := db.Store.LookAtDomain(ctx, "op", d.ID, now, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got, err := db.Store.Domain(ctx, "op", d.ID); err != nil || !got.Next.Equal(now.Add(10*time.Second)) || !got.Looked.Equal(now) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
