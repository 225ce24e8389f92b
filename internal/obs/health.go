package obs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// checkTimeout is how long /readyz waits for its checks.
const checkTimeout = 2 * time.Second

var errCheckSlow = errors.New("no answer in time")

// Health is the set of checks that say whether the server can do its work. It is
// safe for concurrent use.
type Health struct {
	log     *slog.Logger
	running singleflight.Group // by name: a stuck check holds one goroutine, however often it is asked
	mu      sync.Mutex
	checks  []*check
}

type check struct {
	name    string
	run     func(context.Context) error
	failing bool // as last logged; under Health.mu
}

// NewHealth returns a Health without checks, which is ready. It logs each check that
// begins or ceases to fail: /readyz tells names only, as errors may hold internals.
func NewHealth(log *slog.Logger) *Health { return &Health{log: log} }

// Add registers a check under a name of its own. A check should return within two
// seconds.
func (h *Health) Add(name string, run func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, &check{name: name, run: run})
}

// Failing runs all checks at once and returns the names of those that fail, in the
// order they were added.
func (h *Health) Failing(ctx context.Context) []string {
	h.mu.Lock()
	checks := slices.Clone(h.checks)
	h.mu.Unlock()
	// That a client goes away says nothing about the checks, which others may wait for.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()

	results := make([]<-chan singleflight.Result, len(checks))
	for i, c := range checks {
		results[i] = h.running.DoChan(c.name, func() (any, error) {
			return nil, c.safely(ctx)
		})
	}
	failing := []string{}
	for i, c := range checks {
		err := await(ctx, results[i])
		if err != nil {
			failing = append(failing, c.name)
		}
		h.note(ctx, c, err)
	}
	return failing
}

// await prefers an answer that is there over a deadline that another check has used up.
func await(ctx context.Context, answer <-chan singleflight.Result) error {
	select {
	case result := <-answer:
		return result.Err
	case <-ctx.Done():
	}
	select {
	case result := <-answer:
		return result.Err
	default:
		return errCheckSlow
	}
}

// safely runs the check; a panic in a goroutine would end the process.
func (c *check) safely(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return c.run(ctx)
}

func (h *Health) note(ctx context.Context, c *check, err error) {
	h.mu.Lock()
	changed := c.failing != (err != nil)
	c.failing = err != nil
	h.mu.Unlock()
	switch {
	case !changed:
	case err != nil:
		h.log.WarnContext(ctx, "not ready", slog.String("check", c.name), Error(err))
	default:
		h.log.InfoContext(ctx, "ready again", slog.String("check", c.name))
	}
}

// Handler serves /metrics, /healthz and /readyz. /healthz answers 200 as long as the
// process does. /readyz answers 200 if all checks pass, else 503. Both answer
// {"status":"ok"|"failing","failing":[names]}.
func Handler(m *Metrics, h *Health) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, []string{})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		answer(w, h.Failing(r.Context()))
	})
	return mux
}

func answer(w http.ResponseWriter, failing []string) {
	status, code := "ok", http.StatusOK
	if len(failing) > 0 {
		status, code = "failing", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(struct { // the client has gone: nobody to tell
		Status  string   `json:"status"`
		Failing []string `json:"failing"`
	}{status, failing})
}
