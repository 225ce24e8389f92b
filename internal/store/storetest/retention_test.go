package storetest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

func day(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

func usualRetention() system.Retention {
	return system.Retention{Content: day(7), Reports: day(3), Metadata: day(90)}
}

func retain(t testing.TB, db *storetest.DB, now time.Time) {
	t.Helper()
	for {
		more, err := db.System.Retention(t.Context(), now, usualRetention())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
	}
}

func TestContentIsErasedWhenItsTimeHasCome(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		now := storetest.Now()
		old := acceptLeased(t, db, storetest.Mail{At: now.Add(-day(8)), For: day(30)})[0]
		finish(t, db, result(old, waypost.Delivered))
		queued := accept(t, db, storetest.Mail{At: now.Add(-day(8)), For: day(30)}).Deliveries[0]
		young := acceptLeased(t, db, storetest.Mail{})[0]
		finish(t, db, result(young, waypost.Delivered))
		now = storetest.Now()
		retain(t, db, now)
		_, _, err := db.Store.Content(t.Context(), "op", old.MessageID)
		wantKind(t, err, waypost.NotFound)
		if waypost.AsError(err).Code != "content_erased" {
			t.Error(err)
		}
		for _, d := range []waypost.Delivery{queued, young} {
			if _, body, err := db.Store.Content(t.Context(), "op", d.MessageID); err != nil || len(body) == 0 {
				t.Error(err)
			}
		}
		want := []waypost.EventType{waypost.EventAccepted, waypost.EventDelivered, waypost.EventErased}
		if diff := cmp.Diff(want, types(t, db, old.MessageID)); diff != "" {
			t.Error(diff)
		}
		// What had to be kept for a queued delivery is looked at again an hour later.
		at := db.Int(t, "SELECT erase_at FROM message WHERE id = $1", queued.MessageID)
		if at != waypost.Millis(now.Add(time.Hour)) {
			t.Errorf("looked at again at %v", waypost.FromMillis(at))
		}
		finish(t, db, result(claim(t, db, system.Claim{Key: keyOf(queued)})[0], waypost.Bounced))
		retain(t, db, now.Add(time.Hour))
		if n := db.Int(t, "SELECT COUNT(*) FROM body"); n != 1 {
			t.Errorf("%d bodies, want 1", n)
		}
		auditClean(t, db)
	})
}

func TestSecurityContentIsShownToNobody(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		a := accept(t, db, storetest.Mail{Kind: waypost.KindSecurity, Subject: "Code 123456"})
		_, _, err := db.Store.Content(t.Context(), "op", a.Messages[0].ID)
		wantKind(t, err, waypost.Forbidden)
		got, err := db.Store.Message(t.Context(), "op", a.Messages[0].ID)
		if err != nil || got.Messages[0].Subject != "" {
			t.Error(got, err)
		}
	})
}

func TestRetentionMovesNoCounter(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		now := storetest.Now()
		long := now.Add(-day(100))
		for i, state := range []waypost.State{waypost.Delivered, waypost.Bounced, waypost.Uncertain, waypost.Delivered} {
			for _, d := range acceptLeased(t, db, storetest.Mail{At: long, For: day(200), To: []string{"a@example.test", fmt.Sprintf("b%d@example.test", i)}}) {
				finish(t, db, result(d, state))
			}
		}
		queued := accept(t, db, storetest.Mail{At: long, For: day(200)}).Deliveries[0]
		young := acceptLeased(t, db, storetest.Mail{})[0]
		finish(t, db, result(young, waypost.Delivered))
		batch := batchOf(2, waypost.KindEvent)
		if err := db.Store.Accept(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		before, err := db.Store.Conservation(t.Context(), "op")
		if err != nil {
			t.Fatal(err)
		}
		retain(t, db, now)
		after, err := db.Store.Conservation(t.Context(), "op")
		if diff := cmp.Diff(before, after); diff != "" || err != nil || !after.Balanced {
			t.Error(diff, err)
		}
		auditClean(t, db)
		got := rawRows(t, db, "SELECT operator_id, node, delivered, bounced, expired, cancelled, suppressed, uncertain FROM retired")
		if diff := cmp.Diff([]string{"op|node-a|4|2|0|0|0|2"}, got); diff != "" {
			t.Error(diff)
		}
		for table, want := range map[string]int64{"message": 4, "delivery": 4, "attempt": 1, "event": 5, "body": 3} {
			if n := db.Int(t, "SELECT COUNT(*) FROM "+table); n != want {
				t.Errorf("%d rows in %s, want %d", n, table, want)
			}
		}
		if got := delivery(t, db, queued.ID); got.State != waypost.Queued {
			t.Error("a queued delivery was touched")
		}
	})
}

func TestRetentionGoesBatchByBatch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		now := storetest.Now()
		all := storetest.Mail{At: now.Add(-day(100))}.Accepting()
		for range 130 {
			one := storetest.Mail{At: now.Add(-day(100))}.Accepting()
			all.Messages = append(all.Messages, one.Messages[0])
			all.Bodies = append(all.Bodies, one.Bodies[0])
			all.Deliveries = append(all.Deliveries, one.Deliveries[0])
		}
		if err := db.Store.Accept(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		if _, err := db.System.Expire(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		rounds := 0
		for more := true; more; rounds++ {
			var err error
			if more, err = db.System.Retention(t.Context(), now, usualRetention()); err != nil {
				t.Fatal(err)
			}
			auditClean(t, db)
		}
		if rounds < 3 {
			t.Errorf("%d rounds", rounds)
		}
		for _, table := range []string{"message", "delivery", "event", "body"} {
			if n := db.Int(t, "SELECT COUNT(*) FROM "+table); n != 0 {
				t.Errorf("%d rows left in %s", n, table)
			}
		}
	})
}

func TestRetentionPurgesWhatIsPastItsTime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		now := storetest.Now()
		accept(t, db, storetest.Mail{Key: "old", At: now.Add(-day(7) - time.Hour)})
		accept(t, db, storetest.Mail{Key: "young", At: now.Add(-day(6))})
		for reason, expires := range map[waypost.SuppressionReason]time.Time{
			waypost.SuppressedManual: {}, waypost.SuppressedSoft: now.Add(-time.Second), waypost.SuppressedHard: now.Add(time.Hour),
		} {
			if err := db.Store.AddSuppression(t.Context(), waypost.CommandLine(), "op", waypost.Suppression{Address: "a@b.test", Reason: reason, Expires: expires}); err != nil {
				t.Fatal(err)
			}
		}
		for _, kind := range []waypost.Kind{waypost.KindEvent, waypost.KindReport} {
			for _, age := range []int{2, 5, 8} {
				f := result(acceptLeased(t, db, storetest.Mail{Kind: kind})[0], waypost.Delivered)
				f.At, f.Sandbox = now.Add(-day(age)), &system.SandboxMail{Header: []byte("h")}
				finish(t, db, f)
			}
		}
		db.Exec(t, "INSERT INTO commit_mark (process, serial, at) VALUES ('old', 1, $1), ('young', 1, $2)",
			waypost.Millis(now.Add(-day(2))), waypost.Millis(now.Add(-time.Hour)))
		for _, age := range []int{700, 731} {
			err := db.Store.AddSender(t.Context(), waypost.CommandLine(), "op", waypost.Sender{ID: waypost.NewID(), Address: fmt.Sprintf("a%d@b.test", age), Created: now.Add(-day(age))}, 9)
			if err != nil {
				t.Fatal(err)
			}
		}
		retain(t, db, now)
		if old, err := db.Store.FindIdempotency(t.Context(), "op", "young"); old == nil || err != nil {
			t.Error(old, err)
		}
		for query, want := range map[string]int64{
			"SELECT COUNT(*) FROM idempotency":                   1,
			"SELECT COUNT(*) FROM suppression":                   2,
			"SELECT COUNT(*) FROM domain_event":                  1,
			"SELECT COUNT(*) FROM sandbox WHERE kind = 'event'":  2,
			"SELECT COUNT(*) FROM sandbox WHERE kind = 'report'": 1,
		} {
			if n := db.Int(t, query); n != want {
				t.Errorf("%s: %d, want %d", query, n, want)
			}
		}
	})
}

func TestRollupCountsByHourAndKind(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		hour := storetest.Now().Truncate(time.Hour).Add(-5 * time.Hour)
		other := db.Node(t, "node-b")
		for i, m := range []storetest.Mail{
			{At: hour}, {At: hour.Add(59 * time.Minute)}, {At: hour.Add(time.Hour)}, {At: hour, Kind: waypost.KindReport}, {At: hour, OperatorID: "other"},
		} {
			node := db
			if i == 1 {
				node = other
			}
			accept(t, node, m)
		}
		got, err := db.Store.Rollup(t.Context(), "op", hour.Add(time.Minute), hour.Add(time.Hour+time.Minute))
		want := []store.HourCount{
			{Hour: hour, Kind: waypost.KindEvent, Counts: store.Counts{Accepted: 2}},
			{Hour: hour, Kind: waypost.KindReport, Counts: store.Counts{Accepted: 1}},
			{Hour: hour.Add(time.Hour), Kind: waypost.KindEvent, Counts: store.Counts{Accepted: 1}},
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
		if got, err := db.Store.Rollup(t.Context(), "op", hour.Add(time.Hour), hour.Add(time.Hour)); len(got) != 0 || err != nil {
			t.Error(got, err)
		}
	})
}
