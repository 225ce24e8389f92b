package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRulesAreTriedByCommand(t *testing.T) {
	t.Setenv("WAYPOST_DATA_DIR", t.TempDir())
	t.Setenv("WAYPOST_HOSTNAME", "mx.example.test")
	file := filepath.Join(t.TempDir(), "rules.toml")
	if err := os.WriteFile(file, []byte("[[rule]]\nname = \"prison\"\nwords = [\"ip in prison\"]\ncause = \"reputation\"\nslow = \"2h\"\nhow = \"suspend\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		want []string
	}{
		"unknown mailbox": {
			[]string{"550 5.1.1 <x@example.com>: User unknown"},
			[]string{"class bad_mailbox", "cause bad_mailbox", "blame recipient", "suppresses yes", "rule no such user (built-in)", "words user unknown"},
		},
		"temporary":    {[]string{"450 4.1.1 User unknown"}, []string{"class bad_mailbox", "outcome temporary", "suppresses no"}},
		"own rule":     {[]string{"550 IP in prison", "--rules", file}, []string{"class reputation", "slow suspend for 2h0m0s", "suppresses no", "rule prison (" + file + ")"}},
		"relay":        {[]string{"554 5.7.1 Relay access denied", "--relay"}, []string{"class policy", "cause relay_denied", "outcome route_down"}},
		"without code": {[]string{"user unknown"}, []string{"no code; taken for a 550", "class bad_mailbox"}},
	}
	for name, tt := range tests {
		out, err := run(t, append([]string{"rules", "test"}, tt.args...)...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		flat := strings.Join(strings.Fields(out), " ")
		for _, want := range tt.want {
			if !strings.Contains(flat, want) {
				t.Errorf("%s: %q is not in\n%s", name, want, out)
			}
		}
	}

	t.Setenv("WAYPOST_REPLY_RULES", file)
	if out, err := run(t, "rules", "test", "550 IP in prison"); err != nil || !strings.Contains(out, "prison ("+file) {
		t.Errorf("the file of the settings is not used: %v\n%s", err, out)
	}
	if err := os.WriteFile(file, []byte("[[rule]]\nname = \"prison\"\ncause = \"reputation\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"rules", "test", "550 x"}, {"check"}} {
		if _, err := run(t, args...); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), `"prison"`) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
