package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

func newWebhook(t testing.TB, db *storetest.DB, operatorID string, types ...waypost.WebhookType) string {
	t.Helper()
	id := waypost.NewID()
	if err := db.Store.AddWebhook(t.Context(), waypost.CommandLine(), operatorID, store.StoredWebhook{
		Webhook: waypost.Webhook{ID: id, OperatorID: operatorID, URL: "https://example.test/?token=x", Types: types, MaxEvents: 1, Created: storetest.Now()},
		Sealed:  []byte("sealed"),
	}, waypost.MaxWebhooks); err != nil {
		t.Fatal(err)
	}
	return id
}

// toldOf lists the types that wait for a webhook, in order.
func toldOf(t testing.TB, db *storetest.DB, id string) []string {
	t.Helper()
	return rawRows(t, db, "SELECT type FROM webhook_event WHERE webhook_id = '"+id+"' ORDER BY id")
}

func TestEventsAreQueuedForWebhooksInTheirTransaction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		all, some, other := newWebhook(t, db, "op"), newWebhook(t, db, "op", waypost.WebhookBounced), newWebhook(t, db, "other")
		off := newWebhook(t, db, "op")
		if _, err := db.Store.DisableWebhook(ctx, waypost.CommandLine(), "op", off, storetest.Now()); err != nil {
			t.Fatal(err)
		}
		d := acceptLeased(t, db, storetest.Mail{To: []string{"a@example.test", "b@example.test"}})
		f := result(d[0], waypost.Bounced)
		f.Symptom = waypost.SuppressedHard
		finish(t, db, f)
		finish(t, db, result(d[1], waypost.Delivered))
		report(t, db, waypost.Feedback{DeliveryID: d[1].ID, Sort: waypost.FeedbackBounce, At: storetest.Now()})
		if err := db.Store.RemoveSuppression(ctx, waypost.CommandLine(), "op", "a@example.test", waypost.SuppressedHard, ""); err != nil {
			t.Fatal(err)
		}
		want := []string{"message.accepted", "suppression.added", "delivery.bounced", "delivery.delivered", "delivery.bounced", "suppression.removed"}
		got := toldOf(t, db, all)
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if got := toldOf(t, db, some); !slices.Equal(got, []string{"delivery.bounced", "delivery.bounced"}) {
			t.Errorf("a webhook for bounces was told %v", got)
		}
		if got := append(toldOf(t, db, other), toldOf(t, db, off)...); len(got) != 0 {
			t.Errorf("told %v", got)
		}
		// What is rolled back was never to be told.
		before := len(toldOf(t, db, all))
		err := db.Store.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
			return errors.Join(store.WriteFacts(ctx, tx, waypost.WebhookFact{OperatorID: "op", Type: waypost.WebhookGuardWarned, Chain: "gateway", At: storetest.Now()}), errors.New("no"))
		})
		if err == nil || len(toldOf(t, db, all)) != before {
			t.Errorf("%v, %d events", err, len(toldOf(t, db, all)))
		}
	})
}

func TestAnOutageOfARelayIsToldOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, op := t.Context(), newOperator(t, db, waypost.ProductServermate).ID
		hook := newWebhook(t, db, op)
		save := func(host string) {
			t.Helper()
			if err := db.Store.SaveEmailSettings(ctx, waypost.CommandLine(), op, store.EmailSettings{
				Gateway: waypost.GatewaySMTP, Relay: &store.StoredRelay{Relay: waypost.Relay{Host: host, Port: 25}},
			}); err != nil {
				t.Fatal(err)
			}
		}
		health := func(since time.Time) {
			t.Helper()
			if err := db.System.SetRelayHealth(ctx, waypost.RelayHealth{OperatorID: op, FailingSince: since}); err != nil {
				t.Fatal(err)
			}
		}
		save("one.example")
		now := storetest.Now()
		health(now)
		health(now)
		health(time.Time{})
		health(time.Time{})
		health(now)
		save("two.example")
		if got := toldOf(t, db, hook); !slices.Equal(got, []string{"relay.failing", "relay.recovered", "relay.failing", "relay.recovered"}) {
			t.Errorf("told %v", got)
		}
	})
}

// step takes the lease of a webhook for an incarnation, or gives it back.
func step(t testing.TB, db *storetest.DB, operatorID, id, incarnation string, change func(*store.WebhookWork, *store.WebhookStep)) *store.WebhookStep {
	t.Helper()
	k := store.WebhookKey{OperatorID: operatorID, ID: id}
	work, err := db.System.WebhookWork(t.Context(), k, 10, 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &store.WebhookStep{WebhookKey: k, Incarnation: incarnation, Epoch: work.Epoch, At: storetest.Now()}
	if change != nil {
		change(work, s)
	}
	if err := db.System.StepWebhook(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// oneCall makes a call of the first event.
func oneCall(work *store.WebhookWork, s *store.WebhookStep) {
	s.Calls = []store.WebhookNewCall{{
		WebhookCall: waypost.WebhookCall{
			ID: waypost.NewID(), OperatorID: s.OperatorID, WebhookID: s.ID, Type: "x", Events: 1, Body: []byte("{}"), State: waypost.WebhookWaiting,
			NextAt: s.At, Expires: s.At.Add(time.Hour), Created: s.At,
		},
		EventIDs: []string{work.Events[0].ID},
	}}
}

func TestAnEndpointIsWorkedOnByOneNode(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		hook := newWebhook(t, db, "op")
		accept(t, db, storetest.Mail{})
		accept(t, db, storetest.Mail{})
		due := func(incarnation string) int {
			t.Helper()
			list, err := db.System.DueWebhooks(t.Context(), incarnation, storetest.Now(), 10)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		if due("a") != 1 || due("b") != 1 {
			t.Error("nobody has it: it is due for all")
		}
		if err := db.System.Join(t.Context(), system.Node{Incarnation: "a", Name: "a", Started: storetest.Now()}); err != nil {
			t.Fatal(err)
		}
		// Two read it at the same time; one is lost.
		step(t, db, "op", hook, "b", func(work *store.WebhookWork, s *store.WebhookStep) {
			if first := step(t, db, "op", hook, "a", oneCall); first.Lost {
				t.Error("the first was lost")
			}
			oneCall(work, s)
		})
		if n := db.Int(t, "SELECT COUNT(*) FROM webhook_call"); n != 1 {
			t.Errorf("%d calls", n)
		}
		if due("a") != 1 || due("b") != 0 {
			t.Error("a has it")
		}
		if s := step(t, db, "op", hook, "b", oneCall); !s.Lost {
			t.Error("b took what a has")
		}
		// Its end frees it, with whatever it read before.
		var stale int64
		if s := step(t, db, "op", hook, "a", func(_ *store.WebhookWork, s *store.WebhookStep) { stale = s.Epoch }); s.Lost {
			t.Error("its own lease was lost")
		}
		if _, err := db.System.Recover(t.Context(), "a", storetest.Now()); err != nil {
			t.Fatal(err)
		}
		if due("b") != 1 {
			t.Error("the lease of a dead node stays")
		}
		if s := step(t, db, "op", hook, "a", func(_ *store.WebhookWork, s *store.WebhookStep) { s.Epoch = stale }); !s.Lost {
			t.Error("a dead node wrote")
		}
		// One that nobody knows any more is found too.
		if s := step(t, db, "op", hook, "ghost", nil); s.Lost {
			t.Error("lost")
		}
		orphans, err := db.System.Orphans(t.Context())
		if err != nil || !slices.Equal(orphans, []string{"ghost"}) {
			t.Errorf("orphans %v, %v", orphans, err)
		}
	})
}

func TestWhatWaitsForADisabledWebhookIsTakenAway(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		gone, off, on := newWebhook(t, db, "op"), newWebhook(t, db, "op"), newWebhook(t, db, "op")
		for range 3 {
			accept(t, db, storetest.Mail{})
		}
		for _, id := range []string{gone, off, on} {
			step(t, db, "op", id, "me", oneCall)
		}
		if err := db.Store.RemoveWebhook(ctx, waypost.CommandLine(), "op", gone); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Store.DisableWebhook(ctx, waypost.CommandLine(), "op", off, storetest.Now()); err != nil {
			t.Fatal(err)
		}
		if more, err := db.System.SweepWebhooks(ctx, storetest.Now()); more || err != nil {
			t.Fatal(more, err)
		}
		for _, c := range []struct {
			id              string
			events, waiting int64
		}{{gone, 0, 0}, {off, 0, 0}, {on, 3, 1}} {
			events := db.Int(t, "SELECT COUNT(*) FROM webhook_event WHERE webhook_id = $1", c.id)
			waiting := db.Int(t, "SELECT COUNT(*) FROM webhook_call WHERE webhook_id = $1 AND state = 'waiting'", c.id)
			if events != c.events || waiting != c.waiting {
				t.Errorf("%d events and %d calls wait, want %d and %d", events, waiting, c.events, c.waiting)
			}
		}
		calls, _, err := db.Store.WebhookCalls(ctx, "op", off, store.WebhookCallFilter{State: waypost.WebhookCancelled}, "", 0)
		if err != nil || len(calls) != 1 || calls[0].Finished.IsZero() {
			t.Errorf("%+v, %v", calls, err)
		}
		wantKind(t, db.Store.ResendWebhookCall(ctx, waypost.CommandLine(), "op", off, calls[0].ID, storetest.Now()), waypost.Conflict)
	})
}

func TestFinishedCallsGoWhenTheirTimeHasCome(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		hook := newWebhook(t, db, "op")
		now := storetest.Now()
		record := func(age time.Duration) {
			t.Helper()
			at := now.Add(-age)
			if err := db.Store.RecordWebhookTest(t.Context(), waypost.CommandLine(), waypost.WebhookCall{
				ID: waypost.NewIDAt(at), OperatorID: "op", WebhookID: hook, State: waypost.WebhookDelivered, Body: []byte("{}"), Attempts: 1,
				Last: waypost.WebhookAttempt{Number: 1, At: at, Status: 200}, Created: at, Finished: at,
			}, at); err != nil {
				t.Fatal(err)
			}
		}
		record(8 * 24 * time.Hour)
		record(time.Hour)
		accept(t, db, storetest.Mail{})
		step(t, db, "op", hook, "me", oneCall) // waits, however old
		db.Exec(t, "UPDATE webhook_call SET created = 1 WHERE state = 'waiting'")
		if _, err := db.System.Retention(t.Context(), now, system.Retention{
			Content: time.Hour, Reports: time.Hour, Metadata: 90 * 24 * time.Hour, Webhooks: 7 * 24 * time.Hour,
		}); err != nil {
			t.Fatal(err)
		}
		if calls, attempts := db.Int(t, "SELECT COUNT(*) FROM webhook_call"), db.Int(t, "SELECT COUNT(*) FROM webhook_attempt"); calls != 2 || attempts != 1 {
			t.Errorf("%d calls and %d attempts are left", calls, attempts)
		}
	})
}

func TestAReplayQueuesTheEventsOfItsPeriod(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, by, now := t.Context(), waypost.CommandLine(), storetest.Now()
		for i := range 230 { // more than one look takes
			accept(t, db, storetest.Mail{At: now.Add(-time.Duration(i) * time.Minute)})
		}
		hook := newWebhook(t, db, "op")
		if _, err := db.Store.ReplayWebhook(ctx, by, "op", hook, now.Add(-100*time.Minute), now.Add(-9*time.Minute), now); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Store.ReplayWebhook(ctx, by, "op", hook, now.Add(-time.Hour), now, now); waypost.KindOf(err) != waypost.Conflict {
			t.Errorf("two replays at once: %v", err)
		}
		for more := true; more; {
			var err error
			if more, err = db.System.ReplayWebhooks(ctx, now); err != nil {
				t.Fatal(err)
			}
		}
		want := rawRows(t, db, fmt.Sprintf("SELECT id FROM event WHERE at >= %d AND at < %d ORDER BY id",
			waypost.Millis(now.Add(-100*time.Minute)), waypost.Millis(now.Add(-9*time.Minute))))
		got := rawRows(t, db, "SELECT id FROM webhook_event ORDER BY id")
		if diff := cmp.Diff(want, got); diff != "" || len(want) != 91 {
			t.Errorf("%d events, %s", len(want), diff)
		}
		list, err := db.Store.WebhookReplays(ctx, "op", hook)
		if err != nil || len(list) != 1 || list[0].Events != 91 || list[0].Finished.IsZero() {
			t.Errorf("%+v, %v", list, err)
		}
		// Again: what waits already is not told twice.
		if _, err := db.Store.ReplayWebhook(ctx, by, "op", hook, now.Add(-time.Hour), now.Add(-9*time.Minute), now); err != nil {
			t.Fatal(err)
		}
		for more := true; more; {
			if more, err = db.System.ReplayWebhooks(ctx, now); err != nil {
				t.Fatal(err)
			}
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM webhook_event"); n != 91 {
			t.Errorf("%d events", n)
		}
	})
}

func TestAWebhookEnabledWhileItIsSweptIsToldWhatComes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		hook := newWebhook(t, db, "op")
		for i := range 600 { // more than one sweep takes; those made first are due last
			id := fmt.Sprintf("%04d", i)
			db.Exec(t, `INSERT INTO webhook_event (operator_id, webhook_id, id, chain, type, payload, replay, call_id, at)
VALUES ('op', $1, $2, $2, 'gateway.warned', '{}', FALSE, $2, 1)`, hook, id)
			db.Exec(t, `INSERT INTO webhook_call (id, operator_id, webhook_id, type, events, replay, body, state, attempts, next_at, expires, created, finished)
VALUES ($2, 'op', $1, 'gateway.warned', 1, FALSE, $3, 'waiting', 1, $4, 9, 1, 0)`, hook, id, []byte("{}"), int64(1000-i))
		}
		if _, err := db.Store.DisableWebhook(ctx, waypost.CommandLine(), "op", hook, now); err != nil {
			t.Fatal(err)
		}
		if more, err := db.System.SweepWebhooks(ctx, now); !more || err != nil {
			t.Fatal(more, err)
		}
		if _, err := db.Store.EnableWebhook(ctx, waypost.CommandLine(), "op", hook, now); err != nil {
			t.Fatal(err)
		}
		for {
			if more, err := db.System.SweepWebhooks(ctx, now); err != nil {
				t.Fatal(err)
			} else if !more {
				break
			}
		}
		if n := db.Int(t, `SELECT COUNT(*) FROM webhook_event e JOIN webhook_call c ON c.id = e.call_id WHERE c.state <> 'waiting'`); n != 0 {
			t.Errorf("%d events wait for the end of calls that have ended, and what comes after them waits for ever", n)
		}
		if n := db.Int(t, `SELECT COUNT(*) FROM webhook_call c WHERE c.state = 'waiting' AND NOT EXISTS (SELECT 1 FROM webhook_event e WHERE e.call_id = c.id)`); n != 0 {
			t.Errorf("%d calls wait without their events: they hold nothing back", n)
		}
	})
}

func TestAStepOfAReplayIsBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, by, now := t.Context(), waypost.CommandLine(), storetest.Now()
		to := make([]string, 900)
		for i := range to {
			to[i] = fmt.Sprintf("r%d@example.test", i)
		}
		accept(t, db, storetest.Mail{To: to, At: now.Add(-2 * time.Minute)})
		for i := range 3 { // as if each recipient had been deferred
			db.Exec(t, `INSERT INTO event (message_id, id, operator_id, delivery_id, type, from_state, to_state, count, attempt, actor, detail, at)
SELECT e.message_id, e.id || d.id || $1, e.operator_id, d.id, 'deferred', '', '', 1, 1, '', '', e.at FROM event e JOIN delivery d ON d.message_id = e.message_id
WHERE e.type = 'accepted'`, fmt.Sprint(i))
		}
		for range 5 {
			accept(t, db, storetest.Mail{At: now.Add(-time.Minute)})
		}
		hook, idle := newWebhook(t, db, "op"), newWebhook(t, db, "op")
		if _, err := db.Store.ReplayWebhook(ctx, by, "op", hook, now.Add(-time.Hour), now, now); err != nil {
			t.Fatal(err)
		}
		if _, err := db.System.ReplayWebhooks(ctx, now); err != nil {
			t.Fatal(err)
		}
		all := db.Int(t, "SELECT COUNT(*) FROM event WHERE type IN ('accepted', 'deferred')")
		if n := db.Int(t, "SELECT COUNT(*) FROM webhook_event"); n == 0 || n >= all {
			t.Errorf("%d of %d events with one step", n, all)
		}
		for more := true; more; {
			var err error
			if more, err = db.System.ReplayWebhooks(ctx, now); err != nil {
				t.Fatal(err)
			}
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM webhook_event WHERE webhook_id = $1", hook); n != all {
			t.Errorf("%d of %d events", n, all)
		}
		// What an endpoint cannot be told yet is not looked for.
		if _, err := db.Store.ReplayWebhook(ctx, by, "op", idle, now.Add(-time.Hour), now, now); err != nil {
			t.Fatal(err)
		}
		db.Exec(t, "UPDATE webhook SET next_at = $1, failures = 9, failing_since = 1", waypost.Millis(now.Add(time.Hour)))
		if more, err := db.System.ReplayWebhooks(ctx, now); more || err != nil {
			t.Error(more, err)
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM webhook_event WHERE webhook_id = $1", idle); n != 0 {
			t.Errorf("%d events were queued for an endpoint that fails", n)
		}
	})
}
