// Package e2e_test looks at the built program from outside, as those who run it and
// those who use it do: it starts the binary with a data directory of its own, talks to
// it over its ports and its command line, puts fake and real mail servers around it,
// kills it, and counts. It has tests only.
//
// Nothing here knows the program's packages, but for the fakes and the PostgreSQL
// server that all tests share. Where the books are read, they are read from the
// database by SQL and for reading only.
package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store/storetest"
)

// binary is the program under test, built once by TestMain.
var binary string //nolint:gochecknoglobals // set before the first test

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "waypost-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary = os.Getenv("WAYPOST_E2E_BINARY"); binary != "" { // one that was built elsewhere
		return storetest.Runner{M: m}.Run()
	}
	binary = filepath.Join(dir, "waypost")
	// As it is shipped: no race detector, no cgo.
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./cmd/waypost")
	build.Dir = ".."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return storetest.Runner{M: m}.Run()
}

// scale is a number that the environment may raise for longer runs.
func scale(t testing.TB, name string, normal int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return normal
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number", name, text)
	}
	return n
}

// tool finds a program that a test needs. Without it the test is skipped, in
// continuous integration it fails.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if err == nil {
			break
		}
		path, err = exec.LookPath(filepath.Join(dir, name))
	}
	if err != nil {
		missing(t, name+" is not installed (make test-deps)")
	}
	return path
}

// missing ends a test whose prerequisite is not there.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// patience bounds waits for something that normally takes well below a second.
const patience = 30 * time.Second

// eventually waits until cond is true, or fails the test after a time.
func eventually(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	if !within(limit, cond) {
		t.Fatalf("not within %s: %s", limit, what)
	}
}

// within reports whether cond became true in time.
func within(limit time.Duration, cond func() bool) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if cond() {
			return true
		}
		select {
		case <-ticker.C:
		case <-deadline.C:
			return cond()
		}
	}
}

// pause lets a random time pass in which others work; no test waits for anything
// with it.
func pause(d time.Duration, ended <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ended:
	}
}
