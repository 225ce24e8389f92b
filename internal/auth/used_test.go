package auth_test

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// written is a store that notes what is written about the use of credentials.
type written struct {
	*system.System
	batches []int
	fail    error
}

func (w *written) CredentialsUsed(ctx context.Context, used map[string]time.Time) error {
	if w.fail != nil {
		return w.fail
	}
	w.batches = append(w.batches, len(used))
	return w.System.CredentialsUsed(ctx, used)
}

// clocked is an Auth on a real store with a clock.
type clocked struct {
	*world
	store *written
	clock atomic.Int64
}

func newClocked(t testing.TB) *clocked {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Options{URL: filepath.Join(t.TempDir(), "waypost.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	w := &world{System: system.New(store.New(e, "test"))}
	if err := w.InitInstance(t.Context(), "check"); err != nil {
		t.Fatal(err)
	}
	c := &clocked{world: w, store: &written{System: w.System}}
	c.clock.Store(1_700_000_000_000)
	w.Auth = auth.New(auth.Options{Store: c.store, Operators: operators{w}, Now: func() time.Time { return time.UnixMilli(c.clock.Load()) }})
	return c
}

func (c *clocked) pass(d time.Duration) { c.clock.Add(d.Milliseconds()) }

// used is when the only credential of an operator was last used.
func (c *clocked) used(t *testing.T, operatorID string) time.Duration {
	t.Helper()
	list, err := c.Credentials(t.Context(), operatorID)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if list[0].Used.IsZero() {
		return -1
	}
	return list[0].Used.Sub(time.UnixMilli(1_700_000_000_000))
}

func (c *clocked) flush(t *testing.T) {
	t.Helper()
	if err := c.FlushUsed(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTheUseOfAKeyIsWrittenBesideRequestsAndOnceAMinute(t *testing.T) {
	c := newClocked(t)
	id := c.operator(t)
	key, _ := c.create(t, auth.CreateRequest{OperatorID: id})
	authenticate := func() {
		t.Helper()
		if _, err := c.Authenticate(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	c.flush(t)
	authenticate()
	if got := c.used(t, id); got != -1 || len(c.store.batches) != 0 {
		t.Fatalf("written while somebody waits: %v, %v", got, c.store.batches)
	}
	c.flush(t)
	if got := c.used(t, id); got != 0 {
		t.Errorf("%v", got)
	}
	for _, tt := range []struct{ pass, want time.Duration }{{30 * time.Second, 0}, {29 * time.Second, 0}, {time.Second, time.Minute}} {
		c.pass(tt.pass)
		authenticate()
		c.flush(t)
		if got := c.used(t, id); got != tt.want {
			t.Errorf("after %v: %v", tt.pass, got)
		}
	}
	c.pass(10 * time.Second)
	authenticate()
	c.flush(t)
	if got := c.used(t, id); got != time.Minute {
		t.Errorf("%v", got)
	}
	if err := c.FlushAllUsed(t.Context()); err != nil || c.used(t, id) != 70*time.Second {
		t.Errorf("at the end: %v, %v", c.used(t, id), err)
	}
	if n := len(c.store.batches); n != 3 {
		t.Errorf("%d writes", n)
	}
}

func TestALoginWithoutAKeyAndALongSessionAreUsesToo(t *testing.T) {
	c := newClocked(t)
	id := c.operator(t)
	_, cred := c.create(t, auth.CreateRequest{OperatorID: id, Networks: prefixes("192.0.2.0/24")})
	if _, ok, err := c.Network(t.Context(), netip.MustParseAddr("192.0.2.9")); !ok || err != nil {
		t.Fatal(ok, err)
	}
	c.flush(t)
	if got := c.used(t, id); got != 0 {
		t.Errorf("by network: %v", got)
	}
	c.pass(time.Hour)
	if err := c.Valid(t.Context(), waypost.Principal{CredentialID: cred.ID, OperatorID: id}); err != nil {
		t.Fatal(err)
	}
	c.flush(t)
	if got := c.used(t, id); got != time.Hour {
		t.Errorf("in a session that began long ago: %v", got)
	}
	if _, ok, _ := c.Network(t.Context(), netip.MustParseAddr("198.51.100.1")); ok {
		t.Error("a stranger")
	}
}

func TestAUseThatCouldNotBeWrittenIsWrittenLater(t *testing.T) {
	c := newClocked(t)
	id := c.operator(t)
	key, _ := c.create(t, auth.CreateRequest{OperatorID: id})
	if _, err := c.Authenticate(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	c.store.fail = errors.New("disk full")
	if err := c.FlushUsed(t.Context()); !errors.Is(err, c.store.fail) {
		t.Errorf("%v", err)
	}
	c.store.fail = nil
	c.flush(t)
	if got := c.used(t, id); got != 0 {
		t.Errorf("%v", got)
	}
}

func TestManyKeysAreWrittenInSmallGroups(t *testing.T) {
	c := newClocked(t)
	id := c.operator(t)
	const n = 1100
	for range n {
		if err := c.Valid(t.Context(), waypost.Principal{CredentialID: waypost.NewID(), OperatorID: id}); err == nil {
			t.Fatal("valid")
		}
	}
	c.flush(t)
	if len(c.store.batches) != 0 {
		t.Errorf("keys that are not valid: %v", c.store.batches)
	}
	var wg sync.WaitGroup
	keys := make([]string, n)
	for i := range n {
		keys[i], _ = c.create(t, auth.CreateRequest{OperatorID: id})
	}
	for _, key := range keys {
		wg.Go(func() { _, _ = c.Authenticate(t.Context(), key) })
	}
	wg.Wait()
	c.flush(t)
	if len(c.store.batches) != 3 || c.store.batches[0] != 500 || c.store.batches[1] != 500 || c.store.batches[2] != 100 {
		t.Errorf("%v", c.store.batches)
	}
}

// BenchmarkAuthenticate is what each request pays for its key once it is known.
func BenchmarkAuthenticate(b *testing.B) {
	c := newClocked(b)
	o, err := c.CreateOperator(b.Context(), waypost.CommandLine(), waypost.Operator{Name: "Acme", Product: waypost.ProductCloud})
	if err != nil {
		b.Fatal(err)
	}
	a := auth.New(auth.Options{Store: c.System, Operators: operators{c.world}})
	key, _, err := a.Create(b.Context(), waypost.CommandLine(), auth.CreateRequest{OperatorID: o.ID})
	if err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := a.Authenticate(b.Context(), key); err != nil {
				b.Error(err)
			}
		}
	})
}
