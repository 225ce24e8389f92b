package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// The addresses of every mail. The names are reserved (RFC 2606 section 2), so
// nothing can leave the machine by mistake.
const (
	platformDomain  = "platform.test" // signs
	senderAddress   = "no-reply@" + platformDomain
	recipientDomain = "rcpt.test"
	recipient       = "driver@" + recipientDomain
	exchanger       = "mx." + recipientDomain
)

// system is something that takes mail by SMTP and hands it on.
type system interface {
	name() string
	signs() bool
	// start brings it up with everything it keeps in dir, handing its mail to
	// 127.0.0.1:sink.
	start(ctx context.Context, dir string, sink int) (*instance, error)
}

// instance is a system that runs.
type instance struct {
	addr    string                         // where it takes mail
	roots   []int                          // its processes; their descendants count too
	txt     func(string) ([]string, error) // the DKIM records it wants published
	goRSA   bool                           // it signs with crypto/rsa instead of libcrypto
	closers []func() error                 // in the order of acquisition
}

// onStop registers what stop has to undo.
func (in *instance) onStop(f func() error) { in.closers = append(in.closers, f) }

// stop ends the instance, last acquired first.
func (in *instance) stop() error {
	var errs []error
	for _, closer := range slices.Backward(in.closers) {
		errs = append(errs, closer())
	}
	in.closers = nil
	return errors.Join(errs...)
}

// daemon is a child process of ours that runs until it is stopped.
type daemon struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how, once done is closed
}

// command prepares a child that is the leader of its own process group (Postfix's
// master signals its group when it ends) and gets SIGTERM when we die.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// startDaemon starts cmd and watches it.
func startDaemon(cmd *exec.Cmd) (*daemon, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := &daemon{cmd: cmd, done: make(chan struct{})}
	go func() {
		d.err = cmd.Wait()
		close(d.done)
	}()
	return d, nil
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// stop asks the daemon to end, and kills it after ten seconds.
func (d *daemon) stop() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
		return nil
	case <-time.After(10 * time.Second):
		err := d.cmd.Process.Kill()
		<-d.done
		return errors.Join(fmt.Errorf("%s had to be killed", filepath.Base(d.cmd.Path)), err)
	}
}

// output runs a short command to its end and returns what it printed.
func output(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("%v: %w: %s", cmd.Args, err, exit.Stderr)
	}
	return nil, fmt.Errorf("%v: %w", cmd.Args, err)
}

// freePort returns a port nobody listens on at the moment.
func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// waitFor calls ready every few milliseconds until it says yes, the daemon ends,
// or ten seconds have passed.
func waitFor(ctx context.Context, what string, d *daemon, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-tick.C:
		case <-d.done:
			return fmt.Errorf("%s ended: %w", what, d.err)
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
	return nil
}

// listening reports whether someone accepts connections.
func listening(ctx context.Context, addr string) bool {
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// findTool returns the path of a program that may live in an sbin folder outside
// PATH.
func findTool(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if p := filepath.Join(dir, name); exists(p) {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: run scripts/test-deps", name)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
