package storetest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// keepReceived keeps a mail that came from outside.
func keepReceived(t testing.TB, db *storetest.DB, operatorID, subject string, at time.Time) (removed int64) {
	t.Helper()
	removed, err := db.System.KeepReceived(t.Context(), operatorID, "a@b.test", "postmaster", subject, []byte("mail"), at)
	if err != nil {
		t.Fatal(err)
	}
	return removed
}

// fillReceived puts mails into a mailbox, one each second up to a time, the oldest with the
// subject "mail 0".
func fillReceived(t testing.TB, db *storetest.DB, operatorID string, n int, until time.Time) {
	t.Helper()
	var cells []any
	for i := range n {
		at := until.Add(time.Duration(i-n) * time.Second)
		cells = append(cells, waypost.NewIDAt(at), operatorID, "", "", "other", "a@b.test", "postmaster",
			fmt.Sprint("mail ", i), 4, waypost.Millis(at), []byte("mail"))
	}
	err := db.Store.Write(t.Context(), func(ctx context.Context, tx *engine.Tx) error {
		return tx.Rows(ctx, `INSERT INTO sandbox (id, operator_id, message_id, delivery_id, kind, mail_from, recipient, subject, size, created, data)`,
			"", nil, 11, cells)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestInAFullMailboxTheOldestMailOfStrangersMakesRoom(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		now := storetest.Now()
		// Older than all else are mails of ours, security mail among them, and a
		// stranger's in another mailbox.
		for _, kind := range []waypost.Kind{waypost.KindSecurity, waypost.KindOther} {
			f := result(acceptLeased(t, db, storetest.Mail{OperatorID: "op", Kind: kind})[0], waypost.Delivered)
			f.At = now.Add(-24 * time.Hour)
			f.Sandbox = &system.SandboxMail{Subject: "ours", Header: []byte("h"), Body: []byte("b")}
			finish(t, db, f)
		}
		keepReceived(t, db, "other", "theirs", now.Add(-24*time.Hour))
		fillReceived(t, db, "op", system.MaxReceived-1, now)
		if n := keepReceived(t, db, "op", "last", now.Add(time.Second)); n != 0 {
			t.Errorf("%d removed while there was room", n)
		}
		if n := keepReceived(t, db, "op", "one more", now.Add(2*time.Second)); n != 1 {
			t.Errorf("%d removed, want 1", n)
		}
		// A clock that was set back makes a mail no older than those it comes after.
		if n := keepReceived(t, db, "op", "from the past", now.Add(-48*time.Hour)); n != 1 {
			t.Errorf("%d removed, want 1", n)
		}
		subjects := map[string]int{}
		for cursor := ""; ; {
			list, next, err := db.System.SandboxAll(t.Context(), "", cursor, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range list {
				subjects[m.Subject]++
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		for subject, want := range map[string]int{
			"ours": 2, "theirs": 1, "last": 1, "one more": 1, "from the past": 1,
			"mail 0": 0, "mail 1": 0, "mail 2": 1, fmt.Sprint("mail ", system.MaxReceived-2): 1,
		} {
			if subjects[subject] != want {
				t.Errorf("%d of %q, want %d", subjects[subject], subject, want)
			}
		}
		if n := received(t, db); n != system.MaxReceived {
			t.Errorf("%d mails of strangers", n)
		}
	})
}

func received(t testing.TB, db *storetest.DB) int64 {
	t.Helper()
	return db.Int(t, "SELECT COUNT(*) FROM sandbox WHERE operator_id = 'op' AND message_id = ''")
}

func TestManyNodesAtOnceKeepNoMoreThanThereIsRoomFor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		db.Exec(t, `INSERT INTO operator (id, parent_id, name, product, contact, suspended, gateway, uncertain_policy, reply_to, signature_text, signature_html, created)
VALUES ('op', '', 'Op', 'servermate', '', FALSE, '', 'retry', '', '', '', 0)`)
		nodes := []*storetest.DB{db, db}
		if db.Name == "postgres" { // SQLite has one process
			nodes = []*storetest.DB{db, db.Node(t, "node-b"), db.Node(t, "node-c")}
		}
		now := storetest.Now()
		fillReceived(t, db, "op", system.MaxReceived, now)
		for round := range 20 {
			var all sync.WaitGroup
			for _, node := range nodes {
				all.Go(func() {
					if _, err := node.System.KeepReceived(t.Context(), "op", "", "abuse", "x", nil, now.Add(time.Duration(round)*time.Second)); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if n := received(t, db); n != system.MaxReceived {
				t.Fatalf("round %d: %d mails", round, n)
			}
		}
	})
}
