package storetest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// furnish gives an operator something in every table and returns what a node holds of it:
// one delivery that is leased.
func furnish(t *testing.T, db *storetest.DB, name string) (operatorID string, leased waypost.Delivery, u waypost.User) {
	t.Helper()
	ctx, by := t.Context(), waypost.CommandLine()
	id := newOperator(t, db, waypost.ProductServermate).ID
	if err := db.Store.SaveEmailSettings(ctx, by, id, store.EmailSettings{
		Gateway: waypost.GatewaySMTP, Relay: &store.StoredRelay{Relay: waypost.Relay{Host: "h", Port: 25}, Sealed: []byte("sealed")},
		DefaultSender: &waypost.Sender{Address: "s@" + name},
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.System.CreateCredential(ctx, by, store.Credential{ID: waypost.NewID(), OperatorID: id}, []byte("hash of "+name)); err != nil {
		t.Fatal(err)
	}
	if err := db.Store.AddSuppression(ctx, by, id, waypost.Suppression{Address: "bad@example.test", Reason: waypost.SuppressedManual}); err != nil {
		t.Fatal(err)
	}
	db.Exec(t, "INSERT INTO suppression_exempt (operator_id, address, created) VALUES ($1, $2, 1)", id, "boss@"+name)
	hook := newWebhook(t, db, id)
	if err := db.Store.RecordWebhookTest(ctx, by, waypost.WebhookCall{
		ID: waypost.NewID(), OperatorID: id, WebhookID: hook, State: waypost.WebhookFailed, Body: []byte("{}"),
		Attempts: 1, Last: waypost.WebhookAttempt{Number: 1, Error: "no", Answer: id}, Created: storetest.Now(), Finished: storetest.Now(),
	}, storetest.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Store.ReplayWebhook(ctx, by, id, hook, storetest.Now(), storetest.Now(), storetest.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.System.ChangeReputation(ctx, waypost.Policy(), id, storetest.Now(), func(was waypost.Reputation, _ waypost.GatewayFigures) waypost.Reputation {
		was.Level = waypost.LevelWarned
		return was
	}); err != nil {
		t.Fatal(err)
	}
	proveDomain(t, db, id, name)
	u = newUser(t, db, id, "admin@"+name, waypost.RoleAdmin)
	signIn(t, db, u, "token of "+name)
	if _, err := db.System.IssueToken(ctx, by, id, waypost.UserToken{
		Hash: hashOf("link of " + name), UserID: u.ID, Purpose: waypost.TokenReset, Expires: storetest.Now().Add(time.Hour),
	}, storetest.Now()); err != nil {
		t.Fatal(err)
	}
	for i, state := range append(waypost.FinalStates(), waypost.Queued, waypost.Queued) {
		if state == waypost.Suppressed {
			continue
		}
		d := acceptLeased(t, db, storetest.Mail{OperatorID: id, Key: fmt.Sprint("key", i), To: []string{fmt.Sprintf("r%d@example.test", i), "two@example.test"}})
		for j := range d {
			f := result(d[j], state)
			if state == waypost.Delivered {
				f.Sandbox = &system.SandboxMail{Subject: "Hi", Header: []byte("h"), Body: []byte("b")}
			}
			finish(t, db, f)
			if state == waypost.Delivered {
				report(t, db, waypost.Feedback{DeliveryID: d[j].ID, Sort: waypost.FeedbackBounce, Symptom: waypost.SuppressedSoft, At: storetest.Now()})
			}
		}
	}
	accept(t, db, storetest.Mail{OperatorID: id, In: time.Hour})
	held := accept(t, db, storetest.Mail{OperatorID: id}).Deliveries[0]
	if _, err := db.Store.Control(ctx, by, id, held.ID, store.Hold, storetest.Now()); err != nil {
		t.Fatal(err)
	}
	batch := batchOf(3, waypost.KindReport)
	batch.OperatorID = id
	for i := range batch.Messages {
		batch.Messages[i].OperatorID, batch.Deliveries[i].OperatorID = id, id
	}
	if err := db.Store.Accept(ctx, batch); err != nil {
		t.Fatal(err)
	}
	return id, acceptLeased(t, db, storetest.Mail{OperatorID: id})[0], u
}

// kept are the tables in which a deleted operator may have rows.
func kept() []string { return []string{"audit", "counter", "retired"} }

// owned lists the tables that have a column operator_id.
func owned(t *testing.T, db *storetest.DB) []string {
	t.Helper()
	var names []string
	for _, line := range schema(t, db) {
		table, column, _ := strings.Cut(line, " column ")
		if strings.HasPrefix(column, "operator_id|") {
			names = append(names, table)
		}
	}
	return names
}

// rowsOf counts an operator's rows by table.
func rowsOf(t *testing.T, db *storetest.DB, operatorID, userID string) map[string]int64 {
	t.Helper()
	rows := map[string]int64{}
	for _, table := range owned(t, db) {
		rows[table] = db.Int(t, "SELECT COUNT(*) FROM "+table+" WHERE operator_id = $1", operatorID)
	}
	rows["operator"] = db.Int(t, "SELECT COUNT(*) FROM operator WHERE id = $1", operatorID)
	rows["webhook_attempt"] = db.Int(t, "SELECT COUNT(*) FROM webhook_attempt WHERE answer = $1", operatorID)
	for _, table := range []string{"user_session", "user_token"} {
		rows[table] = db.Int(t, "SELECT COUNT(*) FROM "+table+" WHERE user_id = $1", userID)
	}
	return rows
}

// removeAll does what there is to do now, with a look at the books after each step.
func removeAll(t *testing.T, db *storetest.DB, now time.Time) {
	t.Helper()
	for {
		more, err := db.System.RemoveSome(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		auditClean(t, db)
		if !more {
			return
		}
	}
}

func TestOfADeletedOperatorOnlyTheBooksStay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		id, leased, user := furnish(t, db, "victim.test")
		neighbor, _, other := furnish(t, db, "neighbor.test")
		for table, n := range rowsOf(t, db, id, user.ID) {
			if n == 0 && table != "retired" {
				t.Fatalf("the test has nothing in %s: fill it, and have RemoveSome empty it", table)
			}
		}
		before, theirs := conservation(t, db, id), rowsOf(t, db, neighbor, other.ID)
		platform := conservationOfAll(t, db)

		number := change(t, db)
		if err := db.System.RemoveOperator(ctx, waypost.CommandLine(), id, now); err != nil {
			t.Fatal(err)
		}
		if change(t, db) == number {
			t.Error("no process notices")
		}
		_, err := db.Store.Operator(ctx, id)
		wantKind(t, err, waypost.NotFound)
		got := rowsOf(t, db, id, user.ID)
		for _, table := range []string{"operator", "relay", "credential", "sender", "domain"} {
			if got[table] != 0 {
				t.Errorf("%d rows in %s at once", got[table], table)
			}
		}
		if signedIn(t, db, "token of victim.test") || !signedIn(t, db, "token of neighbor.test") {
			t.Error("sessions")
		}
		auditClean(t, db)

		removeAll(t, db, now)
		if got := rowsOf(t, db, id, user.ID); got["message"] != 1 || got["delivery"] != 1 || got["app_user"] != 0 {
			t.Errorf("while a node holds a delivery: %v", got)
		}
		asked, err := db.System.Controls(ctx, "me")
		if err != nil || asked[leased.ID] != waypost.ControlCancel {
			t.Fatalf("the holder is not asked: %v, %v", asked, err)
		}
		finish(t, db, result(leased, waypost.Delivered)) // it was past the dot
		removeAll(t, db, now)
		if o := removed(t, db, id); !o.Finished.IsZero() {
			t.Error("finished while something could still come")
		}
		accept(t, db, storetest.Mail{OperatorID: id}) // was under way when the operator was deleted
		auditClean(t, db)
		removeAll(t, db, now.Add(5*time.Minute))
		removeAll(t, db, now.Add(11*time.Minute))

		for table, n := range rowsOf(t, db, id, user.ID) {
			if n != 0 && !slices.Contains(kept(), table) {
				t.Errorf("%d rows are left in %s", n, table)
			}
		}
		after := conservation(t, db, id)
		want := before
		want.Accepted++
		want.Delivered++ // the one that was leased
		want.Cancelled += before.Queued - 1 + 1
		want.Queued = 0
		if diff := cmp.Diff(want, after); diff != "" || !after.Balanced {
			t.Errorf("%s", diff)
		}
		o := removed(t, db, id)
		if o.Finished.IsZero() || o.Cancelled != before.Queued || o.Messages == 0 || o.Name != "Operator" {
			t.Errorf("%+v, of %d queued", o, before.Queued)
		}
		if open, err := db.System.Removals(ctx); err != nil || len(open) != 0 {
			t.Error(open, err)
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM body b WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.body_id = b.id)"); n != 0 {
			t.Errorf("%d bodies nobody uses", n)
		}
		if diff := cmp.Diff(theirs, rowsOf(t, db, neighbor, other.ID)); diff != "" {
			t.Errorf("the neighbor: %s", diff)
		}
		if all := conservationOfAll(t, db); all.Accepted != platform.Accepted+1 || all.Cancelled != platform.Cancelled+before.Queued {
			t.Errorf("the roll-up of all: %+v, was %+v", all, platform)
		}
		log := actions(t, db, id)
		if !slices.Contains(log, "cli operator.delete Operator") || !slices.Contains(log, "policy operator.deleted Operator") {
			t.Error(log)
		}
		auditClean(t, db)
	})
}

func conservation(t *testing.T, db *storetest.DB, id string) store.Conservation {
	t.Helper()
	c, err := db.Store.Conservation(t.Context(), id)
	if err != nil || !c.Balanced {
		t.Fatal(c, err)
	}
	return c
}

// conservationOfAll adds up the roll-up of all operators.
func conservationOfAll(t *testing.T, db *storetest.DB) store.Counts {
	t.Helper()
	hours, err := db.Store.Rollup(t.Context(), store.AllOperators, time.Now().Add(-2*time.Hour), time.Now().Add(2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var sum store.Counts
	for _, h := range hours {
		sum.Add(h.Counts)
	}
	return sum
}

func removed(t *testing.T, db *storetest.DB, id string) waypost.RemovedOperator {
	t.Helper()
	o, err := db.System.RemovedOperator(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A node can die between any two transactions of a removal: another one goes on, and the
// books are right at every moment.
func TestARemovalGoesOnWhereItWasInterrupted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		id, leased, user := furnish(t, db, "victim.test")
		for range 120 {
			accept(t, db, storetest.Mail{OperatorID: id, To: []string{"a@x.test", "b@x.test", "c@y.test"}})
		}
		queued := conservation(t, db, id).Queued
		if err := db.System.RemoveOperator(ctx, waypost.CommandLine(), id, now); err != nil {
			t.Fatal(err)
		}
		steps := 0
		for alive := true; alive; steps++ {
			node := db
			if db.Name == "postgres" { // another process each time
				node = db.Node(t, fmt.Sprint("node-", steps%3))
			}
			var err error
			if alive, err = node.System.RemoveSome(ctx, now); err != nil {
				t.Fatal(err)
			}
			auditClean(t, db)
			conservation(t, db, id)
			if err := db.System.RemoveOperator(ctx, waypost.CommandLine(), id, now.Add(time.Minute)); err != nil {
				t.Fatalf("deleting what is being deleted: %v", err)
			}
		}
		if steps < 5 {
			t.Errorf("all in %d steps: the batches are not bounded", steps)
		}
		// The node that held a delivery died.
		if _, err := db.System.Recover(ctx, leased.Lease, now); err != nil {
			t.Fatal(err)
		}
		removeAll(t, db, now.Add(time.Hour))
		if got := removed(t, db, id); got.Cancelled != queued-1 || !got.Deleted.Equal(now) { // that one was cancelled when it was taken back
			t.Errorf("%+v, of %d queued", got, queued)
		}
		if c := conservation(t, db, id); c.Queued != 0 || c.Cancelled < queued {
			t.Errorf("%+v", c)
		}
		if got := rowsOf(t, db, id, user.ID); got["message"] != 0 || got["event"] != 0 || got["attempt"] != 0 {
			t.Error(got)
		}
	})
}

func TestWhoIsUnderADeletedOperatorMovesUp(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		under := func(parent string) string {
			o, err := db.System.CreateOperator(ctx, waypost.CommandLine(), waypost.Operator{Name: "O", Product: waypost.ProductCloud, ParentID: parent})
			if err != nil {
				t.Fatal(err)
			}
			return o.ID
		}
		top := under("")
		middle := under(top)
		bottom := under(middle)
		if err := db.System.RemoveOperator(ctx, waypost.CommandLine(), middle, storetest.Now()); err != nil {
			t.Fatal(err)
		}
		if o, err := db.Store.Operator(ctx, bottom); err != nil || o.ParentID != top {
			t.Errorf("%+v, %v", o, err)
		}
		if log := actions(t, db, bottom); !slices.Contains(log, "cli operator.change O") {
			t.Error(log)
		}
	})
}

func TestWhatCannotBeDeleted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		if err := db.System.EnsurePlatform(ctx, "Platform"); err != nil {
			t.Fatal(err)
		}
		wantKind(t, db.System.RemoveOperator(ctx, waypost.CommandLine(), waypost.PlatformOperatorID, storetest.Now()), waypost.Conflict)
		wantKind(t, db.System.RemoveOperator(ctx, waypost.CommandLine(), waypost.NewID(), storetest.Now()), waypost.NotFound)
		id := newOperator(t, db, waypost.ProductCloud).ID
		if err := db.System.RemoveOperator(ctx, waypost.CommandLine(), id, storetest.Now()); err != nil {
			t.Fatal(err)
		}
		_, err := db.System.CreateOperator(ctx, waypost.CommandLine(), waypost.Operator{ID: id, Name: "Again", Product: waypost.ProductCloud})
		wantKind(t, err, waypost.Conflict)
	})
}

// Staff that acts for an operator that is deleted is itself again, and stays signed in.
func TestActingForADeletedOperatorEnds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		id := newOperator(t, db, waypost.ProductCloud).ID
		u := newUser(t, db, "", "support", waypost.RoleSupport)
		s := signIn(t, db, u, "token")
		if err := db.System.ActFor(ctx, self(u), u.ID, s.ID, id, storetest.Now()); err != nil {
			t.Fatal(err)
		}
		if err := db.System.RemoveOperator(ctx, self(u), id, storetest.Now()); err != nil {
			t.Fatal(err)
		}
		if !signedIn(t, db, "token") {
			t.Error("signed out")
		}
	})
}
