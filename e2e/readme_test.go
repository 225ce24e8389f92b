package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// reShell finds the shell blocks of a page.
var reShell = regexp.MustCompile("(?s)```sh\n(.*?)```")

// TestReadmesFirstMail runs what the README tells a new user to type, in an empty
// directory. Only the building is left out, and the ports are whichever are free.
func TestReadmesFirstMail(t *testing.T) {
	tool(t, "swaks")
	tool(t, "curl")
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## Your first mail\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := reShell.FindAllStringSubmatch(section, -1)
	if !found || len(blocks) < 4 || strings.TrimSpace(blocks[0][1]) != "make build\nbin/waypost serve" {
		t.Fatalf("the section is not there, or does not begin with building and serving: %q", blocks)
	}
	in := newInstallation(t)
	home := filepath.Dir(in.dir)
	in.dir = filepath.Join(home, "waypost-data") // where it is if nobody says
	delete(in.env, "WAYPOST_DATA_DIR")
	if err := os.Mkdir(filepath.Join(home, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(home, "bin", "waypost")); err != nil {
		t.Fatal(err)
	}
	s := in.start()
	script := "set -euo pipefail\n"
	for _, b := range blocks[1:] {
		script += b[1]
	}
	script = strings.NewReplacer("127.0.0.1:2587", s.smtp(), "127.0.0.1:8080", s.addr("http")).Replace(script)
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir, cmd.Env = home, in.environ()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n--- printed:\n%s", err, script, out)
	}
	says(t, string(out), "250 2.0.0 Accepted as", "Truck 7 left the yard", "Truck 7 is back", `"deliveries"`)
	if _, err := os.Stat(filepath.Join(in.dir, "waypost.db")); err != nil {
		t.Error(err)
	}
	list := in.messages()
	if len(list) != 2 {
		t.Errorf("messages: %+v", list)
	}
	eventually(t, patience, "both are in the sandbox", func() bool {
		list = in.messages()
		return len(list) == 2 && list[0].Statuses["delivered"] == 1 && list[1].Statuses["delivered"] == 1
	})
}
