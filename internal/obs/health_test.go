package obs_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/obs"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func pass(context.Context) error { return nil }

func TestReadyzNamesTheFailingChecksAndNothingElse(t *testing.T) {
	health := obs.NewHealth(discard())
	handler := obs.Handler(obs.NewMetrics("x"), health)
	var database error
	health.Add("database", func(context.Context) error { return database })
	health.Add("listeners", pass)
	health.Add("disk", func(context.Context) error {
		if database != nil {
			panic("a bug in the check")
		}
		return nil
	})
	for _, tt := range []struct {
		database error
		path     string
		code     int
		body     string
	}{
		{nil, "/readyz", 200, `{"status":"ok","failing":[]}`},
		{errors.New("host db.internal refused user waypost"), "/readyz", 503, `{"status":"failing","failing":["database","disk"]}`},
		{errors.New("away"), "/healthz", 200, `{"status":"ok","failing":[]}`},
		{nil, "/readyz", 200, `{"status":"ok","failing":[]}`},
	} {
		database = tt.database
		code, body := get(t, handler, "GET", tt.path)
		if code != tt.code || strings.TrimSpace(body) != tt.body {
			t.Errorf("%s with %v: %d %s, want %d %s", tt.path, tt.database, code, body, tt.code, tt.body)
		}
	}
}

func TestHandlerKnowsItsPathsAndMethodsOnly(t *testing.T) {
	handler := obs.Handler(obs.NewMetrics("x"), obs.NewHealth(discard()))
	for request, want := range map[string]int{
		"GET /healthz": 200, "HEAD /healthz": 200, "GET /readyz": 200, "POST /readyz": 405, "POST /metrics": 405,
		"GET /": 404, "GET /debug/pprof/": 404,
	} {
		method, path, _ := strings.Cut(request, " ")
		if code, _ := get(t, handler, method, path); code != want {
			t.Errorf("%s: %d, want %d", request, code, want)
		}
	}
}

func TestAStuckCheckFailsAndIsRunOnceHoweverOftenItIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		health := obs.NewHealth(discard())
		release, runs := make(chan struct{}), new(atomic.Int32)
		health.Add("stuck", func(context.Context) error {
			runs.Add(1)
			<-release
			return nil
		})
		health.Add("good", pass)
		for range 3 {
			if diff := cmp.Diff([]string{"stuck"}, health.Failing(t.Context())); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		}
		if got := runs.Load(); got != 1 {
			t.Errorf("run %d times at once", got)
		}
		close(release)
		synctest.Wait()
		if got := health.Failing(t.Context()); len(got) > 0 {
			t.Errorf("still failing: %q", got)
		}
	})
}

func TestConcurrentRequestsShareTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		health := obs.NewHealth(discard())
		release := make(chan struct{})
		health.Add("slow", func(context.Context) error { <-release; return nil })
		answers := make(chan []string, 2)
		for range 2 {
			go func() { answers <- health.Failing(t.Context()) }()
		}
		synctest.Wait()
		close(release)
		for range 2 {
			if got := <-answers; len(got) > 0 {
				t.Errorf("failing: %q", got)
			}
		}
	})
}

func TestAClientThatGoesAwayFailsNoCheck(t *testing.T) {
	health := obs.NewHealth(discard())
	health.Add("database", func(ctx context.Context) error { return ctx.Err() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := health.Failing(ctx); len(got) > 0 {
		t.Errorf("failing: %q", got)
	}
}

func TestChecksAreLoggedWhenTheyChange(t *testing.T) {
	var s sink
	log := obs.NewLog(&s, slog.LevelInfo, false)
	health := obs.NewHealth(log.Logger)
	var failure error
	health.Add("database", func(context.Context) error { return failure })
	for _, failure = range []error{nil, nil, errors.New("away"), errors.New("away"), nil, nil} {
		health.Failing(t.Context())
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(s.take(), "")
	if strings.Count(got, "\n") != 2 || !strings.Contains(got, `msg="not ready" check=database error=away`) || !strings.Contains(got, `msg="ready again" check=database`) {
		t.Errorf("got %s", got)
	}
}
