package storetest_test

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

func TestFinishRecordsStateAttemptAndEvent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := acceptLeased(t, db, storetest.Mail{})[0]
		deferred := result(d, waypost.Queued)
		deferred.Cause, deferred.Attempt.Cause, deferred.Attempt.Rule = "greylisted", "greylist", "come back later"
		finish(t, db, deferred)
		got := delivery(t, db, d.ID)
		if got.State != waypost.Queued || got.Lease != "" || got.Step != 1 || got.Attempts != 1 || !got.NextAt.Equal(deferred.NextAt) ||
			got.Cause != "greylisted" || got.Reason != "the remote's words" || got.Route != waypost.RouteDirect {
			t.Errorf("%+v", got)
		}
		d = claim(t, db, system.Claim{Key: keyOf(d), Now: deferred.NextAt})[0]
		done := finish(t, db, result(d, waypost.Delivered))
		if done.Lost || done.Settled != waypost.Delivered {
			t.Errorf("%+v", done)
		}
		attempts, err := db.Store.Attempts(t.Context(), "op", d.MessageID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]waypost.Attempt{*deferred.Attempt, *done.Attempt}, attempts); diff != "" {
			t.Error(diff)
		}
		events, err := db.Store.Events(t.Context(), "op", d.MessageID)
		if err != nil || len(events) != 3 {
			t.Fatal(events, err)
		}
		last := events[2]
		if last.Type != waypost.EventDelivered || last.From != waypost.Queued || last.To != waypost.Delivered || last.Attempt != 2 {
			t.Errorf("%+v", last)
		}
		auditClean(t, db)
	})
}

func TestFinishOfALostLeaseWritesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := acceptLeased(t, db, storetest.Mail{})[0]
		other, stale, later := d, d, d
		other.Lease = "another"
		stale.Epoch--
		later.Epoch++
		before := delivery(t, db, d.ID)
		for _, wrong := range []waypost.Delivery{other, stale, later} {
			f := result(wrong, waypost.Delivered)
			f.Sandbox = &system.SandboxMail{Subject: "lost", Header: []byte("h"), Body: []byte("b")}
			if finish(t, db, f); !f.Lost || f.Settled != "" {
				t.Errorf("%+v", f)
			}
		}
		if diff := cmp.Diff(before, delivery(t, db, d.ID)); diff != "" {
			t.Error(diff)
		}
		for _, table := range []string{"attempt", "sandbox"} {
			if n := db.Int(t, "SELECT COUNT(*) FROM "+table); n != 0 {
				t.Errorf("%d rows in %s", n, table)
			}
		}
		if got := types(t, db, d.MessageID); len(got) != 1 {
			t.Errorf("events %v", got)
		}
		auditClean(t, db)
	})
}

func TestOfTwoFinishesOfOneClaimOneIsLost(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := acceptLeased(t, db, storetest.Mail{})[0]
		one, two := result(d, waypost.Delivered), result(d, waypost.Bounced)
		for _, err := range inOneGroup(
			t, db,
			func() error { return db.System.FinishNow(t.Context(), one) },
			func() error { return db.System.FinishNow(t.Context(), two) },
		) {
			if err != nil {
				t.Error(err)
			}
		}
		if one.Lost == two.Lost {
			t.Errorf("lost: %v and %v", one.Lost, two.Lost)
		}
		want := []waypost.EventType{waypost.EventAccepted, waypost.EventType(delivery(t, db, d.ID).State)}
		if diff := cmp.Diff(want, types(t, db, d.MessageID)); diff != "" {
			t.Error(diff)
		}
		auditClean(t, db)
	})
}

func TestFinishSettlesWhatWasAskedMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		action store.ControlAction
		ends   waypost.State
		want   waypost.State
		held   bool
		types  []waypost.EventType
	}{
		"cancel of a deferred one": {
			store.Cancel, waypost.Queued, waypost.Cancelled, false,
			[]waypost.EventType{waypost.EventAccepted, waypost.EventRequested, waypost.EventDeferred, waypost.EventCancelled},
		},
		"hold of a deferred one": {
			store.Hold, waypost.Queued, waypost.Queued, true,
			[]waypost.EventType{waypost.EventAccepted, waypost.EventRequested, waypost.EventDeferred, waypost.EventHeld},
		},
		"cancel that came too late": {
			store.Cancel, waypost.Delivered, waypost.Delivered, false,
			[]waypost.EventType{waypost.EventAccepted, waypost.EventRequested, waypost.EventDelivered},
		},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *storetest.DB) {
				d := acceptLeased(t, db, storetest.Mail{})[0]
				asked, err := db.Store.Control(t.Context(), waypost.CommandLine(), "op", d.ID, c.action, storetest.Now())
				if err != nil || !asked.Pending {
					t.Fatal(asked, err)
				}
				controls, err := db.System.Controls(t.Context(), "me")
				if diff := cmp.Diff(map[string]string{d.ID: string(c.action)}, controls); diff != "" || err != nil {
					t.Error(diff, err)
				}
				f := finish(t, db, result(d, c.ends))
				got := delivery(t, db, d.ID)
				if f.Settled != c.want || got.State != c.want || got.Held != c.held || got.Control != "" || got.Lease != "" {
					t.Errorf("settled %v, %+v", f.Settled, got)
				}
				if diff := cmp.Diff(c.types, types(t, db, d.MessageID)); diff != "" {
					t.Error(diff)
				}
				auditClean(t, db)
			})
		})
	}
}

func TestSecurityMailIsErasedWithItsLastDelivery(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ds := acceptLeased(t, db, storetest.Mail{Kind: waypost.KindSecurity, To: []string{"a@example.test", "b@example.test"}, Subject: "Code 123456"})
		id := ds[0].MessageID
		kept := func() int64 {
			return db.Int(t, "SELECT COUNT(*) FROM message m JOIN body b ON b.id = m.body_id WHERE m.id = $1 AND m.subject <> ''", id)
		}
		finish(t, db, result(ds[0], waypost.Delivered))
		if kept() != 1 {
			t.Fatal("erased while a delivery is queued")
		}
		finish(t, db, result(ds[1], waypost.Queued))
		if kept() != 1 {
			t.Fatal("erased while a delivery is deferred")
		}
		d := claim(t, db, system.Claim{Key: keyOf(ds[1]), Now: storetest.Now().Add(time.Hour)})[0]
		finish(t, db, result(d, waypost.Bounced))
		if kept() != 0 || db.Int(t, "SELECT COUNT(*) FROM body") != 0 {
			t.Fatal("kept after the last delivery")
		}
		got := types(t, db, id)
		if got[len(got)-1] != waypost.EventErased {
			t.Errorf("events %v", got)
		}
		if mail, err := db.System.Mail(t.Context(), id); err != nil || mail.Erased.IsZero() || mail.Body != nil || len(mail.Header) != 0 {
			t.Errorf("%+v, %v", mail, err)
		}
		auditClean(t, db)
	})
}

func TestASharedBodyIsKeptWhileAMessageUsesIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		batch := batchOf(2, waypost.KindSecurity)
		if err := db.Store.Accept(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		// The first message lends its id to the body; it goes first.
		for i, left := range []int64{1, 0} {
			id := batch.Deliveries[i].ID
			if _, err := db.Store.Control(t.Context(), waypost.CommandLine(), "op", id, store.Cancel, storetest.Now()); err != nil {
				t.Fatal(err)
			}
			if n := db.Int(t, "SELECT COUNT(*) FROM body"); n != left {
				t.Errorf("%d bodies after message %d, want %d", n, i, left)
			}
		}
		auditClean(t, db)
	})
}

// Two nodes finish the last two deliveries of one message at once: whichever commits
// second has to see that it is the last.
func TestSecurityMailIsErasedWhicheverNodeIsLast(t *testing.T) {
	db := storetest.OpenPostgres(t)
	ds := acceptLeased(t, db, storetest.Mail{Kind: waypost.KindSecurity, To: []string{"a@example.test", "b@example.test"}})
	ctx := t.Context()
	other, err := pgx.Connect(ctx, db.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	tx, err := other.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{ // what the other node does in Finish
		"UPDATE delivery SET state = 'bounced', lease = '' WHERE id = '" + ds[0].ID + "'",
		"SELECT 1 FROM message WHERE id = '" + ds[0].MessageID + "' FOR UPDATE",
	} {
		if _, err := tx.Exec(ctx, step); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- db.System.FinishNow(ctx, result(ds[1], waypost.Bounced)) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for db.Int(t, "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") == 0 {
		select {
		case err := <-done:
			t.Fatalf("finished without waiting for the other node: %v", err)
		case <-tick.C:
		}
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := db.Int(t, "SELECT COUNT(*) FROM body"); n != 0 {
		t.Error("nobody erased it")
	}
}

func TestTheSandboxKeepsItsOwnCopy(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		for _, kind := range []waypost.Kind{waypost.KindEvent, waypost.KindSecurity} {
			d := acceptLeased(t, db, storetest.Mail{Kind: kind})[0]
			f := result(d, waypost.Delivered)
			f.Route = waypost.RouteSandbox
			f.Sandbox = &system.SandboxMail{MailFrom: "from@example.test", Subject: "Hi", Header: []byte("Subject: Hi\r\n\r\n"), Body: []byte("Hello\r\n")}
			finish(t, db, f)
		}
		list, next, err := db.Store.SandboxList(t.Context(), "op", "", 10)
		if err != nil || next != "" || len(list) != 1 || list[0].Kind != waypost.KindEvent || list[0].Recipient != "someone@example.test" {
			t.Fatalf("an operator sees %+v, %q, %v", list, next, err)
		}
		mail, err := db.Store.SandboxMail(t.Context(), "op", list[0].ID)
		if err != nil || string(mail.Data) != "Subject: Hi\r\n\r\nHello\r\n" || mail.Size != int64(len(mail.Data)) {
			t.Errorf("%+v, %v", mail, err)
		}
		all, next, err := db.System.SandboxAll(t.Context(), "", "", 1)
		if err != nil || next == "" || len(all) != 1 || all[0].Kind != waypost.KindSecurity {
			t.Fatalf("the owner sees %+v, %q, %v", all, next, err)
		}
		_, err = db.Store.SandboxMail(t.Context(), "op", all[0].ID)
		wantKind(t, err, waypost.NotFound)
		if secret, err := db.System.SandboxAny(t.Context(), all[0].ID); err != nil || len(secret.Data) == 0 {
			t.Errorf("%+v, %v", secret, err)
		}
		if rest, next, err := db.System.SandboxAll(t.Context(), "op", next, 1); err != nil || next != "" || len(rest) != 1 || rest[0].ID != list[0].ID {
			t.Errorf("%+v, %q, %v", rest, next, err)
		}
		if n, err := db.Store.SandboxEmpty(t.Context(), waypost.CommandLine(), "op"); n != 1 || err != nil {
			t.Error(n, err)
		}
		auditClean(t, db)
	})
}

// The write-ahead log has a copy of everything that was written; what is erased must not
// lie there until the log happens to start over.
func TestErasedSecretsLeaveTheWriteAheadLogToo(t *testing.T) {
	db := storetest.OpenSQLite(t)
	const secret = "passcode-4711"
	d := acceptLeased(t, db, storetest.Mail{Kind: waypost.KindSecurity, Subject: secret, Body: secret + "\r\n", Tags: []string{secret}})[0]
	has := func(suffix string) bool {
		data, err := os.ReadFile(db.URL + suffix)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Contains(data, []byte(secret))
	}
	if !has("-wal") {
		t.Fatal("the log does not have what this test looks for")
	}
	finish(t, db, result(d, waypost.Delivered))
	deadline := time.Now().Add(10 * time.Second) // a committer with nothing else to do is quick
	for has("-wal") && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	for _, suffix := range []string{"-wal", ""} {
		if has(suffix) {
			t.Errorf("still in the database%s", suffix)
		}
	}
}
