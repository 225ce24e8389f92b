package storetest_test

import (
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// report records feedback and returns whether it was recorded.
func report(t testing.TB, db *storetest.DB, f waypost.Feedback) bool {
	t.Helper()
	recorded, err := db.System.Feedback(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return recorded
}

// delivered is a delivery that the remote took.
func delivered(t testing.TB, db *storetest.DB, m storetest.Mail) waypost.Delivery {
	t.Helper()
	d := acceptLeased(t, db, m)[0]
	finish(t, db, result(d, waypost.Delivered))
	return delivery(t, db, d.ID)
}

// inForce are the suppressions of an address by reason.
func inForce(t testing.TB, db *storetest.DB, address string) map[waypost.SuppressionReason]waypost.Suppression {
	t.Helper()
	found, err := db.Store.SuppressionsFor(t.Context(), "op", []string{address})
	if err != nil {
		t.Fatal(err)
	}
	byReason := map[waypost.SuppressionReason]waypost.Suppression{}
	for _, n := range found[store.NormalizeAddress(address)] {
		byReason[n.Reason] = n
	}
	return byReason
}

func TestALateBounceMovesTheDeliveryAndItsCounters(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := delivered(t, db, storetest.Mail{To: []string{"Gone@Example.test"}})
		now := storetest.Now().Add(time.Hour)
		f := waypost.Feedback{
			DeliveryID: d.ID, Sort: waypost.FeedbackBounce, Cause: "bad_mailbox", Rule: "5.1.1", Symptom: waypost.SuppressedHard, Detail: "550 5.1.1 no such user", Reporter: "mx.example.test [192.0.2.1]", At: now,
		}
		number := change(t, db)
		if !report(t, db, f) || report(t, db, f) {
			t.Error("it is not recorded exactly once")
		}
		if change(t, db) == number {
			t.Error("no process notices the operator's first suppression")
		}
		got := delivery(t, db, d.ID)
		if got.State != waypost.Bounced || got.Cause != "bad_mailbox" || got.Reason != f.Detail {
			t.Errorf("%+v", got)
		}
		listed, err := db.Store.Feedback(t.Context(), "op", d.MessageID)
		want := f
		want.Symptom = "" // which the suppression has
		if err != nil || len(listed) != 1 || listed[0] != want {
			t.Errorf("%+v, %v", listed, err)
		}
		counts := conservation(t, db, "op")
		if counts.Delivered != 0 || counts.Bounced != 1 {
			t.Errorf("%+v", counts)
		}
		if n := inForce(t, db, "gone@example.test")[waypost.SuppressedHard]; n.MessageID != d.MessageID || n.Detail != f.Detail || !n.Expires.Equal(now.Add(7*24*time.Hour)) {
			t.Errorf("%+v", n)
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM rollup WHERE delivered < 0"); n != 0 {
			t.Error("an hour has fewer than no deliveries")
		}
		auditClean(t, db)
	})
}

func TestAComplaintSuppressesAndLeavesTheDelivery(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := delivered(t, db, storetest.Mail{To: []string{"a@example.test"}})
		f := waypost.Feedback{DeliveryID: d.ID, Sort: waypost.FeedbackComplaint, Symptom: waypost.SuppressedComplaint, Detail: "abuse", At: storetest.Now()}
		if !report(t, db, f) {
			t.Error("not recorded")
		}
		if got := delivery(t, db, d.ID); got.State != waypost.Delivered {
			t.Errorf("%+v", got)
		}
		if got := types(t, db, d.MessageID); got[len(got)-1] != waypost.EventComplained {
			t.Errorf("%v", got)
		}
		if n, ok := inForce(t, db, "a@example.test")[waypost.SuppressedComplaint]; !ok || !n.Expires.Equal(f.At.Add(365*24*time.Hour)) {
			t.Errorf("%+v", n)
		}
		auditClean(t, db)
	})
}

func TestFeedbackThatProvesNothingIsNotRecorded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		now := storetest.Now()
		old := delivered(t, db, storetest.Mail{})
		if report(t, db, waypost.Feedback{DeliveryID: old.ID, Sort: waypost.FeedbackBounce, Symptom: waypost.SuppressedHard, At: now.Add(15 * 24 * time.Hour)}) {
			t.Error("a bounce after weeks")
		}
		if report(t, db, waypost.Feedback{DeliveryID: waypost.NewID(), Sort: waypost.FeedbackBounce, At: now}) {
			t.Error("of a delivery that does not exist")
		}
		leased := acceptLeased(t, db, storetest.Mail{})[0]
		_, err := db.System.Feedback(t.Context(), waypost.Feedback{DeliveryID: leased.ID, Sort: waypost.FeedbackBounce, At: now})
		wantKind(t, err, waypost.RateLimited) // it overtook the result, and is sent again
		finish(t, db, result(leased, waypost.Delivered))
		if !report(t, db, waypost.Feedback{DeliveryID: leased.ID, Sort: waypost.FeedbackBounce, At: now}) {
			t.Error("then it is recorded")
		}
		waiting := accept(t, db, storetest.Mail{In: time.Hour}).Deliveries[0]
		report(t, db, waypost.Feedback{DeliveryID: waiting.ID, Sort: waypost.FeedbackBounce, At: now})
		if got := delivery(t, db, waiting.ID); got.State != waypost.Queued {
			t.Errorf("what is tried again is %s", got.State)
		}
		test := delivered(t, db, storetest.Mail{Kind: waypost.KindTest})
		if !report(t, db, waypost.Feedback{DeliveryID: test.ID, Sort: waypost.FeedbackBounce, Symptom: waypost.SuppressedHard, At: now}) || delivery(t, db, test.ID).State != waypost.Bounced {
			t.Error("the bounce of a test mail is not recorded")
		}
		if n := len(inForce(t, db, old.Recipient)); n != 0 {
			t.Errorf("%d suppressions", n)
		}
		auditClean(t, db)
	})
}

func TestASynchronousBounceSuppressesTheAddress(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := acceptLeased(t, db, storetest.Mail{To: []string{"gone@example.test"}})[0]
		f := result(d, waypost.Bounced)
		f.Symptom = waypost.SuppressedHard
		finish(t, db, f)
		if n := inForce(t, db, "gone@example.test")[waypost.SuppressedHard]; n.MessageID != d.MessageID || n.Hits != 1 {
			t.Errorf("%+v", n)
		}
	})
}

func TestSuppressionsGrowWithEachRepeatAndSoftOnesNeedSeveral(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		const day = 24 * time.Hour
		now := storetest.Now()
		bounce := func(to string, reason waypost.SuppressionReason, at time.Time) {
			t.Helper()
			d := delivered(t, db, storetest.Mail{To: []string{to}})
			db.Exec(t, "UPDATE delivery SET updated = $1 WHERE id = $2", waypost.Millis(at), d.ID)
			if !report(t, db, waypost.Feedback{DeliveryID: d.ID, Sort: waypost.FeedbackBounce, Symptom: reason, At: at}) {
				t.Fatal("not recorded")
			}
		}
		row := func(to string, reason waypost.SuppressionReason) (expires time.Time, hits int64) {
			return waypost.FromMillis(db.Int(t, "SELECT expires FROM suppression WHERE address = $1 AND reason = $2", to, string(reason))),
				db.Int(t, "SELECT hits FROM suppression WHERE address = $1 AND reason = $2", to, string(reason))
		}
		at := now
		for n, days := range []int{7, 14, 28, 56, 112, 224, 365, 365} {
			bounce("hard@example.test", waypost.SuppressedHard, at)
			bounce("hard@example.test", waypost.SuppressedHard, at.Add(time.Hour)) // was under way already
			expires, hits := row("hard@example.test", waypost.SuppressedHard)
			if !expires.Equal(at.AddDate(0, 0, days)) || hits != int64(n+1) {
				t.Errorf("time %d: %s, %d hits", n+1, expires.Sub(at), hits)
			}
			at = expires.Add(time.Hour)
		}

		bounce("soft@example.test", waypost.SuppressedSoft, now)
		bounce("soft@example.test", waypost.SuppressedSoft, now.Add(8*day)) // the first is too long ago
		bounce("soft@example.test", waypost.SuppressedSoft, now.Add(9*day))
		if n := db.Int(t, "SELECT COUNT(*) FROM suppression WHERE address = 'soft@example.test'"); n != 0 {
			t.Error("suppressed too early")
		}
		bounce("soft@example.test", waypost.SuppressedSoft, now.Add(10*day))
		if expires, _ := row("soft@example.test", waypost.SuppressedSoft); !expires.Equal(now.Add(11 * day)) {
			t.Errorf("until %s", expires)
		}

		bounce("boss@example.test", waypost.SuppressedHard, now)
		if n := len(inForce(t, db, "boss@example.test")); n != 1 {
			t.Error("not suppressed")
		}
		for range 2 {
			if err := db.Store.AddExempt(t.Context(), waypost.CommandLine(), "op", "Boss@Example.test", now); err != nil {
				t.Fatal(err)
			}
		}
		bounce("boss@example.test", waypost.SuppressedHard, now.Add(time.Hour))
		if n := len(inForce(t, db, "boss@example.test")); n != 0 {
			t.Error("an exempt address is suppressed")
		}
		if err := db.Store.RemoveExempt(t.Context(), waypost.CommandLine(), "op", "boss@example.test"); err != nil {
			t.Fatal(err)
		}
		wantKind(t, db.Store.RemoveExempt(t.Context(), waypost.CommandLine(), "op", "boss@example.test"), waypost.NotFound)
		bounce("boss@example.test", waypost.SuppressedHard, now.Add(2*time.Hour))
		if n := len(inForce(t, db, "boss@example.test")); n != 1 {
			t.Error("not suppressed again")
		}
		auditClean(t, db)
	})
}

func TestWhoGotAMailCanAnswerIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := delivered(t, db, storetest.Mail{To: []string{"Driver@Example.test"}})
		found, err := db.Store.Message(t.Context(), "op", d.MessageID)
		if err != nil {
			t.Fatal(err)
		}
		header := found.Messages[0].HeaderID
		waiting := accept(t, db, storetest.Mail{To: []string{"a@example.test"}}).Messages[0]
		for name, c := range map[string]struct {
			id, header, address string
			want                string
		}{
			"the recipient":    {d.MessageID, header, "driver@EXAMPLE.test", "op"},
			"somebody else":    {d.MessageID, header, "x@example.test", ""},
			"nobody":           {d.MessageID, header, "", ""},
			"another field":    {d.MessageID, "<x@y>", "driver@example.test", ""},
			"no message":       {waypost.NewID(), header, "driver@example.test", ""},
			"it never got it":  {waiting.ID, waiting.HeaderID, "a@example.test", ""},
			"a hostile string": {"' OR 1=1 --", "' OR 1=1 --", "' OR 1=1 --", ""},
		} {
			operator, err := db.System.SentBy(t.Context(), c.id, c.header, c.address)
			if operator != c.want || c.want == "" && waypost.KindOf(err) != waypost.NotFound || c.want != "" && err != nil {
				t.Errorf("%s: %q %v", name, operator, err)
			}
		}
	})
}
