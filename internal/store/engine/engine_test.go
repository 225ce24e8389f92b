package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// bench is an open engine with a queue of rows to write into table chore.
type bench struct {
	*engine.Engine
	names  *engine.Queue[string]
	groups []int // by size
	mu     sync.Mutex
	// block, if set, is called before each item is applied.
	before func(ctx context.Context, tx *engine.Tx, name string) error
}

func (b *bench) Group(items int, _ time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.groups = append(b.groups, items)
}

func (b *bench) apply(ctx context.Context, tx *engine.Tx, names []string) error {
	for _, name := range names {
		if b.before != nil {
			if err := b.before(ctx, tx, name); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO chore (name, due, lease) VALUES ($1, 0, '')", name); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) write(name string) error { return b.names.Do(context.Background(), name, 1) }

// has tells which of some rows another connection sees.
func (b *bench) has(t *testing.T, name string) bool {
	t.Helper()
	var n int
	if err := b.Reader().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM chore WHERE name = $1", name).Scan(&n); err != nil {
		t.Error(err)
	}
	return n == 1
}

// await waits until some items wait for the committer.
func (b *bench) await(n int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for b.Waiting() < n {
		<-tick.C
	}
}

func open(t *testing.T, url string) *bench {
	t.Helper()
	b := &bench{}
	e, err := engine.Open(t.Context(), engine.Options{URL: url, Observe: b})
	if err != nil {
		t.Fatal(err)
	}
	b.Engine = e
	b.names = engine.NewQueue(e, b.apply)
	return b
}

func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	for name, url := range map[string]func(testing.TB) string{
		"sqlite":   func(t testing.TB) string { return filepath.Join(t.TempDir(), "waypost.db") },
		"postgres": storetest.PostgresURL,
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, url(t))
			t.Cleanup(func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, b)
		})
	}
}

// grouped writes items in one group and returns their answers.
func (b *bench) grouped(t *testing.T, names ...string) map[string]error {
	t.Helper()
	release, blocked := make(chan struct{}), make(chan struct{})
	test := b.before
	b.before = func(ctx context.Context, tx *engine.Tx, name string) error {
		if name == "the plug" {
			close(blocked)
			<-release
			return errors.New("not wanted")
		}
		if test != nil {
			return test(ctx, tx, name)
		}
		return nil
	}
	plug := make(chan error, 1)
	go func() { plug <- b.write("the plug") }()
	<-blocked
	var mu sync.Mutex
	var wait sync.WaitGroup
	answers := map[string]error{}
	for _, name := range names {
		wait.Go(func() {
			err := b.write(name)
			mu.Lock()
			defer mu.Unlock()
			answers[name] = err
		})
	}
	b.await(len(names))
	close(release)
	if err := <-plug; err == nil {
		t.Error("the plug was written")
	}
	wait.Wait()
	return answers
}

func TestNobodyIsAnsweredBeforeTheCommit(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		var wait sync.WaitGroup
		for i := range 50 {
			name := fmt.Sprint("row ", i)
			wait.Add(1)
			// Called by the committer itself: nothing can be committed in between.
			b.names.Go(name, 1, func(err error) {
				defer wait.Done()
				if err != nil || !b.has(t, name) {
					t.Errorf("%s: answered, but not there: %v", name, err)
				}
			})
		}
		wait.Wait()
		if err := b.write("waited for"); err != nil || !b.has(t, "waited for") {
			t.Error(err)
		}
	})
}

func TestOnlyTheCulpritOfAGroupFails(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		wrong := errors.New("wrong")
		b.before = func(ctx context.Context, tx *engine.Tx, name string) error {
			switch name {
			case "error":
				return wrong
			case "sql":
				_, err := tx.ExecContext(ctx, "INSERT INTO no_such_table VALUES (1)")
				return err
			case "rows left open":
				if _, err := tx.QueryContext(ctx, "SELECT name FROM chore"); err != nil { //nolint:rowserrcheck // that is the test
					return err
				}
				return wrong
			case "panic with rows open":
				if _, err := tx.QueryContext(ctx, "SELECT name FROM chore"); err != nil { //nolint:rowserrcheck // that is the test
					return err
				}
				panic("boom")
			case "panic":
				panic("boom")
			}
			return nil
		}
		if err := b.write("there"); err != nil {
			t.Fatal(err)
		}
		culprits := map[string]bool{"error": true, "sql": true, "there": true, "panic": true, "rows left open": true, "panic with rows open": true}
		names := []string{"a", "b", "c"}
		for name := range culprits {
			names = append(names, name)
		}
		for name, err := range b.grouped(t, names...) {
			if (err != nil) != culprits[name] {
				t.Errorf("%s: %v", name, err)
			}
			if name != "there" && b.has(t, name) == culprits[name] {
				t.Errorf("%s: written %v", name, !culprits[name])
			}
			if name == "there" && !b.Dialect.IsUnique(err) || name == "error" && !errors.Is(err, wrong) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// Each of them alone, and then life goes on.
		for name := range culprits {
			if err := b.write(name); err == nil {
				t.Errorf("%s: no error", name)
			}
			if err := b.write("after " + name); err != nil {
				t.Errorf("after %s: %v", name, err)
			}
		}
	})
}

func TestManyWritersShareFewCommits(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		var names []string
		for i := range 700 { // more than one group may take
			names = append(names, fmt.Sprint("row ", i))
		}
		for name, err := range b.grouped(t, names...) {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if diff := cmp.Diff([]int{1, 512, 188}, b.groups); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAGroupIsBoundedInBytes(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		release, blocked := make(chan struct{}), make(chan struct{})
		b.before = func(_ context.Context, _ *engine.Tx, name string) error {
			if name == "first" {
				close(blocked)
				<-release
			}
			return nil
		}
		var wait sync.WaitGroup
		put := func(name string, size int) {
			wait.Add(1)
			b.names.Go(name, size, func(err error) {
				defer wait.Done()
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		put("first", 1)
		<-blocked
		for i, size := range []int{10 << 20, 5 << 20, 3 << 20, 40 << 20, 1} {
			put(fmt.Sprint("row ", i), size)
		}
		close(release)
		wait.Wait()
		if err := b.write("last"); err != nil { // its group comes after the others were observed
			t.Fatal(err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if diff := cmp.Diff([]int{1, 2, 1, 1, 1}, b.groups[:5]); diff != "" {
			t.Error(diff)
		}
	})
}

func TestCloseWritesWhatWaits(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		url := b.URL()
		again := open(t, url)
		var mu sync.Mutex
		answered := 0
		for i := range 1000 {
			again.names.Go(fmt.Sprint("row ", i), 1, func(err error) {
				mu.Lock()
				defer mu.Unlock()
				answered++
				if err != nil {
					t.Error(err)
				}
			})
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		if answered != 1000 {
			t.Errorf("%d of 1000 answered", answered)
		}
		if err := again.write("late"); !errors.Is(err, engine.ErrClosed) {
			t.Error(err)
		}
		for _, name := range []string{"row 0", "row 999"} {
			if !b.has(t, name) {
				t.Errorf("%s is lost", name)
			}
		}
	})
}

func TestACallerThatGivesUpHarmsNobody(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		release, blocked := make(chan struct{}), make(chan struct{})
		b.before = func(_ context.Context, _ *engine.Tx, name string) error {
			if name == "first" {
				close(blocked)
				<-release
			}
			return nil
		}
		first := make(chan error, 1)
		go func() { first <- b.write("first") }()
		<-blocked
		ctx, cancel := context.WithCancel(t.Context())
		impatient := make(chan error, 1)
		go func() { impatient <- b.names.Do(ctx, "impatient", 1) }()
		b.await(1)
		cancel()
		if err := <-impatient; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(release)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if err := b.write("next"); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"first", "next"} {
			if !b.has(t, name) {
				t.Errorf("%s is lost", name)
			}
		}
		if b.has(t, "impatient") {
			t.Error("an item whose caller gave up before its group began was written")
		}
	})
}

// A caller reads what its item set as soon as it has an answer, so there must be none
// while the item is at work.
func TestACallerThatGivesUpTooLateHearsTheOutcome(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(t.Context())
		result := 0
		b.before = func(context.Context, *engine.Tx, string) error {
			cancel()
			for range 1000 {
				runtime.Gosched()
			}
			result++
			return nil
		}
		if err := b.names.Do(ctx, "late", 1); err != nil {
			t.Error(err)
		}
		if result != 1 || !b.has(t, "late") {
			t.Errorf("answered before its end: result %d", result)
		}
	})
}

func TestALostConnectionIsReplaced(t *testing.T) {
	b := open(t, storetest.PostgresURL(t))
	defer b.Close()
	killer := open(t, b.URL())
	defer killer.Close()
	kill := func(what string) {
		t.Helper()
		var n int
		if err := killer.Reader().QueryRowContext(t.Context(), `SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&n); err != nil || n == 0 {
			t.Errorf("%s: %d killed, %v", what, n, err)
		}
	}
	if err := b.write("before"); err != nil {
		t.Fatal(err)
	}
	kill("idle")
	// Nothing had begun, so nobody has to hear about it.
	if err := b.write("after an idle connection"); err != nil {
		t.Error(err)
	}
	b.before = func(_ context.Context, _ *engine.Tx, name string) error {
		if strings.HasPrefix(name, "victim") {
			kill(name)
		}
		return nil
	}
	for name, err := range b.grouped(t, "victim", "a", "b") {
		if (err != nil) != (name == "victim") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.write("victim alone"); err == nil {
		t.Error("written over a dead connection")
	}
	if err := b.write("at last"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]bool{"after an idle connection": true, "a": true, "b": true, "victim": false, "at last": true} {
		if b.has(t, name) != want {
			t.Errorf("%s: there %v, want %v", name, !want, want)
		}
	}
}

func TestAReaderCannotWrite(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		if err := b.write("row"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Reader().ExecContext(t.Context(), "DELETE FROM chore"); err == nil {
			t.Error("executed")
		}
		var name string
		if err := b.Reader().QueryRowContext(t.Context(), "DELETE FROM chore RETURNING name").Scan(&name); err == nil {
			t.Error("deleted by a query")
		}
		if !b.has(t, "row") {
			t.Error("the row is gone")
		}
	})
}

func TestASnapshotIsOneMoment(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		count := func(r engine.Reader) int {
			n := -1
			if err := r.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM chore").Scan(&n); err != nil {
				t.Error(err)
			}
			return n
		}
		err := b.Snapshot(t.Context(), func(r engine.Reader) error {
			before := count(r)
			if err := b.write("meanwhile"); err != nil {
				return err
			}
			if after := count(r); after != before {
				t.Errorf("%d rows, then %d", before, after)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if n := count(b.Reader()); n != 1 {
			t.Errorf("%d rows", n)
		}
		if err := b.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestTheFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "with space?.db")
	b := open(t, path)
	defer b.Close()
	if err := b.write("row"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestErrorsHideThePassword(t *testing.T) {
	for _, url := range []string{"postgres://user:secret@%zz/db", "postgres://user:secret@127.0.0.1:1/db?connect_timeout=1"} {
		e, err := engine.Open(t.Context(), engine.Options{URL: url})
		if err == nil {
			e.Close()
			t.Fatalf("%s: opened", url)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
	}
}

func TestADeadlockIsTriedAgain(t *testing.T) {
	b := open(t, storetest.PostgresURL(t))
	defer b.Close()
	tries := 0
	b.before = func(ctx context.Context, tx *engine.Tx, name string) error {
		tries++
		if tries > 1 {
			return nil
		}
		_, err := tx.ExecContext(ctx, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$")
		return err
	}
	if err := b.write("row"); err != nil || tries != 2 || !b.has(t, "row") {
		t.Errorf("%d tries, %v", tries, err)
	}
}

func TestAFullDiskIsNobodysFault(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.before = func(ctx context.Context, tx *engine.Tx, name string) error {
			if name != "too much" {
				return nil
			}
			for _, text := range map[string][]string{
				"postgres": {"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$"},
				"sqlite": {
					"PRAGMA max_page_count = 1", // it takes what there is already
					"INSERT INTO body (id, operator_id, data, file, file_at, file_size, file_sum) VALUES ('b', 'op', zeroblob(10000000), '', 0, 0, 0)",
				},
			}[b.Dialect.Name] {
				if _, err := tx.ExecContext(ctx, text); err != nil {
					return err
				}
			}
			return nil
		}
		if err := b.write("too much"); waypost.KindOf(err) != waypost.StorageFull {
			t.Errorf("%v", err)
		}
		for name, err := range b.grouped(t, "a", "too much", "b") {
			if name == "too much" && waypost.KindOf(err) != waypost.StorageFull || name != "too much" && err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
