package obs_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/obs"
	"github.com/waypost/waypost/internal/secret"
)

// sink records each write.
type sink struct {
	mu     sync.Mutex
	writes []string
	err    error
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	s.writes = append(s.writes, string(p))
	return len(p), nil
}

func (s *sink) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	writes := s.writes
	s.writes = nil
	return writes
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func wrote(t *testing.T, s *sink, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, s.take()); diff != "" {
		t.Fatalf("writes (-want +got):\n%s", diff)
	}
}

func put(t *testing.T, w *obs.Writer, line string) {
	t.Helper()
	if n, err := w.Write([]byte(line)); err != nil || n != len(line) {
		t.Fatalf("Write = %d, %v", n, err)
	}
}

func TestFirstLineAfterAPauseIsWrittenAtOnceAndTheRestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sink
		w := obs.NewWriter(&s)
		put(t, w, "1\n")
		wrote(t, &s, "1\n")
		put(t, w, "2\n")
		put(t, w, "3\n")
		wrote(t, &s)
		<-time.After(obs.FlushInterval)
		synctest.Wait()
		wrote(t, &s, "2\n3\n")
		put(t, w, "4\n") // the next interval is running
		wrote(t, &s)
		<-time.After(2 * obs.FlushInterval)
		synctest.Wait()
		wrote(t, &s, "4\n")
		put(t, w, "5\n") // after a pause
		wrote(t, &s, "5\n")
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestFullBufferIsWrittenInWholeLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sink
		w := obs.NewWriter(&s)
		put(t, w, "first\n")
		s.take()
		line := strings.Repeat("x", 1000) + "\n"
		var sent strings.Builder
		for range 1000 {
			put(t, w, line)
			sent.WriteString(line)
		}
		huge := strings.Repeat("y", 100_000) + "\n"
		put(t, w, huge)
		sent.WriteString(huge)
		writes := s.take()
		if len(writes) < 10 || len(writes) > 30 {
			t.Errorf("%d writes for 1 MB", len(writes))
		}
		for _, got := range writes {
			if !strings.HasSuffix(got, "\n") {
				t.Errorf("a line is torn: ...%q", got[len(got)-10:])
			}
		}
		if strings.Join(writes, "") != sent.String() {
			t.Error("lines are lost, doubled or in another order")
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseWritesTheRestAndLaterLinesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sink
		w := obs.NewWriter(&s)
		put(t, w, "1\n")
		put(t, w, "2\n")
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		wrote(t, &s, "1\n", "2\n")
		put(t, w, "3\n")
		put(t, w, "4\n")
		wrote(t, &s, "3\n", "4\n")
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		wrote(t, &s)
	})
}

func TestWriteErrorIsToldOnceAndTheWriterGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sink
		w := obs.NewWriter(&s)
		put(t, w, "1\n")
		s.take()
		full := errors.New("disk full")
		s.fail(full)
		put(t, w, "lost\n")
		if err := w.Flush(); !errors.Is(err, full) {
			t.Errorf("Flush: %v, want %v", err, full)
		}
		s.fail(nil)
		if err := w.Flush(); err != nil {
			t.Errorf("second Flush: %v", err)
		}
		wrote(t, &s)
		put(t, w, "2\n")
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		wrote(t, &s, "2\n")
	})
}

func TestConcurrentLinesStayWhole(t *testing.T) {
	var s sink
	log := obs.NewLog(&s, slog.LevelInfo, true)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				log.Info("accepted", obs.KeyMessage, strings.Repeat("m", 100))
			}
		})
	}
	group.Wait()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(strings.Join(s.take(), ""), "\n"), "\n")
	if len(lines) != 1600 {
		t.Errorf("%d lines, want 1600", len(lines))
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Fatalf("not a line of JSON: %s", line)
		}
	}
}

func TestErrorsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sink
		log := obs.NewLog(&s, slog.LevelInfo, false)
		log.Info("first")
		s.take()
		log.Info("second")
		if got := s.take(); len(got) > 0 {
			t.Fatalf("not buffered: %q", got)
		}
		log.With(obs.KeyOperator, "o").WithGroup("g").Error("third", obs.Error(errors.New("boom")))
		got := s.take()
		if len(got) != 1 || !strings.Contains(got[0], "msg=second\n") || !strings.Contains(got[0], "msg=third operator=o g.error=boom\n") {
			t.Errorf("got %q", got)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestLogHasItsLevelAndFormat(t *testing.T) {
	var s sink
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn)
	log := obs.NewLog(&s, level, true)
	log.Info("too low")
	log.Warn("warned", obs.KeyPeer, "192.0.2.1\nx", "password", secret.NewText("hunter2"))
	level.Set(slog.LevelDebug)
	log.Debug("now seen")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.Join(s.take(), ""), "\n")
	if len(lines) != 3 {
		t.Fatalf("got %q", lines)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := map[string]any{"level": "WARN", "msg": "warned", "peer": "192.0.2.1\nx", "password": "[redacted]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
