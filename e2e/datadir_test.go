package e2e_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/store/storetest"
)

// copyDir copies the data directory of an installation that is not served.
func (in *installation) copyDir() *installation {
	in.t.Helper()
	to := filepath.Join(in.t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(in.dir)); err != nil {
		in.t.Fatal(err)
	}
	return in.beside(to)
}

// change executes statements on the SQLite database of an installation that is not
// served.
func (in *installation) change(statements ...string) {
	in.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(in.dir, "waypost.db"))
	if err != nil {
		in.t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			in.t.Fatalf("%s: %v", s, err)
		}
	}
}

// says checks that a refusal speaks of something.
func says(t *testing.T, words string, of ...string) {
	t.Helper()
	for _, w := range of {
		if !strings.Contains(strings.ToLower(words), strings.ToLower(w)) {
			t.Errorf("nothing about %q in: %s", w, words)
		}
	}
}

func TestSecondInstanceIsRefused(t *testing.T) {
	in := newInstallation(t)
	s := in.start()
	says(t, in.refused("serve"), "another waypost", in.dir)
	in.must("operator", "list") // commands are welcome
	s.stop()
	in.start()
}

func TestNewerSchemaIsRefused(t *testing.T) {
	in := newInstallation(t)
	in.operator("Fleet", "servermate")
	in.change("INSERT INTO goose_db_version (version_id, is_applied, tstamp) VALUES (99999, 1, CURRENT_TIMESTAMP)")
	says(t, in.refused("serve"), "newer schema")
	says(t, in.refused("operator", "list"), "newer schema")
	says(t, in.refused("check"), "newer schema")
	in.change("DELETE FROM goose_db_version WHERE version_id = 99999")
	in.start() // the refusals changed nothing
}

func TestWrongOrMissingInstanceKeyIsRefused(t *testing.T) {
	in := newInstallation(t)
	in.operator("Fleet", "servermate")
	key := filepath.Join(in.dir, "instance.key")

	missing := in.copyDir()
	if err := os.Remove(filepath.Join(missing.dir, "instance.key")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"serve"}, {"operator", "list"}, {"check"}} {
		says(t, missing.refused(args...), "instance key", "WAYPOST_INSTANCE_KEY")
	}
	if _, err := os.Stat(filepath.Join(missing.dir, "instance.key")); err == nil {
		t.Error("a new key was made for a database that has one")
	}

	wrong := in.copyDir()
	wrong.set("INSTANCE_KEY=" + instanceKey())
	says(t, wrong.refused("serve"), "instance key", "not the one")

	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	byEnvironment := in.copyDir()
	if err := os.Remove(filepath.Join(byEnvironment.dir, "instance.key")); err != nil {
		t.Fatal(err)
	}
	byEnvironment.set("INSTANCE_KEY_FILE=" + key)
	s := byEnvironment.start()
	if strings.Contains(s.log(), strings.TrimSpace(string(text))) {
		t.Error("the key is in the log")
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the key: %v, %v", info.Mode(), err)
	}
}

func TestPostgresNeedsAnInstanceKey(t *testing.T) {
	in := newInstallation(t, "DATABASE_URL="+storetest.PostgresURL(t))
	says(t, in.refused("serve"), "instance key", "openssl rand", "WAYPOST_INSTANCE_KEY")
	in.set("INSTANCE_KEY=" + instanceKey())
	s := in.start()
	in.operator("Fleet", "servermate")
	says(t, in.refused("backup", filepath.Join(t.TempDir(), "backup.db")), "pg_dump")
	if err := os.WriteFile(filepath.Join(t.TempDir(), "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, in.refused("restore", binary), "pg_")
	s.stop()
}

func TestBackupOfARunningServerIsRestored(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	s := w.start()
	op, key := w.sender("Fleet")
	c := dial(t, s.smtp()).login("x", key)
	stop, stopped := make(chan struct{}), make(chan struct{})
	submit := func(i int) {
		to := fmt.Sprintf("r%d@rcpt.test", i)
		if code, text, err := c.send("a@operator.test", to, letter("a@operator.test", to, "x")); err != nil || code != 250 {
			t.Errorf("%d %s, %v", code, text, err)
		}
	}
	const before = 50
	for i := range before {
		submit(i)
	}
	go func() { // load while the backup is taken
		defer close(stopped)
		for i := before; ; i++ {
			select {
			case <-stop:
				return
			default:
				submit(i)
			}
		}
	}()
	file := filepath.Join(t.TempDir(), "backup.db")
	out := w.must("backup", file)
	close(stop)
	<-stopped
	says(t, out, "instance key is not in it")
	says(t, w.refused("backup", file), "exist") // it overwrites nothing
	says(t, w.refused("restore", "--force", file), "stop the server")
	s.stop()

	fresh := w.beside(filepath.Join(t.TempDir(), "fresh"))
	says(t, fresh.must("restore", file), "instance key")
	says(t, fresh.refused("serve"), "instance key") // as the output said
	key0, err := os.ReadFile(filepath.Join(w.dir, "instance.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(fresh.dir, "instance.key"), key0, 0o600); err != nil {
		t.Fatal(err)
	}
	s = fresh.start()
	if n := len(fresh.messages("--operator", op, "--limit", "1000")); n < before {
		t.Errorf("%d messages in the backup, at least %d were accepted before it", n, before)
	}
	dial(t, s.smtp()).login("x", key)
	eventually(t, patience, "what was queued is delivered", func() bool { return len(fresh.queue()) == 0 })
	fresh.conserved(fresh.reader())
	s.stop()

	says(t, fresh.refused("restore", file), "--force")
	says(t, fresh.must("restore", "--force", file), "before-restore")
	fresh.start()

	broken := filepath.Join(t.TempDir(), "broken.db")
	if err := os.WriteFile(broken, []byte("this is no database, however long one looks at it"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := w.beside(filepath.Join(t.TempDir(), "empty"))
	empty.refused("restore", broken)
	if _, err := os.Stat(filepath.Join(empty.dir, "waypost.db")); err == nil {
		t.Error("a broken backup was put in place")
	}
}
