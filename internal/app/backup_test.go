package app_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/config"
)

// backupOf makes a database with one operator of a name, and a backup of it.
func backupOf(t *testing.T, c config.Config) (file string) {
	t.Helper()
	b, err := app.OpenCommand(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	operator(t, b, "")
	file = filepath.Join(t.TempDir(), "backup.db")
	if err := b.Engine.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

// operators counts those of a data directory, without the platform's own.
func operators(t *testing.T, c config.Config) int {
	t.Helper()
	b, err := app.OpenCommand(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	list, err := b.Accounts.Operators(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Engine.CheckIntegrity(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, o := range list {
		if o.Name == "Acme Tracking" {
			n++
		}
	}
	return n
}

func TestARestoreBringsTheBackupBackAndKeepsWhatWasThere(t *testing.T) {
	c := settings(t)
	file := backupOf(t, c) // one operator in it
	backupOf(t, c)         // and a second one only in the database
	if _, err := app.Restore(t.Context(), c, file, false); err == nil {
		t.Fatal("a database that is there was replaced without force")
	}
	first, err := app.Restore(t.Context(), c, file, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := operators(t, c); got != 1 {
		t.Errorf("%d operators after the restore, want 1", got)
	}
	second, err := app.Restore(t.Context(), c, file, true)
	if err != nil {
		t.Fatal(err)
	}
	if first == second {
		t.Error("the second restore overwrote what the first had kept")
	}
	if got := operators(t, putBack(t, c, first)); got != 2 {
		t.Errorf("%d operators in what was kept, want 2", got)
	}
}

// putBack is a copy of the data directory with another database.
func putBack(t *testing.T, c config.Config, database string) config.Config {
	t.Helper()
	old := c.DataDir
	c.DataDir = t.TempDir()
	for from, to := range map[string]string{database: "waypost.db", filepath.Join(old, "instance.key"): "instance.key"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.DataDir, to), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestAForeignLogDoesNotReachTheRestoredDatabase(t *testing.T) {
	c := settings(t)
	file := backupOf(t, c)
	path := filepath.Join(c.DataDir, "waypost.db")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"-wal", []byte(strings.Repeat("not a log of this database ", 4000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Restore(t.Context(), c, file, false); err != nil {
		t.Fatal(err)
	}
	if got := operators(t, c); got != 1 {
		t.Errorf("%d operators, want 1", got)
	}
}

func TestWhatIsNoBackupIsNotRestored(t *testing.T) {
	c := settings(t)
	good := backupOf(t, c)
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(file string) error{
		"text":      func(file string) error { return os.WriteFile(file, []byte("hello"), 0o600) },
		"cut short": func(file string) error { return os.WriteFile(file, data[:len(data)/2], 0o600) },
		"with a log besides": func(file string) error {
			if err := os.WriteFile(file+"-wal", []byte("frames"), 0o600); err != nil {
				return err
			}
			return os.WriteFile(file, data, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "backup.db")
			if err := write(file); err != nil {
				t.Fatal(err)
			}
			if _, err := app.Restore(t.Context(), c, file, true); err == nil {
				t.Fatal("it was restored")
			}
			if got := operators(t, c); got != 1 {
				t.Errorf("%d operators, want the 1 that was there", got)
			}
		})
	}
}

func TestARunningServerIsNotRestoredUnderItsFeet(t *testing.T) {
	c := settings(t)
	file := backupOf(t, c)
	start(t, c)
	if _, err := app.Restore(t.Context(), c, file, true); err == nil || !strings.Contains(err.Error(), "stop the server") {
		t.Errorf("it says %v", err)
	}
}
