package app_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/config"
	"github.com/waypost/waypost/internal/waypost"
)

// firstLogin is the first login of a start on a data directory.
func firstLogin(t *testing.T, c config.Config, log *slog.Logger) (*app.FirstLogin, *auth.Users) {
	t.Helper()
	b, err := app.OpenCommand(t.Context(), c, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	users := b.NewUsers()
	f, err := b.FirstLogin(t.Context(), users, "0.0.0.0:8080")
	if err != nil {
		t.Fatal(err)
	}
	return f, users
}

// firstLink reads the link, "" if there is none.
func firstLink(t *testing.T, c config.Config) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.DataDir, "first-login"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "\n")
}

func TestTheFirstLoginMakesTheOwnerOnce(t *testing.T) {
	c := settings(t)
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	f, users := firstLogin(t, c, log)
	link := firstLink(t, c)
	token, ok := strings.CutPrefix(link, "http://localhost:8080/first/")
	if !ok || len(token) != 43 {
		t.Fatal(link)
	}
	path := filepath.Join(c.DataDir, "first-login")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if strings.Contains(text.String(), token) || !strings.Contains(text.String(), path) {
		t.Error("logged:", text.String())
	}
	owner := auth.NewUser{Login: "boss", Email: "boss@example.test", Name: "Boss"}
	const password = "correct horse battery"
	for _, bad := range []string{"", "x", token[1:], strings.ToUpper(token)} {
		if valid, err := f.Valid(t.Context(), bad); valid || err != nil {
			t.Errorf("%q is valid, %v", bad, err)
		}
		if _, err := f.CreateOwner(t.Context(), bad, owner, password, "192.0.2.7"); waypost.KindOf(err) != waypost.NotFound {
			t.Error(err)
		}
	}
	if _, err := f.CreateOwner(t.Context(), token, owner, "short", "192.0.2.7"); waypost.KindOf(err) != waypost.Invalid {
		t.Error(err)
	}
	again, _ := firstLogin(t, c, log) // another start, or another node with the same key
	if firstLink(t, c) != link {
		t.Error("another link")
	}
	var wait sync.WaitGroup
	var won atomic.Int32
	for i := range 4 {
		wait.Go(func() {
			_, err := []*app.FirstLogin{f, again}[i%2].CreateOwner(t.Context(), token, owner, password, "192.0.2.7")
			switch kind := waypost.KindOf(err); {
			case err == nil:
				won.Add(1)
			case kind != waypost.NotFound && kind != waypost.Conflict:
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if valid, err := again.Valid(t.Context(), token); valid || err != nil || won.Load() != 1 || firstLink(t, c) != "" {
		t.Errorf("%d owners, valid: %t, %v", won.Load(), valid, err)
	}
	if _, err := users.SignIn(t.Context(), "boss", password, "192.0.2.7", ""); err != nil {
		t.Error(err)
	}
	if strings.Contains(text.String(), token) || strings.Contains(text.String(), password) {
		t.Error("logged:", text.String())
	}
	firstLogin(t, c, log)
	if firstLink(t, c) != "" {
		t.Error("a link although there is an owner")
	}
}

func TestTheFirstLoginGoesWhenTheOwnerIsMadeElsewhere(t *testing.T) {
	c := settings(t, "WAYPOST_PUBLIC_URL=https://mail.example.test/")
	f, users := firstLogin(t, c, slog.New(slog.DiscardHandler))
	link := firstLink(t, c)
	token, ok := strings.CutPrefix(link, "https://mail.example.test/first/")
	if !ok {
		t.Fatal(link)
	}
	f.Changed(t.Context())
	if valid, err := f.Valid(t.Context(), token); !valid || err != nil || firstLink(t, c) == "" {
		t.Error(valid, err)
	}
	_, err := users.Create(t.Context(), waypost.CommandLine(), auth.NewUser{Login: "boss", Role: waypost.RoleOwner}, "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	f.Changed(t.Context())
	if valid, err := f.Valid(t.Context(), token); valid || err != nil || firstLink(t, c) != "" {
		t.Error(valid, err)
	}
}
