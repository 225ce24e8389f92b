package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/internal/store/engine"
)

// cluster is a private PostgreSQL server.
type cluster struct {
	mu      sync.Mutex
	started bool
	err     error // why it did not start
	dir     string
	serial  int
	pid     int
	ended   chan struct{} // closed when the server has ended
}

// postgres is the server of this test process: started by the first test that needs
// it, shared by all, stopped by Main.
var postgres cluster //nolint:gochecknoglobals // as many as processes

// errNoServer says that there are no server binaries.
var errNoServer = errors.New("no PostgreSQL server binaries found (initdb, postgres)")

const (
	migratedTemplate = "waypost_template"
	startTimeout     = 60 * time.Second
)

// database makes a database from a template and returns its URL.
func (c *cluster) database(t testing.TB, template string) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started {
		c.started = true
		c.err = c.start()
	}
	if errors.Is(c.err, errNoServer) && os.Getenv("CI") == "" {
		t.Skip(c.err)
	}
	if c.err != nil {
		t.Fatalf("start PostgreSQL: %v", c.err)
	}
	c.serial++
	name := "test_" + strconv.Itoa(c.serial)
	if err := c.exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("make database: %v", err)
	}
	t.Cleanup(func() {
		// The test's context has ended by now.
		if err := c.exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop database: %v", err)
		}
	})
	return c.url(name)
}

// url names a database of the server, which listens on a socket in its directory only.
func (c *cluster) url(database string) string {
	return "postgres:///" + database + "?host=" + c.dir + "&user=postgres&sslmode=disable"
}

func (c *cluster) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, statement)
	return err
}

func (c *cluster) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	bin, err := serverBinaries(ctx)
	if err != nil {
		return err
	}
	sweep()
	// The name tells later processes whether this one is alive. It is short because
	// the path of a socket has room for about 100 bytes.
	if c.dir, err = os.MkdirTemp("", "waypost-pg-"+strconv.Itoa(os.Getpid())+"-"); err != nil {
		return err
	}
	credential, err := serverUser()
	if err != nil {
		return err
	}
	if credential != nil {
		if err := os.Chown(c.dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(c.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"),
		"-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	initdb.Dir = c.dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := c.run(bin, data, credential); err != nil {
		return err
	}
	if err := c.await(ctx); err != nil {
		return err
	}
	return c.makeTemplate(ctx)
}

// run starts the server such that it ends when this process does, however that ends.
func (c *cluster) run(bin, data string, credential *syscall.Credential) error {
	log, err := os.Create(filepath.Join(c.dir, "log"))
	if err != nil {
		return err
	}
	// Commits wait for the disk, as in life; the rest is kept small and quiet.
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", c.dir, //nolint:noctx // ends with the process
		"-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "autovacuum=off")
	server.Dir = c.dir
	server.Stdout, server.Stderr = log, log
	// SIGQUIT makes it end at once and take its shared memory with it.
	server.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Pdeathsig: syscall.SIGQUIT, Setpgid: true}
	c.ended = make(chan struct{})
	started := make(chan error)
	go func() {
		// The signal comes when the starting thread ends, so that thread has to stay.
		runtime.LockOSThread()
		defer close(c.ended)
		defer log.Close()
		err := server.Start()
		started <- err
		if err == nil {
			_ = server.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	c.pid = server.Process.Pid
	return nil
}

// await waits until the server answers.
func (c *cluster) await(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.exec(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-c.ended:
			words, _ := os.ReadFile(filepath.Join(c.dir, "log"))
			return fmt.Errorf("the server ended:\n%s", words)
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		}
	}
}

// makeTemplate migrates a database once that the others are copies of.
func (c *cluster) makeTemplate(ctx context.Context) error {
	if err := c.exec(ctx, "CREATE DATABASE "+migratedTemplate); err != nil {
		return err
	}
	e, err := engine.Open(ctx, engine.Options{URL: c.url(migratedTemplate)})
	if err != nil {
		return err
	}
	return e.Close()
}

func (c *cluster) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid != 0 {
		_ = syscall.Kill(c.pid, syscall.SIGQUIT)
		<-c.ended
		c.pid = 0
	}
	if c.dir != "" {
		_ = os.RemoveAll(c.dir)
		c.dir = ""
	}
}

// serverBinaries finds the directory of the newest server installed.
func serverBinaries(ctx context.Context) (string, error) {
	var dirs []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	packaged, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(packaged, func(a, b string) int { return majorVersion(b) - majorVersion(a) })
	dirs = append(dirs, packaged...)
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, dir := range dirs {
		if isFile(filepath.Join(dir, "initdb")) && isFile(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", errNoServer
}

func majorVersion(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// serverUser is whom the server runs as: it refuses to run as root.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // as ourselves
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// sweep removes what killed test processes left behind.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), "waypost-pg-*-*"))
	for _, dir := range dirs {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), "waypost-pg-"), "-")
		if n, err := strconv.Atoi(pid); err == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
}
