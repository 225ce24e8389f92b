package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/webhook"
)

// mortal is a process that dies at its n-th step: from then on nothing it does has any
// effect, and it hears nothing.
type mortal struct {
	mu    sync.Mutex
	lives int // steps left
	dead  chan struct{}
	steps []string
}

var errDead = errors.New("this process is dead")

func newMortal(lives int) *mortal { return &mortal{lives: lives, dead: make(chan struct{})} }

// reach is a step; it fails once the process is dead.
func (m *mortal) reach(step string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.dead:
		return errDead
	default:
	}
	m.steps = append(m.steps, step)
	if m.lives--; m.lives < 0 {
		close(m.dead)
		return errDead
	}
	return nil
}

func (m *mortal) alive() error {
	select {
	case <-m.dead:
		return errDead
	default:
		return nil
	}
}

// mortalStore and mortalWeb are what a process does to the world: each write and each
// request can be its last, before it is made or before its answer is heard.
type mortalStore struct {
	webhook.Store
	*mortal
}

func (s mortalStore) StepWebhook(ctx context.Context, step *store.WebhookStep) error {
	what := fmt.Sprintf("a step with %d results and %d calls", len(step.Results), len(step.Calls))
	if err := s.reach("before " + what); err != nil {
		return err
	}
	if err := s.Store.StepWebhook(ctx, step); err != nil {
		return err
	}
	return s.reach("after " + what)
}

func (s mortalStore) WebhookWork(ctx context.Context, k store.WebhookKey, calls, fresh int, finished []string) (*store.WebhookWork, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	return s.Store.WebhookWork(ctx, k, calls, fresh, finished)
}

type mortalWeb struct {
	webhook.Web
	*mortal
}

func (w mortalWeb) Do(req *http.Request) (*http.Response, error) {
	if err := w.reach("before a call"); err != nil {
		return nil, err
	}
	res, err := w.Web.Do(req)
	if err == nil && w.reach("after a call") != nil {
		_ = res.Body.Close()
		return nil, errDead
	}
	return res, err
}

// TestNoEventIsLostWhereverTheProcessDies runs a mail from its acceptance over a bounce that
// suppresses its address to the webhook, and dies between any two steps of it. A process that
// starts on the same database tells whatever the first one has not.
func TestNoEventIsLostWhereverTheProcessDies(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		last := 0
		for lives := 0; lives < 60; lives++ {
			ended := crash(t, db, lives)
			last = lives
			if ended {
				break
			}
		}
		t.Logf("died at %d steps", last)
		if last < 12 {
			t.Errorf("only %d steps: where are the others?", last)
		}
	})
}

// crash reports whether the process reached the end before it died.
func crash(t *testing.T, db *storetest.DB, lives int) (ended bool) {
	t.Helper()
	r := newReceiver(t)
	m := newMortal(lives)
	db.Exec(t, "DELETE FROM webhook")
	db.Exec(t, "DELETE FROM suppression")
	first := newWorld(t, db.Node(t, "first"), func(o *webhook.Options) {
		o.Store, o.Web = mortalStore{o.Store, m}, mortalWeb{o.Web, m}
	})
	_, r.secret = first.hook(t, r.URL)
	first.start(t)
	message := first.until(t, r, m)
	ended = m.alive() == nil

	// It is dead. What comes next is what any process does at its start.
	second := newWorld(t, db.Node(t, "second"))
	orphans, err := db.System.Orphans(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, dead := range append(orphans, first.me) {
		if _, err := second.db.System.Recover(t.Context(), dead, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	second.start(t)
	message = second.again(t, message)
	second.idle(t)

	got, bodies := map[string]waypost.WebhookType{}, map[string]string{}
	suppressed := 0
	for _, e := range r.taken() {
		if got[e.ID] == "" && e.Type == waypost.WebhookSuppress {
			suppressed++
		}
		got[e.ID] = e.Type
	}
	for _, c := range r.all() {
		if body, twice := bodies[c.id]; twice && body != string(c.body) {
			t.Errorf("after %d steps: call %s was sent with another body", lives, c.id)
		}
		bodies[c.id] = string(c.body)
	}
	events, err := db.Store.Events(t.Context(), "op", message)
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, e := range events {
		if e.Type.WebhookType() == "" {
			continue
		}
		want++
		if got[e.ID] != e.Type.WebhookType() {
			t.Errorf("after %d steps (%q): event %s %s was lost", lives, m.steps[len(m.steps)-1], e.Type, e.ID)
		}
	}
	if want != 2 || suppressed != 1 {
		t.Errorf("after %d steps: %d events and %d suppressions", lives, want, suppressed)
	}
	if calls := len(bodies); calls != 3 {
		t.Errorf("after %d steps: calls with %d ids, want 3", lives, calls)
	}
	first.stop(t)
	second.stop(t)
	return ended
}

// until accepts a mail and has it bounce, unless the process dies; then it waits for the
// webhook to be done, or for death. It returns the message, accepted by whomever.
func (w *world) until(t *testing.T, r *receiver, m *mortal) (message string) {
	t.Helper()
	if m.reach("before accept") != nil {
		return ""
	}
	d := w.mail(t, storetest.Mail{})[0]
	if m.reach("after accept") == nil {
		w.finish(t, d, waypost.Bounced, func(f *system.Finish) { f.Symptom = waypost.SuppressedHard })
		_ = m.reach("after finish")
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for m.alive() == nil && (len(r.taken()) < 3 ||
		w.db.Int(t, "SELECT COUNT(*) FROM webhook_event")+w.db.Int(t, "SELECT COUNT(*) FROM webhook WHERE lease <> ''") > 0) {
		select {
		case <-tick.C:
		case <-m.dead:
		}
	}
	return d.MessageID
}

// again does for a mail what the process that died has not.
func (w *world) again(t *testing.T, message string) string {
	t.Helper()
	if message == "" {
		d := w.mail(t, storetest.Mail{})[0]
		w.finish(t, d, waypost.Bounced, func(f *system.Finish) { f.Symptom = waypost.SuppressedHard })
		return d.MessageID
	}
	detail, err := w.db.Store.Message(t.Context(), "op", message)
	if err != nil {
		t.Fatal(err)
	}
	d := detail.Deliveries[0]
	if d.State != waypost.Queued {
		return message
	}
	claimed, err := w.db.System.Claim(t.Context(), system.Claim{
		Key: system.Key{Lane: d.Lane.Rank(), OperatorID: d.OperatorID, Site: d.Site}, Incarnation: w.me, Limit: 1, Now: time.Now().Add(time.Minute),
		RetryAt: time.Now().Add(time.Hour),
	})
	if err != nil || len(claimed) != 1 {
		t.Fatal(claimed, err)
	}
	w.finish(t, claimed[0], waypost.Bounced, func(f *system.Finish) { f.Symptom = waypost.SuppressedHard })
	return message
}
