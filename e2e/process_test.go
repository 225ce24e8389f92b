package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// installation is a data directory and the settings it is served with. One process
// at a time serves it; commands may run beside it.
type installation struct {
	t   testing.TB
	dir string // data directory
	env map[string]string
}

// newInstallation makes an empty one. Settings are NAME=value, without WAYPOST_.
func newInstallation(t testing.TB, settings ...string) *installation {
	t.Helper()
	in := &installation{t: t, dir: filepath.Join(t.TempDir(), "data"), env: map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": t.TempDir(),
		"WAYPOST_HTTP_ADDR": "127.0.0.1:0", "WAYPOST_SMTP_ADDR": "127.0.0.1:0", "WAYPOST_METRICS_ADDR": "127.0.0.1:0",
		"WAYPOST_HOSTNAME": "gw.platform.test", "WAYPOST_GUARD_ALLOW": "127.0.0.0/8",
	}}
	in.env["WAYPOST_DATA_DIR"] = in.dir
	in.set(settings...)
	return in
}

// set changes settings for the next start.
func (in *installation) set(settings ...string) {
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		in.env["WAYPOST_"+name] = value
	}
}

// beside is the same installation with another data directory.
func (in *installation) beside(dir string) *installation {
	other := &installation{t: in.t, dir: dir, env: maps.Clone(in.env)}
	other.env["WAYPOST_DATA_DIR"] = dir
	return other
}

func (in *installation) environ() []string {
	var env []string
	for name, value := range in.env {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// command runs a subcommand and returns what it printed.
func (in *installation) command(args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(in.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Dir = in.environ(), filepath.Dir(in.dir)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	err = cmd.Run()
	return out.String(), words.String(), err
}

// must runs a subcommand that has to succeed and returns its output.
func (in *installation) must(args ...string) string {
	in.t.Helper()
	out, words, err := in.command(args...)
	if err != nil {
		in.t.Fatalf("waypost %s: %v\n%s", strings.Join(args, " "), err, words)
	}
	return out
}

// json runs a subcommand with --json and decodes what it prints.
func (in *installation) json(into any, args ...string) {
	in.t.Helper()
	out := in.must(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		in.t.Fatalf("waypost %s printed %q: %v", strings.Join(args, " "), out, err)
	}
}

// refused runs a subcommand that has to fail and returns what it said.
func (in *installation) refused(args ...string) string {
	in.t.Helper()
	out, words, err := in.command(args...)
	if _, exited := errors.AsType[*exec.ExitError](err); !exited {
		in.t.Fatalf("waypost %s: %v, want a refusal; it printed %q", strings.Join(args, " "), err, out)
	}
	if strings.Contains(words, "goroutine ") {
		in.t.Errorf("waypost %s panicked:\n%s", strings.Join(args, " "), words)
	}
	return words
}

// operator makes an operator and returns its id.
func (in *installation) operator(name, product string) string {
	in.t.Helper()
	var made struct{ ID string }
	in.json(&made, "operator", "create", "--name", name, "--product", product, "--trusted") // some tests send more than a new operator may
	return made.ID
}

// credential makes a credential and returns its key and id.
func (in *installation) credential(args ...string) (key, id string) {
	in.t.Helper()
	var made struct{ Key, ID string }
	in.json(&made, append([]string{"credential", "create"}, args...)...)
	return made.Key, made.ID
}

// reListening finds the address of a listener in the log.
var reListening = regexp.MustCompile(`msg=listening listener=(\w+) addr=(\S+)`)

// server is one run of the program.
type server struct {
	t     testing.TB
	pid   int
	ready chan struct{} // closed when it said so
	ended chan struct{} // closed when it has ended
	began time.Time
	took  time.Duration // until ready

	mu    sync.Mutex
	said  bytes.Buffer
	addrs map[string]string
	err   error // of the process, once it has ended
}

// start serves and waits until it is ready.
func (in *installation) start() *server {
	in.t.Helper()
	s := in.launch(binary, "serve")
	s.waitReady()
	return s
}

// launch starts a program that serves, and returns at once. The process ends with the
// test, and with the test process, however that ends.
func (in *installation) launch(program string, args ...string) *server {
	in.t.Helper()
	s := &server{
		t: in.t, ready: make(chan struct{}), ended: make(chan struct{}), addrs: map[string]string{}, began: time.Now(),
	}
	r, w, err := os.Pipe()
	if err != nil {
		in.t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = in.environ(), filepath.Dir(in.dir), w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The signal comes when the starting thread ends, so that thread has to stay.
		runtime.LockOSThread()
		defer close(s.ended)
		err := cmd.Start()
		_ = w.Close()
		started <- err
		if err == nil {
			s.listen(r)
			err = cmd.Wait()
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
		}
		_ = r.Close()
	}()
	if err := <-started; err != nil {
		in.t.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	in.t.Cleanup(s.kill)
	return s
}

// listen reads what the process says until it says no more.
func (s *server) listen(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		s.mu.Lock()
		s.said.WriteString(line + "\n")
		if m := reListening.FindStringSubmatch(line); m != nil {
			s.addrs[m[1]] = m[2]
		}
		if strings.Contains(line, "msg=ready") {
			s.took = time.Since(s.began)
			close(s.ready)
		}
		s.mu.Unlock()
	}
}

func (s *server) waitReady() {
	s.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.ready:
	case <-s.ended:
		s.t.Fatalf("the server ended before it was ready:\n%s", s.log())
	case <-timer.C:
		s.t.Fatalf("the server is not ready; it said:\n%s", s.log())
	}
}

// log is what the process said so far.
func (s *server) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

// addr is where a listener listens.
func (s *server) addr(listener string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addrs[listener] == "" {
		panic(fmt.Sprintf("no listener %s in the log:\n%s", listener, s.said.String()))
	}
	return s.addrs[listener]
}

func (s *server) smtp() string { return s.addr("smtp") }

// kill ends the process as a power cut would, and waits for its end.
func (s *server) kill() {
	s.signal(syscall.SIGKILL)
	<-s.ended
}

func (s *server) signal(sig syscall.Signal) {
	select {
	case <-s.ended: // the number may be another's by now
	default:
		_ = syscall.Kill(s.pid, sig)
	}
}

// terminate asks the process to end and does not wait.
func (s *server) terminate() { s.signal(syscall.SIGTERM) }

// stop asks the process to end and waits until it did so, cleanly.
func (s *server) stop() {
	s.t.Helper()
	s.terminate()
	s.waitEnd(time.Minute)
}

// waitEnd waits for a clean end.
func (s *server) waitEnd(limit time.Duration) {
	s.t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
		s.t.Fatalf("the server did not end within %s; it said:\n%s", limit, s.log())
	}
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		s.t.Fatalf("the server ended with %v; it said:\n%s", err, s.log())
	}
	if log := s.log(); strings.Contains(log, "panic") || strings.Contains(log, "while stopping") {
		s.t.Errorf("the server said:\n%s", log)
	}
}

// running reports whether the process has not ended.
func (s *server) running() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// memory is the resident memory of the process in MiB, now (VmRSS) or at most so far
// (VmHWM).
func (s *server) memory(field string) int {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kib int
		if n, _ := fmt.Sscanf(line, field+": %d kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	s.t.Fatal("no " + field)
	return 0
}

// idle reports whether the process uses hardly any processor time for a moment.
func (s *server) idle() bool {
	s.t.Helper()
	const moment = 500 * time.Millisecond
	before := s.ticks()
	pause(moment, s.ended)
	return s.ticks()-before <= 10 // hundredths of a second
}

// ticks is the processor time that the process has used, in hundredths of a second.
func (s *server) ticks() int {
	s.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		s.t.Fatal(err)
	}
	// After the name, which may hold spaces: state is field 3, utime and stime are 14 and 15.
	_, rest, _ := strings.Cut(string(stat), ") ")
	words := strings.Fields(rest)
	user, err1 := strconv.Atoi(words[11])
	system, err2 := strconv.Atoi(words[12])
	if err := errors.Join(err1, err2); err != nil {
		s.t.Fatal(err)
	}
	return user + system
}
