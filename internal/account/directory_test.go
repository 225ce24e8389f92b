package account_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

func TestGetReadsAnOperatorOnce(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	var reads atomic.Int32
	w.system.changes = func() { reads.Add(1) }
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if a, err := w.dir.Get(t.Context(), id); err != nil || a.Name != "Acme Tracking" {
				t.Errorf("Get = %v, %v", a, err)
			}
		})
	}
	wg.Wait()
	first := w.get(t, id)
	if again := w.get(t, id); again != first {
		t.Error("a second Get made another snapshot")
	}
	if n := reads.Load(); n != 2 { // the change number before and after one reading
		t.Errorf("the change number was read %d times, want 2", n)
	}
}

func TestGetOfAnUnknownOperatorIsNotFound(t *testing.T) {
	w := newWorld(t)
	_, err := w.dir.Get(t.Context(), waypost.NewID())
	if waypost.KindOf(err) != waypost.NotFound {
		t.Errorf("Get = %v, want NotFound", err)
	}
}

func TestGetStopsWaitingWithItsContextAndOthersStillGetIt(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	reading, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.system.changes = func() { once.Do(func() { close(reading); <-release }) }
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { _, err := w.dir.Get(ctx, id); gone <- err }()
	<-reading
	other := make(chan error)
	go func() { _, err := w.dir.Get(t.Context(), id); other <- err }()
	cancel()
	if err := <-gone; err == nil {
		t.Error("Get outlived its context")
	}
	close(release)
	if err := <-other; err != nil {
		t.Error(err)
	}
}

func TestDirectoryStaysWithinItsSize(t *testing.T) {
	w := newWorld(t)
	w.dir = account.NewDirectory(account.DirectoryOptions{Store: w.store, System: w.system, Ring: w.ring, Size: 2})
	snapshots := map[*waypost.Account]bool{}
	ids := []string{w.operator(t, waypost.ProductCloud), w.operator(t, waypost.ProductCloud), w.operator(t, waypost.ProductCloud)}
	for range 2 {
		for _, id := range ids {
			snapshots[w.get(t, id)] = true
		}
	}
	if len(snapshots) < 4 {
		t.Errorf("%d readings for three operators in turn and room for two, want more", len(snapshots))
	}
}

// TestAChangeElsewhereIsSeen saves past the directory, as another process would.
func TestAChangeElsewhereIsSeen(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	changed := make(chan struct{}, 10)
	w.dir.OnChange(func(context.Context) { changed <- struct{}{} })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.dir.Watch(ctx, time.Millisecond) }()
	<-changed // the start counts
	if w.get(t, id).Suspended {
		t.Fatal("suspended from the start")
	}
	err := w.store.SaveOperator(t.Context(), waypost.CommandLine(), id, func(o *waypost.Operator) error { o.Suspended = true; return nil })
	if err != nil {
		t.Fatal(err)
	}
	<-changed
	if !w.get(t, id).Suspended {
		t.Error("the suspension is not seen after the change was announced")
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Watch = %v", err)
	}
}

// TestAReadingThatAChangeRanIntoIsNotKept changes an operator between the reading and
// its keeping.
func TestAReadingThatAChangeRanIntoIsNotKept(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	calls := 0
	w.system.changes = func() {
		if calls++; calls == 1 {
			w.system.changes = nil
			if _, err := w.Suspend(t.Context(), waypost.CommandLine(), id); err != nil { // drops the snapshot of id
				t.Error(err)
			}
		}
	}
	w.get(t, id)
	if !w.get(t, id).Suspended {
		t.Error("what was read before the change is kept")
	}
}

func TestASealedPasswordThatCannotBeOpenedMakesMailWait(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	w.save(t, id, ownServer())
	if got := w.get(t, id).Relay.Password; got != "hunter2" {
		t.Fatalf("password = %q", got)
	}
	w.serve(newRing(t, 99), route.Platform{})
	a := w.get(t, id)
	now := time.Now()
	d := route.Pick(route.Platform{}, a, route.Mail{}, now)
	if d.Route != "" || !d.Until.After(now) {
		t.Errorf("Pick = %+v, want no route until later", d)
	}
	if want := "the saved password cannot be opened with this instance key"; a.RelayHealth.Reason != want || a.Relay.Password != "" {
		t.Errorf("reason %q, password %q", a.RelayHealth.Reason, a.Relay.Password)
	}
	settings, err := w.EmailSettings(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(settings.Warnings) != 1 || !settings.Gateway.Auth.PasswordSet {
		t.Errorf("settings = %+v", settings)
	}
	u := ownServer()
	u.Gateway.Auth.Password = ""
	_, err = w.SaveEmail(t.Context(), waypost.CommandLine(), id, u)
	if diff := cmp.Diff([]string{"gateway.auth.password"}, fields(err)); diff != "" {
		t.Error(diff)
	}
	w.save(t, id, ownServer())
	if w.get(t, id).RelayHealth.Failing() {
		t.Error("still waiting after the password was typed again")
	}
}

func BenchmarkGet(b *testing.B) {
	w := newWorld(b)
	id := w.operator(b, waypost.ProductServermate)
	for b.Loop() {
		if _, err := w.dir.Get(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
}
