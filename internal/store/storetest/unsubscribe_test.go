package storetest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// suppressed lists the suppressions of operator op as "address reason kind".
func suppressed(t testing.TB, db *storetest.DB, f store.SuppressionFilter) (list []string) {
	t.Helper()
	found, _, err := db.Store.Suppressions(t.Context(), "op", f, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range found {
		list = append(list, n.Address+" "+string(n.Reason)+" "+string(n.Kind))
	}
	return list
}

func TestUnsubscribingIsOfOneKindAndSaidOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		now := storetest.Now()
		word := waypost.Suppression{
			OperatorID: "op", Address: "Anna@Example.test", Kind: waypost.KindEvent, MessageID: "m1", Via: waypost.ViaOneClick, Created: now,
		}
		number := change(t, db)
		say := func(n waypost.Suppression) {
			t.Helper()
			if err := db.Store.Unsubscribe(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		row := func() waypost.Suppression {
			t.Helper()
			found, err := db.Store.SuppressionsFor(t.Context(), "op", []string{"anna@example.test"})
			if err != nil || len(found["anna@example.test"]) != 1 {
				t.Fatalf("%+v, %v", found, err)
			}
			return found["anna@example.test"][0]
		}
		say(word)
		want := word
		want.Address, want.Reason, want.Hits = "anna@example.test", waypost.SuppressedUnsubscribe, 1
		want.Expires = now.Add(365 * 24 * time.Hour)
		if got := row(); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if change(t, db) == number {
			t.Error("no process notices the operator's first suppression")
		}
		// What is said again in the next hours changes nothing; a year later it lasts from then.
		again := word
		again.MessageID, again.Via, again.Created = "m2", waypost.ViaPage, now.Add(time.Hour)
		say(again)
		if got := row(); got != want {
			t.Errorf("said again: %+v", got)
		}
		again.Created = now.Add(200 * 24 * time.Hour)
		say(again)
		if got := row(); !got.Expires.Equal(want.Expires.Add(200*24*time.Hour)) || got.MessageID != "m2" || !got.Created.Equal(now) {
			t.Errorf("said half a year later: %+v", got)
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM audit"); n != 0 {
			t.Errorf("%d entries in the log of what operators do", n)
		}
	})
}

func TestUnsubscribingLastsAsLongAsTheOwnerSays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		if _, err := db.System.ChangePlatformSettings(t.Context(), waypost.CommandLine(), func(p *waypost.PlatformSettings) error {
			p.Suppression.Unsubscribe = 48 * time.Hour
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		now := storetest.Now()
		if err := db.Store.Unsubscribe(t.Context(), waypost.Suppression{OperatorID: "op", Address: "a@x.test", Kind: waypost.KindEvent, Created: now}); err != nil {
			t.Fatal(err)
		}
		if n := inForce(t, db, "a@x.test")[waypost.SuppressedUnsubscribe]; !n.Expires.Equal(now.Add(48 * time.Hour)) {
			t.Errorf("%+v", n)
		}
	})
}

func TestTakingTheWordBackLiftsNothingElse(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		now := storetest.Now()
		by := waypost.CommandLine()
		for _, n := range []waypost.Suppression{
			{Address: "a@x.test", Reason: waypost.SuppressedUnsubscribe},
			{Address: "a@x.test", Reason: waypost.SuppressedUnsubscribe, Kind: waypost.KindEvent},
			{Address: "a@x.test", Reason: waypost.SuppressedUnsubscribe, Kind: waypost.KindReport},
			{Address: "a@x.test", Reason: waypost.SuppressedManual, Kind: waypost.KindEvent},
			{Address: "a@x.test", Reason: waypost.SuppressedComplaint},
			{Address: "b@x.test", Reason: waypost.SuppressedUnsubscribe, Kind: waypost.KindEvent},
		} {
			n.Created = now
			if err := db.Store.AddSuppression(t.Context(), by, "op", n); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // twice is no error
			if err := db.Store.Resubscribe(t.Context(), waypost.Recipient(), "op", "A@x.test", waypost.KindEvent); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{
			"a@x.test complaint ", "a@x.test manual event", "a@x.test unsubscribe ", "a@x.test unsubscribe report", "b@x.test unsubscribe event",
		}, suppressed(t, db, store.SuppressionFilter{})); diff != "" {
			t.Error(diff)
		}
		log, err := db.Store.AuditLog(t.Context(), "op", "", 1)
		if err != nil || log[0].Action != "suppression.resubscribe" || log[0].Actor.ID != "recipient" || log[0].Detail != "event" {
			t.Errorf("%+v, %v", log, err)
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM audit WHERE action = 'suppression.resubscribe'"); n != 1 {
			t.Errorf("recorded %d times", n)
		}
	})
}

func TestSuppressionsAreFoundAndRemovedByKind(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		by := waypost.CommandLine()
		for _, kind := range []waypost.Kind{"", waypost.KindEvent, waypost.KindReport} {
			for _, reason := range []waypost.SuppressionReason{waypost.SuppressedManual, waypost.SuppressedUnsubscribe} {
				if err := db.Store.AddSuppression(t.Context(), by, "op", waypost.Suppression{Address: "a@x.test", Reason: reason, Kind: kind}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff([]string{"a@x.test manual ", "a@x.test unsubscribe "}, suppressed(t, db, store.SuppressionFilter{Kind: waypost.AllKinds})); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"a@x.test manual event", "a@x.test unsubscribe event"}, suppressed(t, db, store.SuppressionFilter{Kind: waypost.KindEvent})); diff != "" {
			t.Error(diff)
		}
		// In pages of one.
		var seen []string
		for cursor := ""; ; {
			list, next, err := db.Store.Suppressions(t.Context(), "op", store.SuppressionFilter{}, cursor, 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range list {
				seen = append(seen, string(n.Reason)+" "+string(n.Kind))
			}
			if cursor = next; next == "" {
				break
			}
		}
		if diff := cmp.Diff([]string{"manual ", "manual event", "manual report", "unsubscribe ", "unsubscribe event", "unsubscribe report"}, seen); diff != "" {
			t.Error(diff)
		}
		remove := func(reason waypost.SuppressionReason, kind waypost.Kind) {
			t.Helper()
			if err := db.Store.RemoveSuppression(t.Context(), by, "op", "a@x.test", reason, kind); err != nil {
				t.Error(err)
			}
		}
		remove(waypost.SuppressedManual, waypost.AllKinds)
		remove("", waypost.KindEvent)
		if diff := cmp.Diff([]string{"a@x.test manual report", "a@x.test unsubscribe ", "a@x.test unsubscribe report"}, suppressed(t, db, store.SuppressionFilter{})); diff != "" {
			t.Error(diff)
		}
		remove(waypost.SuppressedUnsubscribe, "")
		wantKind(t, db.Store.RemoveSuppression(t.Context(), by, "op", "a@x.test", waypost.SuppressedUnsubscribe, ""), waypost.NotFound)
		remove("", "")
		if left := suppressed(t, db, store.SuppressionFilter{}); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestExemptAddressesUnsubscribeAllTheSame(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		now := storetest.Now()
		if err := db.Store.AddExempt(t.Context(), waypost.CommandLine(), "op", "boss@x.test", now); err != nil {
			t.Fatal(err)
		}
		word := waypost.Suppression{OperatorID: "op", Address: "boss@x.test", Kind: waypost.KindEvent, Created: now}
		if err := db.Store.Unsubscribe(t.Context(), word); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"boss@x.test unsubscribe event"}, suppressed(t, db, store.SuppressionFilter{})); diff != "" {
			t.Error(diff)
		}
	})
}

func TestImportsAreWholeAndEndNothingEarlier(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		now := storetest.Now()
		if err := db.Store.AddExempt(t.Context(), waypost.CommandLine(), "op", "boss@x.test", now); err != nil {
			t.Fatal(err)
		}
		list := []waypost.Suppression{
			{Address: "A@x.test", Reason: waypost.SuppressedManual, Created: now},
			{Address: "b@x.test", Reason: waypost.SuppressedUnsubscribe, Kind: waypost.KindEvent, Created: now, Expires: now.Add(72 * time.Hour)},
			{Address: "boss@x.test", Reason: waypost.SuppressedHard, Created: now, Expires: now.Add(time.Hour)},
			{Address: "boss@x.test", Reason: waypost.SuppressedManual, Created: now},
		}
		entry := waypost.AuditEntry{OperatorID: "op", Actor: waypost.CommandLine(), Action: "suppression.import"}
		run := func(want ...store.Imported) {
			t.Helper()
			tried, err := db.Store.TryImport(t.Context(), "op", list)
			if err != nil {
				t.Fatal(err)
			}
			got, err := db.Store.ImportSuppressions(t.Context(), "op", list, entry)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got) + cmp.Diff(want, tried); diff != "" {
				t.Error(diff)
			}
		}
		number := change(t, db)
		run(store.ImportAdded, store.ImportAdded, store.ImportExempt, store.ImportAdded)
		if change(t, db) == number {
			t.Error("no process notices the operator's first suppressions")
		}
		all := []string{"a@x.test manual ", "b@x.test unsubscribe event", "boss@x.test manual "}
		if diff := cmp.Diff(all, suppressed(t, db, store.SuppressionFilter{})); diff != "" {
			t.Error(diff)
		}
		run(store.ImportUnchanged, store.ImportUnchanged, store.ImportExempt, store.ImportUnchanged)
		list[0].Expires, list[1].Expires = now.Add(time.Hour), time.Time{}
		run(store.ImportUnchanged, store.ImportRenewed, store.ImportExempt, store.ImportUnchanged)
		if n := inForce(t, db, "a@x.test")[waypost.SuppressedManual]; !n.Expires.IsZero() || n.Via != waypost.ViaImport {
			t.Errorf("%+v", n)
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM audit WHERE action = 'suppression.import'"); n != 3 {
			t.Errorf("recorded %d times", n)
		}
	})
}
