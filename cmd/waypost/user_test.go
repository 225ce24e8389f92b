package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// run runs a command line on the settings of the environment.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var cli commandLine
	parser, err := kong.New(&cli, kong.Exit(func(int) { t.Error("exits") }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	err = ctx.Run(&environment{ctx: t.Context(), stdout: &stdout, stderr: &stderr})
	if strings.Contains(stderr.String(), "secret") {
		t.Error("logged:", stderr.String())
	}
	return stdout.String(), err
}

func TestUsersAreMadeListedAndResetByCommands(t *testing.T) {
	t.Setenv("WAYPOST_DATA_DIR", t.TempDir())
	t.Setenv("WAYPOST_HOSTNAME", "mx.example.test")
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("a secret phrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	op, err := run(t, "operator", "create", "--name", "Acme", "--product", "cloud")
	if err != nil {
		t.Fatal(err)
	}
	op = strings.TrimSpace(op)
	for _, args := range [][]string{
		{"--platform", "--login", "boss", "--role", "owner", "--name", "Bo\u202ess"},
		{"--platform", "--login", "boss", "--role", "admin"},
		{"--operator", op, "--login", "boss", "--role", "owner"},
		{"--operator", "nobody", "--login", "boss", "--role", "admin"},
		{"--operator", op, "--platform", "--login", "boss", "--role", "admin"},
		{"--login", "boss", "--role", "owner"},
		{"--platform", "--login", "bo ss", "--role", "owner"},
		{"--platform", "--login", "boss@example.test", "--role", "owner", "--email", "thief@example.test"},
	} {
		if out, err := run(t, append([]string{"user", "create", "--password-file", file}, args...)...); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %s, %v", args, out, err)
		}
	}
	for _, text := range []string{"", "short", "two\nlines of it", strings.Repeat("x", 5000)} {
		bad := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, "user", "create", "--password-file", bad, "--platform", "--login", "boss", "--role", "owner"); err == nil {
			t.Errorf("password of %d bytes is taken", len(text))
		}
	}
	made, err := run(t, "user", "create", "--password-file", file, "--platform", "--login", "Boss", "--role", "owner", "--email", "boss@example.test", "--json")
	var view userView
	if err != nil || json.Unmarshal([]byte(made), &view) != nil || view.Login != "boss" || !view.Platform || view.State != "active" || view.ID == "" {
		t.Fatal(made, err)
	}
	if _, err := run(t, "user", "create", "--password-file", file, "--operator", op, "--login", "ann", "--role", "admin"); err != nil {
		t.Fatal(err)
	}
	made, err = run(t, "user", "create", "--password-file", file, "--operator", op, "--login", "bob@example.test", "--role", "viewer", "--json")
	if err != nil || json.Unmarshal([]byte(made), &view) != nil || view.Email != "bob@example.test" {
		t.Error(made, err)
	}
	for want, args := range map[string][]string{"boss,ann,bob@example.test": nil, "boss": {"--platform"}, "ann,bob@example.test": {"--operator", op}} {
		out, err := run(t, append([]string{"user", "list", "--json"}, args...)...)
		var views []userView
		if err != nil || json.Unmarshal([]byte(out), &views) != nil {
			t.Fatal(out, err)
		}
		var logins []string
		for _, v := range views {
			logins = append(logins, v.Login)
		}
		if got := strings.Join(logins, ","); got != want {
			t.Errorf("%v: %s, want %s", args, got, want)
		}
	}
	if out, err := run(t, "user", "list"); err != nil || len(strings.Split(strings.TrimSpace(out), "\n")) != 4 {
		t.Error(out, err)
	}
	link, err := run(t, "user", "reset", "--login", "BOSS")
	if err != nil || !strings.HasPrefix(link, "http://127.0.0.1:8080/reset/") {
		t.Error(link, err)
	}
	out, err := run(t, "user", "reset", "--login", "boss", "--json")
	var reset resetView
	if err != nil || json.Unmarshal([]byte(out), &reset) != nil || !strings.HasSuffix(reset.Link, reset.Path) || reset.Expires == "" || reset.Login != "boss" {
		t.Error(out, err)
	}
	if out, err := run(t, "user", "reset", "--login", "nobody"); err == nil {
		t.Error(out)
	}
}
