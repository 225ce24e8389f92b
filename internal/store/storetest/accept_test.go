package storetest_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

func TestAcceptIsVisibleAfterReturn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		a := storetest.Mail{To: []string{"Some.One@Example.test", "two@other.test"}, Tags: []string{"a", "b"}}.Accepting()
		a.Messages[0].Metadata = map[string]string{"unit": "4711"}
		if err := db.Store.Accept(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		got, err := db.Store.Message(t.Context(), "op", a.Messages[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		want := a.Messages[0]
		want.Header, want.BodyID = nil, ""
		if diff := cmp.Diff([]waypost.Message{want}, got.Messages); diff != "" {
			t.Error(diff)
		}
		byID := map[string]waypost.Delivery{}
		for _, d := range got.Deliveries {
			byID[d.ID] = d
		}
		for _, d := range a.Deliveries {
			if diff := cmp.Diff(d, byID[d.ID]); diff != "" {
				t.Error(diff)
			}
		}
		header, body, err := db.Store.Content(t.Context(), "op", want.ID)
		if err != nil || string(header) != "Subject: Geofence entered\r\n\r\n" || string(body) != "Hello\r\n" {
			t.Errorf("content = %q, %q, %v", header, body, err)
		}
		events, err := db.Store.Events(t.Context(), "op", want.ID)
		if err != nil || len(events) != 1 || events[0].Type != waypost.EventAccepted || events[0].Count != 2 {
			t.Errorf("events = %v, %v", events, err)
		}
		c, err := db.Store.Conservation(t.Context(), "op")
		if diff := cmp.Diff(store.Conservation{Counts: store.Counts{Accepted: 2}, Queued: 2, Balanced: true}, c); diff != "" || err != nil {
			t.Error(diff, err)
		}
		auditClean(t, db)
	})
}

func TestAcceptOfAThousandRecipients(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		var to []string
		for i := range 1000 {
			to = append(to, fmt.Sprintf("user%d@site%d.test", i, i%7))
		}
		a := accept(t, db, storetest.Mail{To: to})
		got, err := db.Store.Message(t.Context(), "op", a.Messages[0].ID)
		if err != nil || len(got.Deliveries) != 1000 {
			t.Fatal(len(got.Deliveries), err)
		}
		auditClean(t, db)
	})
}

func TestAcceptOfABatchSharesABody(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		batch := batchOf(3, waypost.KindEvent)
		if err := db.Store.Accept(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		got, err := db.Store.Message(t.Context(), "op", batch.Messages[0].BatchID)
		if err != nil || len(got.Messages) != 3 || len(got.Deliveries) != 3 || got.BatchID != batch.Messages[0].BatchID {
			t.Fatalf("%+v, %v", got, err)
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM body"); n != 1 {
			t.Errorf("%d bodies, want 1", n)
		}
		for _, m := range batch.Messages {
			if _, body, err := db.Store.Content(t.Context(), "op", m.ID); err != nil || string(body) != "Hello\r\n" {
				t.Errorf("body = %q, %v", body, err)
			}
		}
		auditClean(t, db)
	})
}

// batchOf is one request that became n messages with one body.
func batchOf(n int, kind waypost.Kind) *store.Accepting {
	all := storetest.Mail{Kind: kind, To: []string{"0@example.test"}}.Accepting()
	all.Messages[0].BatchID = waypost.NewID()
	for i := 1; i < n; i++ {
		one := storetest.Mail{Kind: kind, To: []string{fmt.Sprintf("%d@example.test", i)}, At: all.At}.Accepting()
		one.Messages[0].BatchID, one.Messages[0].BodyID = all.Messages[0].BatchID, all.Messages[0].BodyID
		all.Messages = append(all.Messages, one.Messages[0])
		all.Deliveries = append(all.Deliveries, one.Deliveries[0])
	}
	return all
}

func TestAcceptWithAUsedKeyFailsAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		first := accept(t, db, storetest.Mail{Key: "k1"})
		mails := []storetest.Mail{
			{Key: "k0"},
			{Key: "k1"},
			{},
			{Key: "k2"},
			{Key: "k2"},
			{Key: "k1", OperatorID: "other"}, // keys are each operator's own
		}
		var accepts []*store.Accepting
		var writes []func() error
		for _, m := range mails {
			a := m.Accepting()
			accepts = append(accepts, a)
			writes = append(writes, func() error { return db.Store.Accept(t.Context(), a) })
		}
		errs := inOneGroup(t, db, writes...)
		failed := 0
		for i, err := range errs {
			_, readErr := db.Store.Message(t.Context(), accepts[i].OperatorID, accepts[i].Messages[0].ID)
			if (err == nil) != (readErr == nil) {
				t.Errorf("accept %d: %v, but reading it: %v", i, err, readErr)
			}
			if err != nil {
				failed++
				wantKind(t, err, waypost.Conflict)
				if mails[i].Key == "" || mails[i].Key == "k0" || mails[i].OperatorID != "" {
					t.Errorf("accept %d failed for another's key: %v", i, err)
				}
			}
		}
		if failed != 2 || errs[1] == nil {
			t.Errorf("%d failed, want the used key and one of two equal ones: %v", failed, errs)
		}
		found, err := db.Store.FindIdempotency(t.Context(), "op", "k1")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first.Idempotency, found); diff != "" {
			t.Error(diff)
		}
		auditClean(t, db)
	})
}

func TestIdempotencyKeyIsNewAgainAfterSevenDays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		if found, err := db.Store.FindIdempotency(t.Context(), "op", "k"); found != nil || err != nil {
			t.Fatal(found, err)
		}
		accept(t, db, storetest.Mail{Key: "k", At: storetest.Now().Add(-8 * 24 * time.Hour)})
		if found, err := db.Store.FindIdempotency(t.Context(), "op", "k"); found != nil || err != nil {
			t.Fatal(found, err)
		}
		again := accept(t, db, storetest.Mail{Key: "k", Subject: "another"})
		found, err := db.Store.FindIdempotency(t.Context(), "op", "k")
		if err != nil || found == nil || found.Receipt.ID != again.Messages[0].ID {
			t.Fatal(found, err)
		}
	})
}

func TestAFailingGroupHitsOnlyItsCulprit(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		used := accept(t, db, storetest.Mail{})
		culprit := storetest.Mail{}.Accepting()
		culprit.Messages[0].ID = used.Messages[0].ID
		var writes []func() error
		for i := range 5 {
			a := storetest.Mail{}.Accepting()
			if i == 2 {
				a = culprit
			}
			writes = append(writes, func() error { return db.Store.Accept(t.Context(), a) })
		}
		for i, err := range inOneGroup(t, db, writes...) {
			if (err != nil) != (i == 2) {
				t.Errorf("accept %d: %v", i, err)
			}
			if e := (*waypost.Error)(nil); errors.As(err, &e) {
				t.Errorf("accept %d: %v is not the submitter's fault", i, err)
			}
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM message"); n != 5 {
			t.Errorf("%d messages, want 5", n)
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM body WHERE id = $1", culprit.Bodies[0].ID); n != 0 {
			t.Error("half of the culprit was written")
		}
		auditClean(t, db)
	})
}

func TestTextThatADatabaseCannotKeepIsReplaced(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		a := storetest.Mail{Lease: "me", Subject: "nul\x00 and \xff"}.Accepting()
		a.Messages[0].Header, a.Bodies[0].Data = nil, nil // nor may empty be none
		if err := db.Store.Accept(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		f := result(a.Deliveries[0], waypost.Bounced)
		f.Reason, f.Attempt.Reply.Text = "550 \x00\xfe no", "\xf0\x28\x8c\x28"
		finish(t, db, f)
		page, err := db.Store.Messages(t.Context(), "op", store.MessageFilter{Recipient: "a\x00\xff*", Subject: "\x00"})
		if err != nil || len(page.Messages) != 0 {
			t.Error(page, err)
		}
		got, err := db.Store.Message(t.Context(), "op", a.Messages[0].ID)
		if err != nil || got.Messages[0].Subject != "nul\uFFFD and \uFFFD" || got.Deliveries[0].Reason != "550 \uFFFD\uFFFD no" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestSuppressedRecipientsAreCountedAtAccept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		a := storetest.Mail{To: []string{"a@example.test", "b@example.test"}}.Accepting()
		d := &a.Deliveries[1]
		d.State = waypost.Suppressed
		a.Events = []waypost.Event{{
			OperatorID: "op", MessageID: d.MessageID, DeliveryID: d.ID, Type: waypost.EventSuppress,
			From: waypost.Queued, To: waypost.Suppressed, Count: 1, At: a.At,
		}}
		if err := db.Store.Accept(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		c, err := db.Store.Conservation(t.Context(), "op")
		if err != nil || !c.Balanced || c.Suppressed != 1 || c.Queued != 1 {
			t.Error(c, err)
		}
		auditClean(t, db)
	})
}
