package account_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// world is a service on a real store.
type world struct {
	*account.Service
	dir    *account.Directory
	store  *store.Store
	system *counting
	ring   *secret.Ring
}

// counting counts how often accounts are read: each reading asks for the change number.
type counting struct {
	*system.System
	changes func()
	health  func() // right before a relay's health is written
}

func (c *counting) SetRelayHealth(ctx context.Context, h waypost.RelayHealth) error {
	if c.health != nil {
		c.health()
	}
	return c.System.SetRelayHealth(ctx, h)
}

func (c *counting) Change(ctx context.Context) (int64, error) {
	if c.changes != nil {
		c.changes()
	}
	return c.System.Change(ctx)
}

func newRing(t testing.TB, seed byte) *secret.Ring {
	t.Helper()
	key := make([]byte, secret.KeySize)
	for i := range key {
		key[i] = seed + byte(i)
	}
	ring, err := secret.NewRing(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func newWorld(t testing.TB) *world {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Options{URL: filepath.Join(t.TempDir(), "waypost.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	s := store.New(e, "test")
	y := system.New(s)
	w := &world{store: s, system: &counting{System: y}, ring: newRing(t, 1)}
	if err := y.InitInstance(t.Context(), w.ring.KeyCheck()); err != nil {
		t.Fatal(err)
	}
	w.serve(w.ring, route.Platform{Domain: "platform.example", From: waypost.Address{Email: "no-reply@platform.example"}})
	return w
}

// serve makes directory and service anew, as another process would.
func (w *world) serve(ring *secret.Ring, p route.Platform) {
	w.dir = account.NewDirectory(account.DirectoryOptions{Store: w.store, System: w.system, Ring: ring})
	urls, err := guard.NewWeb(guard.WebOptions{})
	if err != nil {
		panic(err)
	}
	w.Service = account.New(account.Options{
		Store: w.store, System: w.system, Directory: w.dir, Ring: ring, Platform: p, URLs: urls,
	})
}

func (w *world) operator(t testing.TB, product waypost.Product) string {
	t.Helper()
	o, err := w.CreateOperator(t.Context(), waypost.CommandLine(), account.NewOperator{Name: "Acme Tracking", Product: product})
	if err != nil {
		t.Fatal(err)
	}
	return o.ID
}

func (w *world) get(t testing.TB, id string) *waypost.Account {
	t.Helper()
	a, err := w.dir.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (w *world) save(t testing.TB, id string, u account.Update) account.Settings {
	t.Helper()
	out, err := w.SaveEmail(t.Context(), waypost.CommandLine(), id, u)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ownServer is a valid update for operator's own server.
func ownServer() account.Update {
	return account.Update{
		Gateway: &account.GatewayUpdate{
			Type: waypost.GatewaySMTP, Host: "mail.acme.example", Security: waypost.SecurityStartTLS,
			Auth: &account.AuthUpdate{Username: "acme", Password: "hunter2"},
		},
		From: "Acme Alerts <alerts@acme.example>",
	}
}

// fields lists the fields that an error complains about.
func fields(err error) []string {
	var out []string
	if p, ok := errors.AsType[account.Problems](err); ok {
		for _, e := range p {
			out = append(out, e.Field)
		}
	}
	return out
}
