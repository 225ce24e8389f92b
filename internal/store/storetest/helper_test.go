package storetest_test

import (
	"context"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

func accept(t testing.TB, db *storetest.DB, m storetest.Mail) *store.Accepting {
	t.Helper()
	a := m.Accepting()
	if err := db.Store.Accept(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a
}

// keyOf is the key an accepted delivery is claimed by.
func keyOf(d waypost.Delivery) system.Key {
	return system.Key{Lane: d.Lane.Rank(), OperatorID: d.OperatorID, Site: d.Site}
}

func claim(t testing.TB, db *storetest.DB, c system.Claim) []waypost.Delivery {
	t.Helper()
	if c.Incarnation == "" {
		c.Incarnation = "me"
	}
	if c.Limit == 0 {
		c.Limit = 100
	}
	if c.Now.IsZero() {
		c.Now = storetest.Now()
	}
	if c.RetryAt.IsZero() {
		c.RetryAt = c.Now.Add(time.Minute)
	}
	claimed, err := db.System.Claim(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return claimed
}

// acceptLeased accepts a mail whose deliveries are leased at once, and returns them.
func acceptLeased(t testing.TB, db *storetest.DB, m storetest.Mail) []waypost.Delivery {
	t.Helper()
	m.Lease = "me"
	return accept(t, db, m).Deliveries
}

// result is the Finish of an attempt that ended in a state.
func result(d waypost.Delivery, state waypost.State) *system.Finish {
	events := map[waypost.State]waypost.EventType{
		waypost.Queued: waypost.EventDeferred, waypost.Delivered: waypost.EventDelivered, waypost.Bounced: waypost.EventBounced,
		waypost.Expired: waypost.EventExpired, waypost.Uncertain: waypost.EventUncertain, waypost.Cancelled: waypost.EventCancelled,
	}
	now := storetest.Now()
	f := &system.Finish{
		Delivery: d, State: state, Attempts: d.Attempts, Step: d.Step, Route: waypost.RouteDirect, Reason: "the remote's words",
		Event: events[state], At: now,
		Attempt: &waypost.Attempt{
			DeliveryID: d.ID, Number: d.Attempts, Route: waypost.RouteDirect, Host: "mx.example.test", Address: "192.0.2.1:25",
			TLS: "TLS 1.3", Phase: waypost.PhaseDot, Outcome: waypost.OutcomeDelivered,
			Reply:   waypost.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok"},
			Started: now, Took: 1500 * time.Millisecond,
		},
	}
	if state == waypost.Queued {
		f.Step, f.NextAt = d.Step+1, now.Add(time.Minute)
		f.Attempt.Outcome = waypost.OutcomeTemporary
	}
	return f
}

func finish(t testing.TB, db *storetest.DB, f *system.Finish) *system.Finish {
	t.Helper()
	if err := db.System.FinishNow(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	return f
}

func delivery(t testing.TB, db *storetest.DB, id string) waypost.Delivery {
	t.Helper()
	ds, err := db.Store.Delivery(t.Context(), "op", id)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func change(t testing.TB, db *storetest.DB) int64 {
	t.Helper()
	n, err := db.System.Change(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func wantKind(t testing.TB, err error, kind waypost.ErrorKind) {
	t.Helper()
	if err == nil || waypost.KindOf(err) != kind {
		t.Errorf("error = %v, want one of kind %v", err, kind)
	}
}

func auditClean(t testing.TB, db *storetest.DB) {
	t.Helper()
	findings, err := db.System.Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Error(f)
	}
}

// types lists the types of a message's events in order.
func types(t testing.TB, db *storetest.DB, messageID string) []waypost.EventType {
	t.Helper()
	events, err := db.Store.Events(t.Context(), "op", messageID)
	if err != nil {
		t.Fatal(err)
	}
	var out []waypost.EventType
	for _, e := range events {
		out = append(out, e.Type)
	}
	return out
}

// inOneGroup runs writes so that the committer takes all of them into one group.
func inOneGroup(t testing.TB, db *storetest.DB, writes ...func() error) []error {
	t.Helper()
	release, blocked := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		ran := false
		first <- db.Store.Write(context.Background(), func(context.Context, *engine.Tx) error {
			if !ran {
				ran = true
				close(blocked)
				<-release
			}
			return nil
		})
	}()
	<-blocked
	answers := make([]chan error, len(writes))
	for i, write := range writes {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- write() }()
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for db.Engine.Waiting() < len(writes) {
		<-tick.C
	}
	close(release)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	errs := make([]error, len(writes))
	for i := range answers {
		errs[i] = <-answers[i]
	}
	return errs
}
