package account_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/waypost"
)

func failing(t *testing.T) (w *world, id string, relay waypost.Relay) {
	t.Helper()
	w = newWorld(t)
	id = w.operator(t, waypost.ProductCloud)
	w.save(t, id, ownServer())
	return w, id, *w.get(t, id).Relay
}

func start() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func TestProbesOfAFailingRelayBackOff(t *testing.T) {
	w, id, relay := failing(t)
	now := start()
	var waits []time.Duration
	for i := range 8 {
		next, first, err := w.dir.RelayFailed(t.Context(), id, relay, "535 5.7.8 no", now)
		if err != nil {
			t.Fatal(err)
		}
		if first != (i == 0) {
			t.Errorf("failure %d: first = %v", i, first)
		}
		if h := w.get(t, id).RelayHealth; !h.Failing() || !h.NextProbe.Equal(next) || h.Reason != "535 5.7.8 no" {
			t.Errorf("failure %d: the snapshot says %+v", i, h)
		}
		waits = append(waits, next.Sub(now))
		now = next
	}
	want := []time.Duration{
		30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
		15 * time.Minute, 30 * time.Minute, 30 * time.Minute, 30 * time.Minute,
	}
	if diff := cmp.Diff(want, waits); diff != "" {
		t.Error(diff)
	}
}

func TestSessionsThatFailTogetherCountAsOneFailure(t *testing.T) {
	w, id, relay := failing(t)
	var told atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			next, first, err := w.dir.RelayFailed(t.Context(), id, relay, "421 busy", start())
			if err != nil || !next.Equal(start().Add(30*time.Second)) {
				t.Errorf("RelayFailed = %v, %v", next, err)
			}
			if first {
				told.Add(1)
			}
		})
	}
	wg.Wait()
	if told.Load() != 1 {
		t.Errorf("first was said %d times, want once", told.Load())
	}
}

func TestARecoveredRelayIsHealthyAtOnce(t *testing.T) {
	w, id, relay := failing(t)
	if _, _, err := w.dir.RelayFailed(t.Context(), id, relay, "no", start()); err != nil {
		t.Fatal(err)
	}
	if err := w.dir.RelayRecovered(t.Context(), id, relay); err != nil {
		t.Fatal(err)
	}
	if h := w.get(t, id).RelayHealth; h.Failing() || !h.NextProbe.IsZero() || h.Probes != 0 {
		t.Errorf("health = %+v", h)
	}
	tests := []struct {
		after time.Duration
		first bool
	}{{10 * time.Minute, false}, {2 * time.Hour, true}}
	for _, tt := range tests {
		next, first, err := w.dir.RelayFailed(t.Context(), id, relay, "no", start().Add(tt.after))
		if err != nil || first != tt.first || !next.Equal(start().Add(tt.after+30*time.Second)) {
			t.Errorf("failing again after %v: %v, first = %v, %v", tt.after, next, first, err)
		}
		if err := w.dir.RelayRecovered(t.Context(), id, relay); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChangedRelaySettingsResetHealthAndEqualOnesDoNot(t *testing.T) {
	w, id, relay := failing(t)
	if _, _, err := w.dir.RelayFailed(t.Context(), id, relay, "no", start()); err != nil {
		t.Fatal(err)
	}
	u := ownServer()
	u.Gateway.Auth.Password = ""
	if got := w.save(t, id, u); got.RelayHealth == nil || got.RelayHealth.Reason != "no" {
		t.Errorf("relay_health = %+v, want it to stay", got.RelayHealth)
	}
	u = ownServer()
	u.Gateway.Host = "other.acme.example"
	if got := w.save(t, id, u); got.RelayHealth != nil {
		t.Errorf("relay_health = %+v of another server", got.RelayHealth)
	}
	if w.get(t, id).RelayHealth.Failing() {
		t.Error("the snapshot still says failing")
	}
}

// otherServer is ownServer with one thing changed.
func otherServer(change func(g *account.GatewayUpdate)) account.Update {
	u := ownServer()
	change(u.Gateway)
	return u
}

func TestLateFailureOfOldSettingsSaysNothingAboutNewOnes(t *testing.T) {
	for name, u := range map[string]account.Update{
		"host":     otherServer(func(g *account.GatewayUpdate) { g.Host = "other.acme.example" }),
		"password": otherServer(func(g *account.GatewayUpdate) { g.Auth.Password = "hunter3" }),
		"security": otherServer(func(g *account.GatewayUpdate) { g.Security = waypost.SecurityTLS }),
		"login":    otherServer(func(g *account.GatewayUpdate) { g.Auth = nil }),
	} {
		t.Run(name, func(t *testing.T) {
			w, id, relay := failing(t)
			w.save(t, id, u)
			next, first, err := w.dir.RelayFailed(t.Context(), id, relay, "535 no", start())
			if err != nil || first || !next.IsZero() {
				t.Errorf("RelayFailed = %v, %v, %v", next, first, err)
			}
			a := w.get(t, id)
			if a.RelayHealth.Failing() {
				t.Fatalf("the new settings are failing: %+v", a.RelayHealth)
			}
			// Of the new ones it is heeded, and what the old ones do then is not.
			if _, first, err := w.dir.RelayFailed(t.Context(), id, *a.Relay, "no", start()); !first || err != nil {
				t.Errorf("first = %v, %v", first, err)
			}
			next, first, err = w.dir.RelayFailed(t.Context(), id, relay, "535 no", start().Add(time.Second))
			if err != nil || first || !next.IsZero() {
				t.Errorf("while the new ones fail: %v, %v, %v", next, first, err)
			}
			if err := w.dir.RelayRecovered(t.Context(), id, relay); err != nil {
				t.Fatal(err)
			}
			if h := w.get(t, id).RelayHealth; !h.Failing() || h.Reason != "no" {
				t.Errorf("a late success of the old settings: %+v", h)
			}
		})
	}
}

func TestSettingsSavedWhileAFailureIsRecordedAreHealthy(t *testing.T) {
	w, id, relay := failing(t)
	w.system.health = func() { // by another node, which our locks do not stop
		w.system.health = nil
		w.save(t, id, otherServer(func(g *account.GatewayUpdate) { g.Host = "other.acme.example" }))
	}
	next, first, err := w.dir.RelayFailed(t.Context(), id, relay, "535 no", start())
	if err != nil || first || !next.IsZero() {
		t.Errorf("RelayFailed = %v, %v, %v", next, first, err)
	}
	if h := w.get(t, id).RelayHealth; h != (waypost.RelayHealth{OperatorID: id}) {
		t.Errorf("health = %+v", h)
	}
}

func TestSettingsSavedAsTheyWereAreStillTheOnesThatFailed(t *testing.T) {
	w, id, relay := failing(t)
	w.save(t, id, otherServer(func(g *account.GatewayUpdate) { g.Auth.Password = "" })) // kept
	if _, first, err := w.dir.RelayFailed(t.Context(), id, relay, "535 no", start()); !first || err != nil {
		t.Errorf("first = %v, %v", first, err)
	}
}

func TestFailureWithoutARelayIsNoError(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductCloud)
	relay := waypost.Relay{Host: "mail.acme.example"}
	next, first, err := w.dir.RelayFailed(t.Context(), id, relay, "no", start())
	if err != nil || first || !next.IsZero() {
		t.Errorf("RelayFailed = %v, %v, %v", next, first, err)
	}
	if err := w.dir.RelayRecovered(t.Context(), id, relay); err != nil {
		t.Error(err)
	}
}
