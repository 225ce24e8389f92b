package api_test

import (
	"context"
	"testing"
	"time"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// bounced makes the built-in gateway know of so many ended and bounced deliveries.
func (w *world) bounced(t *testing.T, operator string, f waypost.GatewayFigures) {
	t.Helper()
	now := time.Now()
	err := w.db.Store.Write(t.Context(), func(ctx context.Context, tx *engine.Tx) error {
		var tally store.Tally
		tally.Builtin(operator, waypost.KindEvent, now, now, f)
		tally.BuiltinAccepted(operator, waypost.KindEvent, now, f.Ended)
		return tally.Write(ctx, tx, "node")
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.accounts.JudgeReputations(t.Context(), now); err != nil {
		t.Fatal(err)
	}
}

func TestBothSeeHowTheBuiltinGatewayTreatsAnOperator(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	got, err := c.Reputation(t.Context())
	if err != nil || got.Level != "ok" || got.Limit != 1_000 || got.Used != 0 || got.Rates.BouncePause != 10 || !got.Since.IsZero() {
		t.Fatalf("%+v, %v", got, err)
	}
	w.bounced(t, c.id, waypost.GatewayFigures{Ended: 400, Bounced: 200})
	got, err = c.Reputation(t.Context())
	if err != nil || got.Level != "paused" || got.Cause != "bounces" || got.Day.Bounced != 200 || got.Week.BounceShare != 50 || got.Used != 400 || got.Since.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	if same, err := w.root.OperatorReputation(t.Context(), c.id); err != nil || same != got {
		t.Errorf("the platform sees %+v, %v", same, err)
	}
	_, err = c.LiftReputation(t.Context(), c.id)
	wantRefusal(t, err, 403, "scope_missing", "")
	_, err = c.OperatorReputation(t.Context(), c.id)
	wantRefusal(t, err, 403, "scope_missing", "")
	got, err = w.root.LiftReputation(t.Context(), c.id)
	if err != nil || got.Level != "ok" || got.Day.Bounced != 0 || got.Limit != 1_000 || got.Used != 400 {
		t.Errorf("lifted: %+v, %v", got, err)
	}
	w.bounced(t, c.id, waypost.GatewayFigures{Ended: 50, Bounced: 50}) // too few since
	if got, err := c.Reputation(t.Context()); err != nil || got.Level != "ok" || got.Day.Ended != 50 {
		t.Errorf("after a lift: %+v, %v", got, err)
	}
	_, err = w.root.LiftReputation(t.Context(), waypost.NewID())
	wantRefusal(t, err, 404, "not_found", "")
}

func TestAnOperatorsLimitOfTheDayIsThePlatformsToSet(t *testing.T) {
	w := newWorld(t)
	made, err := w.root.CreateOperator(t.Context(), client.NewOperator{Name: "Acme", Product: "servermate", PerDay: 5_000})
	if err != nil || made.PerDay != 5_000 || made.Trusted {
		t.Fatalf("%+v, %v", made, err)
	}
	if got, err := w.root.OperatorReputation(t.Context(), made.ID); err != nil || got.Limit != 5_000 {
		t.Errorf("%+v, %v", got, err)
	}
	yes, none := true, 0
	made, err = w.root.ChangeOperator(t.Context(), made.ID, client.OperatorChange{PerDay: &none, Trusted: &yes})
	if err != nil || made.PerDay != 0 || !made.Trusted {
		t.Errorf("%+v, %v", made, err)
	}
	w.bounced(t, made.ID, waypost.GatewayFigures{Ended: 400, Bounced: 200})
	if got, err := w.root.OperatorReputation(t.Context(), made.ID); err != nil || got.Limit != 0 || !got.Trusted || got.Level != "warned" {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = w.root.ChangeOperator(t.Context(), made.ID, client.OperatorChange{PerDay: new(-1)})
	wantRefusal(t, err, 422, "invalid", "body.per_day")

	// The policy is the owner's, and holds at once.
	off, half := false, 2.5
	if _, err := w.root.ChangePlatformSettings(t.Context(), client.PlatformSettings{Reputation: &client.ReputationSettings{BounceWarn: &half, On: &off}}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		got, err := w.root.OperatorReputation(t.Context(), made.ID)
		if err == nil && got.Level == "ok" && got.Rates.BounceWarn == 2.5 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the guard is still on: %+v, %v", got, err)
		}
	}
	text := "1: 5\n1: 6"
	_, err = w.root.ChangePlatformSettings(t.Context(), client.PlatformSettings{Reputation: &client.ReputationSettings{Ramp: &text}})
	wantRefusal(t, err, 422, "invalid", "body.reputation.ramp")
}
